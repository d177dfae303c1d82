"""Copies of the chapters: made, brought up to date, and what a reader has written never lost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbclient
import nbformat
import pytest
from killing import run_killed
from making import imnet

from imnetlib.course import copies, freshness, runner, storing
from imnetlib.course.root import CHECKOUT
from imnetlib.files import exclusive_lock

FIRST = "01_first.ipynb"
KEPT = "01_first-yours-1.ipynb"


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two chapters, beside an empty build."""
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")
    runner.NOTEBOOKS.mkdir()
    write(runner.NOTEBOOKS / FIRST, "x = 1", "answer = ...")
    write(runner.NOTEBOOKS / "02_second.ipynb", "y = 2")
    return runner.NOTEBOOKS


def write(chapter: Path, *sources: str, text: str = "# A chapter") -> None:
    """A chapter as it is stored."""
    cells = [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, sources)]
    notebook = storing.clean(nbformat.v4.new_notebook(cells=cells), {})
    nbformat.write(notebook, chapter)


def change(copy: Path, edit: Callable[[nbformat.NotebookNode], object]) -> bytes:
    """Let a reader do something to a copy; what it is then."""
    notebook = nbformat.read(copy, as_version=4)
    edit(notebook)
    nbformat.write(notebook, copy)
    return copy.read_bytes()


