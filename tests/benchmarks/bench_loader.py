"""imnetlib.loader beside its peers on the same JPEGs: 224-pixel crops of photos, in one run.

    python tests/benchmarks/bench_loader.py [--quick] [--to FOLDER] [--records 3072] [--rounds 5]

The photos' short edge is 256. Peers: MXNet's iterators and Gluon, WebDataset, MosaicML Streaming,
litdata, FFCV; loader_peers.py says how each is used. MXNet is in the course's environment,
tests/benchmarks/peers.txt says how to install the others; a peer that cannot run has the reason in
its row. Each reader has a process of its own, and only one is awake at a time. The rounds alternate
between the readers, the first one warms up. The limit is the same work, decoding, cropping and
normalising, done by two threads over JPEGs held in memory. Below each table, images/s for each core
that a reader keeps busy with its worker processes; MXNet's iterators decode with half of the cores
at most.

Then the peak memory, at batch 256 and with an index of all of ImageNet-21k, against what the
project promises. Reading without decoding, every byte checksummed, is in bench_recordio.py.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import loader_peers as peers
import numpy as np
from bench_pack import photo
from loader_peers import Task
from measure import PEAK, Apart, Job, Timing
from results import Report, Table, Way, options

from imnetlib import catalog, recordio
from imnetlib.image import Transform

BATCH = 128
PICTURES = 200
MEAN = (123.68, 116.78, 103.94)
STD = (58.4, 57.12, 57.38)
# The qualities that give JPEGs of about 36 and 18 KB.
QUALITIES = {"large": 90, "small": 73}
Readers = dict[str, tuple[Callable[..., Job], *tuple[object, ...]]]
LIMIT = "the same work in memory"
BARE: Readers = {LIMIT: (peers.same_work,), "decoding alone": (peers.bare_decoding,)}
OURS: Readers = {
    "imnetlib, 1 thread": (peers.ours, 1),
    "imnetlib, 2 threads": (peers.ours, 2),
    "imnetlib, 4 threads": (peers.ours, 4),
}
FFCV: Readers = {"FFCV": (peers.ffcv,)}
MXNET: Readers = {"MXNet iterator, NCHW": (peers.mxnet_iterator,)}
OTHERS: Readers = {
    "Gluon, 2 processes": (peers.gluon, False),
    "Gluon, 2 threads": (peers.gluon, True),
    "WebDataset, PIL": (peers.webdataset, "PIL"),
    "WebDataset, simplejpeg": (peers.webdataset, "simplejpeg"),
    "Streaming, PIL": (peers.streaming, "PIL"),
    "Streaming, simplejpeg": (peers.streaming, "simplejpeg"),
    "litdata, torchvision": (peers.litdata, "torchvision"),
    "litdata, PIL": (peers.litdata, "PIL"),
    "litdata, simplejpeg": (peers.litdata, "simplejpeg"),
}
CENTER, RANDOM, RESIZED = (
    Transform(224, crop, True) for crop in ("center", "random", "random_resized")
)
FLOAT, FLOAT_RESIZED = (
    Transform(224, crop, True, layout="NCHW", mean=MEAN, std=STD)
    for crop in ("random", "random_resized")
)
TABLES: tuple[tuple[str, str, Transform, Readers], ...] = (
    ("centre crop, mirror, uint8", "large", CENTER, BARE | OURS | FFCV | MXNET),
    ("random crop, mirror, uint8", "large", RANDOM, BARE | OURS | FFCV | MXNET | OTHERS),
    ("random-resized crop, mirror, uint8", "large", RESIZED, BARE | OURS | FFCV | MXNET | OTHERS),
    ("random crop, mirror, float32 NCHW", "large", FLOAT, BARE | OURS | MXNET),
    (
        "random-resized crop, mirror, float32 NCHW",
        "large",
        FLOAT_RESIZED,
        BARE | OURS | FFCV | MXNET,
    ),
    ("centre crop, mirror, uint8", "small", CENTER, BARE | OURS | FFCV | MXNET),
    ("random crop, mirror, uint8", "small", RANDOM, BARE | OURS | MXNET),
    ("random-resized crop, mirror, uint8", "small", RESIZED, BARE | OURS | FFCV | MXNET),
)
LOADING = """
import itertools, sys
from pathlib import Path
from imnetlib.image import Transform
from imnetlib.loader import Loader
loader = Loader([Path(sys.argv[1])], 256, Transform(224, "random_resized", True), threads=4)
batches = sum(1 for _ in range(int(sys.argv[2])) for _ in loader)
print(f"{peak() / 1e6:,.0f} MB peak memory, {batches} batches of 256 with 4 threads")
"""
FULL_INDEX = """
import sys, time
from pathlib import Path
from imnetlib.loader import Loader, Transform
from imnetlib.order import order_of
began = time.perf_counter()
# "skip", because the file is empty.
loader = Loader([Path(sys.argv[1])], 256, Transform(), on_error="skip")
opened = time.perf_counter()
order = order_of([loader.state_dict()["records"]], True, 0, 0)
print(f"{peak() / 1e6:,.0f} MB peak memory, {len(order):,} records: "
      f"opened in {opened - began:.1f} s, shuffled in {time.perf_counter() - opened:.1f} s")
