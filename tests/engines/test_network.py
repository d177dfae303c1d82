"""The networks as a table and as MXNet symbols: the published sizes, names and shapes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest
from publishing import parameter_count

from imnetlib import engines
from imnetlib.engines import Network, network
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import symbol


def built(name: str, classes: int):
    return symbol(network(name, classes))


def widths(net: Network) -> dict[str, dict[str, int]]:
    """Filters by layer and branch, where there are any."""
    layers = {layer.name: dataclasses.asdict(layer) for layer in (*net.stem, *net.blocks)}
    return {
        name: {k: v for k, v in fields.items() if isinstance(v, int) and v and k != "kernel"}
        for name, fields in layers.items()
    }


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("inception-bn", 1000, 11_295_240),
        ("inception-21k", 21_841, 33_619_969),
        ("inception-21k", 1000, 12_257_944),
    ],
)
def test_parameters_as_published(name: str, classes: int, count: int):
    assert parameter_count(built(name, classes), 224) == count
    # The mean at the end takes any size.
    assert parameter_count(built(name, classes), 96) == count


@pytest.mark.parametrize(
    ("name", "side", "convolutions"),
    [("inception-bn", 224, 69), ("inception-21k", 224, 69), ("inception-64px", 64, 34)],
)
def test_layers_and_scores(name: str, side: int, convolutions: int):
    net = built(name, 7)
    weights = [argument for argument in net.list_arguments() if argument.endswith("_weight")]
    assert weights[:3] == ["conv1_weight", "conv2_reduce_weight", "conv2_weight"]
    assert weights[-1] == "fc1_weight"
    assert len(weights) == convolutions + 1
    _, (scores,), _ = net.infer_shape(data=(2, 3, side, side))
    assert scores == (2, 7)


@pytest.mark.parametrize("name", ["inception-bn", "inception-21k"])
def test_shapes_on_the_way(name: str):
    internals = built(name, 1000).get_internals()
    _, shapes, _ = internals.infer_shape(data=(1, 3, 224, 224))
    sides = dict(zip(internals.list_outputs(), (shape[2:] for shape in shapes), strict=True))
    layers = {
        "conv1_relu": 112,
        "conv1_pool": 56,
        "conv2_pool": 28,
        "3b": 28,
        "3c": 14,
        "4d": 14,
        "4e": 7,
        "5b": 7,
    }
    assert {layer: sides[f"{layer}_output"] for layer in layers} == {
        k: (v, v) for k, v in layers.items()
    }
    assert sides["global_pool_output"] == (1, 1)


def test_every_layer_of_the_small_network_is_a_quarter_in_steps_of_sixteen():
    full = widths(network("inception-bn", 2))
    small = widths(network("inception-64px", 2))
    assert set(small) < set(full)
    for layer, branches in small.items():
        assert {b: max(1, (w + 32) // 64) * 16 for b, w in full[layer].items()} == branches, layer


def test_a_symbol_survives_json():
    net = built("inception-21k", 21_841)
    again = mx.sym.load_json(net.tojson())
    assert again.list_arguments() == net.list_arguments()
    assert again.list_auxiliary_states() == net.list_auxiliary_states()
    assert again.tojson() == net.tojson()


def test_what_is_not_there_is_refused():
    with pytest.raises(
        ValueError, match=r"no network 'vgg'; there are inception-bn, inception-21k, inception-64px"
    ):
        network("vgg", 1000)
    with pytest.raises(ValueError, match="; a module is for PyTorch: -p engine torch in a chapter"):
        network("timm:resnet50", 1000)
    with pytest.raises(TypeError, match=r"name is that of a network, not None \(NoneType\)"):
        network(None, 1000)
    with pytest.raises(ValueError, match="two classes or more, not 1"):
        network("inception-bn", 1)
    with pytest.raises(TypeError, match=r"classes is a whole number, not 36\.0 \(float\)"):
        network("inception-bn", 36.0)


def test_numpys_numbers_are_taken():
    net = network("inception-64px", np.int32(36))
    assert net == network("inception-64px", 36)
    assert parameter_count(symbol(net), np.int64(64)) == 370_036


def test_a_size_that_a_network_cannot_take_is_refused(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(
        ValueError,
        match=r"the network takes no pictures of 140 pixels \(Error in operator 3c: Check",
    ):
        parameter_count(built("inception-bn", 7), 140)
    with pytest.raises(ValueError, match=r"batch and size are 1 or more, not \(1, 0\)"):
        parameter_count(built("inception-bn", 7), 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "function",
    [
        *(engines.layers, engines.convolutions, engines.parameter_shapes, engines.parameter_count),
        functools.partial(engines.require_size, size=64),
    ],
)
def test_a_name_is_no_network(function: Callable[..., object]):
    with pytest.raises(TypeError, match=r"network is an engines\.Network, .* not 'inception-bn'"):
        function("inception-bn")
