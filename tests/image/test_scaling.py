"""Pictures to other sizes, held against Pillow's Lanczos filter."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from making import detailed_photo, psnr
from PIL import Image

from imnetlib.image import resize

PHOTO = detailed_photo(120, 90, 0)


@pytest.mark.parametrize("scale", [0.9, 0.68, 0.53, 0.3, 0.15])
def test_resizing_leaves_no_jagged_edges(scale: float):
    picture = detailed_photo(500, 375, 0)
    height = round(375 * scale)
    width = round(500 * scale)
    reference = np.asarray(
        Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
    )
    plain = psnr(cv2.resize(picture, (width, height)), reference)
    ours = psnr(resize(picture, height, width), reference)
    assert ours > 32
    assert ours >= plain + (2 if scale < 0.7 else 0)


def test_resizing_writes_where_it_is_told_and_keeps_a_single_channel():
    for height, width in ((80, 100), (50, 66), (20, 20), (200, 200)):
        out = np.zeros((2, height, width, 3), np.uint8)
        returned = resize(PHOTO, height, width, out[1])
        assert np.shares_memory(returned, out)
        assert np.array_equal(out[1], resize(PHOTO, height, width))
        assert not out[0].any()
        assert resize(PHOTO[:, :, :1], height, width).shape == (height, width, 1)
