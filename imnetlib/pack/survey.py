"""What a packed shard holds: records by label, and images that cannot be read (chapter 4)."""

from __future__ import annotations

import functools
import os
from array import array
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imnetlib import recordio
from imnetlib.arguments import Integers, PathLike, require, whole_number
from imnetlib.image import ImageError, verify_image
from imnetlib.parallel import map_ahead

# A block has about 1 MB.
_BLOCKS_AHEAD_PER_THREAD = 2


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Where in the shard a record begins that holds no readable image, and why."""

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class ShardSurvey:
    """The records of a shard by label (the first of several), and those that cannot be read.

    ``without_image``: records that hold none in insightface's layout, and are in neither.
    """

    counts: Counter[float]
    unreadable: tuple[Unreadable, ...]
    without_image: int


def survey_shard(
    rec: PathLike,
    *,
    decode: bool,
    threads: int | None = None,
    advance: Callable[[int], object] | None = None,
) -> ShardSurvey:
    """Count the records of a sound shard by label; with ``decode`` read every image (chapter 4).

    ``advance`` gets the number of records just read. Reads the file once, in order, and decodes at
    an eighth of the size with ``threads`` threads (one per core): some 5,000 images/s a core.
    Memory: a few MB a thread, in insightface's layout also 16 bytes an identity and the index.
    Raises RecordError where the structure is damaged, and ValueError for a malformed .idx beside
    the shard, which is read in that layout only.
    """
    threads = whole_number("threads", (os.cpu_count() or 1) if threads is None else threads)
    require(threads >= 1, "threads are 1 or more", threads)
    ahead = _BLOCKS_AHEAD_PER_THREAD * threads + 1
    survey_block = functools.partial(_survey_block, decode=decode)
    counts: Counter[float] = Counter()
    unreadable: list[Unreadable] = []
    empty = array("q")
    with recordio.RecordReader(rec) as reader, ThreadPoolExecutor(threads) as pool:
        for labels, bad, without, records in map_ahead(pool, survey_block, reader.blocks(), ahead):
            counts.update(labels)
            unreadable += bad
            empty.extend(without)
            if advance is not None:
                advance(records)
        offsets = np.array(empty, np.int64)
        indexing, problems = _indexing(reader.path, offsets) if len(offsets) else (offsets, [])
        for offset in np.setdiff1d(offsets, indexing).tolist():
            header, _ = recordio.unpack(reader.read_at(offset))
            counts[_label(header)] += 1
            if decode:
                problems.append(_unreadable(offset, header, "it is empty"))
    by_offset = {one.offset: one for one in (*unreadable, *problems)}
    return ShardSurvey(
        counts, tuple(by_offset[offset] for offset in sorted(by_offset)), len(indexing)
    )


def _indexing(rec: Path, empty: Integers) -> tuple[Integers, list[Unreadable]]:
    """Which of the ``empty`` records index the others in insightface's layout, by their offsets."""
    index = rec.with_suffix(".idx")
    if index.exists():
        keys, offsets = recordio.read_index_of([rec], index)
    else:
        keys, offsets = recordio.rebuild_index(rec)
    indexing = empty
    try:
        rows = recordio.image_rows(rec, keys, offsets)
        indexing = offsets[~rows]
        if len(indexing) and index.exists():
            recordio.read_identities(rec)
    except ValueError as error:
        # One line, and not another for each identity.
        return indexing, [Unreadable(int(offsets[keys == 0][0]), str(error))]
    return indexing, []


def _survey_block(
    block: tuple[list[int], list[memoryview]], decode: bool
) -> tuple[list[float], list[Unreadable], list[int], int]:
    """The labels of a block's records, those that cannot be read, and the number of records.

    Not among them the offsets of those with several labels and no image, which come third.
    """
    labels: list[float] = []
    unreadable: list[Unreadable] = []
    empty: list[int] = []
    offsets, payloads = block
    for offset, payload in zip(offsets, payloads, strict=True):
        try:
            header, image = recordio.unpack(bytes(payload))
        except ValueError as error:
            unreadable.append(Unreadable(offset, str(error)))
            continue
        if header.flag and not image:
            empty.append(offset)
            continue
        labels.append(_label(header))
        try:
            if decode:
                verify_image(image)
        except ImageError as error:
            unreadable.append(_unreadable(offset, header, str(error)))
    return labels, unreadable, empty, len(offsets)


def _label(header: recordio.IRHeader) -> float:
    return float(header.label[0] if header.flag else header.label)


def _unreadable(offset: int, header: recordio.IRHeader, why: str) -> Unreadable:
    return Unreadable(offset, f"the image of id {header.id} cannot be read: {why}")
