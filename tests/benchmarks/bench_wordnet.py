"""Hierarchy and readings beside NLTK's walks and dense matrices; the note's case read 1,000 times.

python tests/benchmarks/bench_wordnet.py [--repeat 3] [--images 1000] [--measured 5000] [--dense]

The matrices of --dense take 2 GB each. Times are of the processor, one core.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Before NumPy starts its threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import nltk
import numpy as np
from bench_evaluate import write_predictions
from measure import PEAK
from nltk.corpus import wordnet as nltk_nouns
from nltk.corpus.reader.wordnet import Synset

from imnetlib import catalog, wordnet

OURS = "from imnetlib import wordnet; wordnet.load()"
NLTK = (
    "from nltk.corpus import wordnet; wordnet.synset_from_pos_and_offset('n', 13108841).hypernyms()"
)
NUMPY = "import numpy, scipy.sparse"
IMAGES = 256
CONIFERS = ("n11620673", "n11624531", "n11621281", "n11628456", "n11627908")
LAND = ("n09468604", "n09359803")
BRIDGE = ("n02898711",)
TREE = "n13104059"
MEASURES = (
    PEAK
    + """
import sys, time
import numpy as np
from imnetlib import evaluate, wordnet
hierarchy = wordnet.load()
p = np.load(sys.argv[1], mmap_mode="r")
labels = np.load(sys.argv[2])
def timed(name, call):
    started = time.process_time()
    found = call()
    print(f"  {name:36} {time.process_time() - started:7.1f} s", flush=True)
    return found
