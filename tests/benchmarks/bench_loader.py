"""imnetlib.loader beside its peers on the same JPEGs: 224-pixel crops of photos, in one run.

    python tests/benchmarks/bench_loader.py [--quick] [--to FOLDER] [--records 1536] [--rounds 3]

Photos whose short edge is 256, at two qualities, and originals of 500 x 375. Peers: MXNet's
iterators and Gluon, torchvision's ImageFolder, WebDataset, MosaicML Streaming, litdata, FFCV, SPDL,
TurboLoader; loader_peers.py says how each is used. ``make bench-env`` makes an environment that has
them, which this benchmark then runs in; a peer that cannot run has the reason in its row. One table
has all readers, the others the leading ones.

Each reader has a process of its own, and only one is awake at a time. The rounds alternate between
the readers, every second one in reverse, after one that warms up. The limit is the same work,
decoding, cropping and normalising, done by two threads over JPEGs held in memory. Beside it, the
images/s for each core that a reader keeps busy, its worker processes included (MXNet's iterators
decode with half of the cores at most), which hold on a machine that does other things too.

Then the peak memory, at batch 256 and with an index of all of ImageNet-21k, against what the
project promises. Reading without decoding, every byte checksummed, is in bench_recordio.py.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import loader_peers as peers
import numpy as np
from bench_pack import photo
from loader_peers import Task
from measure import Apart, Job, Timing
from peers_environment import move_there, reason
from results import BUSY, Report, Table, Way, alone, options, peak
from shards import write_records

from imnetlib import catalog, recordio
from imnetlib.image import Transform
from imnetlib.loader import Loader
from imnetlib.order import order_of

BATCH = 128
PICTURES = 200
# ImageNet's, on the scale of 0 to 255, as TurboLoader has them built in.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
Readers = dict[str, tuple[Callable[..., Job], *tuple[object, ...]]]
LIMIT = "the same work in memory"
SAME: Readers = {LIMIT: (peers.same_work,)}
OURS: Readers = {"imnetlib, 2 threads": (peers.ours,)}
FFCV: Readers = {"FFCV": (peers.ffcv,)}
MXNET: Readers = {"MXNet iterator": (peers.mxnet_iterator,)}
TORCHVISION: Readers = {"torchvision, PIL": (peers.torchvision_folder, "PIL")}
FILES: Readers = {
    **TORCHVISION,
    "torchvision, our decoder": (peers.torchvision_folder, "ours"),
    "SPDL, FFmpeg": (peers.spdl, "FFmpeg"),
    "SPDL, our decoder": (peers.spdl, "ours"),
}
SHARDED: Readers = {
    "Gluon": (peers.gluon,),
    "WebDataset, PIL": (peers.webdataset, "PIL"),
    "WebDataset, our decoder": (peers.webdataset, "ours"),
    "Streaming, PIL": (peers.streaming, "PIL"),
    "Streaming, our decoder": (peers.streaming, "ours"),
    "litdata, torchvision": (peers.litdata, "torchvision"),
    "litdata, our decoder": (peers.litdata, "ours"),
    "slipstream": (peers.slipstream,),
}
FLOAT_ONLY: Readers = {"TurboLoader": (peers.turboloader,)}


@dataclass(frozen=True)
class Photos:
    """What the records of a shard hold: pictures of one size and JPEG quality."""

    name: str
    edges: tuple[int, int]
    quality: int


LARGE = Photos("341 x 256", (341, 256), 90)
SMALL = Photos("341 x 256", (341, 256), 73)
ORIGINAL = Photos("500 x 375", (500, 375), 95)
CENTER, RANDOM, RESIZED = (
    Transform(224, crop, True) for crop in ("center", "random", "random_resized")
)
FLOAT_RESIZED = Transform(224, "random_resized", True, layout="NCHW", mean=MEAN, std=STD)
PLAIN = SAME | OURS | FFCV
LEADING = PLAIN | MXNET
# The first of these in a table is the one that ratios are to.
PEERS = ("FFCV", "MXNet iterator", "torchvision, PIL")
TABLES: tuple[tuple[Photos, Transform, Readers], ...] = (
    (LARGE, RESIZED, LEADING | FILES | SHARDED),
    (LARGE, FLOAT_RESIZED, LEADING | TORCHVISION | FLOAT_ONLY),
    (LARGE, CENTER, LEADING),
    (LARGE, RANDOM, SAME | OURS | MXNET),
    (SMALL, RESIZED, PLAIN),
    (SMALL, FLOAT_RESIZED, PLAIN),
    (SMALL, CENTER, PLAIN),
    (ORIGINAL, RESIZED, LEADING),
    (ORIGINAL, FLOAT_RESIZED, PLAIN | FLOAT_ONLY),
    (ORIGINAL, CENTER, PLAIN),
)
QUICK: tuple[tuple[Photos, Transform, Readers], ...] = (
    (LARGE, RESIZED, SAME | OURS | MXNET),
    (LARGE, FLOAT_RESIZED, SAME | OURS | MXNET),
)


def make_records(
    folder: Path, records: int, quality: int, edges: tuple[int, int] = (341, 256)
) -> Path:
    """One shard of so many records of 200 pictures; two of three are wider than high."""
    pictures = []
    for i in range(PICTURES):
        width, height = edges if i % 3 else edges[::-1]
        settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
        encoded = cv2.imencode(".jpg", photo(width, height, i), settings)[1]
        pictures.append(encoded.tobytes())
    folder.mkdir(exist_ok=True)
    return write_records(folder, records, pictures)


def measure(readers: Readers, task: Task, rounds: int) -> dict[str, list[Timing] | str]:
    """The rounds of each reader, or why it can't run."""
    jobs = {}
    found = dict[str, list[Timing] | str]()
    try:
        for number, (name, (make, *arguments)) in enumerate(readers.items()):
            jobs[name] = Apart(task.folder / f"{number}.log", make, task, *arguments)
        for job in jobs.values():
            job.wait()
        timings: dict[str, list[Timing]] = {name: [] for name in jobs}
        for number in range(rounds + 1):
            for name in list(jobs)[:: -1 if number % 2 else 1]:
                timing = jobs[name].run()
                # The first round warms up.
                if timing and number:
                    timings[name].append(timing)
        found = {name: reason(job.failure) or timings[name] for name, job in jobs.items()}
    finally:
        for job in jobs.values():
            job.close()
    return found


