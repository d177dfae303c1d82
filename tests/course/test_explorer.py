"""Pictures and words chosen by hand: what is shown of them, and what the controls hand on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from imnetlib import evaluate, wordnet
from imnetlib.course import explorer

# Two firs, a larch and a valley.
WNIDS = ("n11620673", "n11621281", "n11618861", "n09468604")
SAYS = [
    ((0.1, 0.7, 0.1, 0.1), 1),
    ((0.3, 0.3, 0.3, 0.1), 1),
    ((0.0, 0.5, 0.5, 0.0), 2),
    ((0.0, 0.0, 0.2, 0.8), 3),
    ((0.0, 0.0, 0.0, 1.0), -1),
]
ONE = "Picture 2 of 4. Label: {}.\nAn answer, wrong in {} % of the pictures at most: {}."


@pytest.fixture
def exploring() -> explorer.Explorer:
    """Four pictures with a label; answers need a mass of 1 - error."""
    probabilities = np.array([row for row, _ in SAYS], np.float32)
    labels = np.array([label for _, label in SAYS])
    predictions = evaluate.Predictions(probabilities, labels, np.arange(10, 15), WNIDS)
    return explorer.Explorer(
        wordnet.load(WNIDS),
        predictions,
        np.arange(4),
        lambda error: 1 - error,
        lambda number: np.full((20, 30, 3), number, np.uint8),
    )


def test_the_words_are_those_of_the_labels_in_alphabetical_order(exploring: explorer.Explorer):
    words = exploring.words()
    assert list(words) == sorted(words)
    assert {"entity", "conifer", "larch", "amabilis fir", "fir", "valley"} <= words.keys()
    assert words["entity"] == 0


@pytest.mark.parametrize(
    ("word", "rows"),
    [("entity", [1, 2, 0, 3]), ("conifer", [1, 2, 0]), ("fir", [1, 0]), ("larch", [2])],
)
def test_the_pictures_of_a_word_begin_with_the_least_sure(
    exploring: explorer.Explorer, word: str, rows: list[int]
):
    assert exploring.pictures(exploring.words()[word]).tolist() == rows


def test_it_begins_where_nodes_gain_most_over_as_many_classes(exploring: explorer.Explorer):
    rows = [
        (0, 0.34, 0.33, 0.33),  # three classes
        (0.35, 0.35, 0, 0.3),  # firs and a valley, 0.3 more than the two likeliest
        (0.28, 0.28, 0, 0.44),  # the same with less of it
        (0.5, 0.5, 0, 0),  # firs alone
    ]
    probabilities = np.array(rows, np.float32)
    predictions = dataclasses.replace(
        exploring.predictions, probabilities=probabilities, labels=np.ones(4, int), ids=np.arange(4)
    )
    first = dataclasses.replace(exploring, predictions=predictions).first(3, 0.05)
    assert (first.word, first.picture, first.k, first.error) == (0, 2, 3, 0.05)


@pytest.mark.parametrize(
    ("word", "picture", "error", "told"),
    [
        ("entity", 2, 0.05, ("larch", "5", "conifer, 0.4 bits, right")),
        ("conifer", 2, 0.5, ("larch", "50", "amabilis fir, 2.0 bits, wrong")),
        ("fir", 2, 0.35, ("amabilis fir", "35", "amabilis fir, 2.0 bits, right")),
    ],
)
def test_one_picture(
    exploring: explorer.Explorer, word: str, picture: int, error: float, told: Sequence[str]
):
    chosen = explorer.Choice(exploring.words()[word], picture, 3, error)
    figure, sentences = exploring.look(chosen)
    expected = ONE.format(*told).replace("of 4", f"of {len(exploring.pictures(chosen.word))}")
    assert sentences == expected
    shown, raw, _ = figure.axes
    assert shown.get_title(loc="left") == f"Label: {told[0]}"
    (image,) = shown.get_images()
    assert (image.get_array() == (12 if told[0] == "larch" else 10)).all()
    assert len(raw.patches) == 4


def test_all_pictures_of_a_word(exploring: explorer.Explorer):
    figure, sentences = exploring.look(explorer.Choice(exploring.words()["fir"], 0, 3, 0.2))
    assert sentences.splitlines() == [
        "fir: any of various evergreen trees of the genus Abies; chiefly of upland areas",
        "In the hierarchy: a kind of conifer; 2 of 4 classes at or under it.",
        "It has 0.70 of the probability in its 2 pictures, 0.25 in the others, on average.",
        "An answer, wrong in 20 % of the pictures at most: right for 2, most often conifer (1).",
    ]
    assert figure.axes[0].get_title(loc="left").startswith("One whole, divided")


def test_of_the_root_there_are_no_others(exploring: explorer.Explorer):
    _, sentences = exploring.look(explorer.Choice(0, 0, 3, 0.2))
    _, place, mass, _ = sentences.splitlines()
    assert place == "In the hierarchy: 4 of 4 classes at or under it."
    assert mass == "It has 1.00 of the probability in its 4 pictures, on average."


def test_without_a_picture_it_says_so(exploring: explorer.Explorer):
    with pytest.raises(ValueError, match="an explorer needs pictures with a label, not 0"):
        explorer.Explorer(
            exploring.hierarchy,
            exploring.predictions,
            np.arange(0),
            exploring.theta_of,
            exploring.image_of,
        )


def test_each_move_of_a_control_is_one_choice(exploring: explorer.Explorer):
    words = exploring.words()
    chosen: list[explorer.Choice] = []
    controls = explorer.Controls(exploring, explorer.Choice(0, 1, 12, 0.07), chosen.append)
    assert (controls.picture.max, controls.k.max) == (4, 12)
    assert [label for label, _ in controls.error.options][3:6] == ["5 %", "7 %", "10 %"]
    controls.k.value = 3
    controls.picture.value = 4
    controls.error.value = 0.1
    # It has two pictures: the fourth is none of them.
    controls.word.value = words["fir"]
    controls.picture.value = 2
    controls.word.value = words["entity"]
    found = [(one.word, one.picture, one.k, one.error) for one in chosen]
    assert found == [
        (0, 1, 3, 0.07),
        (0, 4, 3, 0.07),
        (0, 4, 3, 0.1),
        (words["fir"], 0, 3, 0.1),
        (words["fir"], 2, 3, 0.1),
        (0, 0, 3, 0.1),
    ]
    assert controls.picture.max == 4
