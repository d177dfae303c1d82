"""The chapters over as many files as ILSVRC2012 has, each a picture of 16 pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results import alone
from running import run_and_peak

from imnetlib import catalog
from imnetlib.course import sample

MOST_KILOBYTES = 1_000_000
IMAGES = catalog.ILSVRC2012.validation


def run(root: Path, chapter: str, **parameters: Any) -> dict[str, Any]:
    """What a chapter records, if its memory stays bounded."""
    values, kilobytes = alone(partial(run_and_peak, root, chapter, **parameters))
    # In chapter 5 the imitation of S3 holds all shards in memory.
    assert chapter == "5" or kilobytes < MOST_KILOBYTES
    return values


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_chapters_go_over_all_files_of_ilsvrc2012_in_bounded_memory(tmp_path: Path):
    root = tmp_path / "root"
    sample.draw_tiny(root / "mirror")
    assert run(root, "1")["indexed_images"] == catalog.ILSVRC2012.train + IMAGES
    organized = run(root, "2")
    assert organized["train_images"] == catalog.ILSVRC2012.train
    assert organized["wrong_counts"] == organized["strange_files"] == 0
    packed = run(root, "4")
    assert packed["train_records"] == catalog.ILSVRC2012.train
    assert packed["validation_records"] == IMAGES
    assert run(root, "5")["restored_damaged"] == 0

    # A network that is right in half of the cases, from elsewhere.
    random = np.random.default_rng(1)
    scores = random.standard_normal((IMAGES, 1000), np.float32)
    position = {wnid: column for column, wnid in enumerate(catalog.wnids_1k())}
    truth = np.array([position[wnid] for wnid in catalog.validation_wnids()])
    known = random.random(IMAGES) < 0.5
    scores[np.flatnonzero(known), truth[known]] += 12
    np.save(tmp_path / "scores.npy", scores.astype(np.float16))
    (tmp_path / "classes.txt").write_text("".join(f"{wnid}\n" for wnid in catalog.wnids_1k()))
    given = {"outputs": str(tmp_path / "scores.npy"), "columns": str(tmp_path / "classes.txt")}
    judged = run(root, "8", logits=True, **given)
    assert judged["images"] == IMAGES
    assert 49 < judged["top1"] < 53
    run(root, "9")