def answer(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[2].source = "answer = 42"


def run(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    notebook.cells[1].execution_count = 7
    notebook.cells[1].metadata["collapsed"] = True
    notebook.metadata["widgets"] = {}


def refreshed(*options: str) -> list[str]:
    """What the verb says, but for its last line."""
    done = imnet("refresh", *options)
    assert done.exit_code == 0, done.output
    *lines, last = done.output.splitlines()
    assert last == f"Your copies of the chapters: {runner.BUILD / 'course'}"
    return [re.sub(" +", " ", line) for line in lines]


def sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


@pytest.fixture
def mine(course: Path) -> Path:
    """The folder of the copies, made."""
    assert refreshed("--missing") == ["01_first copied", "02_second copied"]
    return runner.BUILD / "course"


def test_a_copy_is_the_chapter_as_it_is_stored(course: Path, mine: Path):
    assert sorted(path.name for path in mine.iterdir()) == [FIRST, "02_second.ipynb"]
    chapter = nbformat.read(course / FIRST, as_version=4)
    copy = nbformat.read(mine / FIRST, as_version=4)
    assert copy.metadata.imnetlib.pop("copied") == f"{FIRST} {freshness.source_hash(chapter)}"
    assert copy == chapter


@pytest.mark.parametrize("options", [["--missing"], []])
@pytest.mark.parametrize("deed", [answer, run])
def test_without_a_new_version_only_what_is_missing_is_made(mine: Path, deed, options: list[str]):
    before = change(mine / FIRST, deed)
    (mine / "02_second.ipynb").unlink()
    assert refreshed(*options) == ["02_second copied"]
    assert refreshed(*options) == []
    assert (mine / FIRST).read_bytes() == before


@pytest.mark.parametrize("deed", [run, len])
def test_an_untouched_copy_is_replaced_by_the_new_version(course: Path, mine: Path, deed):
    before = change(mine / FIRST, deed)
    write(course / FIRST, "x = 3")
    assert refreshed("--missing") == ["01_first new version: left until imnet refresh"]
    assert (mine / FIRST).read_bytes() == before
    assert refreshed() == ["01_first new version"]
    assert sources(mine / FIRST) == ["# A chapter", "x = 3"]
    assert len(list(mine.iterdir())) == 2
    assert refreshed() == []


def add_note(notebook: nbformat.NotebookNode) -> None:
    notebook.cells.append(nbformat.v4.new_markdown_cell("mine"))


def turn_to_text(notebook: nbformat.NotebookNode) -> None:
    notebook.cells[1] = nbformat.v4.new_markdown_cell(notebook.cells[1].source)


def lose_the_note(notebook: nbformat.NotebookNode) -> None:
    del notebook.metadata["imnetlib"]


@pytest.mark.parametrize("deed", [answer, add_note, turn_to_text, lose_the_note])
def test_a_copy_that_the_reader_has_changed_is_kept_beside_each_new_version(
    course: Path, mine: Path, deed
):
    first = change(mine / FIRST, deed)
    write(course / FIRST, "x = 3", "answer = ...")
    assert refreshed("--missing") == ["01_first new version: left until imnet refresh"]
    assert refreshed() == [f"01_first new version; yours is now {KEPT}"]
    assert sources(mine / FIRST)[1:] == ["x = 3", "answer = ..."]
    second = change(mine / FIRST, answer)
    write(course / FIRST, "x = 4")
    assert refreshed() == ["01_first new version; yours is now 01_first-yours-2.ipynb"]
    assert (mine / KEPT).read_bytes() == first
    assert (mine / "01_first-yours-2.ipynb").read_bytes() == second
    assert sources(mine / FIRST)[1:] == ["x = 4"]
    assert refreshed() == []


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff", b"{", b"[]", b"null", b"{}", b'{"metadata": 3}', b'{"metadata": {}}'),
        b'{"metadata": {"imnetlib": {"copied": "01_first.ipynb 0"}}, "cells": [{"source": 3}]}',
    ],
)
def test_what_cannot_be_read_is_kept_too(mine: Path, content: bytes):
    (mine / FIRST).write_bytes(content)
    (mine / "notes.ipynb").write_bytes(content)
    assert refreshed() == [f"01_first new version; yours is now {KEPT}"]
    assert (mine / KEPT).read_bytes() == content
    assert (mine / "notes.ipynb").read_bytes() == content
    assert refreshed() == []


def test_of_chapters_that_are_gone_what_the_reader_wrote_stays(course: Path, mine: Path):
    before = change(mine / FIRST, answer)
    shutil.copy(mine / "02_second.ipynb", mine / "02_second-Copy1.ipynb")
    (course / FIRST).rename(course / "03_first.ipynb")
    (course / "02_second.ipynb").rename(course / "04_second.ipynb")
    assert refreshed() == [
        f"01_first no longer in the course; yours is now {KEPT}",
        "02_second no longer in the course",
        "03_first copied",
        "04_second copied",
    ]
    assert (mine / KEPT).read_bytes() == before
    names = {path.name for path in mine.iterdir()}
    assert names == {KEPT, "02_second-Copy1.ipynb", "03_first.ipynb", "04_second.ipynb"}
    assert refreshed() == []


def test_answers_that_came_from_the_chapter_itself_are_kept(course: Path):
    original = (course / FIRST).read_bytes()
    change(course / FIRST, answer)
    assert len(refreshed()) == 2
    (course / FIRST).write_bytes(original)
    assert refreshed() == [f"01_first new version; yours is now {KEPT}"]
    assert sources(runner.BUILD / "course" / KEPT)[2] == "answer = 42"


def test_a_second_refresh_at_the_same_time_is_refused(mine: Path):
    with exclusive_lock(mine):
        done = imnet("refresh")
    assert done.exit_code == 1
    assert f"another process is at work in {mine}" in done.output


def test_outside_of_a_checkout_it_says_so_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")
    done = imnet("refresh")
    assert done.exit_code == 1
    assert "run this in a checkout of the course" in done.output
    assert list(tmp_path.iterdir()) == []


def test_killed_before_any_step_it_has_lost_nothing_and_the_next_ends_it(course: Path, mine: Path):
    change(mine / FIRST, answer)
    start = shutil.copytree(mine, mine.with_name("start"))
    write(course / FIRST, "x = 3")
    write(course / "02_second.ipynb", "y = 3")
    write(course / "03_third.ipynb", "z = 3")
    ends = []
    status = None
    while status != 0:
        shutil.rmtree(mine)
        shutil.copytree(start, mine)
        status = run_killed(["refresh"], len(ends) + 1, mine, course.parent)
        assert status in (0, -signal.SIGKILL)
        assert "answer = 42" in {source for path in mine.glob("01*") for source in sources(path)}
        refreshed()
        ends.append({path.name: path.read_bytes() for path in mine.iterdir()})
    # Three files are written, each under a name of its own first, and one is renamed.
    assert len(ends) > 3 * 2 + 1
    assert all(end == ends[0] for end in ends)
    assert ends[0].keys() == {FIRST, KEPT, "02_second.ipynb", "03_third.ipynb"}


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("[2](02_second.ipynb#A-chapter)", "[2](02_second.ipynb#A-chapter)"),
        ("![a](../figures/a.png)", "![a](../../figures/a.png)"),
        ("[d](<../data/a b.tsv>) ...", "[d](<../../data/a b.tsv>) ..."),
        ('<img alt="a" src="../figures/a.png">', '<img alt="a" src="../../figures/a.png">'),
        ("[w](https://a.org/../b) ../c", "[w](https://a.org/../b) ../c"),
    ],
)
def test_links_lead_where_they_do_in_the_chapter(course: Path, text: str, there: str):
    write(course / FIRST, "print('](../')", text=text)
    refreshed()
    assert sources(runner.BUILD / "course" / FIRST) == [there, "print('](../')"]
    write(course / FIRST, "x = 1", text=text)
    assert refreshed() == ["01_first new version"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as committed, of what this one holds."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("imnetlib", "notebooks", "figures", "data"):
        shutil.copytree(CHECKOUT / name, clone / name, ignore=shutil.ignore_patterns("sample"))
    shutil.copytree(CHECKOUT / "imnetlib/course/sample", clone / "imnetlib/course/sample")
    shutil.copy(CHECKOUT / ".gitignore", clone)
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "-c", "user.name=a", "-c", "user.email=a", "commit", "--quiet", "--message", "a")
    return clone


