"""Rows of tables about a network's predictions, and the pictures that show them (chapter 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from imnetlib import evaluate, wordnet
from imnetlib.arguments import Floats, Integers
from imnetlib.evaluate import Predictions, TopK
from imnetlib.wordnet import Hierarchy

Row = dict[str, str | float]


def accuracy_row(
    judged: str, accuracies: Sequence[TopK], outputs: int, with_output: float = 1.0
) -> Row:
    """Each accuracy in percent with its interval, and what guessing among ``outputs`` gives.

    ``with_output``: the share of the images whose class has an output, so that it may be guessed.
    """
    row: Row = {"judged": judged}
    for top in accuracies:
        interval = f"{100 * top.low:.1f} to {100 * top.high:.1f}"
        row[f"top-{top.k}, %"] = f"{100 * top.accuracy:.1f} ({interval})"
    guessed = [f"{100 * with_output * min(1, top.k / outputs):.3g}" for top in accuracies]
    return row | {"by guessing, %": " / ".join(guessed)}


def quoted_top_k(
    shares: Sequence[float], images: int, ks: Sequence[int] = (1, 5, 20)
) -> list[TopK]:
    """Accuracies that somebody published, with the intervals that so many ``images`` give them."""
    return [
        TopK(k, images, share, *evaluate.wilson(round(images * share), images))
        for k, share in zip(ks, shares, strict=True)
    ]


def confusion_square(
    pairs: Integers, order: Sequence[int], per_class: Integers
) -> npt.NDArray[np.float64]:
    """The share of each class of ``order`` that was taken for each other one, in percent.

    ``pairs``: of ``evaluate.confusions``. The diagonal is NaN.
    """
    square = np.zeros((len(order), len(order)))
    np.fill_diagonal(square, np.nan)
    place = {column: position for position, column in enumerate(order)}
    for true, taken, count in pairs.tolist():
        if true in place and taken in place:
            square[place[true], place[taken]] = 100 * count / per_class[true]
    return square


def weakest_table(names: Sequence[str], hits: Integers, per_class: Integers) -> list[Row]:
    """The five classes with images that are got right least often, with their intervals."""
    seen = np.flatnonzero(per_class)
    worst = seen[np.argsort(hits[seen] / per_class[seen], kind="stable")][:5]
    rows: list[Row] = []
    for column in worst.tolist():
        right = int(hits[column])
        images = int(per_class[column])
        low, high = evaluate.wilson(right, images)
        share = f"{100 * right / images:.0f} ({100 * low:.0f} to {100 * high:.0f})"
        rows.append({"class": names[column], "top-1, % (95 % interval)": share})
    return rows


def confused_pair(predictions: Predictions, true: int, taken: int) -> list[int]:
    """The image of the class ``true`` that looks most like ``taken``, and the best of that class.

    Rows of the predictions; a class without images has none.
    """
    rows = []
    for label in (true, taken):
        which = np.flatnonzero(predictions.labels == label)
        likeliest = np.argsort(-predictions.probabilities[which, taken], kind="stable")[:1]
        rows += which[likeliest].tolist()
    return rows


def hierarchical_table(
    tree: Hierarchy, ways: Mapping[str, Integers], labels: Integers
) -> list[Row]:
    """How far columns (n, k), the first and further ones of each image, are off, for each way."""
    found = {way: _hierarchical(tree, columns, labels) for way, columns in ways.items()}
    first = next(iter(found.values()))
    return [
        {"measure": measure, **{way: found[way][measure] for way in found}} for measure in first
    ]


def _hierarchical(tree: Hierarchy, columns: Integers, labels: Integers) -> dict[str, str]:
    truth = tree.classes[labels]
    answers = tree.classes[columns[:, 0]]
    wrong = answers != truth
    shares = wordnet.relation_shares(tree, answers[wrong], truth[wrong])
    off = wordnet.severity(tree, answers[wrong], truth[wrong])
    scores = wordnet.hierarchical_scores(tree, answers, truth)
    distance = wordnet.distance_at_k(tree, columns, labels)
    found = {f"of the errors: {kind}": f"{shares[kind]:.1%}" for kind in wordnet.RELATIONS[1:]}
    return {
        **found,
        "severity of an error": f"{off.mean():.2f}" if len(off) else "–",
        "hierarchical precision": f"{scores.precision:.1%}",
        "hierarchical recall": f"{scores.recall:.1%}",
        f"HD@{len(distance)}": f"{distance[-1]:.2f}",
    }


def calibration_table(
    ways: Mapping[str, Floats], bins: Mapping[str, Floats], labels: Integers
) -> list[Row]:
    """How good the probabilities (n, N) of each way are; ``bins``: of ``evaluate.calibration``."""
    rows: list[Row] = []
    for way, probabilities in ways.items():
        count, claimed, right = bins[way].T
        error = np.sum(count * np.abs(claimed - right)) / np.sum(count)
        rows.append(
            {
                "probabilities": way,
                "calibration error": f"{100 * error:.1f} points",
                "log loss": evaluate.log_loss(probabilities, labels),
                "Brier": evaluate.brier_score(probabilities, labels),
            }
        )
    return rows
