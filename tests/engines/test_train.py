"""Training: what it learns, that stops and repeats change no bit, what it refuses to go on with."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imnetlib import image, pack
from imnetlib.engines import Recipe
from imnetlib.engines.mxnet import checkpoint, mx, train
from imnetlib.loader import Batch, Loader

WNIDS = ("n00000001", "n00000002", "n00000003")
COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
SMALL = Recipe(batch_size=16, epochs=2, size=64, learning_rate=0.02)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """42 noisy pictures of three colours, a class each, in two shards; no multiple of the batch."""
    folder = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(5)
    for wnid, color in zip(WNIDS, COLORS, strict=True):
        (folder / "images" / wnid).mkdir(parents=True)
        for number in range(14):
            noise = random.integers(-30, 31, (72, 80, 3))
            pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
            (folder / "images" / wnid / f"{wnid}_{number}.JPEG").write_bytes(
                image.encode(pixels, ".jpg", 90)
            )
    images = pack.shuffle(pack.list_folder(folder / "images"), 1)
    pack.pack(images, pack.Folder(folder / "images"), folder / "records", "train", shards=2)
    return sorted((folder / "records").glob("*.rec"))


def run(recipe: Recipe, shards: list[Path], folder: Path) -> checkpoint.Checkpoint:
    return train.train(recipe, WNIDS, shards, shards, folder)


@pytest.fixture(scope="module")
def trained(
    shards: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[checkpoint.Checkpoint, Path]:
    """The small recipe's network, and the folder of its checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    return run(SMALL, shards, folder), folder


def weights(network: checkpoint.Checkpoint) -> dict[str, bytes]:
    return {name: array.asnumpy().tobytes() for name, array in network.parameters.items()}


def test_it_learns_what_is_easy(shards: list[Path], tmp_path: Path):
    done = run(dataclasses.replace(SMALL, epochs=5), shards, tmp_path)
    assert done.finished
    assert done.history[-1].validation_top1 == 1.0
    assert done.history[-1].loss < done.history[0].loss


