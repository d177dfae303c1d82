"""Three shards of small photos, made once for each file of tests."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from loading import IDS, SIZES
from making import encoded, photo, write_shard


@pytest.fixture(scope="module")
def images() -> dict[int, bytes]:
    """JPEGs by record id, tall and wide in turn."""
    return {
        key: encoded(photo(40, 32, seed) if seed % 2 else photo(32, 50, seed))
        for seed, key in enumerate(IDS)
    }


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, images: dict[int, bytes]) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    records = iter(images.items())
    paths = []
    for number, size in enumerate(SIZES):
        part = dict(islice(records, size))
        path = folder / f"set-{number:05d}-of-00003.rec"
        paths.append(write_shard(path, part, part.values()))
    return paths
