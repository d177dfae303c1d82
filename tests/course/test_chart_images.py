"""What the charts of strange files show, where there is none, and where there are many."""

from __future__ import annotations

from pathlib import Path

from imnetlib import catalog
from imnetlib.course import charts
from imnetlib.organize import FolderSurvey, StrangeFile


def test_a_set_without_a_strange_file():
    counts = dict.fromkeys(catalog.wnids_1k()[:3], 5)
    figure = charts.strange_files(FolderSurvey(Path("train"), counts, counts, (), 0))
    (axis,) = figure.axes
    assert axis.get_title(loc="left") == "0 of 15 images are strange, in 0 of 3 classes"


def test_of_many_strange_classes_those_with_most_have_rows():
    wnids = catalog.wnids_1k()[:20]
    strange = [
        StrangeFile(Path(f"train/{wnid}/{n}.JPEG"), "CMYK")
        for place, wnid in enumerate(wnids, 1)
        for n in range(place)
    ]
    counts = dict.fromkeys(wnids, 1300)
    survey = FolderSurvey(Path("train"), counts, None, tuple(strange), 0)
    (axis,) = charts.strange_files(survey).axes
    assert [bar.get_width() for bar in axis.patches] == [*range(20, 8, -1)]
    assert axis.texts[0].get_text() == "20 of 1,300"
