"""An imitation of EC2 and S3, and a name for each test's own deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from imnetlib.cloud import ec2_calls
from imnetlib.course import aws


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as environment, aws.local_endpoint() as url:
        # Without Amazon's images and their snapshots, which it would search each time.
        environment.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        yield url


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moto is ready at once."""
    monkeypatch.setattr(ec2_calls, "_POLL_SECONDS", 0.02)


@pytest.fixture(scope="module")
def ec2(endpoint: str) -> Any:
    return aws.local_client("ec2", endpoint, "eu-west-1")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A deployment of the test's own."""
    return str(request.node.name)
