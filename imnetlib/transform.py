"""One encoded image to the pixels of a batch: crop, mirror, layout, normalised numbers (chapter 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imnetlib import codec

Floats = npt.NDArray[np.float32]

TRIES = 10  # boxes drawn before a crop falls back to the square in the centre
MIRROR, TOP, LEFT, BOXES = 0, 1, 2, 3  # columns of the random numbers; two for each box follow
CHANCES = BOXES + 2 * TRIES  # random numbers for an image

cv2 = codec.opencv()


@dataclass(frozen=True, slots=True)
class Transform:
    """How a picture becomes ``size`` x ``size`` pixels, RGB.

    ``crop``: "center" or "random" takes a square of ``share`` of the short edge (224 of 256 pixels, unscaled);
    "resized" a box of ``area`` of the picture and an aspect ratio within ``aspect`` (Szegedy et al. 2015).
    ``mirror``: every second picture, by chance. ``mean`` and ``std`` per channel, on the scale of 0 to 255: float32
    (x - mean) / std comes out, else uint8. Raises ValueError for values that make no sense, a mean on the scale of 0
    to 1 among them.
    """

    size: int = 224
    crop: Literal["center", "random", "resized"] = "center"
    mirror: bool = False
    share: float = 0.875
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for good, rule, value in (
            (isinstance(self.size, int) and self.size >= 1, "size is 1 pixel or more", self.size),
            (self.crop in ("center", "random", "resized"), "crop is center, random or resized", self.crop),
            (0 < self.share <= 1, "share is above 0 and at most 1", self.share),
            (
                0 < self.area[0] <= self.area[1] <= 1,
                "area is two shares in order, above 0, at most 1",
                self.area,
            ),
            (0 < self.aspect[0] <= self.aspect[1], "aspect is two ratios in order, above 0", self.aspect),
            (self.layout in ("NHWC", "NCHW"), "layout is NHWC or NCHW", self.layout),
            (_finite(self.mean or (0, 0, 0)), "mean is None or a number a channel", self.mean),
            (_of_255(self.mean), "mean and std are on the scale of 0 to 255", (self.mean, self.std)),
            (_finite(self.std) and min(self.std) > 0, "std is three numbers above 0", self.std),
            (
                self.mean is not None or set(self.std) == {1},
                "std goes with a mean; (0, 0, 0) will do",
                self.std,
            ),
        ):
            if not good:
                raise ValueError(f"{rule}, not {value!r}")


def _finite(numbers: Sequence[float]) -> bool:
    return isinstance(numbers, Sequence) and len(numbers) == 3 and all(map(math.isfinite, numbers))


def _of_255(mean: Sequence[float] | None) -> bool:
    return mean is None or not _finite(mean) or not any(mean) or max(mean) > 1


def crop_box(
    height: int, width: int, transform: Transform, chances: Sequence[float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the part of a picture to show; ``chances`` from ``random_numbers``."""
    if transform.crop == "resized":
        low, high = math.log(transform.aspect[0]), math.log(transform.aspect[1])
        for i in range(BOXES, BOXES + 2 * TRIES, 2):
            area = height * width * (transform.area[0] + chances[i] * (transform.area[1] - transform.area[0]))
            aspect = math.exp(low + chances[i + 1] * (high - low))
            tall, wide = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < tall <= height and 0 < wide <= width:
                top, left = int(chances[TOP] * (height - tall + 1)), int(chances[LEFT] * (width - wide + 1))
                return top, left, tall, wide
    side = max(1, round(min(height, width) * transform.share))
    if transform.crop == "random":
        return int(chances[TOP] * (height - side + 1)), int(chances[LEFT] * (width - side + 1)), side, side
    return (height - side) // 2, (width - side) // 2, side, side


def show(data: bytes, transform: Transform, chances: Sequence[float], out: codec.Pixels) -> None:
    """Decode one image into ``out`` (size, size, 3). A JPEG is decoded only as large as the crop needs."""
    header, size = codec.sniff(data), transform.size
    height, width = header.size
    top, left, tall, wide = crop_box(height, width, transform, chances)
    pixels = codec.decode(data, -(-height * size // tall), -(-width * size // wide), header=header)
    mirror = transform.mirror and chances[MIRROR] < 0.5
    if (tall, wide) == (size, size) and pixels.shape[:2] == (height, width):
        part = pixels[top : top + tall, left : left + wide]
    else:
        down, across = (
            there / stored for there, stored in zip(codec.extent(pixels, header), header.size, strict=True)
        )
        part = codec.resize(pixels, size, size, out, (top * down, left * across, tall * down, wide * across))
    if mirror:
        cv2.flip(part, 1, dst=out)
    elif part is not out:
        np.copyto(out, part)


def table(transform: Transform) -> Floats | None:
    """What each of the 256 values becomes in each channel, (256, 3); None when they stay.

    In memory as ``arrange`` takes it: value by value for NHWC, channel by channel for NCHW.
    """
    if transform.mean is None:
        return None
    values: npt.NDArray[np.float64] = (np.arange(256)[:, None] - np.array(transform.mean)) / np.array(
        transform.std
    )
    return values.astype(np.float32, order="C" if transform.layout == "NHWC" else "F")


def arrange(pixels: codec.Pixels, table: Floats | None, layout: str, out: Any) -> None:
    """Pixels (h, w, 3) into the layout and type of ``out``; OpenCV writes there, as shapes and types agree."""
    if table is None:
        cv2.split(pixels, list(out))
    elif layout == "NHWC":
        cv2.LUT(pixels, table[None], dst=out)
    else:
        for channel, plane in enumerate(cv2.split(pixels)):
            cv2.LUT(plane, table[:, channel], dst=out[channel])
