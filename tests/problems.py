"""Random problems on which promises about new images are tried."""

from __future__ import annotations

import numpy as np

from imnetlib import wordnet
from imnetlib.wordnet import Hierarchy


def problem(seed: int, images: int, classes: int = 40) -> tuple[Hierarchy, np.ndarray, np.ndarray]:
    """A random DAG, an overconfident network and labels drawn from what it should have said."""
    random = np.random.default_rng(seed)
    edges = []
    for node in range(1, 2 * classes):
        parents = random.choice(node, min(node, 1 + int(random.random() < 0.1)), replace=False)
        edges += [(f"n{node}", f"n{parent}") for parent in parents]
    tree = wordnet.build([f"n{node}" for node in range(classes, 2 * classes)], edges)
    logits = 1.5 * random.standard_normal((images, classes))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) > random.random((images, 1))).argmax(axis=1)
    sure = np.exp(3 * logits)
    return tree, sure / sure.sum(axis=1, keepdims=True), labels
