"""The payload of an image record: a header, its labels, the encoded image (chapter 4)."""

from __future__ import annotations

import numbers
import struct
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from imnetlib.recordio.format import Buffer

# The fields of IRHeader.
IMAGE_HEADER = struct.Struct("<IfQQ")
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

    The bytes are MXNet's. As there, ``flag`` is set here: 0 for one label, else their number.
    """
    _, label, key, high = header
    if isinstance(label, numbers.Real):
        return IMAGE_HEADER.pack(0, label, key, high) + s
    labels = np.asarray(label, "<f4")
    return b"".join((IMAGE_HEADER.pack(labels.size, 0, key, high), labels.tobytes(), s))


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
