"""One folder per class: extract the archives, sort the validation images, undo it (chapter 2).

The best-known bug of this step pairs sorted files with labels without counting either: 0.1 %
accuracy and no error. Here image i gets label i because its name says i, and everything is counted
before anything moves.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imnetlib.archive import TarIndex, TarReader, open_index
from imnetlib.files import (
    HALF_BLOCK,
    exclusive_lock,
    first_names,
    fsync_folder,
    full_disk_named,
    require_space,
    sync,
)
from imnetlib.organize.names import JOURNAL, TRAIN_NAME, VALIDATION_NAME
from imnetlib.progress import progress

# validation images between two syncs: 130 MB
_IMAGES_A_SYNC = 1000
# names looked at at a time
_NAMES_AT_A_TIME = 1 << 16


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extraction did: files written and files that an earlier one had left, bytes and
    seconds.
    """

    folder: Path
    classes: int
    written: int
    skipped: int
    bytes: int
    seconds: float


def extract_train(tar: Path | TarIndex, folder: Path) -> Extraction:
    """Unpack each class of the training archive into ``folder/<wnid>`` (chapter 2).

    A class is unpacked under another name and then renamed, so it is whole or not there; run again,
    it goes on with the classes that are missing. ValueError, before a byte is written, for a member
    that is not ``<wnid>/<wnid>_<number>.JPEG`` or that ``index_tar`` refuses; and for a class
    folder whose files are not as many and as long as the archive's. Reads the archive once, in its
    own order.
    """
    began = time.monotonic()
    index = tar if isinstance(tar, TarIndex) else open_index(tar)
    _require_names(index, TRAIN_NAME, "<wnid>/<wnid>_<number>.JPEG")
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder):
        return _extract_train(index, folder, began)


def _extract_train(index: TarIndex, folder: Path, began: float) -> Extraction:
    wnids = index.names.astype("S9")
    order = np.argsort(wnids, kind="stable")
    classes = np.split(order, np.flatnonzero(wnids[order][1:] != wnids[order][:-1]) + 1)
    missing = []
    # as the archive has them
    for positions in sorted(classes, key=lambda positions: int(positions[0])):
        target = folder / wnids[positions[0]].decode()
        if target.exists():
            _require_extracted(target, index, positions)
        else:
            missing.append((target, positions))
    total = int(sum(index.sizes[positions].sum() for _, positions in missing))
    written = sum(len(positions) for _, positions in missing)
    _require_space(folder, written, total)
    with TarReader(index) as reader, progress(total, folder.name, "B") as bar:
        for target, positions in missing:
            _extract_class(reader, positions.tolist(), target)
            bar.update(int(index.sizes[positions].sum()))
    return Extraction(
        folder, len(classes), written, len(index) - written, total, time.monotonic() - began
    )


def _require_names(index: TarIndex, pattern: re.Pattern[bytes], described: str) -> None:
    odd: list[str] = []
    # 14 million names as objects would take a gigabyte
    for start in range(0, len(index), _NAMES_AT_A_TIME):
        some = index.names[start : start + _NAMES_AT_A_TIME].tolist()
        odd += [name.decode() for name in some if not pattern.fullmatch(name)]
    if odd:
        raise ValueError(
            f"{index.path}: {len(odd):,} members are not called {described}: {first_names(odd)}"
        )


def _require_extracted(target: Path, index: TarIndex, positions: NDArray[np.int64]) -> None:
    """ValueError unless a class folder has the files that the archive has for it, each as long as
    there.
    """
    found = _sizes(target)
    names = [name.decode().partition("/")[2] for name in index.names[positions].tolist()]
    sizes = index.sizes[positions].tolist()
    if len(found) != len(names):
        counts = f"{len(found):,} files, the archive {len(names):,}"
        raise ValueError(f"{target} holds {counts}: move it away first")
    if odd := [name for name, size in zip(names, sizes, strict=True) if found.get(name) != size]:
        raise ValueError(
            f"{target}: {len(odd):,} files are missing or not as long as in the archive ({first_names(odd)}): "
            "move it away first"
        )


def _sizes(folder: Path) -> dict[str, int]:
    """The length of each file in a folder, -1 for what is none; hidden ones but the journal are
    left out.
    """
    shown = (entry for entry in os.scandir(folder) if entry.name[0] != "." or entry.name == JOURNAL)
    return {entry.name: entry.stat().st_size if entry.is_file() else -1 for entry in shown}


def _require_space(folder: Path, files: int, data: int) -> None:
    """Make the folder; OSError when its disk is too small, with half a block of each file counted
    in.
    """
    require_space(folder, data + files * HALF_BLOCK)


def _extract_class(reader: TarReader, positions: Sequence[int], target: Path) -> None:
    """Write one class beside its place; the rename comes when its data is on the disk."""
    beside = target.with_name(f".{target.name}.tmp")
    # left by a kill
    if beside.exists():
        shutil.rmtree(beside)
    beside.mkdir()
    with full_disk_named(target):
        for position in positions:
            name = reader.index.names[position].decode().partition("/")[2]
            (beside / name).write_bytes(reader.read(position))
    sync()
    beside.rename(target)
    fsync_folder(target.parent)


def extract_validation(tar: Path | TarIndex, folder: Path) -> Extraction:
    """Unpack the validation archive flat into ``folder`` (chapter 2).

    Each file is whole or not there, even after a power cut; run again, files with the right size
    are left alone, and a folder that ``sort_validation`` has begun to sort is left as it is.
    ValueError as ``extract_train``.
    """
    began = time.monotonic()
    index = tar if isinstance(tar, TarIndex) else open_index(tar)
    _require_names(index, VALIDATION_NAME, "ILSVRC2012_val_<8 digits>.JPEG")
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder):
        return _extract_validation(index, folder, began)


def _extract_validation(index: TarIndex, folder: Path, began: float) -> Extraction:
    names = [name.decode() for name in index.names.tolist()]
    sizes = index.sizes.tolist()
    there = _sizes(folder)
    missing = [
        i for i, name in enumerate(names) if there.get(name) != sizes[i] and JOURNAL not in there
    ]
    total = sum(sizes[i] for i in missing)
    _require_space(folder, len(missing), total)
    with TarReader(index) as reader, progress(total, folder.name, "B") as bar:
        for start in range(0, len(missing), _IMAGES_A_SYNC):
            batch = [
                (i, folder / f".{names[i]}.tmp") for i in missing[start : start + _IMAGES_A_SYNC]
            ]
            with full_disk_named(folder):
                for position, beside in batch:
                    beside.write_bytes(reader.read(position))
                    bar.update(sizes[position])
            sync()
            for position, beside in batch:
                beside.replace(folder / names[position])
    fsync_folder(folder)
    return Extraction(
        folder, 0, len(missing), len(index) - len(missing), total, time.monotonic() - began
    )
