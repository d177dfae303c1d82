"""Memory of training planned, the frontier of computing again, and what that costs in time.

python tests/benchmarks/bench_memory.py [--batch 32] [--measured 8] [--repeat 3]

Beside MXNet's own plans. Steps of training run on this machine's processor, with PyTorch's
checkpoints of activations beside MXNet's where torch is installed. Times are of the processor.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from imnetlib import engines
from imnetlib.engines import Layer
from imnetlib.engines.mxnet import memory
from imnetlib.engines.mxnet.network import symbol

NETWORKS = {"inception-bn": 1000, "inception-21k": 21_841}
KEPT = ("conv2_pool", "3c", "4c", "4e", "fc1", "softmax")
SIZE = 224
MIB = 2**20


def timed(action: Callable[[], object], repeat: int) -> float:
    """Least seconds of the processor that ``action`` takes, after one call that does not count."""
    action()
    seconds = []
    for _ in range(repeat):
        started = time.process_time()
        action()
        seconds.append(time.process_time() - started)
    return min(seconds)


def plans(name: str, layers: list[Layer], batch: int, repeat: int) -> None:
    net = symbol(engines.network(name, NETWORKS[name]))
    steps = engines.training_steps(layers, batch, SIZE)
    for what, action in (
        ("MXNet's bind", lambda: memory.planned_bytes(net, batch, SIZE)),
        ("steps", lambda: engines.training_steps(layers, batch, SIZE)),
        ("whole buffers", lambda: engines.plan(steps)),
        ("offsets", lambda: engines.plan_offsets(steps)),
    ):
        print(f"{name}: {what} {1000 * timed(action, repeat):.1f} ms")
    sizes = engines.compare_plans(layers, batch, SIZE)
    print(", ".join(f"{way} {size / MIB:,.1f}" for way, size in sizes.items()), "MiB")
    print(f"offsets / bound {sizes['by offsets'] / sizes['at least']:.4f}")


def frontier(layers: list[Layer], batch: int) -> engines.Recomputation:
    """Print the frontier, and other choices beside it."""
    started = time.perf_counter()
    made = engines.Recomputation(layers, batch, SIZE)
    points = made.frontier(13)
    print(f"frontier of 13 points {time.perf_counter() - started:.1f} s")
    step = 3 * made.forward_cost
    for point in points:
        print(f"  {point.peak / MIB:,.0f} MiB for {point.cost / step:.2%} more")
    hand = made.evaluate(not_kept(layers), like_mxnet=True)
    best = made.least_time(hand.peak)
    for what, choice in (("by hand", hand), ("best", best), ("√n", made.evenly(5))):
        print(f"{what}: {choice.peak / MIB:,.0f} MiB for {choice.cost / step:.2%} more")
    return made


def not_kept(layers: Sequence[Layer]) -> list[str]:
    return [layer.name for layer in layers if layer.name not in KEPT]


def steps_of_mxnet(
    name: str, layers: list[Layer], made: engines.Recomputation, batch: int, repeat: int
) -> None:
    net = symbol(engines.network(name, NETWORKS[name]))
    hand = made.evaluate(not_kept(layers), like_mxnet=True)
    names = {layer.name for layer in layers}
    ways: dict[str, Collection[str]] = {
        "all kept": (),
        "mirror": [layer.name for layer in layers if layer.kind in engines.CHEAP],
        "by hand": not_kept(layers),
        "best": made.least_time(hand.peak).recomputed,
    }
    kept = 0.0
    for way, again in ways.items():
        seconds = memory.step_seconds(
            memory.recomputing(net, names - set(again)), batch, SIZE, repeat
        )
        kept = kept or seconds
        counted = made.evaluate(again, like_mxnet=True).cost / made.forward_cost / 3
        print(f"{name}, MXNet, {way}: {seconds:.2f} s, {seconds / kept - 1:+.0%}", end=" ")
        print(f"(counted {counted:+.0%})")


def steps_of_torch(name: str, layers: list[Layer], batch: int, repeat: int) -> None:
    """Blocks under torch.utils.checkpoint, the bounds between them as in KEPT."""
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

    images = torch.rand(batch, 3, SIZE, SIZE)

    def step(again: bool) -> None:
        x = images
        for part in parts:
            x = checkpoint(run, part, x, use_reentrant=False) if again else run(part, x)
        x.log().mean().backward()

    kept = timed(lambda: step(False), repeat)
    again = timed(lambda: step(True), repeat)
    print(
        f"{name}, torch: all kept {kept:.2f} s, checkpoints {again:.2f} s, {again / kept - 1:+.0%}"
    )


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--measured", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    for name, classes in NETWORKS.items():
        layers = engines.layers(engines.network(name, classes))
        plans(name, layers, arguments.batch, arguments.repeat)
        made = frontier(layers, arguments.batch)
        steps_of_mxnet(name, layers, made, arguments.measured, arguments.repeat)
        if importlib.util.find_spec("torch"):
            steps_of_torch(name, layers, arguments.measured, arguments.repeat)


if __name__ == "__main__":
    main()
