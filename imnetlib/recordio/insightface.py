"""insightface's layout of a ``.rec``: which of its records hold an image (chapter 4).

Records of two labels and no image index the rest by identity, by keys::

    key 0             the header: the first identity's key, and the one behind the last
    keys 1 to first-1 the images; the first label of each is its identity
    keys first to …   an identity each: the key of its first image, and the one behind its last

The header lies anywhere in the file. Some writers leave the identities out, and the header's second
label then means something else. Labels are float32: a key above 2**24 may be rounded.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Integers, PathLike, require
from imnetlib.recordio.format import PART, RecordReader
from imnetlib.recordio.images import IMAGE_HEADER, unpack

# Bytes of a record of two labels and no image.
_BLANK_SIZE = PART.size + IMAGE_HEADER.size + 2 * 4


def image_rows(rec: PathLike, keys: ArrayLike, offsets: ArrayLike) -> NDArray[np.bool_]:
    """Which records of a ``.rec`` hold an image, bool (n,): all, but in insightface's layout.

    There all but the header, the record of key 0, and the identities that it names. ``keys`` and
    ``offsets``: int64 (n,), the whole index. Reads one small record at most. Raises ValueError
    where the header contradicts the index (chapter 4).
    """
    numbers = np.asarray(keys, np.int64)
    places = np.asarray(offsets, np.int64)
    shapes = (numbers.shape, places.shape)
    require(numbers.shape == places.shape, "keys and offsets are (n,) each", shapes)
    first = first_identity(Path(rec), numbers, places)
    if first is None:
        return np.ones(len(numbers), np.bool_)
    return (numbers > 0) & (numbers < first)


def first_identity(rec: Path, keys: Integers, offsets: Integers) -> int | None:
    """The key one behind the last image's, by the header; None in another layout.

    Arguments and errors as of :func:`image_rows`.
    """
    rows = np.flatnonzero(keys == 0)
    size = rec.stat().st_size
    begin = int(offsets[rows].min(initial=size))
    if np.min(offsets, where=offsets > begin, initial=size) != begin + _BLANK_SIZE:
        return None
    with RecordReader(rec) as reader:
        labels = two_labels(reader, begin)
        order = np.argsort(offsets, kind="stable")
        is_blank = np.zeros(len(keys), np.bool_)
        is_blank[order] = np.diff(offsets[order], append=size) == _BLANK_SIZE
        last = int(keys.max())
        if labels is None:
            row = int(keys.argmax())
            if last and is_blank[row] and _is_range(two_labels(reader, int(offsets[row])), last):
                raise ValueError(
                    f"{rec}: the record of key 0 has not the two labels of a header of "
                    f"insightface's layout, though that of key {last:,} names the images of an "
                    "identity; copy the file again, or give an index of its images alone"
                )
            return None
        first = _key_of(labels[0], int(keys[~is_blank].max(initial=0)) + 1, last)
        if np.count_nonzero(is_blank) == 1 and first != last + 1:
            # Not a header, then, but an image of no bytes.
            return None
        if first is not None and _ends_at(keys, is_blank, first, labels[1]):
            empty_images = offsets[is_blank & (keys > 0) & (keys < first)]
            if not any(_is_range(two_labels(reader, at), first) for at in empty_images):
                return first
    raise ValueError(
        f"{rec}: the record of key 0 is a header of insightface's layout that contradicts the "
        f"index, of keys 0 to {last:,}: it names the keys {labels[0]:.10g} to {labels[1]:.10g} "
        "(not included) as those of identities, the records without an image; copy the file again, "
        "or give an index of its images alone"
    )


def _ends_at(keys: Integers, is_blank: NDArray[np.bool_], first: int, behind: float) -> bool:
    """Whether the keys from ``first`` on are none, or of blank records and end at ``behind``."""
    identities = keys >= first
    ends = not identities.any() or np.float32(keys.max() + 1) == behind
    return bool(ends and is_blank[identities].all())


def _is_range(labels: tuple[float, float] | None, first: int) -> bool:
    """Whether these are an identity's labels, so keys of images."""
    return labels is not None and 1 <= labels[0] <= labels[1] <= first


def two_labels(reader: RecordReader, offset: int) -> tuple[float, float] | None:
    """The labels of the record at byte ``offset``, where it has two; None for a damaged one."""
    try:
        header, _ = unpack(reader.read_at(offset))
    except ValueError:
        return None
    if header.flag != 2:
        return None
    first, second = header.label.tolist()
    return first, second


def _key_of(label: float, expected: int, last: int) -> int | None:
    """The key that float32 may have rounded to ``label``; None for none of 1 to ``last`` + 1."""
    if np.float32(expected) == label:
        return expected
    return int(label) if label.is_integer() and 1 <= label <= last + 1 else None
