"""Is this machine ready for the course? One check a line, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imnetlib.course.root import CHECKOUT

MXNET_HAS_A_WHEEL = sys.platform == "linux" and platform.machine() == "x86_64"
PYTHONS = ((3, 11), (3, 12))
# the sample, its folders, its shards and the executed notebooks
DISK_NEEDED = 3 * 10**9


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One question, whether the answer is good, what was found, and what to do where it is not."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def diagnose(root: Path) -> list[Diagnosis]:
    """Every check, in the order in which one would mend things. ``root`` is the folder runs will
    write to.
    """
    return [_python(), *_packages(), _mxnet(), _kernel(), _cores(), _writable(root), _disk(root)]


def _python() -> Diagnosis:
    version = platform.python_version()
    remedy = "make the environment with Python 3.11 or 3.12: rm -r .venv && make run"
    return Diagnosis(
        "Python", sys.version_info[:2] in PYTHONS, f"{version} at {sys.prefix}", remedy
    )


def _packages() -> Iterator[Diagnosis]:
    """One check for each direct dependency of the course that is for this platform."""
    locked = locked_versions()
    for requirement in importlib.metadata.requires("imnetlib") or []:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if re.search(r"extra == .(dev|cluster|torch)", requirement) or name not in locked:
            continue
        if name != "setuptools" and (name != "mxnet" or MXNET_HAS_A_WHEEL):
            yield _package(name, locked[name])


def locked_versions() -> dict[str, str]:
    """Package → version, from requirements.lock."""
    path = CHECKOUT / "requirements.lock"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run this in a checkout of the course")
    lock = path.read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;]+)", lock, flags=re.MULTILINE))


def _package(name: str, wanted: str) -> Diagnosis:
    remedy = f"install the locked version: {sys.executable} -m pip install {name}=={wanted}"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Diagnosis(name, False, "not installed", remedy)
    return Diagnosis(name, version == wanted, version, remedy)


def _mxnet() -> Diagnosis:
    """Import MXNet in a process of its own: a wheel that does not fit the processor kills the one
    it is in.
    """
    if not MXNET_HAS_A_WHEEL:
        return Diagnosis(
            "MXNet imports",
            True,
            "no wheel for this platform: chapters 6 to 9 want Linux on x86-64",
        )
    code = "from imnetlib.engines.mxnet import mx; print(mx.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    remedy = "MXNet needs NumPy 1.26 and the libraries libgomp1 and libquadmath0 (Debian's names)"
    return Diagnosis("MXNet imports", done.returncode == 0, done.stdout.strip() or last, remedy)


def _kernel() -> Diagnosis:
    """The kernel called python3 must be this environment's: another one in ~/.local can stand in
    its way.
    """
    remedy = f"make it: {sys.executable} -m ipykernel install --sys-prefix --name python3"
    try:
        from jupyter_client.kernelspec import NoSuchKernel
        from jupyter_client.manager import KernelManager
    except ImportError:
        return Diagnosis(
            "kernel python3",
            False,
            "jupyter_client is not installed",
            "install the course's extras",
        )
    try:
        python = KernelManager(kernel_name="python3").format_kernel_cmd()[0]
    except NoSuchKernel:
        return Diagnosis("kernel python3", False, "there is none", remedy)
    found = shutil.which(python) or python
    return Diagnosis(
        "kernel python3", Path(found).parent == Path(sys.executable).parent, found, remedy
    )


def _cores() -> Diagnosis:
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return Diagnosis(
        "cores", cores >= 2, str(cores), "one core works; chapters take about twice as long"
    )


def _writable(root: Path) -> Diagnosis:
    there = _nearest_existing(root)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return Diagnosis(
            "root folder", False, f"{root}: {error.strerror}", "choose another one with --root DIR"
        )
    return Diagnosis("root folder", True, f"{root} is writable")


def _disk(root: Path) -> Diagnosis:
    free = shutil.disk_usage(_nearest_existing(root)).free
    remedy = f"the sample course needs {DISK_NEEDED / 1e9:.0f} GB: make room, or choose another disk with --root"
    return Diagnosis("free disk", free >= DISK_NEEDED, f"{free / 1e9:.1f} GB", remedy)


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())
