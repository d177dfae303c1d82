"""Inception-BN and its relatives as a table of filters, for any framework to build (chapter 6).

The table is ``data/inception.tsv``: Ioffe and Szegedy's network (2015), the wider one of *Training
Deep Net on 14 Million Images by Using A Single Machine*, and a small one for pictures of 64 pixels,
a quarter as wide.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass
from typing import Literal

from imnetlib.catalog import data_file

Pool = Literal["avg", "max", "none"]


@dataclass(frozen=True, slots=True)
class Stem:
    """One of the two layers before the blocks: ``reduce`` 1x1 filters where not 0, then
    ``filters``, then the pool.

    ``conv1`` takes every second pixel (stride 2); the pool, where there is one, halves height and
    width.
    """

    name: str
    kernel: int
    reduce: int
    filters: int
    pool: Pool


@dataclass(frozen=True, slots=True)
class Block:
    """The filters of one inception block, branch by branch; every convolution is followed by
    BatchNorm and ReLU.

    The branches: ``single`` 1x1; ``triple_reduce`` 1x1, then ``triple`` 3x3; ``double_reduce`` 1x1,
    then ``double`` 3x3 twice; a 3x3 pool, then ``projection`` 1x1. With ``halves`` the first and
    the projection are missing, and the last convolution and the pool have stride 2.
    """

    name: str
    single: int
    triple_reduce: int
    triple: int
    double_reduce: int
    double: int
    pool: Pool
    projection: int

    @property
    def halves(self) -> bool:
        """Whether height and width come out halved."""
        return not self.single


@dataclass(frozen=True, slots=True)
class Network:
    """The layers in order; then come a mean over all pixels and a fully connected layer with an
    output a class.
    """

    name: str
    stem: tuple[Stem, Stem]
    blocks: tuple[Block, ...]
    classes: int


@functools.cache
def _table() -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    with data_file("inception.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            rows.setdefault(row["network"], []).append(row)
    return rows


def network(name: str, classes: int) -> Network:
    """The network of that name in the table: "inception-bn", "inception-21k", "inception-64px"
    (chapter 6).

    ValueError lists the names when there is none, and for fewer than two classes.
    """
    if name not in _table():
        raise ValueError(f"there is no network {name!r}; there are {', '.join(_table())}")
    if classes < 2:
        raise ValueError(f"a classifier has two classes or more, not {classes}")
    conv1, conv2, *blocks = _table()[name]
    return Network(name, (_stem(conv1), _stem(conv2)), tuple(map(_block, blocks)), classes)


def _pool(text: str) -> Pool:
    kinds: dict[str, Pool] = {"avg": "avg", "max": "max", "none": "none"}
    return kinds[text]


def _stem(row: dict[str, str]) -> Stem:
    kernel, reduce, filters = (int(row[name]) for name in ("kernel", "3x3_reduce", "conv"))
    return Stem(row["layer"], kernel, reduce, filters, _pool(row["pool"]))


def _block(row: dict[str, str]) -> Block:
    columns = ("1x1", "3x3_reduce", "3x3", "double_reduce", "double", "projection")
    single, triple_reduce, triple, double_reduce, double, projection = (
        int(row[name]) for name in columns
    )
    return Block(
        name=row["layer"],
        single=single,
        triple_reduce=triple_reduce,
        triple=triple,
        double_reduce=double_reduce,
        double=double,
        pool=_pool(row["pool"]),
        projection=projection,
    )