def tables(title: str, found: dict[str, list[Timing] | str]) -> Iterator[Table]:
    """Images/s of each reader, and the same for each core that it kept busy."""
    rates = []
    busy = []
    for name, of in found.items():
        if isinstance(of, str):
            rates.append(Way(name, (), of))
        else:
            rates.append(Way(name, tuple(images / seconds for images, seconds, _ in of)))
            busy.append(Way(name, tuple(images / work for images, _, work in of)))
    peer = next(name for name in PEERS if name in found)
    yield Table(title, "images/s", tuple(rates), limit=LIMIT, peer=peer)
    yield Table(title, "images/s", tuple(busy), what=BUSY)


def title_of(photos: Photos, transform: Transform, size: float) -> str:
    """What a table is about."""
    crop = {"center": "centre", "random": "random", "random_resized": "random-resized"}
    kind = f"{transform.dtype} {transform.layout}"
    return f"load photos of {photos.name}, {size:.0f} KB, as {crop[transform.crop]} crops, {kind}"


def memory_of_loading(shard: Path) -> float:
    """MB that two epochs take at most."""
    with Loader([shard], 256, RESIZED, threads=4) as loader:
        for _ in range(2):
            for _ in loader:
                pass
    return peak() / 1e6


def cost_of_an_index(shard: Path) -> tuple[float, float, float]:
    """MB that an epoch's order takes at most, the seconds to open the shard, and to shuffle it."""
    began = time.perf_counter()
    # "skip", because the file is empty.
    with Loader([shard], 256, CENTER, on_error="skip") as loader:
        opened = time.perf_counter()
        order_of([loader.state_dict()["records"]], True, 0, 0)
    return peak() / 1e6, opened - began, time.perf_counter() - opened


def memory(folder: Path, shard: Path) -> Iterator[Table]:
    """The peak memory, each figure of a process of its own, beside what the project promises."""
    loading = alone(partial(memory_of_loading, shard))
    records = catalog.IMAGENET21K.train
    full = folder / "full.rec"
    offsets = np.arange(records) * 113_248
    recordio.write_index(full.with_suffix(".idx"), np.arange(records), offsets)
    with full.open("wb") as file:
        # A sparse file takes no disk space.
        file.truncate(int(offsets[-1]) + 113_248)
    ordering, *seconds = alone(partial(cost_of_an_index, full))
    jobs = ("random-resized crops, 4 threads, batches of 256", f"the order of {records:,} records")
    for what, megabytes in (
        ("peak memory", (loading, ordering)),
        ("promised at most", (600, 1000)),
    ):
        rows = [Way(job, (of,)) for job, of in zip(jobs, megabytes, strict=True)]
        yield Table("the memory of a loader", "MB", tuple(rows), what=what)
    steps = [Way(name, (of,)) for name, of in zip(("open", "shuffle"), seconds, strict=True)]
    yield Table(f"a shard of {records:,} records", "s", tuple(steps))


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", records=(12 * BATCH, 4 * BATCH), rounds=(3, 1))
    move_there()
    report = Report("loader")
    with tempfile.TemporaryDirectory() as name:
        for photos, transform, readers in QUICK if chosen.quick else TABLES:
            folder = Path(name) / f"{photos.edges[1]}-{photos.quality}"
            shard = folder / "set.rec"
            if not shard.exists():
                make_records(folder, chosen.records, photos.quality, photos.edges)
            task = Task(shard, folder, transform, BATCH, resize=photos is ORIGINAL)
            size = shard.stat().st_size / chosen.records / 1e3
            found = measure(readers, task, chosen.rounds)
            for table in tables(title_of(photos, transform, size), found):
                report.add(table)
        for table in memory(Path(name), shard) if not chosen.quick else ():
            report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
