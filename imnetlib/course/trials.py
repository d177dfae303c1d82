"""Small trials of training: crops told, records relabelled, speeds, a checksum of weights."""

from __future__ import annotations

import itertools
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from imnetlib import recordio
from imnetlib.arguments import PathLike
from imnetlib.course.engines import Engine
from imnetlib.course.measure import repeat
from imnetlib.engines import Checkpoint, Recipe
from imnetlib.loader import Batch, Loader, ProcessLoader


class Speed(NamedTuple):
    """Images a second, and how many cores were busy."""

    images_per_s: float
    busy_cores: float


def crop_table(
    boxes: Sequence[tuple[int, int, int, int]], mirrored: Sequence[bool], height: int, width: int
) -> list[dict[str, float]]:
    """A row for each box (top, left, height, width) of a picture ``height`` by ``width`` pixels."""
    return [
        {
            "crop": number,
            "% of the picture": 100 * box[2] * box[3] / (height * width),
            "width / height": box[3] / box[2],
            "mirrored": flipped,
        }
        for number, (box, flipped) in enumerate(zip(boxes, mirrored, strict=True), start=1)
    ]


def weights_crc32(network: Checkpoint) -> int:
    """The CRC-32 of all weights and statistics, in the order of their names (chapter 7)."""
    arrays = network.parameters
    return zlib.crc32(b"".join(arrays[name].tobytes() for name in sorted(arrays)))


def relabelled(
    shards: Sequence[PathLike], wnids: Sequence[str], chosen: Sequence[str], path: PathLike
) -> Path:
    """Write the records of the classes ``chosen`` as one shard, labelled by their place there.

    ``wnids``: the class of each label in ``shards``. Gives the path of the .rec (chapter 7).
    """
    label_of = {wnids.index(wnid): label for label, wnid in enumerate(chosen)}
    path = Path(path)
    out = recordio.MXIndexedRecordIO(path.with_suffix(".idx"), path, "w")
    for shard in shards:
        with recordio.RecordReader(shard) as reader:
            for _, record in reader:
                header, jpeg = recordio.unpack(bytes(record))
                if header.label in label_of:
                    anew = header._replace(label=label_of[header.label])
                    out.write_idx(header.id, recordio.pack(anew, jpeg))
    out.close()
    return path


def training_speed(
    engine: Engine, recipe: Recipe, wnids: Sequence[str], shards: Sequence[PathLike], devices: int
) -> Speed:
    """Training steps on ``devices``, by one batch again and again, for 3 s (chapter 7).

    Each device has as many images as in ``recipe``. They learn nothing: the rate is 0.
    """
    images = devices * recipe.images_per_device
    many = replace(recipe, devices=devices, batch_size=images, accumulate=1)
    replicas = engine.train.Replicas(engine.train.untrained(many, wnids))
    with replicas.feed(shards, training=True, threads=1) as batches:
        batch = next(iter(batches))

    def step() -> None:
        replicas.results([replicas.step(batch, rate=0.0)])

    repeat(step, seconds=0.5)  # to warm up
    steps_per_s, busy = repeat(step, seconds=3)
    return Speed(steps_per_s * images, busy)


def first_losses(
    engine: Engine, start: Checkpoint, shards: Sequence[PathLike], steps: int, threads: int
) -> list[float]:
    """The mean loss of each of an engine's first ``steps`` from the weights of ``start``.

    The rates are those of its recipe (chapter 10).
    """
    replicas = engine.train.Replicas(start)
    taken = []
    with replicas.feed(shards, training=True, threads=threads) as batches:
        in_all = start.recipe.epochs * len(batches)
        for step, batch in enumerate(itertools.islice(batches, steps)):
            taken.append(replicas.step(batch, start.recipe.rate(step / in_all)))
    loss, _, images = replicas.results(taken).T
    return list(loss / images)


def feeding_speeds(
    replicas: Any, settings: Mapping[str, Any], processes: int, turns: int = 5, steps: int = 15
) -> dict[str, float]:
    """Training steps a second by three ways to feed them, the median of some turns (chapter 10).

    One batch that stays; a ``Loader(**settings)`` in this process; a ``ProcessLoader`` of so many
    ``processes``. They take turns, so that what else the machine does falls on all of them alike.
    """
    with Loader(**settings) as here, ProcessLoader(processes=processes, **settings) as beside:
        first = next(iter(here))
        # The next batch is decoded into the same memory.
        kept = Batch(first.images.copy(), first.labels, first.ids, first.padding)
        ways = {
            "one batch, again and again": itertools.repeat(kept),
            "loader in this process": _endlessly(here),
            "in its own processes": _endlessly(beside),
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(turns):
            for way, batches in ways.items():
                found[way].append(_steps_a_second(replicas, batches, steps))
    return {way: median(rates) for way, rates in found.items()}


def _endlessly(loader: Iterable[Batch]) -> Iterator[Batch]:
    """Epoch after epoch."""
    return itertools.chain.from_iterable(itertools.repeat(loader))


def _steps_a_second(replicas: Any, batches: Iterator[Batch], steps: int) -> float:
    """Training steps at a rate of 0; one before them does not count."""
    replicas.results([replicas.step(next(batches), 0.0)])
    began = time.perf_counter()
    replicas.results([replicas.step(batch, 0.0) for batch in itertools.islice(batches, steps)])
    return steps / (time.perf_counter() - began)


def loader_seconds(settings: Mapping[str, Any], batches: int = 40) -> float:
    """The processor's seconds that a ``Loader(**settings)`` takes for a batch (chapter 10)."""
    with Loader(**settings) as loader:
        began = time.process_time()
        loaded = sum(1 for _ in itertools.islice(loader, batches))
        return (time.process_time() - began) / loaded
