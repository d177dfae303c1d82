"""Training on one GPU: how fast it computes, whether the loader keeps up, what hours follow.

    python tests/benchmarks/bench_gpu.py [--quick] [--to FOLDER] [--networks A,B] [--batch 256]

For each network at 224 pixels in bfloat16, by PyTorch: images/s and peak memory of training steps
on one batch that stays on the GPU, as written and by torch.compile; the share of what the GPU
reaches in a product of large matrices; then the same steps fed from records on the disk,
random-resized crops of photos of 256 pixels, once by a loader whose threads are in the training
process and once by one in processes of its own. "Idle" is the share of the time in which the GPU
had no step to do, by its own clock. Before them the loader alone, in both ways. The rounds
alternate between the ways.

The 21,841-class network is the note's; nine rounds are those that it trained. Without a GPU,
``--device cpu --networks inception-64px --size 64 --batch 32`` shows that the benchmark runs.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bench_pack import photo
from results import Report, Table, Way, options, plainly, take_turns, ways
from shards import write_records

from imnetlib import catalog
from imnetlib.engines import Recipe
from imnetlib.image import Transform, encode
from imnetlib.loader import Batch, Loader, ProcessLoader

# It is in no lock.
with suppress(ImportError):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from imnetlib.engines.torch import network, train

NETWORKS = {"inception-21k": catalog.IMAGENET21K.classes, "torchvision.models:resnet50": 1000}
# That of JPEGs of 18 KB.
QUALITY = 73
STAYS = "one batch that stays on the GPU"
PROCESSES = "fed by processes"
THREADS = "fed by threads in the training process"


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def limit(device: torch.device, side: int) -> float:
    """Operations a second of a matrix product in bfloat16, the best of 10."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(13):
        wait(device)
        began = time.perf_counter()
        left @ right
        wait(device)
        times.append(time.perf_counter() - began)
    return 2 * side**3 / min(times[3:])


def operations(name: str, classes: int, size: int) -> int:
    """Floating-point operations of a training step an image."""
    with torch.device("meta"):
        net = network.module(name, classes, size).train()
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(2, 3, size, size)).sum().backward()
    return int(counter.get_total_flops()) // 2


def rate(replicas: train.Replicas, batches: Iterable[Batch], seconds: float) -> tuple[float, float]:
    """Images/s over so many seconds, and the share in which the device was idle (NaN: unknown)."""
    steps = []
    wait(replicas.device)
    began = time.perf_counter()
    for batch in batches:
        steps.append(replicas.step(batch, 1e-4))
        if len(steps) % 10 == 0:
            wait(replicas.device)
            if time.perf_counter() - began >= seconds:
                break
    wait(replicas.device)
    passed = time.perf_counter() - began
    images = sum(step.images for step in steps)
    idle = replicas.idle(steps)
    return images / passed, float("nan") if idle is None else idle / passed


