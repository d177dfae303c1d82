"""Tar archives, and tars of tars, read in place (chapters 2 and 4).

ImageNet's training set is one tar of 1,000 tars. ``index_tar`` walks its headers once and notes where each
member's bytes lie, ``TarScanner`` does so while the bytes pass by; ``TarReader`` then reads any of them in any
order, from many threads; nothing is unpacked. Needs NumPy and the standard library only. Headers: ustar, pax
(POSIX.1-2001) and GNU, as in tar(5).
"""

from __future__ import annotations

import gzip
import logging
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from imnetlib.files import read_all_at, read_at, require_space, write_atomically

PathLike = str | os.PathLike[str]
Names = npt.NDArray[np.bytes_]
Integers = npt.NDArray[np.int64]
_Request = tuple[int, int]  # so many bytes, from this offset on; fewer come only at the file's end
_Array = TypeVar("_Array", Names, Integers)

_log = logging.getLogger(__name__)  # warnings reach stderr unless the program says otherwise
_BLOCK, _ZEROS = 512, bytes(512)
_GZIP = b"\x1f\x8b"
_BATCH = 4096  # headers checked together: 2 MiB, few enough to stay in the cache
_STEP = 1 << 20  # bytes read at a time where all of them are read
_LONGEST = 1 << 16  # of an extended header: names and sizes take some hundred bytes
_LONGEST_NAME = 1024  # in bytes: one long name makes the whole array of names as wide
_LARGEST = 1 << 60
_SAMPLES = 5  # headers that tell whether an index still fits its archive
_SOME = 1 << 18  # names compared at a time
_REGULAR, _EXTENDED, _FOLDER = b"0\x007", b"xgLK", ord("5")
_REFUSED = {"1": "hard link", "2": "symbolic link", "3": "device", "4": "device", "S": "sparse file"}


class TarTruncatedError(ValueError):
    """The archive ends too early: ``members`` are whole, the last of them ends at byte ``whole_bytes``."""

    def __init__(self, path: Path, members: int, whole_bytes: int, length: int) -> None:
        self.members, self.whole_bytes = members, whole_bytes
        whole = f"is cut short: {members:,} members are whole, up to byte {whole_bytes:,} of {length:,}"
        if not members:
            whole = f"is no tar, or cut short: no member is whole in its {length:,} bytes"
        super().__init__(
            f"{path} {whole}, and no end-of-archive mark follows; fetch the rest, or all of it again"
        )


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
            header = read_at(file.fileno(), _BLOCK, max(0, int(index.offsets[row]) - _BLOCK))
            if len(header) < _BLOCK or not _sums_up(header):
                return False
            stated = _name(header).removeprefix(b"./")[:99]  # a longer name stands elsewhere
            if stated not in index.names[row] or _number(header[124:136]) not in (index.sizes[row], 0):
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
    found = _Found(path, advance)
    walk = _walk(found, str(path), 0, sys.maxsize)
    with path.open("rb", buffering=0) as file, suppress(StopIteration):
        fd = file.fileno()
        found.length = os.fstat(fd).st_size
        size, position = next(walk)
        while True:
            size, position = walk.send(read_at(fd, size, position))
    found.pass_rest()
    return found.index()


