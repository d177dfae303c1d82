"""Outputs put into the course: clean, measured ones kept, figures as the notebook holds them."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import nbformat
import pytest
from making import imnet
from PIL import Image

from imnetlib.course import freshness, report, runner, storing

MEASURED = ["measured"]
TIME = "import time\nfrom imnetlib.course import plots, record, repeat"
DRAW = """\
figure, axis = plots.axes(1, 1)
axis.bar([0, 1], [1, time.time() % 1])
plots.show(figure, "01_times", "A line that is another each time.")
"""


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty course."""
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")
    monkeypatch.setattr(storing, "CHECKOUT", tmp_path)
    runner.NOTEBOOKS.mkdir()
    return tmp_path


def write(chapter: Path, *cells: tuple[str, list[str]], needs: str = "") -> None:
    """A chapter of cells with tags."""
    made = [nbformat.v4.new_code_cell(text, metadata={"tags": tags}) for text, tags in cells]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    metadata |= {"imnetlib": {"needs": needs}} if needs else {}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=metadata), chapter)


def held(course: Path) -> dict[str, bytes]:
    """Every file of the course that is committed."""
    paths = [*(course / "notebooks").iterdir(), *(course / "figures").iterdir()]
    return {path.name: path.read_bytes() for path in paths}


def test_a_second_run_changes_no_file_unless_it_measures(course: Path):
    chapter = course / "notebooks" / "01_first.ipynb"
    cells = [
        (TIME, []),
        ("now = time.time_ns()", []),
        ("print('printed'); print(now)", MEASURED),
        (DRAW, MEASURED),
        ("now", MEASURED),
        ("record(f'it is {now}', now=now)", MEASURED),
    ]
    write(chapter, *cells)
    (course / "figures").mkdir()
    for old in ("01_old.png", "01_times.jpg"):
        (course / "figures" / old).touch()
    assert imnet("run", "--store").exit_code == 0
    first = held(course)
    assert first.keys() == {"01_first.ipynb", "01_times.png"}
    stored = nbformat.read(chapter, as_version=4)
    assert freshness.changed(stored) == []
    assert set(stored.metadata.imnetlib) == {"made_with", "measured", "source_sha256"}
    assert [cell.metadata for cell in stored.cells] == [{}, {}, *[{"tags": MEASURED}] * 4]
    for trace in ("papermill", "iopub", str(course)):
        assert trace not in chapter.read_text()
    assert imnet("run", "1", "--store").exit_code == 0
    assert held(course) == first
    assert imnet("run", "1", "--store", "--measure").exit_code == 0
    third = held(course)
    assert all(third[name] != content for name, content in first.items())
    now = nbformat.read(chapter, as_version=4)
    (shown,) = now.cells[3].outputs
    assert base64.b64decode(shown.data["image/png"]) == third["01_times.png"]
    assert report.recorded(now)["now"] > report.recorded(stored)["now"]


def test_all_chapters_are_stored_on_a_new_root_and_one_where_it_ran_before(
    course: Path, monkeypatch: pytest.MonkeyPatch
):
    sources = (
        "import os\nfrom imnetlib.course import open_root",
        "roots = os.environ.get('IMNETLIB_ROOTS', '')",
        "roots and open_root('data/mine').root.relative_to(roots).as_posix()",
        "[name for _, _, names in os.walk(roots) for name in names]",
        "roots and open(f'{roots}/old', 'w').close()",
    )
    write(course / "notebooks" / "01_first.ipynb", *((source, []) for source in sources))
    (course / "build" / "roots").mkdir(parents=True)
    (course / "build" / "roots" / "of_a_killed_run").touch()
    for arguments, shown in (
        (["--store"], ["'data/mine'", "['imnetlib-root.json']"]),
        (["--store"], ["'data/mine'", "['imnetlib-root.json']"]),
        (["1", "--store"], ["''", "[]", "''"]),
    ):
        assert imnet("run", *arguments).exit_code == 0
        stored = nbformat.read(course / "notebooks" / "01_first.ipynb", as_version=4)
        outputs = [output for cell in stored.cells for output in cell.outputs]
        assert [output.data["text/plain"] for output in outputs] == shown
        assert not (course / "build" / "roots").exists()
    assert "IMNETLIB_ROOTS" not in os.environ


def drawn(shade: int) -> nbformat.NotebookNode:
    """A picture in an output."""
    content = io.BytesIO()
    Image.new("L", (1, 1), shade).save(content, format="PNG")
    encoded = base64.b64encode(content.getvalue()).decode()
    return nbformat.v4.new_output("display_data", {"image/png": encoded})


