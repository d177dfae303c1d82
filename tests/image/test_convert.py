"""What a record stores of an image: its size, its colours, and the bytes of its file if it can."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from making import encoded, photo, psnr
from packing import pixels
from PIL import Image

from imnetlib.image import Settings, convert_image


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (Settings(), (90, 120)),
        (Settings(resize=60), (60, 80)),
        (Settings(resize=100), (90, 120)),
        (Settings(resize=100, upscale=True), (100, 133)),
        (Settings(center_crop=True), (90, 90)),
        (Settings(center_crop=True, resize=40), (40, 40)),
        (Settings(resize=7), (7, 9)),
        (Settings(resize=60, pass_through=True), (90, 120)),
    ],
)
def test_sizes(settings: Settings, shape: tuple[int, int]):
    data, _ = convert_image(encoded(photo(120, 90, 2)), settings)
    assert pixels(data).shape[:2] == shape


@pytest.mark.parametrize(("width", "height"), [(500, 375), (1037, 777), (512, 683), (2001, 1333)])
@pytest.mark.parametrize("center_crop", [False, True])
def test_a_picture_made_small_is_neither_stretched_nor_shifted(
    width: int, height: int, center_crop: bool
):
    """Decoded at n/8 of its size, 375 rows are 187.5: to take them for 188 costs 3 dB and more."""
    original = encoded(cv2.GaussianBlur(photo(width, height, 1), (0, 0), 3), quality=95)
    settings = Settings(resize=128, quality=100, center_crop=center_crop)
    stored = pixels(convert_image(original, settings)[0])
    side = min(width, height)
    left = (width - side) / 2
    top = (height - side) / 2
    box = (left, top, left + side, top + side) if center_crop else (0, 0, width, height)
    whole = Image.open(io.BytesIO(original))
    expected = whole.resize(stored.shape[1::-1], Image.Resampling.LANCZOS, box)
    assert psnr(stored, np.asarray(expected)) > 42


def test_the_centre_is_cropped():
    picture = photo(120, 90, 2)
    data, _ = convert_image(encoded(picture), Settings(center_crop=True))
    assert np.abs(pixels(data).astype(int) - picture[:, 15:105]).mean() < 4


def mode(data: bytes, settings: Settings) -> str:
    return Image.open(io.BytesIO(convert_image(data, settings)[0])).mode


def test_colour_and_reencoding_settings():
    picture = photo(120, 90, 2)
    original = encoded(picture)
    assert mode(original, Settings(color=0)) == "L"
    assert mode(encoded(picture, mode="L"), Settings(color=-1)) == "L"
    kept, _ = convert_image(original, Settings(quality=30))
    assert kept == original
    smaller, _ = convert_image(original, Settings(quality=30, reencode=True))
    assert len(smaller) < len(kept) / 2
