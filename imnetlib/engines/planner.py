"""Which results of a training step may share a buffer: MXNet's rules, free of MXNet (chapter 6).

The rules are those of nnvm's PlanMemory pass, as in MXNet 1.9.1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

# MXNet's default: a buffer serves results up to 16 times smaller or larger
MATCH_RANGE = 16


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: the results it reads, the bytes of those it writes, and which of these may
    overwrite which.
    """

    name: str
    reads: Sequence[Hashable]
    writes: dict[Hashable, int]
    overwrites: dict[Hashable, Hashable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The bytes of each buffer, and for each result the number of its buffer."""

    buffers: list[int]
    places: dict[Hashable, int]


def lifetimes(steps: Sequence[Step]) -> dict[Hashable, tuple[int, int]]:
    """For each result the positions of the step that writes it and of the last that reads it."""
    last = {result: position for position, step in enumerate(steps) for result in step.reads}
    return {
        result: (position, last[result])
        for position, step in enumerate(steps)
        for result in step.writes
    }


def plan(steps: Sequence[Step], *, in_place: bool = True, sharing: bool = True) -> Plan:
    """Buffers for the results of ``steps`` with each saving on or off, chosen as MXNet chooses
    them.

    ``in_place``: a result takes the buffer of the one it may overwrite, where nobody else waits for
    that. ``sharing``: it takes a buffer that is free again. Every result has a reader; time grows
    with steps × buffers.
    """
    readers = Counter(result for step in steps for result in step.reads)
    made = Plan([], {})
    # for each buffer, the reads to come
    awaited: list[int] = []
    # in the order of their release
    free: list[int] = []
    for step in steps:
        # The largest first; of equals the last, as MXNet goes through its outputs.
        for result, size in sorted(step.writes.items(), key=lambda item: item[1])[::-1]:
            over = (
                made.places[step.overwrites[result]]
                if in_place and result in step.overwrites
                else None
            )
            if over is not None and awaited[over] == 1:
                buffer = over
            elif sharing and (fitting := _fitting(free, made.buffers, size)) is not None:
                free.remove(buffer := fitting)
                made.buffers[buffer] = max(made.buffers[buffer], size)
            else:
                buffer = len(made.buffers)
                made.buffers.append(size)
                awaited.append(0)
            made.places[result] = buffer
            awaited[buffer] += readers[result]
        for buffer in (made.places[result] for result in step.reads):
            awaited[buffer] -= 1
            if not awaited[buffer]:
                free.append(buffer)
    return made


def _fitting(free: Sequence[int], buffers: Sequence[int], size: int) -> int | None:
    """The smallest free buffer that is large enough, else the largest; of equals the first and the
    last released.
    """
    larger = [b for b in free if size <= buffers[b] <= size * MATCH_RANGE]
    smaller = [b for b in reversed(free) if size // MATCH_RANGE <= buffers[b] < size]
    if larger:
        return min(larger, key=buffers.__getitem__)
    return max(smaller, key=buffers.__getitem__, default=None)
