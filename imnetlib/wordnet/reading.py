"""Predictions read with the hierarchy: a safe answer, several, accuracy and detail (chapter 9).

Pure functions of a ``wordnet.Hierarchy`` of N classes and of probabilities in its order: (n, N) for
many images, (N,) for one. A node says "one of the classes under me"; its mass is the probability
that this is right. All raise ValueError for other shapes and for what are no probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from imnetlib import evaluate
from imnetlib.arguments import Integers, require
from imnetlib.wordnet.hierarchy import Doubles, Hierarchy, node_numbers


def climb(hierarchy: Hierarchy, probabilities: ArrayLike, theta: float) -> Integers:
    """The most specific node of mass ``theta`` or more, for each image: (n, N) to (n,) (chapter 9).

    Of several with equal information the likeliest, then the one with most ancestors. The root
    always qualifies, so there is always an answer. Time and memory: those of the masses, of a block
    of rows at a time. ValueError for a ``theta`` that is not from 0 to 1.
    """
    blocks = _mass_blocks(hierarchy, probabilities)
    return np.concatenate([_answers(hierarchy, mass, theta) for _, mass in blocks])


def _mass_blocks(hierarchy: Hierarchy, probabilities: ArrayLike) -> Iterator[tuple[slice, Doubles]]:
    shape = np.shape(probabilities)
    require(len(shape) == 2 and shape[0] > 0, "give a row for each image, (n, N)", shape)
    for rows, block in evaluate.probability_blocks(probabilities):
        yield rows, hierarchy.mass(block)


def _answers(hierarchy: Hierarchy, mass: Doubles, theta: float) -> Integers:
    require(0 <= theta <= 1, "theta is a probability, 0 to 1", theta)
    # The root tells 0 bits: it answers even where its mass, a rounded sum, misses a theta of 1.
    bits = np.where(mass >= theta, hierarchy.information, 0.0)
    return _last_maximum(np.where(bits == bits.max(axis=1, keepdims=True), mass, -1.0))


def _last_maximum(values: Doubles) -> Integers:
    """Of equal maxima along the last axis the last: the most specific of equal nodes."""
    place: Integers = values.shape[-1] - 1 - np.argmax(values[..., ::-1], axis=-1)
    return place


def expected_information(
    hierarchy: Hierarchy, probabilities: ArrayLike, nodes: Iterable[int]
) -> float:
    """What ``nodes`` tell of one image, in bits, by its probabilities (N,) (chapter 9).

    The mean over the classes of the information of the most specific of ``nodes`` above each, or of
    0 where there is none.
    """
    weights = hierarchy.vector(probabilities)
    return float(weights @ _information_by_class(hierarchy, nodes))


def _information_by_class(hierarchy: Hierarchy, nodes: Iterable[int]) -> Doubles:
    """For each class the information of the most specific of ``nodes`` above it."""
    information = np.zeros(len(hierarchy.classes))
    for node in node_numbers(hierarchy, [*nodes]).tolist():
        under = hierarchy.members[[node]].indices
        information[under] = np.maximum(information[under], hierarchy.information[node])
    return information


def diverse(hierarchy: Hierarchy, probabilities: ArrayLike, k: int) -> list[int]:
    """Up to ``k`` nodes that together tell much of one image, the best first (chapter 9).

    For probabilities (N,). Greedy for ``expected_information``, which is monotone and submodular:
    at least 1 - 1/e of what the best k nodes tell (Nemhauser, Wolsey and Fisher 1978). Of equals
    the most specific. Fewer than ``k`` where more nodes add nothing. 3 ms a node for the 21,841
    classes.
    """
    weights = hierarchy.vector(probabilities)
    under = hierarchy.members.indices
    starts = hierarchy.members.indptr[:-1]
    information = np.repeat(hierarchy.information, hierarchy.counts)
    chosen: list[int] = []
    while len(chosen) < k:
        known = _information_by_class(hierarchy, chosen)[under]
        added = np.maximum(information - known, 0) * weights[under]
        gains = np.add.reduceat(added, starts)
        best = int(_last_maximum(gains))
        if gains[best] <= 0:
            break
        chosen.append(best)
    return chosen


def prune(hierarchy: Hierarchy, probabilities: ArrayLike, nodes: Sequence[int]) -> list[int]:
    """``nodes`` without those that repeat another: none left is above another (chapter 9).

    Of all nodes above or below another, the one goes that costs least of ``expected_information``,
    of equals the more general; then again, until no node is above another. What is left tells less,
    and the guarantee of ``diverse`` no longer holds.
    """
    kept: list[int] = node_numbers(hierarchy, [*nodes]).tolist()
    related = _related(hierarchy, kept)
    while related:
        rests = [[node for node in kept if node != gone] for gone in related]
        left = [expected_information(hierarchy, probabilities, rest) for rest in rests]
        kept.remove(related[int(np.argmax(left))])
        related = _related(hierarchy, kept)
    return kept


def _related(hierarchy: Hierarchy, nodes: Sequence[int]) -> list[int]:
    """Those of ``nodes`` that are above or below another of them, the general ones first."""
    general_first = np.array(sorted(nodes), np.int64)
    above = hierarchy.above(general_first[:, None], general_first)
    # Each is above itself, in its row and in its column.
    related: list[int] = general_first[above.sum(axis=0) + above.sum(axis=1) > 2].tolist()
    return related


def accuracy_and_information(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike, thetas: Sequence[float]
) -> tuple[Doubles, Doubles]:
    """The share of ``climb``'s answers that are right, and their mean bits, by theta (chapter 9).

    An answer is right when it is the true class or above it. ``labels`` (n,): the true columns;
    images of label -1, whose class is none of the columns, are left out, and ValueError says when
    none remain. Of the masses, a block of rows is in memory at a time. ``thetas`` as for ``climb``.
    """
    labels = evaluate.labels_for(probabilities, labels)
    known = int(np.count_nonzero(labels >= 0))
    if not known:
        raise ValueError(
            "no image has a label: the true class must be one of the hierarchy's classes"
        )
    right = np.zeros(len(thetas))
    bits = np.zeros(len(thetas))
    for rows, mass in _mass_blocks(hierarchy, probabilities):
        inside = labels[rows] >= 0
        truth = hierarchy.classes[labels[rows][inside]]
        answers = np.stack([_answers(hierarchy, mass[inside], theta) for theta in thetas])
        right += np.count_nonzero(hierarchy.above(answers, truth), axis=1)
        bits += hierarchy.information[answers].sum(axis=1)
    return right / known, bits / known
