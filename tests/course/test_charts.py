"""What single charts show, where there is little, much or nothing to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import detailed_photo, encoded, psnr
from PIL import Image

from imnetlib import catalog
from imnetlib.course import charts, measure
from imnetlib.course.charts import data
from imnetlib.organize import FolderSurvey, StrangeFile


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        *((0.29, "0.29 s"), (119, "119 s"), (120, "2 min"), (1237, "21 min"), (7200, "2 h")),
        *((104_800, "29 h"), (441_600, "5.1 days"), (3.7e6, "43 days")),
    ],
)
def test_a_time_is_told_as_people_say_it(seconds: float, told: str):
    assert data.told(seconds) == told


def test_a_smaller_image_is_compared_at_the_size_of_the_original():
    picture = detailed_photo(64, 48, seed=0)
    small = np.asarray(Image.fromarray(picture).resize((32, 24), Image.Resampling.BOX))
    again = np.asarray(Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC))
    found = measure.psnr(encoded(small, "PNG"), encoded(picture, "PNG"))
    assert found == pytest.approx(psnr(again, picture))


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


@pytest.mark.parametrize("rate", [0.001, 12.5, 1e5])
def test_a_download_slower_and_faster_than_all_lines(rate: float):
    sets = {"ILSVRC2012": catalog.ILSVRC2012, "full": catalog.IMAGENET21K}
    (axis,) = charts.download_times(sets, rate).figure.axes
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert len(rows) == 5
    (yours,) = [row for row in rows if row.startswith("yours")]
    assert yours == f"yours, {rate:g} MB/s"


def test_a_training_that_has_not_begun():
    figure, alt = charts.learning_curve([])
    figure.draw_without_rendering()
    assert alt.endswith("the loss of 0 batches: no epoch is finished yet.")
