"""Kaggle's copy of ILSVRC2012, whose layout is another one, brought into the course's folders
(chapter 2).

Its training images come in class folders, its validation images flat, with their labels in a table.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from imnetlib import catalog
from imnetlib.files import exclusive_lock, first_names, require_one_disk, shown_names, sync
from imnetlib.organize.labels import labels_from_kaggle
from imnetlib.organize.names import is_training_name, require_same_names
from imnetlib.organize.validation import Sorting, sort_validation
from imnetlib.progress import progress

KAGGLE_CLASSES = "LOC_synset_mapping.txt"
KAGGLE_LABELS = "LOC_val_solution.csv"
KAGGLE_IMAGES = "ILSVRC/Data/CLS-LOC"


def adopt_kaggle(
    download: Path, train: Path, validation: Path, *, link: bool = False
) -> tuple[Sorting, Sorting]:
    """Put Kaggle's unpacked download into ``train`` and ``validation``, one folder per class
    (chapter 2).

    ``download`` holds LOC_synset_mapping.txt, LOC_val_solution.csv and ILSVRC/Data/CLS-LOC.
    Everything is checked before anything moves; stopped, the next run goes on. ``link`` makes hard
    links and leaves the download as it is; of moves, ``organize.undo_validation`` takes back those
    of the validation images. FileNotFoundError for another folder, ValueError for classes, files or
    labels that are missing or too much; OSError where the folders are on another disk. Reads no
    image.
    """
    if lacking := [
        name
        for name in (KAGGLE_CLASSES, KAGGLE_LABELS, KAGGLE_IMAGES)
        if not (download / name).exists()
    ]:
        raise FileNotFoundError(
            f"{download} lacks {', '.join(lacking)}: name the folder into which Kaggle's zip was unpacked"
        )
    wnids = catalog.read_classes(download / KAGGLE_CLASSES)
    labels = labels_from_kaggle(download / KAGGLE_LABELS)
    if other := set(wnids) ^ set(labels):
        raise ValueError(
            f"{download}: {KAGGLE_CLASSES} and {KAGGLE_LABELS} differ in {len(other):,} classes: {first_names(other)}"
        )
    source = download / KAGGLE_IMAGES
    require_one_disk(source, train)
    with exclusive_lock(train):
        return _adopt(source, wnids, labels, train, validation, link)


def _adopt(
    source: Path,
    wnids: Sequence[str],
    labels: Sequence[str],
    train: Path,
    validation: Path,
    link: bool,
) -> tuple[Sorting, Sorting]:
    waiting = _waiting(source / "train", train, wnids, link)
    placed = sort_validation(validation, labels, link=link, flat=source / "val")
    with progress(len(wnids), f"adopt {train.name}", "classes") as bar:
        bar.update(len(wnids) - len(waiting))
        for wnid in waiting:
            if link:
                _link_class(source / "train" / wnid, train / wnid)
            else:
                (source / "train" / wnid).rename(train / wnid)
            bar.update(1)
    sync()
    moved = sum(waiting.values())
    there = sum(len(shown_names(train / wnid)) for wnid in wnids)
    return Sorting(train, len(wnids), moved, there - moved), placed


def _waiting(source: Path, train: Path, wnids: Sequence[str], link: bool) -> dict[str, int]:
    """The files of each class that is still to be adopted. ValueError where one is missing, too
    much or misnamed.
    """
    done = {wnid for wnid in wnids if (train / wnid).exists()}
    found = shown_names(source)
    require_same_names(found | done, set(wnids), source, "classes")
    for wnid in sorted(done):
        images = shown_names(train / wnid)
        same = link and wnid in found and images == shown_names(source / wnid)
        if not images or (wnid in found and not same):
            raise ValueError(
                f"{train / wnid} was not adopted from {source}: move it away; nothing was done"
            )
    counts = {}
    for wnid in sorted(set(wnids) - done):
        entries = [entry for entry in os.scandir(source / wnid) if entry.name[0] != "."]
        odd = [entry.name for entry in entries if not _is_training_image(entry, wnid)]
        if odd or not entries:
            raise ValueError(
                f"{source / wnid}: {len(odd):,} of {len(entries):,} are no files called {wnid}_<number>.JPEG "
                f"({first_names(odd)}): nothing was done"
            )
        counts[wnid] = len(entries)
    return counts


def _is_training_image(entry: os.DirEntry[str], wnid: str) -> bool:
    return entry.is_file(follow_symlinks=False) and is_training_name(wnid, entry.name)


def _link_class(source: Path, target: Path) -> None:
    """Hard links to a class's files, first under another name: the class is whole or not there."""
    beside = target.with_name(f".{target.name}.tmp")
    # left by a kill
    if beside.exists():
        shutil.rmtree(beside)
    beside.mkdir()
    for name in shown_names(source):
        (beside / name).hardlink_to(source / name)
    beside.rename(target)
