"""Chapter 10, and chapter 7 with its engine: they show what they must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imnetlib.course import runner


def test_chapter_10_alone_shows_what_it_must(run_chapter: Callable[[str], Any]):
    values, figures = run_chapter("10_todays_gpus")
    assert values["top1"] >= 0.84
    assert values["top5"] >= 0.97
    assert max(values["first_step_apart"]) < 1e-5
    ends = values["losses_at_the_end"]
    assert max(ends) - min(ends) < 0.5
    assert values["processes_apart"] < 0.02
    assert 0 < values["bfloat16_error"] < 0.05
    assert len(values["rates"]) == 3
    kept, kept_16, again, again_16 = values["kept"]
    assert again < kept_16 < kept
    assert again_16 < again < kept / 5
    assert values["recompute_cost"] > 0
    assert min(values["headspace"]) > 0
    assert 0 <= values["waiting"] < 1
    assert values["own_top1"] > 2 / 36
    drawn = {"parity", "processes", "learning_curve", "hours"}
    assert {f"10_{name}" for name in drawn} <= figures
    assert values["showed"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_chapter_7_runs_on_pytorch(root: Path, tmp_path: Path):
    (chapter,) = runner.find_chapters(["7"])
    given = {"root": str(root), "engine": "torch", "epochs": 2}
    values = runner.run_chapter(chapter, given, tmp_path / "build").values
    assert values["engine"] == "torch"
    assert values["same_bits"] is True
    assert values["top1"] > 0.4
