"""The payload of an image record: a header, its labels, the encoded image (chapter 4)."""

from __future__ import annotations

import math
import numbers
import struct
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from imnetlib.arguments import Floats, require, require_type, whole_number
from imnetlib.recordio.format import Buffer, RecordReader

# The fields of IRHeader.
IMAGE_HEADER = struct.Struct("<IfQQ")
# Up to here float32 holds every whole number.
EXACT_BITS = 24
LARGEST_EXACT = 1 << EXACT_BITS
# float32 reaches to just below 2**128.
_FLOAT32_BITS = 128
Payload = TypeVar("Payload", bytes, memoryview)


class IRHeader(NamedTuple):
    """What an image record holds before its image.

    ``label``: a number, or float32 labels of shape (k,), and ``flag`` is k. ``id``: unique in the
    file.
    """

    flag: int
    label: Any
    id: int
    id2: int


def pack(header: IRHeader | tuple[int, Any, int, int], s: Buffer) -> bytes:
    """The payload of an image record: header, any further labels, encoded image ``s`` (chapter 4).

    The bytes are MXNet's. As there, ``flag`` is set here: 0 for one label, else their number. NaN
    and infinite labels are stored as they are, fractions rounded to float32. ValueError for a whole
    number that float32 would change, as all odd ones above 2**24, for an empty list of labels, and
    for an id or id2 that is not 0 to 2**64 - 1; TypeError for what is no number.
    """
    _, label, key, high = header
    if isinstance(label, numbers.Real):
        _require_float32(label)
        return _pack_header(0, label, key, high) + s
    labels = _float32_labels(label)
    return b"".join((_pack_header(labels.size, 0, key, high), labels.tobytes(), s))


def _pack_header(flag: int, label: Any, key: int, high: int) -> bytes:
    try:
        return IMAGE_HEADER.pack(flag, label, key, high)
    except struct.error:
        for name, value in (("id", key), ("id2", high)):
            number = whole_number(name, value)
            require(0 <= number < 1 << 64, f"{name} is from 0 to 2**64 - 1", number)
        raise


def _float32_labels(labels: Any) -> Floats:
    # Of a list NumPy might make float64, in which whole numbers have changed already.
    given = np.asarray(labels, object if isinstance(labels, list | tuple) else None)
    if given.dtype != np.float32:
        for label in given.ravel().tolist():
            rule = "label is a number or an array of numbers"
            require_type(label, (numbers.Real, np.bool_), rule)
            _require_float32(label)
    require(given.size > 0, "label is a number or at least one in an array", labels)
    return given.astype("<f4", copy=False)


def _require_float32(label: Any) -> None:
    """Refuse a whole number that is another one as float32."""
    if -LARGEST_EXACT <= label <= LARGEST_EXACT:
        return
    is_whole = isinstance(label, numbers.Integral) or (math.isfinite(label) and label % 1 == 0)
    if not is_whole:
        return
    bits = int(label).bit_length()
    rest = int(label) % (1 << max(bits - EXACT_BITS, 0))
    rule = f"label is a number that float32 holds, as all whole ones up to {LARGEST_EXACT:,}"
    require(rest == 0 and bits <= _FLOAT32_BITS, rule, label)


def unpack(s: Payload) -> tuple[IRHeader, Payload]:
    """The header and the encoded image of an image record's payload ``s``.

    Several labels come as a read-only float32 array of shape (flag,), a view of ``s``. Raises
    ValueError for a payload that is too short.
    """
    start = IMAGE_HEADER.size
    if len(s) >= start:
        flag, label, key, high = IMAGE_HEADER.unpack_from(s)
        stop = start + 4 * flag
        if len(s) >= stop:
            label = np.frombuffer(s, "<f4", flag, start) if flag else label
            return IRHeader(flag, label, key, high), s[stop:]
    raise ValueError(f"no image record: {len(s)} bytes are too few for the header and its labels")


def read_header(
    reader: RecordReader, at: int, spans: list[tuple[int, int, int]]
) -> IRHeader | None:
    """The header of the record at byte ``at``, with the first of its labels; reads no image.

    ``spans``: its parts, as :meth:`RecordReader.parts_at` gives them. None for what is no image
    record.
    """
    length = sum(stop - start for start, stop, _ in spans)
    start = IMAGE_HEADER.size
    if length < start:
        return None
    one_part = len(spans) == 1
    head = reader.pread(start + 4, spans[0][0]) if one_part else reader.read_at(at)
    flag, label, key, high = IMAGE_HEADER.unpack_from(head)
    if length < start + 4 * flag:
        return None
    if flag:
        (label,) = struct.unpack_from("<f", head, start)
    return IRHeader(flag, label, key, high)


def pack_img(
    header: IRHeader | tuple[int, Any, int, int],
    img: NDArray[np.uint8],
    quality: int = 95,
    img_fmt: str = ".jpg",
) -> bytes:
    """Encode ``img`` (height, width, BGR) by OpenCV and :func:`pack` it.

    ``quality``: 1 to 100 for ``.jpg``; for ``.png`` the compression, 0 to 9. Raises ValueError when
    OpenCV cannot encode the image.
    """
    import cv2

    parameters = {
        ".JPG": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".JPEG": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".PNG": [cv2.IMWRITE_PNG_COMPRESSION, quality],
    }
    done, encoded = cv2.imencode(img_fmt, img, parameters.get(img_fmt.upper(), []))
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {img.shape} as {img_fmt}")
    return pack(header, encoded.tobytes())


def unpack_img(s: Payload, iscolor: int = -1) -> tuple[IRHeader, NDArray[Any] | None]:
    """The header and the decoded image (height, width, BGR); None where OpenCV cannot decode it.

    ``iscolor`` is OpenCV's: -1 as stored, 0 grey, 1 colour.
    """
    import cv2

    header, encoded = unpack(s)
    return header, cv2.imdecode(np.frombuffer(encoded, np.uint8), iscolor)
