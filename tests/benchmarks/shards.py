"""Shards that loaders are timed over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from imnetlib import recordio


def write_records(folder: Path, images: int, jpegs: Sequence[bytes]) -> Path:
    """A shard of so many images of ten classes, these again and again, and its index."""
    offsets = []
    with (folder / "set.rec").open("wb") as out:
        for number in range(images):
            offsets.append(out.tell())
            header = recordio.IRHeader(0, float(number % 10), number, 0)
            out.write(recordio.frame(recordio.pack(header, jpegs[number % len(jpegs)])))
    recordio.write_index(folder / "set.idx", np.arange(images), offsets)
    return folder / "set.rec"
