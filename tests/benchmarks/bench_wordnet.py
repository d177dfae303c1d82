"""Hierarchy and readings beside NLTK's walks and dense matrices; the note's case, read well or not.

    python tests/benchmarks/bench_wordnet.py [--quick] [--to FOLDER] [--images 100]

One core. --images: how many invented ones are read; --measured: over how many predictions each
measure is taken; --batch: how many are read at once.
"""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Before NumPy starts its threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import nltk
import numpy as np
import psutil
from bench_evaluate import write_predictions
from nltk.corpus import wordnet as nltk_nouns
from nltk.corpus.reader.wordnet import Synset
from results import Report, T, Table, Way, alone, in_turns, options, peak

from imnetlib import catalog, evaluate, wordnet

PROCESSES = {
    "NumPy and SciPy alone": "import numpy, scipy.sparse",
    "NLTK, its first synset": (
        "from nltk.corpus import wordnet; "
        "wordnet.synset_from_pos_and_offset('n', 13108841).hypernyms()"
    ),
    "imnetlib, wordnet.load()": "from imnetlib import wordnet; wordnet.load()",
}
# Bytes of memory that a dense matrix of nodes and classes asks for.
DENSE = 5e9
CONIFERS = ("n11620673", "n11624531", "n11621281", "n11628456", "n11627908")
LAND = ("n09468604", "n09359803")
BRIDGE = ("n02898711",)
TREE = "n13104059"


def processes(rounds: int) -> Table:
    """Seconds of whole processes, the start of Python included."""
    jobs = {
        name: functools.partial(
            subprocess.run, [sys.executable, "-c", code], check=True, capture_output=True
        )
        for name, code in PROCESSES.items()
    }
    found = in_turns(jobs, rounds, rate=False)
    limit, peer, _ = PROCESSES
    return Table("start Python and load the hierarchy", "s", found, limit=limit, peer=peer)


def readings(hierarchy: wordnet.Hierarchy, kind: str, p: np.ndarray, rounds: int) -> Table:
    """Images/s of what chapter 9 does with predictions."""
    jobs = {
        "masses of all nodes": lambda: hierarchy.mass(p),
        "masses, one image at a time": lambda: [hierarchy.mass(row) for row in p],
        "climb": lambda: wordnet.climb(hierarchy, p, 0.8),
        "hedge": lambda: wordnet.hedge(hierarchy, p, 1),
        "re-rank by expected cost": lambda: wordnet.rerank(hierarchy, p),
        "explain, k = 10": lambda: [wordnet.explain(hierarchy, row, 10) for row in p],
        "sets of 5 nodes": lambda: wordnet.node_sets(hierarchy, p, 0.9, 5),
    }
    title = f"readings of {len(p)} predictions"
    return Table(title, "images/s", in_turns(jobs, rounds, len(p)), what=kind)


def beside_nltk(hierarchy: wordnet.Hierarchy, p: np.ndarray, rounds: int) -> Iterator[Table]:
    """A start, and the masses of all nodes by a walk of NLTK, which reads its classes in 10 s."""
    yield processes(rounds)
    wnids = list(catalog.wnids_21k())
    jobs = {
        "NLTK, a walk up from each class": lambda: nltk_masses(p[0], wnids),
        "imnetlib": lambda: hierarchy.mass(p[0]),
    }
    found = in_turns(jobs, rounds, rate=False)
    yield Table("masses of one image", "s", found, peer="NLTK, a walk up from each class")


def beside_dense(hierarchy: wordnet.Hierarchy, p: np.ndarray, rounds: int) -> Iterator[Table]:
    """The masses of all nodes beside a matrix of all pairs."""

    @functools.cache
    def dense() -> np.ndarray:
        if psutil.virtual_memory().available < DENSE:
            raise MemoryError(f"it takes {DENSE / 1e9:.0f} GB")
        return hierarchy.members.toarray()

    jobs = {"a dense matrix": lambda: dense() @ p.T, "imnetlib": lambda: hierarchy.mass(p)}
    found = in_turns(jobs, rounds, len(p))
    yield Table(f"masses of {len(p)} images", "images/s", found, peer="a dense matrix")


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