def ran(*outputs: nbformat.NotebookNode, files: dict[str, str], **cell: object) -> object:
    """A chapter whose second cell is measured, as it is stored."""
    sources = ("from imnetlib import room\nsize = 3", cell.get("source", "room.rate(size)"))
    first, second = map(nbformat.v4.new_code_cell, sources)
    first.source = cell.get("before", first.source)
    second |= {"outputs": list(outputs), "execution_count": cell.get("count", 2)}
    second.metadata.tags = cell.get("tags", MEASURED)
    return storing.clean(nbformat.v4.new_notebook(cells=[first, second]), files)


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ({}, {}, True),
        ({}, {"source": "room.rate(size) "}, False),
        ({}, {"before": "from imnetlib import room\nsize = 4"}, False),
        ({}, {"tags": []}, False),
        ({"tags": []}, {}, False),
        ({"count": None}, {}, False),
        ({}, {"count": 7}, True),
        ({"files": {}}, {}, True),
    ],
)
def test_a_measured_output_is_kept_while_what_it_comes_from_is_the_same(old, new, kept: bool):
    files = {"requirements.lock": "0"}
    result = nbformat.v4.new_output("execute_result", {"text/plain": "1 s"}, execution_count=2)
    stored = ran(result, **{"files": files, **old})
    fresh = nbformat.v4.new_output("execute_result", {"text/plain": "2 s"}, execution_count=2)
    notebook = ran(fresh, **{"files": files | {"requirements.lock": "1"}, **new})
    if "count" in new:
        notebook.cells[1].outputs[0].execution_count = new["count"]
    storing.keep_measured(notebook, stored)
    (output,) = notebook.cells[1].outputs
    assert output.data["text/plain"] == ("1 s" if kept else "2 s")
    assert output.execution_count == notebook.cells[1].execution_count or not kept


def test_an_output_under_a_source_that_was_edited_since_is_not_kept():
    result, fresh = (nbformat.v4.new_output("display_data", {"text/plain": t}) for t in "12")
    stored = ran(result, files={})
    stored.cells[1].source = "room.rate(4)"
    notebook = ran(fresh, files={}, source="room.rate(4)")
    storing.keep_measured(notebook, stored)
    assert notebook.cells[1].outputs == [fresh]


@pytest.mark.parametrize("edited", ["", "first", "second"])
def test_measured_outputs_of_a_chapter_are_kept_or_renewed_together(edited: str):
    """Two cells show one figure, and only one of them comes from something else than before."""
    sources = {"first": "rate = room.rate()\nrate", "second": "room.record(rate)"}
    chapters = []
    for shown, changed in (("1 s", ""), ("2 s", edited)):
        texts = [text + "  # new" * (name == changed) for name, text in sources.items()]
        cells = [nbformat.v4.new_code_cell(text, execution_count=1) for text in texts]
        for cell in cells:
            cell.metadata.tags = MEASURED
            cell.outputs = [nbformat.v4.new_output("display_data", {"text/plain": shown})]
        chapters.append(storing.clean(nbformat.v4.new_notebook(cells=cells), {}))
    stored, notebook = chapters
    storing.keep_measured(notebook, stored)
    outputs = [output.data["text/plain"] for cell in notebook.cells for output in cell.outputs]
    assert outputs == (["2 s", "2 s"] if edited else ["1 s", "1 s"])


@pytest.mark.parametrize(("before", "kept"), [([1], True), ([], False), ([1, 2], False)])
def test_an_output_with_other_pictures_is_not_kept(before: list[int], kept: bool):
    stored = ran(*map(drawn, before), files={})
    notebook = ran(drawn(3), files={})
    storing.keep_measured(notebook, stored)
    assert notebook.cells[1].outputs == ([drawn(1)] if kept else [drawn(3)])


def test_a_chapter_that_fails_leaves_the_course_as_it_was(course: Path):
    chapter = course / "notebooks" / "01_first.ipynb"
    write(chapter, (TIME, []), (DRAW, []), ("raise OSError('full')", []))
    before = chapter.read_bytes()
    assert imnet("run", "--store").exit_code == 1
    assert chapter.read_bytes() == before
    assert not (course / "figures").exists()


def test_a_stored_chapter_still_says_what_it_needs(course: Path):
    chapter = course / "notebooks" / "03_third.ipynb"
    write(chapter, ("print(0)", []), needs="json")
    storing.store_chapter(chapter, course / "build")
    stored = nbformat.read(chapter, as_version=4)
    assert set(stored.metadata.imnetlib) == {*("made_with", "measured", "needs", "source_sha256")}


def test_a_chapter_that_cannot_run_here_stays_and_the_line_says_so(
    course: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "_NEEDS", {"no_such": "needs no_such, get it"})
    chapter = course / "notebooks" / "02_second.ipynb"
    write(chapter, ("print(0)", []), needs="no_such")
    before = chapter.read_bytes()
    done = imnet("run", "--store")
    assert done.exit_code == 0
    assert "left out, what is stored stays: needs no_such, get it" in done.output
    assert chapter.read_bytes() == before
