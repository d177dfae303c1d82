"""Image files to the bytes that records store: kept, made smaller, or converted (chapter 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imnetlib.arguments import require
from imnetlib.image import codec, scaling

Action = Literal["kept", "reencoded", "converted"]

# The colour spaces in which a JPEG is stored as it is, by Settings.color.
_PLAIN = {1: ("YCbCr", "RGB"), 0: ("Gray",), -1: ("YCbCr", "RGB", "Gray")}


@dataclass(frozen=True, slots=True)
class Settings:
    """What happens to an image on its way into a record; im2rec's names where im2rec has them.

    ``resize``: the short edge in pixels, after ``center_crop`` to a square. An image is enlarged
    only with ``upscale`` (im2rec always does so). A JPEG that already fits keeps its bytes unless
    ``reencode``. ``quality``: 1 to 100 for .jpg, compression 0 to 9 for .png. ``color``: 1 RGB,
    0 gray, -1 as stored. ``pass_through``: the file's bytes, whatever they show, if they begin and
    end like an image. ``pack_label``: all labels of an image, not just one. Raises ValueError for
    values out of range.
    """

    resize: int | None = None
    quality: int = 95
    center_crop: bool = False
    encoding: str = ".jpg"
    color: int = 1
    pass_through: bool = False
    upscale: bool = False
    reencode: bool = False
    pack_label: bool = False

    def __post_init__(self) -> None:
        edge = self.resize
        require(edge is None or edge >= 1, "resize is a short edge of 1 pixel or more", edge)
        require(self.encoding in (".jpg", ".png"), "encoding is .jpg or .png", self.encoding)
        low, high = (1, 100) if self.encoding == ".jpg" else (0, 9)
        in_range = low <= self.quality <= high
        require(in_range, f"quality is {low} to {high} for {self.encoding}", self.quality)
        require(self.color in _PLAIN, "color is 1 (RGB), 0 (gray) or -1 (as stored)", self.color)


DEFAULTS = Settings()


def convert_image(data: bytes, settings: Settings) -> tuple[bytes, Action]:
    """The bytes to store for one image file, and what was done to them (chapter 4).

    Raises ImageError for an image that cannot be read or stored.
    """
    if settings.pass_through:
        codec.verify_ends(data)
        return data, "kept"

    header = codec.sniff(data)
    plain = header.orientation == 1 and header.colorspace in _PLAIN[settings.color]
    height, width = _stored_size(*header.size, settings)
    fits = plain and (height, width) == header.size and settings.encoding == ".jpg"
    if fits and not settings.reencode:
        codec.verify_image(data)
        return data, "kept"
    if max(height, width) > codec.MAX_SIDE or height * width > codec.MAX_PIXELS:
        raise codec.ImageError(
            f"it would get {width:,} x {height:,} pixels; "
            f"the limits are {codec.MAX_SIDE:,} a side and {codec.MAX_PIXELS:,} in all"
        )

    pixels = codec.decode(data, height, width, color=settings.color, header=header)
    box = _box(*scaling.extent(pixels, header), settings.center_crop)
    if box != (0, 0, height, width):
        pixels = scaling.resize(pixels, height, width, box=box)
    encoded = codec.encode(pixels, settings.encoding, settings.quality)
    return encoded, "reencoded" if plain else "converted"


def _stored_size(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Height and width to store; rounded down, as im2rec does."""
    short = min(height, width)
    if settings.center_crop:
        height = width = short
    if settings.resize is None or (short <= settings.resize and not settings.upscale):
        return height, width
    return height * settings.resize // short, width * settings.resize // short


def _box(height: float, width: float, center_crop: bool) -> scaling.Box:
    """The part of a picture to keep; a centre in whole pixels where the picture has whole ones."""
    if not center_crop:
        return 0, 0, height, width
    side = min(height, width)
    top = (height - side) / 2
    left = (width - side) / 2
    whole = not (height % 1 or width % 1)
    return (top // 1, left // 1, side, side) if whole else (top, left, side, side)
