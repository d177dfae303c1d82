"""Ranks, top-k accuracy in any label space, intervals, confusions, calibration (chapter 8).

Needs NumPy and the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Floats, Integers, require, require_type, whole_number, whole_numbers
from imnetlib.evaluate.scores import TOLERANCE, as_matrix, row_blocks

# The rank of a class that does not compete: no k reaches it.
NEVER = int(np.iinfo(np.int64).max)


def ranks(scores: ArrayLike, labels: ArrayLike, columns: ArrayLike | None = None) -> Integers:
    """How many classes come before the true one: int64 (n,); ``ranks < k`` are hits (chapter 8).

    ``scores`` (n, classes): probabilities, or logits. A class comes before the true one when its
    score is larger *or equal*: a tie is never a hit by luck, and the order of the columns plays no
    part. ``columns``: the label space, positions of the classes that compete or a mask of them (all
    unless given); rescaling a row changes nothing. An image whose class does not compete, or has no
    column (label -1), gets ``NEVER``. Cost: n × classes comparisons. ValueError for NaN, infinity
    (but -infinity may rule out a class), and for labels and columns that do not fit.
    """
    matrix = as_matrix(scores)
    truth = labels_for(matrix, labels)
    competes = _label_space(columns, matrix.shape[1])
    rank = np.full(len(matrix), NEVER)
    for rows, block in row_blocks(matrix):
        true = np.take_along_axis(block, np.maximum(truth[rows], 0)[:, None], axis=1)
        rivals = block if competes.all() else block[:, competes]
        # The true class is one of those that reach its own score.
        before = np.count_nonzero(rivals >= true, axis=1) - 1
        rank[rows] = np.where((truth[rows] >= 0) & competes[truth[rows]], before, NEVER)
    return rank


def labels_for(scores: ArrayLike, labels: ArrayLike) -> Integers:
    """``labels`` as int64 (n,): columns of ``scores``, or -1; ValueError for any others."""
    truth = whole_numbers("labels", labels)
    images, classes = as_matrix(scores).shape
    largest = truth.max(initial=0)
    if truth.shape != (images,) or truth.min(initial=-1) < -1 or largest >= classes:
        raise ValueError(f"labels {truth.shape} up to {largest} for {images, classes} outputs")
    return truth


def _label_space(columns: ArrayLike | None, classes: int) -> NDArray[np.bool_]:
    """A mask of the ``columns``, which may be a mask already; a column counts once."""
    if columns is None:
        return np.ones(classes, np.bool_)
    given = np.asarray(columns)
    if given.dtype == np.bool_:
        fits = given.shape == (classes,)
        require(fits, f"a mask of the columns has shape ({classes},)", given.shape)
        competes = given
    else:
        places = whole_numbers("columns", given)
        require(places.ndim == 1, "columns are several, (m,), or a mask", places.tolist())
        outside = places[(places < 0) | (places >= classes)].tolist()
        require(not outside, f"columns go from 0 to {classes - 1}", outside[:10])
        competes = np.zeros(classes, np.bool_)
        competes[places] = True
    require(bool(competes.any()), "one column at least competes", given.tolist())
    return competes


def best_columns(scores: ArrayLike, k: int) -> tuple[Integers, Floats]:
    """The ``k`` best columns of each row and their scores, (n, k) each (chapters 8 and 9).

    Best first, of equals the first column; fewer than k where there are no more. k passes over the
    data. ``top_k_accuracy`` gives the accuracy.
    """
    matrix = as_matrix(scores)
    k = whole_number("k", k)
    require(k > 0, "k is 1 at least", k)
    columns = np.empty((len(matrix), min(k, matrix.shape[1])), np.int64)
    values = np.empty(columns.shape, np.float32)
    for rows, block in row_blocks(matrix):
        # A class ruled out, -infinity, before one that has been taken.
        left = np.maximum(block, np.finfo(block.dtype).min)
        row = np.arange(len(block))
        for place in range(columns.shape[1]):
            best = left.argmax(axis=1)
            columns[rows, place] = best
            values[rows, place] = block[row, best]
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

    ``rank``: of ``ranks``, where an image of label -1 is a miss for every k. ValueError for no
    images, and for a k below 1. ``best_columns`` gives the classes themselves.
    """
    rank = whole_numbers("ranks", rank)
    require_type(ks, Iterable, "ks are several, such as (1, 5)")
    accuracies = []
    for k in ks:
        k = whole_number("k", k)
        require(k > 0, "k is 1 at least", k)
        hits = int(np.count_nonzero(rank < k))
        low, high = wilson(hits, len(rank))
        accuracies.append(TopK(k, len(rank), hits / len(rank), low, high))
    return accuracies


