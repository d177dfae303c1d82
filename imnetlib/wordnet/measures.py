"""Measures along the hierarchy: what nodes cover and tell, how far errors are off (chapter 9)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imnetlib import evaluate
from imnetlib.arguments import Integers, require, whole_numbers
from imnetlib.wordnet.explanation import explain
from imnetlib.wordnet.hierarchy import RELATIONS, Doubles, Hierarchy, known_labels, node_pairs


class HierarchicalScores(NamedTuple):
    """Precision, recall and their harmonic mean over sets of ancestors."""

    precision: float
    recall: float
    f: float


class LabelCoverage(NamedTuple):
    """How often what is named of an image holds its true class.

    ``nodes``: by the nodes of ``explain``. ``as_many``: by as many of the likeliest classes.
    ``classes``: by the k likeliest. ``named``: the mean number of nodes. ``information``: the mean
    bits of the node that holds the true class, 0 where none does.
    """

    nodes: float
    as_many: float
    classes: float
    named: float
    information: float


def label_coverage(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike, k: int = 5
) -> LabelCoverage:
    """What ``explain`` covers of the true labels, beside the likeliest classes (chapter 9).

    Of probabilities (n, N), ``labels`` (n,) the true columns; images of label -1 are left out, and
    ValueError says when none remain. 50,000 images of 21,841 classes: 3 to 5 minutes.
    """
    truth = known_labels(probabilities, labels)
    ranks = []
    readings = []
    for rows, block in evaluate.probability_blocks(probabilities, len(hierarchy.classes)):
        known = truth[rows] >= 0
        ranks.append(evaluate.ranks(block[known], truth[rows][known]))
        readings += [explain(hierarchy, vector, k) for vector in block[known]]
    rank = np.concatenate(ranks)
    named = np.array([len(reading.nodes) for reading in readings])
    image = np.repeat(np.arange(len(named)), named)
    nodes = np.concatenate([reading.nodes for reading in readings])
    unspecified = np.concatenate([reading.unspecified for reading in readings])
    information = np.concatenate([reading.information for reading in readings])
    true = hierarchy.classes[truth[truth >= 0]][image]
    held = np.where(unspecified, nodes == true, hierarchy.above(nodes, true))
    bits = np.full(len(named), -1.0)
    np.maximum.at(bits, image[held], information[held])
    shares = (bits >= 0, rank < named, rank < k, named, np.maximum(bits, 0))
    return LabelCoverage(*(float(share.mean()) for share in shares))


def relation_shares(hierarchy: Hierarchy, predicted: Integers, truth: Integers) -> dict[str, float]:
    """The share of each of ``RELATIONS`` among predicted and true nodes, (n,) and (n,).

    Zeros where there are no predictions.
    """
    kinds = hierarchy.relations(predicted, truth)
    counts = np.bincount(kinds, minlength=len(RELATIONS)) / max(1, len(kinds))
    return dict(zip(RELATIONS, counts.tolist(), strict=True))


def hierarchical_scores(
    hierarchy: Hierarchy, predicted: ArrayLike, truth: ArrayLike
) -> HierarchicalScores:
    """Precision and recall over the ancestors of predicted and true nodes, (n,) each (chapter 9).

    S. Kiritchenko et al., 2006: of all ancestors of the predictions, themselves among them and the
    root left out, the share that is above the truth; and the other way round. Where all predictions
    are the root, nothing false is said: precision is 1. ValueError for no predictions.
    """
    node, other = node_pairs(hierarchy, predicted, truth)
    require(len(node) > 0, "give one prediction at least", node.shape)
    sizes = np.diff(hierarchy.ancestors.indptr) - 1
    shared = int(hierarchy.ancestors[node].multiply(hierarchy.ancestors[other]).nnz) - len(node)
    said = int(sizes[node].sum())
    true = int(sizes[other].sum())
    f = 2 * shared / (said + true) if said + true else 1.0
    return HierarchicalScores(shared / said if said else 1.0, shared / true if true else 1.0, f)


def severity(hierarchy: Hierarchy, predicted: ArrayLike, truth: ArrayLike) -> Integers:
    """The height of the lowest common ancestor of predicted and true nodes, (n,) each (chapter 9).

    L. Bertinetto et al., Making better mistakes, CVPR 2020. The height of a node is the longest way
    down from it, in edges. A right answer is 0, also that of a class above others.
    """
    node, other = node_pairs(hierarchy, predicted, truth)
    shared = hierarchy.ancestors[node].multiply(hierarchy.ancestors[other]).tocsr()
    shared.sort_indices()
    # Nodes come after their ancestors, so the last is the lowest.
    lowest = shared.indices[shared.indptr[1:] - 1]
    return np.where(node == other, 0, _heights(hierarchy)[lowest])


def _heights(hierarchy: Hierarchy) -> Integers:
    heights = [0] * len(hierarchy)
    child, parent = hierarchy.parents.nonzero()
    for node, above in zip(child[::-1].tolist(), parent[::-1].tolist(), strict=True):
        heights[above] = max(heights[above], heights[node] + 1)
    return np.array(heights, np.int64)


def distance_at_k(hierarchy: Hierarchy, columns: ArrayLike, labels: ArrayLike) -> Doubles:
    """The mean severity of the first 1, 2, ... k ``columns`` (n, k): HD@k, (k,) (chapter 9).

    Bertinetto et al. 2020. ``columns``: the first of ``evaluate.best_columns`` or ``rerank``;
    ``labels`` (n,): the true ones; images of label -1 are left out. HD@1 of a network that is
    always right is 0; further classes are wrong ones, so with them no network has 0. ValueError for
    what are no columns.
    """
    best = whole_numbers("columns", columns)
    truth = whole_numbers("labels", labels)
    fits = best.ndim == 2 and truth.shape == best.shape[:1] and bool((truth >= 0).any())
    require(fits, "columns (n, k) and labels (n,), some not -1", (best.shape, truth.shape))
    for name, values, lowest in (("columns", best, 0), ("labels", truth, -1)):
        outside = values[(values < lowest) | (values >= len(hierarchy.classes))].tolist()
        require(not outside, f"{name} go from {lowest} to {len(hierarchy.classes) - 1}", outside)
    best = best[truth >= 0]
    true = np.repeat(truth[truth >= 0], best.shape[1])
    off = severity(hierarchy, hierarchy.classes[best.ravel()], hierarchy.classes[true])
    by_place = off.reshape(best.shape).mean(axis=0)
    mean: Doubles = np.cumsum(by_place) / np.arange(1, len(by_place) + 1)
    return mean


def class_order(hierarchy: Hierarchy) -> Integers:
    """The columns in an order in which relatives are neighbours, (N,) (chapter 9).

    As one meets the classes going down from the root, each under the last of its parents, and those
    with most classes under them first: the order of a table of confusions, say.
    """
    starts = hierarchy.parents.indptr.tolist()
    parents = hierarchy.parents.indices
    ways: list[tuple[int, ...]] = []
    for node in range(len(hierarchy)):
        above = parents[starts[node] : starts[node + 1]]
        ways.append((*(ways[above.max()] if len(above) else ()), node))
    columns = sorted(range(len(hierarchy.classes)), key=lambda each: ways[hierarchy.classes[each]])
    return np.array(columns, np.int64)
