"""Predictions of a network, kept on the disk and checked (chapter 8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from imnetlib.evaluate.metrics import Floats, Integers
from imnetlib.files import write_atomically, write_whole

_ARRAYS = ("probabilities.npy", "labels.npy", "ids.npy")
_SOURCE = "source.txt"
# written last
_FINISHED = "synset.txt"
# which has no types in NumPy 1.26
_npy: Any = np.lib.format


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a network says about n images; raises ValueError where the arrays disagree (chapter 8).

    ``probabilities``: float32 (n, classes), possibly memory-mapped. ``labels``: int64 (n,), the
    true column, or -1 where the image's class is none of them. ``ids``: int64 (n,), distinct, from
    the list of the images. ``wnids``: the class of each column. ``source``: what made them, in a
    line of the maker's own.
    """

    probabilities: Floats
    labels: Integers
    ids: Integers
    wnids: tuple[str, ...]
    source: str = ""

    def __post_init__(self) -> None:
        _require_consistent(self.probabilities.shape, self.labels, self.ids, self.wnids)
        if (
            self.probabilities.dtype != np.float32
            or not self.labels.dtype == self.ids.dtype == np.int64
        ):
            raise ValueError("probabilities are float32, labels and ids int64, and these are not")

    @classmethod
    def load(cls, folder: Path) -> Predictions:
        """What ``save_predictions`` put into ``folder``, memory-mapped: the probabilities are not
        yet read.

        FileNotFoundError where there are none, or unfinished ones; ValueError for damaged ones.
        """
        if not (folder / _FINISHED).exists():
            raise FileNotFoundError(f"{folder} holds no finished predictions: chapter 8 makes them")
        path = folder
        try:
            wnids = (folder / _FINISHED).read_text(encoding="ascii").split()
            found = [
                np.load(path := folder / name, mmap_mode="r", allow_pickle=False)
                for name in _ARRAYS
            ]
            source = (path := folder / _SOURCE).read_text(encoding="utf-8")
            path = folder
            return cls(found[0], np.array(found[1]), np.array(found[2]), tuple(wnids), source)
        except (ValueError, EOFError, FileNotFoundError) as error:
            way_out = f"remove {folder} and make the predictions again (chapter 8)"
            raise ValueError(f"{path}: {error}: {way_out}") from error

    def columns(self, wnids: Iterable[str]) -> Integers:
        """The columns of those ``wnids`` that the network has, ascending. Count them: some may be
        missing.
        """
        return np.flatnonzero(np.isin(self.wnids, list(wnids))).astype(np.int64)


def _require_consistent(
    shape: tuple[int, ...], labels: Integers, ids: Integers, wnids: Sequence[str]
) -> None:
    if len(shape) != 2 or 0 in shape or not labels.shape == ids.shape == shape[:1]:
        raise ValueError(
            f"shapes {shape}, {labels.shape}, {ids.shape} are not (n, classes), (n,) and (n,)"
        )
    if len(wnids) != shape[1] or len(set(wnids)) != shape[1]:
        raise ValueError(
            f"{shape[1]:,} columns, but {len(wnids):,} wnids, of which {len(set(wnids)):,} differ"
        )
    if labels.min() < -1 or labels.max() >= shape[1]:
        raise ValueError(
            f"labels go from -1 to {shape[1] - 1}, not from {labels.min()} to {labels.max()}"
        )
    if (different := len(np.unique(ids))) != len(ids):
        raise ValueError(
            f"{len(ids):,} images with {different:,} ids: was the padding of a batch counted?"
        )


def save_predictions(
    folder: Path,
    wnids: Sequence[str],
    batches: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]],
    count: int,
    source: str = "",
) -> Predictions:
    """Write ``count`` images' predictions as they come, whole or not at all, and load them (chapter
    8).

    A batch: probabilities (b, classes), labels (b,), ids (b,). ValueError for what are no
    probabilities, another number of images, and all that ``Predictions`` refuses; earlier
    predictions then stay. Memory: a batch, and 16 bytes an image.
    """
    labels = np.empty(count, np.int64)
    ids = np.empty(count, np.int64)
    done = 0
    with write_atomically(folder / "probabilities.npy") as out:
        shape = (count, len(wnids))
        _npy.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for probabilities, some_labels, some_ids in batches:
            block = np.ascontiguousarray(probabilities, "<f4")
            rows = slice(done, done + np.size(some_ids))
            done = rows.stop
            fits = block.shape == (np.size(some_ids), len(wnids)) and np.shape(
                some_labels
            ) == np.shape(some_ids)
            if done > count or not fits:
                raise ValueError(
                    f"{folder}: a batch {block.shape} that ends at image {done:,} of {shape}"
                )
            labels[rows] = some_labels
            ids[rows] = some_ids
            _refuse_scores(block, ids[rows], folder)
            out.write(block.data)
        if done != count:
            raise ValueError(f"{folder}: the batches hold {done:,} images, not {count:,}")
        _require_consistent(shape, labels, ids, wnids)
        # from here on the folder is neither old nor new
        (folder / _FINISHED).unlink(missing_ok=True)
    for name, array in zip(_ARRAYS[1:], (labels, ids), strict=True):
        with write_atomically(folder / name) as out:
            np.save(out, array, allow_pickle=False)
    write_whole(folder / _SOURCE, source.encode())
    write_whole(folder / _FINISHED, "".join(f"{wnid}\n" for wnid in wnids).encode("ascii"))
    return Predictions.load(folder)


def _refuse_scores(block: Floats, ids: Integers, folder: Path) -> None:
    """Probabilities are not negative and sum to 1; networks in half precision may be 1 % off."""
    # NaN is wrong too
    wrong = ~(np.isclose(block.sum(axis=1), 1, atol=0.01) & (block.min(axis=1) >= 0))
    if wrong.any():
        row = int(wrong.argmax())
        what = f"{folder}: the outputs for image {ids[row]} sum to {block[row].sum():.4g}, not 1, or are negative"
        raise ValueError(f"{what}: has the training diverged, or is the softmax missing?")
