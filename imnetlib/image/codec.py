"""Image bytes to pixels and back (chapter 4).

JPEG goes through libjpeg-turbo (simplejpeg), which can decode at n/8 of the size inside the inverse
DCT and releases the GIL while it works; Pillow reads the rest: CMYK, or PNG in a file called .JPEG.
Pixels are uint8, (height, width, 3) in RGB or (height, width, 1) in gray. OpenCV and Pillow are
imported on first use: their import takes 0.1 s, which programs that read only headers are spared.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import simplejpeg

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]

# Pillow's limit as well; the largest image of ILSVRC2012 has 61 million pixels.
MAX_PIXELS = 89_478_485
# The longest side of a JPEG in libjpeg.
MAX_SIDE = 65_500
# Pillow would hand an EPS file to Ghostscript, so EPS is not among these.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
# In an EXIF directory: the tag of the orientation, its type (16 bits) and the number of values.
_ORIENTATION = (0x0112, 3, 1)
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_START_OF_SCAN = b"\xda"
_END_OF_IMAGE = b"\xff\xd9"
# How far from the start EXIF is searched for, and from the end the end mark.
_HEAD = _TAIL = 4096


class ImageError(ValueError):
    """Bytes that cannot be read as an image, or an image that cannot be resized or encoded."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of an image tell: ``height`` and ``width`` are as stored, not as seen.

    ``colorspace``: YCbCr, RGB, Gray, CMYK or YCCK for a JPEG, else Pillow's format and mode.
    ``orientation``: EXIF's, 1 to 8.
    """

    height: int
    width: int
    colorspace: str
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as seen, upright."""
        return (self.width, self.height) if self.orientation > 4 else (self.height, self.width)


def versions() -> dict[str, str]:
    """The versions of the libraries on which the pixels of an image depend."""
    import PIL

    return {
        "numpy": np.__version__,
        "opencv": opencv().__version__,
        "pillow": PIL.__version__,
        "simplejpeg": ".".join(simplejpeg.__version_info__),
    }


