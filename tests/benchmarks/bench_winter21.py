"""The way of winter21's archive at its count of classes: 19,167 class tars, two images in each.

    python tests/benchmarks/bench_winter21.py [--quick] [--to FOLDER] [--classes 19167]

From the .tar.gz: unpacked and indexed in one pass, listed, packed, an epoch of the loader. Each
step runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import functools
import gzip
import shutil
import tempfile
from pathlib import Path

import numpy as np
from results import Report, apart, options

from imnetlib import pack
from imnetlib.archive import gunzip_tar, index_path, open_index
from imnetlib.catalog import WINTER21, wnids_21k
from imnetlib.course.sample import archives
from imnetlib.image import Transform, encode
from imnetlib.loader import Loader

PACKED = "winter21_whole.tar.gz"


def make(folder: Path, classes: int) -> None:
    """Write the archive: the first classes of the full set, photos of 64 pixels."""
    random = np.random.default_rng(0)
    smooth = random.integers(0, 256, (50, 4, 4, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    photos = [encode(pixels) for pixels in smooth]
    files = (
        (f"{wnid}_{number}.JPEG", photos[(place + number) % 50])
        for place, wnid in enumerate(wnids_21k()[:classes])
        for number in range(2)
    )
    archives.write_by_class(folder / "whole.tar", files)
    with (folder / "whole.tar").open("rb") as tar, gzip.open(folder / PACKED, "wb", 1) as out:
        shutil.copyfileobj(tar, out)
    (folder / "whole.tar").unlink()


def unpack(folder: Path, classes: int) -> None:
    tar = folder / PACKED.removesuffix(".gz")
    gunzip_tar(folder / PACKED, tar).save(index_path(tar))


def write_list(folder: Path, classes: int) -> None:
    index = open_index(folder / PACKED.removesuffix(".gz"))
    pack.write_lst(pack.shuffle(pack.list_archive(index), 1), folder / "train.lst")


def write_shards(folder: Path, classes: int) -> None:
    index = open_index(folder / PACKED.removesuffix(".gz"))
    images = pack.read_lst(folder / "train.lst")
    done = pack.pack(images, pack.Tar(index), folder / "records", "train", shards=8)
    assert done.images == 2 * classes


def load(folder: Path, classes: int) -> None:
    shards = sorted((folder / "records").glob("*.rec"))
    with Loader(shards, 256, Transform(64), classes=classes) as batches:
        assert sum(len(batch.ids) - batch.padding for batch in batches) == 2 * classes


STEPS = {"unpack and index": unpack, "list": write_list, "pack": write_shards, "an epoch": load}


def main() -> None:
    """Measure both tables."""
    chosen = options(
        __doc__ or "",
        {"classes": len(wnids_21k())},
        classes=(WINTER21.classes, WINTER21.classes // 10),
    )
    report = Report("winter21")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, chosen.classes)
        jobs = {step: functools.partial(job, folder, chosen.classes) for step, job in STEPS.items()}
        title = f"winter21, {chosen.classes:,} classes of two images"
        for table in apart(title, jobs):
            report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
