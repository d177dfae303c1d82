"""Tar archives, and tars of tars, read in place (chapters 2 and 4).

ImageNet's training set is one tar of 1,000 tars. ``index_tar`` walks its headers once and notes
where each member's bytes lie, ``TarScanner`` does so while the bytes pass by; ``TarReader`` then
reads any of them in any order, from many threads; nothing is unpacked. Needs NumPy and the standard
library only. The parser of headers is :mod:`imnetlib.archive.headers`.
"""

from __future__ import annotations

import logging
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from imnetlib.archive.headers import (
    TAR_BLOCK,
    FoundMembers,
    Integers,
    Names,
    checksum_agrees,
    number_of,
    stated_name,
    walk,
)
from imnetlib.arguments import PathLike
from imnetlib.files import read_at, write_atomically

_Array = TypeVar("_Array", Names, Integers)

# warnings reach stderr unless the program says otherwise
_log = logging.getLogger(__name__)
# headers that tell whether an index still fits its archive
_HEADERS_COMPARED = 5
# names compared at a time
_NAMES_AT_A_TIME = 1 << 18


@dataclass(frozen=True, slots=True, eq=False)
class TarIndex:
    """Where every regular file of an archive lies: arrays of length n, in archive order.

    ``names``: UTF-8, ``<class>/<member>`` in a tar of tars, else ``<member>``; ``S<width>``, as
    wide as the longest. ``offsets`` and ``sizes``: int64, where the member's bytes stand in the
    outer file. ``classes``: int32, positions in the sorted ``class_names`` (the inner tars, without
    .tar), or -1. ``archive_bytes``: the length of that file.
    """

    path: Path
    names: Names
    offsets: Integers
    sizes: Integers
    classes: npt.NDArray[np.int32]
    class_names: tuple[str, ...]
    archive_bytes: int

    def __len__(self) -> int:
        return len(self.names)

    def save(self, path: PathLike) -> None:
        """Write the index as an .npz. It names the archive by a relative path, so both can move
        together.
        """
        path = Path(path)
        archive = (self.path.parent.resolve() / self.path.name).as_posix()
        # on Windows, where there is no way from one drive to another
        with suppress(ValueError):
            archive = Path(os.path.relpath(archive, path.parent.resolve())).as_posix()
        arrays = {
            name: getattr(self, name)
            for name in ("names", "offsets", "sizes", "classes", "class_names")
        }
        with write_atomically(path) as out:
            np.savez(
                out, archive=np.array(archive), archive_bytes=np.array(self.archive_bytes), **arrays
            )

    @classmethod
    def load(cls, path: PathLike) -> TarIndex:
        """Read an index back; ValueError for another file, or an archive that is no longer the one
        indexed.

        Its length tells, and a few of its headers. FileNotFoundError when the index or its archive
        is not there.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in ("names", "offsets", "sizes", "classes")}
                archive = Path(os.path.normpath(path.parent.resolve() / str(stored["archive"])))
                length = int(stored["archive_bytes"])
                class_names = tuple(stored["class_names"].tolist())
            if len({len(column) for column in arrays.values()}) != 1:
                raise ValueError("its columns have different lengths")
        except FileNotFoundError:
            raise
        # whatever NumPy and zipfile make of a damaged file
        except (
            *(ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, RuntimeError),
            *(zipfile.BadZipFile, zlib.error),
        ) as error:
            raise ValueError(f"{path} is no index: make one with imnet index TAR") from error
        if not archive.exists():
            raise FileNotFoundError(
                f"{path} is the index of {archive}, which is gone: put it back there"
            )
        now = archive.stat().st_size
        if now != length:
            raise ValueError(
                f"{path} was made when {archive} had {length:,} bytes; it has {now:,} now: index it again"
            )
        index = cls(archive, class_names=class_names, archive_bytes=length, **arrays)
        if not _fits(index):
            raise ValueError(f"{path} is of another archive than {archive} is now: index it again")
        return index

    def select(self, rows: Integers | slice) -> TarIndex:
        """The members at these positions, in that order, as an index of the same archive."""
        columns = self.names[rows], self.offsets[rows], self.sizes[rows], self.classes[rows]
        return TarIndex(self.path, *columns, self.class_names, self.archive_bytes)

    def positions(self, names: Names | Sequence[str]) -> Integers:
        """The position of each name (UTF-8 bytes or str); ValueError counts the missing and names
        ten.

        Sorts the index anew, 0.2 s a million members: ask for many names at once.
        """
        return find_names(self, np.argsort(self.names, kind="stable"), names)


def index_path(tar: Path) -> Path:
    """Where the index of ``tar`` is kept unless told otherwise: NAME.npz beside it."""
    return tar.with_name(f"{tar.name}.npz")


def open_index(tar: PathLike) -> TarIndex:
    """The index that is kept beside ``tar``; where there is none, or another archive's, a new one
    that is then kept.

    Reading the headers of 1.28 million images costs a cold disk another pass over the archive,
    loading an index a second. Where it cannot be kept, a warning says so.
    """
    tar = Path(tar)
    with suppress(FileNotFoundError, ValueError):
        kept = TarIndex.load(index_path(tar))
        if kept.path.resolve() == tar.resolve():
            return kept
    index = index_tar(tar)
    try:
        index.save(index_path(tar))
    except OSError as error:
        _log.warning("the index of %s cannot be kept: %s", tar, error)
    return index


def _fits(index: TarIndex) -> bool:
    """Whether the archive has headers of the right name and size where the index says so, at a few
    places.
    """
    with index.path.open("rb", buffering=0) as file:
        for row in np.linspace(0, len(index) - 1, _HEADERS_COMPARED).astype(int).tolist():
            header = read_at(file.fileno(), TAR_BLOCK, max(0, int(index.offsets[row]) - TAR_BLOCK))
            if len(header) < TAR_BLOCK or not checksum_agrees(header):
                return False
            # a longer name stands elsewhere
            stated = stated_name(header).removeprefix(b"./")[:99]
            if stated not in index.names[row] or number_of(header[124:136]) not in (
                index.sizes[row],
                0,
            ):
                # 0: a pax header has the size
                return False
    return True


def find_names(index: TarIndex, order: Integers, names: Names | Sequence[str]) -> Integers:
    """The positions of ``names``; ``order`` sorts the index's names."""
    wanted = np.asarray(names) if len(names) else np.empty(0, "S1")
    if wanted.dtype.kind != "S":
        wanted = np.char.encode(wanted.astype(np.str_), "utf-8")
    places = np.searchsorted(index.names, wanted, sorter=order)
    found: Integers = order[np.minimum(places, len(order) - 1)]
    missing = wanted[index.names[found] != wanted]
    if len(missing):
        first = ", ".join(name.decode("utf-8", "replace") for name in missing[:10].tolist())
        raise ValueError(
            f"{len(missing):,} of {len(wanted):,} names are not in {index.path}: {first}"
        )
    return found