def endlessly(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Epoch after epoch."""
    return itertools.chain.from_iterable(itertools.repeat(batches))


def in_this_process(replicas: train.Replicas, loader: Loader) -> Iterator[Batch]:
    """The batches of a loader whose threads are here, copied from pinned memory."""
    on_gpu = replicas.device.type == "cuda"
    for batch in endlessly(loader):
        images = torch.from_numpy(batch.images)
        if on_gpu:
            images = images.pin_memory().to(replicas.device, non_blocking=True)
        yield replace(batch, images=images)


def loading(loader: Loader | ProcessLoader, seconds: float) -> float:
    """Images/s of the loader alone."""
    with loader:
        batches = endlessly(loader)
        for _ in range(5):
            next(batches)
        images = 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            images += len(next(batches).ids)
        return images / (time.perf_counter() - began)


def counted(number: int, noun: str) -> str:
    """So many: "1 thread", "2 threads", "4 processes"."""
    plural = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{plural * (number > 1)}"


def loaders(shard: Path, chosen: argparse.Namespace) -> Table:
    """Images/s of the loader by threads and processes."""
    transform = Transform(chosen.size, "random_resized", mirror=True)
    settings = {"shards": [shard], "batch_size": chosen.batch, "transform": transform}
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= chosen.threads]
    jobs: dict[str, Callable[[], float]] = {}
    for threads in counts:
        loader = Loader(**settings, threads=threads)
        jobs[f"this process, {counted(threads, 'thread')}"] = functools.partial(
            loading, loader, chosen.seconds / 6
        )
    for threads in (1, 2, 4, 8):
        processes = chosen.threads // threads
        if processes and threads in counts:
            apart = ProcessLoader(processes=processes, **settings, threads=chosen.threads)
            name = f"{counted(processes, 'process')} of its own, {counted(threads, 'thread')} each"
            jobs[name] = functools.partial(loading, apart, chosen.seconds / 6)
    return Table("the loader alone", "images/s", ways(take_turns(jobs, 1)))


def benchmark(
    chosen: argparse.Namespace, name: str, shard: Path, compiled: bool
) -> Iterator[Table]:
    """The tables of a network."""
    device = torch.device(chosen.device)
    classes = chosen.classes or NETWORKS.get(name, 1000)
    recipe = Recipe(
        network=name,
        size=chosen.size,
        crop="random_resized",
        batch_size=chosen.batch,
        devices=1,
        precision=chosen.precision,
        learning_rate=0.1,
    )
    start = train.untrained(recipe, [f"n{i:08}" for i in range(classes)])
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    replicas = train.Replicas(start, device, compiled=compiled)
    with (
        replicas.feed([shard], training=True, threads=chosen.threads) as feed,
        Loader(
            [shard], chosen.batch, feed.loader.transform, seed=1, threads=chosen.threads
        ) as loader,
    ):
        cached = next(iter(feed))
        cached = replace(cached, images=torch.as_tensor(cached.images).clone())
        batches = {
            STAYS: itertools.repeat(cached),
            PROCESSES: endlessly(feed),
            THREADS: in_this_process(replicas, loader),
        }
        jobs = {
            way: functools.partial(rate, replicas, of, chosen.seconds / chosen.rounds)
            for way, of in batches.items()
        }
        found = take_turns(jobs, chosen.rounds, warm_up=True)
    kind = ", torch.compile" if compiled else ""
    title = f"train {name}, {classes:,} classes, batch {chosen.batch}, {chosen.precision}{kind}"
    rates = ways(found, lambda pair: pair[0])
    yield Table(title, "images/s", rates, limit=STAYS)
    if not rates[0].values:
        return
    epochs = 9 * catalog.IMAGENET21K.train / 3600
    hours = tuple(replace(way, values=tuple(epochs / rate for rate in way.values)) for way in rates)
    yield Table(title, "hours", hours, what=f"nine epochs of {catalog.IMAGENET21K.train:,} images")
    if on_gpu:
        idle = ways(found, lambda pair: 100 * pair[1])
        yield Table(title, "% idle", idle, what="the GPU")
        memory = Way(STAYS, (torch.cuda.max_memory_allocated(device) / 1e6,))
        yield Table(title, "MB", (memory,), what="peak memory of all")
    of_an_image = operations(name, classes, chosen.size) / 1e12
    steps = [Way(way.name, (of_an_image * way.median,)) for way in rates if way.values]
    yield Table(title, "TFLOP/s", tuple(steps), what="computed")
    product = limit(device, chosen.side) / 1e12
    shares = (Way(way.name, (100 * way.median / product,)) for way in steps)
    yield Table(title, "%", tuple(shares), what="of a large matrix product")


def unable(device: str) -> str:
    """Why nothing can be measured, or ""."""
    if "torch" not in globals():
        return "PyTorch is not installed"
    if device == "cuda" and not torch.cuda.is_available():
        return "PyTorch sees no GPU: imnet doctor says why"
    return ""


def main() -> None:
    """Measure all tables."""
    chosen = options(
        __doc__ or "",
        networks=(",".join(NETWORKS), "inception-21k"),
        classes=(0, 0),
        size=(224, 224),
        batch=(256, 256),
        precision=("bfloat16", "bfloat16"),
        device=("cuda", "cuda"),
        threads=(os.cpu_count() or 1, os.cpu_count() or 1),
        records=(80 * 256, 20 * 256),
        seconds=(15.0, 3.0),
        rounds=(9, 1),
        side=(8192, 8192),
        compile=(1, 0),
    )
    report = Report("gpu")
    failure = unable(chosen.device)
    if failure:
        rows = tuple(Way(name, failure=failure) for name in chosen.networks.split(","))
        report.add(Table("train on one GPU", "images/s", rows))
    else:
        for table in tables(chosen):
            report.add(table)
            # Minutes of a GPU are dear: what is measured stays where the next network fails.
            report.write(chosen.to)
    report.save(chosen.to)


def tables(chosen: argparse.Namespace) -> Iterator[Table]:
    """The loader alone, then each network, as written and compiled."""
    with tempfile.TemporaryDirectory() as folder:
        jpegs = [encode(photo(341, 256, number), quality=QUALITY) for number in range(200)]
        shard = write_records(Path(folder), chosen.records, jpegs)
        yield loaders(shard, chosen)
        for name in chosen.networks.split(","):
            for compiled in range(1 + chosen.compile):
                try:
                    yield from benchmark(chosen, name, shard, bool(compiled))
                except ImportError as error:
                    row = Way(STAYS, failure=plainly(str(error)))
                    yield Table(f"train {name}", "images/s", (row,))


if __name__ == "__main__":
    main()
