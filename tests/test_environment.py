"""pyproject.toml, the locks and environment.yml agree; imports are quick; set-up fails clearly."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import lend_libraries
import pytest
import yaml
from packaging.requirements import Requirement

from imnetlib.course import doctor

EXTRAS_IN_LOCK = ("mxnet", "course", "cluster", "parquet")
TORCH = "torch==2.13.0"
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-site.lock")


def requirements(lines: list[str]) -> list[Requirement]:
    """Those that hold on this machine."""
    parsed = map(Requirement, lines)
    return [line for line in parsed if line.marker is None or line.marker.evaluate()]


def test_the_locks_pin_every_declared_dependency_within_its_range(checkout: Path):
    settings = tomllib.loads((checkout / "pyproject.toml").read_text())
    declared = [*settings["project"]["dependencies"]]
    for extra in EXTRAS_IN_LOCK:
        declared += settings["project"]["optional-dependencies"][extra]
    groups = settings["dependency-groups"]
    for lines, name in zip((declared, groups["dev"], groups["site"]), LOCKS, strict=True):
        locked = doctor.locked_versions(checkout / name)
        for requirement in requirements(lines):
            assert requirement.specifier.contains(locked[requirement.name]), requirement


def test_the_locks_name_one_version_of_what_is_in_several(checkout: Path):
    versions = [doctor.locked_versions(checkout / name) for name in LOCKS]
    for one, other in itertools.combinations(versions, 2):
        both = one.keys() & other.keys()
        assert {name: one[name] for name in both} == {name: other[name] for name in both}


def test_mxnet_is_in_the_lock_for_every_python(checkout: Path):
    lines = (checkout / "requirements.lock").read_text().splitlines()
    (pin,) = [Requirement(line.rstrip("\\")) for line in lines if line.startswith("mxnet==")]
    for python in ("3.11.0", "3.12.1", "3.13.0", "3.14.0"):
        on = {"sys_platform": "linux", "platform_machine": "x86_64", "python_full_version": python}
        assert pin.marker.evaluate(on), python


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_in_a_lock_has_a_hash(checkout: Path, lock: str):
    blocks = re.split(r"\n(?=\S)", (checkout / lock).read_text())
    pins = [block for block in blocks if not block.startswith("#")]
    assert len(pins) > 20
    assert [block for block in pins if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_local_path(checkout: Path, lock: str):
    text = (checkout / lock).read_text()
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


def test_a_backup_does_not_wait_for_numpy():
    code = "import sys, imnetlib.cloud, imnetlib.cli.storage; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


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


BOX = ("bash", "dirname", "cat", "cksum", "mktemp", "rm", "mkdir", "cp", "tail", "awk", "chmod")
FAKE_PYTHON = """
case "$*" in
  *sys.version_info*) {unfit} ;;
  *ensurepip*) {no_venv} ;;
  --version) echo "Python 3.9.2" ;;
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
  *"pip download"*) {download} ;;
  *"pip install"*) {install} ;;
  *"engines.mxnet"*) {mxnet} ;;
  *urllib*) {pytorch_index} ;;
