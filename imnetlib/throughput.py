"""How long reading takes: the arithmetic of disks, decoding and training; a probe of your disk (chapter 3).

The formulas are plain ratios. Sizes are in bytes, times in seconds, rates in bytes, images or reads a second.
``MB`` is 10^6 bytes, ``MIB`` is 2^20: to mix them up costs 5 %, ``TB`` and ``TIB`` 10 %.
Every function of the arithmetic raises ValueError, with the argument's name, for a rate or a count to divide by that
is not above 0, for a size below 0, and for what is not finite.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MB, GB, TB = 10**6, 10**9, 10**12
MIB, GIB, TIB = 2**20, 2**30, 2**40
HOUR, DAY = 3_600, 86_400
BLOCK = 4_096  # bytes of the small random read that data sheets quote


def seconds_sequential(n_bytes: float, bytes_per_second: float) -> float:
    """Time to read ``n_bytes`` from front to back (chapter 3)."""
    return _not_negative("n_bytes", n_bytes) / _positive("bytes_per_second", bytes_per_second)


def seconds_random(n_bytes: float, iops: float, piece: int = BLOCK) -> float:
    """Time to read ``n_bytes`` in scattered pieces of ``piece`` bytes, one seek each (chapter 3)."""
    pieces = math.ceil(_not_negative("n_bytes", n_bytes) / _positive("piece", piece))
    return pieces / _positive("iops", iops)


def seconds_seek_per_file(files: int, n_bytes: float, iops: float, bytes_per_second: float) -> float:
    """Time to read ``files`` files in random order: a seek each, then ``n_bytes`` of transfer (chapter 3).

    A lower bound: a cold directory or inode costs further seeks.
    """
    seeks = _not_negative("files", files) / _positive("iops", iops)
    return seeks + seconds_sequential(n_bytes, bytes_per_second)


def bytes_per_image(n_bytes: float, images: int) -> float:
    """Mean size of an image in a pack of ``n_bytes`` (chapter 3)."""
    return _not_negative("n_bytes", n_bytes) / _positive("images", images)


def images_per_second(bytes_per_second: float, image_bytes: float, iops: float | None = None) -> float:
    """Images that a disk delivers: packed and read in order, or with ``iops`` as files, a seek each (chapter 3)."""
    packed = _positive("bytes_per_second", bytes_per_second) / _positive("image_bytes", image_bytes)
    return packed if iops is None else 1 / (1 / packed + 1 / _positive("iops", iops))


def epochs(rate: float, seconds: float, images: int) -> float:
    """Passes over ``images`` images in ``seconds`` at ``rate`` images/s (chapter 3)."""
    return _not_negative("rate", rate) * _not_negative("seconds", seconds) / _positive("images", images)


@dataclass(frozen=True, slots=True)
class Feed:
    """What keeps a GPU busy: bytes/s of packed images, or as many seeks/s as images/s for files; and cores."""

    bytes_per_second: float
    seeks: float
    cores: int


def to_feed(gpu_rate: float, image_bytes: float, decode_rate: float) -> Feed:
    """What a GPU of ``gpu_rate`` images/s needs, if a core decodes ``decode_rate`` images/s (chapter 3)."""
    cores = math.ceil(_positive("gpu_rate", gpu_rate) / _positive("decode_rate", decode_rate))
    return Feed(gpu_rate * _positive("image_bytes", image_bytes), gpu_rate, cores)


def stage_rates(
    bytes_per_second: float,
    image_bytes: float,
    decode_rate: float,
    cores: int,
    gpu_rate: float,
    iops: float | None = None,
) -> dict[str, float]:
    """Images/s that disk, decoding cores and GPU could each do alone (chapter 3).

    ``decode_rate`` is images/s of one core; decoding is taken to grow in proportion to ``cores``. The disk reads
    packed images in order, or with ``iops`` a file for each image.
    """
    disk = images_per_second(bytes_per_second, image_bytes, iops)
    decode = _positive("decode_rate", decode_rate) * _positive("cores", cores)
    return {"disk": disk, "decode": decode, "gpu": _positive("gpu_rate", gpu_rate)}


def bottleneck(rates: Mapping[str, float]) -> str:
    """The slowest stage of ``stage_rates``: its rate is that of the whole, the others wait (chapter 3)."""
    if not rates:
        raise ValueError("rates must name at least one stage")
    for stage, rate in rates.items():
        _positive(stage, rate)
    return min(rates, key=rates.__getitem__)


def say_bottleneck(rates: Mapping[str, float]) -> str:
    """The slowest stage, its images/s, and how busy that leaves each of the others, in a line (chapter 3)."""
    slowest = bottleneck(rates)
    busy = ", ".join(f"{stage} {rates[slowest] / rates[stage]:.0%}" for stage in rates if stage != slowest)
    return f"{slowest}: {rates[slowest]:,.0f} images/s" + (f"; busy: {busy}" if busy else "")


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:  # NaN too is on neither side
        raise ValueError(f"{name} must be more than 0 and finite, not {value}")
    return value


def _not_negative(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more and finite, not {value}")
    return value


@dataclass(frozen=True, slots=True)
class Device:
    """A place to read from: ``sequential`` in bytes/s, ``iops`` in random 4K reads/s, and who says so."""

    name: str
    sequential: float
    iops: float
    source: str


_EBS = "quoted: Amazon EBS user guide"
_ST1 = f"{_EBS}, HDD volumes; base rate, a random read is charged as 1 MiB"

DEVICES = (
    Device("WD Black, hard disk", 170 * MB, 110, "quoted: the note, 2015"),
    Device("Samsung 850 PRO, SATA SSD", 550 * MB, 10_000, "quoted: the note, 2015"),
    Device("Samsung 990 PRO, NVMe", 7_450 * MB, 1_400_000, "quoted: its maker, 2022; many reads in flight"),
    Device("EBS sc1, 1 TiB", 12 * MIB, 12, _ST1),
    Device("EBS st1, 1 TiB", 40 * MIB, 40, _ST1),
    Device("EBS gp3, as it comes", 125 * MIB, 3_000, f"{_EBS}, general purpose volumes"),
    Device("EBS gp3, at most", 2_000 * MIB, 80_000, f"{_EBS}, general purpose volumes, 2026"),
    Device("S3, one connection", 85 * MB, 7, "quoted: Amazon S3 user guide; 100–200 ms a request"),
)


def hours_per_epoch(device: Device, files: int, n_bytes: float) -> dict[str, float]:
    """Hours to read a data set of ``files`` files once, by access pattern (chapter 3)."""
    iops, rate = device.iops, device.sequential
    return {
        "random 4K": seconds_random(n_bytes, iops) / HOUR,
        "a seek per file": seconds_seek_per_file(files, n_bytes, iops, rate) / HOUR,
        "packed, in order": seconds_sequential(n_bytes, rate) / HOUR,
    }


@dataclass(frozen=True, slots=True)
class Probe:
    """What ``probe`` measured: bytes/s in order, and random 4K reads/s by queue depth (reads in flight)."""

    folder: Path
    n_bytes: int
    method: str
    sequential: float
    iops: dict[int, float]

    def device(self, depth: int = 1) -> Device:
        """The disk as a row beside ``DEVICES``, with ``depth`` random reads at a time."""
        how = f"measured here: {self.n_bytes / MIB:.0f} MiB, {self.method}"
        return Device(f"this disk, {depth} at a time", self.sequential, self.iops[depth], how)


QUEUE_DEPTHS = (1, 2, 4, 8, 16, 32)
_CHUNK = 8 * MIB
_SHARES = {"write": 0.4, "sequential": 0.15, "random": 0.45 / len(QUEUE_DEPTHS)}


def probe(folder: Path | str, seconds: float = 20, n_bytes: int = GIB) -> Probe:
    """Measure the disk under ``folder``: reads in order, and random 4K reads, 1 to 32 at a time (chapter 3).

    Writes a nameless file of at most ``n_bytes`` (less if 40 % of ``seconds`` do not suffice), reads it past
    the page cache and is done in about ``seconds``. Nothing stays behind, even after an error or a kill.
    ``method`` says how the cache was avoided: ``O_DIRECT``; else ``posix_fadvise``, which drops it before
    each part; on macOS ``F_NOCACHE``. Each of several reads at a time has a thread of its own. The limits: a short
    file flatters a hard disk, whose arm hardly moves; a folder in memory shows the memory; beyond some 100,000
    reads/s on two cores Python is the brake.

    Raises NotADirectoryError, ValueError (limits too small to measure) and OSError (no room, not writable,
    an error of the disk, Windows).
    """
    folder = Path(folder)
    _check_limits(folder, seconds, n_bytes)
    with _nameless_file(folder) as (plain, direct):
        size = _fill(plain, n_bytes, time.perf_counter() + seconds * _SHARES["write"])
        method, reader = _past_the_cache(plain, direct)
        sequential = _sequential(reader, size, seconds * _SHARES["sequential"])
        iops = {depth: _random(reader, size, depth, seconds * _SHARES["random"]) for depth in QUEUE_DEPTHS}
    return Probe(folder, size, method, sequential, iops)


def _check_limits(folder: Path, seconds: float, n_bytes: int) -> None:
    if not hasattr(os, "preadv"):
        raise OSError(errno.ENOSYS, "probe needs Linux or macOS: here it cannot read past the page cache")
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "probe needs a folder on the disk in question", str(folder))
    _positive("seconds", seconds)
    if not _CHUNK <= n_bytes < math.inf:
        raise ValueError(f"n_bytes must be {_CHUNK} or more, not {n_bytes}: less says nothing about a disk")
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        why = f"probe wants {n_bytes / MIB:.0f} MiB, {free / MIB:.0f} are free: make room or lower n_bytes"
        raise OSError(errno.ENOSPC, why, str(folder))


@contextmanager
def _nameless_file(folder: Path) -> Iterator[tuple[int, int | None]]:
    """A new file's descriptor and, where the file system has it, a second one that bypasses the page cache.

    The name is taken away at once, so that the file goes with the process however that ends.
    """
    descriptors: list[int] = []
    try:
        plain, name = tempfile.mkstemp(prefix=".imnet-probe-", dir=folder)
        descriptors.append(plain)
        direct = _open_direct(name)
        Path(name).unlink()
        if direct is not None:
            descriptors.append(direct)
        _uncached_on_macos(plain)
        yield plain, direct
    except OSError as error:
        why = f"probe cannot write and read a file here ({error.strerror})"
        raise OSError(error.errno, why, str(folder)) from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _open_direct(name: str) -> int | None:
    if not hasattr(os, "O_DIRECT"):
        return None
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECT)
    except OSError:  # the file system has no such mode
        return None


def _uncached_on_macos(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_NOCACHE, 1)


def _fill(descriptor: int, n_bytes: int, deadline: float) -> int:
    """Write up to ``n_bytes`` that no file system can compress; the size written."""
    random = np.random.default_rng(0)
    size = 0
    while size + _CHUNK <= n_bytes and (size == 0 or time.perf_counter() < deadline):
        size += os.pwrite(descriptor, random.bytes(_CHUNK), size)
        os.fsync(descriptor)  # chunk by chunk: one flush at the end could take any time
    return size - size % BLOCK


def _past_the_cache(plain: int, direct: int | None) -> tuple[str, int]:
    """The way to read from the disk itself, and the descriptor for it."""
    if direct is not None:
        try:
            _read(direct, range(1), BLOCK, 0)
            return "O_DIRECT", direct
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: opened, but these reads are not possible
                raise
    return ("F_NOCACHE" if sys.platform == "darwin" else "posix_fadvise"), plain


def _drop_cache(descriptor: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _sequential(descriptor: int, size: int, seconds: float) -> float:
    """Bytes/s of reading from the front, up to the end or for ``seconds``."""
    _drop_cache(descriptor)
    started = time.perf_counter()
    count = _read(descriptor, range(0, size - size % _CHUNK, _CHUNK), _CHUNK, started + seconds)
    return count * _CHUNK / (time.perf_counter() - started)


def _random(descriptor: int, size: int, depth: int, seconds: float) -> float:
    """Random 4K reads/s with ``depth`` of them in flight; no block twice, so a cache cannot help."""
    offsets: NDArray[np.int64] = np.random.default_rng(depth).permutation(size // BLOCK) * BLOCK
    _drop_cache(descriptor)
    with ThreadPoolExecutor(depth) as threads:
        started = time.perf_counter()
        deadline = started + seconds
        jobs = [threads.submit(_read, descriptor, offsets[i::depth], BLOCK, deadline) for i in range(depth)]
        count = sum(job.result() for job in jobs)
        return count / (time.perf_counter() - started)


def _read(descriptor: int, offsets: NDArray[np.int64] | range, length: int, deadline: float) -> int:
    """Read ``length`` bytes at each offset until the deadline; how many reads that were."""
    count = 0
    with _memory(length) as buffer:
        for offset in offsets:
            if os.preadv(descriptor, [buffer], int(offset)) != length:
                raise OSError(errno.EIO, "the disk returned less than was asked for")
            count += 1
            if time.perf_counter() >= deadline:
                break
    return count


def _memory(length: int) -> mmap.mmap:
    """Aligned to a page, as O_DIRECT demands, and in huge pages: in small ones some disks deliver a third."""
    memory = mmap.mmap(-1, length, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
