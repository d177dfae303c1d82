"""One encoded image to the pixels of a batch: crop, mirror, layout, normalised numbers (chapter 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imnetlib.arguments import require
from imnetlib.image import codec

Floats = npt.NDArray[np.float32]

# boxes drawn before a crop falls back to the square in the centre
TRIES = 10
# columns of the random numbers; two for each box follow
MIRROR = 0
TOP = 1
LEFT = 2
BOXES = 3
# random numbers for an image
RANDOM_COLUMNS = BOXES + 2 * TRIES


@dataclass(frozen=True, slots=True)
class Transform:
    """How a picture becomes ``size`` x ``size`` pixels, RGB.

    ``crop``: "center" or "random" takes a square of ``share`` of the short edge (224 of 256 pixels,
    unscaled); "random_resized" a box whose share of the picture lies within ``scale`` and whose
    aspect ratio within ``ratio`` (Szegedy et al. 2015; torchvision's names). ``mirror``: every
    second picture, by chance. ``mean`` and ``std`` per channel, on the scale of 0 to 255: float32
    (x - mean) / std comes out, else uint8. Raises ValueError for values that make no sense, a mean
    on the scale of 0 to 1 among them.
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
        require(isinstance(self.size, int) and self.size >= 1, "size is 1 pixel or more", self.size)
        require(self.crop in crops, "crop is center, random or random_resized", self.crop)
        require(0 < self.share <= 1, "share is above 0 and at most 1", self.share)
        low, high = self.scale
        require(
            0 < low <= high <= 1, "scale is two shares in order, above 0, at most 1", self.scale
        )
        low, high = self.ratio
        require(0 < low <= high, "ratio is two numbers in order, above 0", self.ratio)
        require(self.layout in ("NHWC", "NCHW"), "layout is NHWC or NCHW", self.layout)
        require(_finite(self.mean or (0, 0, 0)), "mean is None or a number a channel", self.mean)
        on_255 = "mean and std are on the scale of 0 to 255"
        require(_of_255(self.mean), on_255, (self.mean, self.std))
        require(_finite(self.std) and min(self.std) > 0, "std is three numbers above 0", self.std)
        alone = self.mean is None and set(self.std) != {1}
        require(not alone, "std goes with a mean; (0, 0, 0) will do", self.std)


def _finite(numbers: Sequence[float]) -> bool:
    return isinstance(numbers, Sequence) and len(numbers) == 3 and all(map(math.isfinite, numbers))


def _of_255(mean: Sequence[float] | None) -> bool:
    return mean is None or not _finite(mean) or not any(mean) or max(mean) > 1


def crop_box(
    height: int, width: int, transform: Transform, chances: Sequence[float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the part of a picture to show; ``chances`` from
    ``random_numbers``.
    """
    if transform.crop == "random_resized":
        low = math.log(transform.ratio[0])
        high = math.log(transform.ratio[1])
        for i in range(BOXES, BOXES + 2 * TRIES, 2):
            area = (
                height
                * width
                * (transform.scale[0] + chances[i] * (transform.scale[1] - transform.scale[0]))
            )
            aspect = math.exp(low + chances[i + 1] * (high - low))
            tall = round(math.sqrt(area / aspect))
            wide = round(math.sqrt(area * aspect))
            if 0 < tall <= height and 0 < wide <= width:
                top = int(chances[TOP] * (height - tall + 1))
                left = int(chances[LEFT] * (width - wide + 1))
                return top, left, tall, wide
    side = max(1, round(min(height, width) * transform.share))
    if transform.crop == "random":
        return (
            int(chances[TOP] * (height - side + 1)),
            int(chances[LEFT] * (width - side + 1)),
            side,
            side,
        )
    return (height - side) // 2, (width - side) // 2, side, side


def decode_into(
    data: bytes, transform: Transform, chances: Sequence[float], out: codec.Pixels
) -> None:
    """Decode one image into ``out`` (size, size, 3). A JPEG is decoded only as large as the crop
    needs.
    """
    header = codec.sniff(data)
    size = transform.size
    height, width = header.size
    top, left, tall, wide = crop_box(height, width, transform, chances)
    pixels = codec.decode(data, -(-height * size // tall), -(-width * size // wide), header=header)
    mirror = transform.mirror and chances[MIRROR] < 0.5
    if (tall, wide) == (size, size) and pixels.shape[:2] == (height, width):
        part = pixels[top : top + tall, left : left + wide]
    else:
        down, across = (
            there / stored
            for there, stored in zip(codec.extent(pixels, header), header.size, strict=True)
        )
        part = codec.resize(
            pixels, size, size, out, (top * down, left * across, tall * down, wide * across)
        )
    if mirror:
        codec.opencv().flip(part, 1, dst=out)
    elif part is not out:
        np.copyto(out, part)


def normalization_table(transform: Transform) -> Floats | None:
    """What each of the 256 values becomes in each channel, (256, 3); None when they stay.

    In memory as ``arrange`` takes it: value by value for NHWC, channel by channel for NCHW.
    """
    if transform.mean is None:
        return None
    values: npt.NDArray[np.float64] = (
        np.arange(256)[:, None] - np.array(transform.mean)
    ) / np.array(transform.std)
    return values.astype(np.float32, order="C" if transform.layout == "NHWC" else "F")


def write_layout(pixels: codec.Pixels, table: Floats | None, layout: str, out: Any) -> None:
    """Pixels (h, w, 3) into the layout and type of ``out``; OpenCV writes there, as shapes and
    types agree.
    """
    cv2 = codec.opencv()
    if table is None:
        cv2.split(pixels, list(out))
    elif layout == "NHWC":
        cv2.LUT(pixels, table[None], dst=out)
    else:
        for channel, plane in enumerate(cv2.split(pixels)):
            cv2.LUT(plane, table[:, channel], dst=out[channel])
