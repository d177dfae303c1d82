"""Invented predictions like that of the note's picture: conifers, land, a bridge (chapter 9)."""

from __future__ import annotations

import numpy as np

from imnetlib.arguments import whole_number
from imnetlib.wordnet.hierarchy import Doubles, Hierarchy

# Fir, spruce, amabilis fir, Douglas fir, mountain hemlock: the note's first five.
CONIFERS = ("n11620673", "n11624531", "n11621281", "n11628456", "n11627908")
# Valley, mountain, alp, bridge, tree: what else one sees there.
OTHERS = ("n09468604", "n09359803", "n09193705", "n02898711", "n13104059")


def invented_predictions(hierarchy: Hierarchy, images: int, seed: int = 0) -> Doubles:
    """Probabilities that nobody measured, (images, N), different in each row (chapter 9).

    Five conifers have 35 to 85 % of the mass, in shares from nearly equal ones to one that has
    nearly all. Of the rest up to 30 % is noise over all classes, from uniform to lognormal, exp of
    2 standard normal values; valley, mountain, alp, bridge and tree divide what is left, a tenth of
    it at least for each. KeyError where the hierarchy lacks one of them.
    """
    images = whole_number("images", images)
    random = np.random.default_rng(seed)
    count = len(hierarchy.classes)
    column_of = np.full(len(hierarchy), -1)
    column_of[hierarchy.classes] = np.arange(count)
    conifers = column_of[hierarchy.nodes(CONIFERS)]
    others = column_of[hierarchy.nodes(OTHERS)]
    found = np.empty((images, count))
    for row in found:
        share = random.uniform(0.35, 0.85)
        noise = (1 - share) * random.uniform(0, 0.3)
        row[:] = np.exp(random.uniform(0, 2) * random.standard_normal(count))
        row *= noise / row.sum()
        alike = np.full(len(CONIFERS), 10 ** random.uniform(-0.5, 1.5))
        row[conifers] += share * random.dirichlet(alike)
        row[others] += (1 - share - noise) * (0.1 + 0.5 * random.dirichlet(np.ones(len(OTHERS))))
    return found
