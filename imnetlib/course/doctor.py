"""Is this machine ready for the course? One check a line, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from imnetlib.course.engines import ENGINES
from imnetlib.course.gpus import Framework, framework, gpus_of_driver, names_of, way_to_use
from imnetlib.course.root import CHECKOUT

LOCK = CHECKOUT / "requirements.lock"
MXNET_HAS_A_WHEEL = sys.platform == "linux" and platform.machine() == "x86_64"
# The sample, its folders, its shards and the executed notebooks.
DISK_NEEDED = 3 * 10**9
_NO_WHEEL = "no wheel for this platform: the course runs on PyTorch"
_REMEDIES = {
    "mxnet": f"where its library lacks another: {sys.executable} tools/lend_libraries.py",
    "torch": "make run ENGINE=torch installs it anew",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A check of this machine: whether it passed, what it found, and what to do where it failed."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def diagnose(root: Path) -> list[Diagnosis]:
    """Every check, in the order in which to mend things; runs will write to the folder ``root``."""
    own = [_kernel(), _cores(), _writable(root), _disk(root)]
    return [_python(), *_packages(), *_engines(), *own]


def _python() -> Diagnosis:
    version = platform.python_version()
    wanted = importlib.metadata.metadata("imnetlib")["Requires-Python"]
    remedy = f"make the environment with a Python {wanted}: rm -r .venv && make run"
    found = f"{version} at {sys.prefix}"
    return Diagnosis("Python", SpecifierSet(wanted).contains(version), found, remedy)


def _packages() -> Iterator[Diagnosis]:
    """A check for each direct dependency of the course on this platform, the engines aside."""
    locked = locked_versions(LOCK)
    extras = importlib.metadata.metadata("imnetlib").get_all("Provides-Extra") or []
    names: dict[str, None] = {}
    for requirement in map(Requirement, importlib.metadata.requires("imnetlib") or []):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            names[requirement.name] = None
    for name in names:
        if name not in locked or name in ENGINES:
            continue
        yield _package(name, locked[name])


def locked_versions(lock: Path) -> dict[str, str]:
    """Package → version that a lock names for this machine; FileNotFoundError without a lock."""
    if not lock.exists():
        raise FileNotFoundError(f"{lock} is missing: run this in a checkout of the course")
    versions = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line[:1].isalnum():
            pin = Requirement(line.removesuffix("\\"))
            if pin.marker is None or pin.marker.evaluate():
                versions[pin.name] = str(pin.specifier).removeprefix("==")
    return versions


def _package(name: str, wanted: str) -> Diagnosis:
    remedy = f"install the locked version: {sys.executable} -m pip install {name}=={wanted}"
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Diagnosis(name, False, "not installed", remedy)
    return Diagnosis(name, version == wanted, version, remedy)


def _engines() -> Iterator[Diagnosis]:
    """The GPUs, and for each framework its build and whether it can use them; one has to be there.

    It takes seconds: the frameworks are imported.
    """
    gpus = gpus_of_driver()
    installed = [name for name in ENGINES if importlib.util.find_spec(name)]
    found = {name: framework(name) for name in installed}
    usable = {name: about for name, about in found.items() if isinstance(about, Framework)}
    for name, title in ENGINES.items():
        about = found.get(name, "")
        if isinstance(about, Framework):
            yield Diagnosis(title, True, f"{about.version}, {about.build}, GPUs: {about.gpus}")
        elif name in found:
            yield Diagnosis(title, False, f"it cannot be imported: {about}", _REMEDIES[name])
        else:
            told = "not installed" if name == "torch" or MXNET_HAS_A_WHEEL else _NO_WHEEL
            yield Diagnosis(title, bool(usable), told, "make run ENGINE=torch brings PyTorch")
    if not gpus:
        yield Diagnosis("GPU", True, "none that a driver sees")
        return
    told = f"{names_of(gpus)}, driver {gpus[0].driver}"
    users = [ENGINES[name] for name, about in usable.items() if about.gpus]
    used = f"used by {' and '.join(users)}" if users else "no framework as installed can use it"
    yield Diagnosis("GPU", bool(users), f"{told}; {used}", way_to_use(gpus))


def _kernel() -> Diagnosis:
    """The kernel called python3 must be this environment's: one in ~/.local takes precedence."""
    name = "kernel python3"
    remedy = f"make it: {sys.executable} -m ipykernel install --sys-prefix --name python3"
    try:
        from jupyter_client.kernelspec import NoSuchKernel
        from jupyter_client.manager import KernelManager
    except ImportError:
        found = "jupyter_client is not installed"
        return Diagnosis(name, False, found, "install the course's extras")
    try:
        python = KernelManager(kernel_name="python3").format_kernel_cmd()[0]
    except NoSuchKernel:
        return Diagnosis(name, False, "there is none", remedy)
    python = shutil.which(python) or python
    return Diagnosis(name, Path(python).parent == Path(sys.executable).parent, python, remedy)


def _cores() -> Diagnosis:
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    remedy = "one core works; chapters take about twice as long"
    return Diagnosis("cores", cores >= 2, str(cores), remedy)


def _writable(root: Path) -> Diagnosis:
    name = "root folder"
    try:
        with tempfile.TemporaryFile(dir=_nearest_existing(root)):
            return Diagnosis(name, True, f"{root} is writable")
    except OSError as error:
        remedy = "choose another one with --root DIR"
        return Diagnosis(name, False, f"{root}: {error.strerror}", remedy)


def _disk(root: Path) -> Diagnosis:
    free = shutil.disk_usage(_nearest_existing(root)).free
    needed = f"the sample course needs {DISK_NEEDED / 1e9:.0f} GB"
    remedy = f"{needed}: make room, or choose another disk with --root"
    return Diagnosis("free disk", free >= DISK_NEEDED, f"{free / 1e9:.1f} GB", remedy)


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())
