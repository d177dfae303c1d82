"""Training by each engine: what it learns, that stops change no bit, what it refuses."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from trainings import SMALL, WNIDS, bits

from imnetlib import engines
from imnetlib.engines import Checkpoint, DivergedError, Recipe

Engine = SimpleNamespace
TRAINED = "a network is an engines.Checkpoint or an engines.Published"


def run(
    engine: Engine, recipe: Recipe, shards: list[Path], folder: Path, **options: object
) -> Checkpoint:
    return engine.train.train(recipe, WNIDS, shards, shards, folder, **options)


@pytest.fixture(scope="module")
def trained(
    engine: Engine, shards: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, Path]:
    """The small recipe's network, and the folder of its checkpoints."""
    folder = tmp_path_factory.mktemp("trained")
    return run(engine, SMALL, shards, folder), folder


def test_it_learns_what_is_easy(engine: Engine, shards: list[Path], tmp_path: Path):
    done = run(engine, dataclasses.replace(SMALL, epochs=5), shards, tmp_path)
    assert done.finished
    assert done.history[-1].validation_top1 == 1.0
    assert done.history[-1].loss < done.history[0].loss


def zeros(recipe: Recipe) -> Checkpoint:
    begun = engines.untrained(recipe, WNIDS)
    return dataclasses.replace(
        begun, parameters={name: np.zeros_like(a) for name, a in begun.parameters.items()}
    )


def test_a_constant_network_is_right_of_nothing(engine: Engine, shards: list[Path], tmp_path: Path):
    """All classes tie: in training as in validation that is no hit."""
    still = dataclasses.replace(SMALL, epochs=1, learning_rate=1e-30)
    (epoch,) = run(engine, still, shards, tmp_path, start=zeros(still)).history
    assert (epoch.train_top1, epoch.validation_top1) == (0, 0)
    assert epoch.loss == pytest.approx(np.log(len(WNIDS)))


class Killed(BaseException):
    """The end of a process, as far as a test can have it without one."""


