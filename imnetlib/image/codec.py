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
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import simplejpeg

from imnetlib.arguments import require, require_type, whole_number
from imnetlib.image import metadata

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
# An image file's content.
Encoded = bytes | bytearray | memoryview

# Pillow's limit as well; the largest image of ILSVRC2012 has 61 million pixels.
MAX_PIXELS = 89_478_485
# The longest side of a JPEG in libjpeg.
MAX_SIDE = 65_500
# As libjpeg's callers, Pillow and OpenCV among them, know a JPEG.
JPEG_BEGINNING = b"\xff\xd8\xff"
# Pillow would hand an EPS file to Ghostscript, so EPS is not among these.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")
# What their files begin with, where a rare kind of them may be refused.
_STARTS = {
    "JPEG": (metadata.JPEG_START,),
    "PNG": (metadata.PNG_START,),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}
# Pillow reads each entry three times, up to 10 µs at a time; a photo has about 50.
_TIFF_ENTRIES = 500
# From simplejpeg; KeyError for a subsampling of which it has no name.
_REFUSED = (ValueError, KeyError)
# Formats that are not read, and what their first KB looks like, or for TGA their last bytes.
_UNREAD = {
    "AVIF": rb"....ftypavi[fs]",
    "HEIC": rb"....ftyp(?:he[iv][cmsx]|mif1|msf1)",
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51",
    "JPEG XL": rb"\0\0\0\x0cJXL \r\n|\xff\x0a",
    "Photoshop": rb"8BPS\0[\x01\x02]",
    "PPM": rb"P[1-7][ \t\r\n]+[#0-9W]",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "ICO": rb"\0\0\x01\0.\0",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "PDF": rb"%PDF-",
    "SVG": rb"(?:\xef\xbb\xbf)?\s*<(?!(?i:!doctype\s+)?(?i:html))(?:.*<)?svg[\s>]",
    "TGA": rb".*TRUEVISION-XFILE\.\0\Z|.\0[\x02\x03\n\x0b]\0{5}.{8}[\x08\x10\x18 ][\0-/]",
}


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

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether turning upright puts the last row above, and the last column before all others.

        By the table of EXIF 2.3: a transposition (5 to 8), then these.
        """
        return self.orientation in (3, 4, 7, 8), self.orientation in (2, 3, 6, 7)


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


def sniff(data: Encoded) -> Header:
    """Read the header only: 3 µs for a JPEG, below 20 ms for 64 KB of any bytes.

    The orientation is where Pillow's ``exif_transpose`` finds it: in EXIF or XMP, in a TIFF's tag.
    Raises ImageError where there is no header, or one that promises more than MAX_PIXELS pixels.
    """
    data = as_bytes(data)
    try:
        height, width, colorspace, _ = _call_simplejpeg(simplejpeg.decode_jpeg_header, data)
        orientation = metadata.jpeg_orientation(data)
    except _REFUSED:
        # Not a JPEG, or one so unusual that only Pillow reads it.
        with _open(data) as image:
            width, height = _stored_size(image)
            colorspace = f"{image.format} {image.mode}"
            orientation = _orientation(image, data)
    if height * width > MAX_PIXELS:
        raise ImageError(f"it has {width:,} x {height:,} pixels; the limit is {MAX_PIXELS:,}")
    return Header(height, width, colorspace, orientation)


def as_bytes(data: Encoded) -> bytes:
    """The content of an image file as bytes; TypeError for what cannot be one, such as a path."""
    if isinstance(data, bytes):
        return data
    rule = "data is the bytes of an image file (bytes, bytearray or memoryview)"
    require_type(data, (bytearray, memoryview), rule)
    return bytes(data)


def _call_simplejpeg(function: Callable[..., Any], data: bytes, *options: object) -> Any:
    """Call a function of simplejpeg; where it refuses a JPEG, once more with its essence."""
    try:
        return function(data, *options)
    except _REFUSED:
        if not data.startswith(metadata.JPEG_START):
            raise
        return function(metadata.essence(data), *options)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    # From version 11 on, Pillow says how large a TIFF is after it has been turned.
    tags = getattr(image, "tag_v2", None)
    return (int(tags[256]), int(tags[257])) if tags else image.size


def _orientation(image: Image.Image, data: bytes) -> int:
    """The orientation where Pillow's ``exif_transpose`` finds it, without decoding the picture."""
    if image.format == "JPEG":
        return metadata.jpeg_orientation(data)
    if image.format == "TIFF":
        # Pillow raises a different type for every kind of damage.
        with contextlib.suppress(Exception):
            value: Any = image.getexif().get(metadata.ORIENTATION)
            if value in range(1, 9):
                return int(value)
        return 1
    exif = image.info.get("exif", b"")
    raw = image.info.get("Raw profile type exif", "")
    # ImageMagick writes three lines, then EXIF in hexadecimal digits.
    with contextlib.suppress(ValueError):
        exif = exif or bytes.fromhex("".join(raw.split("\n")[3:]))
    xmp = image.info.get("XML:com.adobe.xmp", "").encode() or image.info.get("xmp", b"")
    return metadata.orientation(exif, xmp)