def is_gzip(path: Path) -> bool:
    """Whether a file is gzip-compressed, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


class TarScanner:
    """Makes the same index from bytes that pass by in order: in a download, a checksum's pass, an unpacking.

    ``update`` takes them as hashlib's does and never raises; ``problem`` is what it has found wrong by then.
    Of the data it holds a header at most, of 64 KiB (chapter 2).
    """

    def __init__(self, path: PathLike) -> None:
        path = Path(path)
        self.problem: ValueError | None = None
        self._found = _Found(path)
        self._walk = _walk(self._found, str(path), 0, sys.maxsize)
        self._size, self._position = next(self._walk)  # what it waits for
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
            self._size, self._position = self._walk.send(data)
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
            self._index = self._found.index()
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


class _Found:
    """The members found so far, batch by batch; ``length`` is how much of the file there is."""

    def __init__(self, path: Path, advance: Callable[[int], object] | None = None) -> None:
        self.path, self.length = path, 0
        self._advance, self._passed = advance, 0
        self._names: list[Names] = []
        self._offsets: list[Integers] = []
        self._sizes: list[Integers] = []
        self._classes: list[int] = []
        self._numbers: dict[str, int] = {}  # a class has the number of its first appearance

    def add(self, wnid: str, names: Names, offsets: Integers, sizes: Integers) -> None:
        """Take a batch of members, of the inner tar ``wnid`` if that is not empty."""
        self._names.append(names)
        self._offsets.append(offsets)
        self._sizes.append(sizes)
        self._classes.append(self._numbers[wnid] if wnid else -1)
        before, self._passed = self._passed, int(offsets[-1] + sizes[-1])
        if self._advance is not None:
            self._advance(self._passed - before)

    def begin(self, wnid: str, what: str) -> None:
        """Take note of a class; ValueError for one that has been there."""
        if wnid in self._numbers:
            raise ValueError(f"{what} stands there twice: a class has one tar")
        self._numbers[wnid] = len(self._numbers)

    def pass_rest(self) -> None:
        """Report what lies behind the last member."""
        if self._advance is not None:
            self._advance(self.length - self._passed)

    def cut(self) -> TarTruncatedError:
        """What to say of an archive that ends too early; its last member may lack a part of its data."""
        ends = [offsets + sizes for offsets, sizes in zip(self._offsets, self._sizes, strict=True)]
        whole = [part[part <= self.length] for part in ends]
        last = max((int(part[-1]) for part in whole if len(part)), default=0)
        return TarTruncatedError(self.path, sum(map(len, whole)), last, self.length)

    def index(self) -> TarIndex:
        """The index of all of them; ValueError when there are none, or a name stands there twice."""
        if not self._names:
            raise ValueError(f"{self.path} holds no file at all")
        class_names = tuple(sorted(self._numbers))
        rank = np.full(len(class_names) + 1, -1, np.int32)  # the item past the end stays -1, for "no class"
        rank[[self._numbers[name] for name in class_names]] = np.arange(len(class_names))
        classes = np.repeat(rank[self._classes], [len(part) for part in self._names])
        names, offsets, sizes = _joined(self._names), _joined(self._offsets), _joined(self._sizes)
        _refuse_twice(names, self.path)
        _refuse_loose(names[classes < 0], class_names, self.path)
        return TarIndex(self.path, names, offsets, sizes, classes, class_names, self.length)


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


class _Level:
    """One tar while it is walked, up to offset ``end``: the headers of the present batch and where their data lie.

    ``what`` names it in errors; ``wnid`` is empty for the outer tar.
    """

    def __init__(self, found: _Found, what: str, end: int, wnid: str) -> None:
        self.found, self.what, self.end, self.wnid = found, what, end, wnid
        self.ahead: dict[bytes, bytes] = {}  # what an extended header says of the member that follows it
        self._headers: list[bytes] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._longer: dict[int, bytes] = {}  # names that stand outside the header, by row

    def add(self, header: bytes, position: int, size: int) -> None:
        """Take a member; ValueError if the tar ends before its data does."""
        if position + size > self.end:
            raise ValueError(f"{self.what} ends before its last member does: it is damaged")
        self._headers.append(header)
        self._offsets.append(position)
        self._sizes.append(size)
        if len(self._sizes) == _BATCH:
            self.flush()

    def add_named(self, header: bytes, position: int, size: int, name: bytes) -> None:
        """Take a member whose name does not stand in its header."""
        self._longer[len(self._sizes)] = name
        self.add(header, position, size)

    def flush(self) -> None:
        """Hand the batch over. ValueError for a wrong checksum or an unsafe name."""
        if not self._sizes:
            return
        block = np.frombuffer(b"".join(self._headers), np.uint8).reshape(-1, _BLOCK)
        sums = block.sum(1, dtype=np.uint32) - block[:, 148:156].sum(1, dtype=np.uint32) + 8 * ord(" ")
        wrong = np.flatnonzero(sums != [_number(header[148:156]) for header in self._headers])
        if len(wrong):
            raise _damaged(self.what, self._offsets[wrong[0]])
        offsets, sizes = np.array(self._offsets, np.int64), np.array(self._sizes, np.int64)
        names = None if self._longer else _plain_names(block)
        if names is None:
            stated = [self._longer.get(row) or _name(header) for row, header in enumerate(self._headers)]
            files = [
                row for row, name in enumerate(stated) if not name.endswith(b"/")
            ]  # else a folder, of old
            names = np.array([_safe(stated[row], self.what) for row in files], np.bytes_)
            offsets, sizes = offsets[files], sizes[files]
        if len(names):
            names = _prefixed(f"{self.wnid}/".encode(), names) if self.wnid else names
            self.found.add(self.wnid, names, offsets, sizes)
        for of_batch in (self._headers, self._offsets, self._sizes, self._longer):
            of_batch.clear()

    def cut(self) -> TarTruncatedError:
        """What to say where the file ends too early."""
        self.flush()
        return self.found.cut()


def _walk(found: _Found, what: str, start: int, end: int, wnid: str = "") -> Generator[_Request, bytes, None]:
    """Step from header to header between two offsets, asking for bytes; the members go to ``found``.

    A generator, so that one parser serves ``index_tar``, which can read anywhere, and ``TarScanner``, to which the
    bytes come by themselves: each request lies behind the one before. An inner tar is walked where it lies.
    """
    level, position, last = _Level(found, what, end, wnid), start, end - _BLOCK
    try:
        while True:
            there = _BLOCK if position <= last else max(0, end - position)
            if (header := (yield there, position)) == _ZEROS:
                break
            if position == 0 and header[:2] == _GZIP:
                raise ValueError(
                    f"{what} is gzip-compressed: imnet index unpacks and indexes it; then give the .tar"
                )
            if len(header) < there:
                raise level.cut()
            if there < _BLOCK:
                raise ValueError(f"{what} ends without an end-of-archive mark: it is damaged")
            position += _BLOCK
            size = _number(header[124:136])
            if size < 0:
                raise _damaged(what, position)
            if header[156] in _REGULAR and not level.ahead and (wnid or header.find(b".tar", 0, 100) < 0):
                level.add(
                    header, position, size
                )  # nearly all of them; its checksum is looked at with its batch
            else:
                size = yield from _special(level, header, position, size)
            position += size + -size % _BLOCK
    except ValueError:
        level.flush()  # where a damaged header led the walk astray, that header is what gets reported
        raise
    level.flush()
    yield from _only_padding(what, position, end)


def _special(level: _Level, header: bytes, position: int, size: int) -> Generator[_Request, bytes, int]:
    """Deal with a member that is no plain file with a plain name; gives the size of what lies at ``position``."""
    if not _sums_up(header):
        raise _damaged(level.what, position)
    kind, name = chr(header[156]), level.ahead.get(b"path") or _name(header)
    if header[156] in _EXTENDED:
        if size > _LONGEST:
            raise ValueError(
                f"{level.what} has an extended header of {size:,} bytes: {_LONGEST:,} are accepted"
            )
        data = yield size, position
        if len(data) < size:
            raise level.cut()
        level.ahead |= _extended(kind, data, level.what)
        return size
    ahead, level.ahead = level.ahead, {}
    if header[156] == _FOLDER:
        return 0
    if any(key.startswith(b"GNU.sparse") for key in ahead):
        kind = "S"
    if header[156] not in _REGULAR or kind == "S":
        described = _REFUSED.get(kind, f"member of type {kind!r}")
        shown = name.decode("utf-8", "replace")
        raise ValueError(f"{level.what} holds {shown}, a {described}: only regular files are accepted")
    size = int(ahead.get(b"size", size))
    if size > _LARGEST:
        raise _damaged(level.what, position)
    if level.wnid or not name.endswith(b".tar"):
        level.add_named(header, position, size, name)
    else:
        level.flush()
        text = _safe(name, level.what).decode()
        wnid, inner = text.rpartition("/")[2].removesuffix(".tar"), f"{level.what}, in {text},"
        if wnid in ("", ".", ".."):
            raise ValueError(f"{level.what} holds a class tar called {text!r}: that names no class")
        level.found.begin(wnid, f"{level.what} holds {text}, which")
        yield from _walk(level.found, inner, position, position + size, wnid)
    return size


def _only_padding(what: str, position: int, end: int) -> Generator[_Request, bytes, None]:
    """Nothing else may follow the end mark: a hole in the middle of an archive would pass for its end."""
    at = position + _BLOCK
    while block := (yield min(_LONGEST, end - at), at):
        if block.count(0) != len(block):
            raise ValueError(f"{what} goes on after an empty header at byte {position:,}: it is damaged")
        at += len(block)


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's base 256 for sizes of 8 GiB and more; negative if neither."""
    text = field.rstrip(b"\0 ")
    try:
        if text.isdigit():
            return int(text, 8)
    except ValueError:
        return -1
    if field[:1] == b"\x80":
        number = int.from_bytes(field[1:], "big")
        return number if number <= _LARGEST else -1
    text = field.partition(b"\0")[0].strip(b" ")
    return int(text or b"0", 8) if set(text) <= set(b"01234567") else -1


