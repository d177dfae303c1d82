"""What is in a packed shard: is it as its sidecar says, images by class, those that cannot be read
(chapter 4).
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imnetlib import recordio
from imnetlib.image import ImageError, verify_image
from imnetlib.parallel import map_ahead
from imnetlib.recordio import RecordReader

# records of a block, their labels, what cannot be read
_Found = tuple[int, list[float], list["Unreadable"]]
# for each thread: a block has about 1 MB
_BLOCKS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Where in the shard a record begins that holds no image that can be read, and why."""

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class ShardSurvey:
    """The records of a shard by label (the first of several), and those that hold no readable
    image.
    """

    counts: Counter[float]
    unreadable: tuple[Unreadable, ...]


def survey_shard(
    rec: Path,
    *,
    decode: bool,
    threads: int | None = None,
    advance: Callable[[int], object] | None = None,
) -> ShardSurvey:
    """Count the records of a sound shard by label; with ``decode`` read every image (chapter 4).

    ``advance`` gets the number of records just read. Reads the file once, in order, and decodes at
    an eighth of the size with ``threads`` threads (one per core): some 5,000 images/s a core.
    Memory: a few MB a thread. Raises RecordError where the structure is damaged.
    """
    counts: Counter[float] = Counter()
    unreadable: list[Unreadable] = []
    for records, labels, bad in _surveyed_blocks(rec, decode, threads or os.cpu_count() or 1):
        counts.update(labels)
        unreadable += bad
        if advance is not None:
            advance(records)
    return ShardSurvey(counts, tuple(unreadable))


def _surveyed_blocks(rec: Path, decode: bool, threads: int) -> Iterator[_Found]:
    survey = functools.partial(_survey_block, decode=decode)
    with RecordReader(rec) as reader, ThreadPoolExecutor(threads) as pool:
        yield from map_ahead(pool, survey, reader.blocks(), _BLOCKS_AHEAD * threads + 1)


def _survey_block(block: tuple[list[int], list[memoryview]], decode: bool) -> _Found:
    labels: list[float] = []
    bad: list[Unreadable] = []
    offsets, payloads = block
    for offset, payload in zip(offsets, payloads, strict=True):
        try:
            header, image = recordio.unpack(bytes(payload))
        except ValueError as error:
            bad.append(Unreadable(offset, str(error)))
            continue
        labels.append(float(header.label[0] if header.flag else header.label))
        try:
            if decode:
                verify_image(image)
        except ImageError as error:
            bad.append(Unreadable(offset, f"the image of id {header.id} cannot be read: {error}"))
    return len(offsets), labels, bad
