"""WordNet's nouns above ImageNet's classes, as arrays: masses, ancestors, kinship (chapter 9).

The hierarchy is a DAG, not a tree: a node may have several parents, and a class may stand above
other classes. Edges come from ``data/hypernyms.tsv``; NLTK is not needed. Needs NumPy and SciPy's
sparse arrays only.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from imnetlib import catalog

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# of a prediction to the truth
RELATIONS = ("exact", "ancestor", "descendant", "sibling", "other")


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """N classes and all their ancestors, from general to specific: every node comes after its
    ancestors.

    Nodes are numbered by the classes under them, most first, then by their ancestors, fewest first,
    then by wnid: the root is node 0, and of several nodes the one with the greatest number tells
    most.

    ``wnids``: the id of each node. ``classes``: int64 (N,), the node of each class, in the order
    they were given. ``counts``: int64 (nodes,), distinct classes at or under each node.
    ``information``: float64 (nodes,), in bits, log2 N - log2 counts. Sparse, bool: ``parents``
    (nodes, nodes), direct ones; ``ancestors`` (nodes, nodes), each node itself among them.
    ``members``: sparse (nodes, N), 1.0 for each class at or under a node.
    """

    wnids: tuple[str, ...]
    classes: Integers
    counts: Integers
    information: Floats
    parents: csr_array[np.bool_]
    ancestors: csr_array[np.bool_]
    members: csr_array[np.float64]

    def __len__(self) -> int:
        return len(self.wnids)

    def nodes(self, wnids: Iterable[str]) -> Integers:
        """The node of each wnid; KeyError names one that is neither a class here nor above one."""
        numbers = {wnid: number for number, wnid in enumerate(self.wnids)}
        try:
            return np.array([numbers[wnid] for wnid in wnids], np.int64)
        except KeyError as error:
            raise KeyError(
                f"{error.args[0]!r} is no class of this hierarchy, nor above one"
            ) from None

    def mass(self, probabilities: ArrayLike) -> Floats:
        """Per node the sum over its distinct classes, (..., N) to (..., nodes), in float64 (chapter
        9).

        A class counts once however many ways lead up from it, so no node gets more than the root.
        ValueError for another number of classes. The 21,841 classes cost up to 1 ms and 0.2 MB an
        image.
        """
        given = np.asarray(probabilities)
        if given.ndim == 0 or given.shape[-1] != len(self.classes):
            raise ValueError(
                f"the last axis holds {len(self.classes):,} classes; the shape is {given.shape}"
            )
        mass: Floats = self.members @ given.reshape(-1, given.shape[-1]).T
        return np.ascontiguousarray(mass.T).reshape(*given.shape[:-1], len(self))

    def lowest_common_ancestor(self, nodes: ArrayLike) -> int:
        """Of all common ancestors the one with most information; of equals the one with most
        ancestors.

        A node counts as its own ancestor. ValueError for no nodes at all.
        """
        some = np.atleast_1d(np.asarray(nodes, np.int64))
        if not len(some):
            raise ValueError("no nodes have no common ancestor: give at least one")
        shared = np.bincount(self.ancestors[some].indices, minlength=len(self)) == len(some)
        return int(np.flatnonzero(shared)[-1])

    def above(self, nodes: ArrayLike, others: ArrayLike) -> NDArray[np.bool_]:
        """Where each of ``nodes`` is an ancestor of, or the same as, its partner in ``others``;
        they broadcast.
        """
        starts = self.ancestors.indptr
        found = self.ancestors.indices
        # sorted
        pairs = np.repeat(np.arange(len(self)) * len(self), np.diff(starts)) + found
        asked = np.asarray(others, np.int64) * len(self) + np.asarray(nodes, np.int64)
        return np.asarray(pairs[np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)] == asked)

    def relations(self, predicted: ArrayLike, truth: ArrayLike) -> Integers:
        """What each predicted node is to the true one, (n,) and (n,) to (n,): positions in
        ``RELATIONS``.

        An ancestor is right but vague, a descendant says more than the truth does, siblings share a
        parent.
        """
        one, other = (np.atleast_1d(np.asarray(nodes, np.int64)) for nodes in (predicted, truth))
        share = self.parents[one].multiply(self.parents[other]).sum(axis=1) > 0
        cases = [one == other, self.above(one, other), self.above(other, one), share]
        return np.select(cases, range(len(cases)), default=len(cases)).astype(np.int64)


def load(classes: Sequence[str] | None = None) -> Hierarchy:
    """The hierarchy above ``classes``, in their order: a model's own, or by default the 21,841
    (chapter 9).

    KeyError names a class that is none of ImageNet's; ValueError where classes repeat. 0.2 s.
    """
    wnids = catalog.wnids_21k() if classes is None else classes
    for wnid in classes or ():
        # raises where there is no such class
        catalog.label(wnid)
    words = catalog.data_file("hypernyms.tsv").read_text(encoding="ascii").split()[2:]
    return build(wnids, list(zip(words[::2], words[1::2], strict=True)))


def build(classes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Hierarchy:
    """The hierarchy above ``classes`` along ``edges`` (node, parent); edges elsewhere do not count
    (chapter 9).

    ValueError for no classes, for classes that repeat, for edges in a circle and for more than one
    root.
    """
    names = sorted({*classes, *(name for edge in edges for name in edge)})
    numbers = {name: number for number, name in enumerate(names)}
    own = np.array([numbers[wnid] for wnid in classes], np.int64)
    if not len(own) or len(np.unique(own)) != len(own):
        raise ValueError(
            f"of {len(own):,} classes {len(set(classes)):,} are distinct: give one at least, each once"
        )
    ends = np.array([(numbers[node], numbers[parent]) for node, parent in edges], np.int64).reshape(
        -1, 2
    )
    closure = _closure(_matrix(ends, len(names)))
    counts = np.bincount(closure[own].indices, minlength=len(names))
    above = np.diff(closure.indptr)
    # stable: equals stay sorted by wnid
    order = np.lexsort((above, -counts))[: np.count_nonzero(counts)]
    if np.count_nonzero(above[order] == 1) != 1:
        raise ValueError("the classes have more than one root: add a node above all of them")
    place = np.full(len(names), -1)
    place[order] = np.arange(len(order))
    ancestors = closure[order][:, order]
    ancestors.sort_indices()
    return Hierarchy(
        wnids=tuple(names[number] for number in order.tolist()),
        classes=place[own],
        counts=counts[order],
        information=np.log2(len(own)) - np.log2(counts[order]),
        parents=_matrix(place[ends[counts[ends[:, 0]] > 0]], len(order)),
        ancestors=ancestors,
        members=ancestors[place[own]].T.tocsr().astype(np.float64),
    )


def _matrix(ends: Integers, size: int) -> csr_array[Any]:
    """True at each pair (row, column) of ``ends``."""
    ones = np.ones(len(ends), np.bool_)
    return coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(size, size)).tocsr()


def _closure(parents: csr_array[Any]) -> csr_array[Any]:
    """Each node with itself and all that is above it, by squaring; ValueError where a node is above
    itself.
    """
    size = parents.shape[0]
    closure: csr_array[Any] = parents + _matrix(np.arange(size).repeat(2).reshape(-1, 2), size)
    pairs = 0
    while closure.nnz != pairs:
        pairs = closure.nnz
        closure = closure @ closure
    if parents.diagonal().any() or closure.multiply(closure.T).nnz != size:
        raise ValueError("the edges lead in a circle: some node is its own ancestor")
    return closure


def contract(hierarchy: Hierarchy) -> Hierarchy:
    """The hierarchy with only those nodes that tell its classes apart (chapter 9).

    Nodes with the same classes under them become one, the most specific of them, and an edge stays
    where no other way leads from its one end to the other. What is left is WordNet as a model with
    few classes can see it: there two classes can be siblings though in WordNet each has a parent of
    its own, which holds no other class.
    """
    sets = hierarchy.members.indices
    bounds = hierarchy.members.indptr.tolist()
    keys = [sets[start:end].tobytes() for start, end in itertools.pairwise(bounds)]
    last = {key: node for node, key in enumerate(keys)}
    merged = np.array([last[key] for key in keys])[np.stack(hierarchy.parents.nonzero(), axis=1)]
    parents = _matrix(merged[merged[:, 0] != merged[:, 1]], len(hierarchy))
    # two edges up or more
    further = parents @ parents @ _closure(parents)
    direct = parents.astype(np.int8) - parents.multiply(further)
    names = hierarchy.wnids
    edges = [(names[node], names[parent]) for node, parent in zip(*direct.nonzero(), strict=True)]
    return build([names[node] for node in hierarchy.classes], edges)


@functools.cache
def _inner() -> dict[str, tuple[str, str]]:
    """Wnid → first name and gloss, of the nodes that are no classes."""
    lines = catalog.data_file("inner_nodes.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return {wnid: (names.split(", ")[0], gloss) for wnid, names, gloss in rows}


def name(wnid: str) -> str:
    """The first name of a class or of a node above one: ``conifer``; KeyError if unknown (chapter
    9).
    """
    return _inner()[wnid][0] if wnid in _inner() else catalog.classes()[wnid].names[0]


def gloss(wnid: str) -> str:
    """What WordNet says a class or a node above one is; KeyError if unknown (chapter 9)."""
    return _inner()[wnid][1] if wnid in _inner() else catalog.classes()[wnid].gloss
