"""Train the sample with each engine that is installed, side by side, by one recipe.

    python tests/benchmarks/bench_engines.py [--quick] [--to FOLDER] [--epochs 4] [--train 70]
                                              [--validation 50]

Chapter 7's network from the same first weights over the same crops in the same order, in a process
for each engine, one after the other; two threads decode, each engine computes with all cores.
"Other programs" is their work meanwhile, in processors: it should be near 0. The sample is painted
first.
"""

import functools
import importlib.util
import tempfile
import time

import numpy as np
import psutil
from measure import cpu_seconds
from peers_environment import move_there
from results import Report, Table, alone, options, take_turns, ways, work_folder

from imnetlib import course, engines, evaluate, pack
from imnetlib.course import sample
from imnetlib.course.engines import ENGINES

THREADS = 2
# What is measured of an engine, its unit and its key.
MEASURES = (
    ("", "images/s", "rate"),
    ("top-1", "%", "top1"),
    ("its 95 % interval from", "%", "low"),
    ("to", "%", "high"),
    ("worked", "processor s", "worked"),
    ("for the loader", "% waiting", "waiting"),
    ("from a checkpoint to the next step, in a warm process", "s", "resumed"),
    ("busy with other programs", "processors", "others"),
)


def train(engine: str, root: str, epochs: int) -> dict[str, float]:
    """What a training by one engine takes and gives."""
    if importlib.util.find_spec(engine) is None:
        raise ModuleNotFoundError(f"{engine} is not installed")
    running = course.engine(engine)
    opened = course.prepare(root, "records")
    sets = [course.shards(opened, part) for part in ("train", "validation")]
    recipe = engines.Recipe(epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        all_worked = busy_seconds()
        worked = cpu_seconds()
        began = time.perf_counter()
        trained = running.train.train(recipe, opened.wnids, *sets, folder, THREADS)
        seconds = time.perf_counter() - began
        worked = cpu_seconds() - worked
        others = busy_seconds() - all_worked - worked
        steps = [line for line in engines.read_log(folder, recipe.network) if "step" in line]
        began = time.perf_counter()
        kept = engines.load_checkpoint(folder, recipe.network)
        replicas = running.train.Replicas(kept)
        with replicas.feed(sets[0], training=True, threads=THREADS) as batches:
            batches.load_state_dict(kept.position)
            replicas.results([replicas.step(next(iter(batches)), rate=0.0)])
        resumed = time.perf_counter() - began
    top1 = trained.history[-1].validation_top1
    images = len(pack.read_lst(opened.lists / "validation.lst"))
    low, high = evaluate.wilson(round(top1 * images), images)
    return {
        **{"top1": 100 * top1, "low": 100 * low, "high": 100 * high, "resumed": resumed},
        **{"rate": recipe.batch_size * len(steps) / seconds, "worked": worked},
        "waiting": 100 * float(np.mean([line["waiting"] for line in steps])),
        "others": others / seconds,
    }


def busy_seconds() -> float:
    """What all processors have worked since the machine was started."""
    times = psutil.cpu_times()._asdict()
    # Some systems do not count all of them.
    return sum(times.get(kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq"))


def main() -> None:
    """A row for each engine."""
    chosen = options(__doc__ or "", epochs=(4, 1), train=(70, 10), validation=(50, 10))
    # PyTorch is in no lock.
    move_there()
    with work_folder() as root:
        mirror = course.open_root(root).mirror
        sample.draw(mirror, train_per_class=chosen.train, validation_per_class=chosen.validation)
        course.prepare(root, "records")
        jobs = {
            name: functools.partial(alone, functools.partial(train, name, root, chosen.epochs))
            for name in ENGINES
        }
        found = take_turns(jobs, 1)
    report = Report("engines")
    title = f"chapter 7's network, epochs: {chosen.epochs}"
    for what, unit, key in MEASURES:
        shown = ways(found, lambda row, key=key: row[key])
        report.add(Table(title, unit, shown, what=what))
    report.save(chosen.to)


if __name__ == "__main__":
    main()
