"""Inception-BN and its relatives as a table of filters, for any framework to build (chapter 6).

``data/inception.tsv`` holds Ioffe and Szegedy's network (2015), the wider one of *Training Deep Net
on 14 Million Images by Using A Single Machine*, and a small one, a quarter as wide, for pictures of
64 pixels.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from imnetlib.arguments import require, whole_number
from imnetlib.catalog import data_file

Pool = Literal["avg", "max", "none"]
Shape: TypeAlias = tuple[int, ...]


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
    with data_file("inception.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    names = dict.fromkeys(row["network"] for row in rows)
    if name not in names:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(names)}")
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


def convolutions(network: Network) -> Iterator[Convolution]:
    """The convolutions of a network in the order of its parameters."""
    width = 3
    for stem, stride in zip(network.stem, (2, 1), strict=True):
        if stem.reduce:
            yield Convolution(f"{stem.name}_reduce", width, stem.reduce)
            width = stem.reduce
        yield Convolution(stem.name, width, stem.filters, stem.kernel, stride)
        width = stem.filters
    for block in network.blocks:
        yield from _in_block(block, width)
        width = output_width(block, width)


def _in_block(block: Block, width: int) -> Iterator[Convolution]:
    name = block.name
    stride = 2 if block.halves else 1
    if not block.halves:
        yield Convolution(f"{name}_single", width, block.single)
    yield Convolution(f"{name}_triple_reduce", width, block.triple_reduce)
    yield Convolution(f"{name}_triple", block.triple_reduce, block.triple, 3, stride)
    yield Convolution(f"{name}_double_reduce", width, block.double_reduce)
    yield Convolution(f"{name}_double1", block.double_reduce, block.double, 3)
    yield Convolution(f"{name}_double2", block.double, block.double, 3, stride)
    if not block.halves:
        yield Convolution(f"{name}_projection", width, block.projection)


def output_width(block: Block, width: int) -> int:
    """The channels that leave a block which ``width`` channels enter."""
    pooled = width if block.halves else block.projection
    return block.single + block.triple + block.double + pooled


def parameter_shapes(network: Network) -> dict[str, Shape]:
    """The shape of each array of ``network`` by its name, in MXNet's order (chapter 6).

    The names are those of MXNet's files: "arg:NAME" for what it learns, "aux:NAME" for BatchNorm's
    running statistics. BatchNorm's gammas are among the former, though they stay 1.
    """
    arguments: dict[str, Shape] = {}
    statistics: dict[str, Shape] = {}
    width = 3
    for layer in convolutions(network):
        filters = (layer.filters,)
        name = layer.name
        arguments[f"arg:{name}_weight"] = (*filters, layer.inputs, layer.kernel, layer.kernel)
        for kind in ("bias", "bn_gamma", "bn_beta"):
            arguments[f"arg:{name}_{kind}"] = filters
        for kind in ("bn_moving_mean", "bn_moving_var"):
            statistics[f"aux:{name}_{kind}"] = filters
    for block in network.blocks:
        width = output_width(block, width)
    arguments["arg:fc1_weight"] = (network.classes, width)
    arguments["arg:fc1_bias"] = (network.classes,)
    return arguments | statistics


def parameter_count(network: Network) -> int:
    """How many numbers ``network`` learns (chapter 6)."""
    shapes = parameter_shapes(network)
    return sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("arg:"))


def require_size(network: Network, size: int) -> None:
    """ValueError for pictures of ``size`` pixels a side that a network can't take; names others.

    The branches of a block that halves fit together only where height and width are even.
    """
    size = whole_number("size", size)
    if not _takes(network, size):
        near = sorted(range(1, 2 * max(size, 64)), key=lambda other: abs(other - size))
        fitting = [other for other in near if other % 16 == 0 and _takes(network, other)][:2]
        raise ValueError(
            f"{network.name} takes no pictures of {size} pixels; it takes {min(fitting)} or "
            f"{max(fitting)}, for instance"
        )


def _takes(network: Network, size: int) -> bool:
    side = -(-size // 2)
    for stem in network.stem:
        if stem.pool != "none":
            if side < 3:
                return False
            # What is left at the edge counts.
            side = -(-(side - 3) // 2) + 1
    for block in network.blocks:
        if block.halves:
            # Its pool is 3 wide.
            if side % 2 or side < 3:
                return False
            side //= 2
    return side >= 1
