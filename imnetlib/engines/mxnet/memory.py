"""How much memory the results of a training step take, by MXNet's plan and by our own planner
(chapter 6).

A plan covers what operations write for one another, forward and backward. Weights, gradients and
optimizer state are not in it, nor is the workspace that a kernel asks for while it runs.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Hashable

from imnetlib.engines import MATCH_RANGE, Step
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import Symbol

# the position of the operation that writes it, and its number among the outputs
Result = tuple[int, int]
# operation, name, inputs; None where no operation wrote
Parsed = list[tuple[str, str, list[Result | None]]]

# stands in for the gradient of an output that leads nowhere
ZEROS = "_zeros_without_dtype"
KNOWN = {
    "Activation",
    "BatchNorm",
    "Concat",
    "Convolution",
    "FullyConnected",
    "Pooling",
    "SoftmaxOutput",
}
KNOWN |= {"add_n", ZEROS}
# The input that an operation may overwrite. MXNet has these in C++, out of sight; with them the
# plans agree.
IN_PLACE = {"Activation": 0, "SoftmaxOutput": 0, "add_n": 0}
IN_PLACE |= {"_backward_Activation": 0, "_backward_SoftmaxOutput": 0}
IN_PLACE |= {"_backward_FullyConnected": 1, "_backward_Pooling": 1}


def planned(
    net: Symbol, batch: int, size: int, *, sharing: bool = True, mirror: bool = False
) -> int:
    """Bytes in MXNet's plan for training ``net`` on ``batch`` pictures of ``size`` pixels a side,
    in whole MiB.

    Without ``sharing`` no result gets a buffer that others have done with; that an operation
    overwrites its input cannot be switched off. ``mirror``: the backward pass computes cheap
    results again. Takes under a second; of all that it plans, only the pictures and their gradient
    are written, 1.15 MB for one of 224 pixels.
    """
    report = _report(net, batch, size, MATCH_RANGE if sharing else 0, mirror)
    (total,) = re.findall(r"^Total (\d+) MB allocated", report, re.MULTILINE)
    return int(total) << 20


def recomputing(net: Symbol, kept: Collection[str]) -> Symbol:
    """A copy of ``net`` whose backward pass finds the results of the layers ``kept`` and computes
    all others again.

    Chen et al. 2016, *Training Deep Nets with Sublinear Memory Cost*. ValueError for a layer that
    is not there.
    """
    copy = mx.sym.load_json(net.tojson())
    layers = {layer.name: layer for layer in copy.get_internals()}
    if missing := set(kept) - set(layers):
        raise ValueError(f"the network has no layer {', '.join(sorted(missing))}")
    for name in set(layers) - set(kept):
        layers[name]._set_attr(force_mirroring="True")
    return copy


def steps(net: Symbol, batch: int, size: int) -> list[Step]:
    """A training step as MXNet orders it, for ``planner.plan``; the last step reads what the
    network puts out.

    Results of one number a channel are left out: they hardly count. ValueError for an operation
    that the networks of ``engines.inception`` do not have.
    """
    parsed = _parsed(_report(net, batch, size))
    sizes = _sizes(parsed, net, (batch, 3, size, size))
    found = []
    for position, (operation, name, inputs) in enumerate(parsed):
        first = (position, 0)
        over = _overwritten(parsed, operation, inputs)
        writes: dict[Hashable, int] = {i: count for i, count in sizes.items() if i[0] == position}
        same_size = over and over in sizes and sizes[over] == sizes.get(first)
        overwrites: dict[Hashable, Hashable] = {first: over} if same_size else {}
        found.append(Step(name, [i for i in inputs if i in sizes], writes, overwrites))
    outputs = {name.removesuffix("_output") for name in net.list_outputs()}
    last = [(position, 0) for position, step in enumerate(found) if step.name in outputs]
    return [*found, Step("outputs", last, {})]


def _overwritten(parsed: Parsed, operation: str, inputs: list[Result | None]) -> Result | None:
    """The input that an operation may overwrite, a pool's backward pass only that which stands for
    no gradient.
    """
    over = inputs[IN_PLACE[operation]] if operation in IN_PLACE else None
    if over and operation == "_backward_Pooling" and parsed[over[0]][0] != ZEROS:
        return None
    return over


def _parsed(report: str) -> Parsed:
    parsed: Parsed = []
    # of operations with the same name, a reader means the nearest before it
    latest: dict[str, int] = {}
    for line in report.splitlines():
        if head := re.match(r"Op:(\S+), Name=(.+)", line):
            if head[1].removeprefix("_backward_") not in KNOWN:
                raise ValueError(f"cannot plan {head[2]}: nothing is known here about {head[1]}")
            latest[head[2]] = len(parsed)
            parsed.append((head[1], head[2], []))
        elif read := re.match(r"\targ\[\d+\]=(.+)\((\d+)\)", line):
            parsed[-1][2].append((latest[read[1]], int(read[2])) if read[1] in latest else None)
    return parsed


def _sizes(parsed: Parsed, net: Symbol, data: tuple[int, ...]) -> dict[Result, int]:
    """Bytes of each result that is read; a gradient is as large as what it is the gradient of."""
    internals = net.get_internals()
    _, shapes, _ = internals.infer_shape(data=data)
    forward = {
        name.removesuffix("_output"): 4 * math.prod(shape)
        for name, shape in zip(internals.list_outputs(), shapes, strict=True)
    }
    position_of = {name: position for position, (_, name, _) in enumerate(parsed)}
    sizes: dict[Result, int] = {}
    for position, (operation, name, inputs) in enumerate(parsed):
        # its name where it is computed again
        if layer := forward.get(name.removesuffix("_mirror")):
            sizes[position, 0] = layer
            if operation == "Pooling":
                # where each maximum stood
                sizes[position, 1] = layer
        elif operation == "add_n" and inputs[0]:
            sizes[position, 0] = sizes[inputs[0]]
        elif operation != ZEROS:
            source = position_of[name.removesuffix("_backward")]
            read = enumerate(parsed[source][2])
            sizes |= {(position, n): sizes[i] for n, i in read if i in sizes}
            sizes |= {
                i: sizes[source, n] for n, i in enumerate(inputs) if i and parsed[i[0]][0] == ZEROS
            }
    needed = {i for _, _, inputs in parsed for i in inputs}
    return {result: size for result, size in sizes.items() if result in needed}


def _report(
    net: Symbol, batch: int, size: int, match_range: int = MATCH_RANGE, mirror: bool = False
) -> str:
    """What MXNet says of ``net`` made ready for training; it reads its settings from the
    environment.
    """
    settings = {
        "NNVM_EXEC_MATCH_RANGE": str(match_range),
        "MXNET_BACKWARD_DO_MIRROR": str(int(mirror)),
    }
    before = {name: os.environ[name] for name in settings if name in os.environ}
    os.environ.update(settings)
    try:
        report = str(net.simple_bind(mx.cpu(), data=(batch, 3, size, size)).debug_str())
        # zeros are still being written into its arrays; they are freed only then
        mx.nd.waitall()
        return report
    finally:
        for name in settings:
            del os.environ[name]
        os.environ.update(before)
