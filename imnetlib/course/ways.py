"""Where a root's images come from, and in what way they were got (chapters 1, 2 and 4).

The official archives, Kaggle's unpacked download, the parquet files of ILSVRC/imagenet-1k, class
folders, or a list: each gives the same two lists, with the source to read the images from.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from imnetlib import catalog, organize, pack
from imnetlib.archive import TarIndex, gunzip_tar, index_path, open_index
from imnetlib.catalog import Archive, Dataset
from imnetlib.course import sample
from imnetlib.course.root import DATASETS, Root, Way, publication, require_own_archives
from imnetlib.files import listed_names, numbered_sets
from imnetlib.organize import FolderSurvey, StrangeFile
from imnetlib.pack import Folder, ImageList, Parquet, Tar
from imnetlib.progress import progress
from imnetlib.throughput import GB, BudgetRow, disk_budget

Source: TypeAlias = Folder | Tar | Parquet

# Where class folders have no validation set, this share of each class is held out.
HELD_OUT = 0.1
_VALIDATION_FOLDERS = ("validation", "val")
PARTS = ("train", "validation")
IN_WORDS: dict[Way, str] = {
    "kaggle": "Kaggle's download",
    "parquet": "parquet files",
    "folders": "class folders",
    "list": "a list",
}


@dataclass(frozen=True, slots=True)
class Part:
    """The images of a training or a validation set, and where they are read from."""

    images: ImageList
    source: Source

    def shuffled(self, seed: int) -> ImageList:
        """The images in random order; of parquet files, which are read in groups, by groups."""
        if isinstance(self.source, Parquet):
            return pack.shuffle_parquet(self.images, self.source, seed)
        return pack.shuffle(self.images, seed)

    def read(self, rows: Iterable[int]) -> list[bytes]:
        """The files of some images, as they lie there."""
        few = pack.select(self.images, np.array(list(rows), np.int64))
        with self.source.locate(few.paths, "stop").open() as read:
            return [read(row) for row in range(len(few))]


def training_and_validation(root: Root) -> tuple[Part, Part]:
    """The two sets of ``root`` by the way that it has (chapter 4).

    The classes are those that the training set has; validation images of other classes keep the
    label -1, and a warning counts and names them. FileNotFoundError for what is missing, ValueError
    for what does not fit.
    """
    by_way = {
        "archives": _archives,
        "kaggle": _kaggle,
        "parquet": _parquet,
        "folders": _folders,
        "list": _list,
    }
    found = by_way[root.way](root)
    classes = len(found[0].images.classes)
    expected = root.dataset.classes
    if expected and classes != expected:
        name = root.dataset.name
        problem = f"{root.root} has images of {classes:,} classes; {name} has {expected:,}"
        if root.way == "archives":
            raise ValueError(f"{problem}: is it the archive of another set?")
        warnings.warn(problem, stacklevel=2)
    return found


def _archives(root: Root) -> tuple[Part, Part]:
    train = _training_archive(root)
    return train, _validation_archive(root, train.images.classes)


def _training_archive(root: Root) -> Part:
    index = open_index(root.training_archive)
    return Part(pack.list_archive(index), Tar(index))


def _validation_archive(root: Root, classes: Sequence[str] | None = None) -> Part:
    """The validation images, labelled by ``classes``, or by those that they have."""
    index = open_index(root.archives / catalog.VALIDATION_TAR)
    wnids = organize.labels_from_devkit(root.archives / catalog.DEVKIT)
    return Part(pack.list_archive(index, wnids, classes, unknown="keep"), Tar(index))


def _kaggle(root: Root) -> tuple[Part, Part]:
    organize.require_kaggle(root.there)
    images = root.there / organize.KAGGLE_IMAGES
    classes = catalog.read_classes(root.there / organize.KAGGLE_CLASSES)
    training = pack.list_folder(images / "train", classes)
    _require_counts(root, training)
    return Part(training, Folder(images / "train")), _kaggle_validation(root)


def _kaggle_validation(root: Root) -> Part:
    """Kaggle's validation images, which are flat."""
    images = root.there / organize.KAGGLE_IMAGES / "val"
    classes = catalog.read_classes(root.there / organize.KAGGLE_CLASSES)
    wnids = organize.labels_from_kaggle(root.there / organize.KAGGLE_LABELS)
    return Part(pack.list_flat_folder(images, wnids, classes, unknown="keep"), Folder(images))


