"""Parquet files of images, listed and packed in place (chapter 4).

As ILSVRC/imagenet-1k comes: a column ``image``, a struct of the file's ``bytes`` and its ``path``,
and a column ``label``. Needs pyarrow, which is imported on first use.
"""

from __future__ import annotations

import errno
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from imnetlib.arguments import Integers, Names, PathLike, require_several
from imnetlib.files import listed_names
from imnetlib.order import Blocks, order_of
from imnetlib.pack.listing import labelled
from imnetlib.pack.lists import ImageList, select
from imnetlib.pack.sources import OnError, Read

# In the names of ILSVRC/imagenet-1k, n01440764_10026_n01440764.JPEG.
_WNID_AT_END = re.compile(rb"_(n\d{8})\.\w+$")
# Bytes of images that are mixed at a time.
_MIXED_BYTES = 1 << 27


@dataclass(frozen=True, slots=True, eq=False)
class Parquet:
    """Images in parquet files, n of them, in m row groups; ``open_parquet`` makes it.

    ``names``: bytes (n,), in stored order. ``labels``: int64 (n,). ``groups``: int64 (m, 4), for
    each row group the file's place in ``files``, its own place there, its first image and its
    bytes.
    """

    files: tuple[Path, ...]
    names: Names
    labels: Integers
    groups: Integers

    def __len__(self) -> int:
        return len(self.names)

    def locate(self, paths: Names, on_error: OnError) -> ParquetImages:
        """Find the rows; ValueError for names that are in none of the files."""
        order = np.argsort(self.names, kind="stable")
        rows = order[np.minimum(np.searchsorted(self.names, paths, sorter=order), len(self) - 1)]
        missing = paths[self.names[rows] != paths]
        if len(missing):
            listed = listed_names(name.decode("utf-8", "replace") for name in missing.tolist())
            raise ValueError(
                f"{len(missing):,} of the list's {len(paths):,} images are not in "
                f"{self.files[0].parent}: {listed}"
            )
        return ParquetImages(self.files, paths, rows, self.groups)


def open_parquet(files: Sequence[PathLike]) -> Parquet:
    """Read names and labels of parquet files, not the images (chapter 4).

    A second for 1.28 million images. ValueError names a file that is no parquet file, has other
    columns or no row, or lacks a name or a label, and names of images that repeat.
    """
    require_several("files", files)
    paths = tuple(map(Path, files))
    if not paths:
        raise ValueError("there is no parquet file to read")
    names = []
    labels = []
    groups = []
    first = 0
    for number, path in enumerate(paths):
        with _opened(path) as file:
            own_names, own_labels = _read_rows(path, file)
            names += own_names
            labels += own_labels
            for group in range(file.num_row_groups):
                about = file.metadata.row_group(group)
                groups.append((number, group, first, about.total_byte_size))
                first += about.num_rows
    stored = np.char.encode(np.array(names), "utf-8")
    repeated = len(names) - len(set(names))
    if repeated:
        raise ValueError(f"{paths[0].parent}: {repeated:,} names of images repeat")
    return Parquet(paths, stored, np.array(labels, np.int64), np.array(groups, np.int64))


def _read_rows(path: Path, file: Any) -> tuple[list[str], list[int]]:
    """The names and labels in a file; ValueError where one is missing."""
    table = file.read(columns=["image.path", "label"])
    names = table["image"].combine_chunks().field("path").to_pylist()
    labels = table["label"].to_pylist()
    for what, values in (("name (image.path)", names), ("label", labels)):
        lacking = sum(value in (None, "") for value in values)
        if lacking:
            raise ValueError(
                f"{path}: {lacking:,} of {len(values):,} images have no {what}: "
                "is it whole, and of ILSVRC/imagenet-1k? Fetch it again"
            )
    return names, labels


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file; ValueError where it is none of these, or is damaged."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("parquet files need pyarrow: pip install pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            _require_columns(path, dict(zip(schema.names, schema.types, strict=True)))
            if not file.metadata.num_rows:
                raise ValueError(f"{path} holds no image, 0 rows: fetch it again")
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, pa.ArrowException) and error.errno:
            raise
        raise ValueError(f"{path} cannot be read as parquet ({error}): fetch it again") from error


def _require_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """ValueError unless these types by name are those of images with labels."""
    from pyarrow import null, types

    image = columns.get("image", null())
    parts = {part.name: part.type for part in image} if types.is_struct(image) else {}
    there = {"bytes": parts.get("bytes"), "path": parts.get("path"), "label": columns.get("label")}
    if there["bytes"] and there["path"] and "label" not in columns:
        raise ValueError(f"{path} has no column label: is it of the test set?")
    wanted = {
        "bytes": (types.is_binary, types.is_large_binary),
        "path": (types.is_string, types.is_large_string),
        "label": (types.is_integer,),
    }
    for name, kinds in wanted.items():
        if there[name] is None or not any(is_kind(there[name]) for is_kind in kinds):
            described = ", ".join(f"{name} ({kind})" for name, kind in sorted(columns.items()))
            raise ValueError(
                f"{path} has the columns {described}; expected are image "
                "(struct<bytes: binary, path: string>) and label (int64), as in ILSVRC/imagenet-1k"
            )


