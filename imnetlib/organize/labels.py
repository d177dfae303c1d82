"""The class of each validation image, and the number of training images a class (chapter 2)."""

from __future__ import annotations

import csv
import gzip
import io
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imnetlib import catalog
from imnetlib.archive import TarIndex, is_gzip, is_tar, packing_of, read_head, refuse_packed
from imnetlib.arguments import PathLike, require_type
from imnetlib.files import listed_names
from imnetlib.organize.names import VALIDATION_PATH, require_same_names, validation_name

# Bytes: a tar's header, and more than any of the tables has.
_HEAD = 512
_LARGEST = 1 << 28


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

    A spreadsheet may have saved it: tabs or semicolons, quotes, empty rows. ValueError for another
    table, for image numbers that are not 1, 2, … without a gap, each once, and for classes with
    unequal numbers of images.
    """
    solution = Path(solution)
    text = _read_text(solution)
    labels: dict[str, str] = {}
    try:
        for image, prediction in _columns(text, "ImageId", "PredictionString"):
            name = f"{image}.JPEG"
            if name in labels:
                raise ValueError(f"{solution} has {image} twice: download it again")
            labels[name] = prediction.split()[0]
    except (LookupError, csv.Error) as error:
        raise ValueError(
            f"{solution} has no ImageId and PredictionString after {len(labels):,} images: "
            "is it Kaggle's LOC_val_solution.csv, and whole? Download it again"
        ) from error
    names = [validation_name(number) for number in range(1, len(labels) + 1)]
    beyond = labels.keys() - set(names)
    if beyond and all(map(VALIDATION_PATH.fullmatch, map(str.encode, beyond))):
        raise ValueError(
            f"{solution} lacks the rows of some images ({listed_names(set(names) - labels.keys())})"
            f", as its {len(labels):,} rows go on to {max(beyond)}: download it again"
        )
    require_same_names(set(labels), set(names), solution)
    in_order = tuple(labels[name] for name in names)
    _require_equal_shares(in_order, solution, len(set(in_order)))
    return in_order


def _columns(text: str, *titles: str) -> Iterator[list[str]]:
    """The cells under ``titles``, row by row, without empty rows; LookupError for a missing one."""
    # Excel's own line, sep=; says how the others are to be split.
    text = re.sub(r"\A\s*sep=.[ \t]*\r?\n", "", text, flags=re.IGNORECASE)
    first_line = text.lstrip().partition("\n")[0]
    delimiter = next((mark for mark in ";\t" if mark in first_line), ",")
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    filled = filter(any, ([cell.strip() for cell in row] for row in table))
    column_of = {title.casefold(): column for column, title in enumerate(next(filled, []))}
    columns = [column_of[title.casefold()] for title in titles]
    for row in filled:
        yield [row[column] for column in columns]


def read_labels(source: PathLike) -> tuple[str, ...]:
    """The same labels from Kaggle's .csv or the development kit, told by content (chapter 2).

    Either may be compressed by gzip or not, as a browser leaves it. ValueError for another file.
    """
    source = Path(source)
    head = _read(source)[:_HEAD]
    if is_tar(head):
        return labels_from_devkit(source)
    # Of text in UTF-16, every other byte is NUL.
    if b"imageid" in head.replace(b"\0", b"").lower():
        return labels_from_kaggle(source)
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
    require_type(index, TarIndex, "counts come from a TarIndex, as archive.open_index gives it")
    if not index.class_names:
        raise ValueError(
            f"{index.path} is a tar without class tars or class folders: it is not the training "
            "archive"
        )
    counts = np.bincount(index.classes[index.classes >= 0], minlength=len(index.class_names))
    return dict(zip(index.class_names, counts.tolist(), strict=True))


def train_counts(source: PathLike) -> dict[str, int]:
    """How many training images each class should have, from any of three files (chapter 2).

    The training archive's ``.npz`` index, the development kit, or Kaggle's ``train_cls.txt``, told
    by content; the latter two may be compressed by gzip or not. ValueError for another file.
    """
    source = Path(source)
    packing = packing_of(read_head(source))
    if packing is not None and packing.name == "zip":
        return train_counts_from_index(TarIndex.load(source))
    if is_tar(_read(source)[:_HEAD]):
        return _read_devkit(source).train_counts
    remedy = (
        "name the training archive's .npz (imnet index makes it), the development kit .tar.gz or "
        "Kaggle's train_cls.txt"
    )
    return {wnid: len(names) for wnid, names in read_train_list(source, remedy).items()}


def read_train_list(source: Path, remedy: str) -> dict[str, set[str]]:
    """The training images of each class, without .JPEG, by Kaggle's train_cls.txt.

    Its lines are ``<wnid>/<name>`` and a number. ValueError, with the ``remedy``, for another file.
    """
    images: dict[str, set[str]] = {}
    for line in _read_text(source).splitlines():
        if not line.strip():
            continue
        wnid, _, name = line.split()[0].partition("/")
        if not (name and catalog.WNID.fullmatch(wnid)):
            raise ValueError(f"{source} gives no counts, as a line is {line[:80]!r}: {remedy}")
        images.setdefault(wnid, set()).add(name)
    if not images:
        raise ValueError(f"{source} is empty: is it Kaggle's train_cls.txt?")
    return images


def _read(path: Path, remedy: str = "download it again") -> bytes:
    """The bytes of a table or the devkit, uncompressed if gzip compressed them, whatever its name.

    ValueError, with the ``remedy``, for a damaged file, for one too large to be either, and for one
    that is packed in another way.
    """
    try:
        with gzip.open(path) if is_gzip(path) else path.open("rb") as file:
            # All of it, for gzip's checksum is at the end.
            data = file.read(_LARGEST + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {error}): {remedy}"
        ) from error
    if len(data) > _LARGEST:
        raise ValueError(f"{path} is too large to be a table of Kaggle's or the development kit")
    # The parts of a workbook stand in its zip by name; older ones are OLE files.
    if (data.startswith(b"PK") and b"xl/" in data) or data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ValueError(f"{path} is a spreadsheet's own file (.xlsx): save it as CSV in UTF-8")
    refuse_packed(data, path)
    return data


def _read_text(path: Path) -> str:
    """A table, with or without a byte-order mark; ValueError for other text than UTF-8."""
    data = _read(path)
    wide = catalog.wide_encoding(data)
    if wide:
        raise ValueError(
            f"{path} is in {wide}, as spreadsheets write it: save it as CSV in UTF-8, or download "
            "it again"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: download it again") from error


def _read_devkit(devkit: Path) -> _Devkit:
    # This import takes 0.2 s.
    from scipy.io.matlab import MatReadError

    remedy = "is it the devkit, and whole? Download ILSVRC2012_devkit_t12.tar.gz again"
    data = _read(devkit, remedy)
    damage = (tarfile.TarError, MatReadError, LookupError, ValueError, TypeError)
    try:
        return _parse_devkit(data)
    except (*damage, NotImplementedError) as error:
        raise ValueError(
            f"{devkit} cannot be read ({type(error).__name__}: {error}): {remedy}"
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
