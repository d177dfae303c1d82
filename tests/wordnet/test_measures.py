"""What nodes cover, and how errors are related to the truth, on a small hierarchy."""

from __future__ import annotations

import numpy as np
import pytest
from dags import LITTLE

from imnetlib import wordnet

CLASSES = ["x", "y", "z", "y1"]
P = np.array([0.2, 0.3, 0.4, 0.1])


@pytest.fixture(scope="module")
def tree() -> wordnet.Hierarchy:
    return wordnet.build(CLASSES, LITTLE)


@pytest.mark.parametrize(
    ("names", "share"),
    [(["R"], 1), (["A"], 0.6), (["y"], 0.4), (["y1"], 0.1), (["A", "B"], 1), (["x", "z"], 0.6)],
)
def test_a_class_is_covered_once(tree: wordnet.Hierarchy, names: list[str], share: float):
    assert wordnet.coverage(tree, P, tree.nodes(names).tolist()) == pytest.approx(share)


def test_no_nodes_cover_nothing_and_other_classes_are_refused(tree: wordnet.Hierarchy):
    assert wordnet.coverage(tree, P, []) == 0
    with pytest.raises(ValueError, match=r"give 4 probabilities of one image, not \(3,\)"):
        wordnet.coverage(tree, P[:3], [0])


def test_shares_of_the_relations_sum_to_one(tree: wordnet.Hierarchy):
    predicted = tree.nodes(["x", "y", "y1", "x", "x"])
    truth = tree.nodes(["x", "y1", "y", "z", "y"])
    shares = wordnet.relation_shares(tree, predicted, truth)
    assert tuple(shares) == wordnet.RELATIONS
    assert list(shares.values()) == pytest.approx([0.2] * 5)


def test_without_errors_all_shares_are_zero(tree: wordnet.Hierarchy):
    none = np.array([], np.int64)
    assert set(wordnet.relation_shares(tree, none, none).values()) == {0}


def test_what_lies_under_a_parent_of_the_truth(tree: wordnet.Hierarchy):
    predicted = tree.nodes(["y", "y1", "z", "A", "R"])
    truth = tree.nodes(["x", "x", "x", "x", "x"])
    assert wordnet.under_parent(tree, predicted, truth).tolist() == [True, True, False, True, False]


@pytest.mark.parametrize("nodes", [[99_999], [-1], [0.5], ["a"], [0, 99_999]])
@pytest.mark.parametrize("call", [wordnet.coverage, wordnet.expected_information, wordnet.prune])
def test_nodes_that_are_none_are_refused(tree: wordnet.Hierarchy, call, nodes):
    p = np.full(len(tree.classes), 1 / len(tree.classes))
    with pytest.raises(ValueError, match=r"^nodes (go from 0 to|are whole numbers)"):
        call(tree, p, iter(nodes))


@pytest.mark.parametrize("call", [wordnet.relation_shares, wordnet.under_parent])
def test_pairs_of_nodes_are_pairs(tree: wordnet.Hierarchy, call):
    with pytest.raises(ValueError, match=r"predicted and true nodes are \(n,\) each, not \(\(2,\)"):
        call(tree, [0, 1], [0])
    with pytest.raises(ValueError, match="nodes go from 0 to"):
        call(tree, [-1], [0])