"""


def make_records(folder: Path, records: int, quality: int) -> Path:
    """One shard of so many records of 200 pictures."""
    pictures = []
    for i in range(PICTURES):
        width, height = (341, 256) if i % 3 else (256, 341)
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        encoded = cv2.imencode(".jpg", photo(width, height, i), options)[1]
        pictures.append(encoded.tobytes())
    folder.mkdir()
    shard = folder / "set.rec"
    offsets = []
    with shard.open("wb") as out:
        for i in range(records):
            offsets.append(out.tell())
            header = recordio.IRHeader(0, float(i % 10), i, 0)
            out.write(recordio.frame(recordio.pack(header, pictures[i % PICTURES])))
    recordio.write_index(shard.with_suffix(".idx"), np.arange(records), offsets)
    return shard


def measure(readers: Readers, task: Task, rounds: int) -> dict[str, list[Timing] | str]:
    """The rounds of each reader, or why it can't run."""
    jobs = {}
    found = dict[str, list[Timing] | str]()
    try:
        for number, (name, (make, *arguments)) in enumerate(readers.items()):
            jobs[name] = Apart(task.folder / f"{number}.log", make, task, *arguments)
        timings: dict[str, list[Timing]] = {name: [] for name in jobs}
        for number in range(rounds + 1):
            for name, job in jobs.items():
                timing = job.run()
                # The first round warms up.
                if timing and number:
                    timings[name].append(timing)
        found = {name: job.failure or timings[name] for name, job in jobs.items()}
    finally:
        for job in jobs.values():
            job.close()
    return found


def tables(title: str, found: dict[str, list[Timing] | str]) -> Iterator[Table]:
    """Images/s of each reader, and for each core that it kept busy."""
    failed = [
        Way(name, (), why.strip().splitlines()[-1])
        for name, why in found.items()
        if isinstance(why, str)
    ]
    timed = {name: of for name, of in found.items() if not isinstance(of, str)}
    rates = [
        Way(name, tuple(images / seconds for images, seconds, _ in of))
        for name, of in timed.items()
    ]
    yield Table(
        title, "images/s", (*rates, *failed), limit=LIMIT, peer="FFCV" if "FFCV" in found else ""
    )
    busy = [Way(name, tuple(images / work for images, _, work in of)) for name, of in timed.items()]
    yield Table(f"{title}, for each busy core", "images/s", tuple(busy))


def child(source: str, *arguments: object) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", PEAK + source, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def memory(folder: Path, shard: Path) -> None:
    """Print the peak memory, each figure of a process of its own."""
    print(f"\n{child(LOADING, shard, 2)}; promised: 600 MB")
    records = catalog.IMAGENET21K.train
    full = folder / "full.rec"
    offsets = np.arange(records) * 113_248
    recordio.write_index(full.with_suffix(".idx"), np.arange(records), offsets)
    with full.open("wb") as file:
        # A sparse file takes no disk space.
        file.truncate(int(offsets[-1]) + 113_248)
    print(f"{child(FULL_INDEX, full)}; promised: 1,000 MB")


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", records=(24 * BATCH, 8 * BATCH), rounds=(5, 2))
    report = Report("loader")
    with tempfile.TemporaryDirectory() as name:
        make = functools.partial(make_records, records=chosen.records)
        shards = {
            kind: make(Path(name) / kind, quality=quality) for kind, quality in QUALITIES.items()
        }
        for title, kind, transform, readers in TABLES:
            shard = shards[kind]
            size = shard.stat().st_size / chosen.records / 1e3
            found = measure(readers, Task(shard, shard.parent, transform, BATCH), chosen.rounds)
            for table in tables(f"{title}, {size:.0f} KB an image", found):
                report.add(table)
        memory(Path(name), shards["large"])
    report.save(chosen.to)


if __name__ == "__main__":
    main()
