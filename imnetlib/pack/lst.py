"""MXNet's ``.lst`` files: a line ``integer TAB label (TAB label …) TAB path`` for each image."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from imnetlib.arguments import Floats, Integers, Names, PathLike
from imnetlib.files import write_atomically
from imnetlib.pack.classes import keeping_classes, with_classes
from imnetlib.pack.lists import EXACT_UP_TO, LINES_PER_BLOCK, ImageList, class_names

READ_SIZE = 1 << 22
# Names that the format cannot hold.
_UNFIT = re.compile(rb"^$|^ | $|[\0-\x1f]")
# Ids, labels and paths.
_Columns = tuple[Integers, Floats, Names]


def write_lst(images: ImageList, path: PathLike) -> None:
    """Write a ``.lst`` file, whole or not at all, with the bytes of im2rec's (chapter 4).

    The classes, if known, go into ``synset.txt`` beside it, which all lists of a folder share.
    0.4 s a million lines. Labels that six decimals cannot hold get nine digits. Raises ValueError
    for a list without images, for other classes in that file, and for paths that the format cannot
    hold: with a tab, a line break or another control character, or a space at either end.
    """
    path = Path(path)
    if not len(images):
        raise ValueError(f"{path} would name no image: the list is empty")
    with keeping_classes(images, path.parent), write_atomically(path) as out:
        for text in _lines(images, path):
            out.write(text)


def _lines(images: ImageList, path: Path) -> Iterator[bytes]:
    """The text of the file in blocks of lines."""
    rounded = np.round(images.labels.astype(np.float64), 6).astype(np.float32)
    label = b"%f" if np.array_equal(rounded, images.labels) else b"%.9g"
    columns = images.labels.shape[1] + 2
    line = b"\t".join([b"%d", *[label] * (columns - 2), b"%s"]) + b"\n"
    for start in range(0, len(images), LINES_PER_BLOCK):
        block = slice(start, start + LINES_PER_BLOCK)
        names = images.paths[block].tolist()
        labels = images.labels[block].T.tolist()
        rows = zip(images.ids[block].tolist(), *labels, names, strict=True)
        text = line * len(names) % tuple(chain.from_iterable(rows))
        # One control character after each field, a tab or a line break, and no space beside it.
        controls = len(text) - len(text.translate(None, bytes(range(32))))
        spaces = any(pair in text for pair in (b" \n", b"\t ", b"\t\n"))
        if controls != columns * len(names) or spaces:
            unfit = next(name for name in names if re.search(_UNFIT, name))
            raise ValueError(f"{path}: {unfit!r} cannot stand in a .lst file: rename it")
        yield text


def read_lst(path: PathLike, classes: Sequence[str] | None = None) -> ImageList:
    """Read a ``.lst`` file of any MXNet: labels as ``0.000000`` or ``0``, as many in each line.

    The classes are ``classes``, or else those of the ``synset.txt`` beside it, if it is there. As
    for im2rec, spaces around a field are not part of it (chapter 4); blank lines and a byte order
    mark are passed over. About 1.5 s a million lines. Raises ValueError with the line number for a
    line that is not integer, labels, path, or has a whole label that float32 has not; for an empty
    file; and for labels that are no positions in the classes.
    """
    path = Path(path)
    blocks: list[_Columns] = []
    lines = 0
    with path.open("rb") as file:
        while text := file.read(READ_SIZE) + file.readline():
            texts = (text if lines else text.removeprefix(codecs.BOM_UTF8)).splitlines()
            rows = [line.split(b"\t") for line in texts if line.strip()]
            if rows:
                width = blocks[0][1].shape[1] + 2 if blocks else len(rows[0])
                try:
                    blocks.append(_parse(rows, width))
                except ValueError:
                    raise _line_error(path, texts, lines, width) from None
            lines += len(texts)
    if not blocks:
        raise ValueError(f"{path} names no image: it is empty")
    ids, labels, paths = map(np.concatenate, zip(*blocks, strict=True))
    images = ImageList(ids, labels, paths)
    try:
        if classes is None:
            return with_classes(images, path.parent)
        return replace(images, classes=class_names(classes))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _parse(rows: list[list[bytes]], width: int) -> _Columns:
    """The columns of lines split at their tabs; ValueError where one has not ``width`` fields."""
    expected = f"expected an integer, {max(width - 2, 1)} label(s) and a path, with tabs between"
    try:
        numbers, *values, names = zip(*rows, strict=True)
        ids = np.array(numbers).astype(np.int64)
        # What is too large becomes infinite, which is refused below.
        with np.errstate(over="ignore"):
            labels = np.stack([np.array(value).astype(np.float32) for value in values], axis=1)
    except (ValueError, OverflowError) as error:
        raise ValueError(expected) from error
    paths = np.array([name.strip() for name in names])
    digits = b"".join(chain(numbers, *values))
    # To NumPy 1_000 is a number, and NULs at an end are nothing.
    misread = b"_" in digits or b"\0" in digits or b"\0" in b"".join(names)
    if misread or len(values) != width - 2 or (paths == b"").any():
        raise ValueError(expected)
    if not np.isfinite(labels).all():
        raise ValueError("expected labels that are finite in float32")
    for row, column in np.argwhere(np.abs(labels) >= EXACT_UP_TO).tolist():
        if not _is_exact(values[column][row], labels[row, column]):
            raise ValueError(f"expected whole labels that float32 has: all up to {EXACT_UP_TO:,}")
    return ids, labels, paths


def _is_exact(text: bytes, label: np.float32) -> bool:
    """Whether a whole number kept its value, or is the text of nine digits that its label has."""
    value = Fraction(text.strip().decode())
    return value.denominator > 1 or value in (int(label), Fraction(f"{label:.9g}"))


def _line_error(path: Path, texts: list[bytes], before: int, width: int) -> ValueError:
    """The error for the first of these lines that is not as it should be."""
    faults = ((number, line, _fault(line, width)) for number, line in enumerate(texts, before + 1))
    number, line, fault = next(found for found in faults if found[2])
    shown = line[:120].decode("utf-8", "replace")
    return ValueError(f"{path}, line {number}: {fault}, found {shown!r}")


def _fault(line: bytes, width: int) -> str:
    """What was expected of a line; "" for a sound or a blank one."""
    try:
        if line.strip():
            _parse([line.split(b"\t")], width)
    except ValueError as error:
        return str(error)
    return ""