def _name(header: bytes) -> bytes:
    """The name in a header, with the prefix that ustar has for long ones."""
    name = header[:100].rstrip(b"\0")
    if header[345] and header[257:263] == b"ustar\0":
        return header[345:500].rstrip(b"\0") + b"/" + name
    return name


def _safe(name: bytes, what: str) -> bytes:
    """``name`` without ``./`` before it; ValueError if it is none that could be a file below a folder."""
    name = name.removeprefix(b"./")
    text = name.decode("utf-8", "replace")
    unsafe = text.encode() != name or "\0" in text or not {"", ".", ".."}.isdisjoint(text.split("/"))
    if unsafe or len(name) > _LONGEST_NAME:
        shown = text if len(text) < 200 else f"{text[:200]}…"
        raise ValueError(f"{what} holds a member called {shown!r}: that is no safe file name")
    return name


def _plain_names(block: npt.NDArray[np.uint8]) -> Names | None:
    """The names in the headers (n, 512) of a batch; None where one of them needs a closer look."""
    width = int(np.flatnonzero(block[:, :100].any(0)).max(initial=0)) + 1
    field = np.ascontiguousarray(block[:, :width])
    stop, end = (field == ord("/")) | (field == ord(".")), field == 0
    odd = (block[:, 345] != 0) | (field >= 128).any(1)
    odd |= end[:, 0] | stop[:, 0] | stop[:, -1]
    odd |= (stop[:, :-1] & (stop | end)[:, 1:]).any(1)  # "..", "//", "/." and a stop at the end
    odd |= (end[:, :-1] & ~end[:, 1:]).any(1)
    return None if odd.any() else field.view(f"S{width}").ravel()