def list_parquet(images: Parquet, classes: Sequence[str] | None = None) -> ImageList:
    """List the images in the order in which they are stored (chapter 4).

    The class of a label is read from the names, which end with the wnid; the labels then become
    positions in ``classes``, or else stay as they are. ValueError where a label has two classes,
    or none, and for a class that is not in ``classes``.
    """
    wnids = _wnid_of_label(images)
    own = tuple(wnids[label] for label in range(len(wnids)))
    order = own if classes is None else classes
    return labelled(images.files[0].parent, images.names, images.labels, own, order, "refuse")


def _wnid_of_label(images: Parquet) -> dict[int, str]:
    where = images.files[0].parent
    found: dict[int, str] = {}
    for name, label in zip(images.names.tolist(), images.labels.tolist(), strict=True):
        match = _WNID_AT_END.search(name)
        if match is None or label < 0:
            raise ValueError(
                f"{where}: {name.decode('utf-8', 'replace')} with label {label} names no class; "
                "expected are names like n01440764_10026_n01440764.JPEG"
            )
        wnid = match[1].decode()
        if found.setdefault(label, wnid) != wnid:
            raise ValueError(f"{where}: label {label} is {found[label]} and {wnid}")
    if sorted(found) != list(range(len(found))) or len(set(found.values())) != len(found):
        raise ValueError(f"{where}: the labels do not number the classes from 0 without a gap")
    return found


def shuffle_parquet(listed: ImageList, images: Parquet, seed: int) -> ImageList:
    """``listed``, as ``list_parquet`` gives it, in random order by row groups (chapter 4).

    A row group is read whole, so a full shuffle would read each as often as it has images. Here the
    groups come in random order, and some neighbours are mixed. The publisher has stored the
    training images in random order already.
    """
    sizes = np.diff(np.append(images.groups[:, 2], len(images)))
    order = order_of(sizes, Blocks(int(sizes.max()), _window(images.groups)), seed, 0)
    return select(listed, order)


def _window(groups: Integers) -> int:
    """How many row groups are mixed, and twice as many kept."""
    largest = max(1, int(groups[:, 3].max()))
    return max(1, min(8, _MIXED_BYTES // largest))


@dataclass(frozen=True, slots=True, eq=False)
class ParquetImages:
    """The places of images in parquet files: the row of each, in stored order."""

    files: tuple[Path, ...]
    paths: Names
    rows: Integers
    groups: Integers

    @property
    def base(self) -> Path:
        """The folder of the files."""
        return self.files[0].parent

    def part(self, start: int, stop: int) -> ParquetImages:
        """The images from ``start`` to ``stop``."""
        return replace(self, paths=self.paths[start:stop], rows=self.rows[start:stop])

    def sizes_crc32(self, rows: Integers) -> int | None:
        """None: the sizes of the images are known only with their bytes."""
        return None

    @contextmanager
    def open(self) -> Iterator[Read]:
        """Give read(row), the bytes of an image; any number of threads may call it.

        Memory: some row groups, twice as many as ``shuffle_parquet`` mixes.
        """
        yield _GroupCache(self, 2 * _window(self.groups) + 1).read


@dataclass(slots=True, eq=False)
class _GroupCache:
    """The row groups that were read last, whichever thread asked for them."""

    images: ParquetImages
    most: int
    _kept: OrderedDict[int, Future[Any]] = field(default_factory=OrderedDict)
    _about: dict[int, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, row: int) -> bytes:
        place = int(self.images.rows[row])
        group = int(np.searchsorted(self.images.groups[:, 2], place, side="right")) - 1
        with self._lock:
            column = self._kept.pop(group, None)
            is_new = column is None
            column = column or Future()
            self._kept[group] = column
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)
        if is_new:
            # Outside of the lock: other threads go on with the groups that are there.
            try:
                column.set_result(self._read_group(group))
            except BaseException as error:
                column.set_exception(error)
        data: bytes | None = column.result()[place - int(self.images.groups[group, 2])].as_py()
        return data or b""

    def _read_group(self, group: int) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        number, inside = self.images.groups[group, :2].tolist()
        path = self.images.files[number]
        try:
            # A file of its own for each read: those of pyarrow are not for several threads.
            with parquet.ParquetFile(path, metadata=self._about.get(number)) as file:
                self._about[number] = file.metadata
                table = file.read_row_group(inside, columns=["image.bytes"], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            # As of a file that cannot be read: packing names it and goes on.
            raise OSError(errno.EIO, f"{path.name}, row group {inside}: {error}") from error
        return table["image"].combine_chunks().field("bytes")
