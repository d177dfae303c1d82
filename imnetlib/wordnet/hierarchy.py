"""WordNet's nouns above ImageNet's classes, as arrays: masses, ancestors, relations (chapter 9).

The hierarchy is a DAG, not a tree: a node may have several parents, and a class may be above other
classes. Edges come from ``data/hypernyms.tsv``, those of nouns that are none of ImageNet's classes
from ``data/nouns.tsv``. Needs NumPy and SciPy's sparse arrays, not NLTK.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array

from imnetlib import catalog, evaluate
from imnetlib.arguments import Integers, in_order, require, require_several, whole_numbers
from imnetlib.wordnet.nouns import other_noun

Doubles = NDArray[np.float64]

# Of a prediction to the truth.
RELATIONS = ("exact", "ancestor", "descendant", "sibling", "other")


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """N classes and all their ancestors, every node after its own ancestors.

    Nodes are numbered by the classes under them, most first, then by their ancestors, fewest first,
    then by wnid: the root is node 0, and of several nodes the last is the most specific.

    ``wnids``: the id of each node. ``classes``: int64 (N,), the node of each class, in the order
    they were given. ``counts``: int64 (nodes,), distinct classes at or under each node.
    ``information``: float64 (nodes,), in bits, log2 N - log2 counts. Sparse, bool: ``parents``
    (nodes, nodes), direct ones; ``ancestors`` (nodes, nodes), each node itself among them.
    ``members``: sparse (nodes, N), float32, 1.0 for each class at or under a node.
    """

    wnids: tuple[str, ...]
    classes: Integers
    counts: Integers
    information: Doubles
    parents: csr_array[np.bool_]
    ancestors: csr_array[np.bool_]
    members: csr_array[np.float32]

    def __len__(self) -> int:
        return len(self.wnids)

    def nodes(self, wnids: Iterable[str]) -> Integers:
        """The node of each wnid; KeyError names one that is neither a class here nor above one."""
        require_several("wnids", wnids)
        numbers = {wnid: number for number, wnid in enumerate(self.wnids)}
        try:
            return np.array([numbers[wnid] for wnid in wnids], np.int64)
        except KeyError as error:
            wnid = error.args[0]
            raise KeyError(f"{wnid!r} is not a class of this hierarchy, nor above one") from None

    def mass(self, probabilities: ArrayLike) -> NDArray[Any]:
        """The probability under each node, (..., N) to (..., nodes) (chapter 9).

        Of one image, of many or of none. A class counts once however many ways lead up from it, so
        no node gets more than the root. Float64 gives float64. Float32 and float16 are summed in
        float32: of c classes the relative error is below c / 2**24, 0.13 % at the root of 21,841,
        and 0.002 % where it was measured. ValueError for another number of classes and for what are
        no probabilities, as logits are not. The 21,841 classes cost up to 0.5 ms and 0.1 MB an
        image.
        """
        given = np.asarray(probabilities)
        classes = len(self.classes)
        require(given.shape[-1:] == (classes,), f"give {classes:,} classes an image", given.shape)
        rows = evaluate.probability_rows(given.reshape(-1, classes), classes)
        return np.ascontiguousarray(self._masses(rows).T).reshape(*given.shape[:-1], len(self))

    def mass_blocks(self, probabilities: ArrayLike) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Slices of rows of probabilities (n, N), and their masses, (nodes, rows), as in ``mass``.

        Of a memory-mapped file one block is in memory.
        """
        for rows, block in evaluate.probability_blocks(probabilities, len(self.classes)):
            yield rows, self._masses(block)

    def _masses(self, rows: NDArray[Any]) -> NDArray[Any]:
        # Contiguous columns halve the time of the product.
        masses: NDArray[Any] = self.members @ np.ascontiguousarray(rows.T)
        return masses

    def vector(self, probabilities: ArrayLike) -> Doubles:
        """The probabilities of one image, float64 (N,); ValueError for others, and for logits."""
        given = np.asarray(probabilities)
        require(given.ndim == 1, "give the probabilities of one image, (N,)", given.shape)
        row = evaluate.probability_rows(given[None], len(self.classes))[0]
        vector: Doubles = row.astype(np.float64)
        return vector

    def lowest_common_ancestor(self, nodes: ArrayLike) -> int:
        """The common ancestor with most information; of equals the one with most ancestors.

        A node counts as its own ancestor. ValueError for no nodes at all.
        """
        chosen = node_numbers(self, nodes).ravel()
        if not len(chosen):
            raise ValueError("no nodes have no common ancestor: give at least one")
        times = np.bincount(self.ancestors[chosen].indices, minlength=len(self))
        return int(np.flatnonzero(times == len(chosen))[-1])

    def above(self, nodes: ArrayLike, others: ArrayLike) -> NDArray[np.bool_]:
        """Where each of ``nodes`` is its partner in ``others``, or above it; they broadcast."""
        size = len(self)
        # Each pair as one number: ascending, as rows and columns are.
        rows = np.repeat(np.arange(size), np.diff(self.ancestors.indptr))
        pairs = rows * size + self.ancestors.indices
        asked = node_numbers(self, others) * size + node_numbers(self, nodes)
        place = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
        return np.asarray(pairs[place] == asked)

    def relations(self, predicted: ArrayLike, truth: ArrayLike) -> Integers:
        """What each predicted node is to the true one, (n,), as a position in ``RELATIONS``.

        An ancestor is right but vague, a descendant says more than the truth does, siblings share a
        parent.
        """
        node, other = node_pairs(self, predicted, truth)
        siblings = self.parents[node].multiply(self.parents[other]).sum(axis=1) > 0
        cases = [node == other, self.above(node, other), self.above(other, node), siblings]
        return np.select(cases, range(len(cases)), default=len(cases)).astype(np.int64)


