"""Pixels of a batch: crops, mirrors and layouts, as Pillow and arithmetic give them."""

import io
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import encoded, photo, psnr, write_shard
from PIL import Image

from imnetlib.image import MIRROR, RANDOM_COLUMNS, Transform, crop_box
from imnetlib.image.transform import BOXES
from imnetlib.loader import Loader
from imnetlib.order import random_numbers


@given(
    height=st.integers(1, 400), width=st.integers(1, 400), key=st.integers(0, 10**6), data=st.data()
)
@settings(max_examples=200)
def test_crops_lie_inside_and_have_the_shape_asked_for(
    height: int, width: int, key: int, data: st.DataObject
):
    transform = Transform(24, data.draw(st.sampled_from(["center", "random", "random_resized"])))
    top, left, tall, wide = crop_box(
        height, width, transform, random_numbers(0, 0, np.array([key]), 23)[0].tolist()
    )
    assert 0 <= top <= top + tall <= height
    assert 0 <= left <= left + wide <= width
    assert tall > 0 < wide
    square = tall == wide == max(1, round(min(height, width) * 0.875))
    if transform.crop != "random_resized":
        assert square
    elif not square and min(tall, wide) > 20:
        # In a smaller box rounding to pixels changes the aspect ratio too much.
        assert 0.72 < wide / tall < 1.39
        assert 0.075 < tall * wide / (height * width) <= 1


def test_crops_go_to_every_corner_and_mirrors_are_a_matter_of_their_own():
    """Top, left and mirror are three independent random choices."""
    chances = random_numbers(1, 0, np.arange(4000), RANDOM_COLUMNS).tolist()
    boxes = [crop_box(100, 100, Transform(24, "random"), chance) for chance in chances]
    tops = np.array(boxes)[:, 0]
    lefts = np.array(boxes)[:, 1]
    # A crop of 88 pixels has 12 to move.
    assert set(tops.tolist()) == set(lefts.tolist()) == set(range(13))
    assert abs(np.corrcoef(tops, lefts)[0, 1]) < 0.06
    mirrored = np.array([chance[MIRROR] < 0.5 for chance in chances])
    assert max(abs(np.corrcoef(mirrored, axis)[0, 1]) for axis in (tops, lefts)) < 0.06


def test_the_centre_crop_is_pillows(tmp_path: Path):
    whole = [photo(341, 256, 1), photo(256, 300, 2)]
    large = [photo(1400, 1024, 3)]
    data = [encoded(picture) for picture in whole + large]
    shard = write_shard(tmp_path / "a.rec", range(3), data)
    (batch,) = Loader([shard], 3, Transform(224), shuffle=False)
    for row in range(2):
        picture = np.asarray(Image.open(io.BytesIO(data[row])))
        top = (picture.shape[0] - 224) // 2
        left = (picture.shape[1] - 224) // 2
        expected = picture[top : top + 224, left : left + 224]
        assert np.abs(batch.images[row].astype(int) - expected).max() <= 1
    box = (252, 64, 252 + 896, 64 + 896)
    expected = np.asarray(
        Image.fromarray(large[0]).resize((224, 224), Image.Resampling.LANCZOS, box)
    )
    assert np.abs(batch.images[2].astype(int) - expected).mean() < 2.5


SHAPES = [
    (600, 600),
    (2000, 1500),
    (1037, 777),
    (1000, 750),
    (683, 512),
    (500, 375),
    (777, 1037),
    (5000, 3777),
]


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_a_crop_of_a_reduced_decode_is_not_shifted(tmp_path: Path, width: int, height: int):
    """A shift of half a pixel costs 8 to 15 dB; sides that are not multiples of 8 are hard."""
    data = encoded(cv2.GaussianBlur(photo(width, height, 3), (0, 0), 2))
    shard = write_shard(tmp_path / "a.rec", [0], [data])
    for crop in ("center", "random_resized"):
        transform = Transform(224, crop)
        (batch,) = Loader([shard], 1, transform)
        box = crop_box(
            height,
            width,
            transform,
            random_numbers(0, 0, np.array([0]), RANDOM_COLUMNS)[0].tolist(),
        )
        edges = (box[1], box[0], box[1] + box[3], box[0] + box[2])
        expected = Image.open(io.BytesIO(data)).resize((224, 224), Image.Resampling.LANCZOS, edges)
        assert psnr(batch.images[0], np.asarray(expected)) > 44


