"""Ranks, top-k accuracy in any label space, intervals, confusions, calibration (chapter 8).

50,000 images in 21,841 classes are 4.4 GB of probabilities: they stay on the disk, and a block of
rows at a time is in memory. Needs NumPy and the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import whole_numbers

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# The rank of a class that does not compete: no k reaches it.
NEVER = int(np.iinfo(np.int64).max)
# 16 MiB of float32 probabilities of 21,841 classes.
ROWS_PER_BLOCK = 192


def row_blocks(
    probabilities: NDArray[np.floating[Any]],
) -> Iterator[tuple[slice, NDArray[np.floating[Any]]]]:
    """Slices of ``ROWS_PER_BLOCK`` rows and what they hold; ValueError for NaN or infinity."""
    for start in range(0, len(probabilities), ROWS_PER_BLOCK):
        block = np.asarray(probabilities[start : start + ROWS_PER_BLOCK])
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            row = start + int(finite.argmin())
            raise ValueError(f"row {row} of the probabilities holds NaN or infinity")
        yield slice(start, start + len(block)), block


def ranks(
    probabilities: ArrayLike, labels: ArrayLike, columns: ArrayLike | None = None
) -> Integers:
    """How many classes come before the true one: int64 (n,); ``ranks < k`` are hits (chapter 8).

    A class comes before it when its probability is larger *or equal*: a tie is never a hit by luck,
    and the order of the columns plays no part. ``columns``: the label space, positions of the
    classes that compete (all unless given); rescaling a row changes nothing. An image whose class
    does not compete, or has no column (label -1), gets ``NEVER``. Cost: n × classes comparisons.
    ValueError for NaN, infinity and labels that do not fit.
    """
    probabilities = np.asarray(probabilities)
    truth = whole_numbers("labels", labels)
    images, classes = probabilities.shape
    largest = truth.max(initial=0)
    if truth.shape != (images,) or truth.min(initial=-1) < -1 or largest >= classes:
        raise ValueError(f"labels {truth.shape} up to {largest} for {images, classes} outputs")
    competes = np.zeros(classes, np.bool_)
    competes[slice(None) if columns is None else np.asarray(columns, np.int64)] = True
    rank = np.full(images, NEVER)
    for rows, block in row_blocks(probabilities):
        true = np.take_along_axis(block, np.maximum(truth[rows], 0)[:, None], axis=1)
        rivals = block if columns is None else block[:, competes]
        # The true class is one of those that reach its own probability.
        before = np.count_nonzero(rivals >= true, axis=1) - 1
        rank[rows] = np.where((truth[rows] >= 0) & competes[truth[rows]], before, NEVER)
    return rank


def best_columns(probabilities: Floats, k: int) -> tuple[Integers, Floats]:
    """The ``k`` best columns of each row and their probabilities, (n, k) each (chapters 8 and 9).

    Best first, of equals the first column; fewer than k where there are no more. k passes over the
    data. ``top_k_accuracy`` gives the accuracy.
    """
    columns = np.empty((len(probabilities), min(k, probabilities.shape[1])), np.int64)
    values = np.empty(columns.shape, np.float32)
    for rows, block in row_blocks(probabilities):
        left = block.copy()
        row = np.arange(len(block))
        for place in range(columns.shape[1]):
            best = left.argmax(axis=1)
            columns[rows, place] = best
            values[rows, place] = left[row, best]
            left[row, best] = -np.inf
    return columns, values


class TopK(NamedTuple):
    """Top-k accuracy and the limits of its 95 % interval; the top-k error is 1 - ``accuracy``."""

    k: int
    images: int
    accuracy: float
    low: float
    high: float


def top_k_accuracy(rank: ArrayLike, ks: Sequence[int] = (1, 5, 20)) -> list[TopK]:
    """The top-k accuracy for each of ``ks``: the share of images of ``rank`` below k (chapter 8).

    ``rank``: of ``ranks``. ValueError for no images. ``best_columns`` gives the classes themselves.
    """
    rank = np.asarray(rank)
    accuracies = []
    for k in ks:
        hits = int(np.count_nonzero(rank < k))
        low, high = wilson(hits, len(rank))
        accuracies.append(TopK(k, len(rank), hits / len(rank), low, high))
    return accuracies


def wilson(hits: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a share (chapter 8): E. B. Wilson, Probable inference, JASA 22, 1927.

    Unlike the share ± 1.96 standard errors it stays within 0 and 1 and holds for few images.
    ValueError for none. SciPy has it too, but this room takes NumPy alone.
    """
    if images < 1:
        raise ValueError("a share of no images has no interval: is the list empty?")
    if not 0 <= hits <= images:
        raise ValueError(f"hits are from 0 to the {images} images, not {hits}")
    z2 = 1.959964**2
    share = hits / images
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = (z2 * (share * (1 - share) / images + z2 / (4 * images**2))) ** 0.5 / (1 + z2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def confusions(labels: Integers, chosen: Integers) -> Integers:
    """Which class is taken for which: rows (true, chosen, images), most images first (chapter 8).

    ``chosen``: the first of ``best_columns``. Memory grows with the images, not with the square of
    the classes.
    """
    wrong = (labels != chosen) & (labels >= 0)
    pairs = np.stack([labels[wrong], chosen[wrong]], axis=1)
    distinct, images = np.unique(pairs, axis=0, return_counts=True)
    table = np.column_stack([distinct, images]).astype(np.int64)
    return table[np.argsort(-images, kind="stable")]


def calibration(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = 10
) -> NDArray[np.float64]:
    """Images, mean confidence and accuracy in bins of equal width, (bins, 3) (chapter 8).

    Is a probability of 0.8 right in 8 of 10 cases? NaN where a bin is empty. C. Guo et al., On
    calibration of modern neural networks, ICML 2017.
    """
    place = np.clip(np.ceil(confidence.astype(np.float64) * bins) - 1, 0, bins - 1).astype(np.int64)
    images = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, values, bins) / images for values in (confidence, correct)]
    return np.column_stack([images, *means])
