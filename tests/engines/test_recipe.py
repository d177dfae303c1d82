"""The recipe of a training: what it refuses, and its learning rate."""

from __future__ import annotations

import dataclasses

import pytest

from imnetlib.engines import Recipe

SMALL = Recipe(batch_size=16, epochs=2, size=64, learning_rate=0.02)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"batch_size": 31}, "the batch size is a multiple of the 2 devices, not 31"),
        ({"epochs": 0}, "epochs are 1 or more, not 0"),
        ({"learning_rate": 0.0}, "the learning rate is above 0, not 0.0"),
        ({"share": 0.0}, "share is above 0 and at most 1, not 0.0"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(setting: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **setting)


def test_the_learning_rate_falls_along_half_a_cosine():
    assert [SMALL.rate(share) for share in (0, 0.5, 1)] == pytest.approx([0.02, 0.01, 0.0])
