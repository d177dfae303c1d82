"""The memory that the results of a training step take, as MXNet plans it (chapter 6).

A plan covers what operations write for one another, forward and backward. Weights, gradients and
optimizer state are not in it, nor is the workspace that a kernel asks for while it runs.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection

from imnetlib.arguments import require, require_several, require_type, whole_number
from imnetlib.engines import MATCH_RANGE
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import Shape, Symbol, infer_shapes, pictures


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
    require_type(net, mx.sym.Symbol, "net is an MXNet symbol")
    require_several("kept", kept)
    kept = frozenset(kept)
    copy = mx.sym.load_json(net.tojson())
    layers = {layer.name: layer for layer in copy.get_internals()}
    unknown = kept - set(layers)
    if unknown:
        raise ValueError(f"the network has no layer {', '.join(sorted(unknown))}")
    for name in set(layers) - kept:
        layers[name]._set_attr(force_mirroring="True")
    return copy


def step_seconds(net: Symbol, batch: int, size: int, repeat: int = 5) -> float:
    """The processor's seconds for a training step of ``net``, least of ``repeat`` (chapter 6).

    A step before them does not count. Parameters and pictures are drawn at random. ValueError for a
    size that ``net`` cannot take.
    """
    repeat = whole_number("repeat", repeat)
    require(repeat >= 1, "repeat is 1 or more", repeat)
    data = pictures(batch, size)
    infer_shapes(net, data)
    bound = net.simple_bind(mx.cpu(), data=data)
    for array in (*bound.arg_arrays, *bound.aux_arrays):
        array[:] = mx.nd.random.uniform(0.5, 1, array.shape)
    seconds = []
    for _ in range(repeat + 1):
        started = time.process_time()
        bound.forward(is_train=True)
        bound.backward()
        mx.nd.waitall()
        seconds.append(time.process_time() - started)
    return min(seconds[1:])


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
