"""The recipe of a training: what it refuses, and its learning rate."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
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


@pytest.mark.parametrize(
    "name", [f.name for f in dataclasses.fields(Recipe) if f.name != "network"]
)
def test_its_numbers_may_be_numpys_and_are_written_as_json(name: str):
    value = getattr(SMALL, name)
    kind = np.int32 if isinstance(value, int) else np.float32
    recipe = dataclasses.replace(SMALL, **{name: kind(value)})
    written = json.loads(json.dumps(dataclasses.asdict(recipe)))
    assert written[name] == pytest.approx(value)
    with pytest.raises(TypeError, match=rf"{name} is a (whole )?number, not '8' \(str\)"):
        dataclasses.replace(SMALL, **{name: "8"})


def test_the_learning_rate_falls_along_half_a_cosine():
    assert [SMALL.rate(share) for share in (0, 0.5, 1)] == pytest.approx([0.02, 0.01, 0.0])
