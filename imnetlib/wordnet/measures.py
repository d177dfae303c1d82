"""Measures along the hierarchy: what nodes cover, how errors are related (chapter 9)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Integers
from imnetlib.wordnet.hierarchy import RELATIONS, Hierarchy, node_numbers, node_pairs


def coverage(hierarchy: Hierarchy, probabilities: ArrayLike, nodes: Iterable[int]) -> float:
    """How likely one of ``nodes`` is the true class or above it, for probabilities (N,).

    ValueError for another number of classes, and for nodes that are none.
    """
    vector = hierarchy.vector(probabilities)
    covered = np.zeros(len(hierarchy.classes))
    for node in node_numbers(hierarchy, [*nodes]).tolist():
        covered[hierarchy.members[[node]].indices] = 1
    return float(vector @ covered)


def relation_shares(hierarchy: Hierarchy, predicted: Integers, truth: Integers) -> dict[str, float]:
    """The share of each of ``RELATIONS`` among predicted and true nodes, (n,) and (n,).

    Zeros where there are no predictions.
    """
    kinds = hierarchy.relations(predicted, truth)
    counts = np.bincount(kinds, minlength=len(RELATIONS)) / max(1, len(kinds))
    return dict(zip(RELATIONS, counts.tolist(), strict=True))


def under_parent(hierarchy: Hierarchy, predicted: Integers, truth: Integers) -> NDArray[np.bool_]:
    """Where the predicted node is a parent of the true one or under it, (n,) and (n,) to bool (n,).

    There the parent would have been a right answer for both.
    """
    node, other = node_pairs(hierarchy, predicted, truth)
    above = hierarchy.ancestors[node].multiply(hierarchy.parents[other])
    return np.asarray(above.sum(axis=1) > 0)
