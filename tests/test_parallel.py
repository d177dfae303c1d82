"""Work done ahead: in order, a bounded part of it in memory, and nothing left at the end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imnetlib.parallel import map_ahead


def test_a_slow_taker_bounds_what_is_in_memory():
    taken: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, lambda n: taken.append(n) or n, range(995), ahead=3)
        assert [next(results) for _ in range(15)] == list(range(15))
        # Both threads are done with what was submitted before, or one is busy with the last of it.
        pool.submit(int).result()
        assert len(taken) <= 18
        assert list(results) == list(range(15, 995))


def test_items_are_asked_for_as_late_as_they_are_needed():
    asked: list[int] = []
    items = (asked.append(n) or n for n in range(100))
    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, int, items, ahead=4)
        next(results)
        assert len(asked) == 5
        results.close()


def test_after_an_error_what_has_not_begun_is_cancelled():
    begun: list[int] = []
    hold = threading.Event()

    def work(n: int) -> float:
        begun.append(n)
        if n:
            hold.wait(5)
        return 1 / n

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError):
            next(map_ahead(pool, work, range(9), ahead=9))
        hold.set()
    assert begun in ([0], [0, 1])


def test_nothing_gives_nothing():
    with ThreadPoolExecutor(1) as pool:
        assert list(map_ahead(pool, int, [], ahead=2)) == []


def test_nothing_ahead_is_refused_and_not_taken_for_the_end():
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="ahead is 1 or more"):
        next(map_ahead(pool, int, [1, 2], ahead=0))
