"""Train the sample with each engine that is installed, side by side, by one recipe.

python tests/benchmarks/bench_engines.py [--epochs 12] [--seed 0] [--root data/sample]

Chapter 7's network from the same first weights over the same crops in the same order, in a process
for each engine, one after the other: the final accuracy, the seconds, those of the processor ("cpu
s"), the share of the time spent waiting for the loader, and how soon a stopped training makes its
next step. "Others" is the work of other programs meanwhile, in processors: it should be near 0.
"""

import argparse
import importlib.util
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import psutil
from measure import cpu_seconds

from imnetlib import course, engines, evaluate, pack
from imnetlib.course.engines import ENGINES

ROW = "{:8} {:>7} {:>13} {:>5} {:>6} {:>9} {:>8} {:>8} {:>7}"
HEAD = ("engine", "top-1", "95 %", "s", "cpu s", "images/s", "waiting", "resumed", "others")


def train(engine: str, root: str, epochs: int, seed: int, threads: int) -> dict[str, float]:
    """What a training by one engine takes and gives."""
    running = course.engine(engine)
    opened = course.prepare(root, "records")
    sets = [course.shards(opened, part) for part in ("train", "validation")]
    recipe = engines.Recipe(epochs=epochs, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        all_worked = busy_seconds()
        worked = cpu_seconds()
        began = time.perf_counter()
        trained = running.train.train(recipe, opened.wnids, *sets, folder, threads)
        seconds = time.perf_counter() - began
        worked = cpu_seconds() - worked
        others = busy_seconds() - all_worked - worked
        steps = [line for line in engines.read_log(folder, recipe.network) if "step" in line]
        began = time.perf_counter()
        kept = engines.load_checkpoint(folder, recipe.network)
        replicas = running.train.Replicas(kept)
        with replicas.feed(sets[0], training=True, threads=threads) as batches:
            batches.load_state_dict(kept.position)
            replicas.results([replicas.step(next(iter(batches)), rate=0.0)])
        resumed = time.perf_counter() - began
    top1 = trained.history[-1].validation_top1
    images = len(pack.read_lst(opened.lists / "validation.lst"))
    low, high = evaluate.wilson(round(top1 * images), images)
    waiting = float(np.mean([line["waiting"] for line in steps]))
    rate = recipe.batch_size * len(steps) / seconds
    return {
        **{"top1": top1, "low": low, "high": high, "seconds": seconds, "worked": worked},
        **{"rate": rate, "waiting": waiting, "resumed": resumed, "others": others / seconds},
    }


def busy_seconds() -> float:
    """What all processors have worked since the machine was started."""
    times = psutil.cpu_times()
    return times.user + times.system


def main() -> None:
    """Print a row for each engine, and whether their accuracies agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="data/sample")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    chosen = vars(parser.parse_args())
    print(f"{os.cpu_count()} processors, {chosen['epochs']} epochs, seed {chosen['seed']}")
    print(ROW.format(*HEAD))
    found = {}
    for name in ENGINES:
        if not importlib.util.find_spec(name):
            print(f"{name:8} is not installed")
            continue
        # Each engine takes threads and memory for itself.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found[name] = row = process.submit(train, name, **chosen).result()
        limits = f"{row['low']:.1%}-{row['high']:.1%}"
        times = [f"{row[key]:.0f}" for key in ("seconds", "worked", "rate")]
        shares = (f"{row['waiting']:.1%}", f"{row['resumed']:.2f} s", f"{row['others']:.2f}")
        print(ROW.format(name, f"{row['top1']:.1%}", limits, *times, *shares))
    if len(found) == len(ENGINES):
        one, other = found.values()
        agree = all(a["low"] <= b["top1"] <= a["high"] for a, b in ((one, other), (other, one)))
        print(f"each within the other's interval: {'yes' if agree else 'no'}")


if __name__ == "__main__":
    main()