esac
"""


def fake_python(**answers: str) -> str:
    """The script of a Python that answers what tools/make_env.sh asks, and installs nothing."""
    asked = ("unfit", "no_venv", "download", "install", "mxnet", "pytorch_index")
    quiet = dict.fromkeys(asked, ":")
    return FAKE_PYTHON.format(**{**quiet, **answers})


class TestMakeEnv:
    """tools/make_env.sh on machines that cannot serve: one clear sentence, nothing left behind."""

    def run(
        self, checkout: Path, folder: Path, tools: dict[str, str], *locks: str, engine: str = ""
    ) -> subprocess.CompletedProcess:
        bin_folder = folder / "bin"
        bin_folder.mkdir(exist_ok=True)
        enough = "echo head; echo '/dev/vda 1 1 9000000 9% /'"
        scripts = {"df": enough, "uname": "echo Linux x86_64"}
        for name in BOX:
            if not (bin_folder / name).exists():
                (bin_folder / name).symlink_to(shutil.which(name))
        for name, script in {**scripts, **tools}.items():
            (bin_folder / name).write_text(f"#!{shutil.which('bash')}\n{script}\n")
            (bin_folder / name).chmod(0o755)
        script = str(checkout / "tools" / "make_env.sh")
        command = [str(bin_folder / "bash"), script, str(folder / "env"), *locks]
        environment = {**os.environ, "PATH": str(bin_folder), "ENGINE": engine}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    @pytest.mark.parametrize(
        ("tools", "sentence"),
        [
            ({}, "No Python 3.11 to 3.14 found (python3 is nothing)."),
            (
                {"python3": fake_python(unfit="exit 1")},
                "(python3 is Python 3.9.2). Install one, or uv",
            ),
            ({"python3": "exit 1"}, "or run: conda env create -f environment.yml"),
            (
                {"python3": fake_python(no_venv="exit 1")},
                "python3 has no venv module: install it (Debian and Ubuntu: python3-venv)",
            ),
            (
                {"df": "echo head; echo '/dev/vda 1 1 700000 99% /'"},
                "The environment needs 2.5 GB;",
            ),
            (
                {"python3": fake_python(download="echo ERROR: No matching distribution; exit 1")},
                "No package index answers (ERROR: No matching distribution): check the network",
            ),
        ],
        ids=["none", "too old", "broken", "no venv", "no room", "no network"],
    )
    def test_one_sentence_and_nothing_left(
        self, checkout: Path, tmp_path: Path, tools: dict[str, str], sentence: str
    ):
        done = self.run(checkout, tmp_path, tools)
        assert done.returncode == 1
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert done.stdout == ""
        assert not (tmp_path / "env").exists()

    def test_another_python_in_the_folder_is_named_and_left_alone(
        self, checkout: Path, tmp_path: Path
    ):
        (tmp_path / "env" / "bin").mkdir(parents=True)
        (tmp_path / "env" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "env" / "bin" / "python").chmod(0o755)
        done = self.run(checkout, tmp_path, {})
        assert done.returncode == 1
        assert "holds another Python than 3.11 to 3.14: remove that folder" in done.stderr
        assert (tmp_path / "env" / "bin" / "python").exists()

    def test_a_failing_install_is_told_whole_and_cleaned_up(self, checkout: Path, tmp_path: Path):
        install = "echo the story; echo the end; exit 1"
        done = self.run(checkout, tmp_path, {"python3": fake_python(install=install)})
        assert done.returncode == 1
        assert done.stderr == "the story\nthe end\nThe environment could not be made: see above.\n"
        assert not (tmp_path / "env").exists()

    def test_what_is_installed_is_not_installed_again(self, checkout: Path, tmp_path: Path):
        """The tests' lock is added to a reader's environment, and only that."""
        log = tmp_path / "log"
        python = {"python3": fake_python(install=f'echo "${{@: -1}}" >>{log}')}
        for locks in ((), (), LOCKS[1:2], LOCKS[1:2], ()):
            assert self.run(checkout, tmp_path, python, *locks).returncode == 0
        assert log.read_text().split() == ["requirements.lock", ".", "requirements-dev.lock"]

    def test_mxnet_that_does_not_import_is_said_and_tried_again(
        self, checkout: Path, tmp_path: Path
    ):
        python = {"python3": fake_python(mxnet="echo no libgomp >&2; exit 1")}
        for _ in range(2):
            done = self.run(checkout, tmp_path, python)
            assert done.returncode == 0
            assert done.stderr.startswith(
                "MXNet does not import; make run ENGINE=torch runs the course on PyTorch."
            )
            assert done.stderr.endswith(" no libgomp\n")

    def test_a_machine_without_mxnet_gets_pytorch(self, checkout: Path, tmp_path: Path):
        log = tmp_path / "log"
        python = fake_python(install=f'echo "${{@: -1}}" >>{log}')
        tools = {"uname": "echo Linux aarch64", "python3": python}
        done = self.run(checkout, tmp_path, tools)
        assert done.stderr == (
            "MXNet has a wheel for Linux on x86-64 only: on Linux aarch64 the course runs on "
            "PyTorch.\n"
        )
        assert log.read_text().split() == ["requirements.lock", ".", TORCH]

    @pytest.mark.parametrize(
        ("gpu", "index", "from_there"),
        [("exit 1", ":", True), (":", ":", False), ("exit 1", "exit 1", False)],
        ids=["no GPU", "a GPU", "no GPU, PyTorch's index does not answer"],
    )
    def test_pytorch_comes_once_beside_the_lock_for_the_gpu_that_is_there(
        self, checkout: Path, tmp_path: Path, gpu: str, index: str, from_there: bool
    ):
        log = tmp_path / "log"
        python = fake_python(install=f'echo "$@" >>{log}', pytorch_index=index)
        tools = {"python3": python, "nvidia-smi": gpu}
        for engine in ("", "mxnet", "torch", "torch", ""):
            assert self.run(checkout, tmp_path, tools, engine=engine).returncode == 0
        *_, last = lines = log.read_text().splitlines()
        assert len(lines) == 3
        assert last.endswith(TORCH)
        assert ("--extra-index-url https://download.pytorch.org/whl/cpu" in last) == from_there
        assert "--constraint" in last

    def test_another_engine_is_refused(self, checkout: Path, tmp_path: Path):
        done = self.run(checkout, tmp_path, {}, engine="jax")
        assert (done.returncode, done.stderr) == (2, "ENGINE is mxnet or torch, not jax.\n")


class TestLendLibraries:
    """What libmxnet.so needs and the system lacks is copied beside it, under the names it wants."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Path:
        """site-packages with MXNet and two wheels that keep a library for themselves."""
        for name in (
            "mxnet/libmxnet.so",
            "scikit_learn.libs/libgomp-e985bcbb.so.1.0.0",
            "scipy.libs/libquadmath-96973f99-934c22de.so.0.0.0",
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        return tmp_path

    def names(self, site: Path) -> list[str]:
        return sorted(path.name for path in (site / "mxnet").iterdir())

    def test_a_bare_system(self, site: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(lend_libraries, "_system_has", lambda name: False)
        for _ in range(2):
            assert len(lend_libraries.lend(site / "mxnet", site)) == 2
            assert self.names(site) == ["libgomp.so.1", "libmxnet.so", "libquadmath.so.0"]
        gomp = (site / "mxnet" / "libgomp.so.1").read_text()
        assert gomp == "scikit_learn.libs/libgomp-e985bcbb.so.1.0.0"

    def test_the_system_s_own_are_taken(self, site: Path, monkeypatch: pytest.MonkeyPatch):
        (site / "mxnet" / "libgomp.so.1").write_text("lent before the system had one")
        monkeypatch.setattr(lend_libraries, "_system_has", lambda name: "gomp" in name)
        lend_libraries.lend(site / "mxnet", site)
        assert self.names(site) == ["libmxnet.so", "libquadmath.so.0"]

    def test_nothing_to_lend(self, site: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(lend_libraries, "_system_has", lambda name: False)
        shutil.rmtree(site / "scikit_learn.libs")
        lend_libraries.lend(site / "mxnet", site)
        assert self.names(site) == ["libmxnet.so", "libquadmath.so.0"]
