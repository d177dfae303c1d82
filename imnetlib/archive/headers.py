"""The headers of a tar, walked from one to the next: what they say, and what is refused (chapter
2).

One parser for two ways of reading: ``walk`` is a generator that asks for bytes and is sent them, by
``index_tar``, which can read anywhere, or by ``TarScanner``, to which the bytes come by themselves.
Headers: ustar, pax (POSIX.1-2001) and GNU, as in tar(5).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Names = npt.NDArray[np.bytes_]
Integers = npt.NDArray[np.int64]
# so many bytes, from this offset on; fewer come only at the file's end
Request = tuple[int, int]

TAR_BLOCK = 512
_ZEROS = bytes(512)
GZIP = b"\x1f\x8b"
# headers checked together: 2 MiB, few enough to stay in the cache
_HEADERS_A_BATCH = 4096
# of an extended header: names and sizes take some hundred bytes
_LONGEST_EXTENDED = 1 << 16
# in bytes: one long name makes the whole array of names as wide
_LONGEST_NAME = 1024
_LARGEST_SIZE = 1 << 60
_REGULAR = b"0\x007"
_EXTENDED = b"xgLK"
_FOLDER = ord("5")
_REFUSED = {
    "1": "hard link",
    "2": "symbolic link",
    "3": "device",
    "4": "device",
    "S": "sparse file",
}


class TarTruncatedError(ValueError):
    """The archive ends too early: ``members`` are whole, the last of them ends at byte
    ``whole_bytes``.
    """

    def __init__(self, path: Path, members: int, whole_bytes: int, length: int) -> None:
        self.members = members
        self.whole_bytes = whole_bytes
        whole = (
            f"is cut short: {members:,} members are whole, up to byte {whole_bytes:,} of {length:,}"
        )
        if not members:
            whole = f"is no tar, or cut short: no member is whole in its {length:,} bytes"
        super().__init__(
            f"{path} {whole}, and no end-of-archive mark follows; fetch the rest, or all of it again"
        )


class FoundMembers:
    """The members found so far, batch by batch; ``length`` is how much of the file there is."""

    def __init__(self, path: Path, advance: Callable[[int], object] | None = None) -> None:
        self.path = path
        self.length = 0
        self._advance = advance
        self._passed = 0
        self.names: list[Names] = []
        self.offsets: list[Integers] = []
        self.sizes: list[Integers] = []
        self.classes: list[int] = []
        # a class has the number of its first appearance
        self.numbers: dict[str, int] = {}

    def add(self, wnid: str, names: Names, offsets: Integers, sizes: Integers) -> None:
        """Take a batch of members, of the inner tar ``wnid`` if that is not empty."""
        self.names.append(names)
        self.offsets.append(offsets)
        self.sizes.append(sizes)
        self.classes.append(self.numbers[wnid] if wnid else -1)
        before = self._passed
        self._passed = int(offsets[-1] + sizes[-1])
        if self._advance is not None:
            self._advance(self._passed - before)

    def begin(self, wnid: str, what: str) -> None:
        """Take note of a class; ValueError for one that has been there."""
        if wnid in self.numbers:
            raise ValueError(f"{what} stands there twice: a class has one tar")
        self.numbers[wnid] = len(self.numbers)

    def pass_rest(self) -> None:
        """Report what lies behind the last member."""
        if self._advance is not None:
            self._advance(self.length - self._passed)

    def cut(self) -> TarTruncatedError:
        """What to say of an archive that ends too early; its last member may lack a part of its
        data.
        """
        ends = [offsets + sizes for offsets, sizes in zip(self.offsets, self.sizes, strict=True)]
        whole = [part[part <= self.length] for part in ends]
        last = max((int(part[-1]) for part in whole if len(part)), default=0)
        return TarTruncatedError(self.path, sum(map(len, whole)), last, self.length)


class _Level:
    """One tar while it is walked, up to offset ``end``: the headers of the present batch and where
    their data lie.

    ``what`` names it in errors; ``wnid`` is empty for the outer tar.
    """

    def __init__(self, found: FoundMembers, what: str, end: int, wnid: str) -> None:
        self.found = found
        self.what = what
        self.end = end
        self.wnid = wnid
        # what an extended header says of the member that follows it
        self.ahead: dict[bytes, bytes] = {}
        self._headers: list[bytes] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        # names that stand outside the header, by row
        self._longer: dict[int, bytes] = {}

    def add(self, header: bytes, position: int, size: int) -> None:
        """Take a member; ValueError if the tar ends before its data does."""
        if position + size > self.end:
            raise ValueError(f"{self.what} ends before its last member does: it is damaged")
        self._headers.append(header)
        self._offsets.append(position)
        self._sizes.append(size)
        if len(self._sizes) == _HEADERS_A_BATCH:
            self.flush()

    def add_named(self, header: bytes, position: int, size: int, name: bytes) -> None:
        """Take a member whose name does not stand in its header."""
        self._longer[len(self._sizes)] = name
        self.add(header, position, size)

    def flush(self) -> None:
        """Hand the batch over. ValueError for a wrong checksum or an unsafe name."""
        if not self._sizes:
            return
        block = np.frombuffer(b"".join(self._headers), np.uint8).reshape(-1, TAR_BLOCK)
        sums = (
            block.sum(1, dtype=np.uint32) - block[:, 148:156].sum(1, dtype=np.uint32) + 8 * ord(" ")
        )
        wrong = np.flatnonzero(sums != [number_of(header[148:156]) for header in self._headers])
        if len(wrong):
            raise _damaged(self.what, self._offsets[wrong[0]])
        offsets = np.array(self._offsets, np.int64)
        sizes = np.array(self._sizes, np.int64)
        names = None if self._longer else _plain_names(block)
        if names is None:
            stated = [
                self._longer.get(row) or stated_name(one) for row, one in enumerate(self._headers)
            ]
            # A name with a stroke at its end: so the first tars had their folders.
            files = [row for row, name in enumerate(stated) if not name.endswith(b"/")]
            names = np.array([_safe(stated[row], self.what) for row in files], np.bytes_)
            offsets = offsets[files]
            sizes = sizes[files]
        if len(names):
            names = _prefixed(f"{self.wnid}/".encode(), names) if self.wnid else names
            self.found.add(self.wnid, names, offsets, sizes)
        for of_batch in (self._headers, self._offsets, self._sizes, self._longer):
            of_batch.clear()

    def cut(self) -> TarTruncatedError:
        """What to say where the file ends too early."""
        self.flush()
        return self.found.cut()


def walk(
    found: FoundMembers, what: str, start: int, end: int, wnid: str = ""
) -> Generator[Request, bytes, None]:
    """Step from header to header between two offsets, asking for bytes; the members go to
    ``found``.

    A generator, so that one parser serves ``index_tar``, which can read anywhere, and
    ``TarScanner``, to which the bytes come by themselves: each request lies behind the one before.
    An inner tar is walked where it lies.
    """
    level = _Level(found, what, end, wnid)
    position = start
    last = end - TAR_BLOCK
    try:
        while True:
            there = TAR_BLOCK if position <= last else max(0, end - position)
            if (header := (yield there, position)) == _ZEROS:
                break
            if position == 0 and header[:2] == GZIP:
                raise ValueError(
                    f"{what} is gzip-compressed: imnet index unpacks and indexes it; then give the .tar"
                )
            if len(header) < there:
                raise level.cut()
            if there < TAR_BLOCK:
                raise ValueError(f"{what} ends without an end-of-archive mark: it is damaged")
            position += TAR_BLOCK
            size = number_of(header[124:136])
            if size < 0:
                raise _damaged(what, position)
            if (
                header[156] in _REGULAR
                and not level.ahead
                and (wnid or header.find(b".tar", 0, 100) < 0)
            ):
                level.add(
                    header,
                    position,
                    size,
                    # nearly all of them; its checksum is looked at with its batch
                )
            else:
                size = yield from _special(level, header, position, size)
            position += size + -size % TAR_BLOCK
    except ValueError:
        # where a damaged header led the walk astray, that header is what gets reported
        level.flush()
        raise
    level.flush()
    yield from _only_padding(what, position, end)


def _special(
    level: _Level, header: bytes, position: int, size: int
) -> Generator[Request, bytes, int]:
    """Deal with a member that is no plain file with a plain name; gives the size of what lies at
    ``position``.
    """
    if not checksum_agrees(header):
        raise _damaged(level.what, position)
    kind = chr(header[156])
    name = level.ahead.get(b"path") or stated_name(header)
    if header[156] in _EXTENDED:
        if size > _LONGEST_EXTENDED:
            raise ValueError(
                f"{level.what} has an extended header of {size:,} bytes: {_LONGEST_EXTENDED:,} are accepted"
            )
        data = yield size, position
        if len(data) < size:
            raise level.cut()
        level.ahead |= _extended(kind, data, level.what)
        return size
    ahead = level.ahead
    level.ahead = {}
    if header[156] == _FOLDER:
        return 0
    if any(key.startswith(b"GNU.sparse") for key in ahead):
        kind = "S"
    if header[156] not in _REGULAR or kind == "S":
        described = _REFUSED.get(kind, f"member of type {kind!r}")
        shown = name.decode("utf-8", "replace")
        raise ValueError(
            f"{level.what} holds {shown}, a {described}: only regular files are accepted"
        )
    size = int(ahead.get(b"size", size))
    if size > _LARGEST_SIZE:
        raise _damaged(level.what, position)
    if level.wnid or not name.endswith(b".tar"):
        level.add_named(header, position, size, name)
    else:
        level.flush()
        text = _safe(name, level.what).decode()
        wnid = text.rpartition("/")[2].removesuffix(".tar")
        inner = f"{level.what}, in {text},"
        if wnid in ("", ".", ".."):
            raise ValueError(f"{level.what} holds a class tar called {text!r}: that names no class")
        level.found.begin(wnid, f"{level.what} holds {text}, which")
        yield from walk(level.found, inner, position, position + size, wnid)
    return size


def _only_padding(what: str, position: int, end: int) -> Generator[Request, bytes, None]:
    """Nothing else may follow the end mark: a hole in the middle of an archive would pass for its
    end.
    """
    at = position + TAR_BLOCK
    while block := (yield min(_LONGEST_EXTENDED, end - at), at):
        if block.count(0) != len(block):
            raise ValueError(
                f"{what} goes on after an empty header at byte {position:,}: it is damaged"
            )
        at += len(block)


def number_of(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's base 256 for sizes of 8 GiB and more; negative
    if neither.
    """
    text = field.rstrip(b"\0 ")
    try:
        if text.isdigit():
            return int(text, 8)
    except ValueError:
        return -1
    if field[:1] == b"\x80":
        number = int.from_bytes(field[1:], "big")
        return number if number <= _LARGEST_SIZE else -1
    text = field.partition(b"\0")[0].strip(b" ")
    return int(text or b"0", 8) if set(text) <= set(b"01234567") else -1


