"""Inception-BN and its relatives as a table of filters, for any framework to build (chapter 6).

``data/inception.tsv`` holds Ioffe and Szegedy's network (2015), the wider one of *Training Deep Net
on 14 Million Images by Using A Single Machine*, and a small one, a quarter as wide, for pictures of
64 pixels.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import Any, Literal, cast

from imnetlib.arguments import require, require_type, whole_number
from imnetlib.catalog import data_file
from imnetlib.engines.graph import PICTURES, Layer, Shape, infer_shapes

# How to choose an engine.
ENGINE = "-p engine {0} in a chapter, --engine {0} for a verb of imnet"
Pool = Literal["avg", "max", "none"]


@dataclass(frozen=True, slots=True)
class Stem:
    """One of the two layers before the blocks: 1x1 ``reduce`` (0 for none), ``filters``, the pool.

    The first one has stride 2; a pool halves height and width.
    """

    name: str
    kernel: int
    reduce: int
    filters: int
    pool: Pool


@dataclass(frozen=True, slots=True)
class Block:
    """The filters of one inception block by branch; BatchNorm and ReLU follow each convolution.

    The branches: ``single`` 1x1; ``triple_reduce`` 1x1, then ``triple`` 3x3; ``double_reduce`` 1x1,
    then ``double`` 3x3 twice; a 3x3 pool, then ``projection`` 1x1. A block that ``halves`` has
    neither ``single`` nor ``projection``; its last convolutions and its pool have stride 2.
    """

    name: str
    single: int
    triple_reduce: int
    triple: int
    double_reduce: int
    double: int
    projection: int
    pool: Pool

    @property
    def halves(self) -> bool:
        """Whether height and width come out halved."""
        return not self.single


@dataclass(frozen=True, slots=True)
class Network:
    """The layers in order; a mean over all pixels and a fully connected layer follow them."""

    name: str
    stem: tuple[Stem, Stem]
    blocks: tuple[Block, ...]
    classes: int


@dataclass(frozen=True, slots=True)
class Convolution:
    """``inputs`` to ``filters`` channels; BatchNorm and ReLU follow. It keeps the edge: pad k // 2.

    Parameters are called NAME_weight, NAME_bias, NAME_bn_gamma and so on.
    """

    name: str
    inputs: int
    filters: int
    kernel: int = 1
    stride: int = 1


def network(name: str, classes: int) -> Network:
    """The network "inception-bn", "inception-21k" or "inception-64px" of the table (chapter 6).

    ValueError for any other name, and for fewer than two classes.
    """
    require_type(name, str, "name is that of a network")
    with data_file("inception.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    names = dict.fromkeys(row["network"] for row in rows)
    if name not in names:
        hint = f"; a module is for PyTorch: {ENGINE.format('torch')}" if ":" in name else ""
        raise ValueError(f"there is no network {name!r}; there are {', '.join(names)}{hint}")
    classes = whole_number("classes", classes)
    require(classes >= 2, "a classifier has two classes or more", classes)
    conv1, conv2, *blocks = (row for row in rows if row["network"] == name)
    return Network(name, (_stem(conv1), _stem(conv2)), tuple(map(_block, blocks)), classes)


def _stem(row: dict[str, str]) -> Stem:
    kernel, reduce, filters = (int(row[column]) for column in ("kernel", "3x3_reduce", "conv"))
    return Stem(row["layer"], kernel, reduce, filters, cast(Pool, row["pool"]))


def _block(row: dict[str, str]) -> Block:
    columns = ("1x1", "3x3_reduce", "3x3", "double_reduce", "double", "projection")
    widths = (int(row[name]) for name in columns)
    single, triple_reduce, triple, double_reduce, double, projection = widths
    pool = cast(Pool, row["pool"])
    return Block(
        row["layer"], single, triple_reduce, triple, double_reduce, double, projection, pool
    )


def layers(network: Network) -> list[Layer]:
    """The operations of ``network`` in order, from the pictures to a softmax (chapter 6).

    Layers are named after the table: ``3a_single``, for instance.
    """
    require_type(network, Network, "network is an engines.Network, made by engines.network")
    builder = _Builder()
    x = PICTURES
    for layer, stride in zip(network.stem, (2, 1), strict=True):
        x = builder.stem(x, layer, stride)
    for block in network.blocks:
        x = builder.block(x, block)
    whole = {"kernel": (1, 1), "global_pool": True, "pool_type": "avg"}
    x = builder.add("global_pool", "Pooling", x, **whole)
    x = builder.add("fc1", "FullyConnected", x, num_hidden=network.classes)
    builder.add("softmax", "SoftmaxOutput", x)
    return builder.layers


class _Builder:
    """Lists layers; each method takes the name of the layer before and returns that of the last."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def add(self, name: str, kind: str, *inputs: str, **options: Any) -> str:
        self.layers.append(Layer(name, kind, inputs, options))
        return name

    def conv(self, x: str, name: str, filters: int, kernel: int = 1, stride: int = 1) -> str:
        """Convolution, BatchNorm, ReLU; only the stride changes height and width."""
        sides = {"kernel": (kernel,) * 2, "stride": (stride,) * 2, "pad": (kernel // 2,) * 2}
        x = self.add(name, "Convolution", x, num_filter=filters, **sides)
        x = self.add(f"{name}_bn", "BatchNorm", x, eps=1e-3, momentum=0.9, fix_gamma=True)
        return self.add(f"{name}_relu", "Activation", x, act_type="relu")

    def pool(self, x: str, name: str, kind: Pool, stride: int) -> str:
        """A 3x3 pool; at stride 2 it keeps an odd row at the edge, as MXNet first did (112, 56)."""
        sides = {"kernel": (3, 3), "stride": (stride,) * 2, "pad": (2 - stride,) * 2}
        return self.add(name, "Pooling", x, pool_type=kind, pooling_convention="full", **sides)

    def stem(self, x: str, layer: Stem, stride: int) -> str:
        if layer.reduce:
            x = self.conv(x, f"{layer.name}_reduce", layer.reduce)
        x = self.conv(x, layer.name, layer.filters, layer.kernel, stride)
        return x if layer.pool == "none" else self.pool(x, f"{layer.name}_pool", layer.pool, 2)

    def block(self, x: str, block: Block) -> str:
        name = block.name
        stride = 2 if block.halves else 1
        branches = [] if block.halves else [self.conv(x, f"{name}_single", block.single)]
        triple = self.conv(x, f"{name}_triple_reduce", block.triple_reduce)
        branches.append(self.conv(triple, f"{name}_triple", block.triple, 3, stride))
        double = self.conv(x, f"{name}_double_reduce", block.double_reduce)
        double = self.conv(double, f"{name}_double1", block.double, 3)
        branches.append(self.conv(double, f"{name}_double2", block.double, 3, stride))
        pooled = self.pool(x, f"{name}_pool", block.pool, stride)
        if not block.halves:
            pooled = self.conv(pooled, f"{name}_projection", block.projection)
        return self.add(name, "Concat", *branches, pooled)


# A size that every network of the table takes: the shapes of weights do not depend on it.
_SIZE = 224


def convolutions(network: Network) -> list[Convolution]:
    """The convolutions of a network in the order of its parameters."""
    found = layers(network)
    shapes = infer_shapes(found, _SIZE)
    return [
        Convolution(
            layer.name,
            shapes[layer.inputs[0]][0],
            layer.options["num_filter"],
            layer.options["kernel"][0],
            layer.options["stride"][0],
        )
        for layer in found
        if layer.kind == "Convolution"
    ]


def parameter_shapes(network: Network) -> dict[str, Shape]:
    """The shape of each array of ``network`` by its name, in MXNet's order (chapter 6).

    The names are those of MXNet's files: "arg:NAME" for what it learns, "aux:NAME" for BatchNorm's
    running statistics. BatchNorm's gammas are among the former, though they stay 1.
    """
    arguments: dict[str, Shape] = {}
    statistics: dict[str, Shape] = {}
    for layer in convolutions(network):
        filters = (layer.filters,)
        arguments[f"arg:{layer.name}_weight"] = (*filters, layer.inputs, *(layer.kernel,) * 2)
        for kind in ("bias", "bn_gamma", "bn_beta"):
            arguments[f"arg:{layer.name}_{kind}"] = filters
        for kind in ("bn_moving_mean", "bn_moving_var"):
            statistics[f"aux:{layer.name}_{kind}"] = filters
    width, *_ = infer_shapes(layers(network), _SIZE)["global_pool"]
    arguments["arg:fc1_weight"] = (network.classes, width)
    arguments["arg:fc1_bias"] = (network.classes,)
    return arguments | statistics


def parameter_count(network: Network) -> int:
    """How many numbers ``network`` learns (chapter 6)."""
    shapes = parameter_shapes(network)
    return sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("arg:"))


def require_size(network: Network, size: int) -> None:
    """ValueError for pictures of ``size`` pixels a side that a network can't take; names others."""
    size = whole_number("size", size)
    if not _takes(network, size):
        multiples = range(16, 2 * max(size, 64), 16)
        near = sorted(multiples, key=lambda other: abs(other - size))
        smaller, larger = sorted([other for other in near if _takes(network, other)][:2])
        raise ValueError(
            f"{network.name} takes no pictures of {size} pixels; it takes {smaller} or {larger}, "
            "for instance"
        )


def _takes(network: Network, size: int) -> bool:
    try:
        infer_shapes(layers(network), size)
    except ValueError:
        return False
    return True
