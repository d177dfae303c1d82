"""Memory of batches that is used again once nothing refers to it (chapter 4)."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class _Loan:
    """What NumPy takes for the owner of a batch's memory: it lives as long as any view of that.

    A new object for each batch, while the memory itself stays. Arrays, memoryviews and torch's
    tensors all keep it alive.
    """

    def __init__(self, memory: Array) -> None:
        self.__array_interface__ = memory.__array_interface__


class BatchMemory:
    """Arrays whose memory is used again: up to ``most`` pieces of it wait for their next use.

    Fresh pages cost a fifth of what filling a float32 batch costs otherwise.
    """

    def __init__(self, most: int) -> None:
        self._free: deque[Array] = deque(maxlen=most)

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """An array of this shape and type, with any content; one thread may ask at a time."""
        memory = self._free.pop() if self._free else None
        if memory is None or memory.shape != shape or memory.dtype != dtype:
            memory = np.empty(shape, dtype)
        loan = _Loan(memory)
        back = weakref.finalize(loan, _take_back, weakref.ref(self._free), memory)
        # At exit it would let go of memory that a batch may still be using.
        back.atexit = False
        return np.asarray(loan)

    def __reduce__(self) -> tuple[type[BatchMemory], tuple[int | None]]:
        return BatchMemory, (self._free.maxlen,)


def _take_back(free: weakref.ref[deque[Array]], memory: Array) -> None:
    """Keep ``memory`` for a later batch, unless the loader is gone; called in any thread."""
    waiting = free()
    if waiting is not None:
        waiting.append(memory)
