"""Unpack the training and the validation archive (chapter 2).

A file or a class folder gets its name once its data is on the disk, so what has a name is whole.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from imnetlib import files
from imnetlib.archive import TarIndex, TarReader, open_index
from imnetlib.arguments import Integers, Names, PathLike
from imnetlib.catalog import IMAGE_EXTENSIONS
from imnetlib.organize.names import JOURNAL, TRAIN_PATH, VALIDATION_PATH
from imnetlib.progress import progress

# Validation images written between two syncs: about 130 MB.
_IMAGES_PER_SYNC = 1000


@dataclass(frozen=True, slots=True)
class Extraction:
    """The files that one run wrote, their bytes, and the files that were in place already.

    ``left_out``: the by-products in the archive, as ``TarIndex`` counts them.
    """

    classes: int
    written: int
    skipped: int
    bytes: int
    left_out: int = 0


def extract_train(tar: PathLike | TarIndex, folder: PathLike) -> Extraction:
    """Unpack each class of the training archive into ``folder/<wnid>`` (chapter 2).

    The archive is a tar of class tars or of class folders, which may lie in other folders. A class
    folder appears whole or not at all; another run goes on with the missing ones. Reads the archive
    once, in its own order. Raises, before a byte is written, ValueError for a member that is not
    ``<wnid>/<wnid>_<number>.JPEG`` or lies in the tar of another class, an archive that
    ``index_tar`` refuses, or a class folder without exactly the archive's files at their lengths;
    OSError for a disk too small.
    """
    folder = Path(folder)
    index, names = _open_index(tar, TRAIN_PATH, "<wnid>/<wnid>_<number>.JPEG")
    folder.mkdir(parents=True, exist_ok=True)
    with files.exclusive_lock(folder):
        classes = _positions_by_class(names)
        missing = {}
        for wnid, positions in classes.items():
            if (folder / wnid).exists():
                lengths = index.sizes[positions].tolist()
                _require_extracted(folder / wnid, _texts(names[positions]), lengths)
            else:
                missing[wnid] = positions

        written = sum(len(positions) for positions in missing.values())
        n_bytes = sum(int(index.sizes[positions].sum()) for positions in missing.values())
        files.require_space(folder, n_bytes + written * files.HALF_BLOCK)
        with TarReader(index) as reader, progress(n_bytes, folder.name, "B") as bar:
            for wnid, positions in missing.items():
                with make_folder_atomically(folder / wnid) as beside:
                    paths = [beside / name for name in _texts(names[positions])]
                    targets = dict(zip(positions.tolist(), paths, strict=True))
                    _write_members(reader, targets, folder / wnid, bar)
                files.fsync_folder(folder)
    return Extraction(len(classes), written, len(index) - written, n_bytes, index.left_out)


def extract_validation(tar: PathLike | TarIndex, folder: PathLike) -> Extraction:
    """Unpack the validation archive flat into ``folder``, without its folders (chapter 2).

    Each file appears whole or not at all, even after a power cut. Another run leaves files of the
    right size alone, and does nothing where ``sort_validation`` has begun. Raises as
    ``extract_train`` does.
    """
    folder = Path(folder)
    index, all_names = _open_index(tar, VALIDATION_PATH, "ILSVRC2012_val_<8 digits>.JPEG")
    folder.mkdir(parents=True, exist_ok=True)
    with files.exclusive_lock(folder):
        names = _texts(all_names)
        sizes = index.sizes.tolist()
        missing = []
        if not (folder / JOURNAL).exists():
            lengths = _lengths(folder)
            missing = [i for i, name in enumerate(names) if lengths.get(name) != sizes[i]]

        n_bytes = sum(sizes[i] for i in missing)
        files.require_space(folder, n_bytes + len(missing) * files.HALF_BLOCK)
        with TarReader(index) as reader, progress(n_bytes, folder.name, "B") as bar:
            for start in range(0, len(missing), _IMAGES_PER_SYNC):
                batch = missing[start : start + _IMAGES_PER_SYNC]
                targets = {i: folder / f".{names[i]}.tmp" for i in batch}
                _write_members(reader, targets, folder, bar)
                for i, beside in targets.items():
                    beside.replace(folder / names[i])
        files.fsync_folder(folder)
    return Extraction(0, len(missing), len(index) - len(missing), n_bytes, index.left_out)


def _open_index(
    tar: PathLike | TarIndex, pattern: re.Pattern[bytes], form: str
) -> tuple[TarIndex, Names]:
    """The archive's index, and the file name of each member; ValueError for other names.

    ``pattern`` matches a member's name, with its file name and perhaps its class as groups. Files
    of no class that are no images, such as a README.txt, are left out with a warning.
    """
    index = tar if isinstance(tar, TarIndex) else open_index(tar)
    names = np.empty(len(index), index.names.dtype)
    wnids = [name.encode() for name in index.class_names]
    others = []
    loose = []
    for position, path in enumerate(index.names):
        match = pattern.fullmatch(path)
        rank = index.classes[position]
        if match and (rank < 0 or match["wnid"] in (None, wnids[rank])):
            names[position] = match["name"]
        elif rank < 0 and PurePosixPath(path.decode().lower()).suffix not in IMAGE_EXTENSIONS:
            loose.append(position)
        else:
            others.append(path.decode())
    if others or len(loose) == len(index):
        listed = files.listed_names(others or _texts(index.names))
        raise ValueError(
            f"{index.path}: {len(others) or len(loose):,} members are not called {form}: {listed}"
        )
    if loose:
        listed = files.listed_names(_texts(index.names[loose]))
        warnings.warn(
            f"{index.path}: files that are no images are left out: {len(loose):,} ({listed})",
            stacklevel=3,
        )
        names = np.delete(names, loose)
        index = index.select(np.delete(np.arange(len(index)), loose))
    distinct, counts = np.unique(names, return_counts=True)
    if len(distinct) < len(names):
        listed = files.listed_names(_texts(distinct[counts > 1]))
        raise ValueError(f"{index.path} holds, in several folders, files of one name: {listed}")
    return index, names


def _positions_by_class(names: Names) -> dict[str, Integers]:
    """Each class's positions in the archive, in the order in which the classes begin there."""
    wnids = names.astype("S9")
    order = np.argsort(wnids, kind="stable")
    starts = np.flatnonzero(wnids[order][1:] != wnids[order][:-1]) + 1
    groups = sorted(np.split(order, starts), key=lambda positions: int(positions[0]))
    return {wnids[positions[0]].decode(): positions for positions in groups}