def _open(data: bytes) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    entries = metadata.tiff_entries(data)
    if entries > _TIFF_ENTRIES:
        what = f"its TIFF directory has {entries:,} entries; the limit is {_TIFF_ENTRIES:,}"
        raise ImageError(what)
    try:
        return Image.open(io.BytesIO(metadata.essence(data)), formats=_FORMATS)
    except UnidentifiedImageError:
        for form, starts in _STARTS.items():
            if data.startswith(starts):
                raise ImageError(
                    f"it begins like a {form}, but its header cannot be read; "
                    "if it is whole, convert it to 8 bits a channel"
                ) from None
        ends = data[:1024] + data[-18:]
        for form, look in _UNREAD.items():
            if re.match(look, ends, re.DOTALL):
                what = f"its format is {form}, which is not read; convert it to JPEG or PNG"
                raise ImageError(what) from None
        raise ImageError("it is no image" if data else "it is empty") from None
    # Pillow raises a different type for every kind of damage.
    except Exception as error:
        raise ImageError(f"its header cannot be read ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def decode(
    data: Encoded, height: int = 0, width: int = 0, *, color: int = 1, header: Header | None = None
) -> Pixels:
    """Decode an image, whole and upright.

    A JPEG comes at the smallest of 1/8 to 4/8 of its size that has ``height`` and ``width``, as
    seen, else whole. ``color``: 1 RGB, 0 gray, -1 as stored (1, 3 or 4 channels). Of several frames
    the first; transparency is dropped, but for -1, which gives RGBA (of 16 bits gray); of 16 bits a
    channel the upper 8 count.

    Raises ImageError for all damage that shows, a missing last byte included, where other decoders
    fill the rest with gray. Most flipped bits do not show, as nearly all bits are valid Huffman
    codes: only checksums find those. Also for floats, integers of 32 bits and LAB: which of their
    numbers are black and white, no format says.
    """
    data = as_bytes(data)
    height = whole_number("height", height)
    width = whole_number("width", width)
    require_color(color)
    header = header or sniff(data)
    if header.colorspace in ("YCbCr", "RGB", "Gray"):
        pixels = _decode_jpeg(data, header, height, width, color)
    else:
        pixels = _decode_with_pillow(data, color)
        # Pillow turns a TIFF while it decodes it.
        if header.colorspace.startswith("TIFF"):
            return pixels
    return pixels if header.orientation == 1 else _turn_upright(pixels, header)