def test_half_of_the_pictures_are_mirrored(tmp_path: Path):
    picture = encoded(photo(64, 64, 1))
    shard = write_shard(tmp_path / "a.rec", range(400), [picture] * 400)
    (plain,) = Loader([shard], 400, Transform(32))
    (batch,) = Loader([shard], 400, Transform(32, mirror=True), seed=3)
    same = (batch.images == plain.images[0]).all(axis=(1, 2, 3))
    mirrored = (batch.images == plain.images[0][:, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("crop", ["random", "random_resized"])
def test_random_crops_show_parts_of_the_picture(tmp_path: Path, crop: str):
    """Each pixel of the picture says where it is, so that the crop's place can be read off."""
    rows, columns = np.mgrid[0:120, 0:160].astype(np.uint8)
    picture = np.stack([rows * 2, columns, np.full_like(rows, 99)], axis=2)
    image = io.BytesIO()
    Image.fromarray(picture).save(image, "PNG")
    shard = write_shard(tmp_path / "a.rec", range(60), [image.getvalue()] * 60)
    (batch,) = Loader([shard], 60, Transform(105, crop), seed=1)
    tops = batch.images[:, 0, 0, 0] / 2
    lefts = batch.images[:, 0, 0, 1]
    heights = batch.images[:, -1, 0, 0] / 2 - tops + 1
    widths = batch.images[:, 0, -1, 1].astype(int) - lefts + 1
    assert len(set(zip(tops.tolist(), lefts.tolist(), strict=True))) > 30
    if crop == "random":
        assert set(heights) == set(widths) == {105}
        assert (lefts.min() < 8, lefts.max() > 47, tops.min() < 3, tops.max() > 12) == (True,) * 4
    else:
        shares = heights * widths / (120 * 160)
        assert 0.05 < shares.min() < 0.2 < 0.85 < shares.max() <= 1
        assert 0.6 < (widths / heights).min() < 0.85 < 1.15 < (widths / heights).max() < 1.5


def test_layouts_and_normalised_numbers(tmp_path: Path):
    mean = (123.7, 116.3, 103.5)
    std = (58.4, 57.1, 57.4)
    data = [encoded(photo(*((40, 32) if i % 2 else (32, 50)), i)) for i in range(37)]
    shard = write_shard(tmp_path / "a.rec", range(37), data)

    def batches(**options: object) -> list[np.ndarray]:
        transform = Transform(28, "random_resized", mirror=True, **options)
        return [batch.images for batch in Loader([shard], 8, transform, seed=1)]

    plain = batches()
    for a, b in zip(plain, batches(layout="NCHW"), strict=True):
        assert np.array_equal(a.transpose(0, 3, 1, 2), b)
    for layout, axes in (("NHWC", (0, 1, 2, 3)), ("NCHW", (0, 3, 1, 2))):
        for a, b in zip(plain, batches(layout=layout, mean=mean, std=std), strict=True):
            assert b.dtype == np.float32
            expected = ((a - np.array(mean)) / std).transpose(axes)
            np.testing.assert_allclose(b, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"size": 0}, "size is 1 pixel or more, not 0"),
        ({"crop": "centre"}, "crop is center, random or random_resized, not 'centre'"),
        ({"share": 0.0}, "share is above 0 and at most 1, not 0.0"),
        ({"share": 1.1}, "share is above 0 and at most 1, not 1.1"),
        ({"scale": (0.0, 1.0)}, "scale is two shares"),
        ({"scale": (0.8, 0.2)}, "scale is two shares"),
        ({"scale": (0.5, 2.0)}, "scale is two shares"),
        ({"ratio": (2.0, 1.0)}, "ratio is two numbers"),
        ({"ratio": (0.0, 1.0)}, "ratio is two numbers"),
        ({"layout": "NWHC"}, "layout is NHWC or NCHW, not 'NWHC'"),
        ({"mean": (5.0,)}, "mean is None or a number a channel"),
        ({"mean": (float("nan"), 1, 2)}, "mean is None or a number a channel"),
        ({"mean": (0.485, 0.456, 0.406)}, "mean and std are on the scale of 0 to 255"),
        ({"std": (2.0, 2.0, 2.0)}, "std needs a mean"),
        ({"std": (1.0, 0.0, 1.0)}, "std is three numbers above 0"),
        ({"std": (1.0, 1.0)}, "std is three numbers above 0"),
    ],
)
def test_transforms_that_make_no_sense(wrong: dict[str, object], text: str):
    with pytest.raises(ValueError, match=text):
        Transform(**wrong)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"size": 64.5}, "size is a whole number, not 64.5 (float)"),
        ({"size": "224"}, "size is a whole number, not '224' (str)"),
        ({"size": True}, "size is a whole number, not True (bool)"),
        ({"mirror": 0.5}, "mirror is True (half of the pictures) or False, not 0.5 (float)"),
        ({"share": "0.9"}, "share is a number, not '0.9' (str)"),
        ({"scale": 0.3}, "scale is two shares in order, above 0, at most 1, not 0.3 (float)"),
        ({"scale": "01"}, "scale is two shares in order, above 0, at most 1, not '01' (str)"),
        ({"ratio": 1}, "ratio is two numbers in order, above 0, not 1 (int)"),
        ({"mean": 0.5}, "mean is None or a number a channel, not 0.5 (float)"),
        ({"mean": ["1", "2", "3"]}, "mean is None or a number a channel, not ['1', '2', '3']"),
        ({"std": 5}, "std is three numbers above 0, not 5 (int)"),
    ],
)
def test_transforms_of_the_wrong_type(wrong: dict[str, object], text: str):
    with pytest.raises(TypeError, match=re.escape(text)):
        Transform(**wrong)


