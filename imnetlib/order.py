"""The order of an epoch, and who takes which part of it: pure functions of sizes, seed and epoch
(chapter 4).

No state and no generator that runs along: every reader on every machine comes to the same order by
itself, any thread has the random numbers of any record, and a position in the order is all that
must be saved to go on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

Integers = npt.NDArray[np.int64]

# records that are mixed in one go
_RECORDS_MIXED_AT_ONCE = 1 << 20
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A shuffle that reads in order: blocks of neighbouring records come in random order,
    ``window`` of them mixed.

    For disks that seek badly: a seek a block instead of one a record. Memory: ``records`` x
    ``window`` encoded images, two or three times. ``neighbours_together`` tells what randomness is
    lost. ValueError below 1.
    """

    records: int = 64
    window: int = 32

    def __post_init__(self) -> None:
        if min(self.records, self.window) < 1:
            raise ValueError(f"a block has 1 record or more, a window 1 block or more, not {self}")

    @property
    def places(self) -> int:
        """Records that are mixed with each other."""
        return self.records * self.window


def order_of(sizes: npt.ArrayLike, shuffle: bool | Blocks, seed: int, epoch: int) -> Integers:
    """The order of an epoch over shards of these sizes: shuffled fully, in blocks, or as stored
    (chapter 4).
    """
    if isinstance(shuffle, Blocks):
        return block_order(np.asarray(sizes), shuffle, seed, epoch)
    records = int(np.sum(sizes))
    return epoch_order(records, seed, epoch) if shuffle else np.arange(records)


def epoch_order(records: int, seed: int, epoch: int) -> Integers:
    """A full shuffle: a permutation of 0..records - 1, the same everywhere (chapter 4). 0.1 s a
    million.
    """
    return shuffled_positions(records, _key(seed, epoch))


def block_order(sizes: Integers, blocks: Blocks, seed: int, epoch: int) -> Integers:
    """The order of a block shuffle of shards with ``sizes`` records: a permutation of 0..sum(sizes)
    - 1 (chapter 4).

    No block reaches over the end of a shard. 0.15 s a million.
    """
    after = np.cumsum(sizes, dtype=np.int64)
    begins = [
        np.arange(end - size, end, blocks.records, dtype=np.int64)
        for end, size in zip(after, sizes, strict=True)
    ]
    begin = np.concatenate([np.empty(0, np.int64), *begins])
    end = np.minimum(begin + blocks.records, after[np.searchsorted(after, begin, side="right")])
    shuffled = shuffled_positions(len(begin), _key(seed, epoch))
    begin, length = begin[shuffled], (end - begin)[shuffled]
    order = np.repeat(begin - np.cumsum(length) + length, length)
    order += np.arange(len(order))
    luck = np.random.PCG64((_key(seed, epoch), 1)).random_raw(len(order))
    step = max(1, _RECORDS_MIXED_AT_ONCE // blocks.places) * blocks.places
    # whole windows, as many as keep the memory small
    for first in range(0, len(order), step):
        part = slice(first, first + step)
        window = np.arange(len(luck[part]), dtype=np.uint64) // np.uint64(blocks.places)
        mixed = np.argsort(window << np.uint64(32) | luck[part] >> np.uint64(32), kind="stable")
        order[part] = order[part][mixed]
    return order


def _key(seed: int, epoch: int) -> int:
    return seed << 32 | epoch


def neighbours_together(order: Integers, batch_size: int) -> float:
    """How often two records stored side by side meet in a batch, as a multiple of what chance gives
    (chapter 4).

    1 for a full shuffle; for no shuffle about ``len(order) / batch_size``. ValueError for less than
    two records, or two a batch.
    """
    records = len(order)
    if records < 2 or batch_size < 2:
        raise ValueError(
            f"neighbours need 2 records and batches of 2 or more, not {records} and {batch_size}"
        )
    batch = np.empty(records, np.int64)
    batch[order] = np.arange(records) // batch_size
    met = np.mean(batch[1:] == batch[:-1])
    sizes = np.bincount(batch)
    chance = (sizes * (sizes - 1)).sum() / (records * (records - 1))
    return float(met / chance)


def batch_starts(
    records: int, batch_size: int, start: int, shard_index: int, shard_count: int
) -> range:
    """Where in the order each batch of this reader begins, from position ``start`` of the epoch on
    (chapter 4).

    Reader r of n takes every n-th batch, and all take equally many: positions from ``records`` on
    are padding.
    """
    stride = batch_size * shard_count
    steps = -(-max(0, records - start) // stride)
    return range(
        start + shard_index * batch_size, start + shard_index * batch_size + steps * stride, stride
    )


def random_numbers(seed: int, epoch: int, ids: Integers, columns: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), of shape (len(ids), columns), each a function of seed, epoch, id
    and column.

    Hashed, not drawn from a generator, so that any thread can have the numbers of any record.
    """
    key = np.array([seed % 2**64, epoch], np.uint64)
    row = _mix(_mix(_mix(key[:1]) + key[1:] * _GOLDEN) + ids.astype(np.uint64) * _GOLDEN)
    bits = _mix(row[:, None] + np.arange(1, columns + 1, dtype=np.uint64) * _GOLDEN)
    return (bits >> np.uint64(11)) * 2.0**-53


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The output function of splitmix64 (Steele, Lea, Flood 2014), element by element."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def shuffled_positions(n: int, seed: int) -> NDArray[np.int64]:
    """A permutation of 0 … n - 1, a pure function of ``n`` and ``seed``, the same in every NumPy
    (chapter 4).

    The order of n raw 64-bit numbers of PCG64, ties by position: NumPy keeps that stream for ever,
    while the methods of its Generator may change. 0.1 s a million.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")