def require_color(color: int) -> None:
    """Raise ValueError for none of the numbers that ``color`` may be."""
    require(color in (1, 0, -1), "color is 1 (RGB), 0 (gray) or -1 (as stored)", color)


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
    with _open(data) as image:
        form = image.format
        if image.mode in ("I", "F", "LAB"):
            kind = {"I": "signed or 32-bit integers", "F": "floats", "LAB": "LAB colours"}
            raise ImageError(
                f"its pixels are {kind[image.mode]} (Pillow's mode {image.mode}), and which "
                "are black and white would be a guess; convert it to 8-bit RGB or gray"
            )
        # Pillow shows a cut JPEG as whole if enough bytes stand behind it.
        if not metadata.is_complete(data):
            raise ImageError(f"its {form} data is damaged (its end is missing)")
        try:
            picture = _eight_bits(image) if image.mode.startswith("I;16") else image
            as_stored = "L" if picture.mode == "L" else "RGB"
            # A damaged file may have lost its palette, for which Pillow would ask.
            if color != -1 or (picture.mode == "P" and picture.palette is None):
                # Pillow would warn of a palette's.
                picture.info.pop("transparency", None)
            elif picture.has_transparency_data:
                as_stored = "RGBA"
            pixels = _as_array(picture.convert({0: "L", 1: "RGB", -1: as_stored}[color]))
        except Exception as error:
            raise ImageError(f"its {form} data is damaged ({_reason(error)})") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _as_array(picture: Image.Image) -> Pixels:
    # Pillow has no room for a row of nearly 2**31 bits.
    if 8 * len(picture.getbands()) * picture.width > 2**31 - 256:
        return np.dstack([np.asarray(band) for band in picture.split()])
    return np.asarray(picture)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 bits, or a TIFF's 12, in 8; Pillow would clip it."""
    from PIL import Image

    tags = getattr(image, "tag_v2", {})
    bits = tags.get(258, (16,))[0]
    gray = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
    # Pillow inverts a TIFF whose 0 is white only up to 8 bits.
    return Image.fromarray(~gray if tags.get(262) == 0 else gray)


def _turn_upright(pixels: Pixels, header: Header) -> Pixels:
    if header.orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    above, before = header.flips
    return np.ascontiguousarray(pixels[:: -1 if above else 1, :: -1 if before else 1])


def verify_image(data: Encoded) -> None:
    """Raise ImageError where ``decode`` would; decodes a JPEG at 1/8, which costs half as much."""
    header = sniff(data)
    height, width = header.size
    decode(data, -(-height // 8), -(-width // 8), color=-1, header=header)


def verify_ends(data: Encoded) -> None:
    """Raise ImageError where the header or the end of an image is missing.

    Takes 50 µs for a JPEG of 100 KB. Misses damage between the two: a JPEG without its last rows
    that was closed by an end mark. BMP and TIFF have no mark, so they are decoded.
    """
    data = as_bytes(data)
    header = sniff(data)
    if data.startswith(metadata.JPEG_START) and not data.startswith(JPEG_BEGINNING):
        raise ImageError("it does not begin like a JPEG: FF D8 FF")
    if not metadata.is_complete(data) or header.colorspace.startswith(("BMP", "TIFF")):
        verify_image(data)


def require_encoding(encoding: str, quality: int) -> None:
    """Raise ValueError for an encoding that :func:`encode` lacks, or a quality out of its range."""
    require(encoding in (".jpg", ".png"), "encoding is .jpg or .png", encoding)
    low, high = (1, 100) if encoding == ".jpg" else (0, 9)
    require(low <= quality <= high, f"quality is {low} to {high} for {encoding}", quality)


def encode(pixels: Pixels, encoding: str = ".jpg", quality: int = 95) -> bytes:
    """Encode as ``.jpg`` (``quality`` 1 to 100, chroma halved) or ``.png`` (compression 0 to 9).

    A JPEG has 1 or 3 channels, of 4 the first three; a PNG 1 to 4. Raises ImageError where the
    encoder refuses, as for a JPEG with a side over MAX_SIDE; ValueError for other arguments.
    """
    quality = whole_number("quality", quality)
    require_encoding(encoding, quality)
    rule = "pixels are an array of uint8 (height, width, channels)"
    require_type(pixels, np.ndarray, rule)
    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise ValueError(f"{rule}, not of {pixels.dtype} {pixels.shape}")
    try:
        if encoding == ".jpg":
            return _encode_jpeg(pixels, quality)
        from PIL import Image

        out = io.BytesIO()
        image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[:, :, 0])
        image.save(out, "PNG", compress_level=quality)
        return out.getvalue()
    except (ValueError, TypeError, MemoryError) as error:
        raise ImageError(f"it cannot be encoded as {encoding} ({_reason(error)})") from error


def _encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    channels = pixels.shape[2]
    space = {1: "GRAY", 3: "RGB", 4: "RGBX"}.get(channels)
    if space is None:
        raise ValueError(f"{channels} channels")
    sampling = "Gray" if channels == 1 else "420"
    rows = np.ascontiguousarray(pixels)
    return cast(bytes, simplejpeg.encode_jpeg(rows, quality, space, sampling))
