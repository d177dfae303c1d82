"""What is committed of the chapters: outputs of the present source, without a trace of the run."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import nbformat
import papermill
import pytest

from imnetlib.course import freshness, runner, streams
from imnetlib.course.root import CHECKOUT

CHAPTERS = runner.find_chapters([])
NAMES = [path.stem for path in CHAPTERS]
# Figures of what no parameter, machine or network changes.
ALIKE_IN_ALL_RUNS = {"04_orders", "04_quality_seen", "06_network", "09_shared_nodes"}


def test_every_chapter_is_tested():
    tests = "".join(path.read_text() for path in (CHECKOUT / "tests" / "chapters").glob("*.py"))
    assert sorted(set(re.findall(r'"(\d\d_\w+)"', tests)) & set(NAMES)) == NAMES


@pytest.mark.parametrize("chapter", CHAPTERS, ids=NAMES)
class TestCommitted:
    """What a reader on a code host sees."""

    def test_outputs_belong_to_the_present_source(self, chapter: Path):
        notebook = nbformat.read(chapter, as_version=4)
        changed = freshness.changed(notebook)
        if runner.lacking(chapter):
            # Here nobody can run it again for a change of the library.
            changed = [each for each in changed if each == "its cells"]
        assert changed == [], f"changed since {chapter.stem} was stored: run make notebooks"
        silent = [cell for cell in code_cells(notebook) if cell.execution_count is None]
        assert silent == []

    def test_outputs_hold_no_error_no_host_path_and_no_time_of_day(self, chapter: Path):
        notebook = nbformat.read(chapter, as_version=4)
        outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
        assert [output for output in outputs if output.output_type == "error"] == []
        text = re.sub(r"data:image/\w+;base64,[\w+/=]+", "", str(outputs))
        for trace in (str(CHECKOUT), str(Path.home()) + "/", "/home/", "/tmp/"):
            assert trace not in text
        allowed = {"tags"}
        assert all(set(cell.metadata) <= allowed for cell in notebook.cells)

    def test_code_cells_are_short(self, chapter: Path):
        cells = code_cells(nbformat.read(chapter, as_version=4))
        # A parameter takes a line, however many there are.
        sources = [c.source for c in cells if "parameters" not in c.metadata.get("tags", ())]
        lengths = [sum(bool(line.strip()) for line in source.splitlines()) for source in sources]
        assert statistics.median(lengths) <= 5
        assert sum(length > 12 for length in lengths) <= len(lengths) / 10
        assert max(lengths) <= 20

    def test_a_bar_is_one_line_and_no_time(self, chapter: Path):
        notebook = nbformat.read(chapter, as_version=4)
        printed = [o.text for cell in code_cells(notebook) for o in cell.outputs if "text" in o]
        assert printed == [streams.last_states(text, timeless=True) for text in printed]

    def test_every_parameter_explains_itself(self, chapter: Path):
        notebook = nbformat.read(chapter, as_version=4)
        tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
        assert len(tagged) == 1
        declared = papermill.inspect_notebook(str(chapter))
        assert len(declared) == len(tagged[0].source.splitlines())
        assert all(p["help"] and p["inferred_type_name"] != "None" for p in declared.values())

    def test_every_picture_has_a_text_and_a_file(self, chapter: Path):
        notebook = nbformat.read(chapter, as_version=4)
        data = [o.get("data", {}) for cell in code_cells(notebook) for o in cell.outputs]
        shown = [d for d in data if {"image/png", "image/jpeg"} & {*d}]
        assert all(re.search(r'<img alt="[^"]{20,}"', d["text/html"]) for d in shown)
        sources = "".join(cell.source for cell in code_cells(notebook))
        showing = r'(?:plots\.show|plots\.live|explorer\.show)\(.*?"(\d\d_\w+)"'
        names = re.findall(showing, sources, re.DOTALL)
        assert len(names) == len(shown)
        number = chapter.name[:2]
        saved = sorted(path.stem for path in (CHECKOUT / "figures").glob(f"{number}_*"))
        assert saved == sorted(names)

    def test_the_text_of_a_picture_has_numbers_that_were_computed(self, chapter: Path):
        """A text that is written out says what axes a picture has, or what one run once found."""
        notebook = nbformat.read(chapter, as_version=4)
        calls = [
            call
            for cell in code_cells(notebook)
            for call in ast.walk(ast.parse(cell.source))
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "plots.show"
        ]
        written = {call.args[1].value for call in calls if isinstance(call.args[2], ast.Constant)}
        assert written <= ALIKE_IN_ALL_RUNS
        data = [o.get("data", {}) for cell in code_cells(notebook) for o in cell.outputs]
        # Photographs may have names alone.
        drawings = [d["text/plain"] for d in data if "image/png" in d]
        assert [alt for alt in drawings if not re.search(r"\d", alt)] == []

    def test_links_to_other_chapters_lead_somewhere(self, chapter: Path):
        text = chapter.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((\w+\.ipynb)\)", text):
            assert (chapter.parent / target).exists(), target


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]
