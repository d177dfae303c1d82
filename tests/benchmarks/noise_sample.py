"""A sample of noise at ImageNet's weight, for benchmarks at a larger size than the painted one.

Layout and oddities are those of the painted sample. Each picture is a tile of noise, over and over:
1 ms and 110 KB, ImageNet's mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from imnetlib.catalog import DEVKIT, SAMPLE, TRAIN_TAR, VALIDATION_TAR, Dataset, wnids_1k
from imnetlib.course.sample import archives, plan

# Artifact, as half of ILSVRC's classes are: nothing here reads the groups.
GROUP = "n00021939"


def chosen_wnids(classes: int) -> tuple[str, ...]:
    """So many classes spread evenly over ILSVRC's 1,000."""
    every = wnids_1k()
    return tuple(every[i * len(every) // classes] for i in range(classes))


def paint(wnid: str, index: int, *, seed: int = 0) -> np.ndarray:
    """A picture of 500 × 375 pixels in place of the one that ``sample.render`` paints."""
    rng = np.random.default_rng([seed, int(wnid[1:]), index])
    # The files then weigh 50 to 150 KB, and 110 on average.
    swing = rng.integers(16, 112)
    tile = rng.integers(128 - swing, 128 + swing, (75, 50, 3), np.uint8)
    return np.tile(tile, (5, 10, 1))


def draw(
    folder: Path, classes: int, train_per_class: int, validation_per_class: int, seed: int = 0
) -> dict[str, str]:
    """Draw the three archives and their MD5SUMS into ``folder``; the quirks by file name."""
    wnids = chosen_wnids(classes)
    train, validation = plan.plan_shots(wnids, train_per_class, validation_per_class, seed)
    groups = dict.fromkeys(plan.id_order(wnids, seed), GROUP)
    truth = [shot.wnid for shot in sorted(validation, key=lambda shot: shot.file)]
    counts = dict.fromkeys(groups, train_per_class)
    archives.write_devkit(folder / DEVKIT, groups, truth, counts)
    archives.write_by_class(folder / TRAIN_TAR, _files(train))
    archives.write_flat(folder / VALIDATION_TAR, _files(validation))
    sums = []
    for archive in SAMPLE.archives:
        with (folder / archive.name).open("rb") as data:
            md5 = hashlib.file_digest(data, "md5").hexdigest()
        sums.append(f"{md5}  {archive.name}\n")
    (folder / "MD5SUMS").write_text("".join(sums))
    return {shot.file: shot.quirk for shot in [*train, *validation] if shot.quirk}


def _files(shots: Sequence[plan.Shot]) -> Iterator[tuple[str, bytes]]:
    for shot in shots:
        pixels = paint(shot.wnid, shot.index, seed=shot.seed)
        yield shot.file, archives.encode(pixels, shot.quirk)


def load(folder: Path) -> Dataset:
    """The sample in ``folder``, with the sizes and MD5 sums of its archives."""
    published = []
    for line in (folder / "MD5SUMS").read_text().splitlines():
        md5, name = line.split("  ")
        size = (folder / name).stat().st_size
        published.append(replace(SAMPLE.archive(name), size=size, md5=md5))
    return replace(SAMPLE, archives=tuple(published))
