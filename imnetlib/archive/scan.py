"""An archive indexed while its bytes pass by: in a download, a checksum, an unpacking (chapter 2)."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from imnetlib.archive.headers import GZIP, FoundMembers, walk
from imnetlib.archive.index import TarIndex, index_of
from imnetlib.arguments import PathLike
from imnetlib.files import require_space, write_atomically

# bytes read at a time where all of them are read
_READ_SIZE = 1 << 20


def is_gzip(path: Path) -> bool:
    """Whether a file is gzip-compressed, whatever it is called."""
    with path.open("rb") as file:
        return file.read(2) == GZIP


class TarScanner:
    """Makes the same index from bytes that pass by in order: in a download, a checksum's pass, an
    unpacking.

    ``update`` takes them as hashlib's does and never raises; ``problem`` is what it has found wrong
    by then. Of the data it holds a header at most, of 64 KiB (chapter 2).
    """

    def __init__(self, path: PathLike) -> None:
        path = Path(path)
        self.problem: ValueError | None = None
        self._found = FoundMembers(path)
        self.walk = walk(self._found, str(path), 0, sys.maxsize)
        # what it waits for
        self._size, self._position = next(self.walk)
        # the first part of that, out of earlier blocks
        self._held = b""
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
        data = self._held
        self._held = b""
        try:
            self._size, self._position = self.walk.send(data)
        except StopIteration:
            self._ended = True
        except ValueError as problem:
            self._ended = True
            self.problem = problem

    def index(self) -> TarIndex:
        """The index, once all bytes have passed. Raises what ``index_tar`` would."""
        while not self._ended:
            # with fewer bytes than it waits for: here the file ends
            self._send()
        if self.problem is not None:
            raise self.problem
        if self._index is None:
            self._index = index_of(self._found)
        return self._index


def gunzip_tar(packed: Path, tar: Path, advance: Callable[[int], object] | None = None) -> TarIndex:
    """Unpack ``packed``, a .tar.gz, to ``tar`` and index it, in one pass (chapter 2).

    ``advance`` gets the bytes of ``packed`` read since its last call. The images in it are
    compressed already, so ``tar`` is as large as ``packed``; it appears whole or not at all, and a
    call that was stopped starts over. ValueError for a cut or damaged gzip file, and as
    ``index_tar``; OSError for a disk too small.
    """
    require_space(tar.parent, packed.stat().st_size)
    scanner = TarScanner(packed)
    passed = 0
    with packed.open("rb") as raw, gzip.open(raw) as unpacked, write_atomically(tar) as out:
        try:
            while (block := unpacked.read(_READ_SIZE)) and scanner.problem is None:
                out.write(block)
                scanner.update(block)
                if advance is not None:
                    advance(raw.tell() - passed)
                passed = raw.tell()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(
                f"{packed} is cut short or damaged ({error}): download it again"
            ) from error
        return replace(scanner.index(), path=tar)
