"""Image records against MXNet's own."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from imnetlib import recordio
from imnetlib.engines.mxnet import mx
from imnetlib.recordio import IRHeader


@pytest.mark.parametrize("label", [3, 2.5, np.float32(7), [1.0, 2.0, 3.5], np.arange(5), [9]])
def test_image_headers_as_mxnet_packs_them(label: object) -> None:
    payload = recordio.pack(IRHeader(0, label, 2**40 + 1, 6), b"image")
    assert payload == mx.recordio.pack(mx.recordio.IRHeader(0, label, 2**40 + 1, 6), b"image")
    (ours, image) = recordio.unpack(payload)
    (theirs, same) = mx.recordio.unpack(payload)
    assert (ours.flag, ours.id, ours.id2, image) == (theirs.flag, theirs.id, theirs.id2, same)
    assert np.array_equal(ours.label, theirs.label)
    assert type(ours.label) is type(theirs.label)
    header, view = recordio.unpack(memoryview(payload))
    assert (header.id, type(view), bytes(view)) == (ours.id, memoryview, image)


@pytest.mark.parametrize("payload", [b"", bytes(23), struct.pack("<IfQQ", 3, 0, 1, 0) + bytes(11)])
def test_a_payload_too_short_for_its_header_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=f"no image record: {len(payload)} bytes"):
        recordio.unpack(payload)


@pytest.mark.parametrize(
    ("quality", "form"), [(95, ".jpg"), (30, ".JPEG"), (3, ".png"), (0, ".bmp")]
)
def test_images_as_mxnet_packs_them(quality: int, form: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    payload = recordio.pack_img((0, 4, 7, 0), image, quality, form)
    assert payload == mx.recordio.pack_img((0, 4, 7, 0), image, quality, form)
    for color in (-1, 0, 1):
        header, pixels = recordio.unpack_img(payload, color)
        assert header == mx.recordio.unpack_img(payload, color)[0] == (0, 4, 7, 0)
        assert np.array_equal(pixels, mx.recordio.unpack_img(payload, color)[1])
