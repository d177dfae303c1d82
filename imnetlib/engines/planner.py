"""Which results of a training step may share a buffer: MXNet's rules, without MXNet (chapter 6).

The rules are those of nnvm's PlanMemory pass, as in MXNet 1.9.1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from imnetlib.arguments import Integers, in_order, require, require_type, whole_number

# MXNet's default: a free buffer is taken for results up to 16 times smaller or larger.
MATCH_RANGE = 16


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: the results it reads, and those it writes with their bytes.

    ``overwrites``: for a result that it writes, the one that it reads and may overwrite.
    """

    name: str
    reads: Sequence[Hashable]
    writes: dict[Hashable, int]
    overwrites: dict[Hashable, Hashable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The bytes of each buffer, and for each result the number of its buffer."""

    buffers: list[int]
    buffer_of: dict[Hashable, int]


def lifetimes(steps: Sequence[Step]) -> dict[Hashable, tuple[int, int]]:
    """For each result the positions of the step that writes it and of the last that reads it.

    Errors as for ``plan``.
    """
    steps = _verified(steps)
    last_read = {result: position for position, step in enumerate(steps) for result in step.reads}
    return {
        result: (position, last_read.get(result, position))
        for position, step in enumerate(steps)
        for result in step.writes
    }


def plan(steps: Sequence[Step], *, in_place: bool = True, sharing: bool = True) -> Plan:
    """Assign a buffer to each result of ``steps`` as MXNet does, with each saving on or off.

    ``in_place``: a result takes the buffer of the one it may overwrite, unless that is still to be
    read. ``sharing``: it takes a free buffer. What no step reads gives its buffer back at once.
    Time grows with steps × buffers. ValueError for steps that cannot be done in this order.
    """
    steps = _verified(steps)
    reads_of = Counter(result for step in steps for result in step.reads)
    buffers: list[int] = []
    buffer_of: dict[Hashable, int] = {}
    # The reads still to come, for each buffer.
    pending: list[int] = []
    # In the order of their release.
    free: list[int] = []
    for step in steps:
        # The largest first; of equals the last, as MXNet goes through its outputs.
        for result in sorted(step.writes, key=step.writes.__getitem__)[::-1]:
            size = step.writes[result]
            buffer = None
            if in_place and result in step.overwrites:
                overwritten = buffer_of[step.overwrites[result]]
                buffer = overwritten if pending[overwritten] == 1 else None
            if buffer is None and sharing:
                buffer = _take_fitting(free, buffers, size)
            if buffer is None:
                buffer = len(buffers)
                buffers.append(size)
                pending.append(0)
            buffer_of[result] = buffer
            pending[buffer] += reads_of[result]
        for result in step.reads:
            buffer = buffer_of[result]
            pending[buffer] -= 1
            if not pending[buffer]:
                free.append(buffer)
        free += [buffer_of[result] for result in step.writes if not reads_of[result]]
    return Plan(buffers, buffer_of)


def _verified(steps: Sequence[Step]) -> list[Step]:
    """``steps`` as a list; ValueError for one that reads, writes or overwrites what it cannot."""
    steps = in_order("steps", steps)
    sizes: dict[Hashable, int] = {}
    for step in steps:
        require_type(step, Step, "a step is an engines.Step")
        for result in step.reads:
            if result not in sizes:
                raise ValueError(f"{step.name} reads {result}, which no step before it writes")
        for result, size in step.writes.items():
            if result in sizes:
                raise ValueError(f"{step.name} writes {result}, and a step before it does")
            size = whole_number(f"the size of {result}", size)
            require(size >= 0, f"the size of {result} is 0 or more", size)
            sizes[result] = size
        for result, read in step.overwrites.items():
            if result not in step.writes or read not in step.reads or sizes[result] != sizes[read]:
                raise ValueError(
                    f"{step.name} can't overwrite {read} by {result}: it has to read the one, "
                    "write the other, and both have to be of the same size"
                )
    return steps


def _take_fitting(free: list[int], buffers: list[int], size: int) -> int | None:
    """Take the smallest free buffer that is large enough, else the largest, which grows.

    Of equals the first released of those large enough, the last released of the others.
    """
    larger = [b for b in free if size <= buffers[b] <= size * MATCH_RANGE]
    smaller = [b for b in reversed(free) if size // MATCH_RANGE <= buffers[b] < size]
    if larger:
        buffer = min(larger, key=buffers.__getitem__)
    elif smaller:
        buffer = max(smaller, key=buffers.__getitem__)
    else:
        return None
    free.remove(buffer)
    buffers[buffer] = max(buffers[buffer], size)
    return buffer


class Chain(NamedTuple):
    """Results that are written over one another, with the positions of their first and last step.

    They take ``size`` bytes from when the first is written until the last is read.
    """

    results: tuple[Hashable, ...]
    size: int
    first: int
    last: int


def chains(steps: Sequence[Step]) -> list[Chain]:
    """The results of ``steps``, those that ``plan`` writes in place together (chapter 6)."""
    steps = in_order("steps", steps)
    made = plan(steps, sharing=False)
    members: defaultdict[int, list[Hashable]] = defaultdict(list)
    for result, buffer in made.buffer_of.items():
        members[buffer].append(result)
    spans = lifetimes(steps)
    return [
        Chain(
            tuple(results),
            made.buffers[buffer],
            min(spans[result][0] for result in results),
            max(spans[result][1] for result in results),
        )
        for buffer, results in members.items()
    ]


def in_use(steps: Sequence[Step]) -> Integers:
    """Bytes that hold something still needed at each step: int64 (len(steps),) (chapter 6).

    Results are written in place where ``plan`` does so, and given back after their last reader. The
    highest value is a bound: no plan that keeps to these pairs and this order takes less.
    """
    steps = in_order("steps", steps)
    made = chains(steps)
    used = np.zeros(len(steps), np.int64)
    for chain in made:
        used[chain.first : chain.last + 1] += chain.size
    return used
