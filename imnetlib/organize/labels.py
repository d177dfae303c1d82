"""The class of each validation image, from each source that has it (chapter 2)."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from imnetlib import catalog
from imnetlib.archive import TarIndex
from imnetlib.files import first_names
from imnetlib.organize.names import require_same_names, validation_name


def labels_from_devkit(devkit: Path) -> tuple[str, ...]:
    """The wnid of validation image 1, 2, … from ILSVRC2012_devkit_t12.tar.gz, read without
    unpacking (chapter 2).

    Its ground truth holds ids in file-name order; ``meta.mat`` gives each id's wnid, in the rows
    without children. ValueError for a cut or another file, an id that is no class and classes with
    unequal numbers of images.
    """
    wnids, _, ids = _from_devkit(devkit)
    if strange := set(ids) - wnids.keys():
        raise ValueError(
            f"{devkit}: the ground truth has ids that are no class: {first_names(map(str, strange))}"
        )
    return _equal_shares(tuple(wnids[i] for i in ids), devkit, len(wnids))


def _from_devkit(devkit: Path) -> tuple[dict[int, str], dict[str, int], list[int]]:
    # 0.2 s, for this function alone
    from scipy.io.matlab import MatReadError

    try:
        return _read_devkit(devkit)
    except (
        # cut or damaged
        *(tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),
        # other files, other fields
        *(MatReadError, LookupError, ValueError, TypeError, NotImplementedError),
    ) as error:
        raise ValueError(
            f"{devkit} cannot be read ({type(error).__name__}: {error}): is it the devkit, and whole? Download "
            "ILSVRC2012_devkit_t12.tar.gz again"
        ) from error


def train_counts_from_devkit(devkit: Path) -> dict[str, int]:
    """How many training images each class has, as the development kit's ``meta.mat`` says (chapter
    2).
    """
    return _from_devkit(devkit)[1]


def _read_devkit(devkit: Path) -> tuple[dict[int, str], dict[str, int], list[int]]:
    """The wnid of each class id, the training images of each wnid, and the id of each validation
    image.
    """
    from scipy.io import loadmat

    files = {}
    with gzip.open(devkit) as packed:
        # to its end, for there is the checksum; 2.5 MB
        data = io.BytesIO(packed.read())
    with tarfile.open(fileobj=data, mode="r:") as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            if name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt") and (
                opened := tar.extractfile(member)
            ):
                files[name] = opened.read()
    synsets = loadmat(io.BytesIO(files["meta.mat"]), squeeze_me=True)["synsets"]  # type: ignore[arg-type]
    leaves = synsets[synsets["num_children"].astype(int) == 0]
    wnids = [str(wnid) for wnid in leaves["WNID"]]
    by_id = dict(zip(leaves["ILSVRC2012_ID"].astype(int).tolist(), wnids, strict=True))
    counts = dict(zip(wnids, leaves["num_train_images"].astype(int).tolist(), strict=True))
    return (
        by_id,
        counts,
        [int(line) for line in files["ILSVRC2012_validation_ground_truth.txt"].split()],
    )


def labels_from_catalog() -> tuple[str, ...]:
    """The same labels from the list that comes with the course."""
    return catalog.validation_wnids()


def labels_from_kaggle(solution: Path) -> tuple[str, ...]:
    """The same labels from Kaggle's LOC_val_solution.csv, whose rows stand in no order (chapter 2).

    ValueError for another table, for image numbers that are not 1, 2, … without a gap, and for
    unequal shares.
    """
    labels: dict[str, str] = {}
    with solution.open(newline="", encoding="ascii") as table:
        try:
            for row in csv.DictReader(table):
                labels[f"{row['ImageId']}.JPEG"] = row["PredictionString"].split()[0]
        except (LookupError, AttributeError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"{solution} has no ImageId and PredictionString after {len(labels):,} images: "
                "is it Kaggle's LOC_val_solution.csv, and whole? Download it again"
            ) from error
    names = [validation_name(i) for i in range(1, len(labels) + 1)]
    require_same_names(set(labels), set(names), solution)
    return _equal_shares(tuple(labels[name] for name in names), solution, len(set(labels.values())))


def read_labels(source: Path) -> tuple[str, ...]:
    """The same labels from either file: Kaggle's .csv, or the development kit's .tar.gz (chapter
    2).

    ValueError for a file that is called otherwise.
    """
    if source.suffix == ".csv":
        return labels_from_kaggle(source)
    if source.suffix in (".gz", ".tgz"):
        return labels_from_devkit(source)
    raise ValueError(
        f"{source} gives no labels: name the development kit .tar.gz or Kaggle's LOC_val_solution.csv"
    )


def _equal_shares(wnids: tuple[str, ...], source: Path, classes: int) -> tuple[str, ...]:
    """``wnids``, if each class has as many images as any other; a cut file shows here."""
    counts = Counter(wnids)
    if odd := [wnid for wnid in counts if not catalog.WNID.fullmatch(wnid)]:
        raise ValueError(f"{source}: not all labels are wnids like n02510455: {first_names(odd)}")
    if len(counts) != classes or len(set(counts.values())) != 1:
        least = min(counts.values(), default=0)
        most = max(counts.values(), default=0)
        raise ValueError(
            f"{source}: {len(counts)} of {classes} classes have labels, {least} to {most} each: not whole"
        )
    return wnids


def train_counts_from_index(index: TarIndex) -> dict[str, int]:
    """How many training images each class has in its archive (chapter 2)."""
    if not index.class_names:
        raise ValueError(
            f"{index.path} is a tar without class tars: it is not the training archive"
        )
    counted = np.bincount(index.classes[index.classes >= 0], minlength=len(index.class_names))
    return dict(zip(index.class_names, counted.tolist(), strict=True))


def train_counts(source: Path) -> dict[str, int]:
    """How many training images each class should have, from any of three files (chapter 2).

    The training archive's ``.npz`` index, the development kit's ``.tar.gz``, or Kaggle's
    ``train_cls.txt`` (ILSVRC/ImageSets/CLS-LOC), whose lines begin with ``<wnid>/<name>``.
    ValueError for another file.
    """
    if source.suffix == ".npz":
        return train_counts_from_index(TarIndex.load(source))
    if source.suffix not in (".npz", ".txt", ".gz", ".tgz"):
        raise ValueError(
            f"{source} gives no counts: name the training archive's .npz (imnet index makes it), the development kit "
            ".tar.gz or Kaggle's train_cls.txt"
        )
    if source.suffix == ".txt":
        counts = Counter(
            line.partition("/")[0] for line in source.read_text(encoding="utf-8").splitlines()
        )
        if not counts:
            raise ValueError(f"{source} is empty: is it Kaggle's train_cls.txt?")
        if odd := [wnid for wnid in counts if not catalog.WNID.fullmatch(wnid)]:
            raise ValueError(
                f"{source}: not all lines begin with <wnid>/ ({odd[0][:80]!r}): is it train_cls.txt?"
            )
        return dict(counts)
    return train_counts_from_devkit(source)