def stated_name(header: bytes) -> bytes:
    """The name in a header, with the prefix that ustar has for long ones."""
    name = header[:100].rstrip(b"\0")
    if header[345] and header[257:263] == b"ustar\0":
        return header[345:500].rstrip(b"\0") + b"/" + name
    return name


def _safe(name: bytes, what: str) -> bytes:
    """``name`` without ``./`` before it; ValueError if it is none that could be a file below a
    folder.
    """
    name = name.removeprefix(b"./")
    text = name.decode("utf-8", "replace")
    unsafe = (
        text.encode() != name or "\0" in text or not {"", ".", ".."}.isdisjoint(text.split("/"))
    )
    if unsafe or len(name) > _LONGEST_NAME:
        shown = text if len(text) < 200 else f"{text[:200]}…"
        raise ValueError(f"{what} holds a member called {shown!r}: that is no safe file name")
    return name


def _plain_names(block: npt.NDArray[np.uint8]) -> Names | None:
    """The names in the headers (n, 512) of a batch; None where one of them needs a closer look."""
    width = int(np.flatnonzero(block[:, :100].any(0)).max(initial=0)) + 1
    field = np.ascontiguousarray(block[:, :width])
    stop = (field == ord("/")) | (field == ord("."))
    end = field == 0
    odd = (block[:, 345] != 0) | (field >= 128).any(1)
    odd |= end[:, 0] | stop[:, 0] | stop[:, -1]
    # "..", "//", "/." and a stop at the end
    odd |= (stop[:, :-1] & (stop | end)[:, 1:]).any(1)
    odd |= (end[:, :-1] & ~end[:, 1:]).any(1)
    return None if odd.any() else field.view(f"S{width}").ravel()


