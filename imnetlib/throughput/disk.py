"""A probe of the disk under a folder (chapter 3)."""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imnetlib.arguments import Integers, PathLike
from imnetlib.throughput.arithmetic import GIB, MIB, PAGE, Device, require_positive


@dataclass(frozen=True, slots=True)
class Probe:
    """What ``probe`` measured: bytes/s in order, and random 4K reads/s by reads in flight."""

    folder: Path
    n_bytes: int
    method: str
    sequential: float
    iops: dict[int, float]

    def device(self, depth: int = 1) -> Device:
        """The disk as a row beside ``DEVICES``, with ``depth`` random reads at a time."""
        source = f"measured here: {self.n_bytes / MIB:.0f} MiB, {self.method}"
        return Device(f"this disk, {depth} at a time", self.sequential, self.iops[depth], source)


QUEUE_DEPTHS = (1, 2, 4, 8, 16, 32)
_SEQUENTIAL_READ = 8 * MIB
_SHARES = {"write": 0.4, "sequential": 0.15, "random": 0.45 / len(QUEUE_DEPTHS)}


def probe(folder: PathLike, seconds: float = 20, n_bytes: int = GIB) -> Probe:
    """Measure the disk under ``folder``: reads in order, and random 4K reads (chapter 3).

    Writes a nameless file of at most ``n_bytes`` (less if 40 % of ``seconds`` do not suffice),
    reads it past the page cache and is done in about ``seconds``. Nothing stays behind, even after
    an error or a kill. ``method`` says how the cache was avoided: ``O_DIRECT``; else
    ``posix_fadvise``, which drops it before each part; on macOS ``F_NOCACHE``. Random reads are 1
    to 32 at a time, each in a thread of its own. The limits: a short file flatters a hard disk,
    whose arm hardly moves; a folder in memory shows the memory; beyond some 100,000 reads/s on two
    cores Python is the bottleneck.

    Raises NotADirectoryError, ValueError (limits too small to measure) and OSError (no room, not
    writable, an error of the disk, Windows).
    """
    folder = Path(folder)
    _require_limits(folder, seconds, n_bytes)
    with _nameless_file(folder) as (plain, direct):
        size = _fill(plain, n_bytes, time.perf_counter() + seconds * _SHARES["write"])
        method, descriptor = _past_the_cache(plain, direct)
        sequential = _sequential_rate(descriptor, size, seconds * _SHARES["sequential"])
        iops = {}
        for depth in QUEUE_DEPTHS:
            iops[depth] = _random_rate(descriptor, size, depth, seconds * _SHARES["random"])
    return Probe(folder, size, method, sequential, iops)


def _require_limits(folder: Path, seconds: float, n_bytes: int) -> None:
    if not hasattr(os, "preadv"):
        why = "probe needs Linux or macOS: here it cannot read past the page cache"
        raise OSError(errno.ENOSYS, why)
    if not folder.is_dir():
        why = "probe needs a folder on the disk in question"
        raise NotADirectoryError(errno.ENOTDIR, why, str(folder))
    require_positive(seconds=seconds)
    if not _SEQUENTIAL_READ <= n_bytes < math.inf:
        rule = f"n_bytes must be {_SEQUENTIAL_READ} or more, not {n_bytes}"
        raise ValueError(f"{rule}: less says nothing about a disk")
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        why = f"probe wants {n_bytes / MIB:.0f} MiB, {free / MIB:.0f} are free"
        raise OSError(errno.ENOSPC, f"{why}: make room or lower n_bytes", str(folder))


@contextmanager
def _nameless_file(folder: Path) -> Iterator[tuple[int, int | None]]:
    """A new file's descriptor, and where the file system has it one that bypasses the page cache.

    So the file goes with the process however that ends.
    """
    with ExitStack() as stack:
        try:
            plain = _new_file(folder)
            stack.callback(os.close, plain)
            direct = _open_direct(plain)
            if direct is not None:
                stack.callback(os.close, direct)
            if sys.platform == "darwin":
                import fcntl

                fcntl.fcntl(plain, fcntl.F_NOCACHE, 1)
            yield plain, direct
        except OSError as error:
            why = f"probe cannot write and read a file here ({error.strerror})"
            raise OSError(error.errno, why, str(folder)) from error