def test_a_constant_network_is_right_of_nothing(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """All classes tie: in training as in validation that is no hit."""

    def zeros(name: str, shape: tuple[int, ...], random: np.random.Generator) -> mx.nd.NDArray:
        return mx.nd.zeros(shape)

    monkeypatch.setattr(train, "_initial_values", zeros)
    still = dataclasses.replace(SMALL, epochs=1, learning_rate=1e-30)
    (epoch,) = run(still, shards, tmp_path).history
    assert (epoch.train_top1, epoch.validation_top1) == (0, 0)
    assert epoch.loss == pytest.approx(np.log(len(WNIDS)))


def test_a_second_run_and_a_resumed_one_give_the_same_bits(
    shards: list[Path],
    trained: tuple[checkpoint.Checkpoint, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    whole, _ = trained
    again = run(SMALL, shards, tmp_path / "again")
    train_epoch = train._train_epoch

    def stopped(replicas, batches, epoch, advance):
        if epoch == 1:
            raise KeyboardInterrupt
        return train_epoch(replicas, batches, epoch, advance)

    with monkeypatch.context() as patch:
        patch.setattr(train, "_train_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(SMALL, shards, tmp_path / "stopped")
    assert len(checkpoint.load(tmp_path / "stopped", SMALL.network).history) == 1
    resumed = run(SMALL, shards, tmp_path / "stopped")
    assert weights(whole) == weights(again) == weights(resumed)
    losses = [[epoch.loss for epoch in done.history] for done in (whole, again, resumed)]
    assert losses[0] == losses[1] == losses[2]


def test_a_finished_training_is_left_alone(
    shards: list[Path], trained: tuple[checkpoint.Checkpoint, Path]
):
    first, folder = trained
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    second = run(SMALL, shards, folder)
    assert weights(first) == weights(second)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert sorted(path.name for path in before) == [
        "inception-64px-0002.momentum",
        "inception-64px-0002.params",
        "inception-64px-symbol.json",
        "inception-64px.json",
    ]


def test_all_devices_hold_the_same_weights_after_a_step(shards: list[Path]):
    replicas = train.Replicas(train.untrained(SMALL, WNIDS), [mx.cpu(0), mx.cpu(1)])
    with Loader(shards, SMALL.batch_size, SMALL.transform(training=True)) as batches:
        for batch in batches:
            probabilities = replicas.step(batch, 0.05)
    assert [array.shape for array in probabilities] == [(2, 8), (2, 8)]
    first, second = (
        {n: e.arg_dict[n].asnumpy() for n in replicas.names} for e in replicas.executors
    )
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(
        first["fc1_weight"], train.untrained(SMALL, WNIDS).parameters["arg:fc1_weight"]
    )


def test_mxnet_alone_reads_a_checkpoint_and_predicts_the_same(
    shards: list[Path], trained: tuple[checkpoint.Checkpoint, Path]
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


def test_labels_that_are_no_classes_are_refused_before_they_teach_anything(
    shards: list[Path], tmp_path: Path
):
    with pytest.raises(ValueError, match=r"its label is 2; classes are 0 to 1$"):
        train.train(SMALL, WNIDS[:2], shards, shards, str(tmp_path))


def test_predictions_leave_the_padding_out(
    shards: list[Path], trained: tuple[checkpoint.Checkpoint, Path]
):
    batches = [ids for _, _, ids in checkpoint.predict(trained[0], shards)]
    assert [len(ids) for ids in batches] == [8, 8, 8, 8, 8, 2]
    assert sorted(np.concatenate(batches).tolist()) == list(range(42))


def test_a_network_trained_otherwise_is_not_gone_on_with(
    shards: list[Path], trained: tuple[checkpoint.Checkpoint, Path]
):
    _, folder = trained
    with pytest.raises(
        ValueError, match=r"was trained with seed=0, not 1: remove it, or train in another"
    ):
        run(dataclasses.replace(SMALL, seed=1), shards, folder)
    other = (WNIDS[1], WNIDS[0], WNIDS[2])
    with pytest.raises(
        ValueError, match=r"inception-64px\.json: class 0 is n00000001 there, n00000002 here"
    ):
        train.train(SMALL, other, shards, shards, folder)


def test_other_shards_are_neither_gone_on_with_nor_taken_for_these(
    shards: list[Path], trained: tuple[checkpoint.Checkpoint, Path]
):
    with pytest.raises(
        ValueError, match=r"64px\.json was trained from other shards: remove it, or"
    ):
        run(SMALL, shards[:1], trained[1])


def test_two_devices_make_one_step_with_the_sum_of_their_gradients(shards: list[Path]):
    """Against each part's own gradients and two steps in NumPy, which show the momentum."""
    # Large enough to make a difference.
    recipe = dataclasses.replace(SMALL, weight_decay=0.1)
    start = train.untrained(recipe, WNIDS)
    replicas = train.Replicas(start, [mx.cpu(0), mx.cpu(1)])
    with Loader(shards, SMALL.batch_size, SMALL.transform(training=True)) as batches:
        first_two = list(batches)[:2]
    weights = {name: start.parameters[f"arg:{name}"].asnumpy() for name in replicas.names}
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
            moved = np.linalg.norm(weight - start.parameters[f"arg:{name}"].asnumpy())
            apart = np.linalg.norm(weight - executor.arg_dict[name].asnumpy())
            assert apart <= 0.01 * moved + 1e-5 * weight.size**0.5, name


def gradients(start: checkpoint.Checkpoint, weights: dict, batch: Batch, rows: slice) -> dict:
    """The sum of the gradients over the images in ``rows``, from a network of its own."""
    bound = start.symbol.simple_bind(mx.cpu(), data=batch.images[rows].shape)
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
    assert np.array_equal(replicas.parameters()[f"aux:{name}"].asnumpy(), np.mean(apart, axis=0))
    assert np.array_equal(*(executor.aux_dict[name].asnumpy() for executor in replicas.executors))


def test_a_training_that_diverges_says_so(shards: list[Path], tmp_path: Path):
    wild = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(
        train.DivergedError, match=r"diverged in epoch 1, at a learning rate of .*: lower"
    ):
        run(wild, shards, tmp_path)
    assert not list(tmp_path.iterdir())


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


def test_damage_is_named(trained: tuple[checkpoint.Checkpoint, Path], tmp_path: Path):
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    path = tmp_path / "inception-64px-0002.params"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"0002\.params is not as it was written\): remove it and train again"
    ):
        checkpoint.load(tmp_path, SMALL.network)
    (tmp_path / "inception-64px.json").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"inception-64px\.json is missing: chapter 7 trains"
    ):
        checkpoint.load(tmp_path, SMALL.network)


def test_one_string_for_several_is_refused(shards: list[Path], tmp_path: Path):
    with pytest.raises(TypeError, match="wnids are several, in a list or a tuple, not 'n00000001'"):
        train.untrained(SMALL, "n00000001")
    for sets in ((str(shards[0]), shards), (shards, shards[0])):
        with pytest.raises(TypeError, match=r"(train|validation)_shards are several"):
            train.train(SMALL, WNIDS, *sets, tmp_path)


def test_the_accuracy_on_the_way_is_that_of_the_saved_network(
    shards: list[Path], trained: tuple[checkpoint.Checkpoint, Path]
):
    """MXNet goes on with the BatchNorm of the first epoch unless the network is bound again."""
    done, _ = trained
    hits = [
        labels == probabilities.argmax(axis=1)
        for probabilities, labels, _ in checkpoint.predict(done, shards)
    ]
    assert float(np.concatenate(hits).mean()) == done.history[-1].validation_top1


@pytest.mark.slow
def test_kills_at_random_moments_change_no_bit(shards: list[Path], tmp_path: Path):
    recipe = dataclasses.replace(SMALL, epochs=12)
    code = (
        "import sys; from pathlib import Path; from imnetlib.engines.mxnet import train\n"
        "from imnetlib.engines import Recipe\n"
        f"shards = sorted(Path(sys.argv[1]).glob('*.rec')); recipe = {recipe!r}\n"
        f"train.train(recipe, {WNIDS!r}, shards, shards, Path(sys.argv[2]))\n"
    )

    def command(out: str, source: str = code) -> list[str]:
        return [sys.executable, "-c", source, str(shards[0].parent), str(tmp_path / out)]

    def seconds(out: str, source: str = code) -> float:
        began = time.perf_counter()
        subprocess.run(command(out, source), stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    starting = seconds("nothing", "from imnetlib.engines.mxnet import train")
    training = seconds("whole") - starting
    random = np.random.default_rng(3)
    # As shares of the training: three kills leave some of it to do.
    for share in random.uniform(0, 0.3, 3).tolist():
        process = subprocess.Popen(command("killed"), stderr=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=starting + share * training)
        process.kill()
        process.wait()
    seconds("killed")
    name = "inception-64px-0012.params"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    names = sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "whole").iterdir())
