"""Work that threads or processes do ahead of the consumer of its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

from imnetlib.arguments import require, whole_number

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result]:
    """Yield ``work(item)`` for each item, in order, with at most ``ahead`` of them in memory.

    ``Executor.map`` submits all items at once and keeps every result until it is asked for: with a
    slow disk behind a fast pool they would fill the memory. Work that has not begun when the
    generator is closed, or after an error, is cancelled. ValueError for an ``ahead`` below 1.
    """
    ahead = whole_number("ahead", ahead)
    require(ahead >= 1, "ahead is 1 or more", ahead)
    tasks = (pool.submit(work, item) for item in items)
    pending: deque[Future[Result]] = deque()
    try:
        pending.extend(islice(tasks, ahead))
        while pending:
            result = pending.popleft().result()
            pending.extend(islice(tasks, 1))
            yield result
    finally:
        for future in pending:
            future.cancel()
