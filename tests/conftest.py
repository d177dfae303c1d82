"""What several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The folder this repository lies in."""
    return CHECKOUT


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
