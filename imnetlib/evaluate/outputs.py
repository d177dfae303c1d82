"""The outputs of any network, from a .npy or .npz file (chapter 8)."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imnetlib.arguments import Integers, PathLike, require, whole_numbers
from imnetlib.evaluate.predictions import DAMAGE
from imnetlib.evaluate.scores import as_matrix

# How a .npz calls its scores.
_SCORES = ("probabilities", "logits")
_ROWS_TRIED = 1000
# The array of a .npy, which has no name.
_SCORES_ALONE = ""
# What NumPy raises for a file that is no array, or a damaged one.
_UNREADABLE = (*DAMAGE, zipfile.BadZipFile, zlib.error)


class Outputs(NamedTuple):
    """Scores (n, classes) as they were stored, and what a .npz says beside them, (n,) each.

    ``logits``: whether the file calls them that; None where it does not say. ``labels``: columns,
    int64, or the wnids of the true classes, strings. ``ids``: int64, each image's in its list.
    """

    scores: NDArray[Any]
    logits: bool | None = None
    labels: NDArray[Any] | None = None
    ids: Integers | None = None

    def are_probabilities(self) -> bool:
        """Whether the file says so or, where it says nothing, the first rows: of logits none is."""
        if self.logits is not None:
            return not self.logits
        rows = np.asarray(self.scores[:_ROWS_TRIED], np.float64)
        return bool((rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) <= 1e-3).all())


def read_outputs(path: PathLike) -> Outputs:
    """Read a .npy, memory-mapped, or a .npz, into memory (chapter 8).

    A .npz holds ``probabilities`` or ``logits``, or a single matrix of any other name, and perhaps
    ``labels`` and ``ids``. ValueError for any other file, for a .npz in which the scores are not
    clear, and for arrays that do not fit; pickled objects are never read.
    """
    path = Path(path)
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {_SCORES_ALONE: loaded}
        else:
            with loaded:
                # Of a zip of other files the values are bytes.
                arrays = {name: a for name, a in loaded.items() if isinstance(a, np.ndarray)}
    except _UNREADABLE as error:
        raise ValueError(
            f"{path} cannot be read ({error}): write it by numpy.save or numpy.savez"
        ) from error
    try:
        return _outputs(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _outputs(arrays: dict[str, NDArray[Any]]) -> Outputs:
    name = _name_of_scores(arrays)
    scores = as_matrix(arrays[name])
    require(len(scores) > 0, "give one image at least", scores.shape)
    labels = arrays.get("labels")
    if labels is not None:
        is_text = labels.dtype.kind in "US"
        labels = labels.astype(str) if is_text else whole_numbers("labels", labels)
    ids = whole_numbers("ids", arrays["ids"]) if "ids" in arrays else None
    for beside, array in (("labels", labels), ("ids", ids)):
        if array is not None and array.shape != scores.shape[:1]:
            raise ValueError(f"{beside} have shape {array.shape}, the scores {scores.shape}")
    return Outputs(scores, name == "logits" if name in _SCORES else None, labels, ids)


def _name_of_scores(arrays: dict[str, NDArray[Any]]) -> str:
    if _SCORES_ALONE in arrays:
        return _SCORES_ALONE
    matrices = [name for name, array in arrays.items() if array.ndim == 2]
    names = [name for name in _SCORES if name in arrays] or matrices
    if len(names) != 1:
        there = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(
            f"there are {there or 'no arrays'}: call the network's outputs probabilities or logits"
        )
    return names[0]
