"""Log loss, Brier score and temperature against definitions and SciPy's minimizer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax

from imnetlib import evaluate


def drawn(seed: int, classes: int = 5, images: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Logits twice as large as those from which the labels are drawn."""
    random = np.random.default_rng(seed)
    honest = random.standard_normal((images, classes)) * 2
    p = scipy_softmax(honest, axis=1)
    labels = (p.cumsum(axis=1) > random.random((images, 1))).argmax(axis=1)
    return 2 * honest, labels


def loss_by_definition(logits: np.ndarray, labels: np.ndarray) -> float:
    known = labels >= 0
    values = log_softmax(logits, axis=1)[known]
    return float(-values[np.arange(len(values)), labels[known]].mean())


@given(st.integers(0, 999), st.integers(2, 9))
def test_scores_by_definition(seed: int, classes: int):
    logits, labels = drawn(seed, classes)
    labels[3] = -1
    p = scipy_softmax(logits, axis=1)
    assert evaluate.log_loss(p, labels) == pytest.approx(loss_by_definition(logits, labels))
    known = labels >= 0
    squares = (p[known] - np.eye(classes)[labels[known]]) ** 2
    assert evaluate.brier_score(p, labels) == pytest.approx(squares.sum(axis=1).mean())


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_the_temperature_is_the_best_that_scipy_finds(logits: bool, seed: int):
    values, labels = drawn(seed)
    labels[:5] = -1
    found = evaluate.fit_temperature(
        values if logits else scipy_softmax(values, axis=1), labels, logits=logits
    )
    best = minimize_scalar(
        lambda log: loss_by_definition(values / np.exp(log), labels), bounds=(-4, 4)
    )
    assert found == pytest.approx(np.exp(best.x), rel=1e-3)
    assert loss_by_definition(values / found, labels) <= best.fun + 1e-9
    assert found > 1.2


def test_temperature_changes_probabilities_and_no_rank():
    values, labels = drawn(0)
    p = scipy_softmax(values, axis=1)
    for scores, logits in ((p, False), (values, True)):
        soft = evaluate.with_temperature(scores, 2, logits=logits)
        np.testing.assert_allclose(soft, scipy_softmax(values / 2, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(evaluate.ranks(soft, labels), evaluate.ranks(p, labels))
    assert evaluate.with_temperature(p[:0], 2).shape == (0, 5)


def test_the_limits_say_that_nothing_is_decided():
    values = 30 * np.eye(3)
    right = 0.1 * np.eye(3)
    assert evaluate.fit_temperature(right, [0, 1, 2], logits=True) == pytest.approx(0.01, rel=1e-3)
    # Where no temperature matters any more the search ends.
    assert 0.01 < evaluate.fit_temperature(values, [0, 1, 2], logits=True) < 1
    assert evaluate.fit_temperature(values, [1, 2, 0], logits=True) == pytest.approx(100, rel=1e-3)
    assert evaluate.fit_temperature(np.full((2, 3), 1 / 3), [0, 1]) > 0


def test_a_class_ruled_out_takes_no_part():
    values, labels = drawn(1)
    ruled_out = np.column_stack([values, np.full(len(values), -np.inf)])
    found = evaluate.fit_temperature(ruled_out, labels, logits=True)
    assert found == pytest.approx(evaluate.fit_temperature(values, labels, logits=True))
    # Of the image whose own class it is no temperature makes the loss finite.
    labels[0] = 5
    assert np.isfinite(evaluate.fit_temperature(ruled_out, labels, logits=True))


def test_a_true_class_of_probability_0_costs_87_nats():
    p = np.array([[1.0, 0.0], [0.5, 0.5]])
    assert evaluate.log_loss(p, [1, -1]) == pytest.approx(-np.log(np.finfo(np.float32).tiny))
    assert evaluate.brier_score(p, [1, -1]) == 2


@pytest.mark.parametrize("blocks", [1, 7])
def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch, blocks: int):
    values, labels = drawn(2)
    labels[:7] = -1
    p = scipy_softmax(values, axis=1)
    whole = evaluate.log_loss(p, labels), evaluate.brier_score(p, labels)
    monkeypatch.setattr("imnetlib.evaluate.scores.ROWS_PER_BLOCK", blocks)
    parts = evaluate.log_loss(p, labels), evaluate.brier_score(p, labels)
    assert parts == pytest.approx(whole)


@pytest.mark.parametrize(
    "call", [evaluate.log_loss, evaluate.brier_score, evaluate.fit_temperature]
)
def test_bad_input_is_refused(call):
    p = np.full((2, 3), 1 / 3)
    with pytest.raises(ValueError, match="one image at least has a label that is not -1"):
        call(p, [-1, -1])
    with pytest.raises(ValueError, match=r"labels \(1,\) up to 0 for \(2, 3\) outputs"):
        call(p, [0])
    with pytest.raises(ValueError, match="row 1: the outputs sum to 3, not 1: "):
        call(np.array([[0.2, 0.3, 0.5], [1.0, 1.0, 1.0]]), [0, 0])
    with pytest.raises(ValueError, match="row 0 of the scores holds NaN or infinity"):
        call(np.full((2, 3), np.nan), [0, 0])


def test_a_temperature_is_above_0():
    p = np.full((2, 3), 1 / 3)
    for temperature in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match="a temperature is above 0, not"):
            evaluate.with_temperature(p, temperature)
    with pytest.raises(TypeError, match="temperature is a number"):
        evaluate.with_temperature(p, "2")
    with pytest.raises(TypeError, match="logits is True or False"):
        evaluate.fit_temperature(p, [0, 0], logits=1)
