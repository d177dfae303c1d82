"""What are no probabilities is refused alike by every function that takes some."""

from __future__ import annotations

import numpy as np
import pytest
from dags import LITTLE

from imnetlib import wordnet

ONE = {
    "explain": lambda tree, p: wordnet.explain(tree, p, 2),
    "worth": lambda tree, p: wordnet.worth(tree, p, [0]),
    "mass of one": lambda tree, p: tree.mass(p),
}
MANY = {
    "mass": lambda tree, p: tree.mass(p),
    "climb": lambda tree, p: wordnet.climb(tree, p, 0.5),
    "hedge": lambda tree, p: wordnet.hedge(tree, p, 1),
    "choose_theta": lambda tree, p: wordnet.choose_theta(tree, p, [0] * len(p), 0.1),
    "choose_lambda": lambda tree, p: wordnet.choose_lambda(tree, p, [0] * len(p), 0.1),
    "theta_scores": lambda tree, p: wordnet.theta_scores(tree, p, [0] * len(p)),
    "level_scores": lambda tree, p: wordnet.level_scores(tree, p, [0] * len(p), 2),
    "choose_level": lambda tree, p: wordnet.choose_level(tree, p, [0] * len(p), 0.1, 2),
    "node_sets": lambda tree, p: wordnet.node_sets(tree, p, 0.5, 2),
    "rerank": lambda tree, p: wordnet.rerank(tree, p),
    "label_coverage": lambda tree, p: wordnet.label_coverage(tree, p, [0] * len(p)),
    "operating_curve": lambda tree, p: wordnet.operating_curve(tree, p, [0] * len(p)),
}
LOGITS = np.log([0.2, 0.3, 0.4, 0.1])
BAD = {
    "logits": (LOGITS, "-6.032"),
    "large logits": (LOGITS + 10, "33.97"),
    "percent": (np.array([20, 30, 40, 10]), "100"),
    "negative": (np.array([0.7, 0.4, -0.2, 0.1]), "1"),
    "NaN": (np.array([0.2, np.nan, 0.4, 0.1]), "nan"),
    "infinity": (np.array([0.2, np.inf, 0.4, 0.1]), "inf"),
    "too little": (np.array([0.3, 0.3, 0.3, 0.05]), "0.95"),
    "too much": (np.array([0.3, 0.3, 0.3, 0.15]), "1.05"),
}


@pytest.mark.parametrize("function", [*ONE, *MANY])
@pytest.mark.parametrize("bad", BAD)
def test_only_probabilities_are_read(function: str, bad: str):
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    p, total = BAD[bad]
    place = ""
    call = {**ONE, **MANY}[function]
    if function in MANY:
        p = np.stack([[0.25] * 4, p])
        place = "row 1: "
    way_out = r"evaluate\.softmax"
    what = "an output is negative, -0.2" if bad == "negative" else f"the outputs sum to {total}"
    fault = f"^{place}{what}(, not 1)?: .*{way_out}"
    with pytest.raises(ValueError, match=f"{fault}|^row 1 of the scores holds NaN or infinity"):
        call(tree, p)


@pytest.mark.parametrize("function", [*ONE, *MANY])
@pytest.mark.parametrize("classes", [3, 5])
def test_other_numbers_of_classes_are_refused(function: str, classes: int):
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    p = np.full(classes, 1 / classes)
    call = {**ONE, **MANY}[function]
    with pytest.raises(ValueError, match=r"^give (4 classes an|a row of 4 classes for each) image"):
        call(tree, p[None] if function in MANY else p)


@pytest.mark.parametrize("function", [name for name in ONE if name != "mass of one"])
def test_readings_of_one_image_take_one(function: str):
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    with pytest.raises(ValueError, match=r"give the probabilities of one image, \(N,\), not"):
        ONE[function](tree, np.full((1, 4), 0.25))


@pytest.mark.parametrize("function", [name for name in MANY if name != "mass"])
@pytest.mark.parametrize("shape", [(4,), (0, 4), (1, 1, 4)])
def test_readings_of_many_images_take_a_row_each(function: str, shape: tuple[int, ...]):
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    with pytest.raises(ValueError, match=r"^give a row|no image has a label|^labels"):
        MANY[function](tree, np.full(shape, 0.25))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda tree: tree.nodes("A"), TypeError, "wnids are several, in a list or a tuple"),
        (lambda tree: tree.mass([]), ValueError, r"give 4 classes an image, not \(0,\)"),
        (lambda tree: tree.mass(0.5), ValueError, r"give 4 classes an image, not \(\)"),
        (lambda tree: wordnet.worth(tree, [0.25] * 4, 3), TypeError, "nodes are several"),
        (lambda _: wordnet.conformal_quantile([[0.1]], 0.1), ValueError, r"scores are .* \(n,\)"),
        (lambda _: wordnet.conformal_quantile(0.1, 0.1), ValueError, r"scores are .* \(n,\)"),
        (lambda _: wordnet.conformal_quantile([np.nan], 0.5), ValueError, r"scores are .* \(n,\)"),
    ],
)
def test_other_things_than_those_that_are_wanted_are_named(call, error: type, message: str):
    with pytest.raises(error, match=f"^{message}"):
        call(wordnet.build(["x", "y", "z", "y1"], LITTLE))
