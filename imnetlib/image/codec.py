"""Image bytes to pixels and back (chapter 4).

JPEG goes through libjpeg-turbo (simplejpeg), which decodes at n/8 of the size inside the inverse
DCT and lets go of Python's lock while it works; Pillow takes the odd files: PNGs in disguise, CMYK.
Pixels are uint8, (height, width, 3) in RGB or (height, width, 1) in gray. OpenCV and Pillow are
imported where they are needed: who only looks at headers need not wait 0.1 s for them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import struct
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import simplejpeg

if TYPE_CHECKING:
    from PIL import Image


Pixels = npt.NDArray[np.uint8]
# top, left, height and width in pixels, fractions too
Box = tuple[float, float, float, float]

# Pillow's limit as well; the largest image of ILSVRC2012 has 61 million
MAX_PIXELS = 89_478_485
# of a JPEG, by libjpeg
MAX_SIDE = 65_500
# Pillow would hand an EPS file to Ghostscript
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
_ORIENTATION = 0x0112
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_SCAN = b"\xda"
_TAIL = 4096
# shrinking by more, bilinear interpolation skips pixels, which shows as jagged edges
_ALIASING = 1.25


class ImageError(ValueError):
    """These bytes are no image that can be read whole, or none that can be resized or encoded as
    asked.
    """


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes tell. ``height``, ``width``: as stored, before ``orientation`` (EXIF, 1
    to 8) turns it.
    """

    height: int
    width: int
    # of a JPEG: YCbCr, RGB, Gray, CMYK, YCCK; else Pillow's format and mode
    colorspace: str
    orientation: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width as seen, upright."""
        return (self.width, self.height) if self.orientation > 4 else (self.height, self.width)


def versions() -> dict[str, str]:
    """Of the libraries that decide what a pixel becomes."""
    import PIL

    return {
        "numpy": np.__version__,
        "opencv": opencv().__version__,
        "pillow": PIL.__version__,
        "simplejpeg": ".".join(simplejpeg.__version_info__),
    }


@functools.cache
def opencv() -> ModuleType:
    """OpenCV, held to one thread: threads here run over images, and its own would fight with them."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


def sniff(data: bytes) -> Header:
    """Read the header only: 2 µs for a JPEG. ImageError if there is none or it promises over
    MAX_PIXELS pixels.
    """
    try:
        height, width, colorspace = _jpeg_header(data)
    except ValueError:
        # no JPEG, or one so unusual that only Pillow reads it
        with _open(data) as image:
            height = image.height
            width = image.width
            colorspace = f"{image.format} {image.mode}"
    if height * width > MAX_PIXELS:
        raise ImageError(f"it has {width:,} x {height:,} pixels; the limit is {MAX_PIXELS:,}")
    return Header(height, width, colorspace, _orientation(data))


def _jpeg_header(data: bytes) -> tuple[int, int, str]:
    try:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        height, width, colorspace, _ = simplejpeg.decode_jpeg_header(_mended(data))
    return height, width, colorspace