def stopping(engine: Engine, monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Have the training end after so many steps."""
    step = engine.train.Replicas.step
    count = itertools.count(1)

    def stopped(self: object, *arguments: object) -> object:
        if next(count) > steps:
            raise Killed
        return step(self, *arguments)

    monkeypatch.setattr(engine.train.Replicas, "step", stopped)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5])
def test_a_training_stopped_at_any_step_goes_on_to_the_same_bits(
    engine: Engine,
    shards: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    devices: int,
):
    """With a checkpoint after each step; 3 steps an epoch."""
    recipe = dataclasses.replace(SMALL, devices=devices)
    monkeypatch.setattr("imnetlib.engines.training._LOOK", 1)
    whole = run(engine, recipe, shards, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stopping(engine, patch, steps)
        with pytest.raises(Killed):
            run(engine, recipe, shards, tmp_path / "stopped", minutes=0)
    if steps:
        left = engines.load_checkpoint(tmp_path / "stopped", recipe.network)
        assert 3 * len(left.history) + left.steps == steps
    resumed = run(engine, recipe, shards, tmp_path / "stopped")
    assert bits(whole) == bits(resumed)
    assert [without_times(epoch) for epoch in whole.history] == [
        without_times(epoch) for epoch in resumed.history
    ]
    logs = [engines.read_log(tmp_path / name, recipe.network) for name in ("whole", "stopped")]
    assert [without_times(line) for line in logs[0]] == [without_times(line) for line in logs[1]]


def test_a_bar_has_every_step_that_a_checkpoint_has(
    engine: Engine,
    shards: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """Also where the stop comes as soon as the file is there."""

    def saved(*arguments: object) -> object:
        engines.save_checkpoint(*arguments)
        raise Killed

    monkeypatch.setattr("imnetlib.engines.training._LOOK", 2)
    monkeypatch.setattr("imnetlib.engines.checkpoint.save", saved)
    with pytest.raises(Killed):
        run(engine, SMALL, shards, tmp_path, minutes=0)
    assert engines.load_checkpoint(tmp_path, SMALL.network).steps == 2
    assert "| 2/" in capsys.readouterr().err


def without_times(result: object) -> dict[str, float]:
    values = result if isinstance(result, dict) else dataclasses.asdict(result)
    return {k: v for k, v in values.items() if k not in ("seconds", "images_per_s", "waiting")}


def test_the_log_has_a_line_a_step_and_an_epoch(trained: tuple[Checkpoint, Path]):
    done, folder = trained
    lines = engines.read_log(folder, SMALL.network)
    assert [(line["epoch"], line.get("step")) for line in lines] == [
        *((1, 1), (1, 2), (1, 3), (1, None)),
        *((2, 1), (2, 2), (2, 3), (2, None)),
    ]
    assert lines[3] == {"epoch": 1} | dataclasses.asdict(done.history[0])
    # The last batch of 16 has 10 images.
    mean = sum(line["loss"] * n for line, n in zip(lines, (16, 16, 10), strict=False)) / 42
    assert mean == pytest.approx(done.history[0].loss)
    assert lines[0]["rate"] == SMALL.learning_rate
    assert all(0 <= line["waiting"] <= 1 and line["images_per_s"] > 0 for line in lines[:3])


def test_a_finished_training_is_left_alone(
    engine: Engine, shards: list[Path], trained: tuple[Checkpoint, Path]
):
    first, folder = trained
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    second = run(engine, SMALL, shards, folder)
    assert bits(first) == bits(second)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    names = {path.name for path in before} - {"inception-64px-symbol.json"}
    assert sorted(names) == [
        *(f"inception-64px-0001.{kind}" for kind in ("json", "params", "state")),
        *(f"inception-64px-0002.{kind}" for kind in ("json", "params", "state")),
        "inception-64px.log",
    ]


def test_more_epochs_go_on_by_the_longer_plan(
    engine: Engine, shards: list[Path], trained: tuple[Checkpoint, Path], tmp_path: Path
):
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    longer = dataclasses.replace(SMALL, epochs=4)
    done = run(engine, longer, shards, tmp_path)
    assert [*map(without_times, done.history[:2])] == [*map(without_times, trained[0].history)]
    rates = [line["rate"] for line in engines.read_log(tmp_path, SMALL.network) if "rate" in line]
    assert rates[6:] == [longer.rate(step / 12) for step in range(6, 12)]
    with pytest.raises(ValueError, match="was trained with epochs=4, not 3: remove it"):
        run(engine, dataclasses.replace(SMALL, epochs=3), shards, tmp_path)


def test_a_network_is_fine_tuned_to_other_classes(
    engine: Engine, shards: list[Path], trained: tuple[Checkpoint, Path], tmp_path: Path
):
    others = ("n00000004", "n00000005", "n00000006", "n00000007")
    recipe = dataclasses.replace(SMALL, epochs=1, learning_rate=1e-30)
    start = engine.train.fine_tuned(trained[0], engine.train.untrained(recipe, others))
    done = engine.train.train(recipe, others, shards, shards, tmp_path, start=start)
    for name, array in trained[0].parameters.items():
        if name.startswith("arg:fc1"):
            assert done.parameters[name].shape[0] == 4
        elif name.startswith("arg:"):
            assert np.array_equal(done.parameters[name], array), name
    with pytest.raises(ValueError, match="the network to start from has 4 classes, not 3"):
        run(engine, recipe, shards, tmp_path / "new", start=start)


def test_only_the_last_layer_gives_way_to_other_classes(engine: Engine):
    """Also where the last convolution has as many filters as there were classes."""
    wnids = [f"n{i:08}" for i in range(32)]
    trained = engine.train.untrained(SMALL, wnids)
    begun = engine.train.untrained(dataclasses.replace(SMALL, seed=1), WNIDS)
    found = engine.train.fine_tuned(trained, begun)
    new = {n for n, a in found.parameters.items() if a is not trained.parameters[n]}
    assert new == {"arg:fc1_weight", "arg:fc1_bias"}
    with_history = dataclasses.replace(begun, steps=1)
    with pytest.raises(ValueError, match="begun has had no step"):
        engine.train.fine_tuned(trained, with_history)


@pytest.mark.parametrize(
    "damage",
    [b"\0" * 50 + b"\n", b"[1]\n\n", b"{}\n", b"\xff\n", b'{"epoch": null, "step": "x"}\n'],
)
def test_a_damaged_log_stops_nothing(
    engine: Engine,
    shards: list[Path],
    trained: tuple[Checkpoint, Path],
    tmp_path: Path,
    damage: bytes,
):
    shutil.copytree(trained[1], tmp_path, dirs_exist_ok=True)
    log = tmp_path / "inception-64px.log"
    log.write_bytes(damage + log.read_bytes())
    assert len(engines.read_log(tmp_path, SMALL.network)) == 8
    longer = dataclasses.replace(SMALL, epochs=3)
    assert run(engine, longer, shards, tmp_path).finished
    assert len(engines.read_log(tmp_path, SMALL.network)) == 12


@pytest.mark.parametrize("kept", [True, False])
def test_labels_that_are_no_classes_are_refused_before_the_first_step(
    engine: Engine, shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
):
    """Where classes are kept beside the shards, and where the records alone can tell."""
    monkeypatch.setattr(engine.train.Replicas, "step", None)
    for path in shards[0].parent.iterdir():
        if kept or path.name != "synset.txt":
            shutil.copy(path, tmp_path)
    copies = sorted(tmp_path.glob("*.rec"))
    message = r"synset\.txt has 3 classes, not 2" if kept else r"label is 2; classes are 0 to 1$"
    with pytest.raises(ValueError, match=message):
        engine.train.train(SMALL, WNIDS[:2], copies, copies, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_size_that_the_network_cant_take_is_refused_with_others_that_it_can(
    engine: Engine, shards: list[Path], tmp_path: Path
):
    for network, size, near in (
        ("inception-bn", 240, "224 or 256"),
        ("inception-21k", 16, "64 or 96"),
        ("inception-64px", 72, "64 or 80"),
    ):
        recipe = dataclasses.replace(SMALL, network=network, size=size)
        with pytest.raises(
            ValueError, match=f"{network} takes no pictures of {size} pixels; it takes {near}, for"
        ):
            run(engine, recipe, shards, tmp_path)


def test_no_second_training_of_a_network_is_at_work_in_its_folder(
    engine: Engine, shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The first one goes on without harm, and another network may be trained there."""
    step = engine.train.Replicas.step
    begun = []

    def with_a_second(self: object, *arguments: object) -> object:
        if not begun:
            begun.append(True)
            with pytest.raises(OSError, match=r"another process is at work in .*64px\.log: wait"):
                run(engine, dataclasses.replace(SMALL, seed=1), shards, tmp_path)
            run(engine, dataclasses.replace(SMALL, network="inception-bn"), shards, tmp_path)
        return step(self, *arguments)

    monkeypatch.setattr(engine.train.Replicas, "step", with_a_second)
    assert run(engine, SMALL, shards, tmp_path).finished
    assert len(engines.read_log(tmp_path, SMALL.network)) == 8


def test_a_network_trained_otherwise_is_not_gone_on_with(
    engine: Engine, shards: list[Path], trained: tuple[Checkpoint, Path]
):
    _, folder = trained
    with pytest.raises(
        ValueError, match=r"was trained with seed=0, not 1: remove it, or train in another"
    ):
        run(engine, dataclasses.replace(SMALL, seed=1), shards, folder)
    other = (WNIDS[1], WNIDS[0], WNIDS[2])
    with pytest.raises(ValueError, match=r"64px.*: class 0 is n00000001 there, n00000002 here"):
        engine.train.train(SMALL, other, shards, shards, folder)
    with pytest.raises(ValueError, match=r"64px.* was trained from other shards: remove it, or"):
        run(engine, SMALL, shards[:1], folder)
    with pytest.raises(ValueError, match=r"64px.* was trained from other shards: remove it, or"):
        run(engine, dataclasses.replace(SMALL, epochs=3), shards[:1], folder)


def test_a_training_that_diverges_says_so(engine: Engine, shards: list[Path], tmp_path: Path):
    wild = dataclasses.replace(SMALL, learning_rate=1e30)
    with pytest.raises(
        DivergedError, match=r"diverged in epoch 1, at a learning rate of .*: lower"
    ):
        run(engine, wild, shards, tmp_path)
    assert not list(tmp_path.glob("*.params"))


def test_predictions_leave_the_padding_out(
    engine: Engine, shards: list[Path], trained: tuple[Checkpoint, Path]
):
    batches = list(engine.checkpoint.predict(trained[0], shards))
    assert [len(ids) for _, _, ids in batches] == [8, 8, 8, 8, 8, 2]
    assert sorted(np.concatenate([ids for _, _, ids in batches]).tolist()) == list(range(42))
    assert np.allclose([p.sum() for rows, _, _ in batches for p in rows], 1)


def test_the_accuracy_on_the_way_is_that_of_the_saved_network(
    engine: Engine, shards: list[Path], trained: tuple[Checkpoint, Path]
):
    """MXNet goes on with the BatchNorm of the first epoch unless the network is bound again."""
    done, _ = trained
    hits = [
        labels == probabilities.argmax(axis=1)
        for probabilities, labels, _ in engine.checkpoint.predict(done, shards)
    ]
    assert float(np.concatenate(hits).mean()) == done.history[-1].validation_top1


def test_weights_of_another_network_are_refused(engine: Engine, shards: list[Path]):
    start = begun()
    other = dataclasses.replace(start, wnids=WNIDS[:2])
    without = {name: a for name, a in start.parameters.items() if name != "arg:fc1_bias"}
    lacking = dataclasses.replace(start, parameters=without)
    for use in (engine.train.Replicas, lambda it: list(engine.checkpoint.predict(it, shards))):
        with pytest.raises(
            ValueError, match=r"fc1_weight is of shape \(3, 272\); the network has \(2, 272\)"
        ):
            use(other)
        with pytest.raises(ValueError, match=r"fc1_bias is missing; the network has \(3,\)"):
            use(lacking)


def test_one_string_for_several_is_refused(engine: Engine, shards: list[Path], tmp_path: Path):
    with pytest.raises(TypeError, match="wnids are several, in a list or a tuple, not 'n00000001'"):
        engine.train.untrained(SMALL, "n00000001")
    for sets in ((str(shards[0]), shards), (shards, shards[0])):
        with pytest.raises(TypeError, match=r"(train|validation)_shards are several"):
            engine.train.train(SMALL, WNIDS, *sets, tmp_path)


def test_what_can_be_read_once_will_do(engine: Engine, shards: list[Path], tmp_path: Path):
    """Classes and shards are read several times, a glob's shards once."""
    of_folder = [sorted(shards[0].parent.glob("*.rec")) for _ in range(2)]
    short = dataclasses.replace(SMALL, epochs=1)
    done = engine.train.train(short, iter(WNIDS), *map(iter, of_folder), tmp_path)
    assert bits(done) == bits(run(engine, short, shards, tmp_path / "lists"))
    assert engine.train.untrained(short, iter(WNIDS)).wnids == WNIDS


def test_what_has_no_order_is_refused(engine: Engine, shards: list[Path], tmp_path: Path):
    """The place of a class is its label."""
    with pytest.raises(TypeError, match=r"wnids have an order: give a list or a tuple, not {"):
        engine.train.train(SMALL, set(WNIDS), shards, shards, tmp_path)
    with pytest.raises(TypeError, match=r"train_shards have an order: give a list or a tuple"):
        engine.train.train(SMALL, WNIDS, set(shards), shards, tmp_path)


def test_a_seed_may_be_any_number(engine: Engine, shards: list[Path], tmp_path: Path):
    large = dataclasses.replace(SMALL, epochs=1, seed=2**70 + 1)
    assert run(engine, large, shards, tmp_path).finished


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("decay_all", [False, True])
def test_steps_are_those_of_the_formula(
    engine: Engine, shards: list[Path], smoothing: float, accumulate: int, decay_all: bool
):
    """On the last layer alone, whose inputs stay the same: momentum, decay and smoothing."""
    recipe = dataclasses.replace(
        SMALL,
        devices=1,
        accumulate=accumulate,
        weight_decay=0.1,
        decay_all=decay_all,
        label_smoothing=smoothing,
    )
    start = engine.train.untrained(recipe, WNIDS)
    # Nothing reaches the last layer, so its gradient is that of the bias alone.
    dead = {name: np.zeros_like(a) for name, a in start.parameters.items() if "bn_" not in name}
    start = dataclasses.replace(start, parameters={**start.parameters, **dead})
    replicas = engine.train.Replicas(start, only_device(engine))
    with replicas.feed(shards, training=True, threads=1) as batches:
        first_two = [(batch, batch.labels.copy()) for batch in batches][:2]
        bias = np.zeros(3)
        speed = np.zeros(3)
        for batch, labels in first_two:
            replicas.step(batch, 0.05)
            truth = np.eye(3)[labels.astype(int)] * (1 - smoothing) + smoothing / 3
            raised = np.exp(bias)
            gradient = (raised / raised.sum() - truth).mean(axis=0)
            speed = 0.9 * speed - 0.05 * (gradient + 0.1 * decay_all * bias)
            bias = bias + speed
    assert replicas.parameters()["arg:fc1_bias"] == pytest.approx(bias, abs=1e-6)


def only_device(engine: Engine) -> object:
    (device,) = engine.checkpoint.devices(1)
    return [device] if engine.name == "mxnet" else device


@pytest.mark.slow
def test_kills_at_random_moments_change_no_bit(engine: Engine, shards: list[Path], tmp_path: Path):
    recipe = dataclasses.replace(SMALL, epochs=12)
    code = (
        f"import sys; from pathlib import Path; from imnetlib.engines.{engine.name} import train\n"
        "from imnetlib.engines import Recipe, training\n"
        "training._LOOK = 1\n"
        f"shards = sorted(Path(sys.argv[1]).glob('*.rec')); recipe = {recipe!r}\n"
        f"train.train(recipe, {WNIDS!r}, shards, shards, Path(sys.argv[2]), minutes=0)\n"
    )

    def command(out: str, source: str = code) -> list[str]:
        return [sys.executable, "-c", source, str(shards[0].parent), str(tmp_path / out)]

    def seconds(out: str, source: str = code) -> float:
        began = time.perf_counter()
        subprocess.run(command(out, source), stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    starting = seconds("nothing", f"from imnetlib.engines.{engine.name} import train")
    training = seconds("whole") - starting
    random = np.random.default_rng(3)
    endings = []
    # As shares of the training: three kills leave some of it to do.
    for share in random.uniform(0, 0.3, 3).tolist():
        process = subprocess.Popen(command("killed"), stderr=subprocess.DEVNULL)
        # On a machine that has become less busy it may end before.
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=starting + share * training)
        process.kill()
        endings.append(process.wait())
    assert -signal.SIGKILL in endings
    seconds("killed")
    name = "inception-64px-0012.params"
    assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    names = sorted(path.name for path in (tmp_path / "killed").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "whole").iterdir())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda engine, _: engine.train.untrained("cosine", WNIDS), "recipe is an engines.Recipe"),
        (lambda engine, _: engine.train.fine_tuned("a", begun()), "trained is an engines.Checkp"),
        (lambda engine, _: engine.train.fine_tuned(begun(), SMALL), "begun is an engines.Checkp"),
        (lambda engine, _: engine.train.Replicas(SMALL), "start is an engines.Checkpoint"),
        (lambda engine, _: engine.checkpoint.devices("2"), "count is a whole number, not '2'"),
        (lambda engine, _: engine.checkpoint.devices(1.0), "count is a whole number, not 1.0"),
        (lambda engine, _: engine.checkpoint.image_predictor("checkpoints"), TRAINED),
        (lambda engine, shards: next(engine.checkpoint.predict(SMALL, shards)), TRAINED),
        *(
            (
                lambda engine, shards, more=more: run(engine, SMALL, shards, "nowhere", **more),
                message,
            )
            for more, message in (
                ({"minutes": "1"}, "minutes is a number, not '1' (str)"),
                ({"start": "checkpoints"}, "start is an engines.Checkpoint, not 'checkpoints'"),
            )
        ),
        (
            lambda engine, shards: run(engine, None, shards, "nowhere"),
            "recipe is an engines.Recipe",
        ),
    ],
)
def test_another_type_is_named_with_the_right_one(
    engine: Engine, shards: list[Path], call: Callable[..., object], message: str
):
    with pytest.raises(TypeError, match=re.escape(message)):
        call(engine, shards)


def begun() -> engines.Checkpoint:
    return engines.untrained(SMALL, WNIDS)


def test_no_device_is_not_asked_for(engine: Engine):
    with pytest.raises(ValueError, match="count is 1 or more, not 0"):
        engine.checkpoint.devices(0)
