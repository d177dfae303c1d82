"""Tar archives, and tars of tars, read in place (chapters 2 and 4).

ImageNet's training set is one tar of 1,000 tars. ``index_tar`` walks its headers once and notes where each
member's bytes lie, ``TarScanner`` does so while the bytes pass by; ``TarReader`` then reads any of them in any
order, from many threads; nothing is unpacked. Needs NumPy and the standard library only. The parser of headers is
:mod:`imnetlib.tar_walk`.
"""

from __future__ import annotations

import gzip
import logging
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from imnetlib.files import read_all_at, read_at, require_space, write_atomically
from imnetlib.tar_walk import (
    BLOCK,
    GZIP,
    Found,
    Integers,
    Names,
    number_of,
    stated_name,
    sums_up,
    walk,
)
from imnetlib.tar_walk import TarTruncatedError as TarTruncatedError  # users meet it here

PathLike = str | os.PathLike[str]
_Array = TypeVar("_Array", Names, Integers)

_log = logging.getLogger(__name__)  # warnings reach stderr unless the program says otherwise
_STEP = 1 << 20  # bytes read at a time where all of them are read
_SAMPLES = 5  # headers that tell whether an index still fits its archive
_SOME = 1 << 18  # names compared at a time


@dataclass(frozen=True, slots=True, eq=False)
class TarIndex:
    """Where every regular file of an archive lies: arrays of length n, in archive order.

    ``names``: UTF-8, ``<class>/<member>`` in a tar of tars, else ``<member>``; ``S<width>``, as wide as the longest.
    ``offsets`` and ``sizes``: int64, where the member's bytes stand in the outer file. ``classes``: int32, positions
    in the sorted ``class_names`` (the inner tars, without .tar), or -1. ``archive_bytes``: the length of that file.
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
        """Write the index as an .npz. It names the archive by a relative path, so both can move together."""
        path = Path(path)
        archive = (self.path.parent.resolve() / self.path.name).as_posix()
        with suppress(ValueError):  # on Windows, where there is no way from one drive to another
            archive = Path(os.path.relpath(archive, path.parent.resolve())).as_posix()
        arrays = {
            name: getattr(self, name) for name in ("names", "offsets", "sizes", "classes", "class_names")
        }
        with write_atomically(path) as out:
            np.savez(out, archive=np.array(archive), archive_bytes=np.array(self.archive_bytes), **arrays)

    @classmethod
    def load(cls, path: PathLike) -> TarIndex:
        """Read an index back; ValueError for another file, or an archive that is no longer the one indexed.

        Its length tells, and a few of its headers. FileNotFoundError when the index or its archive is not there.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in ("names", "offsets", "sizes", "classes")}
                archive = Path(os.path.normpath(path.parent.resolve() / str(stored["archive"])))
                length, class_names = int(stored["archive_bytes"]), tuple(stored["class_names"].tolist())
            if len({len(column) for column in arrays.values()}) != 1:
                raise ValueError("its columns have different lengths")
        except FileNotFoundError:
            raise
        except (  # whatever NumPy and zipfile make of a damaged file
            *(ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, RuntimeError),
            *(zipfile.BadZipFile, zlib.error),
        ) as error:
            raise ValueError(f"{path} is no index: make one with imnet index TAR") from error
        if not archive.exists():
            raise FileNotFoundError(f"{path} is the index of {archive}, which is gone: put it back there")
        now = archive.stat().st_size
        if now != length:
            raise ValueError(
                f"{path} was made when {archive} had {length:,} bytes; it has {now:,} now: index it again"
            )
        index = cls(archive, class_names=class_names, archive_bytes=length, **arrays)
        if not _fits(index):
            raise ValueError(f"{path} is of another archive than {archive} is now: index it again")
        return index

    def positions(self, names: Names | Sequence[str]) -> Integers:
        """The position of each name (UTF-8 bytes or str); ValueError counts the missing and names ten.

        Sorts the index anew, 0.2 s a million members: ask for many names at once.
        """
        return _find(self, np.argsort(self.names, kind="stable"), names)


