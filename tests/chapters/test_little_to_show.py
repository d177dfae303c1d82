"""Chapters 8 and 9 over predictions that leave little to show: each runs to its end and says so."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
import pytest
from making import jpeg
from matplotlib.figure import Figure

from imnetlib import pack
from imnetlib.course import plots, runner
from imnetlib.course.root import MARKER

# The fir is none of ILSVRC2012's classes, nor are the others.
CLASSES = ("n04366367", "n09332890", "n09468604", "n11620673", "n09193705", "n09428293")
OTHERS = ("n11620673", "n11624531", "n11621281")


class Case(NamedTuple):
    """Labels of some images, and what a network says of them."""

    classes: tuple[str, ...]
    labels: list[int]
    probabilities: np.ndarray


def sure(labels: list[int], chosen: list[int], classes: tuple[str, ...] = CLASSES) -> Case:
    """A network that gives nearly everything to one column of each image."""
    spread = 0.1 / len(classes)
    probabilities = np.full((len(labels), len(classes)), spread, np.float32)
    probabilities[range(len(labels)), chosen] += 1 - spread * len(classes)
    return Case(classes, labels, probabilities)


EACH_TWICE = [*range(6)] * 2

CASES = {
    "perfect": sure(EACH_TWICE, EACH_TWICE),
    "the same for all": sure(EACH_TWICE, [0] * 12),
    "nothing preferred": Case(CLASSES, EACH_TWICE, np.full((12, 6), 1 / 6, np.float32)),
    "one class": sure([0] * 4, [0] * 4, CLASSES[:1]),
    "two classes": sure([0, 1, 0, 1], [0, 1, 1, 1], CLASSES[:2]),
    "one image": sure([1], [1]),
    "two images, one right": sure([1, 2], [2, 2]),
    "images of one class": sure([3] * 8, [3] * 4 + [4] * 4),
    "one image of a known class": sure([-1, -1, -1, 2], [0, 1, 2, 2]),
    "none of ILSVRC2012": sure([0, 1, 2, 0], [0, 1, 1, 2], OTHERS),
}


def write_root(root: Path, case: Case) -> None:
    """A root after chapter 4, of validation images alone, with outputs to judge beside it."""
    root.mkdir()
    (root / MARKER).write_text('{"dataset": "folders", "source": "/gone"}')
    ids = np.arange(len(case.labels))
    labels = np.array(case.labels, np.float32)[:, None]
    paths = np.array([b"%d.jpg" % number for number in ids])
    listed = pack.ImageList(ids, labels, paths, case.classes)
    pack.write_lst(listed, root / "lists" / "validation.lst")
    for path in paths.tolist():
        (root / path.decode()).write_bytes(jpeg())
    pack.pack(listed, pack.Folder(root), root / "records" / "64px", "validation", shards=1)
    (root / "outputs.txt").write_text("".join(f"{wnid}\n" for wnid in case.classes))
    np.save(root / "outputs.npy", case.probabilities)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The figures that are shown, each drawn."""
    names: list[str] = []

    def show(figure: Figure, name: str, alt: str) -> None:
        figure.savefig(io.BytesIO(), format="png", dpi=20)
        assert alt
        names.append(name)

    monkeypatch.setattr(plots, "show", show)
    return names


def run_cells(chapter: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a chapter's cells leave, but those without its predictions and the one that records.

    Here, where everything is imported already.
    """
    (path,) = runner.find_chapters([chapter])
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    start = next(n for n, source in enumerate(cells) if "course.predicted(opened" in source)
    names: dict[str, Any] = {}
    exec(cells[0], names)
    names |= parameters
    for source in (*cells[1:3], *cells[start:]):
        if "course.record(" not in source and "invented" not in source:
            exec(source, names)
    return names


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CASES)
def test_chapters_8_and_9_run_to_the_end(
    name: str, tmp_path: Path, shown: list[str], capsys: pytest.CaptureFixture[str]
):
    case = CASES[name]
    root = tmp_path / "root"
    write_root(root, case)
    outputs = {"outputs": str(root / "outputs.npy"), "columns": str(root / "outputs.txt")}
    judged = run_cells("8", {"root": str(root), **outputs})
    read = run_cells("9", {"root": str(root)})

    first = case.probabilities.argmax(axis=1)
    labels = np.array(case.labels)
    wrong = (labels >= 0) & (first != labels)
    assert read["right_first"] == pytest.approx(1 - wrong.sum() / (labels >= 0).sum())
    # Of ties none is a hit.
    true = case.probabilities[range(len(labels)), labels]
    alone = (case.probabilities >= true[:, None]).sum(axis=1) == 1
    assert ((judged["rank"] == 0) == ((labels >= 0) & alone)).all()
    always = {"08_top_k", "08_calibration", "09_splits", "09_operating_curve"}
    of_errors = {"08_confusions", "08_confused_pair"}
    of_peaks = dict(zip(("09_several_peaks", "09_worst_reading"), read["peaks"], strict=False))
    some = {"09_careful_answers"}
    assert set(shown) - some == always | {*of_peaks} | (of_errors if wrong.any() else set())
    without = (0 if wrong.any() else 2) + (2 - len(of_peaks))
    assert capsys.readouterr().out.count("No picture: ") == without
