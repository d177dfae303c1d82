"""Predictions of a network, kept on the disk and verified (chapter 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from imnetlib import catalog
from imnetlib.arguments import (
    Floats,
    Integers,
    PathLike,
    require_several,
    require_type,
    whole_number,
    whole_numbers,
)
from imnetlib.evaluate.scores import require_probabilities
from imnetlib.files import write_atomically, write_bytes_atomically

_ARRAYS = ("probabilities.npy", "labels.npy", "ids.npy")
_SOURCE = "source.txt"
# Written last: the sign that all is there.
_WNIDS = "synset.txt"
# What NumPy raises for a damaged .npy, whose header is the text of a Python dictionary. Null bytes
# in it are a SystemError to the tokenizer of Python 3.13.
DAMAGE = (ValueError, EOFError, SyntaxError, TokenError, TypeError, SystemError)
# NumPy 1.26 has no types for it.
_npy: Any = np.lib.format


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a network says about n images; ValueError where the arrays disagree (chapter 8).

    ``probabilities``: float32 (n, classes), possibly memory-mapped. ``labels``: int64 (n,), the
    true column, or -1 where the image's class is none of them. ``ids``: int64 (n,), distinct, from
    the list of the images. ``wnids``: the class of each column. ``source``: what made them, a line.
    """

    probabilities: Floats
    labels: Integers
    ids: Integers
    wnids: tuple[str, ...]
    source: str = ""

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        labels = self.labels
        ids = self.ids
        if len(shape) != 2 or 0 in shape or not labels.shape == ids.shape == shape[:1]:
            raise ValueError(
                f"shapes {shape}, {labels.shape}, {ids.shape} are not (n, classes), (n,) and (n,)"
            )
        images, classes = shape
        distinct = len(set(self.wnids))
        if not len(self.wnids) == distinct == classes:
            raise ValueError(
                f"{classes:,} columns, but {len(self.wnids):,} wnids, of which {distinct:,} differ"
            )
        if labels.min() < -1 or labels.max() >= classes:
            raise ValueError(
                f"labels go from -1 to {classes - 1}, not from {labels.min()} to {labels.max()}"
            )
        distinct = len(np.unique(ids))
        if distinct != images:
            raise ValueError(
                f"{images:,} images with {distinct:,} ids: was the padding of a batch counted?"
            )
        if self.probabilities.dtype != np.float32 or not labels.dtype == ids.dtype == np.int64:
            raise ValueError("probabilities are float32, labels and ids int64, and these are not")

    @classmethod
    def load(cls, folder: PathLike) -> Predictions:
        """What ``save_predictions`` wrote into ``folder``; the probabilities are memory-mapped.

        FileNotFoundError where there are none, or unfinished ones; ValueError for damaged ones.
        """
        folder = Path(folder)
        path = folder / _WNIDS
        if not path.exists():
            raise FileNotFoundError(f"{folder} holds no finished predictions: chapter 8 makes them")
        try:
            wnids = catalog.read_classes(path)
            arrays = []
            for name in _ARRAYS:
                path = folder / name
                arrays.append(np.load(path, mmap_mode="r", allow_pickle=False))
            path = folder / _SOURCE
            source = path.read_text(encoding="utf-8")
            path = folder
            return cls(arrays[0], np.array(arrays[1]), np.array(arrays[2]), wnids, source)
        except (FileNotFoundError, *DAMAGE) as error:
            remedy = f"remove {folder} and make the predictions again (chapter 8)"
            raise ValueError(f"{path}: {error}: {remedy}") from error

    def columns(self, wnids: Iterable[str]) -> Integers:
        """The columns of those ``wnids`` that the network has, ascending; some may be missing."""
        require_several("wnids", wnids)
        wanted = set(wnids)
        for wnid in wanted:
            require_type(wnid, str, "a wnid is a string, like 'n02510455'")
        return np.flatnonzero([wnid in wanted for wnid in self.wnids]).astype(np.int64)


def save_predictions(
    folder: PathLike,
    wnids: Sequence[str],
    batches: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]],
    count: int,
    source: str = "",
) -> Predictions:
    """Write ``count`` images' predictions as they come, and load them (chapter 8).

    ValueError for rows that are not probabilities, another number of images, and all that
    ``Predictions`` refuses; earlier predictions then stay. FileExistsError, before the first batch,
    for predictions of another maker. Memory: a batch, and 16 bytes an image.

    Args:
        folder: Where they are written.
        wnids: The class of each column.
        batches: Of b images each: probabilities (b, classes), labels (b,) and ids (b,).
        count: The images of all batches.
        source: What made them, a line. Its first word is the maker, whose earlier predictions in
            ``folder`` are replaced.
    """
    require_several("wnids", wnids)
    folder = Path(folder)
    count = whole_number("count", count)
    _require_own(folder, _maker(source))
    labels = np.empty(count, np.int64)
    ids = np.empty(count, np.int64)
    shape = (count, len(wnids))
    done = 0
    with write_atomically(folder / _ARRAYS[0]) as out:
        _npy.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for probabilities, batch_labels, batch_ids in batches:
            block = np.ascontiguousarray(probabilities, "<f4")
            images = np.size(batch_ids)
            rows = slice(done, done + images)
            done += images
            one_each = np.shape(batch_labels) == np.shape(batch_ids)
            if done > count or not one_each or block.shape != (images, len(wnids)):
                raise ValueError(
                    f"{folder}: a batch {block.shape} that ends at image {done:,} of {shape}"
                )
            labels[rows] = whole_numbers("labels", batch_labels)
            ids[rows] = whole_numbers("ids", batch_ids)
            require_probabilities(block, f"{folder}, image", ids[rows])
            out.write(block.data)
        if done != count:
            raise ValueError(f"{folder}: the batches hold {done:,} images, not {count:,}")
        # Verified by the same rules, which ask only for the shape of the probabilities.
        Predictions(np.broadcast_to(np.float32(), shape), labels, ids, tuple(wnids))
        # From here on the folder is neither old nor new, but it has a maker.
        (folder / _WNIDS).unlink(missing_ok=True)
        write_bytes_atomically(folder / _SOURCE, source.encode())
    for name, array in zip(_ARRAYS[1:], (labels, ids), strict=True):
        with write_atomically(folder / name) as out:
            np.save(out, array, allow_pickle=False)
    write_bytes_atomically(folder / _WNIDS, catalog.encode_classes(wnids, folder / _WNIDS))
    return Predictions.load(folder)


def _maker(source: str) -> str:
    return source.partition(" ")[0]


def _require_own(folder: Path, maker: str) -> None:
    """FileExistsError where ``folder`` holds predictions of another ``maker``."""
    if not any((folder / name).exists() for name in _ARRAYS):
        return
    path = folder / _SOURCE
    there = path.read_text(encoding="utf-8") if path.exists() else None
    if there is None or _maker(there) != maker:
        raise FileExistsError(
            f"{folder} holds predictions of {there or 'an unknown maker'}, which would be lost: "
            "choose another folder, or move them away"
        )
