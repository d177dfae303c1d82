"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_one_at_a_time = threading.Lock()


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut (Windows cannot: there it does nothing)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` for writing; on success it takes that name, on error it goes.

    The data is on the disk before the name is, so a kill or a power cut leaves the old file or the new one.
    After a kill the temporary file (``.NAME.tmp``) stays and the next write of the same path replaces it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to ``size`` bytes from ``offset`` on, fewer only at the file's end; from any thread."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    with _one_at_a_time:  # Windows has no pread
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)
