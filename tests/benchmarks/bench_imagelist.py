"""Shuffle, write, read and split a list of images, with the peak memory of all of it.

python tests/benchmarks/bench_imagelist.py [--quick] [--to FOLDER] [--images 1400000]
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
from results import Report, Table, apart, in_turns, options

from imnetlib import pack

ROUNDS = 3


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


def measured(images: pack.ImageList, path: Path, rounds: int) -> Table:
    """Images/s of each step."""
    shuffled = pack.shuffle(images, 1)
    steps = {
        "shuffle": lambda: pack.shuffle(images, 1),
        "write_lst": lambda: pack.write_lst(shuffled, path),
        "read_lst": lambda: pack.read_lst(path),
        "split, stratified": lambda: pack.split(images, (0.9, 0.1), 1, stratified=True),
    }
    found = in_turns(steps, rounds, len(images))
    return Table(f"a list of {len(images):,} images", "images/s", found)


def all_steps(images: int, path: Path) -> None:
    """Each step once."""
    made = make(images)
    pack.write_lst(pack.shuffle(made, 1), path)
    pack.split(made, (0.9, 0.1), 1, stratified=True)
    pack.read_lst(path)


def main() -> None:
    """Measure both tables."""
    chosen = options(__doc__ or "", images=(1_400_000, 140_000))
    report = Report("imagelist")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.lst"
        report.add(measured(make(chosen.images), path, ROUNDS))
        job = functools.partial(all_steps, chosen.images, path)
        _, memory = apart(f"a list of {chosen.images:,} images", {"all steps": job})
        report.add(memory)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
