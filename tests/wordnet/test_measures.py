"""What nodes cover, and how errors are related to the truth, on a small hierarchy."""

from __future__ import annotations

import numpy as np
import pytest
from dags import LITTLE, dags
from hypothesis import given
from hypothesis import strategies as st

from imnetlib import evaluate, wordnet

CLASSES = ["x", "y", "z", "y1"]
P = np.array([0.2, 0.3, 0.4, 0.1])


@pytest.fixture(scope="module")
def tree() -> wordnet.Hierarchy:
    return wordnet.build(CLASSES, LITTLE)


def test_shares_of_the_relations_sum_to_one(tree: wordnet.Hierarchy):
    predicted = tree.nodes(["x", "y", "y1", "x", "x"])
    truth = tree.nodes(["x", "y1", "y", "z", "y"])
    shares = wordnet.relation_shares(tree, predicted, truth)
    assert tuple(shares) == wordnet.RELATIONS
    assert list(shares.values()) == pytest.approx([0.2] * 5)


def test_without_errors_all_shares_are_zero(tree: wordnet.Hierarchy):
    none = np.array([], np.int64)
    assert set(wordnet.relation_shares(tree, none, none).values()) == {0}


@pytest.mark.parametrize("nodes", [[99_999], [-1], [0.5], ["a"], [0, 99_999]])
def test_nodes_that_are_none_are_refused(tree: wordnet.Hierarchy, nodes):
    p = np.full(len(tree.classes), 1 / len(tree.classes))
    with pytest.raises(ValueError, match=r"^nodes (go from 0 to|are whole numbers)"):
        wordnet.worth(tree, p, iter(nodes))


def test_pairs_of_nodes_are_pairs(tree: wordnet.Hierarchy):
    with pytest.raises(ValueError, match=r"predicted and true nodes are \(n,\) each, not \(\(2,\)"):
        wordnet.relation_shares(tree, [0, 1], [0])
    with pytest.raises(ValueError, match="nodes go from 0 to"):
        wordnet.relation_shares(tree, [-1], [0])


HIERARCHIES = dags().map(lambda drawn: wordnet.build(*drawn))


def ancestors(tree: wordnet.Hierarchy, node: int) -> set[int]:
    return set(tree.ancestors[[node]].indices.tolist())


def height(tree: wordnet.Hierarchy, node: int) -> int:
    """The longest way down, one edge after the other."""
    children = np.flatnonzero(tree.parents[:, [node]].toarray())
    return max((height(tree, child) + 1 for child in children), default=0)


@given(HIERARCHIES, st.integers(0, 99))
def test_severity_and_hierarchical_scores_by_definition(tree: wordnet.Hierarchy, seed: int):
    random = np.random.default_rng(seed)
    predicted, truth = random.integers(0, len(tree), (2, 5))
    off = wordnet.severity(tree, predicted, truth)
    shared = said = true = 0
    for node, other, found in zip(predicted, truth, off, strict=True):
        shared_height = height(tree, tree.lowest_common_ancestor([node, other]))
        assert found == (0 if node == other else shared_height)
        mine = ancestors(tree, node) - {0}
        theirs = ancestors(tree, other) - {0}
        shared += len(mine & theirs)
        said += len(mine)
        true += len(theirs)
    scores = wordnet.hierarchical_scores(tree, predicted, truth)
    assert scores.precision == (pytest.approx(shared / said) if said else 1)
    assert scores.recall == (pytest.approx(shared / true) if true else 1)
    if shared:
        harmonic = 2 / (1 / scores.precision + 1 / scores.recall)
        assert scores.f == pytest.approx(harmonic)


def test_distance_at_k_is_the_mean_severity_of_the_first_k(tree: wordnet.Hierarchy):
    columns = np.array([[0, 1], [2, 0], [1, 3]])
    # x is right; y and x meet in A, two edges high; z and x in the root, three edges high.
    assert wordnet.distance_at_k(tree, columns, [0, 0, -1]).tolist() == [1.5, 1.25]
    assert wordnet.distance_at_k(tree, columns[2:], [3]).tolist() == [1, 0.5]
    for labels in ([0, 0], [-1, -1, -1], [[0], [0], [0]]):
        with pytest.raises(ValueError, match=r"columns \(n, k\) and labels \(n,\), some not -1"):
            wordnet.distance_at_k(tree, columns, labels)
    for columns, labels, fault in (
        ([[0, -1]], [3], "columns go from 0 to 3, not"),
        ([[0, 4]], [3], "columns go from 0 to 3, not"),
        ([[0, 1], [0, 1]], [3, -7], "labels go from -1 to 3, not"),
        ([[0, 1]], [36], "labels go from -1 to 3, not"),
    ):
        with pytest.raises(ValueError, match=fault):
            wordnet.distance_at_k(tree, columns, labels)
    with pytest.raises(ValueError, match="give one prediction at least"):
        wordnet.hierarchical_scores(tree, np.zeros(0, int), np.zeros(0, int))


def test_a_perfect_network_is_never_off():
    full = wordnet.load(["n02510455", "n02084071", "n11620673", "n11621281"])
    columns = np.arange(4)[:, None]
    assert wordnet.distance_at_k(full, columns, np.arange(4)).tolist() == [0]


@given(HIERARCHIES, st.integers(1, 3), st.integers(0, 99))
def test_label_coverage_counts_true_labels(tree: wordnet.Hierarchy, k: int, seed: int):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(len(tree.classes), 0.3), 6)
    labels = random.integers(-1, len(tree.classes), 6)
    labels[0] = 0
    rows = []
    for vector, label in zip(p, labels, strict=True):
        if label >= 0:
            reading = wordnet.explain(tree, vector, k)
            true = int(tree.classes[label])
            held = [
                bits
                for node, bits, alone in zip(
                    reading.nodes, reading.information, reading.unspecified, strict=True
                )
                if (node == true if alone else tree.above(node, true))
            ]
            rank = int(evaluate.ranks(vector[None], [label])[0])
            named = len(reading.nodes)
            rows.append([len(held) > 0, rank < named, rank < k, named, max(held, default=0.0)])
    found = wordnet.label_coverage(tree, p, labels, k)
    assert found == pytest.approx(np.mean(rows, axis=0).tolist())


@given(HIERARCHIES)
def test_relatives_are_neighbours_in_the_order_of_classes(tree: wordnet.Hierarchy):
    order = wordnet.class_order(tree)
    assert sorted(order.tolist()) == list(range(len(tree.classes)))
    if (np.diff(tree.parents.indptr) <= 1).all():
        for node in range(len(tree)):
            under = np.isin(order, tree.members[[node]].indices)
            assert np.count_nonzero(np.diff(under, prepend=False, append=False)) == 2