timed("operating curve", lambda: wordnet.operating_curve(hierarchy, p, labels))
timed("theta for 5 % of errors", lambda: wordnet.choose_theta(hierarchy, p, labels, 0.05))
timed("lambda for 5 % of errors", lambda: wordnet.choose_lambda(hierarchy, p, labels, 0.05))
best, _ = timed("re-ranked, 5 classes", lambda: wordnet.rerank(hierarchy, p, 5))
timed("HD@5", lambda: wordnet.distance_at_k(hierarchy, best, labels))
timed("coverage by 5 nodes", lambda: wordnet.label_coverage(hierarchy, p, labels, 5))
timed("log loss", lambda: evaluate.log_loss(p, labels))
print(f"  {'in all':36} {time.process_time():7.1f} s, {peak() / 1e6:,.0f} MB")
"""
)


def started_in(code: str, repeat: int) -> float:
    """The least wall-clock time of a process that runs ``code``, the start of Python included."""
    times = []
    for _ in range(repeat):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def report(name: str, action: Callable[[], object], repeat: int) -> None:
    """Print the least processor time of ``action``."""
    times = []
    for _ in range(repeat):
        started = time.process_time()
        action()
        times.append(time.process_time() - started)
    print(f"{name:46} {1000 * min(times):9.1f} ms")


def nltk_masses(p: np.ndarray, wnids: list[str]) -> dict[str, float]:
    """The mass of each node of one image, by a walk up from each class."""
    masses: dict[Synset, float] = {}
    for wnid, share in zip(wnids, p.tolist(), strict=True):
        synset = nltk_nouns.synset_from_pos_and_offset("n", int(wnid[1:]))
        above = {synset, *synset.closure(lambda s: s.hypernyms() + s.instance_hypernyms())}
        for each in above:
            masses[each] = masses.get(each, 0.0) + share
    return {f"n{synset.offset():08}": mass for synset, mass in masses.items()}


def is_read(hierarchy: wordnet.Hierarchy, nodes: np.ndarray) -> bool:
    """Conifers once, not vaguer than tree; land and bridge with 5 bits; and no noise."""
    seen = hierarchy.nodes([*CONIFERS, *LAND, *BRIDGE, TREE])
    above = hierarchy.above(nodes[:, None], seen)
    conifers = nodes[above[:, : len(CONIFERS)].any(axis=1)]
    told = above & (hierarchy.information[nodes] >= 5)[:, None]
    once = len(conifers) == 1 and bool(hierarchy.above(seen[-1], conifers[0]))
    return once and bool(told[:, -4:-2].any() and told[:, -2].any() and above.any(axis=1).all())


def crowded(p: np.ndarray, classes: int, seed: int) -> tuple[np.ndarray, float]:
    """The note's case with its noise on a few classes, and the largest mass that noise gives one.

    In exponential shares. What is below 0.2 % was noise.
    """
    random = np.random.default_rng([seed, classes])
    columns = random.choice(len(p), classes, replace=False)
    shares = random.exponential(size=classes)
    moved = np.where(p < 0.002, 0, p)
    largest = np.where(moved[columns] > 0, 0, shares).max() / shares.sum() * (1 - moved.sum())
    moved[columns] += (1 - moved.sum()) * shares / shares.sum()
    return moved, largest


def report_notes_case(hierarchy: wordnet.Hierarchy, images: int) -> None:
    """How many of the invented images are read well for each k, and ten readings.

    Where noise is on few classes also in how many the bridge is heavier than any of them: no rule
    that names the heavier of two unrelated classes before the lighter reads more of them well.
    """
    names = wordnet.unique_names(hierarchy)
    bridge = hierarchy.classes == hierarchy.nodes(BRIDGE)
    invented = wordnet.invented_predictions(hierarchy, images)
    print("the note's case is read well, by k, with noise on")
    for classes in (len(bridge), 300, 40, 6):
        read = dict.fromkeys(range(3, 11), 0)
        possible = 0
        for seed, p in enumerate(invented):
            largest = 0.0
            if classes < len(p):
                p, largest = crowded(p, classes, seed)
            possible += float(p[bridge][0]) > largest
            for k in read:
                read[k] += is_read(hierarchy, wordnet.explain(hierarchy, p, k).nodes)
        shares = ", ".join(f"{k}: {count / images:.1%}" for k, count in read.items())
        print(f"  {classes:6,} classes: {shares}; at most {possible / images:.1%}", flush=True)
    for p in wordnet.invented_predictions(hierarchy, 10, 99):
        reading = wordnet.explain(hierarchy, p, 5)
        told = zip(reading.nodes.tolist(), reading.mass.tolist(), strict=True)
        print("  " + ", ".join(f"{names[node]} {mass:.2f}" for node, mass in told))


def report_measures(images: int) -> None:
    """All measures over predictions of some validation images, in a process of its own."""
    wnids = list(catalog.wnids_21k())
    truth = [wnid if wnid in set(wnids) else "" for wnid in catalog.validation_wnids()[:images]]
    with tempfile.TemporaryDirectory() as name:
        paths = [Path(name) / "predictions.npy", Path(name) / "labels.npy"]
        write_predictions(paths[0], wnids, images, "float16")
        np.save(paths[1], catalog.positions(truth, among=wnids))
        print(f"measures of {images:,} predictions in 21,841 classes:", flush=True)
        subprocess.run([sys.executable, "-c", MEASURES, *map(str, paths)], check=True)


def report_dense(hierarchy: wordnet.Hierarchy, p: np.ndarray) -> None:
    """Masses and expected costs by matrices of all pairs."""
    members = hierarchy.members.toarray()
    report(
        f"masses of {len(p)}: dense matrix, {members.nbytes / 1e9:.1f} GB", lambda: members @ p.T, 1
    )
    above = members.T
    sizes = above.sum(axis=1)
    costs = sizes[:, None] + sizes - 2 * (above @ members)
    report(f"expected costs of {len(p)}: dense matrix", lambda: p @ costs, 1)


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--measured", type=int, default=5000)
    parser.add_argument("--dense", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("NLTK_DATA", str(catalog.data_file("nltk_data")))
    nltk.data.path[:] = [os.environ["NLTK_DATA"]]
    repeat = arguments.repeat
    for name, code in (
        ("whole process: wordnet.load()", OURS),
        ("whole process: NLTK, first synset", NLTK),
        ("whole process: NumPy and SciPy alone", NUMPY),
    ):
        print(f"{name:46} {1000 * started_in(code, repeat):9.1f} ms")
    report("wordnet.load() alone", wordnet.load, repeat)
    hierarchy = wordnet.load()
    invented = wordnet.invented_predictions(hierarchy, IMAGES).astype(np.float32)
    random = np.random.default_rng(0)
    spread = random.dirichlet(np.full(len(hierarchy.classes), 0.1), IMAGES).astype(np.float32)
    for what, p in (("spread", spread), ("peaked", invented)):
        for name, action in (
            ("masses of 1", lambda p=p: hierarchy.mass(p[0])),
            (f"masses of {IMAGES}", lambda p=p: hierarchy.mass(p)),
            (f"climb of {IMAGES}", lambda p=p: wordnet.climb(hierarchy, p, 0.8)),
            (f"hedge of {IMAGES}", lambda p=p: wordnet.hedge(hierarchy, p, 1)),
            (f"re-ranking of {IMAGES}", lambda p=p: wordnet.rerank(hierarchy, p)),
            ("reading of 1, k = 10", lambda p=p: wordnet.explain(hierarchy, p[0], 10)),
            ("set of 5 nodes of 1", lambda p=p: wordnet.node_sets(hierarchy, p[:1], 0.9, 5)),
        ):
            report(f"{name}, {what}", action, repeat)
    wnids = list(catalog.wnids_21k())
    report(
        "masses of 1: NLTK, a walk up from each class", lambda: nltk_masses(invented[0], wnids), 1
    )
    if arguments.dense:
        report_dense(hierarchy, invented)
    report_notes_case(hierarchy, arguments.images)
    report_measures(arguments.measured)


if __name__ == "__main__":
    main()
