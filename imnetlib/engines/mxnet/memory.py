"""The memory that the results of a training step take, planned by MXNet or by us (chapter 6).

A plan covers what operations write for one another, forward and backward. Weights, gradients and
optimizer state are not in it, nor is the workspace that a kernel asks for while it runs.
"""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Collection, Hashable
from typing import NamedTuple

from imnetlib.arguments import require_several
from imnetlib.engines import MATCH_RANGE, Step
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import Shape, Symbol, infer_shapes, pictures

# The position of the operation that writes it, and its number among the outputs.
Result = tuple[int, int]

# Writes the zeros that replace the gradient of an output that nobody reads.
ZEROS = "_zeros_without_dtype"
KNOWN = {"Activation", "BatchNorm", "Concat", "Convolution", "FullyConnected", "Pooling"}
KNOWN |= {"SoftmaxOutput", "add_n", ZEROS}
# Which of its inputs an operation may overwrite: MXNet does not report it (it is in its C++ code).
IN_PLACE = {"Activation": 0, "SoftmaxOutput": 0, "add_n": 0}
IN_PLACE |= {"_backward_Activation": 0, "_backward_SoftmaxOutput": 0}
IN_PLACE |= {"_backward_FullyConnected": 1, "_backward_Pooling": 1}


class Operation(NamedTuple):
    """An operation of MXNet's report; an input is None where no operation writes it."""

    kind: str
    name: str
    inputs: list[Result | None]


def planned_bytes(
    net: Symbol, batch: int, size: int, *, sharing: bool = True, mirror: bool = False
) -> int:
    """MXNet's plan for training ``net`` on ``batch`` pictures of ``size`` pixels a side, in bytes.

    MXNet reports whole MiB. Without ``sharing`` no result takes a free buffer; in-place cannot be
    switched off. ``mirror``: the backward pass computes cheap results again. Takes under a second;
    of all that it plans, only the pictures and their gradient are written, 1.15 MB for one of 224
    pixels. ValueError for a size that ``net`` cannot take.
    """
    report = _report(net, pictures(batch, size), MATCH_RANGE if sharing else 0, mirror)
    (total,) = re.findall(r"^Total (\d+) MB allocated", report, re.MULTILINE)
    return int(total) << 20


def recomputing(net: Symbol, kept: Collection[str]) -> Symbol:
    """A copy of ``net`` that keeps the results of the layers ``kept`` and recomputes all others.

    Chen et al. 2016, *Training Deep Nets with Sublinear Memory Cost*. ValueError for an unknown
    layer.
    """
    require_several("kept", kept)
    copy = mx.sym.load_json(net.tojson())
    layers = {layer.name: layer for layer in copy.get_internals()}
    unknown = set(kept) - set(layers)
    if unknown:
        raise ValueError(f"the network has no layer {', '.join(sorted(unknown))}")
    for name in set(layers) - set(kept):
        layers[name]._set_attr(force_mirroring="True")
    return copy


def steps(net: Symbol, batch: int, size: int) -> list[Step]:
    """A training step in MXNet's order, for ``engines.plan``; a last step reads the outputs.

    Results of one number a channel are left out: they hardly count. ValueError for an operation
    that the networks of ``engines.inception`` do not have, and for a size that ``net`` cannot take.
    """
    data = pictures(batch, size)
    operations = _operations(_report(net, data))
    sizes = _result_bytes(operations, net, data)
    writes: defaultdict[int, dict[Hashable, int]] = defaultdict(dict)
    for result, count in sizes.items():
        writes[result[0]][result] = count
    training = []
    for position, operation in enumerate(operations):
        first = (position, 0)
        overwritten = _overwritten(operation, operations)
        same_size = overwritten in sizes and sizes[overwritten] == sizes.get(first)
        overwrites: dict[Hashable, Hashable] = {first: overwritten} if same_size else {}
        reads = [result for result in operation.inputs if result in sizes]
        training.append(Step(operation.name, reads, writes[position], overwrites))
    outputs = {name.removesuffix("_output") for name in net.list_outputs()}
    last = [(n, 0) for n, operation in enumerate(operations) if operation.name in outputs]
    return [*training, Step("outputs", last, {})]


