"""The networks of ``engines.inception`` as MXNet symbols (chapter 6)."""

from __future__ import annotations

import json
import re
from typing import Any

from imnetlib import engines
from imnetlib.arguments import require, require_type, whole_number
from imnetlib.engines import PICTURES, Checkpoint, Network, Trained, layers, network
from imnetlib.engines.mxnet import mx

# MXNet has no types.
Symbol = Any
Shape = tuple[int, ...]


def symbol(network: Network, label_smoothing: float = 0.0) -> Symbol:
    """``network`` from "data" (n, 3, height, width) to a softmax, trained on "softmax_label" (n,).

    Layers and parameters are named after the table: ``3a_single_weight``, for instance. With
    ``label_smoothing`` all classes get that share of the truth alike.
    """
    made = {PICTURES: mx.sym.Variable(PICTURES)}
    for layer in layers(network):
        operation = getattr(mx.sym, layer.kind)
        inputs = [made[name] for name in layer.inputs]
        options = dict(layer.options)
        if layer.kind == "SoftmaxOutput" and label_smoothing:
            # MXNet shares out among the other classes alone.
            options["smooth_alpha"] = label_smoothing * (1 - 1 / network.classes)
        made[layer.name] = operation(*inputs, name=layer.name, **options)
    return made["softmax"]


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
    require_type(net, mx.sym.Symbol, "net is an MXNet symbol")
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