def index_path(tar: Path) -> Path:
    """Where the index of ``tar`` is kept unless told otherwise: NAME.npz beside it."""
    return tar.with_name(f"{tar.name}.npz")


def open_index(tar: PathLike) -> TarIndex:
    """The index that is kept beside ``tar``; where there is none, or another archive's, a new one that is then kept.

    Reading the headers of 1.28 million images costs a cold disk another pass over the archive, loading an index a
    second. Where it cannot be kept, a warning says so.
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
    """Whether the archive has headers of the right name and size where the index says so, at a few places."""
    with index.path.open("rb", buffering=0) as file:
        for row in np.linspace(0, len(index) - 1, _SAMPLES).astype(int).tolist():
            header = read_at(file.fileno(), BLOCK, max(0, int(index.offsets[row]) - BLOCK))
            if len(header) < BLOCK or not sums_up(header):
                return False
            stated = stated_name(header).removeprefix(b"./")[:99]  # a longer name stands elsewhere
            if stated not in index.names[row] or number_of(header[124:136]) not in (index.sizes[row], 0):
                return False  # 0: a pax header has the size
    return True


def _find(index: TarIndex, order: Integers, names: Names | Sequence[str]) -> Integers:
    """The positions of ``names``; ``order`` sorts the index's names."""
    wanted = np.asarray(names) if len(names) else np.empty(0, "S1")
    if wanted.dtype.kind != "S":
        wanted = np.char.encode(wanted.astype(np.str_), "utf-8")
    places = np.searchsorted(index.names, wanted, sorter=order)
    found: Integers = order[np.minimum(places, len(order) - 1)]
    missing = wanted[index.names[found] != wanted]
    if len(missing):
        first = ", ".join(name.decode("utf-8", "replace") for name in missing[:10].tolist())
        raise ValueError(f"{len(missing):,} of {len(wanted):,} names are not in {index.path}: {first}")
    return found


def index_tar(path: PathLike, advance: Callable[[int], object] | None = None) -> TarIndex:
    """Index a tar, or a tar of tars, in one pass over its headers, skipping the data between (chapter 2).

    Folders are left out, and ``./`` before a name. ``advance`` gets the bytes passed since its last call.
    Raises TarTruncatedError for an archive cut short, and ValueError for damaged headers, for an archive that
    holds no file and, naming the member, for links, devices and sparse files, for absolute names, names with
    ``..`` or NUL, and names or class tars that stand there twice. 2 µs a member when the headers are cached, 13 µs
    where each has a pax header. Memory: 100 bytes a member with names of 30.
    """
    path = Path(path)
    found = Found(path, advance)
    walking = walk(found, str(path), 0, sys.maxsize)
    with path.open("rb", buffering=0) as file, suppress(StopIteration):
        fd = file.fileno()
        found.length = os.fstat(fd).st_size
        size, position = next(walking)
        while True:
            size, position = walking.send(read_at(fd, size, position))
    found.pass_rest()
    return _index_of(found)


