"""What several test files share."""

from __future__ import annotations

import fcntl
import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from imnetlib.course import sample

CHECKOUT = Path(__file__).parent.parent
# Only make test-browser brings what drives a browser.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]


def pytest_configure() -> None:
    """Hear the signals that the tests send, also where a shell's background job ignores them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # No test is timed: a busy machine is no failure.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder this repository lies in."""
    return CHECKOUT


@pytest.fixture(scope="session")
def mirror(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The sample, drawn once for all tests, whatever process they run in."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "mirror"
    folder.mkdir(exist_ok=True)
    with (folder.parent / "mirror.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sample.draw(folder)
    return folder


@pytest.fixture(scope="module")
def nouns(checkout: Path) -> Iterator[Any]:
    """WordNet as a notebook gets it through NLTK, from this data path alone."""
    import nltk
    from nltk.corpus import wordnet

    before = nltk.data.path[:]
    nltk.data.path[:] = [str(checkout / "data/nltk_data")]
    wordnet.ensure_loaded()
    yield wordnet
    nltk.data.path[:] = before
