"""One answer an image, as precise as its mass or its labelled like vouch for (chapter 9).

Functions of a ``wordnet.Hierarchy`` of N classes and of probabilities (n, N) in its order, of one
image at least; those of a vector p are p[None]. A node says "one of the classes under me"; its mass
is the probability that this is right. An image's *front* holds the nodes that no other beats in
both mass and information: every rule that wants much of either answers with one of them. All raise
ValueError for no images and for what are no probabilities.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Integers, real_number, require
from imnetlib.wordnet.hierarchy import Doubles, Hierarchy, known_labels

# Halvings of the interval in which lambda lies: more than the bits of a double.
_HALVINGS = 60


class _Fronts(NamedTuple):
    """The fronts of n images, one after the other, the most informative node of each first.

    ``starts``: int64 (n,), where each begins. ``nodes``: int64; ``mass``: float64.
    """

    starts: Integers
    nodes: Integers
    mass: Doubles


class OperatingCurve(NamedTuple):
    """All that ``climb`` can do on labelled images, without a choice of thetas.

    ``theta``: float64 (m,), ascending, the last infinity: the largest that gives these answers.
    ``right``: the share of answers that are the true class or above it. ``information``: their mean
    bits. ``area``: under ``right`` against ``information``, as a share of log2 N, what answers have
    that are always right and always a class with no other under it. True classes that are above
    others tell less, so with such labels no network has all of it.
    """

    theta: Doubles
    right: Doubles
    information: Doubles
    area: float


def climb(hierarchy: Hierarchy, probabilities: ArrayLike, theta: float) -> Integers:
    """The most specific node of mass ``theta`` or more, for each image: (n, N) to (n,) (chapter 9).

    Of several with equal information the likeliest, then the one with most ancestors. Where no mass
    is enough the root answers; with a theta of infinity it always does. ValueError for a ``theta``
    that is not from 0 to 1, or infinity. 256 images of 21,841 classes: 0.05 s; a block of rows is
    in memory at a time.
    """
    theta = real_number("theta", theta)
    require(0 <= theta <= 1 or theta == math.inf, "theta is a probability, 0 to 1", theta)
    fronts = _fronts(hierarchy, probabilities)
    # Masses ascend along a front. The root is node 0.
    nodes = np.where(fronts.mass >= theta, fronts.nodes, 0)
    unlikely = np.add.reduceat(fronts.mass < theta, fronts.starts, dtype=np.int64)
    sizes = np.diff(fronts.starts, append=len(nodes))
    answers: Integers = nodes[fronts.starts + np.minimum(unlikely, sizes - 1)]
    return answers


def hedge(hierarchy: Hierarchy, probabilities: ArrayLike, lam: float) -> Integers:
    """The node of most (information + ``lam``) x mass, for each image: (n, N) to (n,) (chapter 9).

    J. Deng et al., Hedging your bets, CVPR 2012. 0 gives the largest expected information, infinity
    the root; ``choose_lambda`` one that is right often enough. Cost as of ``climb``.
    """
    lam = real_number("lambda", lam)
    require(lam >= 0, "lambda is 0 at least", lam)
    fronts = _fronts(hierarchy, probabilities)
    return fronts.nodes[_hedged(hierarchy, fronts, lam)] if lam < math.inf else 0 * fronts.starts


def choose_theta(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike, error: float
) -> float:
    """The theta with which ``climb`` errs on at most a share ``error`` of new images (chapter 9).

    Split conformal, with the n + 1 correction, as S. Goren et al., Hierarchical selective
    classification, NeurIPS 2024: over all draws of the labelled and of the new images together the
    expected share of errors is no larger, whatever the network, as long as the images are alike.
    Infinity, the root for all, where n images are too few to promise so much. ``labels`` (n,): the
    true columns; images of label -1 are left out.
    """
    theta = math.nextafter(
        conformal_quantile(theta_scores(hierarchy, probabilities, labels), error), math.inf
    )
    return max(0.0, theta) if theta <= 1 else math.inf


def theta_scores(hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike) -> Doubles:
    """The largest theta with which ``climb`` is wrong of each image, float64 (m,); -1 for none.

    With some smaller thetas it may be right. ``labels`` as for ``choose_theta``, which takes a
    ``conformal_quantile`` of these; of many splits of the same images they need be made only once.
    50,000 images of 21,841 classes: 10 s.
    """
    fronts, right = _judged_fronts(hierarchy, probabilities, labels)
    scores: Doubles = np.maximum.reduceat(np.where(right, -1.0, fronts.mass), fronts.starts)
    return scores


def conformal_quantile(scores: ArrayLike, error: float) -> float:
    """A level that a new score of the same kind exceeds in a share ``error`` of all draws at most.

    Of all draws of the n scores and the new one together (split conformal, chapter 9): the
    ceil((n + 1) (1 - error))-th smallest of the scores, infinity where there are not as many.
    """
    require(0 < real_number("error", error) < 1, "an error is a share, between 0 and 1", error)
    given = np.asarray(scores, np.float64)
    require(given.ndim == 1 and not np.isnan(given).any(), "scores are numbers, (n,)", given)
    ascending = np.sort(given)
    # Without the digits that a computed 1 - error has too many.
    rank = max(1, math.ceil(round((len(ascending) + 1) * (1 - error), 9)))
    return float(ascending[rank - 1]) if rank <= len(ascending) else math.inf


def choose_lambda(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike, error: float
) -> float:
    """A lambda with which ``hedge`` errs on a share of ``error`` of these images at most.

    By bisection, as in Deng et al. 2012: it is the least where fewer errors come with each larger
    lambda. Infinity where only the root is right often enough. ``labels`` as for ``choose_theta``;
    nothing is promised of other images.
    """
    require(0 <= real_number("error", error) < 1, "an error is a share, 0 or more", error)
    fronts, right = _judged_fronts(hierarchy, probabilities, labels)

    def errors(lam: float) -> float:
        return 1 - float(right[_hedged(hierarchy, fronts, lam)].mean())

    if errors(0.0) <= error:
        return 0.0
    # With a lambda so large the mass alone decides, but for masses that differ by rounding.
    enough = float(2**40)
    if errors(enough) > error:
        return math.inf
    too_small = 0.0
    for _ in range(_HALVINGS):
        middle = (too_small + enough) / 2
        if errors(middle) <= error:
            enough = middle
        else:
            too_small = middle
    return enough


def operating_curve(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike
) -> OperatingCurve:
    """How often ``climb`` is right, and how much it tells, for every theta there is (chapter 9).

    J. Valmadre, Hierarchical classification at multiple operating points, NeurIPS 2022. ``labels``
    as for ``choose_theta``. 50,000 images of 21,841 classes: 10 s, 0.3 GB.
    """
    fronts, right = _judged_fronts(hierarchy, probabilities, labels)
    bits = hierarchy.information[fronts.nodes]
    # Above the mass of a node the next answers, and at last the root, which is right.
    last = np.append(fronts.starts[1:], len(bits)) - 1
    gained: Doubles = np.append(right[1:], True) - right.astype(np.float64)
    lost = np.append(bits[1:], 0.0) - bits
    gained[last] = 1.0 - right[last]
    lost[last] = -bits[last]
    theta, event = np.unique(fronts.mass, return_inverse=True)
    images = len(fronts.starts)
    curves = []
    for first, change in ((right, gained), (bits, lost)):
        steps = np.bincount(event, change, len(theta)) / images
        curves.append(np.cumsum([first[fronts.starts].mean(), *steps]))
    share, told = curves
    area = ((share[1:] + share[:-1]) * -np.diff(told)).sum() / 2
    most = math.log2(len(hierarchy.classes)) or 1.0
    return OperatingCurve(np.append(theta, math.inf), share, told, float(area / most))


def _hedged(hierarchy: Hierarchy, fronts: _Fronts, lam: float) -> Integers:
    """Where in the fronts each image's answer is; of equals the most informative."""
    values = (hierarchy.information[fronts.nodes] + lam) * fronts.mass
    sizes = np.diff(fronts.starts, append=len(values))
    best = np.repeat(np.maximum.reduceat(values, fronts.starts), sizes)
    places = np.flatnonzero(values == best)
    first: Integers = places[np.searchsorted(places, fronts.starts)]
    return first


