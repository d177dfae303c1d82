"""What a record stores of an image: its size, its colours, and the bytes of its file if it can."""

from __future__ import annotations

import dataclasses
import io
import json
import re

import cv2
import numpy as np
import pytest
from making import detailed_photo, encoded, photo, psnr
from packing import pixels
from PIL import Image

from imnetlib.image import (
    MAX_SIDE,
    RANDOM_COLUMNS,
    ImageError,
    Settings,
    Transform,
    convert_image,
    crop_box,
    decode_into,
)
from imnetlib.order import random_numbers


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


# How a picture lies in the file that says it was turned: EXIF's table, read backwards.
STORED = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: np.rot90(seen),
    7: lambda seen: seen[::-1, ::-1].transpose(1, 0, 2),
    8: lambda seen: np.rot90(seen, -1),
}


def turned(seen: np.ndarray, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(STORED[orientation](seen))
    return encoded(stored, quality=100, exif=exif)


def lanczos(seen: np.ndarray, height: int, width: int, box: tuple[int, ...]) -> np.ndarray:
    """Top, left, height and width of a picture, in Pillow's best reduction."""
    top, left, tall, wide = box
    edges = (left, top, left + wide, top + tall)
    size = (width, height)
    return np.asarray(Image.fromarray(seen).resize(size, Image.Resampling.LANCZOS, edges))


@pytest.mark.parametrize(
    ("width", "height"), [(640, 427), (427, 640), (501, 375), (480, 360), (799, 63), (333, 900)]
)
def test_a_turned_photo_is_as_sharp_and_lies_as_it_would_unturned(width: int, height: int):
    """Turned upright, the part of a row that libjpeg adds may be the first row, or a column."""
    seen = detailed_photo(width, height, 1)
    files = {orientation: turned(seen, orientation) for orientation in STORED}
    for size in (8, 16, 40, 96, 160):
        sharpness: dict[str, list[float]] = {}
        for data in files.values():
            settings = Settings(resize=size, quality=100, reencode=True)
            stored = pixels(convert_image(data, settings)[0])
            expected = lanczos(seen, *stored.shape[:2], (0, 0, height, width))
            sharpness.setdefault("pack", []).append(psnr(stored, expected))
            for crop in ("center", "random", "random_resized"):
                transform = Transform(size, crop)
                box = crop_box(height, width, transform, UNIFORMS)
                out = np.empty((size, size, 3), np.uint8)
                decode_into(data, transform, UNIFORMS, out)
                found = psnr(out, lanczos(seen, size, size, box))
                sharpness.setdefault(crop, []).append(found)
        for way, found in sharpness.items():
            assert min(found) > found[0] - 1, (way, size, found)


UNIFORMS = random_numbers(0, 0, np.array([5]), RANDOM_COLUMNS)[0].tolist()


def test_a_jpeg_that_other_decoders_do_not_know_is_written_anew_or_refused():
    data = bytearray(encoded(photo(64, 48, 1)))
    data[2] ^= 0x40
    stored, action = convert_image(bytes(data), Settings())
    assert (action, stored[:3]) == ("converted", b"\xff\xd8\xff")
    assert Image.open(io.BytesIO(stored)).size in ((48, 64), (64, 48))
    with pytest.raises(ImageError, match="it does not begin like a JPEG: FF D8 FF"):
        convert_image(bytes(data), Settings(pass_through=True))


def test_each_limit_is_named_where_it_applies():
    wide = encoded(np.zeros((2, MAX_SIDE + 1, 3), np.uint8), "PNG")
    text = "it would get 65,501 x 2 pixels; a JPEG has at most 65,500 a side, a PNG more"
    with pytest.raises(ImageError) as caught:
        convert_image(wide, Settings())
    assert str(caught.value) == text
    stored, action = convert_image(wide, Settings(encoding=".png", quality=1))
    assert (Image.open(io.BytesIO(stored)).size, action) == ((65_501, 2), "converted")
    small = encoded(photo(120, 40, 2))
    for encoding in (".jpg", ".png"):
        settings = Settings(resize=20_000, upscale=True, encoding=encoding, quality=5)
        with pytest.raises(ImageError) as caught:
            convert_image(small, settings)
        text = "it would get 60,000 x 20,000 pixels; the limit is 89,478,485 in all"
        assert str(caught.value) == text


def test_whole_numbers_may_be_numpys_and_are_stored_as_pythons():
    chosen = Settings(resize=np.int32(60), quality=np.uint8(90), color=np.int64(0))
    assert chosen == Settings(resize=60, quality=90, color=0)
    assert json.loads(json.dumps(dataclasses.asdict(chosen)))["resize"] == 60


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"resize": "256"}, "resize is a whole number, not '256' (str)"),
        ({"resize": True}, "resize is a whole number, not True (bool)"),
        ({"resize": 256.0}, "resize is a whole number, not 256.0 (float)"),
        ({"quality": "90"}, "quality is a whole number, not '90' (str)"),
        ({"color": True}, "color is a whole number, not True (bool)"),
        ({"center_crop": 224}, "center_crop is True or False, not 224 (int)"),
        ({"pass_through": "no"}, "pass_through is True or False, not 'no' (str)"),
    ],
)
def test_settings_of_the_wrong_type(wrong: dict[str, object], text: str):
    with pytest.raises(TypeError, match=re.escape(text)):
        Settings(**wrong)


def test_other_settings_are_refused_by_name():
    with pytest.raises(TypeError, match=re.escape("settings are a Settings, not {} (dict)")):
        convert_image(encoded(photo(9, 9, 1)), {})


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
