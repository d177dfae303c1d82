"""The order of an epoch, and each reader's part of it, as pure functions (chapter 4).

There is no state and no running generator: every reader on every machine computes the same order
by itself, any thread has the random numbers of any record, and a position in the order is all that
must be saved to go on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imnetlib.arguments import Integers, require, require_type, whole_number

_RECORDS_MIXED_AT_ONCE = 1 << 20
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A shuffle that reads in order: blocks of neighbours come shuffled, ``window`` of them mixed.

    For disks that seek badly: one seek a block instead of one a record. Memory: ``records`` x
    ``window`` encoded images, two or three times. ``neighbours_together`` measures how much
    randomness is lost. ValueError below 1, TypeError for what is no whole number.
    """

    records: int = 64
    window: int = 32

    def __post_init__(self) -> None:
        # Python's own integers, as a saved position holds the shuffle as text.
        for name in ("records", "window"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        rule = "a block has 1 record or more, a window 1 block or more"
        require(min(self.records, self.window) >= 1, rule, self)

    @property
    def records_mixed(self) -> int:
        """Records that are mixed with each other."""
        return self.records * self.window


def require_shuffle(shuffle: object) -> None:
    """Raise TypeError for what is no shuffle of :func:`order_of`."""
    require_type(shuffle, (bool, Blocks), "shuffle is True, False or Blocks(…)")


def order_of(sizes: npt.ArrayLike, shuffle: bool | Blocks, seed: int, epoch: int) -> Integers:
    """The order of an epoch over shards of these sizes: a permutation of 0 to n - 1 (chapter 4).

    ``shuffle``: True for a full shuffle; ``Blocks`` for a block shuffle, in which no block reaches
    over the end of a shard; False for the order as stored. About 0.1 s a million records.
    """
    require_shuffle(shuffle)
    counts = np.asarray(sizes, np.int64)
    key = whole_number("seed", seed) << 32 | whole_number("epoch", epoch)
    if isinstance(shuffle, Blocks):
        return _block_order(counts, shuffle, key)
    records = int(counts.sum())
    return shuffled_positions(records, key) if shuffle else np.arange(records, dtype=np.int64)


def _block_order(sizes: Integers, blocks: Blocks, key: int) -> Integers:
    ends = np.cumsum(sizes)
    blocks_a_shard = -(-sizes // blocks.records)
    shard = np.repeat(np.arange(len(sizes)), blocks_a_shard)
    block = np.arange(len(shard)) - (np.cumsum(blocks_a_shard) - blocks_a_shard)[shard]
    begin = (ends - sizes)[shard] + block * blocks.records
    length = np.minimum(blocks.records, ends[shard] - begin)

    shuffled = shuffled_positions(len(shard), key)
    begin = begin[shuffled]
    length = length[shuffled]
    order: Integers = np.repeat(begin - np.cumsum(length) + length, length)
    order += np.arange(len(order))

    # Within each window by random bits, in several steps of whole windows to keep the memory small.
    random_bits = np.random.PCG64((key, 1)).random_raw(len(order))
    step = max(1, _RECORDS_MIXED_AT_ONCE // blocks.records_mixed) * blocks.records_mixed
    for first in range(0, len(order), step):
        part = slice(first, first + step)
        bits = random_bits[part] >> np.uint64(32)
        window = np.arange(len(bits), dtype=np.uint64) // np.uint64(blocks.records_mixed)
        order[part] = order[part][np.argsort(window << np.uint64(32) | bits, kind="stable")]
    return order


def shuffled_positions(n: int, seed: int) -> Integers:
    """A permutation of 0 to n - 1, for each ``seed`` the same in every NumPy (chapter 4).

    The order of n raw 64-bit numbers of PCG64, ties by position: NumPy keeps that stream for ever,
    while the methods of its Generator may change. 0.1 s a million.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def neighbours_together(order: Integers, batch_size: int) -> float:
    """How often records stored side by side share a batch, as a multiple of chance (chapter 4).

    1 for a full shuffle, about ``len(order) / batch_size`` for none. ValueError for fewer than two
    records, or two a batch.
    """
    records = len(order)
    rule = "neighbours need 2 records or more, and batches of 2 or more"
    require(min(records, batch_size) >= 2, rule, (records, batch_size))
    batch = np.empty(records, np.int64)
    batch[order] = np.arange(records) // batch_size
    together = np.mean(batch[1:] == batch[:-1])
    sizes = np.bincount(batch)
    chance = (sizes * (sizes - 1)).sum() / (records * (records - 1))
    return float(together / chance)


def batch_starts(
    records: int, batch_size: int, start: int, shard_index: int, shard_count: int
) -> range:
    """Where each batch of this reader begins, from position ``start`` of the epoch on (chapter 4).

    Reader r of n takes every n-th batch, and all take equally many: positions from ``records`` on
    are padding.
    """
    stride = batch_size * shard_count
    steps = -(-max(0, records - start) // stride)
    first = start + shard_index * batch_size
    return range(first, first + steps * stride, stride)


def random_numbers(seed: int, epoch: int, ids: Integers, columns: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), (len(ids), columns), each a hash of seed, epoch, id and column.

    Hashed, not drawn from a generator, so that any thread has the numbers of any record.
    """
    key = np.array([int(seed) % 2**64, epoch], np.uint64)
    row = _mix(_mix(_mix(key[:1]) + key[1:] * _GOLDEN) + ids.astype(np.uint64) * _GOLDEN)
    bits = _mix(row[:, None] + np.arange(1, columns + 1, dtype=np.uint64) * _GOLDEN)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The output function of splitmix64 (Steele, Lea, Flood 2014), element by element."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
