"""The index of a tar, or of a tar of tars: made, kept beside it, searched (chapters 2 and 4)."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imnetlib import catalog
from imnetlib.archive import formats, headers
from imnetlib.archive.headers import TAR_BLOCK
from imnetlib.archive.members import Members
from imnetlib.arguments import Integers, Names, PathLike, require
from imnetlib.files import read_at, write_atomically

_log = logging.getLogger(__name__)
_COLUMNS = ("names", "offsets", "sizes", "classes")
# Headers read to see whether an index still fits its archive.
_HEADERS_COMPARED = 5
_NAMES_PER_COMPARISON = 1 << 18
_BYTES_PER_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class TarIndex:
    """Where every regular file of an archive lies: arrays of length n, in archive order.

    ``names``: UTF-8, ``<class>/<member>`` in a tar of tars, else ``<member>``; ``S<width>``, as
    wide as the longest. ``offsets`` and ``sizes``: int64, in bytes, of the members' data in the
    outer file. ``classes``: int32, positions in the sorted ``class_names``, or -1; classes are the
    inner tars, without .tar, or in a tar without them the class folders: those side by side that
    hold the most files between them, if they are several or called by a wnid. ``archive_bytes``:
    the length of the outer file. ``left_out``: the files in it that other programs left behind and
    the index does not have: ``._NAME``, ``.DS_Store``, ``__MACOSX/…``, ``Thumbs.db`` and the like.
    """

    path: Path
    names: Names
    offsets: Integers
    sizes: Integers
    classes: npt.NDArray[np.int32]
    class_names: tuple[str, ...]
    archive_bytes: int
    left_out: int = 0

    def __post_init__(self) -> None:
        lengths = [len(getattr(self, column)) for column in _COLUMNS]
        require(len(set(lengths)) == 1, "the columns of an index are equally long", lengths)

    def __len__(self) -> int:
        return len(self.names)

    def save(self, path: PathLike) -> None:
        """Write an .npz with a relative path to the archive, so that both can move together."""
        path = Path(path)
        archive = (self.path.parent.resolve() / self.path.name).as_posix()
        # On Windows there is no relative path from one drive to another.
        with suppress(ValueError):
            archive = Path(os.path.relpath(archive, path.parent.resolve())).as_posix()
        stored = (*_COLUMNS, "class_names", "archive_bytes", "left_out")
        arrays: dict[str, Any] = {name: np.asarray(getattr(self, name)) for name in stored}
        with write_atomically(path) as out:
            np.savez(out, archive=np.array(archive), **arrays)

    @classmethod
    def load(cls, path: PathLike) -> TarIndex:
        """Read an index back; ValueError unless it is one, and fits the archive as it is now.

        The archive's length and a few of its headers are compared. FileNotFoundError when the index
        or the archive is missing.
        """
        path = Path(path)
        try:
            with np.load(path, allow_pickle=False) as stored:
                index = cls(
                    path=Path(os.path.normpath(path.parent.resolve() / str(stored["archive"]))),
                    class_names=tuple(stored["class_names"].tolist()),
                    archive_bytes=int(stored["archive_bytes"]),
                    left_out=int(stored.get("left_out", 0)),
                    **{column: stored[column] for column in _COLUMNS},
                )
                if "left_out" not in stored:
                    index = _upgraded(index)
        except FileNotFoundError:
            raise
        # NumPy and zipfile raise errors of a dozen kinds for a damaged file.
        except Exception as error:
            if path.is_file() and path.suffix != ".npz":
                formats.refuse_packed(formats.read_head(path), path)
            raise ValueError(f"{path} is no index: make one with imnet index TAR") from error
        if not index.path.exists():
            raise FileNotFoundError(
                f"{path} is the index of {index.path}, which is gone: put it back there"
            )
        length = index.path.stat().st_size
        if length != index.archive_bytes:
            raise ValueError(
                f"{path} was made when {index.path} had {index.archive_bytes:,} bytes; it has "
                f"{length:,} now: index it again"
            )
        if not _fits(index):
            raise ValueError(
                f"{path} is of another archive than {index.path} is now: index it again"
            )
        return index

    def select(self, rows: Integers | slice) -> TarIndex:
        """The members at these positions, in that order, as an index of the same archive."""
        return replace(self, **{column: getattr(self, column)[rows] for column in _COLUMNS})

    def positions(self, names: Names | Sequence[str], order: Integers | None = None) -> Integers:
        """The position of each name, UTF-8 bytes or str; ValueError names ten that are missing.

        ``order`` sorts the names of the index; without it they are sorted anew, 0.2 s a million:
        ask for many names at once.
        """
        if order is None:
            order = np.argsort(self.names, kind="stable")
        wanted = np.asarray(names) if len(names) else np.empty(0, "S1")
        if wanted.dtype.kind != "S":
            wanted = np.char.encode(wanted.astype(np.str_), "utf-8")
        ranks = np.searchsorted(self.names, wanted, sorter=order)
        positions: Integers = order[np.minimum(ranks, len(order) - 1)]
        missing = wanted[self.names[positions] != wanted]
        if len(missing):
            first = ", ".join(name.decode("utf-8", "replace") for name in missing[:10].tolist())
            raise ValueError(
                f"{len(missing):,} of {len(wanted):,} names are not in {self.path}: {first}"
            )
        return positions


def _upgraded(index: TarIndex) -> TarIndex:
    """An index of an earlier version, which knew neither by-products nor class folders."""
    is_member = [not headers.is_byproduct(name) for name in index.names.tolist()]
    left_out = is_member.count(False)
    if left_out:
        index = replace(index.select(np.flatnonzero(is_member)), left_out=left_out)
    return index if index.class_names else _with_class_folders(index)


def _fits(index: TarIndex) -> bool:
    """Whether a few headers of the archive are those of the index."""
    with index.path.open("rb", buffering=0) as file:
        for row in np.linspace(0, len(index) - 1, _HEADERS_COMPARED).astype(int).tolist():
            start = max(0, int(index.offsets[row]) - TAR_BLOCK)
            header = read_at(file.fileno(), TAR_BLOCK, start)
            if len(header) < TAR_BLOCK or not headers.has_valid_checksum(header):
                return False
            # An extended header holds the rest of a long name, and the size where this one has 0.
            name = headers.ustar_name(header).removeprefix(b"./")[:99]
            size = headers.parse_number(header[headers.SIZE_FIELD])
            if name not in index.names[row] or size not in (index.sizes[row], 0):
                return False
    return True


def index_path(tar: PathLike) -> Path:
    """Where the index of ``tar`` is kept unless told otherwise: NAME.npz beside it."""
    tar = Path(tar)
    return tar.with_name(f"{tar.name}.npz")


def open_index(tar: PathLike) -> TarIndex:
    """The index kept beside ``tar`` if it fits, else a new one, which is then kept (chapter 2).

    The path of an index itself, an .npz kept elsewhere, is taken as well.
    Reading the headers of 1.28 million images takes a cold disk another pass over the archive,
    loading the index a second. Where it cannot be kept, a warning says why.
    """
    tar = Path(tar)
    if tar.suffix == ".npz":
        return TarIndex.load(tar)
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


def index_tar(path: PathLike, advance: Callable[[int], object] | None = None) -> TarIndex:
    """Index a tar, or a tar of tars, by one pass over its headers, skipping the data (chapter 2).

    Folders are left out, ``./`` before a name, and by-products (``left_out``). ``advance`` gets the
    bytes passed since its last call. TarTruncatedError for an archive cut short. ValueError for
    damaged headers, for an archive without a file, for a packed one, and, naming the member, for
    links, devices, sparse files, packed class tars, absolute names, names with ``..``, NUL, a
    backslash or a drive, and names or class tars that occur twice. 2 µs a member when the headers
    are cached, 13 µs where each has a pax header. Memory: 100 bytes a member with names of 30.
    """
    members = Members(Path(path), advance)
    requests = members.walk()
    with members.path.open("rb", buffering=0) as file, suppress(StopIteration):
        descriptor = file.fileno()
        members.length = os.fstat(descriptor).st_size
        size, position = next(requests)
        while True:
            size, position = requests.send(read_at(descriptor, size, position))
    members.report(members.length)
    return index_of(members)


def index_of(members: Members) -> TarIndex:
    """The index of all members; ValueError if there are none, or a name occurs twice."""
    path = members.path
    if not members.names:
        others = f" but {members.left_out:,} of macOS or Windows" if members.left_out else ""
        raise ValueError(f"{path} holds no file at all{others}")

    class_names = tuple(sorted(members.class_names))
    class_of_batch = np.array(catalog.positions(members.wnids, among=class_names), np.int32)
    classes = np.repeat(class_of_batch, [len(batch) for batch in members.names])

    names = _join(members.names)
    offsets = _join(members.offsets)
    sizes = _join(members.sizes)
    index = TarIndex(
        path, names, offsets, sizes, classes, class_names, members.length, members.left_out
    )
    _refuse_repeated_names(index)
    if not class_names:
        return _with_class_folders(index)

    # A loose file must not slip into a class that has a tar.
    for name in index.names[classes < 0].tolist():
        folder, slash, _ = name.decode().partition("/")
        if slash and folder in members.class_names:
            raise ValueError(
                f"{path} holds {name.decode()} outside of the tar of that class: it is damaged"
            )
    return index


def _join(batches: list[Names] | list[Integers]) -> npt.NDArray[Any]:
    """The batches as one array; they are let go, so that 14 million names are not held twice."""
    joined: npt.NDArray[Any] = np.concatenate(batches)
    batches.clear()
    return joined


def _refuse_repeated_names(index: TarIndex) -> None:
    order = np.argsort(index.names, kind="stable")
    repeated: list[bytes] = []
    # A sorted copy would need as much memory again.
    for start in range(0, len(order), _NAMES_PER_COMPARISON):
        names = index.names[order[start : start + _NAMES_PER_COMPARISON + 1]]
        repeated += names[1:][names[1:] == names[:-1]].tolist()
    if repeated:
        raise ValueError(
            f"{index.path} holds {repeated[0].decode()} more than once "
            f"({len(repeated):,} names too many)"
        )


def _with_class_folders(index: TarIndex) -> TarIndex:
    """The index of a tar without class tars, with its class folders, if it has any, as classes."""
    starts, folders = _runs_of_folders(index.names)
    lengths = np.diff(starts, append=len(index))
    distinct, folder_of_run = np.unique(folders, return_inverse=True)
    files = np.bincount(folder_of_run, lengths)
    # Of each folder: where it lies, and its own name, which is empty where there is no folder.
    split = [path.decode().rpartition("/")[::2] for path in distinct.tolist()]
    files_below = Counter[str]()
    for (parent, name), count in zip(split, files.tolist(), strict=True):
        files_below[parent] += int(count) if name else 0
    best = max(files_below, key=files_below.__getitem__)
    class_of_folder = [name if parent == best else "" for parent, name in split]
    class_names = tuple(sorted(filter(None, class_of_folder)))
    if len(class_names) < 2 and not all(map(catalog.WNID.fullmatch, class_names)):
        return index
    labels = np.array(catalog.positions(class_of_folder, among=class_names), np.int32)
    classes = np.repeat(labels[folder_of_run], lengths)
    return replace(index, classes=classes, class_names=class_names)


def _runs_of_folders(names: Names) -> tuple[Integers, Names]:
    """Where each run of names in one folder starts, and the folders: b"" for names in none."""
    starts = list[Integers]()
    folders = list[Names]()
    columns = np.arange(names.itemsize, dtype=np.min_scalar_type(names.itemsize))
    step = _BYTES_PER_BLOCK // len(columns)
    for first in range(0, len(names), step):
        text = names[first : first + step].view(np.uint8).reshape(-1, len(columns))
        slash = text == ord("/")
        # No name begins with a slash.
        last_slash = (slash * columns).max(1, keepdims=True) if slash.any() else 0
        folder = (text * (columns < last_slash)).view(names.dtype).ravel()
        runs = np.flatnonzero(np.r_[True, folder[1:] != folder[:-1]])
        starts.append(first + runs)
        folders.append(folder[runs])
    return np.concatenate(starts), np.concatenate(folders)
