"""Kaggle's copy of ILSVRC2012, brought into the course's folders (chapter 2).

Its training images come in class folders, its validation images flat, with their labels in a table.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from imnetlib import catalog
from imnetlib.arguments import PathLike
from imnetlib.files import exclusive_lock, listed_names, require_one_disk, sync, visible_names
from imnetlib.organize.extract import make_folder_atomically
from imnetlib.organize.labels import labels_from_kaggle, read_train_list
from imnetlib.organize.names import is_training_name, require_same_names
from imnetlib.organize.validation import Sorting, sort_validation
from imnetlib.progress import progress

KAGGLE_CLASSES = "LOC_synset_mapping.txt"
KAGGLE_LABELS = "LOC_val_solution.csv"
KAGGLE_IMAGES = "ILSVRC/Data/CLS-LOC"
KAGGLE_TRAIN_LIST = "ILSVRC/ImageSets/CLS-LOC/train_cls.txt"


def adopt_kaggle(
    download: PathLike, train: PathLike, validation: PathLike, *, link: bool = False
) -> tuple[Sorting, Sorting]:
    """Put Kaggle's unpacked download into ``train`` and ``validation``, by class (chapter 2).

    ``download`` holds LOC_synset_mapping.txt, LOC_val_solution.csv, ILSVRC/Data/CLS-LOC and
    ILSVRC/ImageSets/CLS-LOC/train_cls.txt, which names the training images; without it a warning
    says that they could not be compared. Every name is compared before anything moves, and no image
    is read; a stopped run is finished by the next. ``link`` makes hard links and leaves the
    download as it is; of moves, ``undo_validation`` takes back those of the validation images.
    Raises FileNotFoundError for another folder, ValueError for classes, files or labels that are
    missing or unexpected, OSError for folders on another disk.
    """
    train = Path(train)
    source = Path(download) / KAGGLE_IMAGES
    wnids, labels = _read_tables(Path(download))
    require_one_disk(source, train)
    with exclusive_lock(train):
        waiting = _waiting_images(source / "train", train, wnids, link)
        if waiting:
            _compare_with_list(Path(download), waiting)
        validation_sorting = sort_validation(validation, labels, link=link, flat=source / "val")
        with progress(len(wnids), f"adopt {train.name}", "classes") as bar:
            bar.update(len(wnids) - len(waiting))
            for wnid in waiting:
                _adopt_class(source / "train" / wnid, train / wnid, link)
                bar.update(1)
        sync()
        total = sum(len(visible_names(train / wnid)) for wnid in wnids)
    moved = sum(map(len, waiting.values()))
    return Sorting(train, len(wnids), moved, total - moved), validation_sorting


def require_kaggle(download: PathLike) -> None:
    """FileNotFoundError names what an unpacked download of Kaggle's lacks (chapter 1)."""
    folders = (f"{KAGGLE_IMAGES}/train", f"{KAGGLE_IMAGES}/val")
    needed = (KAGGLE_CLASSES, KAGGLE_LABELS, *folders)
    lacking = [name for name in needed if not (Path(download) / name).exists()]
    if lacking:
        raise FileNotFoundError(
            f"{download} lacks {', '.join(lacking)}: "
            "name the folder into which Kaggle's zip was unpacked, or unzip it again "
            "(unzip -n keeps what is there)"
        )


def _read_tables(download: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The wnid of each class and of each validation image."""
    require_kaggle(download)
    wnids = catalog.read_classes(download / KAGGLE_CLASSES)
    labels = labels_from_kaggle(download / KAGGLE_LABELS)
    differing = set(wnids) ^ set(labels)
    if differing:
        raise ValueError(
            f"{download}: {KAGGLE_CLASSES} and {KAGGLE_LABELS} differ in "
            f"{len(differing):,} classes: {listed_names(differing)}"
        )
    return wnids, labels


def _waiting_images(
    source: Path, train: Path, wnids: Sequence[str], link: bool
) -> dict[str, set[str]]:
    """The files of each class still to adopt; ValueError for other classes, or other files."""
    adopted = {wnid for wnid in wnids if (train / wnid).exists()}
    offered = visible_names(source)
    require_same_names(offered | adopted, set(wnids), source, "classes")
    for wnid in sorted(adopted):
        images = visible_names(train / wnid)
        linked = link and wnid in offered and images == visible_names(source / wnid)
        if not images or (wnid in offered and not linked):
            raise ValueError(
                f"{train / wnid} was not adopted from {source}: move it away; nothing was done"
            )
    return {wnid: _images(source / wnid) for wnid in sorted(set(wnids) - adopted)}


def _compare_with_list(download: Path, waiting: Mapping[str, set[str]]) -> None:
    """ValueError unless the training images are those of train_cls.txt, as far as they wait."""
    table = download / KAGGLE_TRAIN_LIST
    if not table.exists():
        warnings.warn(
            f"{download} has no {KAGGLE_TRAIN_LIST}: whether training images are missing is not "
            "known",
            stacklevel=3,
        )
        return
    listed = read_train_list(table, "unzip it again")
    missing = list[str]()
    unlisted = list[str]()
    for wnid, names in waiting.items():
        # Some releases repeat the class at the end of a name.
        stems = {name.removesuffix(".JPEG").removesuffix(f"_{wnid}") for name in names}
        expected = listed.get(wnid, set())
        missing += (f"{wnid}/{stem}.JPEG" for stem in expected - stems)
        unlisted += (f"{wnid}/{stem}.JPEG" for stem in stems - expected)
    if missing:
        raise ValueError(
            f"{download}: {len(missing):,} of the training images in {table.name} are missing "
            f"({listed_names(missing)}): unzip again (unzip -n keeps what is there); nothing was "
            "done"
        )
    if unlisted:
        raise ValueError(
            f"{download}: {len(unlisted):,} training images are not in {table.name} "
            f"({listed_names(unlisted)}): move them away; nothing was done"
        )


def _images(folder: Path) -> set[str]:
    """The training images in a class folder; ValueError for an empty one, or for other entries."""
    shown = visible_names(folder)
    entries = [entry for entry in os.scandir(folder) if entry.name in shown]
    if not entries:
        raise ValueError(f"{folder} is empty: nothing was done")
    others = []
    for entry in entries:
        plain = entry.is_file(follow_symlinks=False)
        if not (plain and is_training_name(folder.name, entry.name)):
            others.append(entry.name)
    if others:
        raise ValueError(
            f"{folder}: {len(others):,} of {len(entries):,} entries are not plain files called "
            f"{folder.name}_<number>.JPEG ({listed_names(others)}): nothing was done"
        )
    return {entry.name for entry in entries}


def _adopt_class(source: Path, target: Path, link: bool) -> None:
    if not link:
        source.rename(target)
        return
    with make_folder_atomically(target) as beside:
        for name in visible_names(source):
            (beside / name).hardlink_to(source / name)