def wilson(hits: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a share (chapter 8): E. B. Wilson, Probable inference, JASA 22, 1927.

    Unlike the share ± 1.96 standard errors it stays within 0 and 1 and holds for few images.
    ValueError for no images. SciPy has it too, but this room takes NumPy alone.
    """
    hits = whole_number("hits", hits)
    images = whole_number("images", images)
    if images < 1:
        raise ValueError("a share of no images has no interval: is the list empty?")
    if not 0 <= hits <= images:
        raise ValueError(f"hits are from 0 to the {images} images, not {hits}")
    z2 = 1.959964**2
    share = hits / images
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = (z2 * (share * (1 - share) / images + z2 / (4 * images**2))) ** 0.5 / (1 + z2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def confusions(labels: ArrayLike, chosen: ArrayLike) -> Integers:
    """Which class is taken for which: rows (true, chosen, images), most images first (chapter 8).

    ``chosen``: the first of ``best_columns``. Images of label -1, whose class has no column, are
    left out. Memory grows with the images, not with the square of the classes. ValueError where
    labels and choices are not as many.
    """
    pairs = count_pairs(labels, chosen)
    wrong = pairs[pairs[:, 0] != pairs[:, 1]]
    table: Integers = wrong[np.argsort(-wrong[:, 2], kind="stable")]
    return table


def count_pairs(labels: ArrayLike, chosen: ArrayLike) -> Integers:
    """The rows (true, chosen, images), sorted, of the images that have a label."""
    distinct, images = np.unique(labelled(labels, chosen), axis=0, return_counts=True)
    return np.column_stack([distinct, images]).astype(np.int64)


def labelled(labels: ArrayLike, chosen: ArrayLike) -> Integers:
    """The rows (true, chosen) of the images that have a label; ValueError if not as many."""
    truth = whole_numbers("labels", labels)
    choice = whole_numbers("chosen columns", chosen)
    if truth.ndim != 1 or truth.shape != choice.shape:
        raise ValueError(f"labels {truth.shape} and chosen columns {choice.shape} are (n,) each")
    for name, values, lowest in (("labels", truth, -1), ("chosen columns", choice, 0)):
        outside = values[values < lowest].tolist()
        require(not outside, f"{name} are {lowest} or more", outside[:10])
    return np.stack([truth, choice], axis=1)[truth >= 0]


def calibration(confidence: ArrayLike, correct: ArrayLike, bins: int = 10) -> NDArray[np.float64]:
    """Images, mean confidence and accuracy in bins of equal width, (bins, 3) (chapter 8).

    Is a probability of 0.8 right in 8 of 10 cases? NaN where a bin is empty. C. Guo et al., On
    calibration of modern neural networks, ICML 2017. ValueError for a ``confidence`` (n,) that is
    no probability, and a ``correct`` (n,) that is not true or false.
    """
    sure = np.asarray(confidence, np.float64)
    right = np.asarray(correct)
    bins = whole_number("bins", bins)
    require(bins > 0, "bins are 1 at least", bins)
    if sure.ndim != 1 or right.shape != sure.shape:
        raise ValueError(f"confidence {sure.shape} and correct {right.shape} are (n,) each")
    # In this form the condition holds for NaN as well.
    unfit = sure[~((sure >= 0) & (sure <= 1 + TOLERANCE))].tolist()
    require(not unfit, "a confidence is a probability, 0 to 1", unfit[:10])
    odd = right[~np.isin(right, (0, 1))].tolist()
    require(not odd, "correct is true or false", odd[:10])
    place = np.clip(np.ceil(sure * bins) - 1, 0, bins - 1).astype(np.int64)
    images = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, values, bins) / images for values in (sure, right)]
    return np.column_stack([images, *means])
