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


EXACT = [2**24, -(2**24), 2**24 + 2, 2**63, -(2**63), (2**24 - 1) << 104, 2.0**100, True]
INEXACT = [2**24 + 1, -(2**24) - 1, 2**53 + 1, 2.0**53 + 2, 2**64 - 1, 2**128, 1e300, 10**400]
FORMS = {
    "a number": lambda label: label,
    "NumPy's": lambda label: np.array([label])[0],
    "a list": lambda label: [0.5, label],
    "an array": lambda label: np.array([label]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("label", [*EXACT, np.nan, np.inf, 0.1, 2**24 + 1.5, 1e-45])
def test_labels_that_float32_holds_or_rounds_are_mxnets(label: float, form: str):
    given = FORMS[form](label)
    payload = recordio.pack(IRHeader(0, given, 1, 2), b"image")
    assert payload == mx.recordio.pack(mx.recordio.IRHeader(0, given, 1, 2), b"image")
    found = np.atleast_1d(recordio.unpack(payload)[0].label)
    assert np.array_equal(found, np.atleast_1d(given).astype(np.float32), equal_nan=True)
    assert label not in EXACT or found[-1] == label


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("label", INEXACT)
def test_a_whole_label_that_float32_would_change_is_refused(label: float, form: str):
    with pytest.raises(ValueError, match=r"label is a number that float32 holds, .*16,777,216"):
        recordio.pack(IRHeader(0, FORMS[form](label), 1, 2), b"image")


@pytest.mark.parametrize("label", ["3", b"3", None, 1j, [None], ["3"], [1j]])
def test_a_label_that_is_no_number_is_refused(label: object):
    with pytest.raises(TypeError, match="label is a number or an array of numbers"):
        recordio.pack(IRHeader(0, label, 1, 2), b"image")


def test_no_label_at_all_is_refused():
    """As MXNet packs it, it comes back as label 0."""
    with pytest.raises(ValueError, match="label is a number or at least one in an array"):
        recordio.pack(IRHeader(0, [], 1, 2), b"image")


@pytest.mark.parametrize("key", [0, 2**63 - 1, 2**64 - 1, np.uint64(2**64 - 1), np.int8(7)])
def test_ids_of_64_bits_are_mxnets(key: int):
    payload = recordio.pack(IRHeader(0, 1, key, key), b"image")
    assert payload == mx.recordio.pack(mx.recordio.IRHeader(0, 1, int(key), int(key)), b"image")
    assert recordio.unpack(payload)[0] == (0, 1.0, key, key)


@pytest.mark.parametrize(
    ("key", "error", "rule"),
    [
        (-1, ValueError, r"is from 0 to 2\*\*64 - 1, not -1"),
        (2**64, ValueError, r"is from 0 to 2\*\*64 - 1, not 18446744073709551616"),
        (1.0, TypeError, r"is a whole number, not 1\.0 \(float\)"),
        ("1", TypeError, r"is a whole number, not '1' \(str\)"),
    ],
)
def test_ids_of_more_or_none_are_refused(key: object, error: type[Exception], rule: str):
    for name, header in (("id", (0, 1, key, 0)), ("id2", (0, 1, 0, key))):
        with pytest.raises(error, match=rf"^{name} {rule}"):
            recordio.pack(header, b"image")
