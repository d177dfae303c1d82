"""The members of a tar, or of a tar of tars, found by walking its headers (chapter 2).

One parser for two ways of reading: ``TarWalk.walk`` is a generator that asks for bytes and is sent
them, by ``index_tar``, which can read anywhere, or by ``TarScanner``, to which they come in order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imnetlib.archive import formats, headers
from imnetlib.archive.headers import SIZE_FIELD, TAR_BLOCK, TYPE_OFFSET, TarTruncatedError
from imnetlib.arguments import Integers, Names

# Asks for a number of bytes from an offset on; fewer are sent only at the end of the file.
Requests = Generator[tuple[int, int], bytes, None]

# Headers checked together: 2 MiB, few enough to stay in the cache.
_HEADERS_PER_BATCH = 4096
# An extended header holds a name or a size, some hundred bytes.
_LONGEST_EXTENDED = 1 << 16
_ZEROS = bytes(TAR_BLOCK)
# The types of regular files: ustar's, the old one, and contiguous.
_REGULAR = (ord("0"), 0, ord("7"))
_UNPACK_CLASS_TARS = (
    "class tars must not be packed themselves; unpack the archive and each of them, then tar the "
    "class folders"
)
_REFUSED = {
    "1": "hard link",
    "2": "symbolic link",
    "3": "device",
    "4": "device",
    "S": "sparse file",
}


@dataclass(slots=True)
class Members:
    """The members of an archive, in batches of arrays, as its headers are walked.

    ``length``: the bytes of the file where any can be read, else those that have passed by.
    ``left_out``: the by-products of other programs, such as ``._NAME``, which are no members.
    """

    path: Path
    advance: Callable[[int], object] | None = None
    length: int = 0
    left_out: int = 0
    names: list[Names] = field(default_factory=list)
    offsets: list[Integers] = field(default_factory=list)
    sizes: list[Integers] = field(default_factory=list)
    # The class of each batch, empty for members outside of a class tar.
    wnids: list[str] = field(default_factory=list)
    class_names: set[str] = field(default_factory=set)
    _reported: int = 0

    def walk(self) -> Requests:
        """Find all members of the archive."""
        return TarWalk(self, str(self.path), sys.maxsize, "").walk(0)

    def add(self, wnid: str, names: Names, offsets: Integers, sizes: Integers) -> None:
        """Add a batch of members of one tar."""
        self.names.append(names)
        self.offsets.append(offsets)
        self.sizes.append(sizes)
        self.wnids.append(wnid)
        self.report(int(offsets[-1] + sizes[-1]))

    def report(self, position: int) -> None:
        """Report the bytes before ``position`` that have not been reported yet as progress."""
        if self.advance is not None:
            self.advance(position - self._reported)
        self._reported = position

    def truncation_error(self) -> TarTruncatedError:
        """The error for an archive that ends too early, even inside the data of its last member."""
        ends = [offsets + sizes for offsets, sizes in zip(self.offsets, self.sizes, strict=True)]
        end = np.concatenate([np.zeros(1, np.int64), *ends])
        whole = end[end <= self.length]
        return TarTruncatedError(self.path, len(whole) - 1, int(whole[-1]), self.length)


@dataclass(slots=True)
class TarWalk:
    """The walk over one tar, the outer or an inner one, that ends at offset ``end``.

    ``tar`` names it in errors; ``wnid`` is the class of an inner tar, empty for the outer one.
    """

    members: Members
    tar: str
    end: int
    wnid: str
    # What extended headers state of the member that follows them.
    _extended: dict[bytes, bytes] = field(default_factory=dict)
    # The present batch, and the names that do not stand in its headers, by row.
    _headers: list[bytes] = field(default_factory=list)
    _offsets: list[int] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    _other_names: dict[int, bytes] = field(default_factory=dict)

    def walk(self, position: int) -> Requests:
        """Step from header to header, asking for bytes, each time further on than before."""
        wnid = self.wnid
        start = position
        last = self.end - TAR_BLOCK
        try:
            while True:
                wanted = TAR_BLOCK if position <= last else max(0, self.end - position)
                header = yield wanted, position
                if header == _ZEROS:
                    break
                if position == start or len(header) < TAR_BLOCK:
                    self._require_header(header, wanted, position == start)
                position += TAR_BLOCK
                size = headers.parse_number(header[SIZE_FIELD])
                if size < 0:
                    raise self._invalid_header(position)
                # Nearly all members; their checksums are verified with their batch.
                if (
                    header[TYPE_OFFSET] in _REGULAR
                    and not self._extended
                    and (wnid or header.find(b".tar", 0, 100) < 0)
                ):
                    self._add(header, position, size)
                else:
                    size = yield from self._walk_special(header, position, size)
                position += size + -size % TAR_BLOCK
        except ValueError:
            # Where a damaged header led the walk astray, that header is the one to report.
            self._flush()
            raise
        self._flush()
        if self._extended:
            raise ValueError(f"{self.tar} ends with an extended header of no member: it is damaged")
        yield from self._walk_padding(position)

    def _require_header(self, header: bytes, wanted: int, is_first: bool) -> None:
        if is_first and not self.wnid:
            formats.refuse_packed(header, self.tar)
        elif is_first and (packing := formats.packing_of(header)):
            raise ValueError(f"{self.tar} is {packing.described}: {_UNPACK_CLASS_TARS}")
        if len(header) < wanted:
            raise self._truncation_error()
        if wanted < TAR_BLOCK:
            raise ValueError(f"{self.tar} ends without an end-of-archive mark: it is damaged")

    def _walk_special(
        self, header: bytes, position: int, size: int
    ) -> Generator[tuple[int, int], bytes, int]:
        """Take a header that ``walk`` leaves; returns the size of the data at ``position``."""
        if not headers.has_valid_checksum(header):
            raise self._invalid_header(position)
        kind = chr(header[TYPE_OFFSET])
        if kind in "xXgLK":
            yield from self._read_extended(kind, position, size)
            return size
        extended = self._extended
        self._extended = {}
        # a folder
        if kind == "5":
            return 0
        name = extended.get(b"path") or headers.ustar_name(header)
        if any(key.startswith(b"GNU.sparse") for key in extended):
            kind = "S"
        if header[TYPE_OFFSET] not in _REGULAR or kind == "S":
            described = _REFUSED.get(kind, f"member of type {kind!r}")
            raise ValueError(
                f"{self.tar} holds {name.decode('utf-8', 'replace')}, a {described}: "
                "only regular files are accepted"
            )
        size = int(extended.get(b"size", size))
        if size > headers.LARGEST_SIZE:
            raise self._invalid_header(position)
        if self.wnid or not name.endswith(b".tar") or headers.is_byproduct(name):
            self._other_names[len(self._sizes)] = name
            self._add(header, position, size)
        else:
            yield from self._walk_inner(name, position, size)
        return size

    def _read_extended(self, kind: str, position: int, size: int) -> Requests:
        if size > _LONGEST_EXTENDED:
            raise ValueError(
                f"{self.tar} has an extended header of {size:,} bytes: "
                f"{_LONGEST_EXTENDED:,} are accepted"
            )
        data = yield size, position
        if len(data) < size:
            raise self._truncation_error()
        self._extended |= headers.parse_extended(kind, data, self.tar)

    def _walk_inner(self, name: bytes, position: int, size: int) -> Requests:
        """Walk the tar of a class where it lies."""
        self._flush()
        path = headers.safe_name(name, self.tar).decode()
        wnid = path.rpartition("/")[2].removesuffix(".tar")
        if wnid in ("", ".", ".."):
            raise ValueError(f"{self.tar} holds a class tar called {path!r}: that names no class")
        if wnid in self.members.class_names:
            raise ValueError(f"{self.tar} holds {path}, a second tar of its class")
        self.members.class_names.add(wnid)
        inner = f"{self.tar}, in {path},"
        yield from TarWalk(self.members, inner, position + size, wnid).walk(position)

    def _walk_padding(self, position: int) -> Requests:
        """Only zeros may follow the end mark: a hole in an archive would pass for its end."""
        following = position + TAR_BLOCK
        while block := (yield min(_LONGEST_EXTENDED, self.end - following), following):
            if block.count(0) != len(block):
                raise ValueError(
                    f"{self.tar} goes on after an empty header at byte {position:,}: it is damaged"
                )
            following += len(block)

    def _add(self, header: bytes, position: int, size: int) -> None:
        if position + size > self.end:
            raise ValueError(f"{self.tar} ends before its last member does: it is damaged")
        self._headers.append(header)
        self._offsets.append(position)
        self._sizes.append(size)
        if len(self._sizes) == _HEADERS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        """Move the batch to ``members``; ValueError for a wrong checksum or an unsafe name."""
        if not self._sizes:
            return
        block = np.frombuffer(b"".join(self._headers), np.uint8).reshape(-1, TAR_BLOCK)
        invalid = headers.invalid_checksums(self._headers, block)
        if len(invalid):
            raise self._invalid_header(self._offsets[invalid[0]])
        offsets = np.array(self._offsets, np.int64)
        sizes = np.array(self._sizes, np.int64)
        names = None if self._other_names else headers.plain_names(block)
        if names is None:
            rows, stated = self._looked_at()
            names = np.array(stated, np.bytes_)
            offsets = offsets[rows]
            sizes = sizes[rows]
        if len(names):
            if self.wnid:
                names = headers.with_prefix(f"{self.wnid}/".encode(), names)
            self.members.add(self.wnid, names, offsets, sizes)
        for column in (self._headers, self._offsets, self._sizes, self._other_names):
            column.clear()

    def _looked_at(self) -> tuple[list[int], list[bytes]]:
        """The rows of the batch that are members, and their names, each looked at by itself."""
        rows = []
        names = []
        for row, header in enumerate(self._headers):
            stated = self._other_names.get(row) or headers.ustar_name(header)
            # The first tars marked a folder by a slash at the end of its name.
            if stated.endswith(b"/") and not self._sizes[row]:
                continue
            name = headers.safe_name(stated, self.tar)
            if headers.is_byproduct(name):
                self.members.left_out += 1
                continue
            if not self.wnid and headers.is_packed_tar(name):
                raise ValueError(f"{self.tar} holds {name.decode()}: {_UNPACK_CLASS_TARS}")
            rows.append(row)
            names.append(name)
        return rows, names

    def _truncation_error(self) -> TarTruncatedError:
        self._flush()
        return self.members.truncation_error()

    def _invalid_header(self, position: int) -> ValueError:
        header = position - TAR_BLOCK
        return ValueError(
            f"{self.tar} has no valid tar header at byte {header:,}: it is damaged, or not a tar"
        )
