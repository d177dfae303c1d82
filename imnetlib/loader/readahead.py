"""Reading ahead what an order needs next, in large pieces and each byte once (chapter 4)."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from imnetlib.arguments import Integers
from imnetlib.loader.shards import Shards

# For each record the bytes from its beginning on.
Window = dict[int, memoryview]

# Over a gap of so many bytes, reading on costs less than a seek.
_LARGEST_GAP = 1 << 18


class Windows:
    """The ``order`` cut into windows; one thread reads those in use and the next one.

    Only the records of the batches that begin at ``starts`` are read. ``window_size`` is in
    records; with 0 nothing is read ahead.
    """

    def __init__(
        self, shards: Shards, order: Integers, starts: range, batch_size: int, window_size: int
    ) -> None:
        self._shards = shards
        self._order = order
        self._starts = starts
        self._batch_size = batch_size
        self._window_size = window_size
        self._end = starts[-1] + batch_size
        self._begun: dict[int, Future[Window]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="imnetlib-readahead")

    def of(self, positions: Integers) -> list[Future[Window]]:
        """The window of each of these positions, none of them before those of the last call."""
        if not self._window_size:
            return []
        numbers = (positions // self._window_size).tolist()
        begun = self._begun
        self._begun = {number: begun[number] for number in begun if number >= numbers[0]}
        for number in [*numbers, *self._next(numbers[-1])]:
            if number not in self._begun:
                self._begun[number] = self._pool.submit(self._read, number)
        return [self._begun[number] for number in numbers]

    def _next(self, number: int) -> list[int]:
        """The next window in which a batch begins, if there is one."""
        first = self._starts.start
        step = self._starts.step
        start = first + -(-((number + 1) * self._window_size - first) // step) * step
        return [start // self._window_size] if start < self._end else []

    def close(self) -> None:
        """End the thread, after those that wait for its windows."""
        self._pool.shutdown(cancel_futures=True)

    def _read(self, number: int) -> Window:
        first = max(number * self._window_size, self._starts.start)
        positions = np.arange(first, min((number + 1) * self._window_size, self._end))
        own = (positions - self._starts.start) % self._starts.step < self._batch_size
        records = np.unique(self._order[positions[own] % len(self._order)])
        shard, start, end = self._shards.index.locate(records)
        apart = (shard[1:] != shard[:-1]) | (start[1:] - end[:-1] > _LARGEST_GAP)
        window: Window = {}
        for run in np.split(np.arange(len(records)), np.flatnonzero(apart) + 1):
            begin = int(start[run[0]])
            size = int(end[run[-1]]) - begin
            data = memoryview(self._shards.files[shard[run[0]]].pread(size, begin))
            heads = (start[run] - begin).tolist()
            tails = (end[run] - begin).tolist()
            for record, head, tail in zip(records[run].tolist(), heads, tails, strict=True):
                window[record] = data[head:tail]
        return window
