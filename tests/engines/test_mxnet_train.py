"""What is MXNet's own in a training: its devices, its files, its sums."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from trainings import SMALL, WNIDS

from imnetlib.engines import Checkpoint
from imnetlib.engines.mxnet import checkpoint, mx, train
from imnetlib.engines.mxnet.network import symbol_of
from imnetlib.loader import Batch, Loader


@pytest.fixture(scope="module")
def trained(
    shards: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, Path]:
    """The small recipe's network, and the folder of its checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    return train.train(SMALL, WNIDS, shards, shards, folder), folder


def test_all_devices_hold_the_same_weights_after_a_step(shards: list[Path]):
    replicas = train.Replicas(train.untrained(SMALL, WNIDS), [mx.cpu(0), mx.cpu(1)])
    with Loader(shards, SMALL.batch_size, SMALL.transform(training=True)) as batches:
        for batch in batches:
            replicas.step(batch, 0.05)
    first, second = (
        {n: e.arg_dict[n].asnumpy() for n in replicas.names} for e in replicas.executors
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(
        first["fc1_weight"], train.untrained(SMALL, WNIDS).parameters["arg:fc1_weight"]
    )


def test_mxnet_alone_reads_a_checkpoint_and_predicts_the_same(
    shards: list[Path], trained: tuple[Checkpoint, Path]
):
    done, folder = trained
    net, arguments, statistics = mx.model.load_checkpoint(str(folder / SMALL.network), 2)
    module = mx.mod.Module(net)
    module.bind([("data", (8, 3, 64, 64))], [("softmax_label", (8,))], for_training=False)
    module.set_params(arguments, statistics)
    with Loader(
        shards, SMALL.images_per_device, SMALL.transform(training=False), shuffle=False
    ) as batches:
        batch = next(iter(batches))
        module.forward(mx.io.DataBatch([mx.nd.array(batch.images)]), is_train=False)
        expected = module.get_outputs()[0].asnumpy()
    ours, labels, ids = next(checkpoint.predict(done, shards))
    assert np.allclose(ours, expected, atol=1e-6)
    assert labels.tolist() == batch.labels.tolist()
    assert ids.tolist() == batch.ids.tolist()


def test_two_devices_make_one_step_with_the_sum_of_their_gradients(shards: list[Path]):
    """Against each part's own gradients and two steps in NumPy, which show the momentum."""
    # Large enough to make a difference.
    recipe = dataclasses.replace(SMALL, weight_decay=0.1)
    start = train.untrained(recipe, WNIDS)
    replicas = train.Replicas(start, [mx.cpu(0), mx.cpu(1)])
    with Loader(shards, SMALL.batch_size, SMALL.transform(training=True)) as batches:
        first_two = list(batches)[:2]
    weights = {name: start.parameters[f"arg:{name}"] for name in replicas.names}
    speed = {name: np.zeros_like(weight) for name, weight in weights.items()}
    for batch in first_two:
        alone = [
            gradients(start, weights, batch, slice(0, 8)),
            gradients(start, weights, batch, slice(8, 16)),
        ]
        replicas.step(batch, 0.05)
        for name, weight in weights.items():
            decay = recipe.weight_decay if name.endswith("weight") else 0.0
            mean = (alone[0][name] + alone[1][name]) / 16
            speed[name] = recipe.momentum * speed[name] - 0.05 * (mean + decay * weight)
            weights[name] = weight + speed[name]
    for executor in replicas.executors:
        for name, weight in weights.items():
            moved = np.linalg.norm(weight - start.parameters[f"arg:{name}"])
            apart = np.linalg.norm(weight - executor.arg_dict[name].asnumpy())
            assert apart <= 0.01 * moved + 1e-5 * weight.size**0.5, name


def gradients(start: Checkpoint, weights: dict, batch: Batch, rows: slice) -> dict:
    """The sum of the gradients over the images in ``rows``, from a network of its own."""
    bound = symbol_of(start).simple_bind(mx.cpu(), data=batch.images[rows].shape)
    checkpoint.set_parameters(bound, start.parameters)
    for name, weight in weights.items():
        bound.arg_dict[name][:] = weight
    bound.arg_dict["data"][:] = batch.images[rows]
    bound.arg_dict["softmax_label"][:] = batch.labels[rows]
    bound.forward(is_train=True)
    bound.backward()
    return {name: bound.grad_dict[name].asnumpy() for name in weights}


def test_the_statistics_are_the_mean_over_the_devices(shards: list[Path]):
    replicas = train.Replicas(train.untrained(SMALL, WNIDS), [mx.cpu(0), mx.cpu(1)])
    with Loader(shards, SMALL.batch_size, SMALL.transform(training=True)) as batches:
        replicas.step(next(iter(batches)), 0.05)
    mx.nd.waitall()
    name = "conv1_bn_moving_mean"
    apart = [executor.aux_dict[name].asnumpy() for executor in replicas.executors]
    assert not np.allclose(*apart, atol=1e-6)
    assert np.array_equal(replicas.parameters()[f"aux:{name}"], np.mean(apart, axis=0))
    assert np.array_equal(replicas.state()[f"statistics:{name}"], apart)


@pytest.mark.parametrize(
    ("gpus", "found"), [(0, ["cpu", "cpu"]), (2, ["gpu", "gpu"]), (4, ["gpu", "gpu"])]
)
def test_devices_are_all_of_one_kind(monkeypatch: pytest.MonkeyPatch, gpus: int, found: list[str]):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: gpus)
    assert [device.device_type for device in checkpoint.devices(2)] == found


def test_too_few_gpus_are_not_filled_up_with_cpus(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 2)
    with pytest.raises(ValueError, match="there are 2 GPUs, not 4: set devices to 2"):
        checkpoint.devices(4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"precision": "bfloat16"}, "MXNet trains in float32, not 'bfloat16'"),
        ({"sync_batch_norm": True}, "MXNet's BatchNorm sees one device"),
    ],
)
def test_what_only_pytorch_does_is_refused(
    shards: list[Path], tmp_path: Path, setting: dict, message: str
):
    with pytest.raises(ValueError, match=message):
        train.train(dataclasses.replace(SMALL, **setting), WNIDS, shards, shards, tmp_path)
