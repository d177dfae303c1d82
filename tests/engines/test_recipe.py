"""The recipe of a training: what it refuses, and its learning rate."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from imnetlib.engines import Recipe

SMALL = Recipe(batch_size=16, epochs=2, size=64, learning_rate=0.02)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"batch_size": 31}, "the batch size is a multiple of the 2 devices, not 31"),
        ({"batch_size": 18, "accumulate": 2}, "the 2 devices in 2 turns, not 18"),
        ({"accumulate": 0}, "accumulate is 1 or more, not 0"),
        ({"epochs": 0}, "epochs are 1 or more, not 0"),
        ({"learning_rate": -0.1}, "the learning rate is a number above 0, not -0.1"),
        ({"learning_rate": float("inf")}, "the learning rate is a number above 0, not inf"),
        ({"learning_rate": float("nan")}, "the learning rate is a number above 0, not nan"),
        ({"weight_decay": float("inf")}, "weight decay is not negative"),
        ({"weight_decay": float("nan")}, "weight decay is not negative"),
        ({"warmup": 2}, "warmup is part of the epochs, not 2.0"),
        ({"label_smoothing": 1.0}, "label smoothing is 0 or more and below 1, not 1.0"),
        ({"crop": "centre"}, "crop is random or random_resized, not 'centre'"),
        ({"schedule": "step"}, "schedule is cosine or steps, not 'step'"),
        ({"precision": "float16"}, "precision is float32 or bfloat16, not 'float16'"),
        ({"seed": -1}, "the seed is not negative, not -1"),
        ({"learning_rate": 0.0}, "the learning rate is a number above 0, not 0.0"),
        ({"share": 0.0}, "share is above 0 and at most 1, not 0.0"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(setting: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **setting)


@pytest.mark.parametrize(
    "name", [f.name for f in dataclasses.fields(Recipe) if type(f.default) in (int, float)]
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


def test_the_rate_rises_while_it_warms_up():
    warm = dataclasses.replace(SMALL, epochs=10, warmup=2)
    assert [warm.rate(share) for share in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx(
        [0.0, 0.01, 0.02, 0.01, 0.0]
    )


def test_the_rate_falls_in_steps():
    steps = dataclasses.replace(SMALL, epochs=10, warmup=1, schedule="steps")
    shares = (0.05, 0.1, 0.39, 0.41, 0.69, 0.71, 1)
    assert [steps.rate(share) for share in shares] == pytest.approx(
        [0.01, 0.02, 0.02, 0.002, 0.002, 0.0002, 0.0002]
    )


def test_the_rate_grows_with_the_batch():
    scaled = SMALL.scaled_to(64)
    assert (scaled.batch_size, scaled.learning_rate) == (64, pytest.approx(0.08))
    assert scaled == dataclasses.replace(SMALL, batch_size=64, learning_rate=0.08)


@pytest.mark.parametrize(
    ("batch_size", "error", "message"),
    [
        ("64", TypeError, "batch_size is a whole number, not '64'"),
        (64.0, TypeError, r"batch_size is a whole number, not 64\.0 \(float\)"),
        (0, ValueError, "the batch size is a multiple of the 2 devices, not 0"),
        (33, ValueError, "the batch size is a multiple of the 2 devices, not 33"),
    ],
)
def test_a_batch_that_no_recipe_has_is_refused(
    batch_size: object, error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        SMALL.scaled_to(batch_size)


@pytest.mark.parametrize("progress", [-0.1, 1.1, math.nan])
def test_no_rate_lies_outside_a_training(progress: float):
    with pytest.raises(ValueError, match="progress is 0 to 1, not"):
        SMALL.rate(progress)
    with pytest.raises(TypeError, match=r"progress is a number, not '0\.5' \(str\)"):
        SMALL.rate("0.5")
