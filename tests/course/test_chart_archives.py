"""What the chart of downloads shows on any line."""

from __future__ import annotations

import pytest

from imnetlib import catalog
from imnetlib.course import charts


@pytest.mark.parametrize("rate", [0.001, 12.5, 1e5])
def test_a_download_slower_and_faster_than_all_lines(rate: float):
    sets = {"ILSVRC2012": catalog.ILSVRC2012, "full": catalog.IMAGENET21K}
    (axis,) = charts.download_times(sets, rate).figure.axes
    rows = [label.get_text() for label in axis.get_yticklabels()]
    assert len(rows) == 5
    (yours,) = [row for row in rows if row.startswith("yours")]
    assert yours == f"yours, {rate:g} MB/s"
