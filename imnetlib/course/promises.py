"""What answers with a guarantee turn out to be worth on other pictures (chapter 9)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from imnetlib import evaluate, wordnet
from imnetlib.arguments import Floats, Integers
from imnetlib.wordnet import Hierarchy

SPLITS = 200


def split_errors(scores: Floats, error: float) -> npt.NDArray[np.float64]:
    """The share of errors on one half, the level chosen on the other, for 200 random halves."""
    random = np.random.default_rng(0)
    half = len(scores) // 2
    found = []
    for _ in range(SPLITS):
        shuffled = random.permutation(scores)
        level = wordnet.conformal_quantile(shuffled[:half], error)
        found.append(np.mean(shuffled[half:] > level))
    return np.array(found)


def binomial_interval(error: float, pictures: int) -> tuple[float, float]:
    """In which 95 % of the shares of errors lie where each picture errs with that chance."""
    from scipy import stats

    low, high = stats.binom.interval(0.95, pictures, error)
    return float(low) / pictures, float(high) / pictures


def split_table(
    held_out: Mapping[str, Floats], error: float, interval: tuple[float, float]
) -> list[dict[str, str]]:
    """Rows of a table: the mean of each kind's errors, where it lies, how often it is too large."""
    low, high = interval
    digits = max(1, math.ceil(-math.log10(error)) - 1)
    rows = []
    for name, errors in held_out.items():
        mean = errors.mean()
        where = "below" if mean < low else "above" if mean > high else "within"
        rows.append(
            {
                "answers": name,
                "wrong on average": f"{mean:.{digits}%}",
                f"of {low:.{digits}%} to {high:.{digits}%}": where,
                "more than promised": f"in {np.mean(errors > error):.0%} of the splits",
            }
        )
    return rows


def share_with_interval(count: int, pictures: int) -> str:
    """``count`` of some pictures as a share, with its 95 % interval."""
    low, high = evaluate.wilson(count, pictures)
    return f"{count / pictures:.1%} ({low:.1%} to {high:.1%})"


def wrong_among(hierarchy: Hierarchy, nodes: Integers, truths: Integers) -> str:
    """The share of answers that are not the true node or above it, with its 95 % interval."""
    return share_with_interval(int(np.sum(~hierarchy.above(nodes, truths))), len(truths))


def answer_table(
    hierarchy: Hierarchy, given: Mapping[str, Integers], truths: Integers
) -> list[dict[str, str | float]]:
    """Rows of a table: how often each kind of answer is wrong, and the bits that it tells."""
    return [
        {
            "given": what,
            "wrong (95 % interval)": wrong_among(hierarchy, nodes, truths),
            "bits": float(hierarchy.information[nodes].mean()),
        }
        for what, nodes in given.items()
    ]


def kind_table(
    hierarchy: Hierarchy, nodes: Integers, truths: Integers, peaked: npt.NDArray[np.bool_]
) -> list[dict[str, str | int]]:
    """Rows of a table: how often answers are wrong of some kinds of pictures.

    Of those that are ``peaked``, of those that are not, and, where there are errors, of the true
    node with the largest share of them.
    """
    wrong = ~hierarchy.above(nodes, truths)
    every = np.bincount(truths, minlength=len(hierarchy))
    failed = np.bincount(truths[wrong], minlength=len(hierarchy))
    kinds = {"a class above cap": peaked, "none above cap": ~peaked}
    if wrong.any():
        weakest = int(np.argmax(failed / np.maximum(every, 1)))
        kinds[f"of class {wordnet.unique_names(hierarchy)[weakest]}"] = truths == weakest
    return [
        {
            "pictures": kind,
            "number": int(which.sum()),
            "wrong (95 % interval)": wrong_among(hierarchy, nodes[which], truths[which]),
        }
        for kind, which in kinds.items()
        if which.any()
    ]


def ranked_table(
    hierarchy: Hierarchy, ways: Mapping[str, Integers], labels: Integers
) -> list[dict[str, str | float]]:
    """Rows of a table: how often the first of ranked columns is wrong, and how far off they are.

    Of images with a label: others have -1.
    """
    known = labels >= 0
    truths = hierarchy.classes[labels[known]]
    rows: list[dict[str, str | float]] = []
    for way, columns in ways.items():
        first = hierarchy.classes[columns[known, 0]]
        wrong = first != truths
        off = wordnet.severity(hierarchy, first[wrong], truths[wrong])
        distance = wordnet.distance_at_k(hierarchy, columns, labels)
        rows.append(
            {
                "ranked by": way,
                "first is wrong": f"{wrong.mean():.1%}",
                "severity of an error": f"{off.mean():.2f}" if len(off) else "–",
                f"HD@{len(distance)}": float(distance[-1]),
            }
        )
    return rows


def answers_in_words(
    hierarchy: Hierarchy, said: Mapping[str, Sequence[int | Iterable[int]]]
) -> list[str]:
    """Titles of pictures: a line for each thing that is ``said`` of it, a node or several."""
    names = wordnet.unique_names(hierarchy)
    titles = []
    for answers in zip(*said.values(), strict=True):
        lines = []
        for what, nodes in zip(said, answers, strict=True):
            told = [names[node] for node in np.atleast_1d(np.asarray(nodes)).tolist()]
            lines.append(f"{what}: {', '.join(told)}")
        titles.append("\n".join(lines))
    return titles
