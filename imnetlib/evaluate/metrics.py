"""Predictions kept and judged: top-k in any label space, intervals, confusions, calibration
(chapter 8).

50,000 images in 21,841 classes are 4.4 GB of probabilities: they stay on the disk, and a block of
rows at a time is in memory. Needs NumPy and the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

# probabilities looked at together: 16 MiB
PROBABILITIES_A_BLOCK = 1 << 22
# the rank of a class that does not compete: no k reaches it
NEVER = int(np.iinfo(np.int64).max)


def _blocks(probabilities: Floats) -> Iterator[tuple[slice, Floats]]:
    step = max(1, PROBABILITIES_A_BLOCK // probabilities.shape[1])
    for start in range(0, len(probabilities), step):
        block = np.asarray(probabilities[start : start + step])
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"row {start + int(finite.argmin())} of the probabilities holds NaN or infinity"
            )
        yield slice(start, start + len(block)), block


def ranks(probabilities: Floats, labels: ArrayLike, columns: ArrayLike | None = None) -> Integers:
    """How many classes stand before the true one: int64 (n,), so ``ranks < k`` are the top-k hits
    (chapter 8).

    A class stands before it when its probability is larger *or equal*: a tie is never a hit by
    luck, and the order of the columns plays no part. ``columns``: the label space, positions of the
    classes that compete (all unless given); rescaling a row changes nothing. An image whose class
    does not compete, or has no column (label -1), gets ``NEVER``. Cost: n × classes comparisons.
    ValueError for NaN, infinity and labels that do not fit.
    """
    truth = np.asarray(labels, np.int64)
    classes = probabilities.shape[1]
    if (
        truth.shape != probabilities.shape[:1]
        or truth.min(initial=-1) < -1
        or truth.max(initial=0) >= classes
    ):
        raise ValueError(
            f"labels {truth.shape} up to {truth.max(initial=0)} for {probabilities.shape} outputs"
        )
    competes = np.zeros(classes, np.bool_)
    competes[slice(None) if columns is None else np.asarray(columns, np.int64)] = True
    found = np.full(len(truth), NEVER)
    for rows, block in _blocks(probabilities):
        true = np.take_along_axis(block, np.maximum(truth[rows], 0)[:, None], axis=1)
        rivals = block if columns is None else block[:, competes]
        # it equals itself
        before = np.count_nonzero(rivals >= true, axis=1) - 1
        found[rows] = np.where((truth[rows] >= 0) & competes[truth[rows]], before, NEVER)
    return found


def top(probabilities: Floats, k: int) -> tuple[Integers, Floats]:
    """The ``k`` best columns of each row and their probabilities, (n, k) each, best first (chapters
    8 and 9).

    Of equal ones the first column: here a choice must be made. k passes over the data; k at most
    the columns.
    """
    columns = np.empty((len(probabilities), min(k, probabilities.shape[1])), np.int64)
    values = np.empty(columns.shape, np.float32)
    for rows, block in _blocks(probabilities):
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


def top_k(rank: Integers, ks: Sequence[int] = (1, 5, 20)) -> list[TopK]:
    """The share of images whose true class is among the first k, for each k (chapter 8)."""
    found = [(k, int(np.count_nonzero(rank < k)), len(rank)) for k in ks]
    limits = [wilson(hits, images) for _, hits, images in found]
    return [TopK(k, n, hits / n, *both) for (k, hits, n), both in zip(found, limits, strict=True)]


def wilson(hits: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a share (chapter 8): E. B. Wilson, Probable inference, JASA 22, 1927.

    Unlike the share ± 1.96 standard errors it stays within 0 and 1 and holds for few images.
    ValueError for none.
    """
    if images < 1:
        raise ValueError("a share of no images has no interval: is the list empty?")
    if not 0 <= hits <= images:
        raise ValueError(f"{hits} of {images} images is no share")
    z2 = 1.959964**2
    share = hits / images
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = (z2 * (share * (1 - share) / images + z2 / (4 * images**2))) ** 0.5 / (1 + z2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def confusions(labels: Integers, chosen: Integers) -> Integers:
    """Which class is taken for which: rows (true, chosen, images), the most frequent first (chapter
    8).

    ``chosen``: the first column of ``top``. Memory grows with the images, not with the square of
    the classes.
    """
    wrong = (labels != chosen) & (labels >= 0)
    pairs, images = np.unique(
        np.stack([labels[wrong], chosen[wrong]], 1), axis=0, return_counts=True
    )
    return np.column_stack([pairs, images])[np.argsort(-images, kind="stable")].astype(np.int64)


def calibration(
    confidence: Floats, correct: NDArray[np.bool_], bins: int = 10
) -> NDArray[np.float64]:
    """Is a probability of 0.8 right in 8 of 10 cases? (bins, 3): images, mean confidence, accuracy
    (chapter 8).

    Bins of equal width, NaN where one is empty: C. Guo et al., On calibration of modern neural
    networks, ICML 2017.
    """
    place = np.clip(np.ceil(confidence.astype(np.float64) * bins) - 1, 0, bins - 1).astype(np.int64)
    images, sure, right = (
        np.bincount(place, w, bins) for w in (np.ones(len(place)), confidence, correct)
    )
    with np.errstate(invalid="ignore"):
        return np.column_stack([images, sure / images, right / images])
