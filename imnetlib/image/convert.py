"""Image files to the bytes that records store: kept, made smaller, or converted (chapter 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imnetlib.arguments import require, require_type, whole_number
from imnetlib.image import codec, metadata, scaling

Action = Literal["kept", "reencoded", "converted"]

# The colour spaces in which a JPEG is stored as it is, by Settings.color.
_PLAIN = {1: ("YCbCr", "RGB"), 0: ("Gray",), -1: ("YCbCr", "RGB", "Gray")}


@dataclass(frozen=True, slots=True)
class Settings:
    """What happens to an image on its way into a record; im2rec's names where im2rec has them.

    ``resize``: the short edge in pixels, after ``center_crop`` to a square. An image is enlarged
    only with ``upscale`` (im2rec always does so). A JPEG that already fits keeps its bytes unless
    ``reencode``. ``quality``: 1 to 100 for .jpg, compression 0 to 9 for .png. ``color``: 1 RGB,
    0 gray, -1 as stored. ``pass_through``: the file's bytes, whatever they show, if
    :func:`~imnetlib.image.verify_ends` finds a beginning and an end. ``pack_label``: all labels of
    an image, not just one. Raises ValueError for values out of range and TypeError for other types.
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
        for name in ("resize", "quality", "color"):
            value = getattr(self, name)
            if value is not None or name != "resize":
                object.__setattr__(self, name, whole_number(name, value))
        for name in ("center_crop", "pass_through", "upscale", "reencode", "pack_label"):
            require_type(getattr(self, name), bool, f"{name} is True or False")
        edge = self.resize
        require(edge is None or edge >= 1, "resize is a short edge of 1 pixel or more", edge)
        codec.require_encoding(self.encoding, self.quality)
        codec.require_color(self.color)


DEFAULTS = Settings()


def convert_image(data: codec.Encoded, settings: Settings) -> tuple[bytes, Action]:
    """The bytes to store for one image file, and what was done to them (chapter 4).

    Raises ImageError for an image that cannot be read or stored.
    """
    data = codec.as_bytes(data)
    require_type(settings, Settings, "settings are a Settings")
    if settings.pass_through:
        codec.verify_ends(data)
        return data, "kept"

    header = codec.sniff(data)
    right_color = header.colorspace in _PLAIN[settings.color]
    plain = header.orientation == 1 and right_color
    height, width = _stored_size(*header.size, settings)
    fits = plain and (height, width) == header.size and settings.encoding == ".jpg"
    # What is kept has to be a JPEG to any decoder, as its third byte and its header show.
    is_sound = data.startswith(codec.JPEG_BEGINNING) and metadata.is_regular(data)
    if fits and is_sound and not settings.reencode:
        codec.verify_image(data)
        return data, "kept"
    _require_limits(height, width, settings.encoding)

    pixels = codec.decode(data, height, width, color=settings.color, header=header)
    box = _box(scaling.extent(pixels, header), settings.center_crop)
    if box != (0, 0, height, width):
        pixels = scaling.resize(pixels, height, width, box=box)
    encoded = codec.encode(pixels, settings.encoding, settings.quality)
    return encoded, "reencoded" if plain and is_sound else "converted"


def _stored_size(height: int, width: int, settings: Settings) -> tuple[int, int]:
    """Height and width to store; rounded down, as im2rec does."""
    short = min(height, width)
    if settings.center_crop:
        height = width = short
    if settings.resize is None or (short <= settings.resize and not settings.upscale):
        return height, width
    return height * settings.resize // short, width * settings.resize // short


def _require_limits(height: int, width: int, encoding: str) -> None:
    """Raise ImageError for a picture that is too large to store, or to be read again."""
    would = f"it would get {width:,} x {height:,} pixels"
    if height * width > codec.MAX_PIXELS:
        raise codec.ImageError(f"{would}; the limit is {codec.MAX_PIXELS:,} in all")
    if encoding == ".jpg" and max(height, width) > codec.MAX_SIDE:
        raise codec.ImageError(f"{would}; a JPEG has at most {codec.MAX_SIDE:,} a side, a PNG more")


def _box(picture: scaling.Box, center_crop: bool) -> scaling.Box:
    """The part of a picture to keep; a centre in whole pixels where the picture has whole ones."""
    if not center_crop:
        return picture
    top, left, height, width = picture
    side = min(height, width)
    down = (height - side) / 2
    across = (width - side) / 2
    if not (height % 1 or width % 1):
        down //= 1
        across //= 1
    return top + down, left + across, side, side
