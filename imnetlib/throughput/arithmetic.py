"""How long reading takes: the arithmetic of disks, decoding and training; a probe of your disk
(chapter 3).

The formulas are plain ratios. Sizes are in bytes, times in seconds, rates in bytes, images or reads
a second. ``MB`` is 10^6 bytes, ``MIB`` is 2^20: to mix them up costs 5 %, ``TB`` and ``TIB`` 10 %.
Every function of the arithmetic raises ValueError, with the argument's name, for a rate or a count
to divide by that is not above 0, for a size below 0, and for what is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

MB = 10**6
GB = 10**9
TB = 10**12
MIB = 2**20
GIB = 2**30
TIB = 2**40
HOUR = 3_600
DAY = 86_400
# bytes of the small random read that data sheets quote
PAGE = 4_096


def seconds_sequential(n_bytes: float, bytes_per_second: float) -> float:
    """Time to read ``n_bytes`` from front to back (chapter 3)."""
    return _not_negative("n_bytes", n_bytes) / require_positive(
        "bytes_per_second", bytes_per_second
    )


def seconds_random(n_bytes: float, iops: float, piece: int = PAGE) -> float:
    """Time to read ``n_bytes`` in scattered pieces of ``piece`` bytes, one seek each (chapter 3)."""
    pieces = math.ceil(_not_negative("n_bytes", n_bytes) / require_positive("piece", piece))
    return pieces / require_positive("iops", iops)


def seconds_seek_per_file(
    files: int, n_bytes: float, iops: float, bytes_per_second: float
) -> float:
    """Time to read ``files`` files in random order: a seek each, then ``n_bytes`` of transfer
    (chapter 3).

    A lower bound: a cold directory or inode costs further seeks.
    """
    seeks = _not_negative("files", files) / require_positive("iops", iops)
    return seeks + seconds_sequential(n_bytes, bytes_per_second)


def bytes_per_image(n_bytes: float, images: int) -> float:
    """Mean size of an image in a pack of ``n_bytes`` (chapter 3)."""
    return _not_negative("n_bytes", n_bytes) / require_positive("images", images)


def images_per_second(
    bytes_per_second: float, image_bytes: float, iops: float | None = None
) -> float:
    """Images that a disk delivers: packed and read in order, or with ``iops`` as files, a seek each
    (chapter 3).
    """
    packed = require_positive("bytes_per_second", bytes_per_second) / require_positive(
        "image_bytes", image_bytes
    )
    return packed if iops is None else 1 / (1 / packed + 1 / require_positive("iops", iops))


def epochs(rate: float, seconds: float, images: int) -> float:
    """Passes over ``images`` images in ``seconds`` at ``rate`` images/s (chapter 3)."""
    return (
        _not_negative("rate", rate)
        * _not_negative("seconds", seconds)
        / require_positive("images", images)
    )


@dataclass(frozen=True, slots=True)
class Feed:
    """What keeps a GPU busy: bytes/s of packed images, or as many seeks/s as images/s for files;
    and cores.
    """

    bytes_per_second: float
    seeks: float
    cores: int


def to_feed(gpu_rate: float, image_bytes: float, decode_rate: float) -> Feed:
    """What a GPU of ``gpu_rate`` images/s needs, if a core decodes ``decode_rate`` images/s
    (chapter 3).
    """
    cores = math.ceil(
        require_positive("gpu_rate", gpu_rate) / require_positive("decode_rate", decode_rate)
    )
    return Feed(gpu_rate * require_positive("image_bytes", image_bytes), gpu_rate, cores)


def stage_rates(
    bytes_per_second: float,
    image_bytes: float,
    decode_rate: float,
    cores: int,
    gpu_rate: float,
    iops: float | None = None,
) -> dict[str, float]:
    """Images/s that disk, decoding cores and GPU could each do alone (chapter 3).

    ``decode_rate`` is images/s of one core; decoding is taken to grow in proportion to ``cores``.
    The disk reads packed images in order, or with ``iops`` a file for each image.
    """
    disk = images_per_second(bytes_per_second, image_bytes, iops)
    decode = require_positive("decode_rate", decode_rate) * require_positive("cores", cores)
    return {"disk": disk, "decode": decode, "gpu": require_positive("gpu_rate", gpu_rate)}


def bottleneck(rates: Mapping[str, float]) -> str:
    """The slowest stage of ``stage_rates``: its rate is that of the whole, the others wait (chapter
    3).
    """
    if not rates:
        raise ValueError("rates must name at least one stage")
    for stage, rate in rates.items():
        require_positive(stage, rate)
    return min(rates, key=rates.__getitem__)


def say_bottleneck(rates: Mapping[str, float]) -> str:
    """The slowest stage, its images/s, and how busy that leaves each of the others, in a line
    (chapter 3).
    """
    slowest = bottleneck(rates)
    busy = ", ".join(
        f"{stage} {rates[slowest] / rates[stage]:.0%}" for stage in rates if stage != slowest
    )
    return f"{slowest}: {rates[slowest]:,.0f} images/s" + (f"; busy: {busy}" if busy else "")


def require_positive(name: str, value: float) -> float:
    # NaN too is on neither side
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be more than 0 and finite, not {value}")
    return value


def _not_negative(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more and finite, not {value}")
    return value


@dataclass(frozen=True, slots=True)
class Device:
    """A place to read from: ``sequential`` in bytes/s, ``iops`` in random 4K reads/s, and who says
    so.
    """

    name: str
    sequential: float
    iops: float
    source: str


_EBS = "quoted: Amazon EBS user guide"
_ST1 = f"{_EBS}, HDD volumes; base rate, a random read is charged as 1 MiB"

DEVICES = (
    Device("WD Black, hard disk", 170 * MB, 110, "quoted: the note, 2015"),
    Device("Samsung 850 PRO, SATA SSD", 550 * MB, 10_000, "quoted: the note, 2015"),
    Device(
        "Samsung 990 PRO, NVMe",
        7_450 * MB,
        1_400_000,
        "quoted: its maker, 2022; many reads in flight",
    ),
    Device("EBS sc1, 1 TiB", 12 * MIB, 12, _ST1),
    Device("EBS st1, 1 TiB", 40 * MIB, 40, _ST1),
    Device("EBS gp3, as it comes", 125 * MIB, 3_000, f"{_EBS}, general purpose volumes"),
    Device("EBS gp3, at most", 2_000 * MIB, 80_000, f"{_EBS}, general purpose volumes, 2026"),
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
