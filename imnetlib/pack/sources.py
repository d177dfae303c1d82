"""Where the images of a list are: in folders, or in an archive, read in place (chapter 4)."""

from __future__ import annotations

import errno
import os
import stat
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np

from imnetlib.archive import TarIndex, TarReader
from imnetlib.arguments import Integers, Names, PathLike, require_type
from imnetlib.files import listed_names

Read = Callable[[int], bytes]
OnError = Literal["report", "stop"]


@dataclass(frozen=True, slots=True)
class Files:
    """The places of images: files under ``base``, or members of the archive of ``index``."""

    base: Path
    paths: Names
    index: TarIndex | None = None

    def part(self, start: int, stop: int) -> Files:
        """The images from ``start`` to ``stop``."""
        if self.index is None:
            return Files(self.base, self.paths[start:stop])
        index = self.index.select(np.s_[start:stop])
        # The same array twice, which pickle sends to a worker once.
        return Files(self.base, index.names, index)

    def sizes_crc32(self, rows: Integers) -> int | None:
        """A checksum of these images' sizes in bytes, a stat each; None where one is missing."""
        if self.index is not None:
            return zlib.crc32(self.index.sizes[rows].tobytes())
        try:
            sizes = [os.stat(self._path(row)).st_size for row in rows.tolist()]  # noqa: PTH116
        except OSError:
            return None
        return zlib.crc32(np.array(sizes, np.int64).tobytes())

    def _path(self, row: int) -> str:
        # A Path for each image would cost more than opening it.
        return os.path.join(self.base, os.fsdecode(self.paths[row]))  # noqa: PTH118

    @contextmanager
    def open(self) -> Iterator[Read]:
        """Give read(row), the bytes of an image; any number of threads may call it."""
        if self.index is None:
            yield self._read
        else:
            with TarReader(self.index) as reader:
                yield reader.read

    def _read(self, row: int) -> bytes:
        with open(self._path(row), "rb", buffering=0, opener=_open_regular) as file:
            return file.readall()


def _open_regular(path: str, flags: int) -> int:
    """Open a file; OSError for a pipe, which would wait for a writer, and for a device."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    # A folder is refused by open itself.
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


@dataclass(frozen=True, slots=True)
class Folder:
    """Images in files under ``root``; the list's paths are relative to it, or absolute."""

    root: PathLike

    def __post_init__(self) -> None:
        require_type(self.root, (str, os.PathLike), "root is the path of the images' folder")

    def locate(self, paths: Names, on_error: OnError) -> Files:
        """Find the files, with one listing of each folder.

        Missing ones raise FileNotFoundError; with "report" that becomes a warning, unless all are
        missing.
        """
        root = Path(self.root)
        missing = list(_missing(root, paths))
        if missing:
            problem = (
                f"{len(missing):,} of the list's {len(paths):,} files are not under {root}: "
                f"{listed_names(missing)}"
            )
            if on_error == "stop" or len(missing) == len(paths):
                raise FileNotFoundError(problem)
            warnings.warn(problem, stacklevel=2)
        return Files(root, paths)


def _missing(root: Path, paths: Names) -> Iterator[str]:
    """The paths without a file, sorted, so that only one folder's names are in memory at a time."""
    parts = (os.path.split(os.fsdecode(path)) for path in np.sort(paths))
    for folder, members in groupby(parts, key=lambda part: part[0]):
        where = root / folder
        names = {entry.name for entry in os.scandir(where)} if where.is_dir() else set()
        for _, name in members:
            if name not in names:
                yield os.path.join(folder, name)  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class Tar:
    """Images inside a tar, or a tar of tars, read in place."""

    index: TarIndex

    def __post_init__(self) -> None:
        require_type(self.index, TarIndex, "index is a TarIndex (archive.open_index gives one)")

    def locate(self, paths: Names, on_error: OnError) -> Files:
        """Find the members. Missing ones raise ValueError: the list belongs to another archive."""
        rows = self.index.positions(paths)
        columns = {
            name: getattr(self.index, name)[rows] for name in ("offsets", "sizes", "classes")
        }
        # The list's own paths: millions of names need not be in memory twice.
        members = replace(self.index, names=paths, class_names=(), **columns)
        return Files(self.index.path, paths, members)
