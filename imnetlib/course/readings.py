"""Which picture to show when a prediction is read with WordNet (chapter 9)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from imnetlib.evaluate import Predictions
from imnetlib.wordnet import Hierarchy


def most_instructive(
    hierarchy: Hierarchy,
    predictions: Predictions,
    rows: Iterable[int],
    reading: Callable[[int], list[int]],
) -> int:
    """The one of ``rows`` whose ``reading``, the nodes that explain it, shows most.

    Its three heaviest nodes share at most one bit, the third is not too light, and some node
    gathers what the classes under it split among them. The first row where none is like that.
    """
    return max(rows, key=lambda row: _shows(hierarchy, predictions, row, reading(row)))


def _shows(hierarchy: Hierarchy, predictions: Predictions, row: int, nodes: list[int]) -> float:
    probabilities = predictions.probabilities[row]
    mass = hierarchy.mass(probabilities)
    heaviest = sorted(nodes, key=lambda node: -mass[node])[:3]
    if len(heaviest) < 3:
        return 0.0
    for pair in itertools.combinations(heaviest, 2):
        if hierarchy.information[hierarchy.lowest_common_ancestor(pair)] > 1:
            return 0.0
    likeliest = [probabilities[hierarchy.members[[node]].indices].max() for node in heaviest]
    return float(mass[heaviest[2]] * max(mass[heaviest] - likeliest))
