"""Readings of predictions against brute force on random DAGs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from dags import LITTLE, dags
from hypothesis import given
from hypothesis import strategies as st

from imnetlib import wordnet
from imnetlib.wordnet import Hierarchy

HIERARCHIES = dags().map(lambda drawn: wordnet.build(*drawn))
THETAS = (0.01, 0.3, 0.5, 0.75, 0.99)


def weights(tree: Hierarchy, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(len(tree.classes)))


def told(tree: Hierarchy, p: np.ndarray, nodes: tuple[int, ...]) -> float:
    """Expected information by its definition."""
    total = 0.0
    for node, share in zip(tree.classes, p, strict=True):
        above = [each for each in nodes if tree.above(each, node)]
        total += share * max((tree.information[each] for each in above), default=0.0)
    return float(total)


@given(HIERARCHIES, st.integers(0, 99))
def test_climb_gives_the_most_informative_node_that_is_likely_enough(tree: Hierarchy, seed: int):
    p = np.stack([weights(tree, seed), weights(tree, seed + 1)])
    for theta in THETAS:
        for row, answer in zip(p, wordnet.climb(tree, p, theta), strict=True):
            mass = tree.mass(row)
            enough = [node for node in range(len(tree)) if mass[node] >= theta]
            best = max(enough, key=lambda node: (tree.information[node], mass[node], node))
            assert answer == best


@given(HIERARCHIES)
def test_climbing_to_the_top_and_not_at_all(tree: Hierarchy):
    p = np.stack([weights(tree, seed) for seed in range(3)]).astype(np.float32)
    top = wordnet.climb(tree, p, 1.0)
    assert (tree.mass(p)[np.arange(3), top] > 1 - 1e-6).all()
    bottom = wordnet.climb(tree, p, 0.0)
    most = tree.information[bottom]
    assert (most == tree.information.max()).all()


@given(HIERARCHIES, st.integers(1, 4), st.integers(0, 99))
def test_greed_gets_its_guaranteed_share_of_the_best(tree: Hierarchy, k: int, seed: int):
    p = weights(tree, seed)
    nodes = wordnet.diverse(tree, p, k)
    best = max(
        told(tree, p, some) for some in itertools.combinations(range(len(tree)), min(k, len(tree)))
    )
    got = wordnet.expected_information(tree, p, nodes)
    assert got == pytest.approx(told(tree, p, tuple(nodes)))
    assert (1 - 1 / math.e) * best - 1e-9 <= got <= best + 1e-9
    assert len(set(nodes)) == len(nodes) <= k
    gains = np.diff([0.0, *(told(tree, p, tuple(nodes[:n])) for n in range(1, len(nodes) + 1))])
    assert (gains > 0).all()
    assert (np.diff(gains) <= 1e-9).all(), "each node adds no more than the one before"


@given(HIERARCHIES, st.integers(0, 99))
def test_the_first_node_is_the_best_single_one(tree: Hierarchy, seed: int):
    p = weights(tree, seed)
    worth = tree.mass(p) * tree.information
    first = wordnet.diverse(tree, p, 1)
    assert worth[first].sum() == pytest.approx(worth.max(initial=0.0))


@given(HIERARCHIES, st.integers(1, 5), st.integers(0, 99))
def test_pruned_nodes_are_no_ancestors_of_each_other(tree: Hierarchy, k: int, seed: int):
    p = weights(tree, seed)
    nodes = wordnet.diverse(tree, p, k)
    kept = wordnet.prune(tree, p, nodes)
    assert set(kept) <= set(nodes)
    assert bool(kept) == bool(nodes)
    assert not any(tree.above(a, b) for a, b in itertools.permutations(kept, 2))
    alone = [
        a
        for a in nodes
        if not any(a != b and (tree.above(a, b) or tree.above(b, a)) for b in nodes)
    ]
    assert set(alone) <= set(kept), "what stands in line with nothing stays"
    assert wordnet.prune(tree, p, kept) == kept


def test_of_two_in_line_the_one_goes_that_costs_less():
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    a, y = tree.nodes(["A", "y"]).tolist()
    mostly_y = np.array([0.05, 0.8, 0.05, 0.1])
    spread = np.array([0.8, 0.1, 0.05, 0.05])
    assert wordnet.prune(tree, mostly_y, [a, y]) == [y]
    assert wordnet.prune(tree, spread, [a, y]) == [a]


def test_the_notes_forest_becomes_one_node():
    """A prediction like the note's, made up: five conifers, a valley and a bridge."""
    tree = wordnet.load()
    shares = {
        "n11620673": 0.18, "n11624531": 0.17, "n11621281": 0.12, "n11628456": 0.1,
        "n11627908": 0.08, "n09468604": 0.2, "n04366367": 0.15,
    }  # fmt: skip
    p = np.zeros(len(tree.classes))
    p[np.searchsorted([tree.wnids[node] for node in tree.classes], list(shares))] = list(
        shares.values()
    )
    nodes = wordnet.diverse(tree, p, 3)
    assert {wordnet.name(tree.wnids[node]) for node in nodes} == {
        "conifer",
        "valley",
        "suspension bridge",
    }
    assert wordnet.prune(tree, p, nodes) == nodes
    answers = wordnet.climb(tree, p[None], 0.6)
    assert [wordnet.name(tree.wnids[node]) for node in answers] == ["conifer"]


