"""A small tar of tars."""

from pathlib import Path

import pytest
from making import tar_of
from tars import CLASSES, write_archive


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    return write_archive(
        tmp_path, tar_of({f"{wnid}.tar": tar_of(files) for wnid, files in CLASSES.items()})
    )
