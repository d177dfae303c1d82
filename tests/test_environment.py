"""pyproject.toml, the lock and environment.yml agree; imports are quick; set-up fails clearly."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from imnetlib.course import doctor

EXTRAS_IN_LOCK = ("mxnet", "course", "cluster", "parquet", "dev")


def project(checkout: Path) -> dict:
    return tomllib.loads((checkout / "pyproject.toml").read_text())["project"]


def test_the_lock_pins_every_declared_dependency_within_its_range(checkout: Path):
    declared = project(checkout)
    lines = [*declared["dependencies"]]
    for extra in EXTRAS_IN_LOCK:
        lines += declared["optional-dependencies"][extra]
    locked = doctor.locked_versions()
    for requirement in map(Requirement, lines):
        assert requirement.specifier.contains(locked[requirement.name]), requirement


def test_every_package_in_the_lock_has_a_hash(checkout: Path):
    blocks = re.split(r"\n(?=\S)", (checkout / "requirements.lock").read_text())
    pins = [block for block in blocks if not block.startswith("#")]
    assert len(pins) > 100
    assert [block for block in pins if "--hash=sha256:" not in block] == []


def test_the_lock_names_no_index_and_no_local_path(checkout: Path):
    text = (checkout / "requirements.lock").read_text()
    assert "://" not in text
    assert "--find-links" not in text


def test_the_environment_file_is_python_and_the_lock(checkout: Path):
    environment = yaml.safe_load((checkout / "environment.yml").read_text())
    python, pip, rest = environment["dependencies"]
    assert (python, pip) == ("python=3.11", "pip")
    assert rest == {"pip": ["-r requirements.lock"]}
    assert (checkout / "requirements.lock").exists()


def test_what_conda_hands_to_pip_installs(checkout: Path, tmp_path: Path):
    """Conda writes its ``pip:`` section to a file beside environment.yml and gives that to pip."""
    lines = yaml.safe_load((checkout / "environment.yml").read_text())["dependencies"][-1]["pip"]
    shutil.copy(checkout / "requirements.lock", tmp_path)
    handed = tmp_path / "condaenv.requirements.txt"
    handed.write_text("\n".join(lines))
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "-r", str(handed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_is_quick():
    code = "import sys; before = set(sys.modules); import imnetlib; "
    code += "print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # Only itself: an import that imports nothing cannot be slow.
    assert int(done.stdout) == 1


MODULES = sorted(
    ".".join(path.relative_to(Path(__file__).parent.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )
    for path in (Path(__file__).parent.parent / "imnetlib").rglob("*.py")
    if "engines" not in path.parts
)


def test_no_module_but_the_engines_imports_a_framework():
    code = f"import importlib, sys; [importlib.import_module(name) for name in {MODULES}]; "
    code += "print([name for name in ('mxnet', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["recordio", "archive", "throughput", "evaluate"])
def test_a_module_to_take_alone_needs_numpy_and_the_standard_library(name: str):
    code = (
        f"import sys, imnetlib.{name}; print(sorted({{m.partition('.')[0] for m in sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {
        module for module in json.loads(done.stdout.replace("'", '"')) if not module.startswith("_")
    }
    third_party = (
        loaded - sys.stdlib_module_names - {"numpy", "cython_runtime", "imnetlib", "sitecustomize"}
    )
    assert third_party == set()


def test_wordnet_works_right_after_set_up(tmp_path: Path):
    code = "from nltk.corpus import wordnet; "
    code += "print(wordnet.synset_from_pos_and_offset('n', 2510455).lemma_names())"
    environment = {name: value for name, value in os.environ.items() if name != "NLTK_DATA"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.startswith("['giant_panda', 'panda',"), done.stderr


class TestMakeEnv:
    """tools/make_env.sh on machines that cannot serve: one clear sentence, nothing left behind."""

    def run(
        self, checkout: Path, folder: Path, tools: dict[str, str]
    ) -> subprocess.CompletedProcess:
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        for name in ("bash", "dirname", "cat", "cksum", "awk", "mktemp", "rm"):
            (bin_folder / name).symlink_to(shutil.which(name))
        for name, script in {"df": f'exec {shutil.which("df")} "$@"', **tools}.items():
            (bin_folder / name).write_text(f"#!{shutil.which('bash')}\n{script}\n")
            (bin_folder / name).chmod(0o755)
        command = [
            str(bin_folder / "bash"),
            str(checkout / "tools" / "make_env.sh"),
            str(folder / "env"),
        ]
        environment = {**os.environ, "PATH": str(bin_folder)}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    def test_no_python_that_fits(self, checkout: Path, tmp_path: Path):
        done = self.run(checkout, tmp_path, {"python3": "exit 1"})
        assert done.returncode == 1
        assert done.stderr.startswith("No Python 3.11 or 3.12 found")
        assert "uv" in done.stderr
        assert "conda env create -f environment.yml" in done.stderr
        assert not (tmp_path / "env").exists()

    def test_no_space(self, checkout: Path, tmp_path: Path):
        done = self.run(checkout, tmp_path, {"df": "echo head; echo '/dev/vda 1 1 700000 99% /'"})
        assert done.returncode == 1
        assert done.stderr.startswith("The environment needs 2.5 GB;")
        assert "has 700 MB free" in done.stderr

    def test_another_python_in_the_folder_is_named_and_left_alone(
        self, checkout: Path, tmp_path: Path
    ):
        (tmp_path / "env" / "bin").mkdir(parents=True)
        (tmp_path / "env" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "env" / "bin" / "python").chmod(0o755)
        done = self.run(checkout, tmp_path, {})
        assert done.returncode == 1
        assert "holds another Python than 3.11 or 3.12: remove that folder" in done.stderr
        assert (tmp_path / "env" / "bin" / "python").exists()

    def test_a_failing_install_is_told_and_cleaned_up(self, checkout: Path, tmp_path: Path):
        fake = f"{tmp_path}/fake-python"
        Path(fake).write_text("#!/bin/sh\necho no network; exit 1\n")
        Path(fake).chmod(0o755)
        script = '[ "$1" = -c ] && exit 0; PATH=/usr/bin:/bin; mkdir -p "$3/bin"; '
        script += f'cp {fake} "$3/bin/python"'
        done = self.run(checkout, tmp_path, {"python3.11": script})
        assert done.returncode == 1
        assert "no network" in done.stderr
        assert "could not be made" in done.stderr
        assert not (tmp_path / "env").exists()
