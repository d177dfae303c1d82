"""Reads what an order is about to need: in large pieces, each byte once, ahead of those who decode
(chapter 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from imnetlib.loader.index import ShardIndex
from imnetlib.recordio import RecordReader

Integers = npt.NDArray[np.int64]
# for each record the bytes from its beginning on
Window = dict[int, memoryview]

# bytes between two records: up to that many, to read on costs less than a seek
_LARGEST_GAP = 1 << 18


class Windows:
    """The ``order`` cut into windows of ``places``; those in use and the next one are read, by a
    thread of its own.

    Read are the records of the batches that begin at ``starts`` only. With ``places`` 0 nothing is
    read ahead.
    """

    def __init__(
        self,
        index: ShardIndex,
        readers: Sequence[RecordReader],
        order: Integers,
        starts: range,
        batch_size: int,
        places: int,
    ) -> None:
        self._index = index
        self._readers = readers
        self._order = order
        self._starts = starts
        self._batch_size = batch_size
        self._places = places
        self._end = starts[-1] + batch_size if starts else 0
        self._begun: dict[int, Future[Window]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="imnetlib-reader")

    def of(self, places: Integers) -> list[Future[Window]]:
        """The window of each of these places, which must not lie before those asked for last;
        begins to read them.
        """
        if not self._places:
            return []
        numbers = (places // self._places).tolist()
        self._begun = {
            number: window for number, window in self._begun.items() if number >= numbers[0]
        }
        for number in dict.fromkeys([*numbers, *self._after(numbers[-1])]):
            if number not in self._begun:
                self._begun[number] = self._pool.submit(self._read, number)
        return [self._begun[number] for number in numbers]

    def _after(self, number: int) -> list[int]:
        """The next window in which a batch begins, if there is one."""
        first = self._starts.start
        step = self._starts.step
        start = first + -(-((number + 1) * self._places - first) // step) * step
        return [start // self._places] if start < self._end else []

    def close(self) -> None:
        """End the thread, after those that wait for its windows."""
        self._pool.shutdown(cancel_futures=True)

    def _read(self, number: int) -> Window:
        first = max(number * self._places, self._starts.start)
        places = np.arange(first, min((number + 1) * self._places, self._end))
        own = (places - self._starts.start) % self._starts.step < self._batch_size
        records = np.unique(self._order[places[own] % len(self._order)])
        shard, start, behind = self._index.locate(records)
        far = (shard[1:] != shard[:-1]) | (start[1:] - behind[:-1] > _LARGEST_GAP)
        window: Window = {}
        for run in np.split(np.arange(len(records)), np.flatnonzero(far) + 1):
            begin = int(start[run[0]])
            data = memoryview(
                self._readers[shard[run[0]]].pread(int(behind[run[-1]]) - begin, begin)
            )
            ends = zip(
                records[run].tolist(),
                (start[run] - begin).tolist(),
                (behind[run] - begin).tolist(),
                strict=True,
            )
            window.update((record, data[head:tail]) for record, head, tail in ends)
        return window
