"""Encoded images to the pixels of a batch: crop, mirror, layout, normalisation (chapter 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imnetlib.arguments import Floats, real_number, require, require_type, whole_number
from imnetlib.image import codec, scaling

# The random numbers of an image, uniform in [0, 1): one decides on the mirror, two place the crop,
# and from BOXES on come TRIES pairs, the area and the aspect ratio of each box that is tried.
MIRROR = 0
TOP = 1
LEFT = 2
BOXES = 3
TRIES = 10
RANDOM_COLUMNS = BOXES + 2 * TRIES


@dataclass(frozen=True, slots=True)
class Transform:
    """How a picture becomes ``size`` x ``size`` pixels, RGB.

    ``crop``: "center" or "random" takes a square of ``share`` of the short edge (224 of 256 pixels,
    unscaled); "random_resized" a box whose share of the picture lies within ``scale`` and whose
    aspect ratio lies within ``ratio`` (Szegedy et al. 2015; torchvision's names). ``mirror``: half
    of the pictures, at random. ``mean`` and ``std`` per channel, on the scale of 0 to 255: the
    pixels become float32 (x - mean) / std; without them they stay uint8. Sequences and arrays of
    numbers are kept as tuples. Raises ValueError for values out of range, such as a mean on the
    scale of 0 to 1, and TypeError for other types.
    """

    size: int = 224
    crop: Literal["center", "random", "random_resized"] = "center"
    mirror: bool = False
    share: float = 0.875
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        crops = ("center", "random", "random_resized")
        size = whole_number("size", self.size)
        require(size >= 1, "size is 1 pixel or more", size)
        require(self.crop in crops, "crop is center, random or random_resized", self.crop)
        require_type(self.mirror, bool, "mirror is True (half of the pictures) or False")
        share = real_number("share", self.share)
        require(0 < share <= 1, "share is above 0 and at most 1", share)
        rule = "scale is two shares in order, above 0, at most 1"
        scale = _numbers(self.scale, 2, rule)
        require(0 < scale[0] <= scale[1] <= 1, rule, scale)
        rule = "ratio is two numbers in order, above 0"
        ratio = _numbers(self.ratio, 2, rule)
        require(0 < ratio[0] <= ratio[1], rule, ratio)
        require(self.layout in ("NHWC", "NCHW"), "layout is NHWC or NCHW", self.layout)
        rule = "mean is None or a number a channel"
        mean = None if self.mean is None else _numbers(self.mean, 3, rule)
        std = _numbers(self.std, 3, "std is three numbers above 0")
        on_255 = mean is None or not any(mean) or max(mean) > 1
        require(on_255, "mean and std are on the scale of 0 to 255", (mean, std))
        require(min(std) > 0, "std is three numbers above 0", std)
        has_mean = mean is not None or set(std) == {1}
        require(has_mean, "std needs a mean (mean=(0, 0, 0) subtracts nothing)", std)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "share", share)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "ratio", ratio)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image as it comes out."""
        channels_last = (self.size, self.size, 3)
        return channels_last if self.layout == "NHWC" else (3, self.size, self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its numbers: uint8, or float32 where they are normalised."""
        return np.dtype(np.uint8 if self.mean is None else np.float32)


def _numbers(values: npt.ArrayLike, count: int, rule: str) -> tuple[float, ...]:
    array = np.asarray(values)
    if array.ndim == 0 or array.dtype.kind not in "iuf":
        raise TypeError(f"{rule}, not {values!r} ({type(values).__name__})")
    require(array.shape == (count,) and bool(np.isfinite(array).all()), rule, values)
    return tuple(array.astype(float).tolist())


def crop_box(
    height: int, width: int, transform: Transform, uniforms: Sequence[float]
) -> tuple[int, int, int, int]:
    """Top, left, height and width of the part of a picture to show.

    ``uniforms``: the RANDOM_COLUMNS numbers that ``order.random_numbers`` gives for an image. Where
    no box that is tried for "random_resized" fits, the largest one within ``ratio``, in the centre.
    """
    require_type(transform, Transform, "transform is a Transform")
    height = int(height)
    width = int(width)
    if transform.crop == "random_resized":
        shape = _random_shape(height, width, transform, uniforms)
        centred = shape is None
        box_height, box_width = shape or _largest_shape(height, width, transform.ratio)
    else:
        box_height = box_width = max(1, round(min(height, width) * transform.share))
        centred = transform.crop == "center"
    if centred:
        return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
    top = int(uniforms[TOP] * (height - box_height + 1))
    left = int(uniforms[LEFT] * (width - box_width + 1))
    return top, left, box_height, box_width


def _largest_shape(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width of the largest box whose aspect ratio lies within ``ratio``."""
    narrowest, widest = ratio
    if width / height < narrowest:
        return max(1, round(width / narrowest)), width
    return height, min(width, max(1, round(height * widest)))


def _random_shape(
    height: int, width: int, transform: Transform, uniforms: Sequence[float]
) -> tuple[int, int] | None:
    """Height and width of the first box that fits into the picture; None where none does."""
    smallest, largest = transform.scale
    low = math.log(transform.ratio[0])
    high = math.log(transform.ratio[1])
    for column in range(BOXES, RANDOM_COLUMNS, 2):
        area = height * width * (smallest + uniforms[column] * (largest - smallest))
        aspect = math.exp(low + uniforms[column + 1] * (high - low))
        box_height = round(math.sqrt(area / aspect))
        box_width = round(math.sqrt(area * aspect))
        if 0 < box_height <= height and 0 < box_width <= width:
            return box_height, box_width
    return None


def decode_into(
    data: codec.Encoded, transform: Transform, uniforms: Sequence[float], out: codec.Pixels
) -> None:
    """Decode one image into ``out`` (size, size, 3); ``uniforms`` as in :func:`crop_box`.

    A JPEG is decoded only as large as the crop needs. Raises ImageError as :func:`decode` does.
    """
    data = codec.as_bytes(data)
    header = codec.sniff(data)
    height, width = header.size
    top, left, box_height, box_width = crop_box(height, width, transform, uniforms)
    size = transform.size
    least_height = -(-height * size // box_height)
    least_width = -(-width * size // box_width)
    pixels = codec.decode(data, least_height, least_width, header=header)
    if (box_height, box_width) == (size, size) and pixels.shape[:2] == (height, width):
        part = pixels[top : top + size, left : left + size]
    else:
        first_row, first_column, rows, columns = scaling.extent(pixels, header)
        down = rows / height
        across = columns / width
        box = (
            first_row + top * down,
            first_column + left * across,
            box_height * down,
            box_width * across,
        )
        part = scaling.resize(pixels, size, size, out, box)
    if transform.mirror and uniforms[MIRROR] < 0.5:
        codec.opencv().flip(part, 1, dst=out)
    elif part is not out:
        np.copyto(out, part)


def normalization_table(transform: Transform) -> Floats | None:
    """What each of the 256 values becomes in each channel, (256, 3); None where they stay.

    In memory as ``write_layout`` reads it: value by value for NHWC, channel by channel for NCHW.
    """
    if transform.mean is None:
        return None
    centred = np.arange(256)[:, None] - np.array(transform.mean)
    values: npt.NDArray[np.float64] = centred / np.array(transform.std)
    return values.astype(np.float32, order="C" if transform.layout == "NHWC" else "F")


def write_layout(pixels: codec.Pixels, table: Floats | None, layout: str, out: Any) -> None:
    """Write pixels (height, width, 3) into ``out`` in its layout, normalised if there is a table.

    OpenCV writes into ``out`` itself, as shapes and types agree. Without a table ``out`` is NCHW:
    for NHWC the pixels lie right already.
    """
    cv2 = codec.opencv()
    if table is None:
        cv2.split(pixels, list(out))
    elif layout == "NHWC":
        cv2.LUT(pixels, table[None], dst=out)
    else:
        for channel, plane in enumerate(cv2.split(pixels)):
            cv2.LUT(plane, table[:, channel], dst=out[channel])
