"""What the tests of the loader share: the records of their shards, and the pixels of batches."""

from __future__ import annotations

from collections.abc import Iterable

from imnetlib.image import Transform
from imnetlib.loader import Batch, Blocks

# Records of each shard, and the ids of all of them.
SIZES = (11, 20, 6)
N = sum(SIZES)
IDS = [1000 + 3 * i for i in range(N)]
TRAIN = Transform(28, "random_resized", mirror=True)
ORDERS = (True, False, Blocks(3, 2))


def pixels_by_id(batches: Iterable[Batch]) -> dict[int, bytes]:
    """The pixels of each record; fails when an id comes twice or has another label than its own."""
    pixels: dict[int, bytes] = {}
    for batch in batches:
        for row in range(len(batch.ids) - batch.padding):
            key = int(batch.ids[row])
            assert key not in pixels
            assert batch.labels[row] == key % 10
            pixels[key] = batch.images[row].tobytes()
    return pixels
