"""Sets of classes said in a few nodes, that hold the true class as often as promised (chapter 9).

An image's sets grow from its likeliest class to all classes, each holding the one before it, and
each is the union of a few nodes. One level of mass for all images says which of them is given.
After T. Mortier et al., Conformal prediction in hierarchical classification with constrained
representation complexity, 2025 (arXiv 2501.19038); here the hierarchy is a DAG.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from imnetlib import evaluate
from imnetlib.arguments import Integers, real_number, require, whole_number
from imnetlib.wordnet.climbing import conformal_quantile
from imnetlib.wordnet.hierarchy import Doubles, Hierarchy, known_labels


def node_sets(
    hierarchy: Hierarchy, probabilities: ArrayLike, level: float, k: int
) -> list[Integers]:
    """At most ``k`` nodes for each image, that together have more than ``level`` (chapter 9).

    For probabilities (n, N): the nodes of the image's first set whose mass is larger than
    ``level``, of ``choose_level``; where none is, nodes above all classes. ValueError for what are
    no probabilities and for a ``k`` below 1. 4 ms an image of 21,841 classes.
    """
    level = real_number("level", level)
    require(level >= 0, "level is a probability, or infinity", level)
    growth = _Growth(hierarchy, k)
    found = []
    for _, block in evaluate.probability_blocks(probabilities, len(hierarchy.classes)):
        for vector in block.astype(np.float64):
            found.append(growth.first_above(vector, level))
    return found


def choose_level(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike, error: float, k: int
) -> float:
    """The level with which ``node_sets`` misses the true class in a share ``error`` at most.

    Split conformal, as ``choose_theta``: it holds for new images that are alike, on average over
    all draws of them and of these. ``labels`` (n,): the true columns; images of label -1 are left
    out. Infinity where n images are too few to promise so much.
    """
    return conformal_quantile(level_scores(hierarchy, probabilities, labels, k), error)


def level_scores(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike, k: int
) -> Doubles:
    """The mass of each image's last set that lacks the true class, float64 (m,) (chapter 9).

    ``node_sets`` of a smaller level misses that class. ``labels`` and ``k`` as for
    ``choose_level``, which takes a ``conformal_quantile`` of these. 4 ms an image of 21,841
    classes.
    """
    truth = known_labels(probabilities, labels)
    growth = _Growth(hierarchy, k)
    scores = []
    for rows, block in evaluate.probability_blocks(probabilities, len(hierarchy.classes)):
        for vector, column in zip(block.astype(np.float64), truth[rows].tolist(), strict=True):
            if column >= 0:
                scores.append(growth.mass_without(vector, column))
    return np.array(scores)


class _Growth:
    """The sets of images, of at most ``k`` nodes each."""

    def __init__(self, hierarchy: Hierarchy, k: int) -> None:
        self.hierarchy = hierarchy
        self.k = whole_number("k", k)
        require(self.k > 0, "k is 1 at least", self.k)
        self.counts = hierarchy.counts.tolist()
        self._above: dict[int, frozenset[int]] = {}

    def sets(self, vector: Doubles) -> Iterator[tuple[list[int], float, Integers]]:
        """The nodes of each set, its mass, and the columns that it has more than the last."""
        covered = np.zeros(len(vector), np.bool_)
        nodes: list[int] = []
        mass = 0.0
        for column in np.argsort(-vector, kind="stable").tolist():
            if covered[column]:
                continue
            nodes = self._joined(nodes, int(self.hierarchy.classes[column]))
            while len(nodes) > self.k:
                pairs = itertools.combinations(nodes, 2)
                nodes = self._joined(nodes, min(map(self._common, pairs), key=self._size))
            under = np.unique(self.hierarchy.members[nodes].indices)
            new = under[~covered[under]].astype(np.int64)
            covered[new] = True
            mass += float(vector[new].sum())
            yield nodes, mass, new

    def first_above(self, vector: Doubles, level: float) -> Integers:
        """The nodes of the first set of more mass, or of the last set."""
        found: list[int] = []
        for nodes, mass, _ in self.sets(vector):
            found = nodes
            if mass > level:
                break
        return np.array(found, np.int64)

    def mass_without(self, vector: Doubles, column: int) -> float:
        """The mass of the last set that does not hold the column."""
        before = 0.0
        for _, mass, new in self.sets(vector):
            if column in new:
                break
            before = mass
        return before

    def _joined(self, nodes: Sequence[int], node: int) -> list[int]:
        """``nodes`` with another, without those under it."""
        return [*(each for each in nodes if node not in self._ancestors(each)), node]

    def _common(self, pair: tuple[int, int]) -> int:
        # The last of the common ancestors has the fewest classes.
        return max(self._ancestors(pair[0]) & self._ancestors(pair[1]))

    def _size(self, node: int) -> int:
        return int(self.counts[node])

    def _ancestors(self, node: int) -> frozenset[int]:
        if node not in self._above:
            self._above[node] = frozenset(self.hierarchy.ancestors[[node]].indices.tolist())
        return self._above[node]
