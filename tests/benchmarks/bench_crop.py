"""Does it pay to decode only the part of a JPEG that a crop needs? Photos of 500 x 375 and 100 KB.

    python tests/benchmarks/bench_crop.py [--quick] [--to FOLDER] [--photos 60] [--boxes 4]

TurboJPEG 3 decodes a region. simplejpeg does not offer that, so it is called by ctypes here, from
the system's libturbojpeg or from the wheel ``turbojpeg``. Its pixels are those of a whole decoding
that is cut afterwards, which is asserted for every box. A region saves the inverse DCT and the
colours of the rest, but no Huffman code above its last row: they tell where the next one begins.
"Its last row alone" is what that costs for the whole picture, so no crop gains more than the rest.
--boxes: crops of each photo.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from bench_pack import photo
from peers_environment import move_there
from results import Report, Table, options, take_turns, ways

from imnetlib.image import RANDOM_COLUMNS, Transform, crop_box, decode_into, resize

HEIGHT, WIDTH, SIZE = 375, 500, 224
# Columns that the region begins and ends early and late: those of one MCU, which the upsampling of
# the colours looks at; and rows.
MARGIN, ROWS = 16, 2
ROUNDS = 7
NAMES = {"random_resized": "random-resized crops", "center": "centre crops"}
WHOLE = "whole, then cut (decode_into)"

Uniforms = Sequence[float]
Decoder = Callable[[bytes, Transform, Uniforms, np.ndarray], None]


class Region(ctypes.Structure):
    """TurboJPEG's ``tjregion``."""

    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_int), ("w", ctypes.c_int), ("h", ctypes.c_int))


@functools.cache
def turbojpeg() -> ctypes.CDLL:
    """TurboJPEG 3; OSError where neither the system nor a wheel has it."""
    spec = importlib.util.find_spec("turbojpeg")
    beside = Path(spec.origin).parent if spec and spec.origin else Path("/nowhere")
    wheels = [str(path) for path in beside.glob("turbojpeg.libs/libturbojpeg*")]
    name = next(iter(wheels), None) or ctypes.util.find_library("turbojpeg")
    if name is None:
        raise OSError("no libturbojpeg: make bench-env")
    library = ctypes.CDLL(name)
    if not hasattr(library, "tj3Init"):
        raise OSError(f"{name} is older than TurboJPEG 3")
    data = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.tj3Init.restype = ctypes.c_void_p
    library.tj3GetErrorStr.restype = ctypes.c_char_p
    library.tj3GetErrorStr.argtypes = [ctypes.c_void_p]
    library.tj3SetCroppingRegion.argtypes = [ctypes.c_void_p, Region]
    library.tj3DecompressHeader.argtypes = data
    library.tj3Decompress8.argtypes = [*data, ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    return library


@functools.cache
def handle() -> int:
    """A decompressor."""
    return int(turbojpeg().tj3Init(1))


def region(data: bytes, top: int, left: int, height: int, width: int) -> np.ndarray:
    """The pixels of a region; ``left`` is a multiple of an MCU's width."""
    library = turbojpeg()
    pixels = np.empty((height, width, 3), np.uint8)
    calls = (
        library.tj3SetCroppingRegion(handle(), Region(0, 0, 0, 0)),
        library.tj3DecompressHeader(handle(), data, len(data)),
        library.tj3SetCroppingRegion(handle(), Region(left, top, width, height)),
        library.tj3Decompress8(handle(), data, len(data), pixels.ctypes.data, 3 * width, 0),
    )
    if any(calls):
        raise ValueError(library.tj3GetErrorStr(handle()).decode())
    return pixels


def decode_region_into(
    data: bytes, transform: Transform, uniforms: Uniforms, out: np.ndarray
) -> None:
    """As :func:`imnetlib.image.decode_into` for a JPEG that is not reduced, from its region."""
    top, left, height, width = crop_box(HEIGHT, WIDTH, transform, uniforms)
    first_row = max(0, top - ROWS)
    first_column = max(0, left // MARGIN * MARGIN - MARGIN)
    last_row = min(HEIGHT, top + height + ROWS)
    last_column = min(WIDTH, MARGIN * math.ceil((left + width) / MARGIN) + MARGIN)
    pixels = region(data, first_row, first_column, last_row - first_row, last_column - first_column)
    box = (top - first_row, left - first_column, height, width)
    part = resize(pixels, SIZE, SIZE, out, box)
    if part is not out:
        np.copyto(out, part)


def last_row(data: bytes, transform: Transform, uniforms: Uniforms, out: np.ndarray) -> None:
    """Read all Huffman codes, and make pixels of the last ones only."""
    region(data, HEIGHT - 1, WIDTH // MARGIN * MARGIN, 1, WIDTH % MARGIN)


DECODERS: dict[str, Decoder] = {
    WHOLE: decode_into,
    "the crop's region": decode_region_into,
    "its last row alone": last_row,
}


def cropping(crop: str, photos: Sequence[bytes], boxes: int) -> Table:
    """Images/s of a processor's core, by its own clock, whole and by regions."""
    transform = Transform(SIZE, crop)
    uniforms = np.random.default_rng(1).random((boxes * len(photos), RANDOM_COLUMNS)).tolist()
    out, expected = (np.empty((SIZE, SIZE, 3), np.uint8) for _ in range(2))
    crops = [*zip(cycle(photos), uniforms, strict=False)]
    with suppress(OSError):
        turbojpeg()
        for data, numbers in crops:
            decode_into(data, transform, numbers, expected)
            decode_region_into(data, transform, numbers, out)
            assert np.array_equal(out, expected)

    def rate(decoder: Decoder) -> float:
        began = time.process_time()
        for data, numbers in crops:
            decoder(data, transform, numbers, out)
        return len(crops) / (time.process_time() - began)

    jobs = {name: functools.partial(rate, decoder) for name, decoder in DECODERS.items()}
    found = ways(take_turns(jobs, ROUNDS))
    return Table("crops of 500 x 375, one core", "images/s", found, peer=WHOLE, what=NAMES[crop])


def main() -> None:
    """Measure both kinds of crop."""
    chosen = options(__doc__ or "", photos=(60, 10), boxes=(4, 2))
    move_there()
    report = Report("crop")
    photos = [
        cv2.imencode(".jpg", photo(WIDTH, HEIGHT, i), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        for i in range(chosen.photos)
    ]
    for crop in NAMES:
        report.add(cropping(crop, photos, chosen.boxes))
    report.save(chosen.to)


if __name__ == "__main__":
    main()
