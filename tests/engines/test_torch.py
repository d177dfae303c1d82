"""What is PyTorch's own in a training: any module, recomputation, processes, what feeds it."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import bench_gpu
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from trainings import SMALL, WNIDS, bits

from imnetlib import engines
from imnetlib.engines.torch import checkpoint, feed, memory, network, train
from imnetlib.image import Transform
from imnetlib.loader import Loader

WAITS = "import os, imnetlib.engines.torch; print(*map(os.environ.get, {names}))"


@pytest.mark.parametrize(
    ("own", "waits"),
    [
        ({}, "passive 10000"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
        ({"GOMP_SPINCOUNT": "5"}, "passive 5"),
    ],
)
def test_threads_sleep_soon_where_a_reader_says_nothing_else(own: dict[str, str], waits: str):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {key: value for key, value in os.environ.items() if key not in names} | own
    command = [sys.executable, "-c", WAITS.format(names=names)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == waits


def test_recomputing_blocks_changes_no_step_and_no_statistic():
    table = engines.network("inception-64px", 3)
    start = engines.untrained(dataclasses.replace(SMALL, devices=1), WNIDS)
    found = []
    for recompute in (False, True):
        net = network.Inception(table, recompute=recompute)
        network.set_arrays(net, start.parameters)
        net.train()
        images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        nn.functional.cross_entropy(net(images), torch.tensor([0, 1, 2, 0])).backward()
        gradients = {name: weight.grad for name, weight in net.named_parameters()}
        found.append((gradients, network.named_statistics(net)))
    for plain, again in zip(*found, strict=True):
        for name, value in plain.items():
            assert (value is None and again[name] is None) or torch.equal(value, again[name]), name


def test_recomputing_keeps_less():
    table = engines.network("inception-21k", 1000)
    with torch.device("meta"):
        plain, again = (network.Inception(table, recompute=r).train() for r in (False, True))
    kept = [memory.kept_bytes(net, 8, 224) for net in (plain, again)]
    assert kept[1] < kept[0] / 3
    half = memory.kept_bytes(plain.bfloat16(), 8, 224)
    assert 0.4 < half / kept[0] < 0.7


@pytest.mark.parametrize(
    ("batch", "size", "error", "message"),
    [
        (0, 64, ValueError, r"batch and size are 1 or more, not \(0, 64\)"),
        (-1, 64, ValueError, r"batch and size are 1 or more, not \(-1, 64\)"),
        (4, 0, ValueError, r"batch and size are 1 or more, not \(4, 0\)"),
        (4.0, 64, TypeError, r"batch is a whole number, not 4\.0 \(float\)"),
        (4, "64", TypeError, "size is a whole number, not '64'"),
    ],
)
def test_nothing_is_kept_of_no_pictures(
    batch: object, size: object, error: type[Exception], message: str
):
    with torch.device("meta"):
        net = network.Inception(engines.network("inception-64px", 3))
    with pytest.raises(error, match=message):
        memory.kept_bytes(net, batch, size)
    with pytest.raises(TypeError, match=r"net is a torch\.nn\.Module, not 'inception-64px'"):
        memory.kept_bytes("inception-64px", 4, 64)


def test_what_is_kept_is_what_a_step_really_keeps():
    """Against the tensors of a pass that computes, each piece of memory once."""
    table = engines.network("inception-64px", 36)
    net = network.Inception(table).train()
    kept = {}
    weights = {weight.data_ptr() for weight in net.parameters()}

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        nn.functional.cross_entropy(net(torch.zeros(4, 3, 64, 64)), torch.zeros(4).long())
    real = sum(storage.nbytes() for storage in kept.values())
    with torch.device("meta"):
        planned = memory.kept_bytes(network.Inception(table).train(), 4, 64)
    assert planned == pytest.approx(real, rel=0.05)


def small_net(num_classes: int) -> nn.Module:
    """Any module: convolution, BatchNorm, dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(8, num_classes),
    )  # fmt: skip


