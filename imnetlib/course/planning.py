"""What chapter 6 plans: filters that differ, a small chain, the results of a step by each plan."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

from imnetlib.course.measure import resident_bytes
from imnetlib.engines import (
    Block,
    Layer,
    Network,
    Stem,
    Step,
    infer_shapes,
    layer_parameters,
    layers,
    plan,
    plan_offsets,
    training_steps,
)
from imnetlib.throughput import MIB

# The note's two savings, alone and together, as ``engines.plan`` takes them.
SAVINGS = {
    "neither": {"in_place": False, "sharing": False},
    "in place": {"in_place": True, "sharing": False},
    "sharing": {"in_place": False, "sharing": True},
    "both": {"in_place": True, "sharing": True},
}
# What MXNet can be made to report, and which saving each of them has here.
REPORTED = {"in place": "in place", "both": "both", "mirror": "both", "segments": "both"}


class Changed(NamedTuple):
    """A convolution that has other filters in a wider network, and how many times as many."""

    layer: str
    branch: str
    ordinary: int
    wider: int
    times: float


def changed_filters(ordinary: Network, wider: Network) -> list[Changed]:
    """Where two networks of the same layers differ in their filters, from the bottom up."""
    before = dict(_filters(ordinary))
    changed = []
    for place, count in _filters(wider):
        if count != before[place]:
            changed.append(Changed(*place, before[place], count, count / before[place]))
    return changed


def _filters(net: Network) -> Iterator[tuple[tuple[str, str], int]]:
    stages: list[Stem | Block] = [*net.stem, *net.blocks]
    for layer in stages:
        for branch, count in asdict(layer).items():
            if isinstance(count, int) and count:
                yield (layer.name, branch), count


def changed_table(changed: Sequence[Changed]) -> list[dict[str, str]]:
    """A row for each layer with changed filters, a column for each branch."""
    rows: dict[str, dict[str, str]] = {}
    branches = dict.fromkeys(one.branch for one in changed)
    for one in changed:
        row = rows.setdefault(one.layer, {"layer": one.layer, **dict.fromkeys(branches, "")})
        row[one.branch] = f"{one.ordinary} → {one.wider}"
    return list(rows.values())


def parameters_by_stage(network: Sequence[Layer], size: int) -> dict[str, int]:
    """How many numbers training learns in each stage of a network that has any, from the bottom up.

    A stage is a layer of the stem, a block, or the last layer.
    """
    shapes = infer_shapes(network, size)
    found: Counter[str] = Counter()
    for layer in network:
        found[layer.name.split("_")[0]] += layer_parameters(layer, shapes)
    return dict(+found)


def convolution_chain(depth: int) -> list[Step]:
    """A training step of ``depth`` convolutions with ReLU: forward, then backward.

    c1 is the result of the first convolution and r1 that of its ReLU, 1 MiB each; gradients begin
    with ∂. ReLU may write over what it reads, forward and backward.
    """
    chain = []
    for n in range(1, depth + 1):
        chain.append(Step(f"conv{n}", _before(n), {f"c{n}": MIB}))
        chain.append(_relu(f"relu{n}", [f"c{n}"], f"r{n}"))
    chain.append(Step("loss", [f"r{depth}"], {f"∂r{depth}": MIB}))
    for n in range(depth, 0, -1):
        chain.append(_relu(f"∂relu{n}", [f"∂r{n}", f"r{n}"], f"∂c{n}"))
        chain.append(
            Step(f"∂conv{n}", [f"∂c{n}", *_before(n)], {f"∂{result}": MIB for result in _before(n)})
        )
    return chain


def _relu(name: str, reads: list[str], writes: str) -> Step:
    """A ReLU, or its backward pass, which may write over the first result that it reads."""
    return Step(name, reads, {writes: MIB}, {writes: reads[0]})


def _before(n: int) -> list[str]:
    """What the n-th convolution of a chain reads: the pictures, which are in no plan, or a ReLU."""
    return [f"r{n - 1}"] if n > 1 else []


def step_table(steps: Sequence[Step]) -> list[dict[str, str]]:
    """What each step reads and writes, and what it may write over."""
    return [
        {
            "step": step.name,
            "reads": ", ".join(map(str, step.reads)),
            "writes": ", ".join(map(str, step.writes)),
            "may write over": ", ".join(map(str, step.overwrites.values())),
        }
        for step in steps
    ]


def planned_bytes(
    network: Sequence[Layer], batch: int, size: int, saving: str, recomputed: Collection[str] = ()
) -> int:
    """Bytes of the results of a training step: by one of ``SAVINGS``, or "by offsets".

    ``recomputed``: the layers that the backward pass computes again. With whole buffers it does so
    as MXNet does; by offsets every result is given up as soon as its copy takes its place.
    """
    if saving == "by offsets":
        like_mxnet = not recomputed
        steps = training_steps(network, batch, size, recomputed=recomputed, like_mxnet=like_mxnet)
        return plan_offsets(steps).size
    steps = training_steps(network, batch, size, recomputed=recomputed)
    return sum(plan(steps, **SAVINGS[saving]).buffers)


class Planners(NamedTuple):
    """A table of this library's plans beside MXNet's, and how many of how many are the same."""

    rows: list[dict[str, str | int]]
    agreed: int
    compared: int


def compare_planners(
    networks: Mapping[str, Network],
    batches: Sequence[int],
    size: int,
    recomputed: Mapping[str, Collection[str]],
) -> Planners:
    """The plans that MXNet can report, in MiB, ours / MXNet's; ours alone without MXNet.

    ``recomputed``: the layers that "mirror" and "segments" compute again.
    """
    rows = []
    agreed = []
    for name, net in networks.items():
        found = layers(net)
        for batch in dict.fromkeys(batches):
            theirs = _plans_of_mxnet(net, batch, size, recomputed["segments"])
            row: dict[str, str | int] = {"network": name, "batch": batch}
            for way, saving in REPORTED.items():
                ours = planned_bytes(found, batch, size, saving, recomputed.get(way, ())) // MIB
                row[way] = f"{ours:,} / {theirs[way]:,}" if theirs else ours
                agreed += [ours == theirs[way]] if theirs else []
            rows.append(row)
    return Planners(rows, sum(agreed), len(agreed))


def _plans_of_mxnet(
    net: Network, batch: int, size: int, segments: Collection[str]
) -> dict[str, int]:
    """MiB of MXNet's own plans; empty where it is not installed."""
    if importlib.util.find_spec("mxnet") is None:
        return {}
    from imnetlib.engines.mxnet import memory
    from imnetlib.engines.mxnet.network import symbol

    whole = symbol(net)
    kept = [layer.name for layer in layers(net) if layer.name not in segments]
    sizes = {
        "in place": memory.planned_bytes(whole, batch, size, sharing=False),
        "both": memory.planned_bytes(whole, batch, size),
        "mirror": memory.planned_bytes(whole, batch, size, mirror=True),
        "segments": memory.planned_bytes(memory.recomputing(whole, kept), batch, size),
    }
    return {way: n_bytes // MIB for way, n_bytes in sizes.items()}


def growth_of_step(net: Network, batch: int, size: int) -> int | None:
    """Bytes by which this process grows in a training step of MXNet's; None without MXNet.

    Parameters and gradients are written beforehand, so that their memory does not count.
    """
    if importlib.util.find_spec("mxnet") is None:
        return None
    from imnetlib.engines.mxnet import mx
    from imnetlib.engines.mxnet.network import symbol

    bound = symbol(net).simple_bind(mx.cpu(), data=(batch, 3, size, size))
    for array in (*bound.arg_arrays, *bound.grad_arrays, *bound.aux_arrays):
        array[:] = 0
    mx.nd.waitall()
    before = resident_bytes()
    bound.forward(is_train=True)
    bound.backward()
    mx.nd.waitall()
    return resident_bytes() - before


def seconds_of_step(
    net: Network, batch: int, size: int, recomputed: Collection[str] = ()
) -> float | None:
    """The processor's seconds for a training step of MXNet's, as by ``step_seconds`` there.

    ``recomputed``: the layers that the backward pass computes again. None without MXNet.
    """
    if importlib.util.find_spec("mxnet") is None:
        return None
    from imnetlib.engines.mxnet import memory
    from imnetlib.engines.mxnet.network import symbol

    kept = [layer.name for layer in layers(net) if layer.name not in recomputed]
    return memory.step_seconds(memory.recomputing(symbol(net), kept), batch, size)
