"""A folder that is served, a path to download to, and no real pauses."""

from pathlib import Path

import pytest
from downloading import DATA, NAME

from imnetlib.download import transfer


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / NAME).write_bytes(DATA)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "here" / NAME


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses asked for, in place of pausing."""
    asked: list[float] = []
    monkeypatch.setattr(transfer, "_sleep", asked.append)
    for name in ("IMAGENET_USER", "IMAGENET_KEY", "IMAGENET_COOKIE"):
        monkeypatch.delenv(name, raising=False)
    return asked