def test_another_transform_is_refused_by_name():
    with pytest.raises(TypeError, match=re.escape("transform is a Transform, not 24 (int)")):
        crop_box(90, 120, 24, [0.5] * RANDOM_COLUMNS)


def test_arrays_and_numpys_integers_are_kept_as_pythons():
    chosen = Transform(
        np.int64(32),
        share=np.float32(0.5),
        scale=np.array([0.25, 1]),
        ratio=[1, 2],
        mean=np.array([123, 116, 103], np.float32),
        std=np.array([58, 57, 57]),
    )
    plain = Transform(
        32, share=0.5, scale=(0.25, 1.0), ratio=(1, 2), mean=(123, 116, 103), std=(58, 57, 57)
    )
    assert chosen == plain
    assert repr(chosen) == repr(plain)
    assert hash(chosen) == hash(plain)


def torchvision_box(
    height: int, width: int, transform: Transform, uniforms: list[float]
) -> tuple[int, int, int, int]:
    """RandomResizedCrop.get_params by its definition, on our random numbers."""
    draws = iter(uniforms[BOXES:])
    log_ratio = np.log(transform.ratio)
    for _ in range(10):
        low, high = transform.scale
        target = height * width * (low + next(draws) * (high - low))
        aspect = math.exp(log_ratio[0] + next(draws) * (log_ratio[1] - log_ratio[0]))
        w = round(math.sqrt(target * aspect))
        h = round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            # randint(0, height - h + 1): both ends are drawn.
            return int(uniforms[1] * (height - h + 1)), int(uniforms[2] * (width - w + 1)), h, w
    in_ratio = width / height
    if in_ratio < min(transform.ratio):
        w = width
        h = round(w / min(transform.ratio))
    elif in_ratio > max(transform.ratio):
        h = height
        w = round(h * max(transform.ratio))
    else:
        w = width
        h = height
    return (height - h) // 2, (width - w) // 2, h, w


@given(
    height=st.integers(4, 700),
    width=st.integers(4, 700),
    scale=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)).map(sorted),
    ratio=st.tuples(st.floats(0.2, 4), st.floats(0.2, 4)).map(sorted),
    key=st.integers(0, 10**6),
)
@settings(max_examples=300)
def test_random_resized_crops_are_torchvisions(
    height: int, width: int, scale: list[float], ratio: list[float], key: int
):
    transform = Transform(24, "random_resized", scale=scale, ratio=ratio)
    uniforms = random_numbers(0, 0, np.array([key]), RANDOM_COLUMNS)[0].tolist()
    box = crop_box(height, width, transform, uniforms)
    assert box == torchvision_box(height, width, transform, uniforms)
    assert crop_box(np.uint16(height), np.uint16(width), transform, np.array(uniforms)) == box


@pytest.mark.parametrize(
    ("height", "width", "fallback"),
    [(375, 500, (0, 0, 375, 500)), (60, 600, (0, 260, 60, 80)), (600, 60, (260, 0, 80, 60))],
)
def test_where_no_box_fits_the_largest_one_in_the_centre_is_shown(
    height: int, width: int, fallback: tuple[int, int, int, int]
):
    """With all of the area asked for, no random box fits: torchvision shows nearly all of it."""
    whole = Transform(24, "random_resized", scale=(1, 1))
    chances = random_numbers(0, 0, np.arange(500), RANDOM_COLUMNS).tolist()
    boxes = [crop_box(height, width, whole, chance) for chance in chances]
    assert boxes.count(fallback) > 480
    # Of a panorama, whose usual boxes are too tall, a part of the draws fits.
    usual = [crop_box(height, width, Transform(24, "random_resized"), chance) for chance in chances]
    fell_back = sum(box == fallback for box in usual)
    assert fell_back == 0 if (height, width) == (375, 500) else 300 < fell_back < 450


def test_a_picture_of_one_row_or_column_has_a_crop():
    chance = [0.5] * RANDOM_COLUMNS
    tall = Transform(24, "random_resized", scale=(1, 1), ratio=(4, 5))
    assert crop_box(9, 1, tall, chance) == (4, 0, 1, 1)
    wide = Transform(24, "random_resized", scale=(1, 1), ratio=(0.2, 0.25))
    assert crop_box(1, 9, wide, chance) == (0, 4, 1, 1)
