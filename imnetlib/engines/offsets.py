"""A training step's results in one block of memory, each at an offset of its own (chapter 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from imnetlib.engines.planner import Chain, Step, chains

# Which results are placed first: large ones, and of equals those that are read last; those that
# take much for long; those that are needed for long. The best of the three counts.
ORDERS: tuple[Callable[[Chain], tuple[int, int]], ...] = (
    lambda chain: (-chain.size, -chain.last),
    lambda chain: (-chain.size * (chain.last - chain.first + 1), chain.first),
    lambda chain: (chain.first - chain.last, -chain.size),
)


class Layout(NamedTuple):
    """``size``: bytes of the whole block; ``places``: each chain of results with its offset."""

    size: int
    places: list[tuple[Chain, int]]


def plan_offsets(steps: Sequence[Step]) -> Layout:
    """Place the results of ``steps`` in one block, so that none overlaps another that lives.

    Greedy: each goes into the smallest gap where it fits, else behind all others. Nothing gets
    below the highest value of ``in_use``. Time grows with the square of the results: 0.3 s for the
    2,000 of a ResNet-152.
    """
    made = chains(steps)
    return min(
        (_place(sorted(made, key=order)) for order in ORDERS), key=lambda layout: layout.size
    )


def _place(ordered: Sequence[Chain]) -> Layout:
    places: list[tuple[Chain, int]] = []
    for chain in ordered:
        taken = sorted(
            (offset, offset + other.size)
            for other, offset in places
            if other.first <= chain.last and chain.first <= other.last
        )
        places.append((chain, _best_fit(taken, chain.size)))
    return Layout(max((offset + chain.size for chain, offset in places), default=0), places)


def _best_fit(taken: Sequence[tuple[int, int]], size: int) -> int:
    """The offset of the smallest gap of ``size`` bytes or more, else the end."""
    gaps: list[tuple[int, int]] = []
    end = 0
    for start, stop in taken:
        if start - end >= size:
            gaps.append((start - end, end))
        end = max(end, stop)
    return min(gaps, default=(0, end))[1]
