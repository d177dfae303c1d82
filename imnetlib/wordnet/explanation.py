"""A prediction told in a few nodes, none of them above another (chapter 9).

What is named should be true, tell much, and say nothing twice. So a node is worth its mass times
what it tells, and naming several nodes costs a little of what they have in common: five conifers
are one conifer, while a valley and a bridge, which have next to nothing in common, are two things.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Integers, require, require_type, whole_number
from imnetlib.wordnet.hierarchy import Doubles, Hierarchy, node_numbers

# The share of a common ancestor's worth that each further node under it costs. A conifer tells
# 0.92, one class 0.99: with 0.08 no set of single conifers is worth as much as the conifer, and
# a cat and a dog (carnivore: 0.87) are still told apart. What has nothing in common with the best
# node costs nothing by that, so it has to be as large a share of what that node and noise leave.
PRICE = 0.08
# What is named has this mass, and more than its fair share, n / N for n of N classes. A class that
# has less than LEAST_MASS, or than some times 1 / N, may be noise: their sum is spread evenly over
# all classes and taken off. Noise strays less from 1 / N where it has few values to stray with, so
# it is FAIR_SHARES times that for MANY classes or more, and for fewer the nearer to once.
LEAST_MASS = 0.01
FAIR_SHARES = 2
MANY = 30
# What is left has to be this share of that sum (the largest of 21,841 lognormal values, exp of 2
# standard normal ones, has 7 % of their sum, or more in one vector of 30) or, where noise is more
# even, so many times the largest of them; and as many standard deviations of what a node so large
# gets where the classes under NO_NOISE fall at random.
NOISE_SHARE = 0.1
TIMES_LARGEST = 3
DEVIATIONS = 3.0
NO_NOISE = 0.05

# The worth of the best nodes found under one, and these nodes, for 0, 1, ... k of them.
_Best: TypeAlias = list[tuple[float, tuple[int, ...]]]


class Reading(NamedTuple):
    """The nodes that explain an image, heaviest first; ``len(reading.nodes)`` may be 0.

    ``nodes``: int64 (m,), no class under two of them. ``mass``: float64 (m,), the probability under
    each. ``information``: float64 (m,), what each tells, in bits. ``covered``: the probability
    under all of them. ``unspecified``: bool (m,), where not the node is meant but the class of its
    own that it also is: "fir, unspecified", without the firs under it; mass and information are
    those of that class.
    """

    nodes: Integers
    mass: Doubles
    information: Doubles
    covered: float
    unspecified: NDArray[np.bool_]


def explain(hierarchy: Hierarchy, probabilities: ArrayLike, k: int = 5) -> Reading:
    """At most ``k`` nodes that tell what is in one image, by its probabilities (N,) (chapter 9).

    No class is under two of them, so that their masses add up, and of nodes with the same classes
    the most specific is named. Their ``worth`` together is as large as is found: the best there is
    where no node has several parents; elsewhere nodes are then exchanged, one at a time, as long as
    that gains, from the best in a tree, from the best one alone, and from none: worth 1 / k of the
    best at least. ``k`` is a limit, not a quota: a node is named only with a mass of 1 % that
    noise does not explain, with more than its fair share (n / N, of n classes), and with 8 % of
    what the best node and noise leave; and splitting one into its parts has to pay. Where nearly
    all mass of a node is on the class that it is itself, that class is named. Where all classes are
    about equally likely (of 2 none has 53 %, of 30 or more twice 1 / N) no class is named. Noise on
    a few of many classes has the masses of a few things: what passes that floor is named, whichever
    it is. ValueError for a ``k`` below 1 and for what are no probabilities. 2 ms an image of 21,841
    classes, 9 ms where dozens of unrelated classes are likely.
    """
    k = whole_number("k", k)
    require(k > 0, "k is 1 at least", k)
    vector = hierarchy.vector(probabilities)
    mass = hierarchy.mass(vector)
    search = _Search(hierarchy, vector, mass, np.flatnonzero(mass >= LEAST_MASS))
    chosen = search.best_in_tree(k)
    if not search.is_tree:
        found = [search.exchanged(start, k) for start in (chosen, search.best, [])]
        chosen = max(found, key=search.worth)
    return search.reading(chosen)


def worth(hierarchy: Hierarchy, probabilities: ArrayLike, nodes: Iterable[int]) -> float:
    """What ``explain`` makes as large as it can, for ``nodes`` and the probabilities (N,).

    A node is worth its mass, without what noise gives it, times 1 - sqrt(share), with the share of
    all classes that is under it: the root tells nothing, and two bits halve what is missing to 1.
    Where the class that a node is itself is worth more than all under it, it stands for the node.
    Less, for each node but the most general, 8 % of the worth of the last ancestor that it has in
    common with one before it. In a tree that is: where a node is split in j parts, j - 1 times 8 %
    of its worth. ValueError where a class is under two of the nodes (chapter 9).
    """
    require_type(nodes, Iterable, "nodes are several, such as (3,)")
    vector = hierarchy.vector(probabilities)
    numbers = np.unique(node_numbers(hierarchy, [*nodes]))
    if not len(numbers):
        return 0.0
    under = hierarchy.members[numbers].indices
    require(len(np.unique(under)) == len(under), "no class is under two nodes", numbers.tolist())
    above = np.unique(hierarchy.ancestors[numbers].indices)
    search = _Search(hierarchy, vector, hierarchy.mass(vector), above.astype(np.int64))
    return search.worth(np.searchsorted(above, numbers).tolist())


class _Noise:
    """What noise gives a node, by the small probabilities of one image."""

    def __init__(self, vector: Doubles) -> None:
        count = len(vector)
        fair = (1 + (FAIR_SHARES - 1) * min(1, count / MANY)) / count
        small = vector[vector < max(LEAST_MASS, fair)]
        self.mass = float(small.sum())
        self.level = self.mass / count
        self.largest = min(NOISE_SHARE * self.mass, TIMES_LARGEST * float(small.max(initial=0)))
        light = vector[vector < max(NO_NOISE, fair)]
        self.deviation = float(np.sqrt(light @ light / count))

    def most(self, sizes: Integers) -> Doubles:
        """What noise adds to its average in nodes of so many classes."""
        # A single class has what it has: only others can fall on it by chance.
        by_chance = DEVIATIONS * self.deviation * np.sqrt(sizes - 1)
        most: Doubles = np.maximum(self.largest, by_chance)
        return most


class _Search:
    """Nodes of a hierarchy with all their ancestors, as positions 0, 1, ..., general ones first."""

    def __init__(
        self, hierarchy: Hierarchy, vector: Doubles, mass: Doubles, nodes: Integers
    ) -> None:
        noise = _Noise(vector)
        self.hierarchy = hierarchy
        self.nodes = nodes
        self.vector = vector
        self.level = noise.level
        # Row i, column j: i is j or above it.
        self.above = hierarchy.ancestors[nodes][:, nodes].toarray().T
        line = self.above | self.above.T
        self.overlap = line | self._share_a_class()
        self.worths = mass[nodes] - noise.level * hierarchy.counts[nodes]
        self.worths *= self._told(hierarchy.counts[nodes])
        self._name(noise, mass[nodes])
        # The last ancestor of each but the root.
        strictly = np.triu(self.above, 1)
        last = len(nodes) - 1 - np.argmax(strictly[::-1], axis=0)
        self.parents = np.where(strictly.any(axis=0), last, -1).tolist()
        self.is_tree = bool((self.overlap == line).all())
        self.common: dict[tuple[int, int], int] = {}

    def _share_a_class(self) -> NDArray[np.bool_]:
        """Whether both of two positions, neither above the other, are above the same class.

        Then some node from which the ways to both lead apart is under both.
        """
        parents = np.diff(self.hierarchy.parents.indptr)
        above = self.hierarchy.ancestors[np.flatnonzero(parents > 1)][:, self.nodes]
        return np.asarray((above.T @ above).toarray())

    def _name(self, noise: _Noise, mass: Doubles) -> None:
        """What is said where a position is named, the node or the class that it is itself."""
        sizes = self.hierarchy.counts[self.nodes]
        columns = np.full(len(self.hierarchy), -1)
        columns[self.hierarchy.classes] = np.arange(len(self.vector))
        own = columns[self.nodes]
        alone = (self.vector[own] - noise.level) * self._told(1)
        self.unspecified = (own >= 0) & (sizes > 1) & (alone > self.worths)
        self.sizes = np.where(self.unspecified, 1, sizes)
        self.mass = np.where(self.unspecified, self.vector[own], mass)
        self.worths_named = np.where(self.unspecified, alone, self.worths)
        over = self.mass - noise.level * self.sizes
        least = np.maximum(LEAST_MASS, self.sizes / len(self.vector))
        enough = (self.mass >= least) & (over >= noise.most(self.sizes))
        self.likely = enough & (self.worths_named > 0)
        # Not a node with the same classes under it as a later one.
        same = np.triu(self.above & (sizes[:, None] == sizes), 1)
        self.likely &= ~same.any(axis=1)
        best = int(np.argmax(np.where(self.likely, self.worths_named, 0)))
        left = 1 - float(self.mass[best]) - noise.mass
        self.likely &= self.mass >= min(float(self.mass[best]), PRICE * left)
        self.best = [best] if self.likely[best] else []

    def _told(self, sizes: Integers | int) -> Doubles:
        told: Doubles = 1 - np.sqrt(np.asarray(sizes) / len(self.vector))
        return told

    def worth(self, positions: list[int]) -> float:
        """What ``positions``, no two with a class in common, are worth together."""
        worth = float(self.worths_named[positions].sum())
        ascending = sorted(positions)
        for place, position in enumerate(ascending[1:], 1):
            last = max(self._common(position, other) for other in ascending[:place])
            worth -= PRICE * max(0.0, float(self.worths[last]))
        return worth

    def _common(self, position: int, other: int) -> int:
        """The last common ancestor."""
        if (position, other) not in self.common:
            shared = self.above[:, position] & self.above[:, other]
            self.common[position, other] = int(np.flatnonzero(shared)[-1])
        return self.common[position, other]

    def _worths_in_tree(self) -> Doubles:
        """What each position is worth where a class is under its last ancestor only."""
        bounds = self.hierarchy.members.indptr
        under = self.hierarchy.members.indices
        last = np.zeros(len(self.vector), np.int64)
        for position, node in enumerate(self.nodes.tolist()):
            last[under[bounds[node] : bounds[node + 1]]] = position
        mass = np.bincount(last, self.vector - self.level, len(self.nodes))
        for position in range(len(mass) - 1, 0, -1):
            mass[self.parents[position]] += mass[position]
        worths: Doubles = mass * self._told(self.hierarchy.counts[self.nodes])
        return worths

    def best_in_tree(self, k: int) -> list[int]:
        """The k positions at most of most worth, none above another, in a tree.

        Exact, by dynamic programming: what is best under a node is the node, or the best of its
        children, j nodes divided among them in every way.
        """
        in_tree = self._worths_in_tree()
        worths = np.where(self.unspecified, self.worths_named, in_tree)
        prices = (PRICE * np.maximum(in_tree, 0)).tolist()
        # The last is for the root, which has no parent.
        under: list[_Best] = [[(0.0, ())] for _ in range(len(self.nodes) + 1)]
        for position in reversed(range(len(self.nodes))):
            best = under[position]
            parent = self.parents[position]
            if self.likely[position]:
                alone = (float(worths[position]), (position,))
                more = best[1:] or best
                best = [best[0], *(each if each[0] >= alone[0] else alone for each in more)]
            under[parent] = _divided(under[parent], best, k, prices[parent])
        return list(under[-1][-1][1])

    def exchanged(self, chosen: list[int], k: int) -> list[int]:
        """``chosen``, none overlapping another any more, bettered by one position at a time.

        One comes in place of those that it overlaps and, where there are k others, of the one
        without which the others are worth most.
        """
        kept: list[int] = []
        for _, node in sorted(zip(-self.worths_named[chosen], chosen, strict=True)):
            if self._apart(node, kept) == kept:
                kept.append(node)
        best, without, rest = self._with_rest(kept, k)
        improved = True
        while improved:
            improved = False
            for node in np.flatnonzero(self.likely).tolist():
                others = self._apart(node, kept)
                # Nothing adds more to others than it is worth alone.
                most = self.worths_named[others].sum()
                if others == kept:
                    others = rest
                    most = without
                if most + self.worths_named[node] <= best:
                    continue
                found = self.worth([*others, node])
                if found > best * (1 + 1e-9):
                    kept = [*others, node]
                    best, without, rest = self._with_rest(kept, k)
                    improved = True
        return kept

    def _with_rest(self, kept: list[int], k: int) -> tuple[float, float, list[int]]:
        """The worth of ``kept``; that of the best k - 1 of them at most; and these."""
        best = self.worth(kept)
        if len(kept) < k:
            return best, best, kept
        rests = [[each for each in kept if each != one] for one in kept]
        return best, *max((self.worth(rest), rest) for rest in rests)

    def _apart(self, node: int, others: list[int]) -> list[int]:
        """Those of ``others`` that have no class in common with the node."""
        return [each for each in others if not self.overlap[each, node]]

    def reading(self, chosen: list[int]) -> Reading:
        """The positions as a reading."""
        positions = np.array(sorted(chosen, key=lambda each: (-self.mass[each], each)), np.int64)
        return Reading(
            self.nodes[positions],
            self.mass[positions],
            np.log2(len(self.vector)) - np.log2(self.sizes[positions]),
            float(self.mass[positions].sum()),
            self.unspecified[positions],
        )


def _divided(some: _Best, others: _Best, k: int, price: float) -> _Best:
    """The best of j nodes from two lists together, for j = 0, 1, ... k; from both for a price."""
    if len(some) == 1:
        return others
    found: _Best = [some[0]]
    for j in range(1, min(k, len(some) + len(others) - 2) + 1):
        best = found[-1]
        for i in range(max(0, j + 1 - len(others)), min(j, len(some) - 1) + 1):
            left = some[i]
            right = others[j - i]
            worth = left[0] + right[0] - (price if left[1] and right[1] else 0.0)
            if worth > best[0]:
                best = (worth, left[1] + right[1])
        found.append(best)
    return found
