"""Training on one GPU: how fast it computes, whether the loader keeps up, what hours follow.

    python tests/benchmarks/bench_gpu.py [--networks inception-21k …] [--batch 256] [--json FILE]

For each network at 224 pixels in bfloat16, by PyTorch: images/s and peak memory of training steps
on one batch that stays on the GPU ("cached"), as written and by torch.compile; the share of what
the GPU reaches in a product of 8192 x 8192 matrices; then the same steps fed from records on the
disk, random-resized crops of photos of 256 pixels, once by a loader whose threads are in the
training process and once by one in processes of its own. Headspace is the fed rate by the cached
one. "Idle" is the share of the time in which the GPU had no step to do, by its own clock. Before
them the loader alone, by threads. The rounds alternate between the ways, and the median counts.

The 21,841-class network is the note's; nine rounds are those that it trained. Without a GPU, give
``--device cpu --networks inception-64px --size 64 --batch 32``: it shows that the benchmark runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from bench_loader import make_records
from torch.utils.flop_counter import FlopCounterMode

from imnetlib import catalog
from imnetlib.engines import Recipe
from imnetlib.engines.torch import network, train
from imnetlib.image import Transform
from imnetlib.loader import Batch, Loader, ProcessLoader

NETWORKS = {"inception-21k": catalog.IMAGENET21K.classes, "torchvision.models:resnet50": 1000}
QUALITY = 73


def describe(device: torch.device) -> str:
    """The machine, in a line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = "no GPU"
    if device.type == "cuda":
        gpu = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return f"{gpu}; {cores} cores; Python {sys.version.split()[0]}, torch {torch.__version__}"


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


def loaders(shard: Path, options: argparse.Namespace) -> dict[str, float]:
    """Images/s of the loader by threads and processes, printed."""
    transform = Transform(options.size, "random_resized", mirror=True)
    settings = {"shards": [shard], "batch_size": options.batch, "transform": transform}
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count <= options.threads]
    found = {}
    for threads in counts:
        loader = Loader(**settings, threads=threads)
        found[f"{threads} threads here"] = loading(loader, options.seconds / 6)
    for threads in (1, 2, 4, 8):
        processes = options.threads // threads
        if processes and threads in counts:
            loader = ProcessLoader(processes=processes, **settings, threads=options.threads)
            name = f"{processes} processes of {threads} threads"
            found[name] = loading(loader, options.seconds / 6)
    for name, speed in found.items():
        print(f"  loader alone, {name}: {speed:,.0f} images/s", flush=True)
    return found


def benchmark(options: argparse.Namespace, name: str, shard: Path) -> dict[str, object]:
    """The row of a network, printed as it grows."""
    device = torch.device(options.device)
    classes = options.classes or NETWORKS.get(name, 1000)
    recipe = Recipe(
        network=name,
        size=options.size,
        crop="random_resized",
        batch_size=options.batch,
        devices=1,
        precision=options.precision,
        learning_rate=0.1,
    )
    start = train.untrained(recipe, [f"n{i:08}" for i in range(classes)])
    row: dict[str, object] = {"network": name, "classes": classes, "batch": options.batch}
    row["operations"] = operations(name, classes, options.size)
    for compiled in (False, True) if options.compile else (False,):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        began = time.perf_counter()
        replicas = train.Replicas(start, device, compiled=compiled)
        with replicas.feed([shard], training=True, threads=options.threads) as feed:
            cached = next(iter(feed))
            cached = replace(cached, images=torch.as_tensor(cached.images).clone())
            for _ in range(5):
                replicas.step(cached, 1e-4)
            wait(device)
            kind = "compiled" if compiled else "as written"
            print(f"{name}, {kind}: ready after {time.perf_counter() - began:.0f} s", flush=True)
            ways = {"cached": itertools.repeat(cached), "processes": endlessly(feed)}
            transform = feed.loader.transform
            with Loader(
                [shard], options.batch, transform, seed=1, threads=options.threads
            ) as loader:
                ways["threads here"] = in_this_process(replicas, loader)
                for way in ways.values():
                    rate(replicas, way, 0)
                found = measured(replicas, ways, options.seconds, options.rounds)
        if device.type == "cuda":
            found["peak_memory"] = torch.cuda.max_memory_allocated(device)
        row[kind] = found
        show(name, kind, found, row, options)
        del replicas
    return row


def measured(
    replicas: train.Replicas, ways: dict[str, Iterator[Batch]], seconds: float, rounds: int
) -> dict[str, object]:
    """The medians over rounds that alternate between the ways."""
    rates: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, batches in ways.items():
            rates[way].append(rate(replicas, batches, seconds / rounds))
    return {
        way: {
            "images_per_s": statistics.median(speed for speed, _ in found),
            "spread": [min(found)[0], max(found)[0]],
            "idle": statistics.median(idle for _, idle in found),
        }
        for way, found in rates.items()
    }


def show(
    name: str,
    kind: str,
    found: dict[str, object],
    row: dict[str, object],
    options: argparse.Namespace,
) -> None:
    cached = found["cached"]["images_per_s"]
    share = cached * row["operations"] / options.limit
    memory = found.get("peak_memory", 0) / 1e9
    print(f"  cached {cached:,.0f} images/s, {share:.0%} of the limit, {memory:.1f} GB", flush=True)
    for way in ("processes", "threads here"):
        speed = found[way]["images_per_s"]
        low, high = found[way]["spread"]
        hours = 9 * catalog.IMAGENET21K.train / speed / 3600
        print(
            f"  fed, {way}: {speed:,.0f} images/s ({low:,.0f} to {high:,.0f}), headspace "
            f"{speed / cached:.1%}, idle {found[way]['idle']:.1%}; nine rounds {hours:.1f} h",
            flush=True,
        )


def main() -> None:
    """Print all tables; with ``--json`` write them as well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--classes", type=int, default=0, help="instead of the network's own")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--records", type=int, default=80 * 256)
    parser.add_argument("--seconds", type=float, default=15, help="for each way")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--side", type=int, default=8192, help="of the matrices of the limit")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU: imnet doctor says why; --device cpu runs without one")
    print(describe(device))
    options.limit = limit(device, options.side)
    print(f"limit: {options.limit / 1e12:,.1f} TFLOP/s in bfloat16", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        shard = make_records(Path(folder) / "set", options.records, QUALITY)
        size = shard.stat().st_size / options.records / 1e3
        print(f"records of {size:.0f} KB", flush=True)
        loader = loaders(shard, options)
        rows = [benchmark(options, name, shard) for name in options.networks]
    if options.json:
        report = {"machine": describe(device), "limit": options.limit, "loader": loader}
        options.json.write_text(json.dumps(report | {"networks": rows}, indent=1))


if __name__ == "__main__":
    main()
