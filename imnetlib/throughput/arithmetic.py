"""How long reading takes: the arithmetic of disks, decoding and training (chapter 3).

The formulas are plain ratios. Sizes are in bytes, times in seconds, rates in bytes, images or reads
a second. ``MB`` is 10^6 bytes, ``MIB`` is 2^20: to mix them up costs 5 %, ``TB`` and ``TIB`` 10 %.
Every function raises ValueError, with the argument's name, for a rate or a count to divide by that
is not above 0, for a size below 0, and for what is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from imnetlib.arguments import require

MB = 10**6
GB = 10**9
TB = 10**12
MIB = 2**20
GIB = 2**30
TIB = 2**40
HOUR = 3_600
DAY = 86_400
# Bytes of the small random read that data sheets quote.
PAGE = 4_096


def require_positive(**values: float) -> None:
    """ValueError for the first value that is not above 0 and finite; NaN is not."""
    for name, value in values.items():
        require(0 < value < math.inf, f"{name} must be more than 0 and finite", value)


def _require_amounts(**values: float) -> None:
    for name, value in values.items():
        require(0 <= value < math.inf, f"{name} must be 0 or more and finite", value)


def seconds_sequential(n_bytes: float, bytes_per_second: float) -> float:
    """Time to read ``n_bytes`` from front to back (chapter 3)."""
    _require_amounts(n_bytes=n_bytes)
    require_positive(bytes_per_second=bytes_per_second)
    return n_bytes / bytes_per_second


def seconds_random(n_bytes: float, iops: float, piece: int = PAGE) -> float:
    """Time to read ``n_bytes`` in scattered pieces of ``piece`` bytes, a seek each (chapter 3)."""
    _require_amounts(n_bytes=n_bytes)
    require_positive(iops=iops, piece=piece)
    return math.ceil(n_bytes / piece) / iops


def seconds_seek_per_file(
    files: int, n_bytes: float, iops: float, bytes_per_second: float
) -> float:
    """Time to read ``files`` files, ``n_bytes`` together, in random order, a seek each (chapter 3).

    A lower bound: a cold directory or inode costs further seeks.
    """
    _require_amounts(files=files)
    require_positive(iops=iops)
    return files / iops + seconds_sequential(n_bytes, bytes_per_second)


def bytes_per_image(n_bytes: float, images: int) -> float:
    """Mean size of an image in a pack of ``n_bytes`` (chapter 3)."""
    _require_amounts(n_bytes=n_bytes)
    require_positive(images=images)
    return n_bytes / images


def images_per_second(
    bytes_per_second: float, image_bytes: float, iops: float | None = None
) -> float:
    """Images/s of a disk: packed, in order, or with ``iops`` a file and a seek each (chapter 3)."""
    require_positive(bytes_per_second=bytes_per_second, image_bytes=image_bytes)
    packed = bytes_per_second / image_bytes
    if iops is None:
        return packed
    require_positive(iops=iops)
    return 1 / (1 / packed + 1 / iops)


def epochs(rate: float, seconds: float, images: int) -> float:
    """Passes over ``images`` images in ``seconds`` at ``rate`` images/s (chapter 3)."""
    _require_amounts(rate=rate, seconds=seconds)
    require_positive(images=images)
    return rate * seconds / images


@dataclass(frozen=True, slots=True)
class Feed:
    """What keeps a GPU busy: bytes/s of packed images, or for files seeks/s; and cores."""

    bytes_per_second: float
    seeks: float
    cores: int


def to_feed(gpu_rate: float, image_bytes: float, decode_rate: float) -> Feed:
    """What a GPU of ``gpu_rate`` images/s needs, by a core's ``decode_rate`` (chapter 3)."""
    require_positive(gpu_rate=gpu_rate, image_bytes=image_bytes, decode_rate=decode_rate)
    return Feed(gpu_rate * image_bytes, gpu_rate, math.ceil(gpu_rate / decode_rate))


def stage_rates(
    bytes_per_second: float,
    image_bytes: float,
    decode_rate: float,
    cores: int,
    gpu_rate: float,
    iops: float | None = None,
) -> dict[str, float]:
    """Images/s that disk, decoding cores and GPU could each do alone (chapter 3).

    Args:
        bytes_per_second: What the disk delivers in order.
        image_bytes: Mean size of an image.
        decode_rate: Images/s of one core; decoding is taken to grow in proportion to the cores.
        cores: How many decode.
        gpu_rate: Images/s that the GPU trains on.
        iops: The disk's reads/s, if each image is a file of its own.
    """
    disk = images_per_second(bytes_per_second, image_bytes, iops)
    require_positive(decode_rate=decode_rate, cores=cores, gpu_rate=gpu_rate)
    return {"disk": disk, "decode": decode_rate * cores, "gpu": gpu_rate}


def bottleneck(rates: Mapping[str, float]) -> str:
    """The slowest stage of ``stage_rates``: the others wait for it (chapter 3)."""
    require(len(rates) > 0, "rates must name at least one stage", rates)
    require_positive(**rates)
    return min(rates, key=rates.__getitem__)


def say_bottleneck(rates: Mapping[str, float]) -> str:
    """The slowest stage, its images/s, and how busy the others are, in a line (chapter 3)."""
    slowest = bottleneck(rates)
    rate = rates[slowest]
    others = [f"{stage} {rate / rates[stage]:.0%}" for stage in rates if stage != slowest]
    busy = f"; busy: {', '.join(others)}" if others else ""
    return f"{slowest}: {rate:,.0f} images/s{busy}"


@dataclass(frozen=True, slots=True)
class Device:
    """A place to read from: ``sequential`` in bytes/s, ``iops`` in random 4K reads/s."""

    name: str
    sequential: float
    iops: float
    source: str


_EBS = "quoted: Amazon EBS user guide"
_ST1 = f"{_EBS}, HDD volumes; base rate, a random read is charged as 1 MiB"
_GP3 = f"{_EBS}, general purpose volumes"
_NVME = "quoted: its maker, 2022; many reads in flight"

DEVICES = (
    Device("WD Black, hard disk", 170 * MB, 110, "quoted: the note, 2015"),
    Device("Samsung 850 PRO, SATA SSD", 550 * MB, 10_000, "quoted: the note, 2015"),
    Device("Samsung 990 PRO, NVMe", 7_450 * MB, 1_400_000, _NVME),
    Device("EBS sc1, 1 TiB", 12 * MIB, 12, _ST1),
    Device("EBS st1, 1 TiB", 40 * MIB, 40, _ST1),
    Device("EBS gp3, as it comes", 125 * MIB, 3_000, _GP3),
    Device("EBS gp3, at most", 2_000 * MIB, 80_000, f"{_GP3}, 2026"),
    Device("S3, one connection", 85 * MB, 7, "quoted: Amazon S3 user guide; 100–200 ms a request"),
)


def hours_per_epoch(device: Device, files: int, n_bytes: float) -> dict[str, float]:
    """Hours to read a data set of ``files`` files once, by access pattern (chapter 3)."""
    iops = device.iops
    rate = device.sequential
    return {
        "random 4K": seconds_random(n_bytes, iops) / HOUR,
        "a seek per file": seconds_seek_per_file(files, n_bytes, iops, rate) / HOUR,
        "packed, in order": seconds_sequential(n_bytes, rate) / HOUR,
    }
