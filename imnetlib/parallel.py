"""Work handed to threads or processes ahead of the one who takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Generator[Result]:
    """``work(item)`` for each item, in order, as ``pool.map`` gives them; ``ahead`` of them at most
    are in memory.

    ``Executor.map`` takes in all items at once and keeps every result until it is asked for: a slow
    disk behind a fast pool would fill the memory. Left early, or after an error, what has not begun
    is cancelled.
    """
    todo = iter(items)
    waiting: deque[Future[Result]] = deque()
    try:
        waiting.extend(pool.submit(work, item) for item in islice(todo, ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(todo, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()
