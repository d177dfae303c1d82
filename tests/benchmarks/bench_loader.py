"""imnetlib.loader against MXNet's iterators on the same records: 224-pixel crops of 256-pixel photos.

    python tests/benchmarks/bench_loader.py [--records 3000] [--rounds 3]

MXNet decodes with half of the cores at most, so both a ratio and images/s per busy core stand in the table. The
rounds alternate between the readers; the median counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from bench_pack import photo

from imnetlib import recordio
from imnetlib.engines.mxnet import mx
from imnetlib.loader import Loader, Transform

BATCH = 128
MEAN, STD = (123.68, 116.78, 103.94), (58.4, 57.12, 57.38)
BOXES = {
    "min_random_area": 0.08,
    "max_random_area": 1.0,
    "min_aspect_ratio": 3 / 4,
    "max_aspect_ratio": 4 / 3,
}
NORMALISED = dict(zip(("mean_r", "mean_g", "mean_b", "std_r", "std_g", "std_b"), MEAN + STD, strict=True))
Epoch = Callable[[], int]


def make_records(folder: Path, count: int) -> Path:
    """One shard of ``count`` records of 200 pictures."""
    pictures = []
    for i in range(200):
        width, height = (341, 256) if i % 3 else (256, 341)
        pictures.append(
            cv2.imencode(".jpg", photo(width, height, i), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        )
    shard, offsets = folder / "set.rec", []
    with shard.open("wb") as out:
        for i in range(count):
            offsets.append(out.tell())
            header = recordio.IRHeader(0, float(i % 10), i, 0)
            out.write(recordio.frame(recordio.pack(header, pictures[i % 200])))
    recordio.write_index(shard.with_suffix(".idx"), np.arange(count), offsets)
    print(f"{count:,} records of 256 x 341, {shard.stat().st_size / count / 1e3:.0f} KB each, batch {BATCH}")
    return shard


def ours(shard: Path, threads: int, transform: Transform) -> Epoch:
    loader = Loader([shard], BATCH, transform, threads=threads)
    return lambda: sum(len(batch.ids) - batch.padding for batch in loader)


def theirs(shard: Path, iterator: type, **settings: object) -> Epoch:
    source = iterator(
        path_imgrec=str(shard),
        path_imgidx=str(shard.with_suffix(".idx")),
        data_shape=(3, 224, 224),
        batch_size=BATCH,
        shuffle=True,
        rand_mirror=True,
        preprocess_threads=2,
        **settings,
    )

    def epoch() -> int:
        source.reset()
        images = 0
        for batch in source:
            batch.data[0].wait_to_read()
            images += BATCH
        return images

    return epoch


def measure(epochs: dict[str, Epoch], rounds: int) -> None:
    """Print images/s of each, its ratio to the first, and images/s per busy core."""
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in epochs}
    for number in range(rounds + 1):
        for name, epoch in epochs.items():
            started, worked = time.perf_counter(), sum(os.times()[:2])
            images = epoch()
            if number:  # the first round warms up
                spent, work = time.perf_counter() - started, sum(os.times()[:2]) - worked
                rates[name].append((images / spent, images / work))
    first = statistics.median(rate for rate, _ in next(iter(rates.values())))
    for name, found in rates.items():
        rate, per_core = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"  {name:28}{rate:8.0f}{rate / first:8.2f}{per_core:12.0f}")


def main() -> None:
    """Print one table per kind of crop."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--records", type=int, default=3000)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    crops = {
        "random crop, mirror": (Transform(224, "random", True), {"rand_crop": True}),
        "random-resized crop, mirror": (
            Transform(224, "resized", True),
            {"random_resized_crop": True} | BOXES,
        ),
    }
    with tempfile.TemporaryDirectory() as name:
        shard = make_records(Path(name), options.records)
        for crop, (transform, settings) in crops.items():
            print(f"{crop}{'':8}images/s   ratio  per busy core")
            epochs = {"MXNet uint8 NCHW": theirs(shard, mx.io.ImageRecordUInt8Iter, **settings)}
            for threads in (1, 2, 4):
                epochs[f"ours uint8 NHWC, {threads} threads"] = ours(shard, threads, transform)
            measure(epochs, options.rounds)
            normalised = Transform(224, transform.crop, True, layout="NCHW", mean=MEAN, std=STD)
            epochs = {
                "MXNet float32 NCHW": theirs(shard, mx.io.ImageRecordIter, **settings, **NORMALISED),
                "ours float32 NCHW, 2 threads": ours(shard, 2, normalised),
            }
            measure(epochs, options.rounds)


if __name__ == "__main__":
    main()