def index_tar(path: PathLike, advance: Callable[[int], object] | None = None) -> TarIndex:
    """Index a tar, or a tar of tars, in one pass over its headers, skipping the data between
    (chapter 2).

    Folders are left out, and ``./`` before a name. ``advance`` gets the bytes passed since its last
    call. Raises TarTruncatedError for an archive cut short, and ValueError for damaged headers, for
    an archive that holds no file and, naming the member, for links, devices and sparse files, for
    absolute names, names with ``..`` or NUL, and names or class tars that stand there twice. 2 µs a
    member when the headers are cached, 13 µs where each has a pax header. Memory: 100 bytes a
    member with names of 30.
    """
    path = Path(path)
    found = FoundMembers(path, advance)
    walking = walk(found, str(path), 0, sys.maxsize)
    with path.open("rb", buffering=0) as file, suppress(StopIteration):
        fd = file.fileno()
        found.length = os.fstat(fd).st_size
        size, position = next(walking)
        while True:
            size, position = walking.send(read_at(fd, size, position))
    found.pass_rest()
    return index_of(found)


def index_of(found: FoundMembers) -> TarIndex:
    """The index of all members found; ValueError when there are none, or a name stands there twice."""
    if not found.names:
        raise ValueError(f"{found.path} holds no file at all")
    class_names = tuple(sorted(found.numbers))
    # the item past the end stays -1, for "no class"
    rank = np.full(len(class_names) + 1, -1, np.int32)
    rank[[found.numbers[name] for name in class_names]] = np.arange(len(class_names))
    classes = np.repeat(rank[found.classes], [len(part) for part in found.names])
    names = _joined(found.names)
    offsets = _joined(found.offsets)
    sizes = _joined(found.sizes)
    _refuse_twice(names, found.path)
    _refuse_loose(names[classes < 0], class_names, found.path)
    return TarIndex(found.path, names, offsets, sizes, classes, class_names, found.length)


def _joined(parts: list[_Array]) -> _Array:
    """The parts as one array. Each is let go on the way: 14 million names should not lie there
    twice.
    """
    end = sum(map(len, parts))
    whole = np.empty(end, max((part.dtype for part in parts), key=lambda dtype: dtype.itemsize))
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole


def _refuse_twice(names: Names, path: Path) -> None:
    order = np.argsort(names, kind="stable")
    twice: list[bytes] = []
    # a sorted copy would need as much memory again
    for start in range(0, len(order), _NAMES_AT_A_TIME):
        some = names[order[start : start + _NAMES_AT_A_TIME + 1]]
        twice += some[1:][some[1:] == some[:-1]].tolist()
    if twice:
        raise ValueError(
            f"{path} holds {twice[0].decode()} more than once ({len(twice):,} names too many)"
        )


def _refuse_loose(names: Names, class_names: tuple[str, ...], path: Path) -> None:
    """A loose file must not slip into a class that has a tar of its own."""
    for name in names.tolist() if class_names else ():
        folder, found, _ = name.decode().partition("/")
        if found and folder in class_names:
            raise ValueError(
                f"{path} holds {name.decode()} outside of the tar of that class: it is damaged"
            )
