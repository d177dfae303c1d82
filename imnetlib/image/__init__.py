"""Encoded images and pixels: decoding, what a record stores, what a batch shows (chapter 4).

``decode`` and ``encode`` for any image, ``convert_image`` with ``Settings`` on the way into a
record, ``decode_into`` with a ``Transform`` on the way into a batch.
"""

from imnetlib.image.codec import (
    MAX_PIXELS,
    MAX_SIDE,
    Header,
    ImageError,
    Pixels,
    decode,
    encode,
    sniff,
    verify_ends,
    verify_image,
    versions,
)
from imnetlib.image.convert import DEFAULTS, Action, Settings, convert_image
from imnetlib.image.scaling import resize
from imnetlib.image.transform import (
    MIRROR,
    RANDOM_COLUMNS,
    Transform,
    crop_box,
    decode_into,
    normalization_table,
    write_layout,
)

__all__ = [
    "DEFAULTS", "MAX_PIXELS", "MAX_SIDE", "MIRROR", "RANDOM_COLUMNS", "Action", "Header",
    "ImageError", "Pixels", "Settings", "Transform", "convert_image", "crop_box", "decode",
    "decode_into", "encode", "normalization_table", "resize", "sniff", "verify_ends",
    "verify_image", "versions", "write_layout",
]  # fmt: skip