def _overwritten(operation: Operation, operations: list[Operation]) -> Result | None:
    """The input that an operation may overwrite; a pool's backward pass only overwrites zeros."""
    if operation.kind not in IN_PLACE:
        return None
    result = operation.inputs[IN_PLACE[operation.kind]]
    if result and operation.kind == "_backward_Pooling" and operations[result[0]].kind != ZEROS:
        return None
    return result


def _operations(report: str) -> list[Operation]:
    operations: list[Operation] = []
    # Names repeat: an input comes from the nearest operation of that name before.
    latest: dict[str, int] = {}
    for line in report.splitlines():
        if head := re.match(r"Op:(\S+), Name=(.+)", line):
            kind, name = head.groups()
            if kind.removeprefix("_backward_") not in KNOWN:
                raise ValueError(f"cannot plan {name}: nothing is known here about {kind}")
            latest[name] = len(operations)
            operations.append(Operation(kind, name, []))
        elif argument := re.match(r"\targ\[\d+\]=(.+)\((\d+)\)", line):
            writer, number = argument.groups()
            result = (latest[writer], int(number)) if writer in latest else None
            operations[-1].inputs.append(result)
    return operations


def _result_bytes(operations: list[Operation], net: Symbol, data: Shape) -> dict[Result, int]:
    """Bytes of each result that is read; a gradient is as large as what it is the gradient of."""
    layers = _layer_bytes(net, data)
    position_of = {operation.name: position for position, operation in enumerate(operations)}
    sizes: dict[Result, int] = {}
    for position, (kind, name, inputs) in enumerate(operations):
        # A recomputed layer has this suffix.
        layer = layers.get(name.removesuffix("_mirror"))
        if layer:
            sizes[position, 0] = layer
            if kind == "Pooling":
                # Where in each window the maximum is.
                sizes[position, 1] = layer
        elif kind == "add_n" and inputs[0]:
            sizes[position, 0] = sizes[inputs[0]]
        elif kind != ZEROS:
            # It reads a gradient for each output of its layer and writes one for each input.
            forward = position_of[name.removesuffix("_backward")]
            for number, result in enumerate(operations[forward].inputs):
                if result in sizes:
                    sizes[position, number] = sizes[result]
            for number, result in enumerate(inputs):
                if result and operations[result[0]].kind == ZEROS:
                    sizes[result] = sizes[forward, number]
    read = {result for operation in operations for result in operation.inputs}
    return {result: size for result, size in sizes.items() if result in read}


def _layer_bytes(net: Symbol, data: Shape) -> dict[str, int]:
    internals = net.get_internals()
    _, shapes, _ = infer_shapes(internals, data)
    named = zip(internals.list_outputs(), shapes, strict=True)
    return {name.removesuffix("_output"): 4 * math.prod(shape) for name, shape in named}


def _report(net: Symbol, data: Shape, match_range: int = MATCH_RANGE, mirror: bool = False) -> str:
    """MXNet's report on ``net`` bound for training; its settings come from the environment."""
    # Refuses what simple_bind refuses, without a trace.
    infer_shapes(net, data)
    settings = {
        "NNVM_EXEC_MATCH_RANGE": str(match_range),
        "MXNET_BACKWARD_DO_MIRROR": str(int(mirror)),
    }
    before = {name: os.environ[name] for name in settings if name in os.environ}
    os.environ.update(settings)
    try:
        report = str(net.simple_bind(mx.cpu(), data=data).debug_str())
        # MXNet frees the arrays only after it has written zeros into them.
        mx.nd.waitall()
        return report
    finally:
        for name in settings:
            del os.environ[name]
        os.environ.update(before)