def notes_case(hierarchy: wordnet.Hierarchy, images: int) -> Iterator[Table]:
    """How many of the invented images are read well for each k.

    Where noise is on few classes, one of them may be heavier than the bridge. A rule that names the
    heavier of two unrelated classes before the lighter then reads the image badly.
    """
    bridge = hierarchy.classes == hierarchy.nodes(BRIDGE)
    invented = wordnet.invented_predictions(hierarchy, images)
    for classes in (len(bridge), 300, 40, 6):
        read = dict.fromkeys(range(3, 11), 0)
        heavier = 0
        for seed, p in enumerate(invented):
            largest = 0.0
            if classes < len(p):
                p, largest = crowded(p, classes, seed)
            heavier += float(p[bridge][0]) > largest
            for k in read:
                read[k] += is_read(hierarchy, wordnet.explain(hierarchy, p, k).nodes)
        heavier_share = Way("the bridge outweighs noise", (100 * heavier / images,))
        ways = [Way(f"k = {k}", (100 * count / images,)) for k, count in read.items()]
        title = f"{images:,} images of the note's case, those read well"
        what = f"noise on {classes:,} classes"
        yield Table(title, "%", (heavier_share, *ways), what=what)


def take_measures(predictions: Path, labels: Path) -> tuple[dict[str, float], float]:
    """The seconds of each measure, and the peak memory of this process in MB."""
    hierarchy = wordnet.load()
    p = np.load(predictions, mmap_mode="r")
    truth = np.load(labels)
    seconds = {}

    def timed(name: str, job: Callable[[], T]) -> T:
        began = time.perf_counter()
        found = job()
        seconds[name] = time.perf_counter() - began
        return found

    timed("operating curve", lambda: wordnet.operating_curve(hierarchy, p, truth))
    timed("theta for 5 % of errors", lambda: wordnet.choose_theta(hierarchy, p, truth, 0.05))
    timed("lambda for 5 % of errors", lambda: wordnet.choose_lambda(hierarchy, p, truth, 0.05))
    best, _ = timed("re-ranking to 5 classes", lambda: wordnet.rerank(hierarchy, p, 5))
    timed("HD@5", lambda: wordnet.distance_at_k(hierarchy, best, truth))
    timed("coverage by 5 nodes", lambda: wordnet.label_coverage(hierarchy, p, truth, 5))
    timed("log loss", lambda: evaluate.log_loss(p, truth))
    return seconds, peak() / 1e6


def measures(images: int) -> Iterator[Table]:
    """All measures over predictions of some validation images, in a process of its own."""
    wnids = list(catalog.wnids_21k())
    known = set(wnids)
    truth = [wnid if wnid in known else "" for wnid in catalog.validation_wnids()[:images]]
    with tempfile.TemporaryDirectory() as name:
        predictions = Path(name) / "predictions.npy"
        labels = Path(name) / "labels.npy"
        write_predictions(predictions, wnids, images)
        np.save(labels, catalog.positions(truth, among=wnids))
        seconds, memory = alone(functools.partial(take_measures, predictions, labels))
    title = f"measures of {images:,} predictions in {len(wnids):,} classes"
    yield Table(title, "s", tuple(Way(each, (took,)) for each, took in seconds.items()))
    yield Table(title, "MB", (Way("all measures", (memory,)),), what="peak memory")


def main() -> None:
    """Measure all tables."""
    chosen = options(
        __doc__ or "",
        {"measured": catalog.ILSVRC2012.validation},
        images=(100, 20),
        measured=(5000, 100),
        batch=(256, 32),
        rounds=(2, 1),
    )
    os.environ.setdefault("NLTK_DATA", str(catalog.data_file("nltk_data")))
    nltk.data.path[:] = [os.environ["NLTK_DATA"]]
    report = Report("wordnet")
    hierarchy = wordnet.load()
    invented = wordnet.invented_predictions(hierarchy, chosen.batch).astype(np.float32)
    random = np.random.default_rng(0)
    spread = random.dirichlet(np.full(len(hierarchy.classes), 0.1), chosen.batch)
    report.add(
        readings(hierarchy, "spread over all classes", spread.astype(np.float32), chosen.rounds)
    )
    report.add(readings(hierarchy, "on a few classes, with noise", invented, chosen.rounds))
    tables = (
        beside_nltk(hierarchy, invented, chosen.rounds) if not chosen.quick else (),
        beside_dense(hierarchy, invented, chosen.rounds),
        notes_case(hierarchy, chosen.images),
        measures(chosen.measured),
    )
    for table in itertools.chain.from_iterable(tables):
        report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
