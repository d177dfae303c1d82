"""The memory that a training step has in use at each operation, whatever the plan (chapter 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imnetlib.engines.planner import Step, lifetimes, plan


def in_use(steps: Sequence[Step]) -> npt.NDArray[np.int64]:
    """Bytes that hold something still needed at each step: int64 (len(steps),) (chapter 6).

    Results are written in place, and a buffer is given back after its last reader. The highest
    value is a bound: no ``plan`` of the same steps takes less.
    """
    made = plan(steps, sharing=False)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for result, (start, end) in lifetimes(steps).items():
        buffer = made.buffer_of[result]
        first.setdefault(buffer, start)
        last[buffer] = max(end, last.get(buffer, end))
    used = np.zeros(len(steps), np.int64)
    for buffer, size in enumerate(made.buffers):
        used[first[buffer] : last[buffer] + 1] += size
    return used
