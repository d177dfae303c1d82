"""Measurements that chapters show: what compression costs, memory held, calls a second."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imnetlib import image, order
from imnetlib.throughput import DEVICES, HOUR


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


def size_and_psnr(originals: Sequence[bytes], settings: image.Settings) -> tuple[float, float]:
    """The mean KB of images as they are stored, and their mean ``psnr``, in dB (chapter 4)."""
    stored = [image.convert_image(data, settings)[0] for data in originals]
    kilobytes = np.mean([len(data) for data in stored]) / 1000
    fidelity = np.mean([psnr(*pair) for pair in zip(stored, originals, strict=True)])
    return float(kilobytes), float(fidelity)


def shuffle_cost(
    records: int, shuffle: bool | order.Blocks, batch_size: int, record_bytes: float
) -> dict[str, Any]:
    """A row of chapter 4's table: what an order costs the note's hard disk, and how well it mixes.

    ``seeks`` and the ``hours of seeks``, the MB that are ``held to be mixed``, and how often
    records that are stored side by side share a batch, as ``order.neighbours_together`` counts it.
    """
    if isinstance(shuffle, order.Blocks):
        name = f"blocks of {shuffle.records}, {shuffle.window:,} mixed"
        seeks = math.ceil(records / shuffle.records)
        held = shuffle.records_mixed
    else:
        name = "full shuffle" if shuffle else "as stored"
        seeks = records if shuffle else 0
        held = 0
    drawn = order.order_of([records], shuffle, 0, 0)
    return {
        "order": name,
        "seeks": seeks,
        "hours of seeks": seeks / DEVICES[0].iops / HOUR,
        "held to be mixed, MB": held * record_bytes / 1e6,
        "side by side, same batch": order.neighbours_together(drawn, batch_size),
    }


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
