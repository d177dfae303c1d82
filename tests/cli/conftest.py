"""What the tests of the verbs share: a small sample, and a shard."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import imnet

from imnetlib import catalog


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample: all classes, three training images and two for validation each."""
    folder = tmp_path_factory.mktemp("cli") / "mirror"
    done = imnet("sample", folder, "--train", 3, "--validation", 2)
    assert done.exit_code == 0, done.output
    assert "36 classes, 108 + 72 images" in done.output
    return folder


@pytest.fixture
def shard(mirror: Path, tmp_path: Path) -> Path:
    """The validation set in one shard, packed as it is."""
    tar = mirror / catalog.VALIDATION_TAR
    imnet("index", tar)
    assert (
        "72 images"
        in imnet(
            "list", f"{tar}.npz", tmp_path / "v.lst", "--labels", mirror / catalog.DEVKIT
        ).output
    )
    assert (
        imnet("pack", tmp_path / "v.lst", f"{tar}.npz", tmp_path, "--pass-through").exit_code == 0
    )
    return tmp_path / "v-00000-of-00001.rec"