def _prefixed(prefix: bytes, names: Names) -> Names:
    """Each name with ``prefix`` before it; five times as fast as np.char.add."""
    start, width = len(prefix), len(prefix) + names.itemsize
    joined = np.empty((len(names), width), np.uint8)
    joined[:, :start] = np.frombuffer(prefix, np.uint8)
    joined[:, start:] = names.view(np.uint8).reshape(len(names), -1)
    return joined.view(f"S{width}").ravel()


def _sums_up(header: bytes) -> bool:
    """Whether the checksum is right: the sum of the header's bytes, its own field counted as spaces."""
    return sum(header) - sum(header[148:156]) + 8 * ord(" ") == _number(header[148:156])


def _damaged(what: str, position: int) -> ValueError:
    at = position - _BLOCK
    return ValueError(f"{what} has no valid tar header at byte {at:,}: it is damaged, or not a tar")


def _extended(kind: str, data: bytes, what: str) -> dict[bytes, bytes]:
    """What a GNU long name (L) or a pax header (x, g) says of the next member; K: nothing."""
    if kind == "L":
        return {b"path": data.rstrip(b"\0")}
    if kind == "K":
        return {}
    records, at = dict[bytes, bytes](), 0
    while at < len(data):  # each record: its own length, a space, key=value, a newline
        digits = data[at : at + 20].partition(b" ")[0]
        end = at + int(digits) if digits.isdigit() else at
        key, found, value = data[at + len(digits) + 1 : end].partition(b"=")
        good = found and end <= len(data) and value.endswith(b"\n")
        if not good or (key == b"size" and not (value[:-1].isdigit() and len(value) <= 20)):
            raise ValueError(f"{what} has a broken pax header: {data[at : at + 40]!r}")
        records[key], at = value[:-1], end
    if kind == "g" and records.keys() & {b"path", b"size"}:
        raise ValueError(f"{what} has a global pax header that renames members: that is not accepted")
    return records if kind == "x" else {}


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
