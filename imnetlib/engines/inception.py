"""Inception-BN and its relatives as a table of filters, for any framework to build (chapter 6).

``data/inception.tsv`` holds Ioffe and Szegedy's network (2015), the wider one of *Training Deep Net
on 14 Million Images by Using A Single Machine*, and a small one, a quarter as wide, for pictures of
64 pixels.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import Literal, cast

from imnetlib.arguments import require, whole_number
from imnetlib.catalog import data_file

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
