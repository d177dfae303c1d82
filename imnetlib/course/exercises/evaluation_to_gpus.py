"""The exercises of chapters 8 to 10."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from imnetlib import catalog, evaluate, wordnet
from imnetlib import throughput as t
from imnetlib.arguments import Integers
from imnetlib.catalog import ILSVRC2012, IMAGENET21K
from imnetlib.course.exercises.kinds import Case, Choice, Exercise, Function, Number, Slip
from imnetlib.course.rates import training_rates

Doubles = NDArray[np.float64]


def top_k(probabilities: Doubles, labels: Integers, k: int, columns: Collection[int]) -> float:
    """The share of images whose class is among the k likeliest of ``columns`` (8.2)."""
    ranks = evaluate.ranks(probabilities, labels, columns=np.array(sorted(columns)))
    return float(np.mean(ranks < k))


def _predictions() -> Iterator[Case]:
    rows = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
    labels = np.array([0, 2, 1, 1])
    every = (0, 1, 2)
    yield Case((rows, labels, 1, every), "four images, top-1 of all columns; the last is a tie")
    yield Case((rows[3:], np.array([0]), 1, every), "the tie again, of the other class")
    yield Case((rows, labels, 2, every), "four images, top-2 of all columns")
    yield Case((rows[:2], labels[:2], 1, (0, 2)), "the first two images, top-1 of columns 0 and 2")
    yield Case((rows, labels, 1, (0, 2)), "four images, top-1 of columns 0 and 2")
    yield Case((rows[:1], np.array([-1]), 1, every), "one image whose class has no column")


def _lucky_ties(
    probabilities: Doubles, labels: Integers, k: int, columns: Collection[int]
) -> float:
    return _with_ties(probabilities, labels, k, set(range(probabilities.shape[1])) & set(columns))


def _with_ties(probabilities: Doubles, labels: Integers, k: int, columns: Collection[int]) -> float:
    hits = [
        label in columns and sum(row[c] > row[label] for c in columns) < k
        for row, label in zip(probabilities, labels.tolist(), strict=True)
    ]
    return float(np.mean(hits))


def _whatever_the_label(
    probabilities: Doubles, labels: Integers, k: int, columns: Collection[int]
) -> float:
    """As ``top_k``, but the true class competes even where it is not among the columns."""
    hits = [
        sum(row[c] >= row[label] for c in columns if c != label) < k
        for row, label in zip(probabilities, labels.tolist(), strict=True)
    ]
    return float(np.mean(hits))


def _all_columns(
    probabilities: Doubles, labels: Integers, k: int, columns: Collection[int]
) -> float:
    return top_k(probabilities, labels, k, range(probabilities.shape[1]))


def accuracy(first: Integers, labels: Integers) -> float:
    """The share of images whose first class is right; one without a column is wrong (8.3)."""
    return float(np.mean((labels >= 0) & (first == labels)))


def _judged() -> Iterator[Case]:
    yield Case((np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])))
    yield Case((np.array([0, 1, 2, 2, 0]), np.array([0, 1, -1, -1, 0])))
    yield Case((np.array([3, 3]), np.array([-1, 3])))


def _half_width(images: int) -> float:
    low, high = evaluate.wilson(images // 2, images)
    return (high - low) / 2


def _images_for_one_point() -> float:
    least, most = 1, 10**6
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if _half_width(middle) <= 0.01 else (middle + 1, most)
    return float(least)


def _bits_of_dog() -> float:
    """The information in "dog" among the 1,000 classes."""
    return math.log2(ILSVRC2012.classes) - math.log2(_dogs())


@functools.cache
def _dogs() -> int:
    hierarchy = wordnet.load(catalog.wnids_1k())
    (dog,) = hierarchy.nodes(["n02084071"])
    return int(hierarchy.counts[dog])


def mass(node: str, children: Mapping[str, Sequence[str]], p: Mapping[str, float]) -> float:
    """The probability of all distinct classes at or under a node (9.2)."""
    under: set[str] = set()
    left = [node]
    while left:
        one = left.pop()
        if one not in under:
            under.add(one)
            left += children.get(one, ())
    return sum(p.get(one, 0.0) for one in under)


def _bottom_up(node: str, children: Mapping[str, Sequence[str]], p: Mapping[str, float]) -> float:
    below = (_bottom_up(child, children, p) for child in children.get(node, ()))
    return p.get(node, 0.0) + sum(below)


def _leaves_alone(
    node: str, children: Mapping[str, Sequence[str]], p: Mapping[str, float]
) -> float:
    return mass(node, children, {name: x for name, x in p.items() if not children.get(name)})


def _hierarchies() -> Iterator[Case]:
    trees = {"plant": ["fir", "spruce"], "fir": ["amabilis fir"]}
    p = {"fir": 0.3, "amabilis fir": 0.2, "spruce": 0.4, "valley": 0.1}
    yield Case(("spruce", trees, p), "spruce, which has nothing under it")
    yield Case(("fir", trees, p), "fir, which is a class and has another one under it")
    yield Case(("plant", trees, p), "plant, which is no class")
    zoo = {"animal": ["canine", "pet"], "canine": ["dog", "wolf"], "pet": ["dog", "cat"]}
    pets = {"dog": 0.5, "cat": 0.3, "wolf": 0.2}
    yield Case(("animal", zoo, pets), "animal, with two ways to dog")
    deep = {"thing": ["animal"], **zoo, "dog": ["puppy"]}
    yield Case(("thing", deep, {"puppy": 1.0}), "thing, with two ways to puppy")


def level(scores: Sequence[float], error: float) -> float:
    """The level that a new score exceeds in a share of ``error`` at most (9.3)."""
    return wordnet.conformal_quantile(scores, error)


def _scores() -> Iterator[Case]:
    for count, error in ((99, 0.1), (100, 0.1), (19, 0.05), (18, 0.05), (200, 0.01), (4, 0.5)):
        scores = [number / 1000 for number in range(count, 0, -1)]
        yield Case((scores, error), f"{count} scores and an error of {error}")


def _place(count: int, error: float) -> int:
    """Which of ``count`` scores is the level, in ascending order, counted from 1."""
    return math.ceil((count + 1) * (1 - error))


def _fewest_pictures() -> int:
    counts = range(1, 1000)
    return next(n for n in counts if wordnet.conformal_quantile(np.zeros(n), 0.005) < math.inf)


def mean_gradient(turns: Sequence[Doubles]) -> Doubles:
    """The mean gradient of a batch that was computed in several turns (10.3)."""
    gradient: Doubles = np.concatenate(turns).mean(axis=0)
    return gradient


def _turns() -> Iterator[Case]:
    images = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0], [7.0, -1.0], [2.0, 2.0]])
    yield Case(([images],), "five images in one turn")
    yield Case(([images[:2], images[2:4]],), "four images in two turns of two")
    yield Case(([images[:3], images[3:]],), "five images in turns of three and two")
    yield Case(([images[:2], images[2:4], images[4:]],), "five images in turns of two, two and one")


# Dollars an hour in exercise 10.4, and the machine in the table of rates.
MACHINES = {
    "V100": (2.0, "V100 16 GB (DGX-1)"), "A100": (3.0, "A100 80 GB (DGX A100)"),
    "8 A100": (24.0, "A100 80 GB x 8 (DGX A100)"), "H200": (4.0, "H200, 16 cores, compiled"),
}  # fmt: skip


def _fastest_for_500_dollars() -> str:
    rates = {r.machine: r.images_per_s for r in training_rates() if r.network == "resnet50"}
    hours = {}
    for name, (price, machine) in MACHINES.items():
        taken = 90 * IMAGENET21K.train / (rates[machine] or math.nan) / t.HOUR
        if taken * price <= 500:
            hours[name] = taken
    return min(hours, key=hours.__getitem__)


EXERCISES: dict[str, Exercise] = {
    "8.1": Number(
        "minus the natural logarithm of a thousandth",
        slips=(
            Slip(lambda: math.log2(1000), "Those are bits, of the logarithm to base 2"),
            Slip(lambda: math.log10(1000), "That is the logarithm to base 10"),
        ),
        why="A network that is worse than that has learned something wrong.",
    ),
    "8.2": Function(
        top_k,
        _predictions,
        "for each image count the columns of the label space that come before its class",
        (
            Slip(_lucky_ties, "A class that is as probable as the true one counts before it"),
            Slip(_all_columns, "Only the columns of the label space compete"),
            Slip(_whatever_the_label, "An image whose class is not among the columns is wrong"),
        ),
        unit="share",
    ),
    "8.3": Function(
        accuracy,
        _judged,
        "which images does it divide by?",
        why="To leave out what a network cannot know flatters it.",
        unit="share",
    ),
    "8.4": Number(
        "1.96 * sqrt(p * (1 - p) / n) is to be 0.01",
        answer=_images_for_one_point,
        within=0.02,
        slips=(
            Slip(lambda: 10_000, "Enough they are, with 2 for 1.96; how many would do?"),
            Slip(lambda: 0.25 * (2 * 1.96 / 0.01) ** 2, "That fixes it to half a point"),
            Slip(lambda: 0.25 * (1.96 / 0.02) ** 2, "That is an interval of two points each way"),
            Slip(lambda: 0.25 / 0.01**2, "That is one standard error, not 1.96"),
            Slip(lambda: 0.5 * (1.96 / 0.01) ** 2, "A factor 1 - p is missing"),
        ),
        why="Nearly ten thousand images; half the width would take four times as many.",
    ),
    "9.1": Number(
        "log2 of all classes less log2 of those under the node",
        slips=(
            Slip(lambda: math.log2(_dogs()), "That is what is left open, not what is told"),
            Slip(lambda: _bits_of_dog() * math.log(2), "That is in nats; take log2"),
            Slip(lambda: math.log2(1000), "That is what a single class tells"),
        ),
    ),
    "9.2": Function(
        mass,
        _hierarchies,
        "collect the distinct nodes at or under it first, then add up",
        (
            Slip(_bottom_up, "A class with two ways up counts twice"),
            Slip(_leaves_alone, "A class that stands above others has a probability, too"),
        ),
    ),
    "9.3": Function(
        level,
        _scores,
        "the new picture has a place in the order, too; and what if there are not as many scores?",
        (
            Slip(
                lambda scores, error: sorted(scores)[_place(len(scores), error)],
                "Python counts the places of a list from 0",
            ),
            Slip(
                lambda scores, error: sorted(scores)[-_place(len(scores), error)],
                "Are the scores in ascending order?",
            ),
        ),
        why="Without the + 1 the promise is broken a little, and most where labels are few.",
    ),
    "9.4": Number(
        "the ceil((n + 1) * 0.995)-th of n scores has to be there",
        answer=_fewest_pictures,
        count=True,
        slips=(Slip(lambda: 100, "That would do for 1 %, nearly"),),
    ),
    "10.1": Number(
        "from 2**n on with n digits, the last digit counts twos",
        count=True,
        slips=(
            Slip(lambda: 256, "That is bfloat16, with its 8 digits"),
            Slip(lambda: 65_504, "That is the largest number; there are gaps long before"),
            Slip(lambda: 2**10, "The first digit, which is not stored, counts as well"),
        ),
    ),
    "10.2": Number(
        "2 (n - 1) / n of the gradients, of 4 bytes each",
        unit="MB",
        slips=(
            Slip(lambda: 4 * 25.557032, "That is once all gradients"),
            Slip(lambda: 7 / 8 * 4 * 25.557032, "That is one of the two rounds"),
            Slip(lambda: 2 * 4 * 25.557032, "A part of the sums begins where it is: it isn't sent"),
        ),
    ),
    "10.3": Function(
        mean_gradient,
        _turns,
        "how much does an image of a short turn count, beside one of a long turn?",
        (
            Slip(
                lambda turns: np.concatenate(turns).sum(axis=0),
                "That is the sum; what is it to be divided by?",
            ),
        ),
        why="A mean of means is the mean only where all have the same size.",
    ),
    "10.4": Choice(
        tuple(MACHINES),
        _fastest_for_500_dollars,
        "It is done in some 54 hours for about 216 dollars. Eight A100 would be faster, but cost "
        "12 dollars too much; the others are slower, and dearer.",
        "images by images a second are the hours; these by the price are the dollars",
        {
            "V100": "It costs more than 500 dollars",
            "A100": "500 dollars pay it, but another one that they pay is faster",
            "8 A100": "It is the fastest, but look at what it costs",
        },
    ),
}