class Giving(nn.Module):
    """A module that gives what ``how`` says."""

    def __init__(self, num_classes: int, how: str) -> None:
        super().__init__()
        self.net = small_net(num_classes)
        self.how = how

    def forward(self, x: torch.Tensor) -> object:
        made = self.net(x)
        if self.how == "tuple" or (self.how == "in training" and self.training):
            return made, made
        return {"logits": made} if self.how == "dict" else made


class Fixed(nn.Module):
    """A module for pictures of 96 pixels, which says no as timm's transformers do."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(3, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[-1] == 96, f"Input height ({x.shape[-1]}) doesn't match model (96)"
        return self.fc(x.mean((2, 3)))


class HeadFirst(nn.Module):
    """A module whose last layer is not the last of its parameters."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(8, num_classes)
        self.stem = nn.Conv2d(3, 8, 5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.stem(x).mean((2, 3)))


class Counting(nn.Module):
    """A module with a count among its buffers, and with one BatchNorm used twice."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, 4)
        self.norm = nn.BatchNorm2d(8, momentum=None)
        self.again = self.norm
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.again(self.norm(self.stem(x))).mean((2, 3)))


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> str:
    module = type(sys)("my_networks")
    module.small = small_net
    module.head_first = HeadFirst
    module.counting = Counting
    module.wrong = lambda num_classes: nn.Conv2d(3, num_classes, 3)
    module.number = lambda num_classes: 3
    module.constant = 3
    for how in ("tuple", "dict", "in training"):
        setattr(module, how, functools.partial(Giving, how=how))
    module.frozen = lambda num_classes: small_net(num_classes).requires_grad_(False)
    module.bare = lambda num_classes: nn.Flatten()
    module.double = lambda num_classes: small_net(num_classes).double()
    module.fixed = Fixed
    monkeypatch.setitem(sys.modules, "my_networks", module)
    return "my_networks:small"


def test_any_module_trains_and_stops_and_goes_on_to_the_same_bits(
    shards: list[Path], tmp_path: Path, own_module: str, monkeypatch: pytest.MonkeyPatch
):
    """Its dropout too: the random numbers are part of a checkpoint."""
    recipe = dataclasses.replace(SMALL, network=own_module)
    monkeypatch.setattr("imnetlib.engines.training._LOOK", 1)
    whole = train.train(recipe, WNIDS, shards, shards, tmp_path / "whole")
    with monkeypatch.context() as patch:
        seen = []
        step = train.Replicas.step

        def stopped(self: object, *arguments: object) -> object:
            if len(seen) == 4:
                raise KeyboardInterrupt
            seen.append(1)
            return step(self, *arguments)

        patch.setattr(train.Replicas, "step", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, WNIDS, shards, shards, tmp_path / "stopped", minutes=0)
    resumed = train.train(recipe, WNIDS, shards, shards, tmp_path / "stopped")
    assert bits(whole) == bits(resumed)
    assert (tmp_path / "whole" / "my_networks-small-0002.params").exists()
    loaded = engines.load_checkpoint(tmp_path / "whole", own_module)
    assert [a.shape for a, *_ in checkpoint.predict(loaded, shards)] == [(8, 3)] * 5 + [(2, 3)]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("my_networks:none", ValueError, "my_networks has no function none"),
        ("my_networks:constant", ValueError, "my_networks has no function constant"),
        ("my_networks:wrong", ValueError, r"gives \(1, 3, 62, 62\) for one picture, not \(1, 3\)"),
        ("my_networks:number", TypeError, "makes a torch.nn.Module, not 3"),
        ("my_networks:tuple", TypeError, r"tuple gives one tensor of logits, not \(tensor"),
        ("my_networks:dict", TypeError, "dict gives one tensor of logits, not {'logits': tensor"),
        ("my_networks:frozen", ValueError, "my_networks:frozen learns nothing: no parameter of it"),
        ("my_networks:bare", ValueError, "my_networks:bare learns nothing: no parameter of it"),
        ("my_networks:double", ValueError, "my_networks:double are float32, not 'float64'"),
        (
            "my_networks:fixed",
            ValueError,
            r"takes no pictures of 64 pixels \(Input height \(64\) .*\); it takes 96, for instance",
        ),
        (":x", ValueError, "no module '': a network is timm:NAME or MODULE:FUNCTION"),
        (".relative:x", ValueError, r"no module '\.relative': a network is timm:NAME or MODULE:"),
        ("no_such_package:x", ImportError, "'no_such_package'; .* in the folders of PYTHONPATH"),
        (3, TypeError, r"name is that of a network, not 3 \(int\)"),
        ("resnet", ValueError, "there is no network 'resnet'"),
    ],
)
def test_modules_that_do_not_fit_are_refused(
    own_module: str, name: str, error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        network.module(name, 3, 64)


def test_a_module_that_gives_more_in_training_is_refused(
    shards: list[Path], tmp_path: Path, own_module: str
):
    recipe = dataclasses.replace(SMALL, network="my_networks:in training")
    with pytest.raises(TypeError, match=r"in training gives one tensor of logits, not \(tens"):
        train.train(recipe, WNIDS, shards, shards, tmp_path)
    with pytest.raises(TypeError, match=r"one tensor of logits, in training too, not \(tensor"):
        memory.largest_batch(recipe, 3, 10**9)


def test_models_of_timm_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch):
    def create_model(name: str, num_classes: int) -> nn.Module:
        if name != "small":
            raise RuntimeError(f"Unknown model ({name})")
        return small_net(num_classes)

    timm = type(sys)("timm")
    timm.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", timm)
    assert isinstance(network.module("timm:small", 3, 64)[-1], nn.Linear)
    with pytest.raises(
        ValueError, match=r"no large \(Unknown model \(large\)\): see timm.list_mod"
    ):
        network.module("timm:large", 3, 64)


@pytest.mark.parametrize(
    ("version", "builds"),
    [("2.13.0+cpu", " --extra-index-url https://download.pytorch.org/whl/cpu"), ("2.13.0", "")],
)
@pytest.mark.parametrize(
    ("lacking", "error"),
    [
        ("", "import of timm halted; None in sys.modules"),
        ("import no_such_module", "No module named 'no_such_module'"),
        # What torchvision raises under another build of PyTorch.
        ("raise RuntimeError('no torchvision::nms')", "no torchvision::nms"),
    ],
)
def test_without_timm_or_what_it_imports_the_way_out_keeps_this_pytorch(
    version: str,
    builds: str,
    lacking: str,
    error: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(torch, "__version__", version)
    monkeypatch.setitem(sys.modules, "timm", None)
    if lacking:
        monkeypatch.delitem(sys.modules, "timm")
        (tmp_path / "timm.py").write_text(lacking)
        monkeypatch.syspath_prepend(tmp_path)
    told = (
        f"timm can't be imported ({error}): pip install timm torchvision torch==2.13.0{builds} "
        "brings it, with the torchvision that goes with this PyTorch"
    )
    with pytest.raises(ImportError, match=re.escape(told)):
        network.module("timm:small", 3, 64)
    with pytest.raises(ImportError, match=re.escape(told)):
        train.untrained(dataclasses.replace(SMALL, network="timm:small"), WNIDS)


def test_bfloat16_learns(shards: list[Path], tmp_path: Path):
    recipe = dataclasses.replace(SMALL, epochs=5, precision="bfloat16")
    done = train.train(recipe, WNIDS, shards, shards, tmp_path)
    assert done.history[-1].validation_top1 == 1.0
    assert {array.dtype.name for array in done.parameters.values()} == {"float32"}


PROGRAM = f"""
import os
import sys
import time
from pathlib import Path
from imnetlib.engines import Recipe
from imnetlib.engines.torch import train

