"""Where the records of many shards lie, as arrays (chapter 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imnetlib import recordio
from imnetlib.arguments import Integers

_ANEW = "remove it, and imnet index or imnet merge-index writes a new one"
# Bytes that are read for a record before its length is known: an index that leaves out some records
# would otherwise have all that lies between two of them read.
_LONGEST_RECORD = 1 << 22


@dataclass(frozen=True, slots=True, eq=False)
class ShardIndex:
    """The records of ``shards``, numbered from 0 in the order in which they are stored.

    ``ids``: int64 (n,), their keys. ``starts``: int64 (n,), the byte of the shard at which each
    begins. ``counts`` and ``ends``: int64 (shards,), the records and the end of the last. 16 bytes
    a record. ``left_out``: records without an image.
    """

    shards: tuple[Path, ...]
    ids: Integers
    starts: Integers
    counts: Integers
    ends: Integers
    left_out: int

    def __len__(self) -> int:
        return len(self.ids)

    def locate(self, records: Integers) -> tuple[Integers, Integers, Integers]:
        """Shard, first byte and end of each of these records; of a long one the first 4 MB."""
        ends = np.cumsum(self.counts)
        shard = np.searchsorted(ends, records, side="right")
        last = records + 1 == ends[shard]
        start = self.starts[records]
        following = self.starts[np.minimum(records + 1, len(self) - 1)]
        end = np.where(last, self.ends[shard], following)
        return shard, start, np.minimum(end, start + _LONGEST_RECORD)


def load_index(shards: Sequence[Path], merged: Path | None, images_only: bool) -> ShardIndex:
    """Read the .idx beside each .rec, or ``merged``, one .idx over all of them.

    ValueError where an index contradicts its .rec or the count in its .json, where it names a place
    twice, where there is no record at all, and without ``images_only`` where a shard is in
    insightface's layout. 0.1 s a million records, and up to 48 bytes each.
    """
    sizes = np.array([shard.stat().st_size for shard in shards], np.int64)
    if merged is not None:
        tables = _split(*recordio.read_index_of(shards, merged), sizes)
    else:
        tables = [recordio.read_index_of([path], path.with_suffix(".idx")) for path in shards]
    for shard, (keys, _) in zip(shards, tables, strict=True):
        index = merged or shard.with_suffix(".idx")
        _require_count(index, shard, len(keys))
        if not len(keys) and shard.stat().st_size:
            raise ValueError(f"{index} names no record of {shard}: {_ANEW}")
    read = sum(len(keys) for keys, _ in tables)
    ends = sizes.copy()
    for number, (shard, (keys, offsets)) in enumerate(zip(shards, tables, strict=True)):
        rows = _rows_of_images(shard, keys, offsets, images_only)
        if not rows.all():
            tables[number] = (keys[rows], offsets[rows])
            behind = offsets[offsets > offsets[rows].max(initial=-1)]
            ends[number] = behind.min(initial=sizes[number])
    counts = np.array([len(keys) for keys, _ in tables], np.int64)
    if not counts.sum():
        raise ValueError(
            f"there are no records in {', '.join(map(str, shards)) or 'an empty list of shards'}"
        )
    ids, starts = (np.concatenate(columns) for columns in zip(*tables, strict=True))
    return ShardIndex(tuple(shards), ids, starts, counts, ends, read - len(ids))


def _rows_of_images(
    shard: Path, keys: Integers, offsets: Integers, images_only: bool
) -> npt.NDArray[np.bool_]:
    try:
        rows = recordio.image_rows(shard, keys, offsets)
    except ValueError:
        if images_only:
            raise
        # Perhaps no header but a bad image: what is wrong with a record is said when it is read.
        return np.ones(len(keys), np.bool_)
    if not images_only and not rows.all():
        raise ValueError(
            f"{shard} is in insightface's layout: {np.count_nonzero(~rows):,} of its records index "
            "the others and hold no image; give images_only=True to leave them out"
        )
    return rows


def _split(keys: Integers, offsets: Integers, sizes: Integers) -> list[tuple[Integers, Integers]]:
    """One index over several files into one for each."""
    ends = np.cumsum(sizes)
    bounds = np.searchsorted(offsets, np.concatenate([[0], ends]))
    parts = [slice(first, behind) for first, behind in pairwise(bounds)]
    return [
        (keys[part], offsets[part] - before)
        for part, before in zip(parts, ends - sizes, strict=True)
    ]


def _require_count(index: Path, shard: Path, found: int) -> None:
    expected = recordio.sidecar_of(shard).get("images", found)
    if expected != found:
        sidecar = shard.with_suffix(".json")
        raise ValueError(f"{index} has {found:,} records of {shard}, {sidecar} says {expected:,}")
