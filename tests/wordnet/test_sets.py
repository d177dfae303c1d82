"""Sets of few nodes: they grow with the level, and hold what is promised of new images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dags import LITTLE, dags
from hypothesis import given
from hypothesis import strategies as st
from problems import problem

from imnetlib import wordnet
from imnetlib.wordnet import Hierarchy

HIERARCHIES = dags().map(lambda drawn: wordnet.build(*drawn))


def classes_under(tree: Hierarchy, nodes: np.ndarray) -> set[int]:
    return set(tree.members[nodes].indices.tolist())


@given(HIERARCHIES, st.integers(1, 3), st.integers(0, 99))
def test_sets_grow_with_the_level_from_the_likeliest_class_to_all(
    tree: Hierarchy, k: int, seed: int
):
    p = np.random.default_rng(seed).dirichlet(np.full(len(tree.classes), 0.5), 2)
    smaller = [{column} for column in p.argmax(axis=1).tolist()]
    for level in (0.0, 0.3, 0.6, 0.9, math.inf):
        sets = wordnet.node_sets(tree, p, level, k)
        for row, nodes in enumerate(sets):
            held = classes_under(tree, nodes)
            assert 1 <= len(nodes) <= k
            assert smaller[row] <= held
            assert p[row][sorted(held)].sum() > min(level, 1 - 1e-9)
            in_line = tree.above(nodes[:, None], nodes)
            assert in_line.sum() == len(nodes), "none is above another"
            smaller[row] = held
    assert all(held == set(range(len(tree.classes))) for held in smaller)


def test_the_notes_picture_in_three_nodes():
    tree = wordnet.load()
    p = wordnet.invented_predictions(tree, 1, seed=3)
    (nodes,) = wordnet.node_sets(tree, p, 0.9, 3)
    assert {wordnet.name(tree.wnids[node]) for node in nodes} == {
        "tree",
        "bridge",
        "geological formation",
    }


@pytest.mark.parametrize("k", [1, 3])
def test_the_chosen_level_holds_what_it_promises(k: int):
    """Over 100 splits the misses lie about the share promised, within the binomial interval."""
    error = 0.2
    fitted = 29
    tree, p, labels = problem(0, 800)
    random = np.random.default_rng(1)
    missed = []
    for _ in range(100):
        some = random.choice(len(p), fitted + 10, replace=False)
        level = wordnet.choose_level(tree, p[some[:fitted]], labels[some[:fitted]], error, k)
        new = some[fitted:]
        sets = wordnet.node_sets(tree, p[new], level, k)
        for nodes, label in zip(sets, labels[new], strict=True):
            missed.append(not tree.above(nodes, tree.classes[label]).any())
    spread = (error * (1 - error) * (1 / len(missed) + 1 / (100 * fitted))) ** 0.5
    assert error - 1 / (fitted + 1) - 3 * spread <= np.mean(missed) <= error + 3 * spread


def test_a_class_is_in_the_set_just_where_its_score_is_at_the_level():
    tree, p, labels = problem(1, 60)
    labels[:20] = -1
    known = labels >= 0
    level = wordnet.choose_level(tree, p, labels, 0.2, 2)
    sets = wordnet.node_sets(tree, p[known], level, 2)
    held = [
        bool(tree.above(nodes, tree.classes[label]).any())
        for nodes, label in zip(sets, labels[known], strict=True)
    ]
    assert held == (wordnet.level_scores(tree, p, labels, 2) <= level).tolist()
    # The 33rd of 40 scores: that of ceil(41 * 0.8).
    assert sum(held) == 33


def test_too_few_images_promise_only_all_classes():
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    p = np.array([[0.7, 0.1, 0.1, 0.1]])
    level = wordnet.choose_level(tree, p, [0], 0.1, 1)
    assert level == math.inf
    assert [nodes.tolist() for nodes in wordnet.node_sets(tree, p, level, 1)] == [[0]]
    for k in (0, -1):
        with pytest.raises(ValueError, match="k is 1 at least"):
            wordnet.node_sets(tree, p, 0.5, k)
    with pytest.raises(ValueError, match="level is a probability, or infinity, not nan"):
        wordnet.node_sets(tree, p, math.nan, 1)
    with pytest.raises(ValueError, match="no image has a label"):
        wordnet.choose_level(tree, p, [-1], 0.1, 1)