def _orientation(data: bytes) -> int:
    """The EXIF orientation, 1 where there is none or the EXIF block is broken (EXIF 2.3, section
    4.6).
    """
    start = data.find(b"Exif\0\0", 0, _TAIL) + 6
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[start : start + 4])
    if start < 6 or order is None:
        return 1
    # a broken block points outside the file
    with contextlib.suppress(struct.error):
        (directory,) = struct.unpack_from(f"{order}I", data, start + 4)
        (entries,) = struct.unpack_from(f"{order}H", data, start + directory)
        for entry in range(start + directory + 2, start + directory + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", data, entry)
            if (tag, kind, count) == (_ORIENTATION, 3, 1) and 1 <= value <= 8:
                return cast(int, value)
    return 1


def _open(data: bytes) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise ImageError("it is no image" if data else "it is empty") from None
    except Exception as error:
        # Pillow raises a type of its own for every kind of damage
        raise ImageError(f"its header cannot be read ({error})") from error


def decode(
    data: bytes, height: int = 0, width: int = 0, *, color: int = 1, header: Header | None = None
) -> Pixels:
    """Decode whole and upright; a JPEG at the smallest n/8 of its size that has ``height`` and
    ``width``, upright.

    ``color``: 1 RGB, 0 gray, -1 as stored (1, 3 or 4 channels). ImageError for all damage that
    shows, one missing end byte included: a decoder that fills the rest with gray would let it pass.
    Of single flipped bits in a JPEG most do not show, as nearly all bits are valid Huffman codes:
    only checksums find those.
    """
    header = header or sniff(data)
    if header.colorspace in ("YCbCr", "RGB", "Gray"):
        pixels = _decode_jpeg(data, header, height, width, color)
    else:
        pixels = _decode_odd(data, color)
    return pixels if header.orientation == 1 else _turn(pixels, header.orientation)


def _decode_jpeg(data: bytes, header: Header, height: int, width: int, color: int) -> Pixels:
    space = "GRAY" if color == 0 or (color == -1 and header.colorspace == "Gray") else "RGB"
    if header.orientation > 4:
        height, width = width, height
    # libjpeg-turbo's vector code covers half the size and less; above that, decoding all of it is
    # faster.
    scaled = (
        (height, width, 2)
        if 0 < 2 * height <= header.height and 0 < 2 * width <= header.width
        else ()
    )
    try:
        return cast(Pixels, simplejpeg.decode_jpeg(data, space, False, False, *scaled))
    except ValueError as error:
        mended = _mended(data)
        if mended == data:
            raise ImageError(f"its JPEG data is damaged ({error})") from error
    try:
        return cast(Pixels, simplejpeg.decode_jpeg(mended, space, False, False, *scaled))
    except ValueError as error:
        raise ImageError(f"its JPEG data is damaged ({error})") from error


def _mended(data: bytes) -> bytes:
    """A JPEG without that at which a strict decoder stops though the picture is whole.

    Surplus bytes between the segments of the header, zeros between scan and end mark, odd numbers
    in the JFIF and the Adobe segment. Other surplus behind the scan stays: after a flipped bit,
    what is left of the scan looks like that.
    """
    parts = [data[:2]]
    at = 2
    while (marker := _MARKER.search(data, at)) and marker[1] != _SCAN:
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
        segment = bytearray(data[marker.end() - 2 : at])
        if segment[4:9] == b"JFIF\0":
            # major version
            segment[9:10] = b"\1"
        elif segment[4:9] == b"Adobe" and segment[15:16] > b"\1":
            # colour transform: libjpeg, too, takes YCbCr for an unknown one
            segment[15:16] = b"\1"
        parts.append(bytes(segment))
    header_end = marker.end() - 2 if marker else at
    scan, end, _ = data[header_end:].partition(b"\xff\xd9")
    kept = scan.rstrip(b"\0")
    return b"".join((*parts, kept, b"\0" if kept[-1:] == b"\xff" else b"", end))


def _decode_odd(data: bytes, color: int) -> Pixels:
    from PIL import Image

    with _open(data) as image:
        try:
            # 16 bits of gray: Pillow would clip them, not scale them
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            own = image.mode if image.mode in ("L", "RGB", "RGBA") else "RGB"
            pixels = np.asarray(image.convert({0: "L", 1: "RGB", -1: own}[color]))
        except Exception as error:
            # see _open
            raise ImageError(f"its {image.format} data is damaged ({error})") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Upright pixels, by the table of EXIF 2.3: a transposition (5 to 8), then mirrors."""
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def verify_image(data: bytes) -> None:
    """ImageError where ``decode`` raises it: a JPEG is decoded at 1/8 of its size, at half the cost
    of all of it.

    Blind, as that is, to most single flipped bits.
    """
    header = sniff(data)
    decode(data, -(-header.size[0] // 8), -(-header.size[1] // 8), color=-1, header=header)


def verify_ends(data: bytes) -> None:
    """ImageError when the header, or the end mark of a JPEG, is missing. 3 µs, and blind to other
    damage.
    """
    sniff(data)
    if data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9", max(0, len(data) - _TAIL)) < 0:
        # no mark near the end: a cut file, or a whole one with much behind it
        verify_image(data)


def extent(pixels: Pixels, header: Header) -> tuple[float, float]:
    """Height and width of the whole picture in pixels of its decoded form: 375 rows at half size
    are 187.5.

    188 pixels come, the last one for the half row. Of a picture that was turned upright and made
    smaller too, the pixels there are.
    """
    rows, columns = pixels.shape[:2]
    if (rows, columns) == header.size or header.orientation != 1:
        return rows, columns
    eighths = rows * 8 // header.height
    return header.height * eighths / 8, header.width * eighths / 8


def resize(
    pixels: Pixels, height: int, width: int, out: Pixels | None = None, box: Box | None = None
) -> Pixels:
    """Scale ``box`` of the pixels, or all, to ``height`` x ``width``, into ``out`` if given,
    without jagged edges.

    Near the size and above: bilinear. From 1.25 to 2.5 times too large: bilinear to twice the size,
    then the mean of 2 x 2, which is as good as the mean over areas (43.3 dB to Lanczos where
    bilinear has 39.1, 500 to 341 columns) at half its cost; beyond: the mean over areas, of a box
    in whole pixels. ImageError where OpenCV refuses, for want of memory as well.
    """
    try:
        return _scale(pixels, height, width, out, box or (0, 0, pixels.shape[0], pixels.shape[1]))
    except opencv().error as error:
        raise ImageError(
            f"it cannot be resized to {width:,} x {height:,} pixels ({error})"
        ) from error


def _scale(pixels: Pixels, height: int, width: int, out: Pixels | None, box: Box) -> Pixels:
    cv2 = opencv()
    channels = pixels.shape[2]
    excess = max(box[2] / height, box[3] / width)
    if excess > 2 * _ALIASING:
        scaled = cv2.resize(
            _cut(pixels, box), (width, height), dst=out, interpolation=cv2.INTER_AREA
        )
    elif excess > _ALIASING:
        double = _bilinear(pixels, 2 * height, 2 * width, None, box)
        scaled = cv2.resize(double, (width, height), dst=out, interpolation=cv2.INTER_AREA)
    else:
        scaled = _bilinear(pixels, height, width, out, box)
    # OpenCV drops a single channel
    return cast(Pixels, scaled.reshape(height, width, channels))


def _cut(pixels: Pixels, box: Box) -> Pixels:
    top, left, bottom, right = (
        round(edge) for edge in (box[0], box[1], box[0] + box[2], box[1] + box[3])
    )
    return pixels[top:bottom, left:right]


def _bilinear(pixels: Pixels, height: int, width: int, out: Pixels | None, box: Box) -> Pixels:
    """Box and pixels as OpenCV has them: a pixel is a square, its place the middle of that."""
    cv2 = opencv()
    (top, left, tall, wide) = box
    if all(float(edge).is_integer() for edge in box):
        scaled = cv2.resize(
            _cut(pixels, box), (width, height), dst=out, interpolation=cv2.INTER_LINEAR
        )
        return cast(Pixels, scaled)
    down = tall / height
    across = wide / width
    matrix = np.array([[across, 0, left + (across - 1) / 2], [0, down, top + (down - 1) / 2]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    scaled = cv2.warpAffine(pixels, matrix, (width, height), out, how, cv2.BORDER_REPLICATE)
    return cast(Pixels, scaled)


def encode(pixels: Pixels, encoding: str = ".jpg", quality: int = 95) -> bytes:
    """Encode as ``.jpg`` (``quality`` 1 to 100; chroma halved, as in OpenCV) or ``.png``
    (compression 0 to 9).

    ImageError where the encoder refuses: a side of a JPEG over MAX_SIDE.
    """
    try:
        return _encode(pixels, encoding, quality)
    except ValueError as error:
        raise ImageError(f"it cannot be encoded as {encoding} ({error})") from error


def _encode(pixels: Pixels, encoding: str, quality: int) -> bytes:
    channels = pixels.shape[2]
    if encoding == ".jpg":
        space, sampling = {1: ("GRAY", "Gray"), 3: ("RGB", "420"), 4: ("RGBX", "420")}[channels]
        return cast(
            bytes, simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, space, sampling)
        )
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels if channels > 1 else pixels[:, :, 0]).save(
        out, "PNG", compress_level=quality
    )
    return out.getvalue()