def _new_file(folder: Path) -> int:
    """A file that never had a name; where that cannot be, one that loses it at once."""
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):
            return os.open(folder, os.O_RDWR | os.O_TMPFILE, 0o600)
    descriptor, name = tempfile.mkstemp(prefix=".imnet-probe-", dir=folder)
    Path(name).unlink()
    return descriptor


def _open_direct(plain: int) -> int | None:
    """A descriptor for O_DIRECT, None where the platform or the file system has no such mode."""
    if hasattr(os, "O_DIRECT"):
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{plain}", os.O_RDONLY | os.O_DIRECT)
    return None


def _fill(descriptor: int, n_bytes: int, deadline: float) -> int:
    """Write up to ``n_bytes`` that no file system can compress; the size written."""
    import numpy as np

    random = np.random.default_rng(0)
    size = 0
    while size + _SEQUENTIAL_READ <= n_bytes and (size == 0 or time.perf_counter() < deadline):
        size += os.pwrite(descriptor, random.bytes(_SEQUENTIAL_READ), size)
        # One flush at the end could take any time, whatever the deadline.
        os.fsync(descriptor)
    return size - size % PAGE


def _past_the_cache(plain: int, direct: int | None) -> tuple[str, int]:
    """The way to read from the disk itself, and the descriptor for it."""
    if direct is not None:
        try:
            _read(direct, range(1), PAGE, 0)
            return "O_DIRECT", direct
        except OSError as error:
            # Some file systems open with O_DIRECT and then refuse to read.
            if error.errno != errno.EINVAL:
                raise
    return ("F_NOCACHE" if sys.platform == "darwin" else "posix_fadvise"), plain


def _drop_cache(descriptor: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sequential_rate(descriptor: int, size: int, seconds: float) -> float:
    """Bytes/s of reading from the front, up to the end or for ``seconds``."""
    offsets = range(0, size - size % _SEQUENTIAL_READ, _SEQUENTIAL_READ)
    _drop_cache(descriptor)
    started = time.perf_counter()
    count = _read(descriptor, offsets, _SEQUENTIAL_READ, started + seconds)
    return count * _SEQUENTIAL_READ / (time.perf_counter() - started)


def _random_rate(descriptor: int, size: int, depth: int, seconds: float) -> float:
    """Random 4K reads/s with ``depth`` in flight; no block twice, so a cache cannot help."""
    import numpy as np

    offsets: Integers = np.random.default_rng(depth).permutation(size // PAGE) * PAGE
    _drop_cache(descriptor)
    with ThreadPoolExecutor(depth) as threads:
        started = time.perf_counter()
        deadline = started + seconds
        jobs = [
            threads.submit(_read, descriptor, offsets[i::depth], PAGE, deadline)
            for i in range(depth)
        ]
        count = sum(job.result() for job in jobs)
        return count / (time.perf_counter() - started)


def _read(descriptor: int, offsets: Integers | range, length: int, deadline: float) -> int:
    """Read ``length`` bytes at each offset until the deadline; the number of reads."""
    count = 0
    with _huge_pages(length) as buffer:
        for offset in offsets:
            if os.preadv(descriptor, [buffer], int(offset)) != length:
                raise OSError(errno.EIO, "the disk returned less than was asked for")
            count += 1
            if time.perf_counter() >= deadline:
                break
    return count


def _huge_pages(length: int) -> mmap.mmap:
    """Memory aligned for O_DIRECT, in huge pages: in small ones some disks deliver a third."""
    memory = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Some kernels have no huge pages.
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