@functools.cache
def opencv() -> ModuleType:
    """OpenCV, limited to one thread: callers run one image a thread, and its own would compete."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


def sniff(data: bytes) -> Header:
    """Read the header only: 2 µs for a JPEG.

    Raises ImageError where there is none, or one that promises more than MAX_PIXELS pixels.
    """
    try:
        height, width, colorspace, _ = _call_simplejpeg(simplejpeg.decode_jpeg_header, data)
    except ValueError:
        # Not a JPEG, or one so unusual that only Pillow reads it.
        with _open(data) as image:
            width, height = image.size
            colorspace = f"{image.format} {image.mode}"
    if height * width > MAX_PIXELS:
        raise ImageError(f"it has {width:,} x {height:,} pixels; the limit is {MAX_PIXELS:,}")
    return Header(height, width, colorspace, _orientation(data))


def _call_simplejpeg(function: Callable[..., Any], data: bytes, *options: object) -> Any:
    """Call a function of simplejpeg; where it refuses the bytes, once more with them mended."""
    try:
        return function(data, *options)
    except ValueError:
        return function(_mended(data), *options)


def _mended(data: bytes) -> bytes:
    """A JPEG without oddities at which a strict decoder stops although the picture is whole.

    Surplus bytes between the segments of the header and zeros before the end mark are removed,
    invalid numbers in the JFIF and Adobe segments corrected. Other surplus after the scan stays:
    after a flipped bit, the rest of a scan looks like that.
    """
    pieces = [data[:2]]
    end = 2
    marker = _MARKER.search(data, end)
    while marker and marker[1] != _START_OF_SCAN:
        start = marker.end() - 2
        end = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        segment = bytearray(data[start:end])
        if segment[4:9] == b"JFIF\0":
            # The major version.
            segment[9:10] = b"\1"
        elif segment[4:9] == b"Adobe" and segment[15:16] > b"\1":
            # The colour transform: libjpeg, too, takes an unknown one for YCbCr.
            segment[15:16] = b"\1"
        pieces.append(bytes(segment))
        marker = _MARKER.search(data, end)

    scan_start = marker.end() - 2 if marker else end
    scan, end_mark, _ = data[scan_start:].partition(_END_OF_IMAGE)
    scan = scan.rstrip(b"\0")
    # After FF, one zero belongs to the scan.
    stuffing = b"\0" if scan.endswith(b"\xff") else b""
    return b"".join((*pieces, scan, stuffing, end_mark))


def _orientation(data: bytes) -> int:
    """The EXIF orientation; 1 where there is none or EXIF is broken (EXIF 2.3, section 4.6)."""
    start = data.find(b"Exif\0\0", 0, _HEAD) + 6
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[start : start + 4])
    if start < 6 or order is None:
        return 1
    # The offsets in a broken block point outside the file.
    with contextlib.suppress(struct.error):
        (directory,) = struct.unpack_from(f"{order}I", data, start + 4)
        (count,) = struct.unpack_from(f"{order}H", data, start + directory)
        first = start + directory + 2
        for entry in range(first, first + 12 * count, 12):
            *field, value = struct.unpack_from(f"{order}HHIH", data, entry)
            if tuple(field) == _ORIENTATION and 1 <= value <= 8:
                return int(value)
    return 1


def _open(data: bytes) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise ImageError("it is no image" if data else "it is empty") from None
    # Pillow raises a different type for every kind of damage.
    except Exception as error:
        raise ImageError(f"its header cannot be read ({error})") from error


def decode(
    data: bytes, height: int = 0, width: int = 0, *, color: int = 1, header: Header | None = None
) -> Pixels:
    """Decode an image, whole and upright.

    A JPEG comes at the smallest of 1/8 to 4/8 of its size that has ``height`` and ``width``, as
    seen, else whole. ``color``: 1 RGB, 0 gray, -1 as stored (1, 3 or 4 channels). Raises ImageError
    for all damage that shows, a missing last byte included, where other decoders fill the rest with
    gray. Most flipped bits do not show, as nearly all bits are valid Huffman codes: only checksums
    find those.
    """
    header = header or sniff(data)
    if header.colorspace in ("YCbCr", "RGB", "Gray"):
        pixels = _decode_jpeg(data, header, height, width, color)
    else:
        pixels = _decode_with_pillow(data, color)
    return pixels if header.orientation == 1 else _turn_upright(pixels, header.orientation)


def _decode_jpeg(data: bytes, header: Header, height: int, width: int, color: int) -> Pixels:
    space = "GRAY" if color == 0 or (color == -1 and header.colorspace == "Gray") else "RGB"
    if header.orientation > 4:
        height, width = width, height
    # libjpeg-turbo has vector code for half the size and less; above, a full decode is faster.
    half_suffices = 0 < 2 * height <= header.height and 0 < 2 * width <= header.width
    scaling = (height, width, 2) if half_suffices else ()
    try:
        pixels: Pixels = _call_simplejpeg(
            simplejpeg.decode_jpeg, data, space, False, False, *scaling
        )
    except ValueError as error:
        raise ImageError(f"its JPEG data is damaged ({error})") from error
    return pixels


def _decode_with_pillow(data: bytes, color: int) -> Pixels:
    from PIL import Image

    with _open(data) as image:
        try:
            # Pillow would clip 16 bits of gray, not scale them.
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            as_stored = image.mode if image.mode in ("L", "RGB", "RGBA") else "RGB"
            pixels = np.asarray(image.convert({0: "L", 1: "RGB", -1: as_stored}[color]))
        except Exception as error:
            raise ImageError(f"its {image.format} data is damaged ({error})") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn by the table of EXIF 2.3: a transposition (5 to 8), then mirrors."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def verify_image(data: bytes) -> None:
    """Raise ImageError where ``decode`` would; decodes a JPEG at 1/8, which costs half as much."""
    header = sniff(data)
    height, width = header.size
    decode(data, -(-height // 8), -(-width // 8), color=-1, header=header)


def verify_ends(data: bytes) -> None:
    """Raise ImageError where the header or the end mark of a JPEG is missing.

    Takes 3 µs, and misses all other damage.
    """
    sniff(data)
    if data.startswith(b"\xff\xd8") and _END_OF_IMAGE not in data[-_TAIL:]:
        # A truncated file, or a whole one with much behind its end.
        verify_image(data)


def encode(pixels: Pixels, encoding: str = ".jpg", quality: int = 95) -> bytes:
    """Encode as ``.jpg`` (``quality`` 1 to 100, chroma halved) or ``.png`` (compression 0 to 9).

    Raises ImageError where the encoder refuses, as for a JPEG with a side over MAX_SIDE.
    """
    channels = pixels.shape[2]
    try:
        if encoding == ".jpg":
            space, sampling = {1: ("GRAY", "Gray"), 3: ("RGB", "420"), 4: ("RGBX", "420")}[channels]
            rows = np.ascontiguousarray(pixels)
            return cast(bytes, simplejpeg.encode_jpeg(rows, quality, space, sampling))
        from PIL import Image

        out = io.BytesIO()
        image = Image.fromarray(pixels if channels > 1 else pixels[:, :, 0])
        image.save(out, "PNG", compress_level=quality)
        return out.getvalue()
    except ValueError as error:
        raise ImageError(f"it cannot be encoded as {encoding} ({error})") from error
