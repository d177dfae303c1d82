"""The way of winter21's archive at its count of classes: 19,167 class tars, two images in each.

    python tests/benchmarks/bench_winter21.py

From the .tar.gz: unpacked and indexed in one pass, listed, packed, an epoch of the loader. Each
step runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import gzip
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imnetlib import pack
from imnetlib.archive import gunzip_tar, index_path, open_index
from imnetlib.catalog import WINTER21, wnids_21k
from imnetlib.course.sample import archives
from imnetlib.image import Transform, encode
from imnetlib.loader import Loader

PACKED = "winter21_whole.tar.gz"


def make(folder: Path) -> None:
    """Write the archive: the first classes of the full set, photos of 64 pixels."""
    random = np.random.default_rng(0)
    smooth = random.integers(0, 256, (50, 4, 4, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    photos = [encode(pixels) for pixels in smooth]
    files = (
        (f"{wnid}_{number}.JPEG", photos[(place + number) % 50])
        for place, wnid in enumerate(wnids_21k()[: WINTER21.classes])
        for number in range(2)
    )
    archives.write_by_class(folder / "whole.tar", files)
    with (folder / "whole.tar").open("rb") as tar, gzip.open(folder / PACKED, "wb", 1) as out:
        shutil.copyfileobj(tar, out)
    (folder / "whole.tar").unlink()


def unpack(folder: Path) -> None:
    tar = folder / PACKED.removesuffix(".gz")
    gunzip_tar(folder / PACKED, tar).save(index_path(tar))


def write_list(folder: Path) -> None:
    index = open_index(folder / PACKED.removesuffix(".gz"))
    pack.write_lst(pack.shuffle(pack.list_archive(index), 1), folder / "train.lst")


def write_shards(folder: Path) -> None:
    index = open_index(folder / PACKED.removesuffix(".gz"))
    images = pack.read_lst(folder / "train.lst")
    done = pack.pack(images, pack.Tar(index), folder / "records", "train", shards=8)
    assert done.images == 2 * WINTER21.classes


def load(folder: Path) -> None:
    shards = sorted((folder / "records").glob("*.rec"))
    with Loader(shards, 256, Transform(64), classes=WINTER21.classes) as batches:
        assert sum(len(batch.ids) - batch.padding for batch in batches) == 2 * WINTER21.classes


def measured(step: Callable[[Path], None], folder: Path) -> None:
    """Run one step, and print its seconds and the most memory it took."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(step, folder))
    process.start()
    process.join()
    assert process.exitcode == 0


def _run(step: Callable[[Path], None], folder: Path) -> None:
    started = time.perf_counter()
    step(folder)
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{step.__name__:12} {seconds:6.1f} s {megabytes:6.0f} MB", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        for step in (unpack, write_list, write_shards, load):
            measured(step, folder)


if __name__ == "__main__":
    main()
