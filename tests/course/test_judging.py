"""Rows of chapter 8's tables, reckoned anew here, by hand where they are few."""

from __future__ import annotations

import numpy as np
import pytest

from imnetlib import course, evaluate, wordnet

LABELS = np.array([0, 0, 1, 2, 2, 2])
CHOSEN = np.array([0, 1, 1, 0, 1, 1])


def test_an_accuracy_has_its_interval_and_what_guessing_gives():
    row = course.accuracy_row("all", evaluate.top_k_accuracy(np.array([0, 0, 3, 9]), (1, 5)), 4)
    assert row == {
        "judged": "all",
        "top-1, %": "50.0 (15.0 to 85.0)",
        "top-5, %": "75.0 (30.1 to 95.4)",
        "by guessing, %": "25 / 100",
    }


def test_what_has_no_output_cannot_be_guessed():
    row = course.accuracy_row("all", evaluate.top_k_accuracy([0, 9], (1, 5)), 4, with_output=0.25)
    assert row["by guessing, %"] == "6.25 / 25"


def test_published_accuracies_have_the_intervals_of_their_images():
    (top1, top5) = course.quoted_top_k((0.5, 0.9), 100, ks=(1, 5))
    assert top1 == (1, 100, 0.5, *evaluate.wilson(50, 100))
    assert top5 == (5, 100, 0.9, *evaluate.wilson(90, 100))
    assert [top.k for top in course.quoted_top_k((0.1, 0.2, 0.3), 50)] == [1, 5, 20]


def test_confusions_are_shares_of_their_true_class_in_the_order_given():
    pairs = evaluate.confusions(LABELS, CHOSEN)
    square = course.confusion_square(pairs, [2, 0], np.bincount(LABELS))
    np.testing.assert_allclose(square, [[np.nan, 100 / 3], [0, np.nan]])
    assert course.confusion_square(pairs, [], np.bincount(LABELS)).shape == (0, 0)


def test_the_weakest_are_those_right_least_often_among_the_classes_with_images():
    hits = np.array([1, 1, 0, 0])
    rows = course.weakest_table(["a", "b", "c", "d"], hits, np.array([2, 1, 3, 0]))
    assert [row["class"] for row in rows] == ["c", "a", "b"]
    assert rows[1]["top-1, % (95 % interval)"] == "50 (9 to 91)"


def test_a_confused_pair_is_the_image_most_like_the_other_class_and_that_ones_best():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]], np.float32)
    labels = np.array([0, 0, 1, 1])
    predictions = evaluate.Predictions(p, labels, np.arange(4), ("n1", "n2"))
    assert course.confused_pair(predictions, 0, 1) == [1, 3]
    alone = evaluate.Predictions(p[:2], labels[:2], np.arange(2), ("n1", "n2"))
    assert course.confused_pair(alone, 0, 1) == [1]


def test_what_a_hierarchy_says_of_errors_stands_beside_other_ways():
    tree = wordnet.contract(wordnet.load(["n11621281", "n11622368", "n11624531", "n02898711"]))
    right = np.array([[0, 1], [3, 2]])
    rows = course.hierarchical_table(tree, {"one": right, "other": right[:, ::-1]}, right[:, 0])
    assert [list(row) for row in rows] == [["measure", "one", "other"]] * 8
    found = {row["measure"]: (row["one"], row["other"]) for row in rows}
    assert found["of the errors: sibling"] == ("0.0%", "50.0%")
    assert found["severity of an error"] == ("–", "2.00")
    assert found["hierarchical precision"][0] == "100.0%"
    assert found["HD@2"] == ("1.00", "1.00")


def test_a_calibration_error_is_the_mean_distance_of_confidence_and_accuracy():
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.7, 0.3], [0.6, 0.4]])
    labels = np.array([0, 0, 1, 0])
    bins = evaluate.calibration(p.max(axis=1), labels == 0)
    (row,) = course.calibration_table({"as it is": p}, {"as it is": bins[bins[:, 0] > 0]}, labels)
    assert row["probabilities"] == "as it is"
    # Of 0.1, 0.2 twice, and 0.4.
    assert row["calibration error"] == "22.5 points"
    assert row["log loss"] == pytest.approx(-np.log([0.9, 0.7, 0.3, 0.6]).mean())
    assert row["Brier"] == pytest.approx(2 * np.mean(np.square([0.1, 0.3, 0.7, 0.4])))
