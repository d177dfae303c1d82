"""What it takes to run a chapter alone."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from imnetlib.course import runner

# PyTorch is no part of the lock.
collect_ignore = [] if importlib.util.find_spec("torch") else ["test_chapter_10.py"]


class Ran(NamedTuple):
    """What a chapter recorded, and the figures it drew."""

    values: dict[str, Any]
    figures: set[str]


def with_sample(mirror: Path, root: Path) -> Path:
    """A root folder that holds the drawn sample, by hard links, and nothing of any chapter."""
    shutil.copytree(mirror, root / "mirror", copy_function=os.link)
    return root


def run(name: str, root: Path, folder: Path) -> Ran:
    """Run the chapter ``name`` on ``root``; its notebook and figures go into ``folder``."""
    (chapter,) = runner.find_chapters([name])
    outcome = runner.run_chapter(chapter, {"root": str(root)}, folder)
    return Ran(outcome.values, {path.stem for path in (folder / "figures").glob("*.*")})


@pytest.fixture
def root(mirror: Path, tmp_path: Path) -> Path:
    """A root folder that holds the drawn sample and nothing of any chapter."""
    return with_sample(mirror, tmp_path / "root")


@pytest.fixture
def run_chapter(root: Path, tmp_path: Path) -> Callable[[str], Ran]:
    """Runs a chapter on ``root``."""
    return lambda name: run(name, root, tmp_path / "build")


@pytest.fixture(scope="session")
def chapter_7(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The root that chapter 7 leaves behind, and how it ran: its network serves every test."""
    folder = tmp_path_factory.mktemp("chapter-7")
    root = with_sample(mirror, folder / "root")
    return root, run("07_multi_gpu_training", root, folder / "build")
