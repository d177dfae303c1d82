"""The photos that most tests of packing pack."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import photo
from packing import write


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 ordinary photos of two classes: some larger than 64 pixels at the short edge, some not."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(60):
        width, height = [(160, 120), (90, 130), (64, 80), (50, 40)][i % 4]
        write(root / f"n0{i % 2}" / f"photo_{i}.JPEG", photo(width, height, i))
    return root
