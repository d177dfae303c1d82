"""The RecordIO format on disk: how a record is framed, read and scanned (chapter 4).

A ``.rec`` file is a row of records, each beginning at a multiple of 4. A record is one or more
*parts*::

    u32 magic 0xced7230a | u32 cflag << 29 | length | length bytes of data | zero bytes up to 4 × n

all little-endian. Most records are one part (cflag 0). Where the payload holds the magic at a
multiple of 4, the writer takes it out and splits there (cflag 1 first part, 2 middle, 3 last); the
reader puts it back. So in a sound file the magic stands at a multiple of 4 only where a part
begins, and a reader can find its way back after damage (:mod:`imnetlib.recordio.integrity`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from imnetlib.arguments import Integers, PathLike
from imnetlib.files import read_all_at

MAGIC = 0xCED7230A
MAGIC_BYTES = MAGIC.to_bytes(4, "little")
LENGTH_BITS = 29
# The most bytes a record may hold: MXNet too refuses 2**29.
MAX_LENGTH = (1 << LENGTH_BITS) - 1
# The values of cflag.
WHOLE, FIRST, MIDDLE, LAST = range(4)
# A part's header: magic, cflag << 29 | length.
PART = struct.Struct("<II")

# Bytes per read of a sequential pass: they fit a core's second-level cache.
READ_SIZE = 1 << 20

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(eq=False)
class RecordError(ValueError):
    """The bytes at ``offset`` of ``path`` are not a sound record; ``what`` says why."""

    path: Path
    offset: int
    what: str

    def __str__(self) -> str:
        return (
            f"{self.path}: no sound record at byte {self.offset}: {self.what}. "
            "If the offset comes from an index, remove that, and imnet index writes a new one; "
            "if the file is damaged, imnet salvage saves the rest"
        )


def aligned_magics(data: Buffer) -> Integers:
    """The positions, multiples of 4, at which ``data`` holds the magic."""
    words = np.frombuffer(data, "<u4", len(data) // 4)
    return np.flatnonzero(words == MAGIC).astype(np.int64) * 4


def _part_header(cflag: int, length: int) -> bytes:
    return PART.pack(MAGIC, cflag << LENGTH_BITS | length)


def frame(payload: Buffer) -> bytes:
    """A record as the file stores it: header, payload, padding, split at each magic (chapter 4).

    Raises ValueError for a payload of 2**29 bytes or more, which the format cannot hold.
    """
    data = memoryview(payload).cast("B")
    if len(data) > MAX_LENGTH:
        raise ValueError(
            f"a record holds at most {MAX_LENGTH:,} bytes (2**29 - 1), "
            f"this payload has {len(data):,}: store it in several records"
        )
    pieces: list[Buffer] = []
    start = 0
    for stop in aligned_magics(data).tolist():
        pieces += (_part_header(MIDDLE if start else FIRST, stop - start), data[start:stop])
        start = stop + len(MAGIC_BYTES)
    header = _part_header(LAST if start else WHOLE, len(data) - start)
    pieces += (header, data[start:], bytes(-len(data) % 4))
    return b"".join(pieces)


def frame_pieces(*parts: bytes) -> list[Buffer]:
    """The pieces whose join is ``frame(b"".join(parts))``, without copying the parts.

    All ``parts`` but the last must have a length that is a multiple of 4. Only the rare payload
    that holds the magic is copied.
    """
    length = sum(map(len, parts))
    if length > MAX_LENGTH or any(len(aligned_magics(part)) for part in parts):
        return [frame(b"".join(parts))]
    return [_part_header(WHOLE, length), *parts, bytes(-length % 4)]


class RecordReader:
    """Random and sequential reading of a ``.rec`` file; safe to share between threads (chapter 4).

    No file position is shared, so forked workers and threads may read at once; a pickled reader
    opens its path again. Do not close it while another thread reads. Raises OSError when the file
    cannot be opened or read, and :class:`RecordError`, with file and offset, wherever it meets
    damage.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._file = self.path.open("rb", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size

    def read_at(self, offset: int) -> bytes:
        """The payload of the record at byte ``offset``: two small system calls, one copy."""
        return self.record_at(offset)[0]

    def record_at(self, offset: int) -> tuple[bytes, int]:
        """The payload of the record at byte ``offset``, and the offset of the next record."""
        spans = list(self.parts_at(offset))
        parts = [self.pread(stop - start, start) for start, stop, _ in spans]
        payload = parts[0] if len(parts) == 1 else MAGIC_BYTES.join(parts)
        if len(payload) < sum(stop - start for start, stop, _ in spans):
            raise RecordError(self.path, offset, "the file was cut short while it was read")
        return payload, spans[-1][2]

    def read_within(self, span: memoryview, offset: int) -> memoryview:
        """The payload of the record at byte ``offset``, as a view of ``span``, which begins there.

        A record of several parts, or one that is not whole or not sound in ``span``, is read from
        the file.
        """
        if len(span) >= PART.size:
            # With a cflag other than 0 this "length" exceeds any span.
            magic, length = PART.unpack_from(span)
            if magic == MAGIC and PART.size + length <= len(span):
                return span[PART.size : PART.size + length]
        return memoryview(self.read_at(offset))

    def parts_at(self, offset: int) -> Iterator[tuple[int, int, int]]:
        """Where each part's data starts and stops, and where the part after it begins.

        ``offset``: where the record begins. Reads headers only. Every part lies inside the file,
        padding included.
        """
        at = int(offset)
        expected = (WHOLE, FIRST)
        more = True
        while more:
            header = self.pread(PART.size, at) if at >= 0 else b""
            if len(header) < PART.size:
                raise RecordError(self.path, offset, f"the file has only {self._size} bytes")
            magic, word = PART.unpack(header)
            cflag = word >> LENGTH_BITS
            length = word & MAX_LENGTH
            if magic != MAGIC or cflag not in expected:
                what = (
                    f"found 0x{magic:08x} with cflag {cflag} at byte {at}, "
                    f"not 0x{MAGIC:08x} with {expected[0]} or {expected[1]}"
                )
                raise RecordError(self.path, offset, what)
            start = at + PART.size
            stop = start + length
            at = stop + -length % 4
            if at > self._size:
                # The file may have grown since it was opened.
                self._size = os.fstat(self._file.fileno()).st_size
                if at > self._size:
                    what = f"it goes on to byte {at}, the file ends at {self._size}"
                    raise RecordError(self.path, offset, what)
            more = cflag in (FIRST, MIDDLE)
            if more and length % 4:
                what = f"a part before the last has {length} bytes, not 4 × n"
                raise RecordError(self.path, offset, what)
            yield start, stop, at
            expected = (MIDDLE, LAST)

    def layout(self) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
        """Where each record begins, and its parts as in :meth:`parts_at`; reads headers only."""
        at = 0
        size = self.path.stat().st_size
        while at < size:
            parts = list(self.parts_at(at))
            yield at, parts
            at = parts[-1][2]

    def blocks(self, start: int = 0) -> Iterator[tuple[list[int], list[memoryview]]]:
        """Offsets and payloads of about 1 MB of records at a time, from the one at ``start`` on.

        The payloads are views of one buffer, which lives while any of them does: copy what you
        keep.
        """
        at = start
        while block := self.pread(READ_SIZE, at):
            offsets, payloads, used = whole_parts(block, at)
            if used:
                yield offsets, payloads
                at += used
            else:
                # The record has several parts, is longer than a block, or is damaged.
                payload, following = self.record_at(at)
                yield [at], [memoryview(payload)]
                at = following

    def records(self, start: int = 0) -> Iterator[tuple[int, memoryview]]:
        """(offset, payload) of each record from ``start`` on, in file order; see :meth:`blocks`."""
        for offsets, payloads in self.blocks(start):
            yield from zip(offsets, payloads, strict=True)

    def __iter__(self) -> Iterator[tuple[int, memoryview]]:
        return self.records()

    def pread(self, size: int, offset: int) -> bytes:
        """``size`` bytes from byte ``offset``, fewer only where the file ends."""
        try:
            return read_all_at(self._file.fileno(), size, offset)
        except OSError as error:
            # The system's own error does not name an open file.
            what = f"byte {offset:,} cannot be read ({error.strerror})"
            raise OSError(error.errno, what, str(self.path)) from error

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    def __enter__(self) -> RecordReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[RecordReader], tuple[Path]]:
        return RecordReader, (self.path,)


def whole_parts(block: bytes, begin: int) -> tuple[list[int], list[memoryview], int]:
    """The one-part records at the start of ``block``: offsets, payloads, bytes they take up."""
    # Local names, and 8 for PART.size: every record of a sequential pass comes through this loop.
    view = memoryview(block)
    size = len(block)
    unpack_part = PART.unpack_from
    expected = MAGIC
    offsets: list[int] = []
    payloads: list[memoryview] = []
    at = 0
    while at + 8 <= size:
        # With a cflag other than 0 this "length" exceeds any block.
        magic, length = unpack_part(block, at)
        data = at + 8
        following = data + length + 3 & -4
        if magic != expected or following > size:
            break
        offsets.append(begin + at)
        payloads.append(view[data : data + length])
        at = following
    return offsets, payloads, at


def scan(path: PathLike) -> Integers:
    """The offsets of all records of a ``.rec`` file, int64 (n,), from their headers (chapter 4).

    Reads 8 bytes a part: about 2 µs a record. Raises RecordError at the first damage.
    """
    with RecordReader(path) as reader:
        return np.fromiter((at for at, _ in reader.layout()), np.int64)
