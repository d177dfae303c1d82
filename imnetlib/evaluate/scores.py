"""Scores of many images, a block of rows at a time: refused where unfit, softmax (chapter 8).

A row of scores is an image's: probabilities, or logits, whatever a network gives its classes.
50,000 images in 21,841 classes are 4.4 GB of probabilities: they stay on the disk, and a block is
in memory.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Floats, require

# 16 MiB of float32 scores of 21,841 classes.
ROWS_PER_BLOCK = 192
# What a network in half precision may miss of a sum of 1.
TOLERANCE = 0.01


def row_blocks(scores: ArrayLike) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Slices of ``ROWS_PER_BLOCK`` rows and what they hold, float32, or float64 where it was that.

    Of a memory-mapped file one block is in memory. ValueError for what is no matrix of numbers, for
    NaN or infinity, and where a row is -infinity, the logit of a class ruled out, throughout.
    """
    matrix = as_matrix(scores)
    for start in range(0, len(matrix), ROWS_PER_BLOCK):
        block = as_floats(matrix[start : start + ROWS_PER_BLOCK])
        # NaN where there is one.
        fit = np.isfinite(block.max(axis=1))
        if not fit.all():
            row = start + int(fit.argmin())
            raise ValueError(f"row {row} of the scores holds NaN or infinity")
        yield slice(start, start + len(block)), block
        _release(matrix)


def as_matrix(scores: ArrayLike) -> NDArray[Any]:
    """``scores`` as an array (n, classes) of numbers, not copied; ValueError for any other."""
    matrix = np.asarray(scores)
    require(matrix.ndim == 2, "give a row for each image, (n, classes)", matrix.shape)
    require(matrix.shape[1] > 0, "a row holds one class at least", matrix.shape)
    require(matrix.dtype.kind in "biuf", "scores are numbers", matrix.dtype.name)
    return matrix


def as_floats(values: NDArray[Any]) -> NDArray[Any]:
    """``values`` as float32 if they are that or float16, else as float64."""
    if values.dtype != np.float16:
        return np.asarray(values, np.float32 if values.dtype == np.float32 else np.float64)
    # NumPy converts small float16 numbers 20 times slower than it looks them up.
    bits = np.asarray(values, np.float16).view(np.uint16)
    return np.take(_every_half(), bits)


@functools.cache
def _every_half() -> Floats:
    """Each of the 65,536 numbers of float16."""
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def _release(array: NDArray[Any]) -> None:
    """Let go of what was read of a memory-mapped file: it counts as this process's memory."""
    base: Any = array
    is_shared = False
    while isinstance(base, np.ndarray):
        # Changes of a private map, "c", are in memory alone.
        is_shared = isinstance(base, np.memmap) and base.mode != "c"
        base = base.base
    if is_shared and isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


def softmax(logits: ArrayLike) -> NDArray[Any]:
    """The probabilities of ``logits`` along the last axis, float32 or float64 (chapter 8).

    The largest logit of a row is taken from the others first, so none is too large. Of more rows
    than fit into memory take those of ``row_blocks``, one block after the other. ValueError for no
    logits.
    """
    rows = as_floats(np.asarray(logits))
    require(rows.ndim > 0 and rows.size > 0, "give logits of one class at least", rows.shape)
    raised = np.exp(rows - rows.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def require_probabilities(
    rows: ArrayLike, where: str = "row", names: ArrayLike | None = None
) -> None:
    """ValueError unless each of ``rows`` (n, classes) holds probabilities, within ``TOLERANCE``.

    They are not negative and sum to 1. ``names``, (n,), name the rows; a single one without a name
    needs no number.
    """
    matrix = as_floats(as_matrix(rows))
    sums = matrix.sum(axis=1)
    # Both comparisons are false for NaN.
    whole = np.abs(sums - 1) <= TOLERANCE
    right = whole & (matrix.min(axis=1) >= 0)
    if not right.all():
        row = int(right.argmin())
        fault = f"the outputs sum to {sums[row]:.4g}, not 1"
        if whole[row]:
            fault = f"an output is negative, {matrix[row].min():.4g}"
        name = row if names is None else np.asarray(names)[row]
        place = "" if names is None and len(matrix) == 1 else f"{where} {name}: "
        raise ValueError(
            f"{place}{fault}: has the training diverged, or is the softmax missing "
            "(evaluate.softmax; --logits, in a chapter -p logits True)?"
        )


def probability_rows(rows: ArrayLike, classes: int) -> NDArray[Any]:
    """``rows`` (n, classes), float32 or float64; ValueError for what are no probabilities.

    That is another number of classes, logits, NaN, infinity, negative values and sums that are not
    1 within ``TOLERANCE``. 256 rows of 21,841 classes take 2 ms.
    """
    matrix = as_matrix(rows)
    require(matrix.shape[1] == classes, f"give {classes:,} classes an image", matrix.shape)
    found = as_floats(matrix)
    require_probabilities(found)
    return found


def probability_blocks(
    probabilities: ArrayLike, classes: int | None = None
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """``row_blocks`` of probabilities: ValueError for rows that are none, as logits are not.

    With ``classes`` also for no rows, and for another number of columns.
    """
    if classes is not None:
        shape = np.shape(probabilities)
        fits = len(shape) == 2 and shape[0] > 0 and shape[1] == classes
        require(fits, f"give a row of {classes:,} classes for each image", shape)
    for rows, block in row_blocks(probabilities):
        require_probabilities(block, names=np.arange(rows.start, rows.stop))
        yield rows, block
