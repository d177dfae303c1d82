"""Shuffle, write, read and split a list of images, with time and peak memory.

python tests/benchmarks/bench_imagelist.py [--images 1400000]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from imnetlib import pack

T = TypeVar("T")
# The unit of ru_maxrss, in bytes.
UNIT = 1 if sys.platform == "darwin" else 1024


def timed(name: str, action: Callable[[], T]) -> T:
    """Run ``action``, and print its time and the peak memory so far."""
    start = time.perf_counter()
    result = action()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1e9
    print(f"{name:24} {time.perf_counter() - start:8.2f} s {peak:8.2f} GB at most so far")
    return result


def make(images: int) -> pack.ImageList:
    """A list with names as in the full ImageNet, 21,841 classes."""
    labels = np.sort(np.random.default_rng(1).integers(0, 21_841, images)).astype(np.float32)
    paths = np.empty(images, "S26")
    for start in range(0, images, 100_000):
        block = labels[start : start + 100_000].astype(int).tolist()
        paths[start : start + 100_000] = [
            b"n%08d/n%08d_%d.JPEG" % (label, label, number % 30_000)
            for number, label in enumerate(block, start)
        ]
    return pack.ImageList(np.arange(images), labels[:, None], paths)


def main() -> None:
    """Print a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_400_000)
    images = timed("make the list", lambda: make(parser.parse_args().images))
    print(f"{len(images):,} images")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.lst"
        shuffled = timed("shuffle", lambda: pack.shuffle(images, 1))
        timed("write_lst", lambda: pack.write_lst(shuffled, path))
        timed("split, stratified", lambda: pack.split(images, (0.9, 0.1), 1, stratified=True))
        timed("read_lst", lambda: pack.read_lst(path))


if __name__ == "__main__":
    main()
