"""Metrics are right by brute force, by MXNet and by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from making import outputs
from scipy.stats import binomtest

from imnetlib import evaluate
from imnetlib.evaluate import NEVER, scores

# Ties are the rule in these.
tied = hnp.arrays(np.float32, (6, 5), elements=st.sampled_from([0, 0.125, 0.25, 0.5]))
anywhere = hnp.arrays(np.int64, 6, elements=st.integers(-1, 4))


def rank_by_hand(row: np.ndarray, label: int, columns: list[int]) -> int:
    if label not in columns:
        return NEVER
    return sum(row[other] >= row[label] for other in columns if other != label)


class TestRanks:
    @given(tied, anywhere, st.sets(st.integers(0, 4), min_size=1))
    def test_by_brute_force(self, probabilities, labels, columns):
        found = evaluate.ranks(probabilities, labels, sorted(columns))
        assert found.tolist() == [
            rank_by_hand(row, label, sorted(columns))
            for row, label in zip(probabilities, labels, strict=True)
        ]

    @given(tied, anywhere, st.permutations(range(5)))
    def test_the_order_of_columns_and_the_blocks_play_no_part(self, probabilities, labels, order):
        where = np.argsort(order)
        moved = np.where(labels < 0, -1, where[labels])
        found = evaluate.ranks(probabilities, labels)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scores, "ROWS_PER_BLOCK", 2)
            assert np.array_equal(evaluate.ranks(probabilities[:, order], moved), found)

    @given(tied, anywhere, st.sets(st.integers(0, 4), min_size=1))
    def test_fewer_rivals_never_make_it_harder(self, probabilities, labels, columns):
        inside = np.isin(labels, list(columns))
        fewer = evaluate.ranks(probabilities, labels, sorted(columns))[inside]
        assert (fewer <= evaluate.ranks(probabilities, labels)[inside]).all()
        assert (evaluate.ranks(probabilities, labels, sorted(columns))[~inside] == NEVER).all()

    def test_a_tie_is_no_hit(self):
        same = np.full((2, 4), 0.25, np.float32)
        assert evaluate.ranks(same, [0, 3]).tolist() == [3, 3]
        assert evaluate.ranks(same, [0, 3], [0]).tolist() == [0, NEVER]

    @pytest.mark.parametrize("k", [1, 5, 20])
    def test_mxnet_counts_the_same_where_nothing_ties(self, k: int):
        from imnetlib.engines.mxnet import mx

        probabilities, labels, _ = outputs(300, classes=40)
        theirs = mx.metric.Accuracy() if k == 1 else mx.metric.TopKAccuracy(top_k=k)
        theirs.update([mx.nd.array(labels)], [mx.nd.array(probabilities)])
        (ours,) = evaluate.top_k_accuracy(evaluate.ranks(probabilities, labels), [k])
        assert ours.accuracy == pytest.approx(theirs.get()[1], abs=1e-9)

    def test_what_cannot_be_ranked_is_named(self):
        probabilities, labels, _ = outputs(4)
        with pytest.raises(ValueError, match=r"labels \(4,\) up to 3 for \(4, 3\) outputs"):
            evaluate.ranks(probabilities, np.full(4, 3))
        with pytest.raises(ValueError, match=r"labels \(3,\)"):
            evaluate.ranks(probabilities, labels[:3])
        for unfit in (np.nan, np.inf):
            probabilities[2, 1] = unfit
            with pytest.raises(ValueError, match="row 2 of the scores holds NaN or infinity"):
                evaluate.ranks(probabilities, labels)
            with pytest.raises(ValueError, match="row 2"):
                evaluate.best_columns(probabilities, 1)

    @given(tied, anywhere, hnp.arrays(np.bool_, 5).filter(np.any))
    def test_a_mask_and_repeated_columns_are_the_same_label_space(self, scores, labels, mask):
        columns = np.flatnonzero(mask)
        found = evaluate.ranks(scores, labels, columns).tolist()
        assert evaluate.ranks(scores.tolist(), labels.tolist(), mask.tolist()).tolist() == found
        assert evaluate.ranks(scores, labels, np.repeat(columns, 2)[::-1]).tolist() == found

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ([True, False], r"a mask of the columns has shape \(3,\), not \(2,\)"),
            ([-1, 0], r"columns go from 0 to 2, not \[-1\]"),
            ([0, 3, 4], r"columns go from 0 to 2, not \[3, 4\]"),
            ([0.5], "columns are whole numbers of 64 bits, not 0.5"),
            ([np.nan], "columns are whole numbers of 64 bits, not nan"),
            (["n02510455"], "columns are whole numbers of 64 bits, not 'n02510455'"),
            ([], r"one column at least competes, not \[\]"),
            ([False] * 3, "one column at least competes"),
        ],
    )
    def test_columns_that_are_no_label_space_are_refused(self, columns: list, message: str):
        with pytest.raises(ValueError, match=message):
            evaluate.ranks(*outputs(4)[:2], columns)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_scores_of_every_float_type_are_ranked_as_they_are(self, dtype):
        scores = np.random.default_rng(0).normal(size=(40, 9)).astype(dtype)
        labels = np.arange(40) % 9
        expected = [
            np.count_nonzero(row >= row[label]) - 1
            for row, label in zip(scores, labels, strict=True)
        ]
        assert evaluate.ranks(scores, labels).tolist() == expected
        assert evaluate.best_columns(scores, 1)[0][:, 0].tolist() == scores.argmax(axis=1).tolist()


@given(tied, st.integers(1, 5))
def test_top_is_a_stable_sort(probabilities, k: int):
    columns, values = evaluate.best_columns(probabilities, k)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    assert np.array_equal(columns, order)
    assert np.array_equal(values, np.take_along_axis(probabilities, order, axis=1))


@pytest.mark.parametrize("k", [0, -1])
def test_no_best_columns_are_refused(k: int):
    with pytest.raises(ValueError, match=f"k is 1 at least, not {k}"):
        evaluate.best_columns(outputs(2)[0], k)


def test_top_of_more_than_there_are_is_all():
    columns, _ = evaluate.best_columns(outputs(2)[0], 20)
    assert np.sort(columns).tolist() == [[0, 1, 2], [0, 1, 2]]


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_as_scipy(case: tuple[int, int]):
    theirs = binomtest(*case).proportion_ci(0.95, method="wilson")
    assert evaluate.wilson(*case) == pytest.approx((theirs.low, theirs.high), abs=1e-7)


def test_top_k_with_images_that_can_never_be_right():
    one, three, all_ = evaluate.top_k_accuracy(np.array([0, 2, 4, NEVER]), [1, 3, 99])
    assert (one.accuracy, three.accuracy, all_.accuracy) == (0.25, 0.5, 0.75)
    assert (one.k, one.images) == (1, 4)
    assert one.low < 0.25 < one.high
    with pytest.raises(ValueError, match="no images"):
        evaluate.top_k_accuracy(np.array([], np.int64))


def test_the_notes_figures_are_fixed_to_less_than_half_a_point():
    # 68.3 %
    low, high = evaluate.wilson(34_150, 50_000)
    assert (round(100 * low, 1), round(100 * high, 1)) == (67.9, 68.7)


@pytest.mark.parametrize("case", [(1.5, 2), (True, 2), (1, 2.0)])
def test_wilson_takes_counts(case: tuple):
    with pytest.raises(TypeError, match="is a whole number"):
        evaluate.wilson(*case)


@given(anywhere, hnp.arrays(np.int64, 6, elements=st.integers(0, 4)))
def test_confusions_by_brute_force(labels, chosen):
    found = evaluate.confusions(labels, chosen).tolist()
    wrong = [
        pair
        for pair in zip(labels.tolist(), chosen.tolist(), strict=True)
        if pair[0] not in (-1, pair[1])
    ]
    assert found == sorted(
        ([*pair, wrong.count(pair)] for pair in set(wrong)), key=lambda row: (-row[2], row[:2])
    )


@pytest.mark.parametrize(
    ("labels", "chosen", "message"),
    [([0, -7], [0, 0], "labels are -1 or more"), ([0, 1], [0, -1], "chosen columns are 0 or")],
)
def test_what_are_no_columns_is_refused(labels: list, chosen: list, message: str):
    for function in (evaluate.confusions, evaluate.permutation_suspected):
        with pytest.raises(ValueError, match=message):
            function(labels, chosen)


def test_calibration_of_an_honest_and_of_a_boastful_network():
    confidence = np.array([0.05, 0.5, 0.55, 0.6, 1.0, 1.0], np.float32)
    correct = np.array([False, True, True, False, True, True])
    table = evaluate.calibration(confidence, correct, bins=2)
    # 0.5 belongs to the lower half
    assert table[:, 0].tolist() == [2, 4]
    assert table[:, 1] == pytest.approx([0.275, 0.7875])
    assert table[:, 2].tolist() == [0.5, 0.75]
    empty = evaluate.calibration(np.ones(2, np.float32), np.array([True, False]), bins=4)
    assert np.isnan(empty[:3, 1:]).all()
    assert empty[:, 0].tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([12.5, 0.5], [True, False], r"a confidence is a probability, 0 to 1, not \[12.5\]"),
        ([-0.1, 0.5], [True, False], r"0 to 1, not \[-0.1\]"),
        ([np.nan, 0.5], [True, False], r"0 to 1, not \[nan\]"),
        ([0.2, 0.5], [3, 1], r"correct is true or false, not \[3\]"),
        ([0.2, 0.5], [True], r"confidence \(2,\) and correct \(1,\) are \(n,\) each"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(confidence: list, correct: list, message: str):
    with pytest.raises(ValueError, match=message):
        evaluate.calibration(confidence, correct)
