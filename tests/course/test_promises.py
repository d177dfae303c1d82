"""What answers are worth on other pictures, as rows of tables, reckoned anew here."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import comb

from imnetlib import course, wordnet

# Firs and a bridge; a spruce is above none of them.
TREE = wordnet.load(["n11621281", "n11622368", "n11624531", "n02898711"])
GRAND, AMABILIS, SPRUCE, BRIDGE = 1, 0, 2, 3
CONIFER = TREE.lowest_common_ancestor(TREE.classes[[AMABILIS, GRAND, SPRUCE]])


def test_errors_on_the_other_half_are_those_above_the_quantile():
    scores = np.arange(40) / 40
    errors = course.split_errors(scores, 0.1)
    assert errors.shape == (200,)
    # The 19th of 20: of the other half those above it.
    shuffled = np.random.default_rng(0).permutation(scores)
    assert errors[0] == np.mean(shuffled[20:] > np.sort(shuffled[:20])[18])
    np.testing.assert_array_equal(course.split_errors(np.zeros(7), 0.1), np.zeros(200))


def test_the_interval_holds_19_of_20_binomial_shares():
    low, high = course.binomial_interval(0.05, 100)
    chance = [comb(100, n) * 0.05**n * 0.95 ** (100 - n) for n in range(101)]
    inside = sum(chance[round(100 * low) : round(100 * high) + 1])
    assert 0.95 <= inside < 0.99


@pytest.mark.parametrize(
    ("errors", "where", "more"),
    [(0.01, "below", "0%"), (0.05, "within", "0%"), (0.2, "above", "100%")],
)
def test_a_mean_lies_below_within_or_above_the_interval(errors: float, where: str, more: str):
    (row,) = course.split_table({"sets": np.full(4, errors)}, 0.05, (0.03, 0.07))
    assert row == {
        "answers": "sets",
        "wrong on average": f"{errors:.1%}",
        "of 3.0% to 7.0%": where,
        "more than promised": f"in {more} of the splits",
    }


def test_small_errors_have_as_many_digits_as_they_need():
    (row,) = course.split_table({"sets": np.full(4, 0.0002)}, 0.0001, (0.0, 0.0004))
    assert row["wrong on average"] == "0.020%"
    assert row["of 0.000% to 0.040%"] == "within"


def test_without_errors_no_class_has_most_of_them():
    truths = TREE.classes[[AMABILIS, BRIDGE]]
    rows = course.kind_table(TREE, truths, truths, np.array([True, False]))
    assert [row["pictures"] for row in rows] == ["a class above cap", "none above cap"]


def test_answers_are_right_where_they_are_the_truth_or_above_it():
    truths = TREE.classes[[AMABILIS, GRAND, SPRUCE, BRIDGE]]
    nodes = np.array([CONIFER, TREE.classes[AMABILIS], CONIFER, CONIFER])
    (row,) = course.answer_table(TREE, {"some": nodes}, truths)
    assert row["wrong (95 % interval)"] == "50.0% (15.0% to 85.0%)"
    assert row["bits"] == pytest.approx((3 * np.log2(4 / 3) + 2) / 4)
    peaked = np.array([True, True, True, True])
    rows = course.kind_table(TREE, nodes, truths, peaked)
    assert [(row["pictures"], row["number"]) for row in rows] == [
        ("a class above cap", 4),
        ("of class bridge", 1),
    ]
    assert str(rows[1]["wrong (95 % interval)"]).startswith("100.0%")


def test_ranked_columns_are_judged_by_their_first_and_by_how_far_all_are_off():
    labels = np.array([AMABILIS, BRIDGE, -1])
    columns = np.array([[AMABILIS, GRAND], [BRIDGE, SPRUCE], [0, 1]])
    right, wrong = course.ranked_table(TREE, {"one": columns, "other": columns[:, ::-1]}, labels)
    assert (right["first is wrong"], right["severity of an error"]) == ("0.0%", "–")
    assert wrong["first is wrong"] == "100.0%"
    off = wordnet.severity(TREE, TREE.classes[[GRAND, SPRUCE]], TREE.classes[[AMABILIS, BRIDGE]])
    assert wrong["severity of an error"] == f"{off.mean():.2f}"
    assert right["HD@2"] == wrong["HD@2"] == pytest.approx(off.mean() / 2)


def test_a_title_has_a_line_for_each_thing_said():
    bridge, spruce = TREE.classes[[BRIDGE, SPRUCE]]
    said = {"truth": np.array([bridge]), "set": [np.array([spruce, bridge])]}
    assert course.answers_in_words(TREE, said) == ["truth: bridge\nset: spruce, bridge"]
    assert course.answers_in_words(TREE, {"truth": np.array([]), "set": []}) == []
