"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import glob
import os
import platform
import secrets
import shutil
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# no host has a ~ in its name, but many a hyphen
HOST = platform.node().replace("/", "_")
_one_at_a_time = threading.Lock()
# bytes a file costs on the disk beyond its own, on average
HALF_BLOCK = 2048
# of a file system that cannot lock
_NO_LOCKS = {errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF}
# no disk left, or no quota
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut (Windows cannot: there it does nothing)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_space(folder: Path, needed: int) -> None:
    """Make the folder; OSError when its disk has less than ``needed`` bytes free."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC, f"{folder} has {free:,} bytes free and {needed:,} are needed: make room"
        )


def require_one_disk(source: Path, folder: Path) -> None:
    """Make ``folder``; OSError unless files of ``source`` can be moved and linked into it."""
    folder.mkdir(parents=True, exist_ok=True)
    if _disk_of(source) != _disk_of(folder):
        raise OSError(
            errno.EXDEV,
            f"{source} and {folder} are on different disks: choose a folder on that of {source}",
        )


def shown_names(folder: Path) -> set[str]:
    """What lies in a folder but hidden things: Finder, for one, leaves a .DS_Store wherever it has
    looked.
    """
    return {entry.name for entry in os.scandir(folder) if entry.name[0] != "."}


def _disk_of(path: Path) -> int:
    return path.stat().st_dev


def sync() -> None:
    """Put everything written on the disk: one call for thousands of files, where an fsync each
    takes hours.
    """
    # not on Windows
    if hasattr(os, "sync"):
        os.sync()


def first_names(names: Iterable[str]) -> str:
    """The first ten of ``names``, sorted, for a message."""
    ordered = sorted(names)
    return ", ".join(ordered[:10]) + (", …" if len(ordered) > 10 else "")


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder for this process; False where another process has it.

    The lock ends with the descriptor, so a killed process holds nothing. True, though nothing is
    locked, on Windows and where the file system has no locks, as Lustre often has not.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keep a second process of this library from working in ``folder``: OSError; see ``try_lock``."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not try_lock(descriptor):
            busy = f"another process is at work in {folder}: run this again later"
            raise OSError(errno.EBUSY, busy)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Say which disk is full: the system's own error names no file once that is open."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            error.errno, f"the disk of {path} is full: make room and run this again"
        ) from error


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` for writing; on success it takes that name, on error it
    goes.

    The data is on the disk before the name is, so a kill or a power cut leaves the old file or the
    new one. The temporary name (``.NAME.HOST~PID~*.tmp``) is this writer's own: of two writers the
    later one wins, whole. What a killed one leaves is removed by the next write of the same path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    beside = path.with_name(f".{path.name}.{HOST}~{os.getpid()}~{secrets.token_hex(4)}.tmp")
    try:
        with full_disk_named(path), beside.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file by ``write_atomically``."""
    with write_atomically(path) as out:
        out.write(data)


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of writers that were killed: processes of this machine that are no
    more.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.{HOST}~*.tmp"):
        pid = int(left.name.rsplit("~", 2)[1])
        if not _alive(pid):
            left.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    # where signal 0 is no question, but the end of the process
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # another user's
        return True
    return True


def file_crc32(path: Path) -> int:
    """The CRC-32 of a file's bytes, read once, a MiB in memory."""
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _seek_and_read(fd: int, size: int, offset: int) -> bytes:
    with _one_at_a_time:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)


# Up to ``size`` bytes of ``fd`` from ``offset`` on; from any thread. No function around pread: its
# call would cost a third of it. Windows has none.
read_at: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)


def read_all_at(fd: int, size: int, offset: int) -> bytes:
    """``size`` bytes from ``offset`` on, fewer only at the file's end: one call brings 2 GiB at
    most.
    """
    data = read_at(fd, size, offset)
    # a network file system may bring less, too
    while 0 < len(data) < size:
        more = read_at(fd, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data
