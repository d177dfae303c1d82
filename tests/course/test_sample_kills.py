"""Killed at any file, drawing leaves no half archive, and the next call finishes the sample."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from forking import is_alive

from imnetlib.catalog import DEVKIT, TRAIN_TAR, VALIDATION_TAR
from imnetlib.course import sample
from imnetlib.course.sample import drawing

SETTINGS = {"classes": 5, "train_per_class": 4, "validation_per_class": 3, "seed": 7}
# In the development kit, at the tars of the first and the last class, and at the first and the last
# file of the validation set.
KILLED_AT = (2, 8, 28, 29, 43)


def archives_in(folder: Path) -> dict[str, bytes]:
    """The archives that are there, by name."""
    names = (TRAIN_TAR, VALIDATION_TAR, DEVKIT)
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def flat(wnid: str, index: int, *, seed: int) -> np.ndarray:
    """A picture of one colour: where only the archives matter, nobody waits for a painter."""
    return np.full((60, 80, 3), (int(wnid[1:]) + index + seed) % 256, np.uint8)


# Draws a tiny sample, and dies at a file of a given number as in a power cut. Each number has a
# process of its own, forked from one that has everything imported and no thread yet.
SUICIDE = """
import multiprocessing, os, signal, sys, traceback
from pathlib import Path
import numpy as np
from imnetlib.course import sample
from imnetlib.course.sample import archives, drawing
{painter}

def draw_and_die(folder, number, workers):
    add, added = archives._add, []
    def add_or_die(tar, name, data):
        added.append(name)
        if len(added) == number:
            workers = [str(child.pid) for child in multiprocessing.active_children()]
            folder.with_suffix(".workers").write_text(" ".join(workers))
            os.kill(os.getpid(), signal.SIGKILL)
        add(tar, name, data)
    archives._add = add_or_die
    sample.draw(folder, **{settings}, workers=workers)

if __name__ == "__main__":
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    for number in sys.argv[3:]:
        process = os.fork()
        if not process:
            try:
                draw_and_die(folder / number, int(number), workers)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != -signal.SIGKILL:
            sys.exit(1)
"""


def killed_at(numbers: Iterable[int], folder: Path, workers: int, painter: str = "") -> None:
    """Samples in FOLDER/NUMBER, each left by a process that was killed at that file."""
    script = folder / "suicide.py"
    script.write_text(SUICIDE.format(painter=painter, settings=SETTINGS))
    command = [sys.executable, str(script), str(folder), str(workers), *map(str, numbers)]
    # Not a pipe: workers left behind would hold it open.
    with (folder / "output").open("wb") as output:
        done = subprocess.run(command, stdout=output, stderr=output)
    assert done.returncode == 0, (folder / "output").read_text()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The samples that processes of their own left when they were killed."""
    folder = tmp_path_factory.mktemp("killed")
    painter = inspect.getsource(flat) + "drawing.render = flat"
    killed_at(KILLED_AT, folder, workers=1, painter=painter)
    return folder


@pytest.mark.parametrize("number", KILLED_AT)
def test_a_kill_leaves_no_half_archive_and_the_next_draw_finishes(
    killed: Path, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(drawing, "render", flat)
    whole = tmp_path / "whole"
    sample.draw(whole, **SETTINGS, workers=1)
    folder = killed / str(number)
    assert archives_in(folder).items() <= archives_in(whole).items()
    with pytest.raises(FileNotFoundError):
        sample.load(folder)
    sample.draw(folder, **SETTINGS, workers=1)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        p.name: p.read_bytes() for p in whole.iterdir()
    }


def test_the_workers_end_with_a_killed_parent(tmp_path: Path):
    killed_at([8], tmp_path, workers=2)
    workers = [int(pid) for pid in (tmp_path / "8.workers").read_text().split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(map(is_alive, workers)):
        time.sleep(0.05)
    left = [pid for pid in workers if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