def is_gzip(path: Path) -> bool:
    """Whether a file is gzip-compressed, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == GZIP


class TarScanner:
    """Makes the same index from bytes that pass by in order: in a download, a checksum's pass, an unpacking.

    ``update`` takes them as hashlib's does and never raises; ``problem`` is what it has found wrong by then.
    Of the data it holds a header at most, of 64 KiB (chapter 2).
    """

    def __init__(self, path: PathLike) -> None:
        path = Path(path)
        self.problem: ValueError | None = None
        self._found = Found(path)
        self.walk = walk(self._found, str(path), 0, sys.maxsize)
        self._size, self._position = next(self.walk)  # what it waits for
        self._held = b""  # the first part of that, out of earlier blocks
        self._ended = False
        self._index: TarIndex | None = None

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        start = self._found.length
        self._found.length += len(block)
        while not self._ended:
            at = self._position + len(self._held) - start
            self._held += block[at : self._position + self._size - start]
            if len(self._held) < self._size:
                return
            self._send()

    def _send(self) -> None:
        data, self._held = self._held, b""
        try:
            self._size, self._position = self.walk.send(data)
        except StopIteration:
            self._ended = True
        except ValueError as problem:
            self._ended, self.problem = True, problem

    def index(self) -> TarIndex:
        """The index, once all bytes have passed. Raises what ``index_tar`` would."""
        while not self._ended:
            self._send()  # with fewer bytes than it waits for: here the file ends
        if self.problem is not None:
            raise self.problem
        if self._index is None:
            self._index = _index_of(self._found)
        return self._index


def gunzip_tar(packed: Path, tar: Path, advance: Callable[[int], object] | None = None) -> TarIndex:
    """Unpack ``packed``, a .tar.gz, to ``tar`` and index it, in one pass (chapter 2).

    ``advance`` gets the bytes of ``packed`` read since its last call. The images in it are compressed already, so
    ``tar`` is as large as ``packed``; it appears whole or not at all, and a call that was stopped starts over.
    ValueError for a cut or damaged gzip file, and as ``index_tar``; OSError for a disk too small.
    """
    require_space(tar.parent, packed.stat().st_size)
    scanner, passed = TarScanner(packed), 0
    with packed.open("rb") as raw, gzip.open(raw) as unpacked, write_atomically(tar) as out:
        try:
            while (block := unpacked.read(_STEP)) and scanner.problem is None:
                out.write(block)
                scanner.update(block)
                if advance is not None:
                    advance(raw.tell() - passed)
                passed = raw.tell()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{packed} is cut short or damaged ({error}): download it again") from error
        return replace(scanner.index(), path=tar)


def _index_of(found: Found) -> TarIndex:
    """The index of all members found; ValueError when there are none, or a name stands there twice."""
    if not found.names:
        raise ValueError(f"{found.path} holds no file at all")
    class_names = tuple(sorted(found.numbers))
    rank = np.full(len(class_names) + 1, -1, np.int32)  # the item past the end stays -1, for "no class"
    rank[[found.numbers[name] for name in class_names]] = np.arange(len(class_names))
    classes = np.repeat(rank[found.classes], [len(part) for part in found.names])
    names, offsets, sizes = _joined(found.names), _joined(found.offsets), _joined(found.sizes)
    _refuse_twice(names, found.path)
    _refuse_loose(names[classes < 0], class_names, found.path)
    return TarIndex(found.path, names, offsets, sizes, classes, class_names, found.length)


def _joined(parts: list[_Array]) -> _Array:
    """The parts as one array. Each is let go on the way: 14 million names should not lie there twice."""
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
    for start in range(0, len(order), _SOME):  # a sorted copy would need as much memory again
        some = names[order[start : start + _SOME + 1]]
        twice += some[1:][some[1:] == some[:-1]].tolist()
    if twice:
        raise ValueError(f"{path} holds {twice[0].decode()} more than once ({len(twice):,} names too many)")


def _refuse_loose(names: Names, class_names: tuple[str, ...], path: Path) -> None:
    """A loose file must not slip into a class that has a tar of its own."""
    for name in names.tolist() if class_names else ():
        folder, found, _ = name.decode().partition("/")
        if found and folder in class_names:
            raise ValueError(f"{path} holds {name.decode()} outside of the tar of that class: it is damaged")


class TarReader:
    """Reads members of an indexed archive in any order, from any number of threads (chapter 4).

    A context manager. It keeps one file open and nothing else.
    """

    def __init__(self, index: TarIndex) -> None:
        self.index = index
        self._file = index.path.open("rb", buffering=0)
        self._order: Integers | None = None

    def read(self, position: int) -> bytes:
        """The bytes of the member at ``position`` of the index; OSError when the archive got shorter."""
        size = int(self.index.sizes[position])
        data = read_all_at(self._file.fileno(), size, int(self.index.offsets[position]))
        if len(data) != size:
            name = self.index.names[position].decode()
            raise OSError(f"{self.index.path} ends inside {name}: it has changed since it was indexed")
        return data

    def read_name(self, name: str) -> bytes:
        """The bytes of the member called ``name``; ValueError if there is none. The first call sorts."""
        if self._order is None:
            self._order = np.argsort(self.index.names, kind="stable")
        return self.read(int(_find(self.index, self._order, [name])[0]))

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def __enter__(self) -> TarReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
