"""Chapters 7 to 9: each shows what it must; one network is trained for all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imnetlib import course
from imnetlib.course import steps
from imnetlib.engines.mxnet.train import train


def shows_training(values: dict, figures: set[str]) -> None:
    assert values["top1"] >= 0.85
    assert values["top5"] >= 0.97
    assert values["same_bits"] is True
    # By hand: the loss falls at every step, and the gradients are those that trying finds.
    assert np.diff(values["by_hand"]).max() < 0
    assert values["gradient_error"] < 1e-6
    assert values["one_batch"][-1] < values["one_batch"][0] / 2
    # A larger batch needs a larger rate, and that does not make up for all of it so early.
    small, unscaled, scaled = values["scaling"]
    assert small < scaled < unscaled
    first, trained = values["fine_tuned"]
    assert trained > 0.8 > first
    assert 0 <= values["waiting"] < 1
    assert values["until_ready"] < 2
    assert (
        min(values[name] for name in ("loaded_per_second", "images_per_second", "per_core_gain"))
        > 0
    )
    assert {"07_crops", "07_rates", "07_two_devices", "07_learning_curve"} <= figures


def shows_evaluation(values: dict, figures: set[str]) -> None:
    assert (values["images"], values["ilsvrc_images"], values["ilsvrc_classes"]) == (1800, 1350, 27)
    assert values["top1"] >= 85
    assert values["top5"] >= 97
    assert values["second_share"] >= 20
    assert values["missing"] == 0
    assert all(0 < loss < 1 for loss in values["log_losses"])
    assert all(n >= w for n, w in zip(values["narrow"], values["wide"], strict=True))
    assert {"08_top_k", "08_confusions", "08_confused_pair", "08_calibration"} <= figures


def shows_wordnet(values: dict, figures: set[str]) -> None:
    counts = ("nodes", "edges", "several_parents", "inner_classes")
    assert [values[name] for name in counts] == [23_546, 24_048, 498, 4_588]
    assert values["note_bits"] == pytest.approx([0.147, 7.111], abs=0.001)
    assert values["naive_root"] == pytest.approx(1.354, abs=0.0005)
    assert re.search("conifer|tree", values["invented_reading"])
    assert "bridge" in values["invented_reading"]
    assert values["peaks"] >= 5
    # Promised are 0.05 at most, and 1 / (n + 1) less at least, but for ties.
    assert values["held_out"] == pytest.approx([0.05] * 3, abs=0.005)
    assert values["right_guess"] >= values["right_first"]
    assert values["area"] > values["area_of_guesses"]
    drawn = {"invented_reading", "icicle", "two_ways_up", "several_peaks", "worst_reading"}
    assert {f"09_{name}" for name in drawn | {"splits", "operating_curve"}} <= figures


def test_chapter_7_alone_shows_what_it_must(chapter_7: Any):
    _, ran = chapter_7
    shows_training(ran.values, ran.figures)
    assert ran.values["showed"]


SHOWS: dict[str, Callable[[dict, set[str]], None]] = {
    "08_evaluation": shows_evaluation,
    "09_wordnet_analysis": shows_wordnet,
}


def replaced_by_link(source: str, target: str) -> None:
    Path(target).unlink(missing_ok=True)
    os.link(source, target)


@pytest.mark.parametrize("name", SHOWS)
def test_the_chapter_after_it_shows_what_it_must(
    name: str, root: Path, chapter_7: Any, run_chapter: Callable[[str], Any]
):
    trained, _ = chapter_7
    shutil.copytree(trained, root, copy_function=replaced_by_link, dirs_exist_ok=True)
    ran = run_chapter(name)
    SHOWS[name](ran.values, ran.figures)
    assert ran.values["showed"]


def weights_of(root: Path) -> Path:
    return root / "checkpoints" / f"inception-64px-{steps.RECIPE.epochs:04}.params"


def test_a_later_chapter_alone_would_train_what_chapter_7_trains(root: Path, chapter_7: Any):
    """The recipe, classes and shards are equal: else ``train`` would refuse the network."""
    trained, _ = chapter_7
    ready = course.prepare(str(root), "records")
    shutil.copytree(trained / "checkpoints", root / "checkpoints", copy_function=os.link)
    both = course.shards(ready, "train"), course.shards(ready, "validation")
    found = train(steps.RECIPE, ready.wnids, *both, ready.checkpoints)
    assert found.finished
    # Hard links still: nobody has written them anew.
    assert weights_of(root).samefile(weights_of(trained))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_later_chapter_alone_gets_the_weights_of_chapter_7_to_the_last_bit(
    root: Path, chapter_7: Any, monkeypatch: pytest.MonkeyPatch
):
    # Else it would take the shipped ones.
    monkeypatch.setattr(steps, "SHIPPED", root / "nothing")
    trained, _ = chapter_7
    course.prepare(str(root), "checkpoint")
    assert weights_of(root).read_bytes() == weights_of(trained).read_bytes()
