"""Files that appear whole or not at all, disks that fill up, locks, and reads from any thread."""

from __future__ import annotations

import errno
import glob
import logging
import os
import platform
import re
import secrets
import shutil
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from imnetlib.arguments import PathLike

_log = logging.getLogger(__name__)
# Part of a temporary name, set off by ~, which no host's name contains.
HOST = platform.node().replace("/", "_")
# Bytes of a file's name that its temporary name begins with.
_LONGEST_BEGIN = 150
# Bytes that a file takes on the disk beyond its own, on average.
HALF_BLOCK = 2048
# What macOS and Windows put among the files of a user.
BYPRODUCTS = {".DS_Store", "Thumbs.db", "thumbs.db", "Desktop.ini", "desktop.ini", "__MACOSX"}
# The errors of a disk and of a quota that is used up.
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
# The name of one file of a set, train-00001-of-00003.parquet; some writers put a hash behind it.
_NUMBERED = re.compile(r"(.*)-(\d+)-of-(\d+)(?=[-.]|$)")
_one_at_a_time = threading.Lock()
_warned_of_no_locks = threading.Event()


def fsync_folder(folder: PathLike) -> None:
    """Make the names in ``folder`` survive a power cut; does nothing on Windows, which cannot."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync() -> None:
    """Put all that is written on the disk, as fsync would take hours for thousands of files."""
    # Windows has no such call.
    if hasattr(os, "sync"):
        os.sync()


def require_space(folder: PathLike, needed: int) -> None:
    """Make ``folder``; OSError when its disk has less than ``needed`` bytes free."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC, f"{folder} has {free:,} bytes free and {needed:,} are needed: make room"
        )


def require_one_disk(source: PathLike, folder: PathLike) -> None:
    """Make ``folder``; OSError unless files of ``source`` can be moved and linked into it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if _disk_of(Path(source)) != _disk_of(folder):
        raise OSError(
            errno.EXDEV,
            f"{source} and {folder} are on different disks: choose a folder on that of {source}",
        )


def _disk_of(path: Path) -> int:
    return path.stat().st_dev


def visible_names(folder: PathLike) -> set[str]:
    """The names in ``folder`` but hidden ones, and but Thumbs.db and other by-products."""
    names = {entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")}
    return names - BYPRODUCTS


def listed_names(names: Iterable[str]) -> str:
    """The first ten of ``names``, sorted, for a message."""
    ordered = sorted(names)
    return ", ".join(ordered[:10]) + (", …" if len(ordered) > 10 else "")


def numbered_sets(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """The sets that files called like train-00001-of-00003.rec are of, and what each lacks.

    A set is called by its folder and ``train-*-of-00003.rec``; other files of a folder are one set,
    ``*.rec``, that lacks nothing.
    """
    there: dict[Path, set[int]] = {}
    for path in paths:
        match = _NUMBERED.match(path.stem)
        name = f"{match[1]}-*-of-{match[3]}" if match else "*"
        numbers = there.setdefault(path.with_name(name + path.suffix), set())
        if match:
            numbers.add(int(match[2]))
    lacking = {}
    for whole, numbers in sorted(there.items()):
        count = whole.stem.rpartition("-")[2] if numbers else ""
        missing = sorted(set(range(int(count or 0))) - numbers)
        names = (whole.name.replace("*", f"{number:0{len(count)}}", 1) for number in missing)
        lacking[whole] = [whole.with_name(name) for name in names]
    return lacking


def try_lock(descriptor: int, folder: PathLike) -> bool:
    """Lock an open file or folder for this process; False where another process has the lock.

    The lock ends with the descriptor, so a killed process holds none. On Windows, and where the
    file system of ``folder`` has no locks, as Lustre and NFS often have not, it is True though
    nothing is locked; a warning says the latter, once in a process.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
            return False
        if not _warned_of_no_locks.is_set():
            _warned_of_no_locks.set()
            message = (
                f"the file system of {folder} has no locks ({error.strerror}): "
                "let no second process work there at the same time"
            )
            # Where warnings are errors the work goes on all the same.
            try:
                warnings.warn(message, stacklevel=2)
            except UserWarning:
                _log.warning(message)
    return True


@contextmanager
def exclusive_lock(folder: PathLike) -> Iterator[None]:
    """Hold the lock of ``folder`` (``try_lock``); OSError while another process has it."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not try_lock(descriptor, folder):
            busy = f"another process is at work in {folder}: run this again later"
            raise OSError(errno.EBUSY, busy)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def name_full_disk(path: PathLike) -> Iterator[None]:
    """Say which disk is full: the system's own error names no file once it is open."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        full = f"the disk of {path} is full: make room and run this again"
        raise OSError(error.errno, full) from error


def remove_leftovers(folder: PathLike, begin: str = "*") -> None:
    """Remove what killed writers of ``write_atomically`` left in a folder, of names like this."""
    for leftover in Path(folder).glob(f".{begin}.{HOST}~*~*.tmp"):
        if not _is_alive(int(leftover.name.rsplit("~", 2)[1])):
            leftover.unlink(missing_ok=True)


@contextmanager
def write_atomically(path: PathLike, *, sweep: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file to write; it becomes ``path`` on success and is removed on an error.

    The data is on the disk before the name is, so a kill or a power cut leaves the old file or the
    new one. The temporary name, ``.NAME.HOST~PID~*.tmp``, belongs to this writer alone: of two
    writers the later one wins, whole. What a killed one leaves is removed by the next, for which
    the folder is read: without ``sweep`` not, for thousands of files (``remove_leftovers``).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file system takes 255 bytes.
    begin = os.fsdecode(os.fsencode(path.name)[:_LONGEST_BEGIN])
    if sweep:
        remove_leftovers(path.parent, glob.escape(begin))
    beside = path.with_name(f".{begin}.{HOST}~{os.getpid()}~{secrets.token_hex(4)}.tmp")
    try:
        with name_full_disk(path), beside.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    # On Windows signal 0 would end the process.
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except OSError as error:
        # The process of another user may not be asked.
        return isinstance(error, PermissionError)
    return True


def write_bytes_atomically(path: PathLike, data: bytes) -> None:
    """Write a small file by ``write_atomically``."""
    with write_atomically(path) as out:
        out.write(data)


def file_crc32(path: PathLike) -> int:
    """The CRC-32 of a file's bytes, read once, a MiB in memory."""
    checksum = 0
    with Path(path).open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _seek_and_read(fd: int, size: int, offset: int) -> bytes:
    with _one_at_a_time:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)


# Up to ``size`` bytes of ``fd`` from ``offset`` on, from any thread. Not a function around pread,
# which Windows lacks: the call would take a third of the time.
read_at: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)


def read_all_at(fd: int, size: int, offset: int) -> bytes:
    """``size`` bytes from ``offset`` on, fewer only at the end of the file.

    One call of the system brings 2 GiB at most, and less from a network file system.
    """
    data = read_at(fd, size, offset)
    while len(data) < size and (more := read_at(fd, size - len(data), offset + len(data))):
        data += more
    return data
