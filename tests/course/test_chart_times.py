"""Times as people say them."""

from __future__ import annotations

import pytest

from imnetlib.course.charts import times


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        *((0.29, "0.29 s"), (119, "119 s"), (120, "2 min"), (1237, "21 min"), (7200, "2 h")),
        *((104_800, "29 h"), (441_600, "5.1 days"), (3.7e6, "43 days")),
    ],
)
def test_a_time_is_told_as_people_say_it(seconds: float, told: str):
    assert times.told(seconds) == told
