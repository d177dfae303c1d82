"""Memory of batches that serves again once nobody refers to it (chapter 4)."""

from __future__ import annotations

import math
import sys
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt


class BatchMemory:
    """Arrays whose memory serves again: fresh pages cost a fifth of what filling a float32 batch
    costs otherwise.

    An array and all views of it, those of torch and memoryview too, refer to the one buffer that it
    stands in. So the buffer's count of references tells, in CPython, whether any of them lives.
    """

    def __init__(self, most: int) -> None:
        # One that falls out is left to its users.
        self._buffers: deque[npt.NDArray[np.uint8]] = deque(maxlen=most)
        for buffer in deque([np.empty(0, np.uint8)]):
            # of one that only a deque and a loop refer to
            self._alone = sys.getrefcount(buffer)

    def array(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Of this shape and type, with any content."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        buffer = self._unused(size)
        if buffer is None:
            buffer = np.empty(size, np.uint8)
            self._buffers.append(buffer)
        return buffer.view(dtype).reshape(shape)

    def _unused(self, size: int) -> npt.NDArray[np.uint8] | None:
        for buffer in self._buffers:
            if buffer.size == size and sys.getrefcount(buffer) == self._alone:
                return buffer
        return None
