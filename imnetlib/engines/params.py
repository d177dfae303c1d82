"""MXNet's files of named arrays, ``NAME-0009.params``, by NumPy alone (chapter 7).

The formats are those of ndarray.cc: the one that MXNet 1.x writes, and all that it still reads,
back to the first of 2015. Numbers are little-endian.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imnetlib.arguments import PathLike, require_type

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

_FILE = 0x112
# What an array begins with. In the first format that is the number of its dimensions.
_V1 = 0xF993FAC8
_V2 = 0xF993FAC9
_V3 = 0xF993FACA
_TYPES = tuple(np.dtype(name) for name in ("f4", "f8", "f2", "u1", "i4", "i1", "i8", "?"))
_CPU = (1, 0)
_MOST_DIMENSIONS = 32


def write_params(out: BinaryIO, arrays: Arrays) -> None:
    """Write ``arrays`` into an open file, as ``mx.nd.load`` and ``read_params`` take them.

    MXNet itself knows no arrays without dimensions; ``read_params`` does.

    TypeError for a type that MXNet does not know, such as that of complex numbers.
    """
    require_type(arrays, Mapping, "arrays are arrays by name, in a dict")
    out.write(struct.pack("<3Q", _FILE, 0, len(arrays)))
    for name, array in arrays.items():
        if array.dtype not in _TYPES:
            raise TypeError(f"{name} is of type {array.dtype}, which a .params file can't hold")
        shape = struct.pack(f"<I{array.ndim}q", array.ndim, *array.shape)
        out.write(struct.pack("<Ii", _V2, 0) + shape)
        out.write(struct.pack("<3i", *_CPU, _TYPES.index(array.dtype)))
        out.write(np.ascontiguousarray(array).data)
    out.write(struct.pack("<Q", len(arrays)))
    for encoded in map(str.encode, arrays):
        out.write(struct.pack("<Q", len(encoded)) + encoded)


def read_params(path: PathLike) -> dict[str, NDArray[Any]]:
    """The arrays of a .params file by name, as MXNet or ``write_params`` wrote them (chapter 7).

    Weights are "arg:NAME", BatchNorm's running statistics "aux:NAME". Memory: the file, which the
    arrays share. ValueError names a file that is none, that is cut or damaged, or whose arrays have
    no names.
    """
    reader = _Reader(bytearray(Path(path).read_bytes()))
    try:
        magic, _, count = reader.numbers("3Q")
        if magic != _FILE:
            raise ValueError("it does not begin as MXNet's files do")
        arrays = [reader.array() for _ in range(count)]
        names = [reader.name() for _ in range(*reader.numbers("Q"))]
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path} is no sound file of arrays: {error}") from error
    if len(set(names)) != count:
        raise ValueError(f"{path} has {count} arrays and {len(names)} names")
    return dict(zip(names, arrays, strict=True))


class _Reader:
    """Numbers, names and arrays out of the bytes of a file, one after another."""

    def __init__(self, data: bytearray) -> None:
        self.data = data
        self.place = 0

    def numbers(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(f"<{form}", self.data, self.place)
        self.place += struct.calcsize(f"<{form}")
        return found

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes; ValueError where so many are not left."""
        if size > len(self.data) - self.place:
            raise ValueError(f"it ends at byte {len(self.data):,}, in the middle of something")
        self.place += size
        return memoryview(self.data)[self.place - size : self.place]

    def name(self) -> str:
        return bytes(self.take(*self.numbers("Q"))).decode()

    def array(self) -> NDArray[Any]:
        (kind,) = self.numbers("I")
        dimensions = kind
        size = "I"
        if kind in (_V1, _V2, _V3):
            if kind != _V1 and self.numbers("i") != (0,):
                raise ValueError("it holds a sparse array")
            (dimensions,) = self.numbers("I")
            size = "q"
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"an array of {dimensions:,} dimensions")
        shape = self.numbers(f"{dimensions}{size}")
        *_, number = self.numbers("3i")
        if not 0 <= number < len(_TYPES) or min(shape, default=0) < 0:
            raise ValueError(f"an array of shape {shape} and type {number}")
        data = self.take(math.prod(shape) * _TYPES[number].itemsize)
        return np.frombuffer(data, _TYPES[number]).reshape(shape)
