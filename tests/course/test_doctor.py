"""The doctor: this environment passes, and whatever is wrong is named with its remedy."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from imnetlib.cli import main
from imnetlib.course import doctor

mxnet = functools.cache(doctor._mxnet)


@pytest.fixture(autouse=True)
def mxnet_is_imported_once(monkeypatch: pytest.MonkeyPatch):
    """It takes seconds, and none of these tests changes the answer."""
    monkeypatch.setattr(doctor, "_mxnet", mxnet)


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
