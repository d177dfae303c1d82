"""GPUs that the driver sees and a framework cannot use: told loudly, with the way out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from imnetlib.course import gpus, unused_gpu
from imnetlib.course.gpus import Framework, Gpu


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A Linux machine without a driver, whatever this one has."""
    monkeypatch.setattr(gpus.sys, "platform", "linux")
    monkeypatch.setattr(gpus, "_PROC", tmp_path / "proc")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def smi(folder: Path, script: str) -> None:
    """An nvidia-smi that answers so."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


A100 = "NVIDIA A100-SXM4-80GB, 535.104.05"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (f"echo '{A100}, 8.0'; echo '{A100}, 8.0'", [Gpu(*A100.split(", "), 8.0)] * 2),
        (f"echo '{A100}, [N/A]'", [Gpu(*A100.split(", "))]),
        (f"case $1 in *cap*) exit 2 ;; *) echo '{A100}' ;; esac", [Gpu(*A100.split(", "))]),
        ("echo 'NVIDIA-SMI has failed because it couldn.t communicate'; exit 9", []),
        ("echo No devices were found", []),
    ],
    ids=["two", "unknown capability", "old driver", "no driver", "no device"],
)
def test_nvidia_smi_is_asked(tmp_path: Path, script: str, found: list[Gpu]):
    smi(tmp_path, script)
    assert gpus.gpus_of_driver() == found


def test_without_nvidia_smi_the_driver_s_files_tell(tmp_path: Path):
    assert gpus.gpus_of_driver() == []
    folder = tmp_path / "proc" / "gpus" / "0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "information").write_text("Model: \t\t NVIDIA GeForce GTX 980\nIRQ:   33\n")
    assert gpus.gpus_of_driver() == [Gpu("NVIDIA GeForce GTX 980", "unknown")]
    (tmp_path / "proc" / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n"
    )
    assert gpus.gpus_of_driver() == [Gpu("NVIDIA GeForce GTX 980", "535.104.05")]


def test_a_mac_has_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gpus.sys, "platform", "darwin")
    monkeypatch.setattr(gpus.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(gpus.platform, "mac_ver", lambda: ("15.1", ("", "", ""), "arm64"))
    found = gpus.gpus_of_driver()
    assert found == [Gpu("Apple GPU", "macOS 15.1")]
    assert gpus.way_to_use(found) == "make run ENGINE=torch"


FAKE = """
from types import SimpleNamespace as Space
__version__ = "2.13.0"
version = Space(cuda={cuda!r})
cuda = Space(is_available=lambda: {gpus} > 0, device_count=lambda: {gpus})
backends = Space(mps=Space(is_built=lambda: {mps}, is_available=lambda: {mps}))
"""


def on_cuda(count: int) -> Framework:
    return Framework("2.13.0", "build for CUDA 13.0", count)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (
            FAKE.format(cuda="13.0", gpus=8, mps=False),
            Framework("2.13.0", "build for CUDA 13.0", 8),
        ),
        (
            FAKE.format(cuda="13.0", gpus=0, mps=False),
            Framework("2.13.0", "build for CUDA 13.0", 0),
        ),
        (FAKE.format(cuda=None, gpus=0, mps=False), Framework("2.13.0", "CPU build", 0)),
        (FAKE.format(cuda=None, gpus=0, mps=True), Framework("2.13.0", "build with MPS", 1)),
        ("raise OSError('libcudart.so.13 is missing')", "OSError: libcudart.so.13 is missing"),
        ("import os; os._exit(132)", "exit status 132"),
    ],
    ids=["GPUs", "no GPU", "CPU build", "Mac", "broken", "killed"],
)
def test_a_framework_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, found: object, checkout: Path
):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{checkout}")
    assert gpus.framework("torch") == found


def test_mxnet_s_wheel_is_known():
    assert gpus.framework("mxnet") == Framework("1.9.1", "CPU build", 0)


def test_a_gpu_that_the_engine_cannot_use_is_told_loudly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    assert unused_gpu("mxnet") == ""
    smi(tmp_path, "echo 'NVIDIA H100 80GB HBM3, 550.54, 9.0'")
    assert unused_gpu("mxnet") == (
        "WARNING: this machine has NVIDIA H100 80GB HBM3, and MXNet as it is installed cannot use "
        "it: the training runs on the CPU. make run ENGINE=torch installs PyTorch's CUDA build; "
        "MXNet's GPU wheels hold no code for compute capability 9.0."
    )
    with monkeypatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert unused_gpu("mxnet") == ""
    on_gpu = SimpleNamespace(name="torch", checkpoint=SimpleNamespace(devices=lambda n: ["cuda:0"]))
    monkeypatch.setattr(gpus, "engine", lambda name: on_gpu)
    assert unused_gpu("torch") == ""


@pytest.mark.parametrize(
    ("capability", "way"),
    [
        (8.9, "or MXNet: pip install mxnet-cu112 or mxnet-cu117, with CUDA 11"),
        (0.0, "mxnet-cu117, with CUDA 11 (for cards up to the Ampere generation)"),
        (12.0, "MXNet's GPU wheels hold no code for compute capability 12.0"),
    ],
)
def test_the_wheel_that_fits_is_named(capability: float, way: str):
    assert gpus.way_to_use([Gpu("a", "1", capability)]).endswith(way)