@given(HIERARCHIES, st.integers(0, 99))
def test_accuracy_and_information_by_definition(tree: Hierarchy, seed: int):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(len(tree.classes)), 7)
    labels = random.integers(-1, len(tree.classes), 7)
    # At least one is known.
    labels[0] = 0
    right, bits = wordnet.accuracy_and_information(tree, p, labels, THETAS)
    inside = labels >= 0
    for theta, share, mean in zip(THETAS, right, bits, strict=True):
        answers = wordnet.climb(tree, p, theta)[inside]
        assert share == pytest.approx(np.mean(tree.above(answers, tree.classes[labels[inside]])))
        assert mean == pytest.approx(np.mean(tree.information[answers]))


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch):
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    labels = np.random.default_rng(1).integers(0, 4, 50)
    whole = wordnet.climb(tree, p, 0.6), *wordnet.accuracy_and_information(tree, p, labels, THETAS)
    monkeypatch.setattr("imnetlib.evaluate.scores.ROWS_PER_BLOCK", 3)
    parts = wordnet.climb(tree, p, 0.6), *wordnet.accuracy_and_information(tree, p, labels, THETAS)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_no_label_at_all_is_an_error():
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    with pytest.raises(ValueError, match="no image has a label"):
        wordnet.accuracy_and_information(tree, np.full((2, 4), 0.25), np.array([-1, -1]), THETAS)


def test_what_are_no_probabilities_is_refused():
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    good = np.array([0.2, 0.3, 0.4, 0.1])
    bad = np.array([0.2, np.nan, 0.4, 0.1])
    with pytest.raises(ValueError, match="theta is a probability, 0 to 1, not 80"):
        wordnet.climb(tree, good[None], 80)
    with pytest.raises(ValueError, match="theta is a probability, 0 to 1, not 80"):
        wordnet.accuracy_and_information(tree, good[None], [0], [0.5, 80])
    for labels in ([4], [-2], [0, 1]):
        with pytest.raises(ValueError, match=r"labels \(\d,\) up to \d for \(1, 4\) outputs"):
            wordnet.accuracy_and_information(tree, good[None], labels, [0.5])
    with pytest.raises(ValueError, match="row 1 of the scores holds NaN"):
        wordnet.climb(tree, np.stack([good, bad]), 0.5)
    with pytest.raises(ValueError, match=r"give a row for each image, \(n, N\), not \(4,\)"):
        wordnet.climb(tree, good, 0.5)
    for one in (good[:2], np.append(good, 0)):
        with pytest.raises(ValueError, match="give 4 probabilities of one image"):
            wordnet.diverse(tree, one, 2)


LOGITS = np.log([0.2, 0.3, 0.4, 0.1])
READINGS = {
    "climb": lambda tree, p: wordnet.climb(tree, p[None], 0.5),
    "curve": lambda tree, p: wordnet.accuracy_and_information(tree, p[None], [0], [0.5]),
    "diverse": lambda tree, p: wordnet.diverse(tree, p, 2),
    "prune": lambda tree, p: wordnet.prune(tree, p, [0, 1, 2]),
    "coverage": lambda tree, p: wordnet.coverage(tree, p, [0]),
    "expected_information": lambda tree, p: wordnet.expected_information(tree, p, [0]),
    "mass": lambda tree, p: tree.mass(p),
}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize(
    ("p", "total"),
    [
        (LOGITS, "-6.032"),
        (LOGITS + 10, "33.97"),
        (np.array([20, 30, 40, 10]), "100"),
        (np.array([0.7, 0.4, -0.2, 0.1]), "1"),
        (np.array([0.2, np.nan, 0.4, 0.1]), "nan"),
        (np.array([0.2, np.inf, 0.4, 0.1]), "inf"),
        (np.array([0.3, 0.3, 0.3, 0.05]), "0.95"),
    ],
)
def test_only_probabilities_are_read(reading: str, p: np.ndarray, total: str):
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    if reading == "mass" and total == "0.95":
        # Those of some of a network's classes.
        assert tree.mass(p)[0] == pytest.approx(0.95)
        return
    fault = f"row 0: the outputs sum to {total}, not 1, or are negative|holds NaN or infinity"
    with pytest.raises(ValueError, match=fault):
        READINGS[reading](tree, p)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_probabilities_rounded_in_half_precision_are_read(dtype):
    tree = wordnet.load()
    p = np.full((1, len(tree.classes)), 1 / len(tree.classes)).astype(dtype)
    assert wordnet.climb(tree, p, 1.0).tolist() == [0]
    assert wordnet.coverage(tree, p[0], [0]) == pytest.approx(1, abs=0.01)
