"""Readings beside labels, told in words, and the figures that draw them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from dags import dags
from hypothesis import given
from matplotlib.colors import to_rgb

from imnetlib import catalog, course, evaluate, wordnet
from imnetlib.course import charts, plots
from imnetlib.course.charts import hierarchy as drawing

# Two kinds of conifer, three of land, and birds and fish, which nobody sees here.
SEEN = ("n11621281", "n11624531", "n11627908", "n09468604", "n09193705")
CLASSES = (*SEEN, *catalog.wnids_1k()[:95])
PEAKS = (0.2, 0.2, 0.12, 0.28, 0.1)
SPRUCE = 1


def predictions_of(rows: list[tuple[float, ...]], labels: list[int]) -> evaluate.Predictions:
    """Of the first classes; the last one gets the rest."""
    probabilities = np.zeros((len(rows), len(CLASSES)), np.float32)
    probabilities[:, : len(SEEN)] = rows
    probabilities[:, -1] = 1 - probabilities.sum(axis=1)
    return evaluate.Predictions(probabilities, np.array(labels), np.arange(len(rows)), CLASSES)


def test_pictures_with_several_peaks_are_those_of_different_things_and_no_likely_class():
    tree = wordnet.load(CLASSES)
    sure = (0.9, 0.02, 0.02, 0.03, 0.03)
    conifers = (0.4, 0.3, 0.3, 0, 0)
    hardly = (0.4, 0.3, 0.22, 0.08, 0)
    predictions = predictions_of([PEAKS, sure, PEAKS, conifers, hardly], [SPRUCE, 0, -1, 0, 0])
    (one,) = course.several_peaks(tree, predictions, range(5), 2, 0.6)
    assert (one.id, one.label) == (0, SPRUCE)
    assert (one.named.things, one.listed.things) == (2, 2)
    assert one.named.bits == pytest.approx(np.log2(100 / 3))
    assert one.listed.bits == 0
    reading, listed = course.mean_told([one, one])
    assert list(reading.values()) == ["reading", 2.0, "100%", one.named.bits]
    assert list(listed.values()) == ["list", 2.0, "0%", 0.0]
    assert course.mean_told([]) == []
    assert course.telling([one]) == [one]
    assert course.telling([]) == []


def test_what_names_hold_stands_beside_what_they_tell():
    tree = wordnet.load(CLASSES)
    # Of the label, spruce: a conifer; and a class of its own.
    sure = (0.02, 0.9, 0.02, 0.03, 0.03)
    p = predictions_of([PEAKS, PEAKS, sure], [SPRUCE, -1, SPRUCE]).probabilities
    reading, as_many, classes = course.coverage_table(tree, p, [SPRUCE, -1, SPRUCE], [2])
    first, _, second = [wordnet.explain(tree, row, 2) for row in p]
    names = (len(first.nodes) + len(second.nodes)) / 2
    assert {row["k"] for row in (reading, as_many, classes)} == {2}
    assert [row["named"] for row in (reading, as_many, classes)] == [
        "nodes of the reading", "as many classes", "k classes",
    ]  # fmt: skip
    assert [row["names"] for row in (reading, as_many, classes)] == [names, names, 2]
    share = "hold the label (95 % interval)"
    assert reading[share] == "100.0% (34.2% to 100.0%)"
    assert as_many[share] == classes[share] == "50.0% (9.5% to 90.5%)"
    conifer, spruce = np.log2(100 / 3), np.log2(100)
    assert reading["bits of the label"] == pytest.approx((conifer + spruce) / 2)
    assert as_many["bits of the label"] == pytest.approx(spruce / 2)


@pytest.mark.parametrize(
    ("most", "end"), [(0.004, 0.01), (0.01, 0.01), (0.15, 0.2), (0.64, 1), (1.0000001, 1)]
)
def test_an_axis_is_as_long_as_its_bars_ask(most: float, end: float):
    assert drawing._end(most) == end


def test_what_is_named_is_told_with_what_it_says_of_the_label():
    tree = wordnet.load(CLASSES)
    predictions = predictions_of([PEAKS], [SPRUCE])
    (one,) = course.several_peaks(tree, predictions, [0], 2, 0.6)
    assert course.told_in_words(tree, one).splitlines() == [
        "Label: spruce.",
        "Reading: conifer (0.52) and geological formation (0.38); 0.10 for anything else.",
        "  That is 2 different things; conifer tells 5.1 bits of the label.",
        "List: valley and amabilis fir.",
        "  That is 2 different things, and not the label.",
    ]


@given(dags())
def test_the_cells_of_an_icicle_add_up(drawn: tuple):
    tree = wordnet.build(*drawn)
    p = np.random.default_rng(0).dirichlet(np.ones(len(tree.classes)))
    cells = drawing._Cells(tree, p).all()
    ends = {}
    for cell in cells:
        if cell.depth > 1:
            start, end = ends[cell.depth - 1]
            assert start - 1e-9 <= cell.start
            assert cell.start + cell.height <= end + 1e-9
        ends[cell.depth] = (cell.start, cell.start + cell.height)
    leaves = [cell.height for cell in cells if cell.leaf]
    assert sorted(leaves) == pytest.approx(sorted(p))


def test_nodes_under_several_parents_are_hatched_and_named():
    # Two toy dogs, a wolf, and two other animals of the house.
    tree = wordnet.load(["n02085620", "n02085782", "n02114367", "n01318053", "n01317813"])
    p = np.array([0.3, 0.3, 0.2, 0.1, 0.1])
    (axis,) = charts.icicle(tree, p, wordnet.explain(tree, p, 3)).axes
    hatched = [patch for patch in axis.patches if patch.get_hatch()]
    assert [patch.get_height() for patch in hatched] == pytest.approx([0.6])
    (text,) = axis.get_legend().get_texts()
    assert text.get_text() == "toy dog: also under domestic animal"
    assert "domestic\nanimal 0.20\nof 0.80" in {text.get_text() for text in axis.texts}


def test_a_class_that_is_meant_itself_is_drawn_as_unspecified():
    """Fir, of which no more was said: no firs under it, and its own cell in the icicle."""
    tree = wordnet.load(["n11620673", "n11621281", "n11622368", *catalog.wnids_1k()[:97]])
    p = np.zeros(100)
    p[[0, 1, 50]] = (0.6, 0.03, 0.37)
    read = wordnet.explain(tree, p, 3)
    assert read.unspecified.tolist() == [True, False]
    raw, drawn = charts.reading(tree, p, read, listed=2).axes
    (text, *_) = [text.get_text() for text in drawn.texts if "fir" in text.get_text()]
    assert text == "fir, unspecified"
    assert "fir, unspecified" in [label.get_text() for label in raw.get_yticklabels()]
    assert len(raw.patches) == 2
    assert "amabilis fir" not in {text.get_text() for text in drawn.texts}
    (axis,) = charts.icicle(tree, p, read).axes
    orange = [
        patch.get_height()
        for patch in axis.patches
        if patch.get_facecolor()[:3] == to_rgb(plots.ORANGE)
    ]
    assert sorted(orange) == pytest.approx([0.37, 0.6])
    texts = {text.get_text() for text in axis.texts}
    assert {"fir, unspecified 0.60", "amabilis fir 0.03"} <= texts


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_parts_of_a_reading_add_up_to_its_bars_and_these_to_all(seed: int):
    tree = wordnet.load()
    p = wordnet.invented_predictions(tree, 1, seed)[0]
    read = wordnet.explain(tree, p, 5)
    lines = drawing._tree_lines(tree, p, read)
    starts = [place for place, line in enumerate(lines) if line.depth == 0]
    assert sum(lines[place].share for place in starts) == pytest.approx(1, abs=0.001)
    for start, end in itertools.pairwise(starts):
        parts = [line.share for line in lines[start + 1 : end]]
        assert not parts or sum(parts) == pytest.approx(lines[start].share, abs=0.01)