def _prefixed(prefix: bytes, names: Names) -> Names:
    """Each name with ``prefix`` before it; five times as fast as np.char.add."""
    start = len(prefix)
    width = len(prefix) + names.itemsize
    joined = np.empty((len(names), width), np.uint8)
    joined[:, :start] = np.frombuffer(prefix, np.uint8)
    joined[:, start:] = names.view(np.uint8).reshape(len(names), -1)
    return joined.view(f"S{width}").ravel()


def checksum_agrees(header: bytes) -> bool:
    """Whether the checksum is right: the sum of the header's bytes, its own field counted as
    spaces.
    """
    return sum(header) - sum(header[148:156]) + 8 * ord(" ") == number_of(header[148:156])


def _damaged(what: str, position: int) -> ValueError:
    at = position - TAR_BLOCK
    return ValueError(f"{what} has no valid tar header at byte {at:,}: it is damaged, or not a tar")


def _extended(kind: str, data: bytes, what: str) -> dict[bytes, bytes]:
    """What a GNU long name (L) or a pax header (x, g) says of the next member; K: nothing."""
    if kind == "L":
        return {b"path": data.rstrip(b"\0")}
    if kind == "K":
        return {}
    records = dict[bytes, bytes]()
    at = 0
    # each record: its own length, a space, key=value, a newline
    while at < len(data):
        digits = data[at : at + 20].partition(b" ")[0]
        end = at + int(digits) if digits.isdigit() else at
        key, found, value = data[at + len(digits) + 1 : end].partition(b"=")
        good = found and end <= len(data) and value.endswith(b"\n")
        if not good or (key == b"size" and not (value[:-1].isdigit() and len(value) <= 20)):
            raise ValueError(f"{what} has a broken pax header: {data[at : at + 40]!r}")
        records[key] = value[:-1]
        at = end
    if kind == "g" and records.keys() & {b"path", b"size"}:
        raise ValueError(
            f"{what} has a global pax header that renames members: that is not accepted"
        )
    return records if kind == "x" else {}