def git(clone: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=clone, check=True, capture_output=True, text=True)
    return done.stdout


DRAWING = """\
from imnetlib.course import plots
figure, axis = plots.axes()
plots.show(figure, "99_drawn", "nothing")
"""


def test_to_work_in_a_copy_leaves_the_checkout_as_it_was(
    clone: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", str(clone))
    monkeypatch.delenv("IMNETLIB_FIGURES", raising=False)
    command = "from imnetlib.cli import main; main(['refresh', '--missing'])"
    subprocess.run([sys.executable, "-c", command], cwd=clone, check=True)
    mine = clone / "build" / "course"
    chapters = sorted(path.name for path in (clone / "notebooks").glob("*.ipynb"))
    assert sorted(path.name for path in mine.iterdir()) == chapters
    untouched = [copies._notes(path) for path in mine.iterdir()]
    assert [note for note, now in untouched if note != now] == []
    notebook = nbformat.read(mine / "11_quiz.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(DRAWING))
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(mine)}}).execute()
    nbformat.write(notebook, mine / "11_quiz.ipynb")
    assert [path.name for path in (mine / "figures").iterdir()] == ["99_drawn.png"]
    assert git(clone, "status", "--porcelain") == ""


@pytest.mark.parametrize("chapter", runner.find_chapters([]), ids=lambda path: path.stem)
def test_every_link_of_a_copy_leads_to_a_file(chapter: Path):
    _, data = copies._copy(chapter)
    cells = nbformat.reads(data.decode(), as_version=4).cells
    text = "".join(cell.source for cell in cells if cell.cell_type == "markdown")
    links = re.findall(r"""(?:\]\(<?|\b(?:src|href)=["'])([^)>"'#:]+)[)>"'#]""", text)
    assert links
    for link in links:
        # A copy of each chapter lies beside this one.
        chapters = chapter.parent if "/" not in link else CHECKOUT / "build" / "course"
        assert Path(os.path.normpath(chapters / link)).exists(), link
