"""What several tests of this room share."""

from __future__ import annotations

import pytest

from imnetlib.recordio import format, integrity


@pytest.fixture(params=[16, 60, 1 << 20])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes that a sequential pass reads at a time."""
    monkeypatch.setattr(format, "READ_SIZE", request.param)
    monkeypatch.setattr(integrity, "READ_SIZE", request.param)
    return request.param