def _require_counts(root: Root, images: ImageList) -> None:
    """ValueError unless each class has as many images as Kaggle's own list states."""
    expected = _expected_counts(root)
    if expected is None:
        return
    counts = np.bincount(images.labels[:, 0].astype(np.int64), minlength=len(images.classes))
    there = dict(zip(images.classes, counts.tolist(), strict=True))
    wrong = [wnid for wnid in expected.keys() | there if expected.get(wnid) != there.get(wnid)]
    if wrong:
        raise ValueError(
            f"{root.there}: train_cls.txt states other numbers of images for {len(wrong):,} of "
            f"{len(there):,} classes ({listed_names(wrong)}): unzip Kaggle's download again"
        )


def _parquet(root: Root) -> tuple[Part, Part]:
    train, held_out = (pack.open_parquet(_parquet_files(root, part)) for part in PARTS)
    training = pack.list_parquet(train)
    validation = pack.list_parquet(held_out, training.classes)
    return Part(training, train), Part(validation, held_out)


def _parquet_files(root: Root, part: str) -> list[Path]:
    """The files of one set, all of them.

    FileNotFoundError for those that are missing by the others' names, ValueError for several sets.
    """
    files = sorted(root.there.glob(f"**/{part}-*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"{root.there} has no {part}-….parquet: fetch ILSVRC/imagenet-1k whole"
        )
    sets = numbered_sets(files)
    if len(sets) > 1:
        raise ValueError(
            f"{root.there} has several sets of {part} files ({listed_names(map(str, sets))}): "
            "name the folder of one, or move the others away"
        )
    (lacking,) = sets.values()
    if lacking:
        raise FileNotFoundError(
            f"{files[0].parent}: {len(files):,} of {len(files) + len(lacking):,} {part} files are "
            f"here; missing: {listed_names(path.name for path in lacking)}: fetch them again"
        )
    return files


def _folders(root: Root) -> tuple[Part, Part]:
    given = root.there / pack.CLASSES
    classes = catalog.read_classes(given) if given.exists() else None
    if classes is not None:
        print(f"{len(classes):,} classes, in the order of {given}")
    train = root.class_folders
    training = pack.list_folder(train, classes)
    held_out = _validation_folder(root)
    if held_out is None:
        return _held_out(training, Folder(train))
    validation = pack.list_folder(held_out, training.classes, unknown="keep")
    return Part(training, Folder(train)), Part(validation, Folder(held_out))


def _validation_folder(root: Root) -> Path | None:
    """That of the class folders of a validation set, beside the folder ``train``."""
    if root.there == root.class_folders:
        return None
    folders = [root.there / name for name in _VALIDATION_FOLDERS]
    there = [folder for folder in folders if folder.is_dir()]
    if len(there) > 1:
        raise ValueError(
            f"{root.there} has several validation sets ({listed_names(map(str, there))}): "
            "move one away"
        )
    return there[0] if there else None


def _list(root: Root) -> tuple[Part, Part]:
    images = pack.read_lst(root.there)
    source = Folder(root.there.parent)
    try:
        source.locate(images.paths, "stop")
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; the paths of {root.there} start at its own folder: put it where they do, "
            "or write them whole"
        ) from error
    return _held_out(images, source)


def _held_out(images: ImageList, source: Source) -> tuple[Part, Part]:
    """A tenth of each class for validation, drawn with a fixed seed."""
    shares = (1 - HELD_OUT, HELD_OUT)
    training, validation = pack.split(images, shares, seed=0, stratified=True)
    return Part(training, source), Part(validation, source)


def disk_budgets(root: Root, free: int) -> dict[str, tuple[BudgetRow, ...]]:
    """What each step adds to a disk with ``free`` bytes of room, by data set (chapter 1).

    That of ``root`` comes first, under its name, or as "yours" where its images are here already;
    then ILSVRC2012 and the full set.
    """
    name = publication(root).name if root.source is None else "yours"
    budgets = {name: _disk_needs(root, free)}
    for other, data in {"ILSVRC2012": catalog.ILSVRC2012, "full": catalog.IMAGENET21K}.items():
        budgets[other] = _published_needs(data, free)
    return budgets


def _published_needs(data: Dataset, free: int) -> tuple[BudgetRow, ...]:
    return disk_budget(data.train + data.validation, data.bytes, free)


def _disk_needs(root: Root, free: int) -> tuple[BudgetRow, ...]:
    """Images that are here already need no archives and no folders; a line says how many they are.

    Their records take about what some hundred of them do.
    """
    if root.source is None:
        return _published_needs(publication(root), free)
    parts = training_and_validation(root)
    counts = [len(part.images) for part in parts]
    print(f"{counts[0]:,} training and {counts[1]:,} validation images in {root.source}", end=" ")
    print(f"({IN_WORDS[root.way]})")
    return disk_budget(sum(counts), sum(map(_bytes, parts)), free, in_place=True)


