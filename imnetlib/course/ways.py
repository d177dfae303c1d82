"""Where a root's images come from, and in what way they were got (chapters 1, 2 and 4).

The official archives, Kaggle's unpacked download, the parquet files of ILSVRC/imagenet-1k, class
folders, or a list: each gives the same two lists, with the source to read the images from.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TypeAlias

from imnetlib import catalog, organize, pack
from imnetlib.archive import open_index
from imnetlib.course.root import Root
from imnetlib.pack import Folder, ImageList, Tar

Source: TypeAlias = Folder | Tar

# Where class folders have no validation set, this share of each class is held out.
HELD_OUT = 0.1
_VALIDATION_FOLDERS = ("validation", "val")


@dataclass(frozen=True, slots=True)
class Part:
    """The images of a training or a validation set, and where they are read from."""

    images: ImageList
    source: Source


def training_and_validation(root: Root) -> tuple[Part, Part]:
    """The two sets of ``root`` by the way that it has (chapter 4).

    The classes are those that the training set has; validation images of other classes keep the
    label -1, and a warning counts and names them. FileNotFoundError for what is missing, ValueError
    for what does not fit.
    """
    by_way = {"archives": _archives, "kaggle": _kaggle, "folders": _folders, "list": _list}
    found = by_way[root.way](root)
    classes = len(found[0].images.classes)
    expected = root.dataset.classes
    if expected and classes != expected:
        problem = (
            f"{root.root}: there are {classes:,} classes; {root.dataset.name} has {expected:,}"
        )
        if root.way == "archives":
            raise ValueError(f"{problem}: is it the archive of another set?")
        warnings.warn(problem, stacklevel=2)
    return found


def _archives(root: Root) -> tuple[Part, Part]:
    train = open_index(root.training_archive)
    training = pack.list_archive(train)
    held_out = open_index(root.archives / catalog.VALIDATION_TAR)
    wnids = organize.labels_from_devkit(root.archives / catalog.DEVKIT)
    validation = pack.list_archive(held_out, wnids, training.classes, unknown="keep")
    return Part(training, Tar(train)), Part(validation, Tar(held_out))


def _kaggle(root: Root) -> tuple[Part, Part]:
    images = root.there / organize.KAGGLE_IMAGES
    classes = catalog.read_classes(root.there / organize.KAGGLE_CLASSES)
    training = pack.list_folder(images / "train", classes)
    wnids = organize.labels_from_kaggle(root.there / organize.KAGGLE_LABELS)
    validation = pack.list_flat_folder(images / "val", wnids, classes, unknown="keep")
    return Part(training, Folder(images / "train")), Part(validation, Folder(images / "val"))


def _folders(root: Root) -> tuple[Part, Part]:
    given = root.there / pack.CLASSES
    classes = catalog.read_classes(given) if given.exists() else None
    train = root.class_folders
    training = pack.list_folder(train, classes)
    for name in _VALIDATION_FOLDERS:
        if (root.there / name).is_dir() and root.there != train:
            held_out = root.there / name
            validation = pack.list_folder(held_out, training.classes, unknown="keep")
            return Part(training, Folder(train)), Part(validation, Folder(held_out))
    return _held_out(training, Folder(train))


def _list(root: Root) -> tuple[Part, Part]:
    return _held_out(pack.read_lst(root.there), Folder(root.there.parent))


def _held_out(images: ImageList, source: Source) -> tuple[Part, Part]:
    """A tenth of each class for validation, drawn with a fixed seed."""
    shares = (1 - HELD_OUT, HELD_OUT)
    training, validation = pack.split(images, shares, seed=0, stratified=True)
    return Part(training, source), Part(validation, source)
