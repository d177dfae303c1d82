"""Probabilities judged as probabilities, and made honest by a temperature (chapter 8).

Needs NumPy and the standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Integers, real_number, require, require_type
from imnetlib.evaluate.metrics import labels_for
from imnetlib.evaluate.scores import as_floats, probability_blocks, row_blocks, softmax

# A temperature outside says that the images decide none: all are right by far, or none is learned.
COLDEST = 0.01
HOTTEST = 100.0
# Of the temperature's logarithm: a step smaller than that ends the search.
_PRECISION = 1e-6
# The smallest probability that float32 holds with all its digits, and the logit of one of 0.
_TINY = float(np.finfo(np.float32).tiny)


def log_loss(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The mean of -ln of the true class's probability, in nats (chapter 8).

    ``labels`` (n,): the true columns; images of label -1 are left out. A probability of 0 counts as
    1.2e-38, the smallest that float32 holds in full: 87 nats. ValueError for what are no
    probabilities, and where no image has a label.
    """
    total = 0.0
    images = 0
    for block, truth in _known_blocks(probabilities, labels, logits=False):
        true = block[np.arange(len(block)), truth]
        total -= float(np.log(np.maximum(true, _TINY)).sum(dtype=np.float64))
        images += len(block)
    return total / images


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """The mean squared distance of the probabilities from the truth, 0 to 2 (chapter 8).

    G. W. Brier, 1950, over all classes. ``labels`` and ValueError as for ``log_loss``.
    """
    total = 0.0
    images = 0
    for block, truth in _known_blocks(probabilities, labels, logits=False):
        true = block[np.arange(len(block)), truth].astype(np.float64)
        squares = np.einsum("ij,ij->i", block, block, dtype=np.float64)
        total += float((squares - 2 * true + 1).sum())
        images += len(block)
    return total / images


def fit_temperature(scores: ArrayLike, labels: ArrayLike, *, logits: bool = False) -> float:
    """The temperature that makes the log loss of these images least (chapter 8).

    C. Guo et al., On calibration of modern neural networks, ICML 2017: above 1 for a network that
    is too sure. Fit it on other images than those that it is judged on. ``with_temperature``
    applies it; no class changes its rank. ``COLDEST`` and ``HOTTEST`` are the limits. Some six
    passes over the scores, 20 where a limit is reached: 10,000 images of 21,841 classes take 10 to
    25 s.

    Args:
        scores: Probabilities, or logits, (n, classes).
        labels: The true columns, (n,); images of label -1 are left out, and those whose class is
            ruled out.
        logits: Whether the scores are logits.
    """
    require_type(logits, bool, "logits is True or False")
    low = math.log(1 / HOTTEST)
    high = math.log(1 / COLDEST)
    # Of the inverse temperature: the log loss is convex in that.
    place = 0.0
    while high - low > _PRECISION:
        inverse = math.exp(place)
        slope, curvature = _slopes(scores, labels, logits, inverse)
        if slope < 0:
            low = place
        else:
            high = place
        # Newton's step, in the inverse, where it stays between the limits, else half way.
        step = inverse - slope / curvature if curvature > 0 else 0.0
        wanted = math.log(step) if step > 0 else -math.inf
        if abs(wanted - place) < _PRECISION:
            break
        place = wanted if low < wanted < high else (low + high) / 2
    return math.exp(-place)


def with_temperature(
    scores: ArrayLike, temperature: float, *, logits: bool = False
) -> NDArray[Any]:
    """Probabilities (n, classes) of scores divided by a ``temperature``, of ``fit_temperature``.

    ``scores`` as there. ValueError for a temperature that is not above 0.
    """
    require_type(logits, bool, "logits is True or False")
    temperature = real_number("temperature", temperature)
    require(0 < temperature < math.inf, "a temperature is above 0", temperature)
    blocks = row_blocks(scores) if logits else probability_blocks(scores)
    found = [softmax(_as_logits(block, logits) / temperature) for _, block in blocks]
    return np.concatenate(found) if found else as_floats(np.asarray(scores))


def _as_logits(block: NDArray[Any], logits: bool) -> NDArray[Any]:
    if logits:
        return block
    # A class of probability 0 gets a small one, so that it may be the true one.
    found: NDArray[Any] = np.log(np.maximum(block, _TINY))
    return found


def _slopes(
    scores: ArrayLike, labels: ArrayLike, logits: bool, inverse: float
) -> tuple[float, float]:
    """The first and second derivative of the summed log loss by the inverse temperature."""
    slope = 0.0
    curvature = 0.0
    for block, truth in _known_blocks(scores, labels, logits):
        values = _as_logits(block, logits)
        p = softmax(values * inverse)
        # A class ruled out, of logit -infinity, has probability 0: it adds nothing.
        ruled_out = np.isneginf(values)
        values = np.where(ruled_out, 0, values)
        mean = np.einsum("ij,ij->i", p, values, dtype=np.float64)
        off = values - mean[:, None].astype(values.dtype)
        true = (np.arange(len(values)), truth)
        slope += float((mean - values[true])[~ruled_out[true]].sum())
        curvature += float(np.einsum("ij,ij,ij->", p, off, off, dtype=np.float64))
    return slope, curvature


def _known_blocks(
    scores: ArrayLike, labels: ArrayLike, logits: bool
) -> Iterator[tuple[NDArray[Any], Integers]]:
    """Blocks of the rows that have a label, and these labels; ValueError where none has."""
    truth = labels_for(scores, labels)
    require(bool((truth >= 0).any()), "one image at least has a label that is not -1", truth)
    for rows, block in row_blocks(scores) if logits else probability_blocks(scores):
        known = truth[rows] >= 0
        if known.any():
            yield block[known], truth[rows][known]
