"""Tar archives, and tars of tars, read in place (chapters 2 and 4).

ImageNet's training set is one tar of 1,000 tars. ``index_tar`` walks its headers once and notes where each
member's bytes lie; ``TarReader`` then reads any of them in any order, from many threads; nothing is unpacked.
Needs NumPy and the standard library only. Headers: ustar, pax (POSIX.1-2001) and GNU, as in tar(5).
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imnetlib.files import read_at, write_atomically

Names = npt.NDArray[np.bytes_]
Integers = npt.NDArray[np.int64]
_Batch = tuple[Names, Integers, Integers]  # names, offsets, sizes
_Row = tuple[bytes, bytes, int, int]  # header, name, offset, size

_BLOCK, _ZEROS = 512, bytes(512)
_BATCH = 4096  # headers checked together: 2 MiB, few enough to stay in the cache
_REGULAR, _EXTENDED, _FOLDER = b"0\x007", b"xgLK", ord("5")
_REFUSED = {"1": "hard link", "2": "symbolic link", "3": "device", "4": "device", "S": "sparse file"}


class TarTruncatedError(ValueError):
    """The archive ends too early: ``members`` are whole, the last of them ends at byte ``whole_bytes``."""

    def __init__(self, path: Path, members: int, whole_bytes: int, length: int) -> None:
        self.members, self.whole_bytes = members, whole_bytes
        super().__init__(
            f"{path} is cut short: {members:,} members are whole, up to byte {whole_bytes:,} of {length:,}, "
            "and no end-of-archive mark follows; fetch the rest, or the whole archive again"
        )


class _CutError(Exception):
    """The data ends before the archive does."""


@dataclass(frozen=True, slots=True, eq=False)
class TarIndex:
    """Where every regular file of an archive lies: arrays of length n, in archive order.

    ``names``: ``S<width>``, UTF-8, ``<class>/<member>`` in a tar of tars, else ``<member>``. ``offsets`` and
    ``sizes``: int64, where the member's bytes stand in the outer file. ``classes``: int32, positions in the
    sorted ``class_names`` (the inner tars, without .tar), or -1. ``archive_bytes``: the length of that file.
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

    def save(self, path: Path) -> None:
        """Write the index as an .npz. It names the archive by a relative path, so both can move together."""
        archive = os.path.relpath(self.path.resolve(), path.parent.resolve())
        arrays = {
            name: getattr(self, name) for name in ("names", "offsets", "sizes", "classes", "class_names")
        }
        with write_atomically(path) as out:
            np.savez(out, archive=np.array(archive), archive_bytes=np.array(self.archive_bytes), **arrays)

    @classmethod
    def load(cls, path: Path) -> TarIndex:
        """Read an index back; ValueError for another file, or an archive that no longer has the length indexed.

        FileNotFoundError when the index or its archive is not there.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in ("names", "offsets", "sizes", "classes")}
                archive = Path(os.path.normpath(path.parent.resolve() / str(stored["archive"])))
                length, class_names = int(stored["archive_bytes"]), tuple(stored["class_names"].tolist())
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no index: make one with imnet index TAR") from error
        if not archive.exists():
            raise FileNotFoundError(f"{path} is the index of {archive}, which is gone: put it back there")
        now = archive.stat().st_size
        if now != length:
            raise ValueError(
                f"{path} was made when {archive} had {length:,} bytes; it has {now:,} now: index it again"
            )
        return cls(archive, class_names=class_names, archive_bytes=length, **arrays)

    def positions(self, names: Names | Sequence[str]) -> Integers:
        """The position of each name (UTF-8 bytes or str); ValueError counts the missing and names ten.

        Sorts the index anew, 0.2 s a million members: ask for many names at once.
        """
        return _find(self, np.argsort(self.names, kind="stable"), names)


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


def index_tar(path: Path, advance: Callable[[int], object] | None = None) -> TarIndex:
    """Index a tar, or a tar of tars, in one pass over its headers, skipping the data between (chapter 2).

    Folders are left out, and ``./`` before a name. ``advance`` gets the bytes passed since its last call.
    Raises TarTruncatedError for an archive cut short, and ValueError for damaged headers, for an archive that
    holds no file and, naming the member, for links, devices and sparse files, for absolute names, names with
    ``..`` or NUL, and names that stand there twice. About 3 µs a member when the headers are cached.
    """
    parts: list[_Batch] = []
    part_classes: list[int] = []
    numbers: dict[str, int] = {}
    end = 0
    with path.open("rb", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        if read_at(file.fileno(), 2, 0) == b"\x1f\x8b":
            raise ValueError(f"{path} is gzip-compressed and cannot be read in place: gunzip it first")
        try:
            for number, part in _members(file.fileno(), path, length, numbers):
                parts.append(part)
                part_classes.append(number)
                passed, end = end, int(part[1][-1] + part[2][-1])
                if advance is not None:
                    advance(end - passed)
        except _CutError:
            raise TarTruncatedError(path, sum(len(part[0]) for part in parts), end, length) from None
    if not parts:
        raise ValueError(f"{path} holds no file at all")
    names, offsets, sizes = (np.concatenate(column) for column in zip(*parts, strict=True))
    in_order = np.sort(names, kind="stable")
    twice = in_order[1:][in_order[1:] == in_order[:-1]]
    if len(twice):
        raise ValueError(f"{path} holds {twice[0].decode()} more than once ({len(twice):,} names too many)")
    rank = np.full(len(numbers) + 1, -1, np.int32)  # the item past the end stays -1, for "no class"
    rank[[numbers[name] for name in sorted(numbers)]] = np.arange(len(numbers))
    classes = np.repeat(rank[part_classes], [len(part[0]) for part in parts])
    return TarIndex(path, names, offsets, sizes, classes, tuple(sorted(numbers)), length)


def _members(fd: int, path: Path, length: int, numbers: dict[str, int]) -> Iterator[tuple[int, _Batch]]:
    """Members with the number of their class, in archive order; ``numbers`` learns each inner tar's."""
    for names, offsets, sizes in _batches(fd, str(path), 0, length):
        inner = np.char.endswith(names, b".tar")
        if not inner.any():
            yield -1, (names, offsets, sizes)
            continue
        for row, name in enumerate(names.tolist()):
            if not inner[row]:
                yield -1, (names[row : row + 1], offsets[row : row + 1], sizes[row : row + 1])
                continue
            wnid = name.decode().rpartition("/")[2].removesuffix(".tar")
            number = numbers.setdefault(wnid, len(numbers))
            end = min(int(offsets[row] + sizes[row]), length)
            for part in _batches(fd, f"{path}, in {name.decode()},", int(offsets[row]), end):
                yield number, (np.char.add(f"{wnid}/".encode(), part[0]), part[1], part[2])