def _texts(names: Names) -> list[str]:
    return [name.decode() for name in names.tolist()]


def _require_extracted(target: Path, names: list[str], lengths: list[int]) -> None:
    """ValueError unless a class folder has exactly the archive's files, at their lengths there."""
    expected = dict(zip(names, lengths, strict=True))
    wrong = {name for name, _ in _lengths(target).items() ^ expected.items()}
    if wrong:
        raise ValueError(
            f"{target}: {len(wrong):,} files are missing, unexpected or not as long as in the "
            f"archive ({files.listed_names(wrong)}): move it away first"
        )


def _lengths(folder: Path) -> dict[str, int]:
    """The length of each file in a folder, hidden ones left out; -1 for what is not a file."""
    names = files.visible_names(folder)
    shown = [entry for entry in os.scandir(folder) if entry.name in names]
    return {entry.name: entry.stat().st_size if entry.is_file() else -1 for entry in shown}


@contextmanager
def make_folder_atomically(target: Path) -> Iterator[Path]:
    """A temporary folder beside ``target`` that takes its name at the end of the ``with``."""
    beside = target.with_name(f".{target.name}.tmp")
    # A killed run leaves it half filled.
    if beside.exists():
        shutil.rmtree(beside)
    beside.mkdir()
    yield beside
    beside.rename(target)


def _write_members(reader: TarReader, targets: Mapping[int, Path], shown: Path, bar: Any) -> None:
    """Write members of the archive, by position, and return when their data is on the disk."""
    with files.name_full_disk(shown):
        for position, path in targets.items():
            data = reader.read(position)
            path.write_bytes(data)
            bar.update(len(data))
    files.sync()
