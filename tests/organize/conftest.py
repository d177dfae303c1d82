"""The small set on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import put, tar_of
from small_set import FLAT, TRAIN_CLASSES


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """The training archive, its classes in another order than the wnids'."""
    path = tmp_path / "train.tar"
    classes = {f"{wnid}.tar": tar_of(images) for wnid, images in reversed(TRAIN_CLASSES.items())}
    path.write_bytes(tar_of(classes))
    return path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """The validation images as they come, unsorted."""
    folder = tmp_path / "validation"
    put(folder, FLAT)
    return folder