def _batches(fd: int, what: str, start: int, end: int) -> Iterator[_Batch]:
    """The members of one tar, some thousands at a time, checked; ``what`` names the tar in errors."""
    rows: list[_Row] = []
    try:
        for row in _walk(fd, what, start, end):
            rows.append(row)
            if len(rows) == _BATCH:
                yield _checked(rows, what)
                rows = []
    except (ValueError, _CutError):
        if rows:  # where a damaged header led the walk astray, that header is what gets reported
            yield _checked(rows, what)
        raise
    if rows:
        yield _checked(rows, what)


def _walk(fd: int, what: str, start: int, end: int) -> Iterator[_Row]:
    """Step from header to header between two offsets of the file."""
    position = start
    ahead: dict[bytes, bytes] = {}  # what an extended header says of the member that follows it
    while True:
        header = read_at(fd, _BLOCK, position) if position + _BLOCK <= end else b""
        if len(header) < _BLOCK:
            raise _CutError
        if header == _ZEROS:
            return _refuse_data_after(fd, what, position, end)
        kind, size = header[156], _number(header[124:136])
        position += _BLOCK
        if size < 0 or (kind not in _REGULAR and not _sums_up(header)):
            raise _damaged(what, position)
        name = ahead.get(b"path") or header[:100].rstrip(b"\0")
        if header[345] and header[257:263] == b"ustar\0" and b"path" not in ahead:
            name = header[345:500].rstrip(b"\0") + b"/" + name
        if kind in _EXTENDED:
            ahead |= _extended(chr(kind), read_at(fd, min(size, 1 << 20), position), what)
        elif kind == _FOLDER:
            ahead, size = {}, 0
        elif kind not in _REGULAR or any(key.startswith(b"GNU.sparse") for key in ahead):
            described = _REFUSED.get("S" if kind in _REGULAR else chr(kind), f"member of type {chr(kind)!r}")
            shown = name.decode("utf-8", "replace")
            raise ValueError(f"{what} holds {shown}, a {described}: only regular files are accepted")
        else:
            size, ahead = int(ahead.get(b"size", size)), {}
            # A class tar that is cut short still has whole members: those are counted when it is walked.
            if position + size > end and not (start == 0 and name.endswith(b".tar")):
                raise _CutError
            yield header, name.removeprefix(b"./"), position, size
        position += size + -size % _BLOCK


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's base 256 for sizes of 8 GiB and more; -1 if neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[-7:], "big")
    try:
        return int(field.partition(b"\0")[0], 8)
    except ValueError:
        return -1


