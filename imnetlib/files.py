"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import platform
import secrets
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

HOST = platform.node().replace("/", "_")  # no host has a ~ in its name, but many a hyphen
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

    The data is on the disk before the name is, so a kill or a power cut leaves the old file or the new one. The
    temporary name (``.NAME.HOST~PID~*.tmp``) is this writer's own: of two writers the later one wins, whole. What a
    killed one leaves is removed by the next write of the same path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    beside = path.with_name(f".{path.name}.{HOST}~{os.getpid()}~{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of writers that were killed: processes of this machine that are no more."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{HOST}~*.tmp"):
        pid = int(left.name.rsplit("~", 2)[1])
        if not _alive(pid):
            left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 is no question, but the end of the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def file_crc32(path: Path) -> int:
    """The CRC-32 of a file's bytes, read once, a MiB in memory."""
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def read_at(fd: int, size: int, offset: int) -> bytes:
    """Up to ``size`` bytes from ``offset`` on, fewer only at the file's end; from any thread."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    with _one_at_a_time:  # Windows has no pread
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)
