"""A killed imnet run: its kernel ends with it, the course stays as it was, a second run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

RUN = """
import sys
from pathlib import Path
from imnetlib import cli
from imnetlib.course import runner, storing

storing.CHECKOUT = runner.NOTEBOOKS = Path(sys.argv[1])
runner.BUILD = runner.NOTEBOOKS / "build"
cli.main(["run", *sys.argv[2:]])
"""
# Waits for its kill the first time.
CELL = """
import os, time
from pathlib import Path
from imnetlib.course import record
under_way = Path("under_way")
if not under_way.exists():
    under_way.write_text(str(os.getpid()))
    time.sleep(60)
record("it ran", answer=42)
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--store"]], ids=["run", "run --store"])
def test_a_killed_run_leaves_the_chapter_as_it_was_and_can_be_repeated(
    tmp_path: Path, options: list[str]
):
    chapter = tmp_path / "01_first.ipynb"
    parameters = nbformat.v4.new_code_cell("n: int = 1  # one", metadata={"tags": ["parameters"]})
    cells = [parameters, nbformat.v4.new_code_cell(CELL)]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), chapter)
    before = chapter.read_bytes()
    command = [sys.executable, "-c", RUN, str(tmp_path), *options]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        under_way = tmp_path / "under_way"
        deadline = time.monotonic() + 60
        while not (under_way.exists() and under_way.read_text()):
            assert time.monotonic() < deadline, (tmp_path / "output").read_text()
            time.sleep(0.02)
        process.kill()
        process.wait()
    pid = int(under_way.read_text())
    deadline = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = is_alive(pid)
    if left:
        os.kill(pid, 9)
    assert not left
    assert chapter.read_bytes() == before
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "it ran" in done.stdout
    executed = json.loads((tmp_path / "build" / "notebooks" / chapter.name).read_text())
    assert executed["cells"][-1]["outputs"]
    assert (chapter.read_bytes() == before) == (not options)