def _sums_up(header: bytes) -> bool:
    """Whether the checksum is right: the sum of the header's bytes, its own field counted as spaces."""
    return sum(header) - sum(header[148:156]) + 8 * ord(" ") == _number(header[148:156])


def _damaged(what: str, position: int) -> ValueError:
    at = position - _BLOCK
    return ValueError(f"{what} has no valid tar header at byte {at:,}: it is damaged, or not a tar")


def _extended(kind: str, data: bytes, what: str) -> dict[bytes, bytes]:
    """What a GNU long name (L) or a pax header (x) says of the next member; K and g: nothing."""
    if kind == "L":
        return {b"path": data.rstrip(b"\0")}
    records: dict[bytes, bytes] = {}
    while kind == "x" and data:  # each record: its own length, a space, key=value, a newline
        digits = data[:20].partition(b" ")[0]
        record = data[len(digits) + 1 : int(digits)] if digits.isdigit() else b""
        key, found, value = record.removesuffix(b"\n").partition(b"=")
        if not found or (key == b"size" and not value.isdigit()):
            raise ValueError(f"{what} has a broken pax header: {data[:40]!r}")
        records[key] = value
        data = data[int(digits) :]
    return records


def _refuse_data_after(fd: int, what: str, position: int, end: int) -> None:
    """Only padding may follow the end mark: a hole in the middle of an archive would pass for its end."""
    while position < end:
        block = read_at(fd, min(1 << 20, end - position), position)
        if block.count(0) != len(block) or not block:
            raise ValueError(f"{what} goes on after an empty header at byte {position:,}: it is damaged")
        position += len(block)


def _checked(rows: list[_Row], what: str) -> _Batch:
    """One batch as arrays. ValueError for a wrong checksum or an unsafe name."""
    headers = np.frombuffer(b"".join([row[0] for row in rows]), np.uint8).reshape(-1, _BLOCK)
    sums = headers.sum(1, dtype=np.uint32) - headers[:, 148:156].sum(1, dtype=np.uint32) + 8 * ord(" ")
    wrong = np.flatnonzero(sums != np.array([_number(row[0][148:156]) for row in rows]))
    if len(wrong):
        raise _damaged(what, rows[wrong[0]][2])
    for _, name, _, _ in rows:
        if not name.isascii() or b"\0" in name or b".." in name or name[:1] in b"/":
            text = name.decode("utf-8", "replace")
            if text.encode() != name or "\0" in text or ".." in text.split("/") or text[:1] in ("", "/"):
                raise ValueError(f"{what} holds a member called {text!r}: that is no safe file name")
    _, names, offsets, sizes = zip(*rows, strict=True)
    return np.array(names, np.bytes_), np.array(offsets, np.int64), np.array(sizes, np.int64)


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
        data = read_at(self._file.fileno(), size, int(self.index.offsets[position]))
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
