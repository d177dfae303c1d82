"""The doctor: this environment passes, and whatever is wrong is named with its remedy."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from imnetlib.cli import main
from imnetlib.course import doctor
from imnetlib.course.gpus import Framework, Gpu

H100 = Gpu("NVIDIA H100", "550.54", 9.0)
framework = functools.cache(doctor.framework)


@pytest.fixture(autouse=True)
def frameworks_are_imported_once(monkeypatch: pytest.MonkeyPatch):
    """It takes seconds, and few of these tests change the answer."""
    monkeypatch.setattr(doctor, "framework", framework)


def failed(root: Path) -> list[doctor.Diagnosis]:
    return [check for check in doctor.diagnose(root) if not check.ok]


def test_doctor_finds_this_environment_in_order(tmp_path: Path):
    assert failed(tmp_path) == []


def test_doctor_names_the_remedy_for_a_wrong_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    wanted = doctor.locked_versions(doctor.LOCK) | {"papermill": "0.0.1"}
    monkeypatch.setattr(doctor, "locked_versions", lambda lock: wanted)
    (wrong,) = failed(tmp_path)
    assert wrong.name == "papermill"
    assert "pip install papermill==0.0.1" in wrong.remedy


def test_the_exit_status_of_doctor_says_whether_all_is_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    assert CliRunner().invoke(main, ["doctor", "--root", str(tmp_path)]).exit_code == 0
    monkeypatch.setattr(doctor, "DISK_NEEDED", 10**18)
    done = CliRunner().invoke(main, ["doctor", "--root", str(tmp_path)])
    assert done.exit_code == 1
    assert "[FAIL]  free disk:" in done.output


def test_doctor_reports_a_package_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def version(name: str) -> str:
        if name == "papermill":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", version)
    (wrong,) = failed(tmp_path)
    assert (wrong.name, wrong.found) == ("papermill", "not installed")


def engines_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpus: list[Gpu], **found: object):
    """What is told of the engines where these are installed, and the machine has these GPUs."""
    monkeypatch.setattr(doctor, "gpus_of_driver", lambda: gpus)
    monkeypatch.setattr(doctor, "framework", found.__getitem__)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found.get(name))
    checks = {check.name: check for check in doctor.diagnose(tmp_path)}
    return [checks[name] for name in ("MXNet", "PyTorch", "GPU")]


def test_doctor_tells_the_engines_and_who_uses_the_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    mxnet = Framework("1.9.1", "CPU build", 0)
    torch = Framework("2.13.0", "build for CUDA 13.0", 2)
    checks = engines_of(monkeypatch, tmp_path, [H100] * 2, mxnet=mxnet, torch=torch)
    assert [(check.ok, check.found) for check in checks] == [
        (True, "1.9.1, CPU build, GPUs: 0"),
        (True, "2.13.0, build for CUDA 13.0, GPUs: 2"),
        (True, "2 × NVIDIA H100, driver 550.54; used by PyTorch"),
    ]
    *_, gpu = engines_of(monkeypatch, tmp_path, [H100], mxnet=mxnet)
    assert (gpu.ok, gpu.found) == (
        False,
        "NVIDIA H100, driver 550.54; no framework as installed can use it",
    )
    assert gpu.remedy.startswith("make run ENGINE=torch installs PyTorch's CUDA build; MXNet's GPU")


def test_doctor_wants_one_engine_and_says_how_to_mend_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    torch = Framework("2.13.0", "CPU build", 0)
    checks = engines_of(monkeypatch, tmp_path, [], torch=torch)
    assert [(check.ok, check.found) for check in checks] == [
        (True, "not installed"),
        (True, "2.13.0, CPU build, GPUs: 0"),
        (True, "none that a driver sees"),
    ]
    mxnet, torch_check, _ = engines_of(monkeypatch, tmp_path, [])
    assert (mxnet.ok, torch_check.ok) == (False, False)
    assert mxnet.remedy == "make run ENGINE=torch brings PyTorch"
    mxnet, *_ = engines_of(monkeypatch, tmp_path, [], mxnet="OSError: libgomp.so.1", torch=torch)
    assert (mxnet.ok, mxnet.found) == (False, "it cannot be imported: OSError: libgomp.so.1")
    assert "tools/lend_libraries.py" in mxnet.remedy
    monkeypatch.setattr(doctor, "MXNET_HAS_A_WHEEL", False)
    mxnet, *_ = engines_of(monkeypatch, tmp_path, [], torch=torch)
    assert (mxnet.ok, mxnet.found) == (True, doctor._NO_WHEEL)


def test_doctor_reports_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    (wrong,) = failed(tmp_path / "new" / "root")
    assert (wrong.name, wrong.found) == ("free disk", "0.0 GB")


def test_doctor_reports_a_kernel_of_another_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    kernel = tmp_path / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {
        "argv": ["/usr/bin/python3", "-m", "ipykernel_launcher"],
        "display_name": "x",
        "language": "python",
    }
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    (wrong,) = failed(tmp_path)
    assert wrong.name == "kernel python3"
    assert "ipykernel install" in wrong.remedy
