"""Expected costs by the formula against the dense matrix of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from dags import LITTLE, dags
from hypothesis import given
from hypothesis import strategies as st

from imnetlib import wordnet
from imnetlib.wordnet import Hierarchy

HIERARCHIES = dags().map(lambda drawn: wordnet.build(*drawn))


def dense(tree: Hierarchy, weights: np.ndarray) -> np.ndarray:
    """The cost of taking one class for another, for all pairs."""
    above = [set(tree.ancestors[[node]].indices.tolist()) for node in tree.classes]
    return np.array([[sum(weights[node] for node in a ^ b) for b in above] for a in above])


@given(HIERARCHIES, st.integers(0, 99))
def test_costs_are_those_of_the_dense_matrix(tree: Hierarchy, seed: int):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(len(tree.classes)), 3)
    weights = random.random(len(tree))
    columns, costs = wordnet.rerank(tree, p, len(tree.classes), weights)
    expected = p @ dense(tree, weights)
    np.testing.assert_allclose(costs, np.sort(expected, axis=1), rtol=1e-5, atol=1e-6)
    chosen = np.take_along_axis(expected, columns, axis=1)
    np.testing.assert_allclose(chosen, costs, rtol=1e-5, atol=1e-6)


def test_in_a_tree_the_cost_is_the_distance_in_bits():
    edges = [("a", "R"), ("b", "R"), ("x", "a"), ("y", "a"), ("z", "b"), ("u", "b"), ("v", "b")]
    tree = wordnet.build(["x", "y", "z", "u", "v", "a"], edges)
    columns, costs = wordnet.rerank(tree, np.eye(6), 6)
    for truth in range(6):
        for column, cost in zip(columns[truth], costs[truth], strict=True):
            node, other = tree.classes[[column, truth]]
            shared = tree.information[tree.lowest_common_ancestor([node, other])]
            bits = tree.information[node] + tree.information[other] - 2 * shared
            assert cost == pytest.approx(bits, abs=1e-6)


def test_a_relative_of_many_likely_classes_comes_first():
    tree = wordnet.load(["n02084071", "n02085620", "n02085782", "n02123394"])
    # The likeliest class is a cat, but most of the mass is on dogs.
    p = np.array([[0.0, 0.32, 0.33, 0.35]])
    columns, costs = wordnet.rerank(tree, p, 2)
    assert p.argmax() == 3
    assert 3 not in columns[0]
    assert (np.diff(costs) >= 0).all()


@pytest.mark.parametrize("weights", [[1, 2], *(np.full(7, x) for x in (-1, np.nan, np.inf))])
def test_weights_are_one_for_each_node(weights):
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    with pytest.raises(ValueError, match="weights are 7 finite numbers of 0 or more, not"):
        wordnet.rerank(tree, np.full((1, 4), 0.25), 1, weights)
