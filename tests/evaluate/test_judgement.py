"""One pass judges as the metrics do; a wrong order of the columns shows in what is chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import outputs

from imnetlib import evaluate


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("logits", [False, True])
def test_one_pass_finds_what_the_metrics_find(dtype, logits: bool):
    scores, labels, _ = outputs(500, classes=7)
    labels[::9] = -1
    scores = (30 * np.log(scores) + 1000 if logits else scores).astype(dtype)
    seen: list[int] = []
    found = evaluate.judge(scores, labels, (None, [0, 3]), logits=logits, advance=seen.append)
    assert sum(seen) == 500
    for rank, columns in zip(found.ranks, (None, [0, 3]), strict=True):
        assert np.array_equal(rank, evaluate.ranks(scores, labels, columns))
    probabilities = evaluate.softmax(scores) if logits else scores
    assert np.array_equal(found.chosen, scores.argmax(axis=1))
    assert np.array_equal(found.confidence, probabilities.max(axis=1).astype(np.float32))


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (np.log(outputs(300)[0]), outputs(300)[1], "row 0: the outputs sum to -"),
        (outputs(300)[0], outputs(299)[1], r"labels \(299,\)"),
        (np.full((300, 3), np.nan), outputs(300)[1], "row 0 of the scores holds NaN"),
    ],
)
def test_what_cannot_be_judged_is_refused(scores, labels, message: str):
    with pytest.raises(ValueError, match=message):
        evaluate.judge(scores, labels)


def test_classes_are_compared_by_name():
    assert evaluate.align(["b", "x", "a"], ("a", "b")).tolist() == [1, -1, 0]
    with pytest.raises(TypeError, match="wnids are several"):
        evaluate.align(["b"], "ab")


def choices(rng: np.random.Generator, classes: int, images: int, accuracy: float) -> tuple:
    """Labels, and columns that are right for ``accuracy`` of the images, and else by chance."""
    labels = np.repeat(np.arange(classes), images)
    guessed = rng.integers(0, classes, len(labels))
    return labels, np.where(rng.random(len(labels)) < accuracy, labels, guessed)


sizes = st.sampled_from([(2, 60), (3, 40), (10, 10), (36, 4), (36, 50), (300, 6)])
seeds = st.integers(0, 2**32).map(np.random.default_rng)


@given(seeds, sizes, st.floats(0.7, 1))
def test_columns_in_another_order_are_noticed(rng, size: tuple[int, int], accuracy: float):
    labels, chosen = choices(rng, *size, accuracy)
    # No class keeps its column.
    order = rng.permutation(size[0])
    moved = np.empty(size[0], np.int64)
    moved[order] = np.roll(order, 1)
    found = evaluate.permutation_suspected(labels, moved[chosen])
    assert found == pytest.approx(np.mean(labels == chosen), abs=0.35)
    assert evaluate.permutation_suspected(moved[labels], moved[chosen]) is None


@given(seeds, sizes, st.floats(0, 1))
def test_neither_good_nor_poor_networks_are_suspected(rng, size: tuple[int, int], accuracy: float):
    labels, chosen = choices(rng, *size, accuracy)
    assert evaluate.permutation_suspected(labels, chosen) is None


@given(seeds, st.integers(1, 5), st.integers(10, 50), st.floats(0, 1))
def test_an_untrained_network_that_chooses_few_columns_is_not_suspected(
    rng, few: int, classes: int, alike: float
):
    """It takes like images for the same column, whatever they are."""
    labels = np.repeat(np.arange(classes), 50)
    columns = rng.choice(classes, few, replace=False)
    habit = columns[rng.integers(0, few, classes)][labels]
    other = columns[rng.integers(0, few, len(labels))]
    chosen = np.where(rng.random(len(labels)) < alike, habit, other)
    assert evaluate.permutation_suspected(labels, chosen) is None


@given(seeds, st.integers(2, 10), st.floats(0.5, 1))
def test_a_few_classes_taken_for_one_another_are_not_suspected(rng, few: int, accuracy: float):
    labels, chosen = choices(rng, 36, 50, accuracy)
    taken_for = np.arange(36)
    taken_for[:few] = np.roll(taken_for[:few], 1)
    assert evaluate.permutation_suspected(labels, taken_for[chosen]) is None


def test_one_class_for_a_whole_family_is_not_suspected():
    labels = np.repeat(np.arange(30), 50)
    assert evaluate.permutation_suspected(labels, labels // 3 * 3) is None
    # Most images are of one class, and all are taken for another.
    assert evaluate.permutation_suspected(np.repeat([0, 1, 2], [900, 5, 5]), [3] * 910) is None


def test_a_list_that_is_shifted_from_the_middle_on_is_noticed():
    labels, chosen = choices(np.random.default_rng(0), 1000, 20, 0.7)
    shifted = np.where(chosen >= 500, (chosen - 499) % 500 + 500, chosen)
    assert evaluate.permutation_suspected(labels, shifted) == pytest.approx(0.7, abs=0.02)


def test_among_21841_columns_as_among_the_classes_of_the_images():
    rng = np.random.default_rng(0)
    labels, chosen = choices(rng, 1000, 50, 0.42)
    order = rng.permutation(21_841)
    assert evaluate.permutation_suspected(labels, order[chosen]) == pytest.approx(0.42, abs=0.01)
    assert evaluate.permutation_suspected(order[labels], order[chosen]) is None


@pytest.mark.parametrize("labels", [[], [-1, -1], [0], list(range(500))])
def test_too_few_images_tell_nothing(labels: list[int]):
    assert evaluate.permutation_suspected(labels, np.abs(labels[::-1])) is None


def test_labels_and_choices_are_whole_and_as_many():
    for function in (evaluate.permutation_suspected, evaluate.confusions):
        with pytest.raises(ValueError, match=r"labels \(2,\) and chosen columns \(3,\) are \(n,\)"):
            function([0, 1], [0, 1, 2])
        with pytest.raises(
            ValueError, match=r"chosen columns are whole numbers of 64 bits, not 0\.5"
        ):
            function([0, 1], [0.5, 1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_classes_that_a_mask_rules_out(dtype: type):
    logits = np.array([[1, -np.inf, 3, -np.inf], [-np.inf, 0, -np.inf, -np.inf]], dtype)
    judged = evaluate.judge(logits, [0, 0], logits=True)
    assert judged.ranks[0].tolist() == [1, 3]
    assert judged.chosen.tolist() == [2, 1]
    assert judged.confidence.tolist() == pytest.approx([1 / (1 + np.exp(-2)), 1])
    columns, values = evaluate.best_columns(logits, 4)
    assert [sorted(row) for row in columns.tolist()] == [[0, 1, 2, 3]] * 2
    assert values.tolist() == np.sort(logits)[:, ::-1].tolist()
    with pytest.raises(ValueError, match="row 0: the outputs sum to -inf, not 1"):
        evaluate.judge(logits, [0, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: evaluate.judge([[1.0]], [0], logits="no"), TypeError, "logits is True or False"),
        (lambda: evaluate.ranks([[0.5, 0.5]], [0], 1), ValueError, "columns are several"),
        (lambda: evaluate.top_k_accuracy([0], 5), TypeError, "ks are several, such as"),
        (lambda: evaluate.top_k_accuracy([0], [0]), ValueError, "k is 1 at least, not 0"),
        (lambda: evaluate.align(["a"], {"a", "b"}), TypeError, "wnids have an order: give a list"),
        (lambda: evaluate.align({"a", "b"}, ["a"]), TypeError, "true classes have an order"),
        (lambda: evaluate.align(["a"], "ab"), TypeError, "wnids are several"),
    ],
)
def test_what_would_give_other_figures_is_refused(call, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        call()


def test_classes_from_any_ordered_iterable():
    wnids = {"b": 1, "a": 2}
    assert evaluate.align(iter("ab"), wnids.keys()).tolist() == [1, 0]


@pytest.mark.parametrize("logits", [False, True])
def test_of_likeliest_columns_that_tie_the_true_one_is_not_chosen(logits: bool):
    scores = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.4, 0.2, 0.4], [0.5, 0.3, 0.2]])
    labels = [0, 1, 2, 0]
    found = evaluate.judge(scores, labels, logits=logits)
    assert found.chosen.tolist() == [1, 0, 0, 0]
    assert (found.chosen == labels).tolist() == (found.ranks[0] == 0).tolist()
    assert evaluate.judge(scores, [-1] * 4, logits=logits).chosen.tolist() == [0] * 4