def node_numbers(hierarchy: Hierarchy, nodes: ArrayLike) -> Integers:
    """``nodes`` as int64; ValueError for one that the hierarchy has not."""
    numbers = whole_numbers("nodes", nodes)
    outside = numbers[(numbers < 0) | (numbers >= len(hierarchy))].tolist()
    require(not outside, f"nodes go from 0 to {len(hierarchy) - 1}", outside[:10])
    return numbers


def node_pairs(
    hierarchy: Hierarchy, predicted: ArrayLike, truth: ArrayLike
) -> tuple[Integers, Integers]:
    """Predicted and true nodes, (n,) each; ValueError where they are not as many."""
    node = np.atleast_1d(node_numbers(hierarchy, predicted))
    other = np.atleast_1d(node_numbers(hierarchy, truth))
    shapes = (node.shape, other.shape)
    require(node.shape == other.shape, "predicted and true nodes are (n,) each", shapes)
    return node, other


def known_labels(probabilities: ArrayLike, labels: ArrayLike) -> Integers:
    """The true columns, (n,), some of them not -1; ValueError for any others."""
    truth = evaluate.labels_for(probabilities, labels)
    if not (truth >= 0).any():
        raise ValueError(
            "no image has a label: the true class must be one of the hierarchy's classes"
        )
    return truth


def load(classes: Sequence[str] | None = None) -> Hierarchy:
    """The hierarchy above a model's ``classes``, in their order, or above all 21,841 (chapter 9).

    Any noun of WordNet 3.0 may be a class. KeyError names one that is none; ValueError where
    classes repeat. 0.2 s; 0.3 s with a noun that is none of ImageNet's classes.
    """
    words = catalog.data_file("hypernyms.tsv").read_text(encoding="ascii").split()[2:]
    edges = list(zip(words[::2], words[1::2], strict=True))
    if classes is None:
        return build(catalog.wnids_21k(), edges)
    own = in_order("classes", classes)
    return build(own, edges + _edges_above(own))


def _edges_above(wnids: Sequence[str]) -> list[tuple[str, str]]:
    """The edges that lead up to ImageNet's classes, or the root, from nouns that are none."""
    edges = []
    # Grows while it is read.
    ahead = [wnid for wnid in wnids if wnid not in catalog.classes()]
    known = {*catalog.classes(), *ahead}
    for wnid in ahead:
        for hypernym in other_noun(wnid)[0].split():
            edges.append((wnid, hypernym))
            if hypernym not in known:
                known.add(hypernym)
                ahead.append(hypernym)
    return edges


def build(classes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Hierarchy:
    """The hierarchy above ``classes`` along ``edges``, pairs (node, parent) (chapter 9).

    Edges that lead up from none of them do not count. ValueError for no classes, for classes that
    repeat, for edges in a circle and for more than one root.
    """
    classes = in_order("classes", classes)
    names = sorted({*classes, *(name for edge in edges for name in edge)})
    numbers = {name: number for number, name in enumerate(names)}
    own = np.array([numbers[wnid] for wnid in classes], np.int64)
    distinct = len(set(classes))
    if not 0 < distinct == len(own):
        raise ValueError(
            f"of {len(own):,} classes {distinct:,} are distinct: give one at least, each once"
        )
    pairs = [(numbers[node], numbers[parent]) for node, parent in edges]
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    closure = _closure(_matrix(ends, len(names)))
    counts = np.bincount(closure[own].indices, minlength=len(names))
    above = np.diff(closure.indptr)
    # Of the nodes above some class. The sort is stable, so that equals stay sorted by wnid.
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
        members=ancestors[place[own]].T.tocsr().astype(np.float32),
    )


def _matrix(ends: Integers, size: int) -> csr_array[Any]:
    """True at each pair (row, column) of ``ends``."""
    ones = np.ones(len(ends), np.bool_)
    return coo_array((ones, (ends[:, 0], ends[:, 1])), shape=(size, size)).tocsr()


def _closure(parents: csr_array[Any]) -> csr_array[Any]:
    """Each node with itself and all above it, by squaring; ValueError where one is above itself."""
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

    Nodes with the same classes under them become one, the most specific of them, and an edge goes
    where a path of two or more edges joins the same nodes. What is left is WordNet as a model with
    few classes can see it: two classes can be siblings there although in WordNet each has a parent
    of its own, which holds no other class.
    """
    members = hierarchy.members.indices
    bounds = hierarchy.members.indptr.tolist()
    keys = [members[start:end].tobytes() for start, end in itertools.pairwise(bounds)]
    last = {key: node for node, key in enumerate(keys)}
    merged = np.array([last[key] for key in keys])
    ends = merged[np.stack(hierarchy.parents.nonzero(), axis=1)]
    parents = _matrix(ends[ends[:, 0] != ends[:, 1]], len(hierarchy))
    two_up_or_more = parents @ parents @ _closure(parents)
    direct = parents.astype(np.int8) - parents.multiply(two_up_or_more)
    names = hierarchy.wnids
    edges = [(names[node], names[parent]) for node, parent in zip(*direct.nonzero(), strict=True)]
    return build([names[node] for node in hierarchy.classes], edges)
