"""The GPUs of this machine, as its driver and the frameworks see them (chapters 7 and 10)."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imnetlib.course.engines import ENGINES, engine

_PROC = Path("/proc/driver/nvidia")
_FIELDS = ("name", "driver_version", "compute_cap")
# The newest generation that MXNet's GPU wheels hold code for is that of compute capability 8.
_MXNET_KNOWS_TO = 8
_CAN_USE = {
    "mxnet": (
        "from imnetlib.engines.mxnet import mx as f; "
        "cuda = f.runtime.Features().is_enabled('CUDA'); "
        "build = 'CUDA build' if cuda else 'CPU build'; gpus = f.context.num_gpus()"
    ),
    "torch": (
        "import imnetlib.engines.torch; import torch as f; cuda = f.version.cuda; "
        "mps = f.backends.mps; cpu = 'build with MPS' if mps.is_built() else 'CPU build'; "
        "build = f'build for CUDA {cuda}' if cuda else cpu; "
        "gpus = f.cuda.device_count() if f.cuda.is_available() else int(mps.is_available())"
    ),
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that the driver sees; ``capability``: CUDA's compute capability, 0 where unknown."""

    name: str
    driver: str
    capability: float = 0.0


@dataclass(frozen=True, slots=True)
class Framework:
    """What a framework says of itself: its version and build, and how many GPUs it can use."""

    version: str
    build: str
    gpus: int


def gpus_of_driver() -> list[Gpu]:
    """NVIDIA's GPUs by nvidia-smi, else by the driver's files; an Apple chip's own GPU."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return [Gpu("Apple GPU", f"macOS {platform.mac_ver()[0]}")]
    return _by_nvidia_smi() or _by_proc()


def _by_nvidia_smi() -> list[Gpu]:
    program = shutil.which("nvidia-smi")
    # Drivers before 2021 do not tell the last field.
    for fields in (_FIELDS, _FIELDS[:2]) if program else ():
        command = [str(program), f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return []
        rows = [line.split(", ") for line in done.stdout.splitlines()]
        if done.returncode == 0 and all(len(row) == len(fields) for row in rows):
            return [Gpu(name, driver, *map(_number, rest)) for name, driver, *rest in rows]
    return []


def _number(text: str) -> float:
    return float(text) if text.replace(".", "", 1).isdigit() else 0.0


def _by_proc() -> list[Gpu]:
    """As Linux's driver tells it, where nvidia-smi is not installed, as in many containers."""
    gpus = sorted(_PROC.glob("gpus/*/information"))
    version = _PROC / "version"
    words = version.read_text().split() if version.exists() else []
    driver = next((word for word in words if word[:1].isdigit() and "." in word), "unknown")
    lines = [path.read_text().partition("Model:")[2].splitlines() for path in gpus]
    return [Gpu(line[0].strip() if line else "NVIDIA GPU", driver) for line in lines]


def framework(name: str) -> Framework | str:
    """A framework asked in a process of its own, which a wheel unfit for the machine would kill.

    The reason where it cannot be imported.
    """
    code = f"{_CAN_USE[name]}; import json; print(json.dumps([f.__version__, build, gpus]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Framework(*json.loads(done.stdout.splitlines()[-1]))
    lines = (done.stdout + done.stderr).splitlines() or [f"exit status {done.returncode}"]
    return lines[-1]


def way_to_use(gpus: list[Gpu]) -> str:
    """Which build of which framework these GPUs need."""
    if gpus[0].name.startswith("Apple"):
        return "make run ENGINE=torch"
    torch = "make run ENGINE=torch installs PyTorch's CUDA build"
    newest = max(gpu.capability for gpu in gpus)
    if newest >= _MXNET_KNOWS_TO + 1:
        return f"{torch}; MXNet's GPU wheels hold no code for compute capability {newest}"
    until = "" if newest else " (for cards up to the Ampere generation)"
    return f"{torch}; or MXNet: pip install mxnet-cu112 or mxnet-cu117, with CUDA 11{until}"


def unused_gpu(name: str = "") -> str:
    """A sentence to print where this machine has a GPU that the engine ``name`` cannot use.

    "" where there is none, where the engine uses it, and where CUDA_VISIBLE_DEVICES hides it.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    gpus = [] if hidden else gpus_of_driver()
    chosen: Any = engine(name)
    if not gpus or not str(chosen.checkpoint.devices(1)[0]).startswith("cpu"):
        return ""
    return (
        f"WARNING: this machine has {names_of(gpus)}, and {ENGINES[chosen.name]} as it is "
        f"installed cannot use it: the training runs on the CPU. {way_to_use(gpus)}."
    )


def names_of(gpus: list[Gpu]) -> str:
    """The GPUs in words: 2 × NVIDIA A100."""
    counts = {gpu.name: sum(other.name == gpu.name for other in gpus) for gpu in gpus}
    return ", ".join(f"{count} × {name}" if count > 1 else name for name, count in counts.items())
