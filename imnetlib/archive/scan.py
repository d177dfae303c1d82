"""An archive indexed while its bytes pass by, in a download, say, or an unpacking (chapter 2)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from imnetlib.archive.formats import GZIP, packing_of
from imnetlib.archive.index import TarIndex, index_of
from imnetlib.archive.members import Members
from imnetlib.arguments import PathLike
from imnetlib.files import require_space, write_atomically

# Bytes read at a time.
_READ_SIZE = 1 << 20


class TarScanner:
    """Makes the index that ``index_tar`` makes, from bytes that pass by in order (chapter 2).

    ``update`` takes them as hashlib's does and never raises; ``problem`` is what has been wrong so
    far. Of the data it holds one header at most, of 64 KiB.
    """

    def __init__(self, path: PathLike) -> None:
        self.problem: ValueError | None = None
        self._members = Members(Path(path))
        self._requests = self._members.walk()
        self._size, self._position = next(self._requests)
        # The first part of the bytes requested.
        self._held = b""
        self._ended = False
        self._index: TarIndex | None = None

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        start = self._members.length
        self._members.length += len(block)
        while not self._ended:
            begin = self._position + len(self._held) - start
            self._held += block[begin : self._position + self._size - start]
            if len(self._held) < self._size:
                return
            self._answer()

    def _answer(self) -> None:
        """Send the walk what it asked for; at the end of the file, what there is of it."""
        data = self._held
        self._held = b""
        try:
            self._size, self._position = self._requests.send(data)
        except StopIteration:
            self._ended = True
        except ValueError as problem:
            self._ended = True
            self.problem = problem

    def index(self) -> TarIndex:
        """The index, once all bytes have passed; raises what ``index_tar`` would."""
        while not self._ended:
            self._answer()
        if self.problem is not None:
            raise self.problem
        if self._index is None:
            self._index = index_of(self._members)
        return self._index


def gunzip_tar(
    packed: PathLike, tar: PathLike, advance: Callable[[int], object] | None = None
) -> TarIndex:
    """Unpack ``packed``, a .tar.gz, to ``tar`` and index it, in one pass (chapter 2).

    ``advance`` gets the bytes of ``packed`` read since its last call. Images are compressed
    already, so ``tar`` gets about as large as ``packed``. It appears whole or not at all; a call
    that was stopped starts over. ValueError for a cut or damaged gzip file, and as ``index_tar``;
    OSError for a disk too small.
    """
    packed = Path(packed)
    tar = Path(tar)
    require_space(tar.parent, packed.stat().st_size)
    scanner = TarScanner(packed)
    passed = 0
    with packed.open("rb") as raw, gzip.open(raw) as unpacked, write_atomically(tar) as out:
        try:
            while (block := unpacked.read(_READ_SIZE)) and scanner.problem is None:
                if passed == 0 and packing_of(block) is GZIP:
                    raise ValueError(f"{packed} is gzip-compressed twice: gunzip it once first")
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
