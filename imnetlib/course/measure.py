"""Measurements that chapters show: what compression costs, memory held, calls a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imnetlib import image


def psnr(stored: bytes, original: bytes) -> float:
    """How close a stored image is to its original, scaled back to its size: PSNR in dB (chapter 4).

    So that images stored in different sizes can be compared. Scaled by Pillow's bicubic filter.
    """
    from PIL import Image

    reference = image.decode(original)
    height, width = reference.shape[:2]
    pixels = Image.fromarray(image.decode(stored)).resize((width, height), Image.Resampling.BICUBIC)
    error = np.mean((np.asarray(pixels, np.float32) - reference) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-3)))


def resident_bytes() -> int:
    """Bytes of memory that this process holds now, as Linux's ``/proc`` says (chapter 6)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def repeat(action: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Call ``action`` for ``seconds``: calls a second, and how many cores were busy (chapter 7)."""
    calls = 0
    started = time.perf_counter()
    busy = time.process_time()
    while time.perf_counter() - started < seconds:
        action()
        calls += 1
    wall = time.perf_counter() - started
    return calls / wall, (time.process_time() - busy) / wall
