"""The table of published and measured rates."""

from __future__ import annotations

import re

from imnetlib.course import training_rates


def test_every_rate_has_its_machine_its_date_and_its_source():
    rates = training_rates()
    assert rates
    for rate in rates:
        assert rate.gpus >= 1
        assert rate.machine
        assert rate.precision
        assert rate.source
        assert re.fullmatch(r"20\d\d(-\d\d)?", rate.date)


def test_a_rate_that_no_source_tells_is_left_open():
    open_ones = [rate for rate in training_rates() if rate.images_per_s is None]
    assert all("no rate" in rate.source for rate in open_ones)
    told = [rate.images_per_s for rate in training_rates() if rate.images_per_s is not None]
    assert min(told) > 0


def test_the_notes_rate_is_published():
    (note, *_) = training_rates()
    assert (note.network, note.images_per_s, note.gpus, note.is_ours) == (
        *("inception-21k", 170.0, 4),
        False,
    )
