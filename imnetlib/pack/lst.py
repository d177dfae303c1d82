"""MXNet's ``.lst`` files: a line ``integer TAB label (TAB label …) TAB path`` for each image."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imnetlib.files import write_atomically
from imnetlib.pack.lists import LINES_PER_BLOCK, ImageList, select

READ_SIZE = 1 << 22
# Names that the format cannot hold.
_UNFIT = re.compile(rb"^$|^ | $|[\0-\x1f]")
# Ids, labels and paths.
_Columns = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bytes_]]


def write_lst(images: ImageList, path: Path) -> None:
    """Write a ``.lst`` file, whole or not at all, with the bytes of im2rec's (chapter 4).

    0.4 s a million lines. Labels that six decimals cannot hold get nine digits. Raises ValueError
    for paths that the format cannot hold: with a tab, a line break or another control character, or
    a space at either end.
    """
    rounded = np.round(images.labels.astype(np.float64), 6).astype(np.float32)
    label = b"%f" if np.array_equal(rounded, images.labels) else b"%.9g"
    columns = images.labels.shape[1] + 2
    line = b"\t".join([b"%d", *[label] * (columns - 2), b"%s"]) + b"\n"
    with write_atomically(path) as out:
        for start in range(0, len(images), LINES_PER_BLOCK):
            block = select(images, slice(start, start + LINES_PER_BLOCK))
            labels = block.labels.T.tolist()
            rows = zip(block.ids.tolist(), *labels, block.paths.tolist(), strict=True)
            text = line * len(block) % tuple(chain.from_iterable(rows))
            # One control character after each field, a tab or a line break, and no space beside it.
            controls = len(text) - len(text.translate(None, bytes(range(32))))
            spaces = any(pair in text for pair in (b" \n", b"\t ", b"\t\n"))
            if controls != columns * len(block) or spaces:
                names: list[bytes] = block.paths.tolist()
                unfit = next(name for name in names if re.search(_UNFIT, name))
                raise ValueError(f"{path}: {unfit!r} cannot stand in a .lst file: rename it")
            out.write(text)


def read_lst(path: Path, classes: Sequence[str] = ()) -> ImageList:
    """Read a ``.lst`` file of any MXNet: labels as ``0.000000`` or ``0``, as many in each line.

    As for im2rec, spaces around a field are not part of it (chapter 4); blank lines and a byte
    order mark are passed over. About 1.5 s a million lines. Raises ValueError with the line number
    for a line that is not integer, labels, path; and for an empty file.
    """
    blocks: list[_Columns] = []
    lines = 0
    with path.open("rb") as file:
        while text := file.read(READ_SIZE) + file.readline():
            texts = (text if lines else text.removeprefix(codecs.BOM_UTF8)).splitlines()
            rows = [line.split(b"\t") for line in texts if line.strip()]
            if rows:
                width = blocks[0][1].shape[1] + 2 if blocks else len(rows[0])
                columns = _parse(rows, width)
                if columns is None:
                    raise _line_error(path, texts, lines, width)
                blocks.append(columns)
            lines += len(texts)
    if not blocks:
        raise ValueError(f"{path} names no image: it is empty")
    ids, labels, paths = map(np.concatenate, zip(*blocks, strict=True))
    return ImageList(ids, labels, paths, tuple(classes))


def _parse(rows: list[list[bytes]], width: int) -> _Columns | None:
    """The columns of lines split at their tabs; None where one has not ``width`` valid fields."""
    try:
        numbers, *values, names = zip(*rows, strict=True)
        ids = np.array(numbers).astype(np.int64)
        # What is too large becomes infinite, which is refused below.
        with np.errstate(over="ignore"):
            labels = np.stack([np.array(value).astype(np.float32) for value in values], axis=1)
    except (ValueError, OverflowError):
        return None
    paths = np.array([name.strip() for name in names])
    valid = len(values) == width - 2 and np.isfinite(labels).all() and (paths != b"").all()
    return (ids, labels, paths) if valid else None


def _line_error(path: Path, texts: list[bytes], before: int, width: int) -> ValueError:
    """The error for the first of these lines that is not as it should be."""
    numbered = [(number, line) for number, line in enumerate(texts, before + 1) if line.strip()]
    number, line = next(
        (number, line) for number, line in numbered if not _parse([line.split(b"\t")], width)
    )
    expected = f"an integer, {max(width - 2, 1)} label(s) and a path, with tabs between"
    shown = line[:120].decode("utf-8", "replace")
    return ValueError(f"{path}, line {number}: expected {expected}, found {shown!r}")