shards = sorted(Path(sys.argv[1]).glob("*.rec"))
recipe = {SMALL!r}
out = sys.argv[2]
number = int(os.environ["RANK"])
if sys.argv[3:] == ["own folder"]:
    out += str(number)
if sys.argv[3:] == ["own shards"]:
    shards = shards[number:]
if sys.argv[3:] == ["die"]:
    import itertools
    step, count = train.Replicas.step, itertools.count(1)
    def dying(self, *arguments):
        # In the second epoch; the first one is kept.
        if self.rank == 1 and next(count) == 6:
            os._exit(3)
        return step(self, *arguments)
    train.Replicas.step = dying
train.train(recipe, {WNIDS!r}, shards, shards, out, threads=1)
# A thread that has ended may be listed for a moment more.
time.sleep(0.5)
print(*(task.read_text() for task in Path("/proc/self/task").glob("*/comm")))
"""


def torchrun(folder: Path, shards: list[Path], *more: str) -> subprocess.CompletedProcess[str]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    local = ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    command = [*launcher, *local, str(program), str(shards[0].parent), str(folder / "out"), *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order of one thread, as torchrun's processes add them.

    Another order changes the first loss by 1e-6, and this small training makes 0.1 of it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_two_processes_learn_what_one_does(shards: list[Path], tmp_path: Path):
    alone = train.train(SMALL, WNIDS, shards, shards, tmp_path / "alone")
    done = torchrun(tmp_path, shards)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    # A thread of gloo's that lets go of a tensor while Python ends would abort the process.
    assert "gloo" not in done.stdout
    both = engines.load_checkpoint(tmp_path / "out", SMALL.network)
    for one, two in zip(alone.history, both.history, strict=True):
        assert two.loss == pytest.approx(one.loss, abs=0.02)
    assert both.state["statistics:conv1_bn_moving_mean"].shape == (2, 16)
    assert len(engines.read_log(tmp_path / "out", SMALL.network)) == 8
    # One process goes on with what two began.
    longer = dataclasses.replace(SMALL, epochs=3)
    assert train.train(longer, WNIDS, shards, shards, tmp_path / "out").finished


def test_when_a_process_dies_the_others_end_soon_and_the_next_go_on(
    shards: list[Path], tmp_path: Path
):
    began = time.monotonic()
    done = torchrun(tmp_path, shards, "die")
    assert done.returncode != 0
    assert time.monotonic() - began < 60
    assert torchrun(tmp_path, shards).returncode == 0
    went_on = engines.load_checkpoint(tmp_path / "out", SMALL.network)
    (tmp_path / "out").rename(tmp_path / "stopped")
    assert torchrun(tmp_path, shards).returncode == 0
    at_once = engines.load_checkpoint(tmp_path / "out", SMALL.network)
    assert [one.loss for one in went_on.history] == [one.loss for one in at_once.history]
    # Those of each process, too: its own running statistics and random numbers.
    for kind in ("parameters", "state"):
        for name, array in getattr(at_once, kind).items():
            assert np.array_equal(getattr(went_on, kind)[name], array), name


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("own folder", "process 1 would go on after 0 epochs and 0 steps, process 0 after 1 and 0"),
        ("own shards", "process 1 has other shards than process 0: give all the same"),
    ],
)
def test_processes_that_would_start_from_different_places_are_refused(
    shards: list[Path], tmp_path: Path, way: str, said: str
):
    """Such as those of machines that do not share a folder."""
    if way == "own folder":
        train.train(dataclasses.replace(SMALL, epochs=1), WNIDS, shards, shards, tmp_path / "out0")
    done = torchrun(tmp_path, shards, way)
    assert done.returncode == 1
    assert said in done.stderr


CROP = Transform(28, "random_resized", mirror=True)


def test_pytorch_gets_the_batches_without_a_copy(shards: list[Path]):
    loader = Loader(shards, 8, CROP, seed=3)
    batches = DataLoader(feed.Batches(loader), batch_size=None)
    assert len(batches) == 6
    for found, batch in itertools.zip_longest(batches, Loader(shards, 8, CROP, seed=3)):
        for name in ("images", "labels", "ids"):
            assert np.array_equal(found[name].numpy(), getattr(batch, name))
        assert found["padding"] == batch.padding
    one = next(iter(loader))
    tensor = torch.from_numpy(one.images)
    assert tensor.data_ptr() == one.images.ctypes.data


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"batch_size": None, "num_workers": 1}, RuntimeError, "num_workers=0 and batch_size=None"),
        ({"batch_size": 2}, ValueError, "give batch_size=None: the batches are made already"),
    ],
)
def test_a_dataloader_that_would_spoil_the_batches_is_refused(
    shards: list[Path], settings: dict, error: type[Exception], message: str
):
    batches = DataLoader(feed.Batches(Loader(shards, 8, CROP)), **settings)
    with pytest.raises(error, match=message):
        next(iter(batches))


def test_the_benchmark_of_a_gpu_runs_on_a_cpu(tmp_path: Path, checkout: Path):
    sizes = ["--size=64", "--batch=8", "--classes=10", "--side=64", "--records=64", "--threads=2"]
    short = ["--seconds=0.1", "--rounds=1", "--compile=0", "--precision=float32"]
    command = [
        *(sys.executable, checkout / "tests/benchmarks/bench_gpu.py", "--device=cpu"),
        *("--networks=inception-64px", f"--to={tmp_path}", *sizes, *short),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*/gpu.json")
    alone, *tables = json.loads(file.read_text())["tables"]
    assert [way["name"] for way in alone["ways"]] == [
        *("this process, 1 thread", "this process, 2 threads"),
        "2 processes of its own, 1 thread each",
        "1 process of its own, 2 threads each",
    ]
    assert {each["title"] for each in tables} == {
        "train inception-64px, 10 classes, batch 8, float32"
    }
    assert [(each["what"], each["unit"]) for each in tables] == [
        *(("", "images/s"), ("nine epochs of 14,197,087 images", "hours")),
        *(("computed", "TFLOP/s"), ("of a large matrix product", "%")),
    ]
    assert all(way["values"][0] > 0 for each in tables for way in each["ways"])


def test_the_benchmark_counts_what_the_layers_compute():
    """Two for a multiply-add, three products each: forward, and backward by weights and inputs."""
    weights = sum(
        layer.inputs * layer.filters * layer.kernel**2 * side**2
        for layer, side in zip(
            engines.convolutions(engines.network("inception-64px", 3)), sides(), strict=True
        )
    )
    assert bench_gpu.operations("inception-64px", 10, 64) == pytest.approx(6 * weights, rel=0.05)


def sides() -> Iterator[int]:
    """The side of each convolution's result, for pictures of 64 pixels."""
    yield from (32, 32, 32)
    side = 16
    for block in engines.network("inception-64px", 3).blocks:
        if block.halves:
            yield from (side, side // 2, side, side, side // 2)
            side //= 2
        else:
            yield from (side,) * 7


@pytest.mark.parametrize("classes", [3, 5])
def test_the_last_layer_of_any_module_is_found(own_module: str, classes: int):
    recipe = dataclasses.replace(SMALL, network="my_networks:head_first")
    trained = train.untrained(recipe, WNIDS)
    begun = train.untrained(dataclasses.replace(recipe, seed=1), [f"m{i}" for i in range(classes)])
    found = train.fine_tuned(trained, begun)
    new = {n for n, a in found.parameters.items() if a is not trained.parameters[n]}
    assert new == {"arg:fc.weight", "arg:fc.bias"}


@pytest.mark.parametrize("devices", [1, 2])
def test_counts_are_kept_too(shards: list[Path], tmp_path: Path, own_module: str, devices: int):
    recipe = dataclasses.replace(SMALL, network="my_networks:counting", epochs=1, devices=devices)
    done = train.train(recipe, WNIDS, shards, shards, tmp_path)
    assert network.module_of(done).norm.num_batches_tracked == 6
    loaded = engines.load_checkpoint(tmp_path, recipe.network)
    assert loaded.parameters["aux:norm.num_batches_tracked"] == 6
