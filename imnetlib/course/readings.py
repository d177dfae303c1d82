"""Readings of pictures held against their labels, and told in a sentence (chapter 9)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from imnetlib import wordnet
from imnetlib.arguments import Floats, Integers
from imnetlib.course.promises import share_with_interval
from imnetlib.evaluate import Predictions
from imnetlib.wordnet import Hierarchy, Reading

# Two nodes that share no more, in bits, are different things.
DIFFERENT = 1.0
# The least mass of a second peak.
SECOND = 0.1


class Named(NamedTuple):
    """Nodes that are said to be in a picture.

    ``alone``: where one is said of the class itself, not of those under it. ``held``: the one that
    tells most of the label, or -1, and ``bits``: how much, or 0. ``things``: how many of them are
    different, with no class and at most one bit in common with those before.
    """

    nodes: list[int]
    alone: list[bool]
    held: int
    bits: float
    things: int


class Compared(NamedTuple):
    """A picture by its ``id``, its true column, and its ``reading``: what that names.

    And as many of the likeliest classes.
    """

    id: int
    label: int
    probabilities: Floats
    reading: Reading
    named: Named
    listed: Named


def several_peaks(
    hierarchy: Hierarchy, predictions: Predictions, rows: Iterable[int], k: int, cap: float
) -> list[Compared]:
    """The pictures of ``rows`` with no class above ``cap`` and different things in the reading.

    The two heaviest nodes are, with a tenth of the mass each. Rows without a label are left out.
    """
    found = []
    for row in rows:
        label = int(predictions.labels[row])
        probabilities = predictions.probabilities[row]
        if label < 0 or probabilities.max() > cap:
            continue
        reading = wordnet.explain(hierarchy, probabilities, k)
        nodes = reading.nodes.tolist()
        if _things(hierarchy, nodes[:2]) == 2 and reading.mass[1] >= SECOND:
            listed = np.argsort(-probabilities, kind="stable")[: len(nodes)]
            alone = reading.unspecified.tolist()
            classes = hierarchy.classes[listed].tolist()
            named = _named(hierarchy, nodes, alone, label)
            as_many = _named(hierarchy, classes, [True] * len(classes), label)
            number = int(predictions.ids[row])
            found.append(Compared(number, label, probabilities, reading, named, as_many))
    return found


def telling(peaks: Sequence[Compared]) -> list[Compared]:
    """One of such pictures whose reading is better than the list, and one where it is worse.

    Of those whose label the reading has the one where it names most things beyond the list; of all
    others the one where it tells least of the label beside the list.
    """
    right = [one for one in peaks if one.named.bits] or peaks
    best = max(right, key=lambda one: one.named.things - one.listed.things, default=None)
    others = [one for one in peaks if one is not best]
    worst = sorted(others, key=lambda one: one.named.bits - one.listed.bits)[:1]
    return [best, *worst] if best else []


def _named(hierarchy: Hierarchy, nodes: list[int], alone: list[bool], label: int) -> Named:
    truth = int(hierarchy.classes[label])
    most = float(np.log2(len(hierarchy.classes)))
    held = -1
    bits = 0.0
    for node, own in zip(nodes, alone, strict=True):
        told = most if own else float(hierarchy.information[node])
        if told > bits and (node == truth if own else hierarchy.above(node, truth)):
            held = node
            bits = told
    return Named(nodes, alone, held, bits, _things(hierarchy, nodes))


def _things(hierarchy: Hierarchy, nodes: list[int]) -> int:
    different: list[int] = []
    for node in nodes:
        if all(_differ(hierarchy, node, other) for other in different):
            different.append(node)
    return len(different)


def _differ(hierarchy: Hierarchy, node: int, other: int) -> bool:
    """Whether two nodes have neither a class nor more than a bit in common."""
    classes = hierarchy.members[[node, other]].indices
    shared = hierarchy.lowest_common_ancestor([node, other])
    apart = len(np.unique(classes)) == len(classes)
    return apart and bool(hierarchy.information[shared] <= DIFFERENT)


def mean_told(peaks: Sequence[Compared]) -> list[dict[str, str | float]]:
    """What readings and lists name of such pictures on average, as rows of a table."""
    ways = {"reading": [one.named for one in peaks], "list": [one.listed for one in peaks]}
    return [
        {
            "by the": way,
            "different things": float(np.mean([named.things for named in found])),
            "has the label": f"{np.mean([named.bits > 0 for named in found]):.0%}",
            "bits of the label": float(np.mean([named.bits for named in found])),
        }
        for way, found in ways.items()
        if found
    ]


def coverage_table(
    hierarchy: Hierarchy, probabilities: Floats, labels: Integers, ks: Iterable[int]
) -> list[dict[str, str | float]]:
    """Rows of a table: how often names hold the label, and how many of its bits they tell.

    For each k the nodes of the reading, as many of the likeliest classes, and the k likeliest. A
    class tells all bits of its label or none.
    """
    pictures = int(np.count_nonzero(np.asarray(labels) >= 0))
    all_bits = float(np.log2(len(hierarchy.classes)))
    rows: list[dict[str, str | float]] = []
    for k in ks:
        found = wordnet.label_coverage(hierarchy, probabilities, labels, k)
        ways = {
            "nodes of the reading": (found.named, found.nodes, found.information),
            "as many classes": (found.named, found.as_many, all_bits * found.as_many),
            "k classes": (float(k), found.classes, all_bits * found.classes),
        }
        for way, (names, share, bits) in ways.items():
            held = share_with_interval(round(share * pictures), pictures)
            row: dict[str, str | float] = {"k": k, "named": way, "names": names}
            rows.append(row | {"hold the label (95 % interval)": held, "bits of the label": bits})
    return rows


def told_in_words(hierarchy: Hierarchy, one: Compared) -> str:
    """What is named of a picture, and whether that holds of its label."""
    classes = wordnet.class_names(hierarchy)
    as_classes = dict(zip(hierarchy.classes.tolist(), classes, strict=True))
    names = dict(enumerate(wordnet.unique_names(hierarchy)))
    own = itertools.compress(one.named.nodes, one.named.alone)
    names |= {node: as_classes[node] for node in own}
    read = [f"{names[n]} ({m:.2f})" for n, m in zip(one.named.nodes, one.reading.mass, strict=True)]
    rest = f"{max(0.0, 1 - one.reading.covered):.2f} for anything else"
    listed = _joined([as_classes[node] for node in one.listed.nodes])
    return "\n".join(
        [
            f"Label: {classes[one.label]}.",
            f"Reading: {_joined(read)}; {rest}.",
            f"  {_judged(one.named, names)}",
            f"List: {listed}.",
            f"  {_judged(one.listed, as_classes)}",
        ]
    )


def _judged(named: Named, names: Mapping[int, str]) -> str:
    things = "one thing" if named.things == 1 else f"{named.things} different things"
    if named.held < 0:
        return f"That is {things}, and not the label."
    return f"That is {things}; {names[named.held]} tells {named.bits:.1f} bits of the label."


def _joined(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
