"""The identities that a ``.rec`` in insightface's layout names (chapter 4)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from imnetlib.arguments import Floats, Integers, PathLike
from imnetlib.recordio.format import RecordReader
from imnetlib.recordio.images import LARGEST_EXACT, read_header
from imnetlib.recordio.index import read_index_of
from imnetlib.recordio.insightface import first_identity, two_labels


class Identities(NamedTuple):
    """Identity by identity: the ``labels`` of its images, float32 (n,), and the keys of those.

    ``first`` and ``behind``: int64 (n,), the key of its first image and the one behind its last.
    """

    labels: Floats
    first: Integers
    behind: Integers


def read_identities(rec: PathLike, index: PathLike | None = None) -> Identities:
    """The identities of a ``.rec`` in insightface's layout, by their keys (chapter 4).

    ``index``: the .idx of the whole file, by default the one beside it. Reads no image, but the
    header of the first of each identity, and of all beyond key 2**24, where the ranges that the
    file stores are rounded: some 15 µs an identity, 5 an image. Raises FileNotFoundError when there
    is no index, and ValueError where the file has another layout, or ranges that overlap or name no
    image.
    """
    path = Path(rec)
    keys, offsets = read_index_of([path], path.with_suffix(".idx") if index is None else index)
    end = first_identity(path, keys, offsets)
    if end is None:
        raise ValueError(f"{path} is not in insightface's layout: its key 0 is no header")
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    offsets = offsets[order]
    images = slice(*np.searchsorted(keys, (1, end)))
    with RecordReader(path) as reader:
        records = slice(images.stop, None)
        bounds = _read_bounds(reader, keys[records], offsets[records], end)
        keys = keys[images]
        offsets = offsets[images]
        bounds = _unrounded(reader, keys, offsets, bounds, end)
        rows = np.searchsorted(keys, bounds[:, 0])
        without = np.searchsorted(keys, bounds[:, 1]) == rows
        if without.any():
            first, behind = bounds[without][0].tolist()
            raise ValueError(
                f"{path}: an identity has the images {first} to {behind - 1}, of which the index "
                "names none: copy file and index again"
            )
        labels = _first_labels(reader, offsets[rows])
    return Identities(labels, bounds[:, 0], bounds[:, 1])


def _read_bounds(reader: RecordReader, keys: Integers, offsets: Integers, end: int) -> Integers:
    """First key and key behind the last of each identity, int64 (n, 2), in their order."""
    bounds = np.full((len(keys), 2), np.nan)
    for row, offset in enumerate(offsets.tolist()):
        bounds[row] = two_labels(reader, offset) or np.nan
    first, behind = bounds.T
    is_range = (first < behind) | ((first == behind) & (first >= LARGEST_EXACT))
    sound = is_range & (first >= 1) & (behind <= np.float32(end)) & (bounds % 1 == 0).all(axis=1)
    order = np.argsort(first, kind="stable")
    sound[order[1:]] &= first[order[1:]] >= behind[order[:-1]]
    if not sound.all():
        row = int(np.argmin(sound))
        raise ValueError(
            f"{reader.path}: the identity record of key {keys[row]} names the images "
            f"{first[row]:.10g} to {behind[row]:.10g} (not included), no range of its own within "
            f"1 to {end}: the file is damaged, copy it again; its images can still be read"
        )
    return bounds[order].astype(np.int64)


def _unrounded(
    reader: RecordReader, keys: Integers, offsets: Integers, bounds: Integers, end: int
) -> Integers:
    """``bounds`` with the keys in place of those that float32 rounded, by the images' labels."""
    rounded = bounds >= LARGEST_EXACT
    if not rounded.any():
        return bounds
    start = int(np.searchsorted(keys, LARGEST_EXACT))
    labels = _first_labels(reader, offsets[start:])
    before = _first_labels(reader, offsets[max(start - 1, 0) : start])
    # An image that has none before it begins an identity, as no label equals NaN.
    begins = keys[start:][np.append(before if start else np.nan, labels[:-1]) != labels]
    named = np.count_nonzero(rounded[:, 0])
    if len(begins) != named:
        raise ValueError(
            f"{reader.path}: from key {LARGEST_EXACT:,} on the images are of {len(begins):,} "
            f"identities, by their labels, but the file names {named:,}: copy it again"
        )
    exact = bounds.copy()
    exact[rounded[:, 0], 0] = begins
    exact[rounded[:, 1], 1] = np.append(exact[1:, 0], end)[rounded[:, 1]]
    return exact


def _first_labels(reader: RecordReader, offsets: Integers) -> Floats:
    """The label of each image, or the first of several, float32 (n,)."""
    labels = np.full(len(offsets), np.nan, np.float32)
    for row, offset in enumerate(offsets.tolist()):
        header = read_header(reader, offset, list(reader.parts_at(offset)))
        if header is not None:
            labels[row] = header.label
    return labels
