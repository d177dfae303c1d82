"""The root folder, what a chapter finds in it, exercise checks, tables, figures."""

from __future__ import annotations

import base64
import itertools
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from imnetlib import catalog, course, throughput
from imnetlib.course import exercises, plots, root, runner


class TestOpenRoot:
    def test_a_new_folder_becomes_a_sample_root_and_stays_one(self, tmp_path: Path):
        opened = course.open_root(str(tmp_path / "new"))
        assert opened.dataset.name == "sample"
        assert course.open_root(str(tmp_path / "new"), "sample") == opened

    def test_a_relative_path_starts_at_the_checkout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(root, "CHECKOUT", tmp_path)
        assert course.open_root("here").root == tmp_path / "here"

    def test_a_folder_with_something_else_is_refused_and_left_alone(self, tmp_path: Path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(
            ValueError, match=r"holds other things \(thesis\.tex\): choose an empty or a new folder"
        ):
            course.open_root(str(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_file_is_refused(self, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(ValueError, match="is a file: the root must be a folder"):
            course.open_root(str(tmp_path / "file"))

    def test_another_data_set_is_refused(self, tmp_path: Path):
        course.open_root(str(tmp_path), "ILSVRC2012")
        with pytest.raises(ValueError, match="holds the data set ILSVRC2012, not sample"):
            course.open_root(str(tmp_path), "sample")

    def test_an_unknown_data_set_is_refused(self, tmp_path: Path):
        with pytest.raises(
            ValueError, match="There is no data set 'CIFAR'; known are sample, ILSVRC2012"
        ):
            course.open_root(str(tmp_path / "new"), "CIFAR")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize(
        ("archive", "name"),
        [
            ("", "ILSVRC2012"),
            ("ILSVRC2012_img_train.tar", "ILSVRC2012"),
            ("fall11_whole.tar", "fall11"),
            ("winter21_whole.tar.gz", "winter21"),
        ],
    )
    def test_a_folder_with_archives_is_taken_for_their_set(
        self, tmp_path: Path, archive: str, name: str
    ):
        (tmp_path / "archives").mkdir()
        if archive:
            (tmp_path / "archives" / archive).touch()
        assert course.open_root(str(tmp_path)).dataset == root.DATASETS[name]


def test_a_real_root_is_never_filled_with_the_sample(tmp_path: Path):
    course.open_root(str(tmp_path), "ILSVRC2012")
    with pytest.raises(
        FileNotFoundError, match=r"ILSVRC2012_img_train\.tar is missing: run chapter 1"
    ):
        course.prepare(str(tmp_path), "archives")
    assert [path.name for path in tmp_path.iterdir()] == [root.MARKER]


def test_layout_is_the_articles():
    opened = root.Root(Path("/data"), catalog.ILSVRC2012)
    assert opened.train == Path("/data/imagenet/train")
    assert opened.validation == Path("/data/imagenet/validation")


class TestExercises:
    def solutions(self) -> dict[str, tuple[str, str]]:
        """Exercise → the cell of imports of its chapter, and the code under its Solution."""
        found = {}
        for chapter in runner.find_chapters([]):
            cells = nbformat.read(chapter, as_version=4).cells
            imports = next(
                cell.source
                for cell in cells
                if "import " in cell.source and cell.cell_type == "code"
            )
            text = "\n".join(cell.source for cell in cells)
            parts = re.findall(
                r"\*\*(\d\.\d)\*\*.*?<details>.*?```python\n(.*?)```", text, flags=re.DOTALL
            )
            found |= {exercise: (imports, solution) for exercise, solution in parts}
        return found

    def test_every_exercise_has_a_check_and_a_solution_that_passes_it(
        self, capsys: pytest.CaptureFixture
    ):
        solutions = self.solutions()
        assert sorted(solutions) == sorted(exercises.ANSWERS)
        for exercise, (imports, solution) in solutions.items():
            # As chapter 3 names them.
            names: dict = {"hdd": throughput.DEVICES[0], "full": catalog.IMAGENET21K}
            exec(imports, names)
            exec(solution, names)
            course.check(exercise, names["answer"])
            assert capsys.readouterr().out == f"Exercise {exercise}: right.\n"

    def test_a_wrong_answer_gets_a_hint_and_none_an_invitation(self, capsys: pytest.CaptureFixture):
        course.check("4.1", 11)
        course.check("4.1", None)
        wrong, missing = capsys.readouterr().out.splitlines()
        assert wrong.startswith("Exercise 4.1: 11 is not it yet. Hint: a header of 8 bytes")
        assert missing == "Exercise 4.1: replace None with your answer and run the cell again."

    def test_a_count_is_right_to_the_last_one(self, capsys: pytest.CaptureFixture):
        # Not rounded up.
        course.check("7.1", 5004)
        course.check("7.1", 5005)
        course.check("8.1", "55")
        wrong, right, text = capsys.readouterr().out.splitlines()
        assert wrong.startswith("Exercise 7.1: 5,004 is not it yet")
        assert (right, text) == ("Exercise 7.1: right.", "Exercise 8.1: '55' is no number.")


def test_a_table_without_rows_says_so():
    assert course.table([]).data == "(nothing to show)"


def test_a_table_keeps_whole_numbers_whole_and_bars_harmless():
    rows = [{"name": "a|b", "n": 1281167, "x": 0.12345}, {"name": "c", "n": 2, "x": 12345.6}]
    assert course.table(rows).data.splitlines() == [
        "| name | n | x |",
        "| :--- | ---: | ---: |",
        "| a\\|b | 1,281,167 | 0.123 |",
        "| c | 2 | 12,346 |",
    ]


def test_a_figure_is_saved_and_shown_with_its_alt_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown: list[dict] = []
    monkeypatch.setenv("IMNETLIB_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    for _ in range(2):
        figure, axis = plots.axes()
        axis.plot([1, 2])
        plots.show(figure, "line", 'A line that says "up" & <on>')
    first, second = shown
    # The same figure, the same bytes.
    assert first == second
    assert 'alt="A line that says &quot;up&quot; &amp; &lt;on&gt;"' in first["text/html"]
    saved = tmp_path / "figures" / "line.png"
    assert saved.read_bytes() == base64.b64decode(first["image/png"])
    assert Image.open(saved).size == (770, 385)


def test_the_colours_differ_in_lightness_for_those_who_see_no_hue():
    """Neighbouring lines of a figure take neighbouring colours of the palette."""
    rgb = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in plots.COLORS[:4]]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    contrast = [(max(a, b) + 0.05) / (min(a, b) + 0.05) for a, b in itertools.pairwise(luminance)]
    assert min(contrast) > 1.1


def test_the_marker_of_a_root_is_readable_json(tmp_path: Path):
    course.open_root(str(tmp_path), "ILSVRC2012")
    marked = json.loads((tmp_path / root.MARKER).read_text())
    assert marked == {"dataset": "ILSVRC2012", "source": ""}
    # Of an earlier version.
    (tmp_path / root.MARKER).write_text('{"dataset": "ILSVRC2012"}')
    assert course.open_root(str(tmp_path)).way == "archives"
