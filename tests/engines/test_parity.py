"""Both engines from the same weights on the same images: outputs, curves, files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from making import encoded, photo
from publishing import as_of_2015, publish, random_arrays
from trainings import SMALL, WNIDS

from imnetlib import engines, recordio
from imnetlib.engines import Checkpoint, Recipe
from imnetlib.engines.mxnet import checkpoint as mxnet_checkpoint
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet import network as mxnet_network
from imnetlib.engines.mxnet import train as mxnet_train
from imnetlib.engines.torch import checkpoint, network, train
from imnetlib.image import Transform


def living(recipe: Recipe, classes: int, seed: int = 1) -> Checkpoint:
    """A network whose every array makes a difference."""
    random = np.random.default_rng(seed)
    begun = engines.untrained(recipe, [f"n{i:08}" for i in range(classes)])
    arrays = {}
    for name, array in begun.parameters.items():
        if name.endswith(("gamma", "var")):
            arrays[name] = random.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif name.endswith("weight"):
            arrays[name] = array
        else:
            arrays[name] = random.normal(0, 0.1, array.shape).astype(np.float32)
    return dataclasses.replace(begun, parameters=arrays)


@pytest.mark.parametrize(
    ("name", "size", "classes"),
    [("inception-64px", 64, 36), ("inception-64px", 80, 5), ("inception-bn", 96, 10),
     ("inception-21k", 64, 21_841)],
)  # fmt: skip
def test_outputs_are_those_of_mxnet(name: str, size: int, classes: int):
    recipe = Recipe(network=name, size=size, batch_size=4, devices=1)
    start = living(recipe, classes)
    images = np.random.default_rng(2).normal(size=(4, 3, size, size)).astype(np.float32)
    symbol = mxnet_checkpoint.symbol_of(start)
    executor = symbol.simple_bind(
        mxnet_checkpoint.devices(1)[0], data=images.shape, grad_req="null"
    )
    mxnet_checkpoint.set_parameters(executor, start.parameters)
    executor.arg_dict["data"][:] = images
    expected = executor.forward(is_train=False)[0].asnumpy()
    with torch.no_grad():
        found = network.module_of(start)(torch.from_numpy(images)).softmax(1).numpy()
    assert np.abs(found - expected).max() < 1e-5
    assert expected.std() > 0


def test_the_network_of_2015_gives_what_it_gives_with_mxnet(tmp_path: Path):
    """At its full size, in the format of 2015, with gammas that it learned."""
    start = living(Recipe(network="inception-21k", size=224, devices=1), 21_841)
    as_today = mxnet_network.symbol_of(start).tojson()
    net = mx.sym.load_json(as_today.replace('"fix_gamma": "True"', '"fix_gamma": "False"'))
    arrays = {name: mx.nd.array(array) for name, array in start.parameters.items()}
    publish(tmp_path, as_of_2015(net), arrays, start.wnids)
    loaded = engines.load_published(tmp_path)
    jpeg = encoded(photo(280, 260, 1))
    one, other = (e.image_predictor(loaded)(jpeg) for e in (checkpoint, mxnet_checkpoint))
    assert np.abs(one - other).max() < 1e-5
    assert one.max() > 2 / 21_841


def residual():
    """What the networks of 2015 do not have: a sum, a dropout, odd pools, other activations."""
    x = mx.sym.Variable("data")
    x = mx.sym.Convolution(x, kernel=(3, 2), num_filter=8, stride=(2, 1), pad=(1, 0), no_bias=True)
    for kind in ("sigmoid", "tanh"):
        side = mx.sym.Convolution(x, kernel=(1, 1), num_filter=8, num_group=4)
        x = mx.sym.Activation(side, act_type=kind) + x
    x = mx.sym.add_n(x, mx.sym.Dropout(x, p=0.5), mx.sym.BatchNorm(x, use_global_stats=True))
    pools = [
        mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type=kind, **more)
        for kind, more in (
            ("avg", {"count_include_pad": False}),
            ("avg", {"pooling_convention": "full"}),
            ("max", {}),
        )
    ]
    parts = [
        mx.sym.Pooling(p, global_pool=True, pool_type=k) for p in pools for k in ("max", "avg")
    ]
    x = mx.sym.FullyConnected(mx.sym.Concat(*parts), num_hidden=3, no_bias=True)
    return mx.sym.softmax(x)


def test_other_published_networks_give_what_they_give_with_mxnet(tmp_path: Path):
    net = residual()
    publish(tmp_path, json.loads(net.tojson()), random_arrays(net, 21))
    crop = Transform(21, layout="NCHW", mean=(117.0, 100.0, 90.0), std=(58.0, 57.0, 56.0))
    loaded = engines.load_published(tmp_path, transform=crop)
    jpeg = encoded(photo(40, 50, 1))
    one, other = (e.image_predictor(loaded)(jpeg) for e in (checkpoint, mxnet_checkpoint))
    assert np.abs(one - other).max() < 1e-6
    assert one.std() > 0


def test_mxnet_reads_what_pytorch_has_learned(tmp_path: Path):
    start = living(SMALL, 36)
    net = network.module_of(start)
    (tmp_path / "net-symbol.json").write_text(mxnet_network.symbol_of(start).tojson())
    with (tmp_path / "net-0001.params").open("wb") as out:
        engines.write_params(out, network.arrays_of(net))
    graph, weights, statistics = mx.model.load_checkpoint(str(tmp_path / "net"), 1)
    images = np.random.default_rng(2).normal(size=(2, 3, 64, 64)).astype(np.float32)
    label = mx.nd.zeros(2)
    inputs = {**weights, "data": mx.nd.array(images), "softmax_label": label}
    bound = graph.bind(mx.cpu(), inputs, aux_states=statistics)
    with torch.no_grad():
        expected = net(torch.from_numpy(images)).softmax(1).numpy()
    assert np.abs(bound.forward()[0].asnumpy() - expected).max() < 1e-5


def test_weights_go_over_and_back():
    start = living(SMALL, 36)
    back = network.arrays_of(network.module_of(start))
    assert list(back) == list(start.parameters)
    for name, array in start.parameters.items():
        # A gamma that MXNet ignores is 1.
        expected = np.ones_like(array) if name.endswith("gamma") else array
        assert np.array_equal(back[name], expected), name


@pytest.mark.parametrize("devices", [1, 2])
def test_the_curves_of_both_engines_are_one(shards: list[Path], tmp_path: Path, devices: int):
    recipe = dataclasses.replace(
        SMALL, devices=devices, accumulate=2, label_smoothing=0.1, crop="random_resized", warmup=0.5
    )
    logs = []
    for name, engine in (("mxnet", mxnet_train), ("torch", train)):
        engine.train(recipe, WNIDS, shards, shards, tmp_path / name)
        logs.append(engines.read_log(tmp_path / name, recipe.network))
    for one, other in zip(*logs, strict=True):
        assert one.get("rate") == other.get("rate")
        # Rounding grows from step to step.
        assert one["loss"] == pytest.approx(other["loss"], abs=0.1)
    for one, other in list(zip(*logs, strict=True))[:2]:
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-3)


@pytest.mark.parametrize(("first", "second"), [(mxnet_train, train), (train, mxnet_train)])
def test_one_engine_goes_on_with_what_the_other_began(
    shards: list[Path], tmp_path: Path, first: object, second: object
):
    longer = dataclasses.replace(SMALL, epochs=3)
    whole = second.train(longer, WNIDS, shards, shards, tmp_path / "whole")
    first.train(dataclasses.replace(longer, epochs=1), WNIDS, shards, shards, tmp_path / "both")
    shorter = engines.load_checkpoint(tmp_path / "both", SMALL.network)
    assert shorter.history[0].loss == pytest.approx(whole.history[0].loss, abs=0.3)
    both = second.train(longer, WNIDS, shards, shards, tmp_path / "both")
    assert len(both.history) == 3


def test_predictions_are_those_of_mxnet(shards: list[Path], tmp_path: Path):
    done = mxnet_train.train(SMALL, WNIDS, shards, shards, tmp_path)
    pairs = zip(
        mxnet_checkpoint.predict(done, shards), checkpoint.predict(done, shards), strict=True
    )
    for theirs, ours in pairs:
        assert np.abs(theirs[0] - ours[0]).max() < 1e-5
        assert [a.tolist() for a in theirs[1:]] == [a.tolist() for a in ours[1:]]
    with recordio.RecordReader(shards[0]) as records:
        _, jpeg = recordio.unpack(records.read_at(0))
    one = checkpoint.image_predictor(done)(bytes(jpeg))
    assert np.abs(one - mxnet_checkpoint.image_predictor(done)(bytes(jpeg))).max() < 1e-5
