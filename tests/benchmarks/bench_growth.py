"""How time and memory grow with the work: 1, 4 and 16 times as many images, members, predictions.

    python tests/benchmarks/bench_growth.py [--quick] [--to FOLDER] [--percent 100]

--percent: of the usual work. Each job has a process of its own at each size, and finds what it
reads written by another. The memory is that of the process, with its modules and, of predictions,
the pages of their file that it has read.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from bench_archive import write_nested
from bench_imagelist import make
from results import Report, Table, apart, options, work_folder
from shards import write_records

from imnetlib import pack, wordnet
from imnetlib.archive import index_tar
from imnetlib.image import Settings, Transform, encode
from imnetlib.loader import Loader

TIMES = (1, 4, 16)
CLASSES = 10


def photos(width: int, height: int) -> list[bytes]:
    """Twenty JPEGs of noise in cells of 5 pixels, which weigh about what photos do."""
    shape = (20, height // 5, width // 5, 3)
    coarse = np.random.default_rng(0).integers(64, 192, shape, np.uint8)
    return [encode(pixels.repeat(5, 0).repeat(5, 1)) for pixels in coarse]


def write_photos(folder: Path, images: int) -> None:
    """Photos of 500 x 375 in class folders, and their list."""
    jpegs = photos(500, 375)
    for number in range(images):
        path = folder / "in" / f"n{number % CLASSES:08}" / f"{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpegs[number % len(jpegs)])
    pack.write_lst(pack.list_folder(folder / "in"), folder / "photos.lst")


def pack_photos(folder: Path) -> None:
    settings = Settings(resize=256, quality=90)
    images = pack.read_lst(folder / "photos.lst")
    done = pack.pack(
        images, pack.Folder(folder / "in"), folder / "out", "set", shards=1, threads=2,
        settings=settings,
    )  # fmt: skip
    assert done.images == len(images)
    shutil.rmtree(folder / "out")


def write_shard(folder: Path, images: int) -> None:
    """A shard of photos of 340 x 255."""
    write_records(folder, images, photos(340, 255))


def load_crops(folder: Path) -> None:
    crop = Transform(224, "random_resized", mirror=True)
    with Loader([folder / "set.rec"], 128, crop, threads=2) as batches:
        for _ in batches:
            pass


def write_list(folder: Path, images: int) -> None:
    """A list with names as in the full ImageNet."""
    pack.write_lst(make(images), folder / "images.lst")


def shuffle_list(folder: Path) -> None:
    images = pack.read_lst(folder / "images.lst")
    pack.write_lst(pack.shuffle(images, 1), folder / "shuffled.lst")


def write_tar(folder: Path, members: int) -> None:
    """A tar of class tars, each of 1,000 empty members."""
    write_nested(folder / "whole.tar", b"", -(-members // 1000), members)


def index_members(folder: Path) -> None:
    index_tar(folder / "whole.tar").save(folder / "whole.npz")


def write_predictions(folder: Path, images: int) -> None:
    """Probabilities of 21,841 classes."""
    hierarchy = wordnet.load()
    invented = wordnet.invented_predictions(hierarchy, 100).astype(np.float32)
    np.save(folder / "predictions.npy", np.resize(invented, (images, invented.shape[1])))


def read_predictions(folder: Path) -> None:
    hierarchy = wordnet.load()
    for probabilities in np.load(folder / "predictions.npy", mmap_mode="r"):
        wordnet.explain(hierarchy, probabilities)


# What writes for a job, the job, and how much of what it does at 1.
JOBS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], None], int, str]] = {
    "pack photos": (write_photos, pack_photos, 125, "images"),
    "load crops": (write_shard, load_crops, 500, "images"),
    "shuffle a list": (write_list, shuffle_list, 50_000, "images"),
    "index a tar": (write_tar, index_members, 50_000, "members"),
    "explain predictions": (write_predictions, read_predictions, 64, "images"),
}


def main() -> None:
    """Measure both tables."""
    chosen = options(__doc__ or "", percent=(100, 5), rounds=(2, 1))
    report = Report("growth")
    with work_folder() as name:
        rows = {}
        jobs = {}
        for job, (write, do, usual, what) in JOBS.items():
            once = usual * chosen.percent // 100
            rows[job] = f"{job}, {once:,} {what}"
            for times in TIMES:
                folder = Path(name) / f"{job}-{times}"
                folder.mkdir()
                write(folder, times * once)
                jobs[folder.name] = functools.partial(do, folder)
        costs = apart("growth", jobs, chosen.rounds)
    for title, table in zip(("time", "memory"), costs, strict=True):
        for times in TIMES:
            found = (replace(table.way(f"{job}-{times}"), name=row) for job, row in rows.items())
            what = "once" if times == 1 else f"{times} times the work"
            report.add(Table(title, table.unit, tuple(found), what=what))
    report.save(chosen.to)


if __name__ == "__main__":
    main()