def _judged_fronts(
    hierarchy: Hierarchy, probabilities: ArrayLike, labels: ArrayLike
) -> tuple[_Fronts, NDArray[np.bool_]]:
    """The fronts of the images that have a label, and which of their nodes are right."""
    labels = known_labels(probabilities, labels)
    known = labels >= 0
    fronts = _fronts(hierarchy, probabilities, known)
    sizes = np.diff(fronts.starts, append=len(fronts.nodes))
    truth = np.repeat(hierarchy.classes[labels[known]], sizes)
    return fronts, hierarchy.above(fronts.nodes, truth)


def _fronts(
    hierarchy: Hierarchy, probabilities: ArrayLike, kept: NDArray[np.bool_] | None = None
) -> _Fronts:
    """The fronts of all images, or of those ``kept``, a mask."""
    sizes = []
    nodes = []
    masses = []
    for rows, mass in hierarchy.mass_blocks(probabilities):
        size, node, value = _block_fronts(hierarchy, mass if kept is None else mass[:, kept[rows]])
        sizes.append(size)
        nodes.append(node)
        masses.append(value)
    starts = np.cumsum([0, *np.concatenate(sizes)[:-1]])
    return _Fronts(starts, np.concatenate(nodes), np.concatenate(masses))


def _block_fronts(hierarchy: Hierarchy, mass: NDArray[Any]) -> tuple[Integers, Integers, Doubles]:
    """The sizes of the fronts of masses (nodes, n), their nodes and these masses."""
    images = []
    nodes = []
    best_so_far = np.full(mass.shape[1], -1.0, mass.dtype)
    # Nodes of equal information are neighbours.
    ends = [*(np.flatnonzero(np.diff(hierarchy.counts)) + 1).tolist(), len(hierarchy)]
    for start, end in reversed([*itertools.pairwise([0, *ends])]):
        best = mass[start:end].max(axis=0)
        image = np.flatnonzero(best > best_so_far)
        if len(image):
            # Of equal masses the last.
            place = np.argmax(mass[start:end, image][::-1], axis=0)
            images.append(image)
            nodes.append(end - 1 - place)
            best_so_far[image] = best[image]
    if not images:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    image = np.concatenate(images)
    node = np.concatenate(nodes)
    in_order = np.argsort(image, kind="stable")
    image = image[in_order]
    node = node[in_order]
    sizes = np.bincount(image, minlength=mass.shape[1])
    return sizes, node, mass[node, image].astype(np.float64)
