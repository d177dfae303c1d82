"""One answer an image: against definitions on random DAGs, and promises against many splits."""

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
THETAS = (0.01, 0.3, 0.5, 0.75, 0.99)
CHOOSERS = [wordnet.choose_theta, wordnet.choose_lambda]


def little() -> Hierarchy:
    return wordnet.build(["x", "y", "z", "y1"], LITTLE)


def drawn(tree: Hierarchy, seed: int, images: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels of which one at least is known."""
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.full(len(tree.classes), 0.5), images)
    labels = random.integers(-1, len(tree.classes), images)
    labels[0] = 0
    return p, labels


@given(HIERARCHIES, st.integers(0, 99))
def test_climb_gives_the_most_informative_node_that_is_likely_enough(tree: Hierarchy, seed: int):
    p, _ = drawn(tree, seed)
    for theta in THETAS:
        for mass, answer in zip(tree.mass(p), wordnet.climb(tree, p, theta), strict=True):
            enough = [node for node in range(len(tree)) if mass[node] >= theta]
            best = max(enough, key=lambda node: (tree.information[node], mass[node], node))
            assert answer == best


@given(HIERARCHIES)
def test_climbing_to_the_top_and_not_at_all(tree: Hierarchy):
    p = drawn(tree, 0, 3)[0].astype(np.float32)
    top = wordnet.climb(tree, p, 1.0)
    assert (tree.mass(p)[np.arange(3), top] > 1 - 1e-6).all()
    bottom = wordnet.climb(tree, p, 0.0)
    assert (tree.information[bottom] == tree.information.max()).all()
    assert wordnet.climb(tree, p, math.inf).tolist() == [0, 0, 0]
    assert wordnet.hedge(tree, p, math.inf).tolist() == [0, 0, 0]


@given(HIERARCHIES, st.integers(0, 99), st.sampled_from([0, 0.1, 1, 10, 1e6]))
def test_hedge_weighs_information_and_mass(tree: Hierarchy, seed: int, lam: float):
    p, _ = drawn(tree, seed)
    values = (tree.information + lam) * tree.mass(p)
    chosen = wordnet.hedge(tree, p, lam)
    best = values.max(axis=1)
    np.testing.assert_allclose(values[np.arange(len(p)), chosen], best, rtol=1e-12)


@given(HIERARCHIES, st.integers(0, 99))
def test_the_curve_is_climb_at_every_theta(tree: Hierarchy, seed: int):
    p, labels = drawn(tree, seed)
    inside = labels >= 0
    curve = wordnet.operating_curve(tree, p, labels)
    assert (np.diff(curve.theta) > 0).all()
    assert curve.theta[-1] == math.inf
    assert [curve.right[-1], curve.information[-1]] == pytest.approx([1, 0])
    # Of the last theta a rounded sum may be more than 1.
    for theta in [0.0, *THETAS, *curve.theta[curve.theta <= 1]]:
        at = np.searchsorted(curve.theta, theta)
        answers = wordnet.climb(tree, p, theta)[inside]
        right = tree.above(answers, tree.classes[labels[inside]])
        assert curve.right[at] == pytest.approx(right.mean())
        assert curve.information[at] == pytest.approx(tree.information[answers].mean())


def test_the_area_of_a_perfect_and_of_a_useless_network():
    tree = little()
    assert wordnet.operating_curve(tree, np.eye(4)[[0, 2, 3]], [0, 2, 3]).area == 1
    # Sure of z where the truth is x: only the root is right.
    assert wordnet.operating_curve(tree, np.eye(4)[[2]], [0]).area == 0.5


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch):
    tree = little()
    p, labels = drawn(tree, 0, 50)

    def everything() -> list[np.ndarray]:
        curve = wordnet.operating_curve(tree, p, labels)
        return [wordnet.climb(tree, p, 0.6), wordnet.hedge(tree, p, 1), *curve[:3]]

    whole = everything()
    monkeypatch.setattr("imnetlib.evaluate.scores.ROWS_PER_BLOCK", 3)
    for one, other in zip(whole, everything(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize(("error", "fitted"), [(0.1, 100), (0.05, 99), (0.25, 30)])
def test_the_chosen_theta_holds_what_it_promises(error: float, fitted: int):
    """Over 100 splits the errors lie about the share promised, within the binomial interval."""
    tree, p, labels = problem(0, 2_000)
    random = np.random.default_rng(1)
    wrong = []
    for _ in range(100):
        order = random.permutation(len(p))
        some = order[:fitted]
        theta = wordnet.choose_theta(tree, p[some], labels[some], error)
        new = order[fitted : fitted + 20]
        answers = wordnet.climb(tree, p[new], theta)
        wrong += (~tree.above(answers, tree.classes[labels[new]])).tolist()
    # Of a draw of n the errors promised are between error - 1 / (n + 1) and error; the spread over
    # the splits is that of a beta distribution beside that of the new images.
    spread = (error * (1 - error) * (1 / len(wrong) + 1 / (100 * fitted))) ** 0.5
    assert error - 1 / (fitted + 1) - 3 * spread <= np.mean(wrong) <= error + 3 * spread
    # A theta of 1 - error on the overconfident masses promises too much.
    naive = wordnet.climb(tree, p, 1 - error)
    assert 1 - tree.above(naive, tree.classes[labels]).mean() > 1.5 * error


@pytest.mark.parametrize("choose", CHOOSERS)
def test_the_choice_is_the_least_that_is_enough(choose):
    tree, p, labels = problem(2, 200)
    read = wordnet.climb if choose is wordnet.choose_theta else wordnet.hedge
    found = choose(tree, p, labels, 0.2)

    def errors(parameter: float) -> float:
        return 1 - tree.above(read(tree, p, parameter), tree.classes[labels]).mean()

    # The n + 1 correction costs the errors of theta one image.
    assert 0.19 <= errors(found) <= 0.2
    assert errors(found * 0.999) > errors(found)


@given(HIERARCHIES, st.integers(0, 99), st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
def test_the_score_of_an_image_is_the_largest_theta_with_a_wrong_answer(
    tree: Hierarchy, seed: int, theta: float
):
    p, labels = drawn(tree, seed)
    known = labels >= 0
    truth = tree.classes[labels[known]]
    scores = wordnet.theta_scores(tree, p, labels)
    right = tree.above(wordnet.climb(tree, p[known], theta), truth)
    assert right[scores < theta].all()
    for vector, node, score in zip(p[known], truth, scores, strict=True):
        if score >= 0:
            answer = wordnet.climb(tree, vector[None], min(1.0, score))
            assert not tree.above(answer, node)[0]


def test_too_few_images_promise_only_the_root():
    tree, p, labels = problem(3, 18)
    assert wordnet.choose_theta(tree, p, labels, 0.05) == math.inf
    sure = np.eye(4)[[2, 2, 2]]
    assert wordnet.choose_theta(little(), sure, [0, 0, 0], 0.3) == math.inf
    assert wordnet.choose_lambda(little(), sure, [0, 0, 0], 0.3) == math.inf
    right = np.eye(4)[[2] * 30]
    assert wordnet.choose_theta(little(), right, [2] * 30, 0.3) == 0
    assert wordnet.choose_lambda(little(), right, [2] * 30, 0.3) == 0
    nearly_all = 1 - 1e-12
    assert wordnet.conformal_quantile([0.5, 0.2], nearly_all) == 0.2
    assert wordnet.conformal_quantile([], nearly_all) == math.inf


def test_a_class_of_no_mass_is_no_safe_answer():
    """With a theta of 0 any class answers, though its mass is 0."""
    tree = little()
    p = np.array([[0.0, 1.0, 0.0, 0.0]] * 30)
    theta = wordnet.choose_theta(tree, p, [1] * 30, 0.1)
    answers = wordnet.climb(tree, p, theta)
    assert tree.above(answers, tree.classes[1]).all()


JUDGED = [*(lambda t, p, y, f=f: f(t, p, y, 0.1) for f in CHOOSERS), wordnet.operating_curve]


@pytest.mark.parametrize("call", JUDGED)
def test_labels_are_columns_and_some_are_known(call):
    tree = little()
    p = np.full((2, 4), 0.25)
    with pytest.raises(ValueError, match="no image has a label"):
        call(tree, p, np.array([-1, -1]))
    for labels in ([4, 0], [-2, 0], [0]):
        with pytest.raises(ValueError, match=r"labels \(\d,\) up to \d for \(2, 4\) outputs"):
            call(tree, p, labels)


def test_parameters_that_are_none_are_refused():
    tree = little()
    p = np.full((1, 4), 0.25)
    for theta in (80, -0.1, math.nan):
        with pytest.raises(ValueError, match="theta is a probability, 0 to 1, not"):
            wordnet.climb(tree, p, theta)
    for lam in (-1, math.nan):
        with pytest.raises(ValueError, match="lambda is 0 at least, not"):
            wordnet.hedge(tree, p, lam)
    with pytest.raises(TypeError, match=r"theta is a number, not '0\.8'"):
        wordnet.climb(tree, p, "0.8")
    for choose in CHOOSERS:
        with pytest.raises(ValueError, match="an error is a share"):
            choose(tree, p, [0], 5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_probabilities_rounded_in_half_precision_are_read(dtype):
    tree = wordnet.load()
    p = np.full((1, len(tree.classes)), 1 / len(tree.classes)).astype(dtype)
    assert wordnet.climb(tree, p, 1.0).tolist() == [0]
    assert tree.mass(p[0])[0] == pytest.approx(1, abs=0.01)
