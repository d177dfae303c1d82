"""The class of each validation image, and the number of training images a class (chapter 2)."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imnetlib import catalog
from imnetlib.archive import TarIndex
from imnetlib.arguments import PathLike
from imnetlib.files import listed_names
from imnetlib.organize.names import require_same_names, validation_name


class _Devkit(NamedTuple):
    wnids_by_id: dict[int, str]
    train_counts: dict[str, int]
    validation_ids: list[int]


def labels_from_devkit(devkit: PathLike) -> tuple[str, ...]:
    """The wnid of validation image 1, 2, … from ILSVRC2012_devkit_t12.tar.gz (chapter 2).

    Its ground truth holds ids in the order of the file names; ``meta.mat`` gives each id's wnid, in
    the rows without children. Nothing is unpacked to disk. ValueError for a cut or another file, an
    id that is no class, and classes with unequal numbers of images.
    """
    kit = _read_devkit(Path(devkit))
    unknown = set(kit.validation_ids) - kit.wnids_by_id.keys()
    if unknown:
        listed = listed_names(map(str, unknown))
        raise ValueError(f"{devkit}: the ground truth has ids that are no class: {listed}")
    labels = tuple(kit.wnids_by_id[i] for i in kit.validation_ids)
    _require_equal_shares(labels, Path(devkit), len(kit.wnids_by_id))
    return labels


def labels_from_kaggle(solution: PathLike) -> tuple[str, ...]:
    """The same labels from Kaggle's LOC_val_solution.csv, whose rows are in no order (chapter 2).

    ValueError for another table, for image numbers that are not 1, 2, … without a gap, and for
    classes with unequal numbers of images.
    """
    labels: dict[str, str] = {}
    with Path(solution).open(newline="", encoding="ascii") as table:
        try:
            for row in csv.DictReader(table):
                labels[f"{row['ImageId']}.JPEG"] = row["PredictionString"].split()[0]
        except (LookupError, AttributeError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"{solution} has no ImageId and PredictionString after {len(labels):,} images: "
                "is it Kaggle's LOC_val_solution.csv, and whole? Download it again"
            ) from error
    names = [validation_name(number) for number in range(1, len(labels) + 1)]
    require_same_names(set(labels), set(names), Path(solution))
    in_order = tuple(labels[name] for name in names)
    _require_equal_shares(in_order, Path(solution), len(set(in_order)))
    return in_order


def read_labels(source: PathLike) -> tuple[str, ...]:
    """The same labels from Kaggle's .csv or the devkit .tar.gz; ValueError for another suffix."""
    suffix = Path(source).suffix
    if suffix == ".csv":
        return labels_from_kaggle(source)
    if suffix in (".gz", ".tgz"):
        return labels_from_devkit(source)
    raise ValueError(
        f"{source} gives no labels: name the devkit .tar.gz or Kaggle's LOC_val_solution.csv"
    )


def _require_equal_shares(labels: tuple[str, ...], source: Path, classes: int) -> None:
    """ValueError unless each class has as many images as any other, as no cut file has."""
    counts = Counter(labels)
    others = [wnid for wnid in counts if not catalog.WNID.fullmatch(wnid)]
    if others:
        raise ValueError(
            f"{source}: not all labels are wnids like n02510455: {listed_names(others)}"
        )
    if len(counts) != classes or len(set(counts.values())) != 1:
        shares = f"{min(counts.values(), default=0)} to {max(counts.values(), default=0)} each"
        raise ValueError(
            f"{source}: {len(counts)} of {classes} classes have labels, {shares}: not whole"
        )


def train_counts_from_index(index: TarIndex) -> dict[str, int]:
    """How many training images each class has in its archive (chapter 2)."""
    if not index.class_names:
        raise ValueError(
            f"{index.path} is a tar without class tars: it is not the training archive"
        )
    counts = np.bincount(index.classes[index.classes >= 0], minlength=len(index.class_names))
    return dict(zip(index.class_names, counts.tolist(), strict=True))


def train_counts(source: PathLike) -> dict[str, int]:
    """How many training images each class should have, from any of three files (chapter 2).

    The training archive's ``.npz`` index, the development kit's ``.tar.gz``, or Kaggle's
    ``train_cls.txt`` (ILSVRC/ImageSets/CLS-LOC), whose lines begin with ``<wnid>/<name>``.
    ValueError for another file.
    """
    source = Path(source)
    if source.suffix == ".npz":
        return train_counts_from_index(TarIndex.load(source))
    if source.suffix in (".gz", ".tgz"):
        return _read_devkit(source).train_counts
    if source.suffix != ".txt":
        raise ValueError(
            f"{source} gives no counts: name the training archive's .npz (imnet index makes it), "
            "the development kit .tar.gz or Kaggle's train_cls.txt"
        )
    lines = source.read_text(encoding="utf-8").splitlines()
    counts = Counter(line.partition("/")[0] for line in lines)
    if not counts:
        raise ValueError(f"{source} is empty: is it Kaggle's train_cls.txt?")
    others = [wnid for wnid in counts if not catalog.WNID.fullmatch(wnid)]
    if others:
        raise ValueError(
            f"{source}: not all lines begin with <wnid>/ ({others[0][:80]!r}): is it train_cls.txt?"
        )
    return dict(counts)


def _read_devkit(devkit: Path) -> _Devkit:
    # This import takes 0.2 s.
    from scipy.io.matlab import MatReadError

    damage = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)
    other_content = (MatReadError, LookupError, ValueError, TypeError, NotImplementedError)
    try:
        with gzip.open(devkit) as packed:
            # All 2.5 MB of it, for the checksum is at the end.
            return _parse_devkit(packed.read())
    except (*damage, *other_content) as error:
        raise ValueError(
            f"{devkit} cannot be read ({type(error).__name__}: {error}): is it the devkit, and "
            "whole? Download ILSVRC2012_devkit_t12.tar.gz again"
        ) from error


def _parse_devkit(data: bytes) -> _Devkit:
    from scipy.io import loadmat

    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        members = {member.name.rpartition("/")[2]: member for member in tar if member.isfile()}
        ground_truth: Any = tar.extractfile(members["ILSVRC2012_validation_ground_truth.txt"])
        ids = [int(line) for line in ground_truth.read().split()]
        meta: Any = tar.extractfile(members["meta.mat"])
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
    leaves = synsets[synsets["num_children"].astype(int) == 0]
    wnids = [str(wnid) for wnid in leaves["WNID"]]
    by_id = dict(zip(leaves["ILSVRC2012_ID"].astype(int).tolist(), wnids, strict=True))
    counts = dict(zip(wnids, leaves["num_train_images"].astype(int).tolist(), strict=True))
    return _Devkit(by_id, counts, ids)
