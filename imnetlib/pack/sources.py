"""Where the images of a list lie: files in folders, or members of an archive that is never unpacked
(chapter 4).
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from imnetlib.archive import TarIndex, TarReader

Names = npt.NDArray[np.bytes_]
Integers = npt.NDArray[np.int64]
Read = Callable[[int], bytes]
OnError = Literal["report", "stop"]


@dataclass(frozen=True, slots=True)
class Files:
    """Where images lie: in files under ``base``, or in the archive of ``index``, a member each."""

    base: Path
    paths: Names
    index: TarIndex | None = None

    def part(self, start: int, stop: int) -> Files:
        """The images from ``start`` to ``stop``."""
        index = None if self.index is None else self.index.select(np.s_[start:stop])
        return Files(self.base, self.paths[start:stop], index)

    def sizes_crc32(self, rows: Integers) -> int | None:
        """A checksum of these images' sizes in bytes, a stat each; None when one is missing."""
        if self.index is not None:
            return zlib.crc32(self.index.sizes[rows].tobytes())
        try:
            found = [os.stat(self._path(i)).st_size for i in rows.tolist()]  # noqa: PTH116  # see _path
        except OSError:
            # What is there no more, or may not be looked at, tells nothing.
            return None
        return zlib.crc32(np.array(found, np.int64).tobytes())

    def _path(self, i: int) -> str:
        """Of image i; a Path for each would cost more than opening it."""
        return os.path.join(self.base, os.fsdecode(self.paths[i]))  # noqa: PTH118

    @contextmanager
    def open(self) -> Iterator[Read]:
        """Gives read(i), the bytes of image i, for any number of threads."""
        if self.index is None:
            yield lambda i: _read(self._path(i))
            return
        with TarReader(self.index) as reader:
            yield reader.read


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # see Files._path
        return file.readall()


@dataclass(frozen=True, slots=True)
class Folder:
    """Images in files under ``root``; the list's paths are relative to it, or absolute."""

    root: Path

    def locate(self, paths: Names, on_error: OnError) -> Files:
        """Missing files: FileNotFoundError, or with "report" a warning unless all are missing.
        Lists each folder.
        """
        missing = list(_missing(self.root, paths))
        if missing:
            first = ", ".join(missing[:10])
            what = f"{len(missing):,} of the list's {len(paths):,} files are not under {self.root}: {first}"
            if on_error == "stop" or len(missing) == len(paths):
                raise FileNotFoundError(what)
            warnings.warn(what, stacklevel=2)
        return Files(self.root, paths)


def _missing(root: Path, paths: Names) -> Iterator[str]:
    """The paths that are not there, sorted, so that only one folder's names are in memory at a
    time.
    """
    ordered = (os.path.split(os.fsdecode(path)) for path in np.sort(paths))
    for folder, members in groupby(ordered, key=lambda split: split[0]):
        where = root / folder
        there = {entry.name for entry in os.scandir(where)} if where.is_dir() else set()
        yield from (os.path.join(folder, name) for _, name in members if name not in there)  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class Tar:
    """Images inside a tar, or a tar of tars, read in place."""

    index: TarIndex

    def locate(self, paths: Names, on_error: OnError) -> Files:
        """Missing members: ValueError in any case, since the list then belongs to another archive."""
        return Files(self.index.path, paths, self.index.select(self.index.positions(paths)))
