"""The exercises of chapters 3 and 4."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator

import numpy as np

from imnetlib import image, recordio
from imnetlib import throughput as t
from imnetlib.catalog import ILSVRC2012
from imnetlib.course.exercises.kinds import Case, Choice, Exercise, Function, Number, Slip
from imnetlib.course.exercises.start_to_validation import NOTE_BYTES
from imnetlib.course.sample import render, sample_wnids
from imnetlib.image import Pixels

HDD, SSD = t.DEVICES[:2]


def hours_of_files(files: int, n_bytes: float, iops: float, rate: float) -> float:
    """Hours to read files in random order, a seek for each (3.2)."""
    return t.seconds_seek_per_file(files, n_bytes, iops, rate) / t.HOUR


def _disks_and_files() -> Iterator[Case]:
    yield Case((1_000_000, 110e9, 110, 170e6))
    yield Case((14_197_087, 1e12, 110, 170e6))
    yield Case((1_281_167, 148e9, 10_000, 550e6))


DISKS = {
    "EBS st1": t.DEVICES[4], "EBS gp3": t.DEVICES[5], "hard disk": HDD, "SATA SSD": SSD,
}  # fmt: skip


def _slowest_that_feeds() -> str:
    needed = t.to_feed(2 * 2_500, NOTE_BYTES, 1_400).bytes_per_second
    enough = {name: d.sequential for name, d in DISKS.items() if d.sequential >= needed}
    return min(enough, key=enough.__getitem__)


def salvage(data: bytes) -> list[bytes]:
    """The payloads of all sound records of one part (4.2)."""
    return _salvaged(data, 8)


def _salvaged(data: bytes, least: int) -> list[bytes]:
    """The same, of a loop that goes on while ``least`` bytes are left."""
    found = []
    at = 0
    while at + least <= len(data):
        magic, length = struct.unpack_from("<II", data, at)
        behind = at + 8 + length + -length % 4
        if magic == recordio.MAGIC and behind <= len(data):
            found.append(data[at + 8 : at + 8 + length])
            at = behind
        else:
            at += 4
    return found


def _until_the_damage(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at + 8 <= len(data):
        magic, length = struct.unpack_from("<II", data, at)
        if magic != recordio.MAGIC or at + 8 + length > len(data):
            break
        found.append(data[at + 8 : at + 8 + length])
        at += 8 + length + -length % 4
    return found


def _damaged_files() -> Iterator[Case]:
    first, second, third = (recordio.frame(text) for text in (b"fir", b"an alp", b"lakeside"))
    unaligned = recordio.frame(b"x" + recordio.MAGIC.to_bytes(4, "little") + b"yz")
    yield Case((first + second + third,), "three sound records")
    yield Case((bytes(12) + second,), "twelve zeros and a record")
    yield Case((first + bytes(8) + second[8:] + third,), "a record whose header is wiped out")
    cut = recordio.MAGIC.to_bytes(4, "little") + (9_999).to_bytes(4, "little")
    yield Case((first + cut + second[8:] + third,), "a record whose length is far too large")
    yield Case((first + third[:-4],), "a file that ends in the middle of its last record")
    yield Case((unaligned + first,), "a payload with the magic at no multiple of four")
    yield Case((recordio.frame(b"") + first,), "a record of no bytes, and another one")
    inside = bytes(9) + third + bytes(3)
    yield Case((inside + first,), "zeros with the magic at no multiple of four, and a record")


def _with_headers(data: bytes) -> list[bytes]:
    return [recordio.frame(payload)[: 8 + len(payload)] for payload in salvage(data)]


def _whatever_the_length(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at + 8 <= len(data):
        magic, length = struct.unpack_from("<II", data, at)
        if magic == recordio.MAGIC:
            found.append(data[at + 8 : at + 8 + length])
        at += 8 + length + -length % 4 if magic == recordio.MAGIC else 4
    return found


def decode_colours(jpeg: bytes) -> Pixels:
    """The pixels of a JPEG, RGB (4.3)."""
    return image.decode(jpeg)


def _jpegs() -> Iterator[Case]:
    # Every decoder gives the same: the first is gray, block by block; each other one is all alike.
    shades = np.kron([[40, 90], [160, 220]], np.ones((16, 24))).astype(np.uint8)
    pictures = {"a gray JPEG, each quarter another shade": np.stack([shades] * 3, axis=-1)}
    for name, colour in {"sky": (90, 160, 230), "sand": (210, 180, 140)}.items():
        pictures[f"a JPEG of nothing but {name}"] = np.full((16, 24, 3), colour, np.uint8)
    for name, pixels in pictures.items():
        yield Case((image.encode(pixels, quality=100),), name)


def _turned(*axes: int) -> Slip:
    """The picture with these of its axes the other way round, its colours as OpenCV gives them."""

    def wrong(jpeg: bytes) -> Pixels:
        return np.flip(decode_colours(jpeg)[..., ::-1], axes)

    says = "That turns the picture: its axes are height, width and colour. Which one is meant?"
    return Slip(wrong, says)


@functools.cache
def kilobytes(quality: int) -> float:
    """The mean KB of six scenes of the sample at a short edge of 224 (4.4)."""
    setting = image.Settings(resize=224, quality=quality)
    sizes = [len(image.convert_image(scene, setting)[0]) for scene in scenes()]
    return float(np.mean(sizes)) / 1000


@functools.cache
def scenes() -> tuple[bytes, ...]:
    """Six scenes of the sample, JPEGs (4.4)."""
    return tuple(image.encode(render(wnid, index=3)) for wnid in sample_wnids()[::6])


def _best_quality() -> int:
    return max(q for q in (60, 75, 85, 90, 95) if kilobytes(q) <= NOTE_BYTES / 1000)


_TOO_SLOW = "It delivers fewer bytes a second than the two GPUs take"
_ABOVE = "The mean is above 17.6 KB with it"
_A_HIGHER_ONE = "The mean is below 17.6 KB with it, and with a higher one, too"
_MORE_THAN_NEEDED = "It would do, but a slower one of these would do as well"

EXERCISES: dict[str, Exercise] = {
    "3.1": Number(
        "a seek for each file, and then all bytes in order",
        unit="hours",
        slips=(
            Slip(lambda: ILSVRC2012.train / 110 / t.HOUR, "Those are the seeks alone"),
            Slip(lambda: 148 * t.GB / HDD.sequential / t.HOUR, "That is without the seeks"),
            Slip(
                lambda: t.seconds_random(148 * t.GB, HDD.iops) / t.HOUR,
                "That is a seek for every 4 KB; here there is one for each file",
            ),
        ),
    ),
    "3.2": Function(
        hours_of_files,
        _disks_and_files,
        "how many seeks does a file of one piece cost?",
        (
            Slip(
                lambda files, n_bytes, iops, rate: files / iops / t.HOUR,
                "Those are the seeks alone: the disk seeks, and then it reads",
            ),
            Slip(
                lambda files, n_bytes, iops, rate: n_bytes / rate / t.HOUR,
                "Those are the bytes alone: the disk seeks, and then it reads",
            ),
        ),
        why="It was the note's own mistake: it takes a seek for every 4 KB.",
        unit="hours",
    ),
    "3.3": Choice(
        tuple(DISKS),
        _slowest_that_feeds,
        "Read in order, 5,000 records of 17.6 KB are 88 MB a second, and it gives 131.",
        "images a second by bytes of an image is what the disk has to deliver",
        {"EBS st1": _TOO_SLOW, "hard disk": _MORE_THAN_NEEDED, "SATA SSD": _MORE_THAN_NEEDED},
    ),
    "4.1": Number(
        "a part has a header of 8 bytes, and zeros up to a multiple of 4; the magic is taken out",
        count=True,
        slips=(
            Slip(lambda: 8 + 32, "That is one part; the magic in the data splits it in two"),
            Slip(lambda: 16 + 30 + 2, "That still has the magic in the data; the writer drops it"),
            Slip(lambda: 16 + 26, "The zeros at the end are missing"),
            Slip(lambda: 30, "Those are the data alone; what stands in front of each part?"),
            Slip(lambda: 8 + 30, "That is one part without its zeros; the magic makes it two"),
            Slip(lambda: 8 + 26, "The magic makes two parts of it, and each has a header"),
        ),
    ),
    "4.2": Function(
        salvage,
        _damaged_files,
        "the next record begins behind the padding; where there is no sound one, look again four "
        "bytes further on",
        (
            Slip(_until_the_damage, "It stops at the damage; look for the next magic after it"),
            Slip(
                lambda data: _salvaged(data, 1),
                "Does the loop end where fewer than 8 bytes are left?",
            ),
            Slip(_with_headers, "A payload begins behind the magic and the length"),
            Slip(
                _whatever_the_length, "A length may be damaged, too: does it lie within the data?"
            ),
        ),
    ),
    "4.3": Function(
        decode_colours,
        _jpegs,
        "look at one pixel of a picture whose colour you know",
        (_turned(0), _turned(1), _turned(0, 1), _turned(0, 1, 2)),
        why="OpenCV gives blue first. A network learns from such pictures as well, only it does "
        "not fit those of anyone else.",
    ),
    "4.4": Number(
        "convert the scenes with each quality, and hold the mean against 17.6 KB",
        answer=_best_quality,
        count=True,
        slips=(
            Slip(lambda: 60, _A_HIGHER_ONE),
            Slip(lambda: 75, _A_HIGHER_ONE),
            Slip(lambda: 90, _ABOVE),
            Slip(lambda: 95, _ABOVE),
        ),
        why="It is the highest quality whose mean stays below the note's size.",
    ),
}
