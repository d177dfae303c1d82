"""Predictions read with the hierarchy: one safe answer, a few diverse ones, accuracy against detail
(chapter 9).

Pure functions of a ``wordnet.Hierarchy`` of N classes and of probabilities in its order: (n, N) for
many images, (N,) for one. A node says "one of the classes under me"; its mass is the probability
that this is right. All raise ValueError for other shapes and for NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.wordnet.hierarchy import Floats, Hierarchy, Integers

Probabilities = NDArray[np.floating[Any]]

# masses looked at together: 32 MiB
MASSES_A_BLOCK = 1 << 22


def climb(hierarchy: Hierarchy, probabilities: Probabilities, theta: float) -> Integers:
    """The node that tells most among those of mass ``theta`` or more, (n, N) to (n,) (chapter 9).

    Of several with equal information the likeliest, then the one with most ancestors. The root
    always qualifies, so there is always an answer. Time and memory: those of the masses, of a block
    of rows at a time. ValueError for a ``theta`` that is no share, 0 to 1.
    """
    if not 0 <= theta <= 1:
        raise ValueError(f"theta is a probability, 0 to 1, not {theta}")
    blocks = _blocks(hierarchy, probabilities)
    return np.concatenate([_answers(hierarchy, mass, theta) for _, mass in blocks])


def _blocks(hierarchy: Hierarchy, probabilities: Probabilities) -> Iterator[tuple[slice, Floats]]:
    """Some rows at a time, with their masses."""
    if probabilities.ndim != 2 or not len(probabilities):
        raise ValueError(f"give a row for each image, (n, N), not the shape {probabilities.shape}")
    step = max(1, MASSES_A_BLOCK // len(hierarchy))
    for start in range(0, len(probabilities), step):
        rows = slice(start, start + step)
        mass = hierarchy.mass(probabilities[rows])
        if np.isnan(mass[:, 0]).any():
            raise ValueError(
                f"the probabilities of image {start + int(np.isnan(mass[:, 0]).argmax())} hold NaN"
            )
        yield rows, mass


def _one(hierarchy: Hierarchy, probabilities: ArrayLike) -> Floats:
    """The probabilities of one image."""
    given = np.asarray(probabilities, np.float64)
    if given.shape != hierarchy.classes.shape or np.isnan(given).any():
        raise ValueError(
            f"give {len(hierarchy.classes):,} probabilities, none of them NaN, not {given.shape}"
        )
    return given


def _answers(hierarchy: Hierarchy, mass: Floats, theta: float) -> Integers:
    """The answer of each row of masses."""
    told = np.where(
        mass >= theta,
        hierarchy.information,
        0.0,
        # the root, whose rounded sum may miss 1, tells 0
    )
    best = np.where(told == told.max(axis=1, keepdims=True), mass, -1.0)
    return _last_maximum(best)


def _last_maximum(values: Floats) -> Integers:
    """Of equal maxima along the last axis the last: nodes with the same classes come from shallow
    to deep.
    """
    found: Integers = values.shape[-1] - 1 - np.argmax(values[..., ::-1], axis=-1)
    return found


def expected_information(
    hierarchy: Hierarchy, probabilities: ArrayLike, nodes: Iterable[int]
) -> float:
    """What ``nodes`` tell, in bits: the mean over the classes, by their probability (N,) (chapter
    9).

    Each class counts with the information of the most specific of ``nodes`` above it, or with 0
    where there is none.
    """
    return float(_one(hierarchy, probabilities) @ _told(hierarchy, nodes))


def _told(hierarchy: Hierarchy, nodes: Iterable[int]) -> Floats:
    """Per class the information of the most specific of ``nodes`` above it."""
    told = np.zeros(len(hierarchy.classes))
    for node in nodes:
        under = hierarchy.members[[node]].indices
        told[under] = np.maximum(told[under], hierarchy.information[node])
    return told


def diverse(hierarchy: Hierarchy, probabilities: ArrayLike, k: int) -> list[int]:
    """Up to ``k`` nodes that together tell much, the best first, for probabilities (N,) (chapter
    9).

    Greedy for ``expected_information``, which is monotone and submodular: at least 1 - 1/e of what
    the best k nodes tell (Nemhauser, Wolsey and Fisher 1978). Of equals the node that tells most.
    Fewer than ``k`` where more nodes add nothing. 3 ms a node for the 21,841 classes.
    """
    weights = _one(hierarchy, probabilities)
    under = hierarchy.members.indices
    starts = hierarchy.members.indptr
    information = np.repeat(hierarchy.information, hierarchy.counts)
    chosen: list[int] = []
    while len(chosen) < k:
        added = np.maximum(information - _told(hierarchy, chosen)[under], 0) * weights[under]
        gains = np.add.reduceat(added, starts[:-1])
        best = int(_last_maximum(gains))
        if gains[best] <= 0:
            break
        chosen.append(best)
    return chosen


def prune(hierarchy: Hierarchy, probabilities: ArrayLike, nodes: Sequence[int]) -> list[int]:
    """``nodes`` without those that repeat another: no node left is above another one (chapter 9).

    What is left tells less, and no share of the best is certain any more.

    Of all nodes that stand above or below another, the one goes that costs least of
    ``expected_information``, of equals the more general; then again, until none does.
    """
    kept = list(nodes)
    while in_line := _in_line(hierarchy, kept):
        left = [
            expected_information(hierarchy, probabilities, [node for node in kept if node != gone])
            for gone in in_line
        ]
        kept.remove(in_line[int(np.argmax(left))])
    return kept


def _in_line(hierarchy: Hierarchy, nodes: Sequence[int]) -> list[int]:
    """Those of ``nodes`` that are above or below another of them, the general ones first."""
    some = np.array(sorted(nodes), np.int64)
    above = hierarchy.above(some[:, None], some)
    linked: list[int] = some[above.sum(axis=0) + above.sum(axis=1) > 2].tolist()
    return linked


def accuracy_and_information(
    hierarchy: Hierarchy, probabilities: Probabilities, labels: Integers, thetas: Sequence[float]
) -> tuple[Floats, Floats]:
    """For each of ``thetas``: the share of ``climb``'s answers that are right, and their mean bits
    (chapter 9).

    An answer is right when it is the true class or above it. ``labels`` (n,): the true columns;
    images of label -1, whose class is none of the columns, are left out, and ValueError says when
    none remain. Of the masses, a block of rows is in memory at a time.
    """
    known = int(np.count_nonzero(labels >= 0))
    if not known:
        raise ValueError(
            "no image has a label: the true class must be one of the hierarchy's classes"
        )
    right = np.zeros(len(thetas))
    bits = np.zeros(len(thetas))
    for rows, mass in _blocks(hierarchy, probabilities):
        inside = labels[rows] >= 0
        truth = hierarchy.classes[labels[rows][inside]]
        answers = np.stack([_answers(hierarchy, mass[inside], theta) for theta in thetas])
        right += np.count_nonzero(hierarchy.above(answers, truth), axis=1)
        bits += hierarchy.information[answers].sum(axis=1)
    return right / known, bits / known