def _bytes(part: Part) -> int:
    """The bytes of the images, as the source states them, or from a hundred files of folders."""
    if isinstance(part.source, Parquet):
        return int(part.source.groups[:, 3].sum())
    if isinstance(part.source, Tar):
        return int(part.source.index.sizes.sum())
    images = len(part.images)
    paths = part.images.paths[:: -(-images // 100)].tolist()
    files = [Path(part.source.root) / os.fsdecode(path) for path in paths]
    sizes = [path.stat().st_size for path in files if path.exists()]
    return round(images * float(np.mean(sizes or 0)))


def to_fetch(root: Root) -> tuple[Archive, ...]:
    """The archives to download (chapter 1): none where the images are here already, in a line.

    An archive that nobody offers any more must be there: FileNotFoundError says where. ValueError
    for the archives of another set in its place.
    """
    if root.source is not None:
        print(f"nothing to fetch: the images are in {root.source}")
        return ()
    archives = publication(root).archives
    if root.is_miniature:
        return archives
    require_own_archives(root.archives, root.dataset)
    if root.dataset.url:
        return archives
    own, *offered = archives
    if not (root.archives / own.name).exists():
        raise FileNotFoundError(f"{own.name} is no longer offered: put yours into {root.archives}")
    return tuple(offered)


def index_training(root: Root) -> list[TarIndex]:
    """The index of a training archive to which no download has left one (chapter 1).

    A .tar.gz is unpacked in the same pass; it stays, and the tar takes as much disk again.
    """
    if root.source is not None or index_path(root.training_archive).exists():
        return []
    packed = root.archives / root.dataset.archives[0].name
    if root.training_archive.exists():
        return [open_index(root.training_archive)]
    with progress(packed.stat().st_size, f"unpack {packed.name}", "B") as bar:
        index = gunzip_tar(packed, root.training_archive, bar.update)
    index.save(index_path(root.training_archive))
    return [index]


def lesson_archives(root: Root, most_gb: float) -> Root:
    """A root with archives to unpack: this one, or a small painted one beside it (chapter 2).

    A training archive of more than ``most_gb`` GB stays packed.
    """
    if root.way == "archives":
        size = root.training_archive.stat().st_size / GB
        if size <= most_gb:
            return root
        print(f"{root.training_archive.name} stays packed: {size:,.1f} GB, more than {most_gb:g}.")
    lesson = Root(root.root / ".lesson", DATASETS["sample"])
    sample.draw(lesson.archives, classes=12, train_per_class=10, validation_per_class=10)
    print("The archives of the lesson are those of a small painted sample.")
    return lesson


def surveys(root: Root, *, unpacked: bool = True) -> list[FolderSurvey]:
    """What is in the training set, and in a validation set that has files of its own (chapter 2).

    Archives that are not ``unpacked`` are read in place.
    """
    if root.way in ("list", "parquet"):
        return [_survey(part, root.there) for part in training_and_validation(root)]
    if root.way == "archives" and not unpacked:
        training = _survey(_training_archive(root), root.training_archive)
        validation_tar = root.archives / catalog.VALIDATION_TAR
        return [training, _survey(_validation_archive(root), validation_tar)]
    found = [organize.survey_folders(root.class_folders, _expected_counts(root))]
    if root.way == "archives":
        wnids = organize.labels_from_devkit(root.archives / catalog.DEVKIT)
        found.append(organize.survey_folders(root.validation, Counter(wnids)))
    elif root.way == "kaggle":
        found.append(_survey(_kaggle_validation(root), root.there / organize.KAGGLE_IMAGES / "val"))
    elif root.way == "folders" and (held_out := _validation_folder(root)):
        found.append(organize.survey_folders(held_out))
    return found


def _expected_counts(root: Root) -> dict[str, int] | None:
    if root.way == "archives":
        return organize.train_counts_from_index(open_index(root.training_archive))
    stated = root.there / organize.KAGGLE_TRAIN_LIST
    return organize.train_counts(stated) if stated.exists() else None


def _survey(part: Part, where: Path) -> FolderSurvey:
    """Count the classes of a list, and look at each file once, in the order of the list."""
    images = part.images
    counts = np.bincount(images.labels[images.labels[:, 0] >= 0, 0].astype(np.int64))
    strange = []
    total = 0
    files = part.source.locate(images.paths, "report")
    with files.open() as read, progress(len(images), f"survey {where.name}", "images") as bar:
        for row, path in enumerate(images.paths.tolist()):
            try:
                data = read(row)
                kind = organize.kind_of(data)
            except OSError as error:
                data = b""
                kind = f"unreadable: {error.strerror}"
            total += len(data)
            if kind:
                strange.append(StrangeFile(where / os.fsdecode(path), kind))
            bar.update(1)
    named = dict(zip(images.classes, counts.tolist(), strict=False))
    return FolderSurvey(where, named, None, tuple(strange), total)
