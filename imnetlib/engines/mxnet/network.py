"""The networks of ``engines.inception`` as MXNet symbols (chapter 6)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from imnetlib import engines
from imnetlib.arguments import require, whole_number
from imnetlib.engines import Block, Checkpoint, Network, Stem, Trained, network
from imnetlib.engines.mxnet import mx

# MXNet has no types.
Symbol = Any
Shape = tuple[int, ...]


def symbol(network: Network, label_smoothing: float = 0.0) -> Symbol:
    """``network`` from "data" (n, 3, height, width) to a softmax, trained on "softmax_label" (n,).

    Layers and parameters are named after the table: ``3a_single_weight``, for instance. With
    ``label_smoothing`` all classes get that share of the truth alike.
    """
    x = mx.sym.Variable("data")
    for layer, stride in zip(network.stem, (2, 1), strict=True):
        x = _stem(x, layer, stride)
    for block in network.blocks:
        x = _block(x, block)
    x = mx.sym.Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg", name="global_pool")
    x = mx.sym.FullyConnected(x, num_hidden=network.classes, name="fc1")
    # MXNet shares out among the other classes alone.
    smooth = label_smoothing * (1 - 1 / network.classes)
    return mx.sym.SoftmaxOutput(x, smooth_alpha=smooth, name="softmax")


def symbol_of(trained: Trained) -> Symbol:
    """The network of a checkpoint, or a published one; ValueError where its files do not fit."""
    if isinstance(trained, Checkpoint):
        recipe = trained.recipe
        return symbol(network(recipe.network, len(trained.wnids)), recipe.label_smoothing)
    shape = (1, *trained.transform.shape)
    try:
        net = mx.sym.load_json(json.dumps(trained.graph))
        _, [outputs], _ = infer_shapes(net, shape)
    except (KeyError, ValueError, mx.base.MXNetError) as error:
        raise ValueError(engines.no_network(trained.path, reason(error))) from error
    engines.verify_published(trained, parameter_shapes(net, shape), outputs)
    return net


def pictures(batch: int, size: int) -> Shape:
    """The shape of ``batch`` pictures of ``size`` pixels a side; ValueError below 1."""
    side = whole_number("size", size)
    shape = (whole_number("batch", batch), 3, side, side)
    require(min(shape) >= 1, "batch and size are 1 or more", (batch, size))
    return shape


def infer_shapes(net: Symbol, data: Shape) -> tuple[list[Shape], list[Shape], list[Shape]]:
    """The shapes of the arguments, outputs and statistics of ``net``, in MXNet's order.

    ValueError where it takes no ``data`` of that shape.
    """
    try:
        # Unlike infer_shape it prints nothing where it fails.
        arguments, outputs, statistics = net.infer_shape_partial(data=data)
    except mx.base.MXNetError as error:
        raise ValueError(
            f"the network takes no pictures of {data[-1]} pixels ({reason(error)}): most networks "
            "take multiples of 32"
        ) from error
    return arguments, outputs, statistics


def reason(error: Exception) -> str:
    """What an error of MXNet says, without the places in its C++ code; at most 200 letters."""
    lines = str(error).splitlines()
    said = " ".join(line for line in lines if not line.startswith(("Traceback", "  File")))
    said = re.sub(r"MXNetError: |\[\d\d:\d\d:\d\d\] \S+: ", "", said)
    return " ".join(said.split())[:200]


def parameter_shapes(net: Symbol, data: Shape) -> dict[str, Shape]:
    """The shape of each array that ``net`` needs for pictures of the shape ``data``, by its name.

    The names are those of MXNet's files: "arg:NAME" for what it learns, "aux:NAME" for BatchNorm's
    running statistics. BatchNorm's gammas are among the former, also where they stay 1. ValueError
    as for ``infer_shapes``.
    """
    arguments, _, statistics = infer_shapes(net, data)
    shapes = {
        f"arg:{name}": shape
        for name, shape in zip(net.list_arguments(), arguments, strict=True)
        if name != "data" and not name.endswith("label")
    }
    for name, shape in zip(net.list_auxiliary_states(), statistics, strict=True):
        shapes[f"aux:{name}"] = shape
    return shapes


def parameter_count(net: Symbol, size: int) -> int:
    """How many numbers ``net`` learns from pictures of ``size`` pixels a side (chapter 6)."""
    shapes = parameter_shapes(net, pictures(1, size))
    return sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("arg:"))


def _conv(x: Symbol, name: str, filters: int, kernel: int = 1, stride: int = 1) -> Symbol:
    """Convolution, BatchNorm, ReLU; only the stride changes height and width."""
    x = mx.sym.Convolution(
        x,
        num_filter=filters,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        pad=(kernel // 2, kernel // 2),
        name=name,
    )
    x = mx.sym.BatchNorm(x, eps=1e-3, momentum=0.9, fix_gamma=True, name=f"{name}_bn")
    return mx.sym.Activation(x, act_type="relu", name=f"{name}_relu")


def _pool(x: Symbol, name: str, kind: str, stride: int) -> Symbol:
    """A 3x3 pool; at stride 2 it keeps an odd row at the edge, as MXNet first did (112 to 56)."""
    pad = 2 - stride
    return mx.sym.Pooling(
        x,
        kernel=(3, 3),
        stride=(stride, stride),
        pad=(pad, pad),
        pool_type=kind,
        pooling_convention="full",
        name=name,
    )


def _stem(x: Symbol, layer: Stem, stride: int) -> Symbol:
    if layer.reduce:
        x = _conv(x, f"{layer.name}_reduce", layer.reduce)
    x = _conv(x, layer.name, layer.filters, layer.kernel, stride)
    return x if layer.pool == "none" else _pool(x, f"{layer.name}_pool", layer.pool, 2)


def _block(x: Symbol, block: Block) -> Symbol:
    name = block.name
    stride = 2 if block.halves else 1
    branches = [] if block.halves else [_conv(x, f"{name}_single", block.single)]
    triple = _conv(x, f"{name}_triple_reduce", block.triple_reduce)
    branches.append(_conv(triple, f"{name}_triple", block.triple, 3, stride))
    double = _conv(x, f"{name}_double_reduce", block.double_reduce)
    double = _conv(double, f"{name}_double1", block.double, 3)
    branches.append(_conv(double, f"{name}_double2", block.double, 3, stride))
    pooled = _pool(x, f"{name}_pool", block.pool, stride)
    if not block.halves:
        pooled = _conv(pooled, f"{name}_projection", block.projection)
    return mx.sym.Concat(*branches, pooled, name=name)
