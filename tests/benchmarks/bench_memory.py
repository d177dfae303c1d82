"""Memory of training planned, the frontier of computing again, and what that costs in time.

    python tests/benchmarks/bench_memory.py [--quick] [--to FOLDER] [--batch 32] [--measured 8]

Beside MXNet's own plans. Steps of training the largest network, of --measured pictures, run on this
machine's processor, PyTorch's checkpoints of activations beside MXNet's. Their times are of the
processor.
--batch: of the plans; --points: budgets of memory on the frontier.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from peers_environment import move_there
from results import Report, Table, Way, in_turns, options, take_turns, ways

from imnetlib import engines
from imnetlib.engines import Layer
from imnetlib.engines.mxnet import memory
from imnetlib.engines.mxnet.network import symbol

NETWORKS = {"inception-bn": 1000, "inception-21k": 21_841}
KEPT = ("conv2_pool", "3c", "4c", "4e", "fc1", "softmax")
SIZE = 224
MIB = 2**20
ALL_KEPT = "all kept"
MXNET_PLANS = "MXNet's bind"


def plans(name: str, layers: list[Layer], batch: int, rounds: int) -> Iterator[Table]:
    """How long planning takes, and the memory that the plans come to."""
    net = symbol(engines.network(name, NETWORKS[name]))

    def steps() -> list[engines.Step]:
        return engines.training_steps(layers, batch, SIZE)

    jobs = {
        MXNET_PLANS: lambda: memory.planned_bytes(net, batch, SIZE),
        "imnetlib, by offsets": lambda: engines.plan_offsets(steps()),
        "imnetlib, whole buffers": lambda: engines.plan(steps()),
    }
    # Each takes some ms, and the first ones much longer.
    found = in_turns(jobs, 5 * rounds, rate=False)
    yield Table(f"{name}, batch {batch}: plan a step's memory", "s", found, peer=MXNET_PLANS)
    sizes = engines.compare_plans(layers, batch, SIZE)
    planned = tuple(Way(way, (size / MIB,)) for way, size in sizes.items())
    title = f"{name}, batch {batch}: what the plans come to"
    yield Table(title, "MiB", planned, limit="at least")


def frontier(
    title: str, layers: list[Layer], made: engines.Recomputation, points: int
) -> Iterator[Table]:
    """What to compute again: the time that choosing takes, and what the choices come to."""
    began = time.perf_counter()
    found = made.frontier(points)
    took = Way(f"{points} budgets", (time.perf_counter() - began,))
    yield Table(f"{title}: choose what to compute again", "s", (took,))
    choices = {f"budget {number} of {points}": each for number, each in enumerate(found, 1)}
    hand = made.evaluate(by_hand(layers), like_mxnet=True)
    choices |= {"segments by hand": hand, "the best of their memory": made.least_time(hand.peak)}
    choices["segments of equal length, √n"] = made.evenly(5)
    sizes = tuple(Way(each, (choice.peak / MIB,)) for each, choice in choices.items())
    title = f"{title}: a step that computes again"
    yield Table(title, "MiB", sizes)
    step = 3 * made.forward_cost
    more = tuple(Way(each, (100 * choice.cost / step,)) for each, choice in choices.items())
    yield Table(title, "% more", more, what="to compute, counted")


def by_hand(layers: Sequence[Layer]) -> list[str]:
    """The layers that segments chosen by hand compute again."""
    return [layer.name for layer in layers if layer.name not in KEPT]


def steps_of_mxnet(
    name: str, layers: list[Layer], made: engines.Recomputation, batch: int, rounds: int
) -> Iterator[Table]:
    """Seconds of a step that computes nothing again, what is cheap, or what was chosen."""
    net = symbol(engines.network(name, NETWORKS[name]))
    hand = made.evaluate(by_hand(layers), like_mxnet=True)
    names = {layer.name for layer in layers}
    again: dict[str, Collection[str]] = {
        ALL_KEPT: (),
        "cheap layers again (MXNet's mirror)": [
            layer.name for layer in layers if layer.kind in engines.CHEAP
        ],
        "segments by hand": by_hand(layers),
        "the best of their memory": made.least_time(hand.peak).recomputed,
    }

    def seconds(recomputed: Collection[str]) -> float:
        return memory.step_seconds(memory.recomputing(net, names - set(recomputed)), batch, SIZE, 1)

    jobs = {way: functools.partial(seconds, recomputed) for way, recomputed in again.items()}
    yield from beside_all_kept(f"{name}, batch {batch}: a step of MXNet", take_turns(jobs, rounds))


def beside_all_kept(title: str, found: dict[str, list[float] | str]) -> Iterator[Table]:
    """Processor seconds of the steps, and how much longer they take than the one that keeps all."""
    seconds = Table(title, "processor s", ways(found))
    yield seconds
    more = tuple(
        Way(way.name, tuple(100 / ratio - 100 for ratio in seconds.ratios(way.name, ALL_KEPT)))
        for way in seconds.ways
        if way.values and way.name != ALL_KEPT
    )
    if more:
        yield Table(title, "% more", more, what="than with all kept")


def steps_of_torch(name: str, layers: list[Layer], batch: int, rounds: int) -> Iterator[Table]:
    """Blocks under torch.utils.checkpoint, the bounds between them as in KEPT."""
    jobs = {
        way: functools.partial(torch_step, layers, batch, again)
        for way, again in ((ALL_KEPT, False), ("segments by hand", True))
    }
    found = take_turns(jobs, rounds, warm_up=True)
    yield from beside_all_kept(f"{name}, batch {batch}: a step of PyTorch", found)


def torch_step(layers: list[Layer], batch: int, again: bool) -> float:
    """The processor's seconds of a step."""
    import torch
    from torch.utils.checkpoint import checkpoint

    shapes = engines.infer_shapes(layers, SIZE)
    modules = {layer.name: torch_module(layer, shapes) for layer in layers}
    cuts = [n + 1 for n, layer in enumerate(layers) if layer.name in KEPT]
    parts = [layers[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]

    def run(part: Sequence[Layer], x: Any) -> Any:
        made = {part[0].inputs[0]: x}
        for layer in part:
            made[layer.name] = modules[layer.name](*(made[read] for read in layer.inputs))
        return made[part[-1].name]

    x = torch.rand(batch, 3, SIZE, SIZE)
    began = time.process_time()
    for part in parts:
        x = checkpoint(run, part, x, use_reentrant=False) if again else run(part, x)
    x.log().mean().backward()
    return time.process_time() - began


def torch_module(layer: Layer, shapes: dict[str, tuple[int, ...]]) -> Any:
    import torch
    from torch import nn

    options = dict(layer.options)
    first = shapes[layer.inputs[0]]
    match layer.kind:
        case "Convolution":
            sides = (options["kernel"], options["stride"], options["pad"])
            return nn.Conv2d(first[0], options["num_filter"], *sides)
        case "BatchNorm":
            return nn.BatchNorm2d(first[0], eps=1e-3)
        case "Activation":
            return nn.ReLU()
        case "Pooling" if options.get("global_pool"):
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "Pooling":
            pool = nn.MaxPool2d if layer.keeps_place else nn.AvgPool2d
            return pool(options["kernel"], options["stride"], options["pad"], ceil_mode=True)
        case "FullyConnected":
            return nn.Linear(first[0], options["num_hidden"])
        case "Concat":
            return lambda *inputs: torch.cat(inputs, 1)
    return nn.Softmax(1)


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", batch=(32, 32), measured=(8, 1), rounds=(2, 1), points=(13, 2))
    # PyTorch is in no lock.
    move_there()
    report = Report("memory")
    names = list(NETWORKS)[: 1 if chosen.quick else None]
    prepared = []
    for name in names:
        layers = engines.layers(engines.network(name, NETWORKS[name]))
        made = engines.Recomputation(layers, chosen.batch, SIZE)
        prepared.append((name, layers, made))
        for table in (
            *plans(name, layers, chosen.batch, chosen.rounds),
            *frontier(f"{name}, batch {chosen.batch}", layers, made, chosen.points),
        ):
            report.add(table)
    # Steps take the longest: of the largest network alone.
    name, layers, made = prepared[-1]
    for table in (
        *steps_of_mxnet(name, layers, made, chosen.measured, chosen.rounds),
        *steps_of_torch(name, layers, chosen.measured, chosen.rounds),
    ):
        report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
