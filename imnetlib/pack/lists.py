"""Lists of images: made from folders or an archive's index, shuffled, split, kept as ``.lst``
(chapter 4).

A ``.lst`` file is MXNet's: one line per image, ``integer TAB label (TAB label …) TAB path``. A list
of 14 million images is three arrays of about 0.7 GB, never 14 million objects.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imnetlib.archive import TarIndex
from imnetlib.files import write_atomically
from imnetlib.order import shuffled_positions

EXTENSIONS = (".jpeg", ".jpg", ".png")
# lines written at a time
ROWS_A_BLOCK = 1 << 16
# bytes read at a time
READ_SIZE = 1 << 22
# its multiples fill the unit interval evenly
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True, eq=False)
class ImageList:
    """Images in order, n of them, with k labels each; raises ValueError where the arrays disagree.

    ``ids``: int64 (n,). ``labels``: float32 (n, k). ``paths``: bytes (n,), relative, UTF-8, with
    ``/``. ``classes``: the class name of each label, if known.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.float32]
    paths: NDArray[np.bytes_]
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or not self.ids.shape == self.paths.shape == self.labels.shape[:1]:
            shapes = f"{self.ids.shape}, {self.labels.shape} and {self.paths.shape}"
            raise ValueError(
                f"ids, labels and paths need the shapes (n,), (n, k) and (n,), not {shapes}"
            )

    def __len__(self) -> int:
        return len(self.ids)


def select(
    images: ImageList, positions: NDArray[np.int64] | NDArray[np.bool_] | slice
) -> ImageList:
    """The images at ``positions``, in that order; everything else stays as it is."""
    return ImageList(
        images.ids[positions], images.labels[positions], images.paths[positions], images.classes
    )


def list_folder(folder: Path, wnids: Sequence[str] | None = None) -> ImageList:
    """The images under ``folder``, one subfolder per class: the label is the position among them,
    sorted (chapter 4).

    Or the position in ``wnids``, if given. JPEG, JPG and PNG in any case, files whose names hold
    numbers in the order of the numbers; names that begin with a dot are left out. Raises OSError
    for a folder that cannot be read and ValueError where there is no class, one that is not in
    ``wnids`` or, since an empty folder would shift all labels after it, one without images.
    """
    with os.scandir(folder) as entries:
        classes = sorted(e.name for e in entries if not e.name.startswith(".") and _is_folder(e))
    if not classes:
        raise ValueError(
            f"{folder} holds no folders: put the images of each class in one named after it, or give the labels "
            "of flat ones (imnet list: --labels)"
        )
    places = _places(folder, classes, classes if wnids is None else wnids)
    found = [_images(folder / name) for name in classes]
    empty = [name for name, images in zip(classes, found, strict=True) if not images]
    if empty:
        raise ValueError(
            f"{folder}: {len(empty)} of {len(classes)} class folders hold no image ({', '.join(empty[:10])}): "
            "name the folder of the class folders itself, with an image in each"
        )
    labels = np.repeat(np.array(places, np.float32), [len(images) for images in found])
    paths = np.concatenate([np.array(images) for images in found])
    return ImageList(np.arange(len(paths)), labels[:, None], paths, tuple(wnids or classes))


def _places(where: Path, classes: Sequence[str], wnids: Sequence[str]) -> list[int]:
    """The position of each of the ``classes`` in ``wnids``; ValueError where one has none, or two."""
    places = {name: place for place, name in enumerate(wnids)}
    if len(places) != len(wnids):
        raise ValueError(
            f"the classes of {where} name each class once, in the order of the labels; "
            f"of these {len(wnids):,} only {len(places):,} differ"
        )
    unknown = [name for name in classes if name not in places]
    if unknown:
        raise ValueError(
            f"{where} holds {len(unknown)} classes that have no label: {', '.join(unknown[:10])}"
        )
    return [places[name] for name in classes]


def list_flat_folder(
    folder: Path, wnids: Sequence[str], classes: Sequence[str] | None = None
) -> ImageList:
    """The flat validation images in ``folder``: ``wnids`` gives the class of image 1, 2, … (chapter
    4).

    As a flat archive in :func:`from_archive`; names that begin with a dot are left out.
    """
    with os.scandir(folder) as entries:
        names = [
            os.fsencode(e.name) for e in entries if not e.name.startswith(".") and not _is_folder(e)
        ]
    return _numbered(folder, names, wnids, classes)


def _images(folder: Path) -> list[bytes]:
    """Class and name of the images in one folder. A dangling link counts: packing will name it."""
    with os.scandir(folder) as entries:
        names = [
            e.name for e in entries if e.name.lower().endswith(EXTENSIONS) and not _is_folder(e)
        ]
    shown = sorted((name for name in names if not name.startswith(".")), key=_natural)
    return [os.fsencode(f"{folder.name}/{name}") for name in shown]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one; a link to itself, for one, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _natural(name: str) -> tuple[str, str]:
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), name), name


def list_archive(
    index: TarIndex, wnids: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> ImageList:
    """The members of an archive; ``paths`` are their names in the index (chapter 4).

    A tar of tars: in archive order. A flat tar: ``wnids`` gives the class of image 1, 2, … as
    numbered in the file names (the order in a tar is no guide); in the order of numbers. Label =
    position of the class in ``classes``, or among the classes there are, sorted. Raises ValueError
    when classes or counts do not fit.
    """
    if index.class_names:
        if wnids is not None:
            raise ValueError(
                f"{index.path} has classes in it: the labels of validation images do not belong to it"
            )
        return _from_classes(index, index.class_names if classes is None else classes)
    if wnids is None:
        raise ValueError(
            f"{index.path} has no classes in it: give the class of each image (imnet list: --labels)"
        )
    return _numbered(index.path, index.names.tolist(), wnids, classes)


def _numbered(
    where: Path, names: Sequence[bytes], wnids: Sequence[str], classes: Sequence[str] | None
) -> ImageList:
    """Images in the order of the numbers at the end of their names, one for each of the ``wnids``."""
    found = [re.search(rb"(\d+)\.\w+$", name) for name in names]
    numbers = np.array([int(digits[1]) if digits else -1 for digits in found], np.int64)
    order = np.argsort(numbers, kind="stable")
    if not np.array_equal(numbers[order], np.arange(1, len(wnids) + 1)):
        between = (
            f", from {names[order[0]].decode()} to {names[order[-1]].decode()}" if names else ""
        )
        raise ValueError(
            f"{where} should hold {len(wnids)} images numbered from 1, one for each wnid; it holds "
            f"{len(names)}{between}"
        )
    there, which = np.unique(np.asarray(wnids), return_inverse=True)
    known = there.tolist() if classes is None else classes
    labels = np.array(_places(where, there.tolist(), known), np.float32)[which]
    return ImageList(np.arange(len(wnids)), labels[:, None], np.array(names)[order], tuple(known))


def verify_labels(images: ImageList, wnids: Sequence[str], where: Path) -> None:
    """ValueError where the first labels in the list ``where`` are not those of the classes
    ``wnids`` (chapter 7).

    A label must be a position in ``wnids``; and where the folder of a path is a wnid, that
    position.
    """
    labels = images.labels[:, 0]
    wrong = (labels < 0) | (labels >= len(wnids)) | (labels != np.floor(labels))
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"{where}: image {images.ids[first]} has the label {labels[first]:g}, classes are "
            f"0 to {len(wnids) - 1}: write the list again (chapter 4)"
        )
    for start in range(0, len(images), ROWS_A_BLOCK):
        some = slice(start, start + ROWS_A_BLOCK)
        paths = images.paths[some]
        expected = np.asarray(wnids, "S")[labels[some].astype(np.int64)]
        parts = np.char.partition(paths, b"/")
        wrong = (parts[:, 1] == b"/") & (parts[:, 0] != expected)
        if wrong.any():
            first = int(wrong.argmax())
            raise ValueError(
                f"{where}: label {labels[start + first]:g} is {expected[first].decode()}, but "
                f"{paths[first].decode()} has it: write the list again (chapter 4)"
            )


def _from_classes(index: TarIndex, classes: Sequence[str]) -> ImageList:
    places = _places(index.path, index.class_names, classes)
    loose = index.names[index.classes < 0]
    if len(loose):
        raise ValueError(
            f"{index.path} holds {len(loose)} files of no class, first {loose[0].decode()}"
        )
    labels = np.array(places, np.float32)[index.classes]
    return ImageList(np.arange(len(index)), labels[:, None], index.names, tuple(classes))


def shuffle(images: ImageList, seed: int) -> ImageList:
    """The same images in the order of :func:`shuffled_positions`; each keeps its id (chapter 4)."""
    return select(images, shuffled_positions(len(images), seed))


def split(
    images: ImageList, fractions: Sequence[float], seed: int, *, stratified: bool = False
) -> tuple[ImageList, ...]:
    """Random parts, one for each of the ``fractions``, which sum to 1; within each the order stays
    (chapter 4).

    Every image is in exactly one part, and every size is within one of its fraction; with
    ``stratified`` that holds for each class (first label) by itself. Raises ValueError for other
    fractions.
    """
    limits = np.cumsum(fractions)
    # so that NaN fails too
    if not (min(fractions, default=-1) >= 0 and abs(limits[-1] - 1) <= 1e-9):
        raise ValueError(
            f"fractions of a split must be positive and sum to 1, not {list(fractions)}"
        )
    order = shuffled_positions(len(images), seed)
    groups = images.labels[order, 0] if stratified else np.zeros(len(order))
    order = order[np.argsort(groups, kind="stable")]
    _, counts = np.unique(groups, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Up for some classes, down for others: rounding all alike would leave nothing of many small
    # classes.
    rounding = (0.5 + np.arange(len(counts)) * GOLDEN) % 1
    part = np.empty(len(order), np.int64)
    part[order] = sum(
        rank >= np.repeat(np.floor(counts * limit + rounding), counts) for limit in limits[:-1]
    )
    return tuple(select(images, part == number) for number in range(len(fractions)))


def write_lst(images: ImageList, path: Path) -> None:
    """Write a ``.lst`` file, whole or not at all, the bytes im2rec writes (chapter 4). 0.4 s a
    million lines.

    Labels that six decimals cannot hold are written with nine digits. Raises ValueError for paths
    that the format cannot hold: with a tab, a line break or another control character, or a space
    at either end.
    """
    exact = np.array_equal(
        np.round(images.labels.astype(np.float64), 6).astype(np.float32), images.labels
    )
    columns = images.labels.shape[1] + 2
    line = b"\t".join([b"%d", *[b"%f" if exact else b"%.9g"] * (columns - 2), b"%s"]) + b"\n"
    with write_atomically(path) as out:
        for start in range(0, len(images), ROWS_A_BLOCK):
            some = select(images, slice(start, start + ROWS_A_BLOCK))
            fields: list[object] = [None] * (columns * len(some))
            fields[0::columns] = some.ids.tolist()
            fields[columns - 1 :: columns] = some.paths.tolist()
            for number in range(columns - 2):
                fields[number + 1 :: columns] = some.labels[:, number].tolist()
            text = line * len(some) % tuple(fields)
            controls = len(text) - len(text.translate(None, bytes(range(32))))
            if (
                controls != columns * len(some)
                or b" \n" in text
                or b"\t " in text
                or b"\t\n" in text
            ):
                raise ValueError(
                    f"{path}: {_unfit(some.paths)!r} cannot stand in a .lst file: rename it"
                )
            out.write(text)


def _unfit(paths: NDArray[np.bytes_]) -> bytes:
    names: list[bytes] = paths.tolist()
    return next(name for name in names if name != name.strip() or re.search(rb"^$|[\0-\x1f]", name))


def read_lst(path: Path, classes: Sequence[str] = ()) -> ImageList:
    """Read a ``.lst`` file of any MXNet: labels as ``0.000000`` or ``0``, several if all lines have
    as many.

    Spaces around a field are not part of it, as for im2rec (chapter 4); blank lines, and the mark
    with which some editors begin a file, are passed over. About 1.5 s a million lines. Raises
    ValueError with the line number for a line that is not integer, labels, path; and for an empty
    file.
    """
    parts: list[_Columns] = []
    lines = 0
    with path.open("rb") as file:
        while chunk := file.read(READ_SIZE) + file.readline():
            texts = (chunk if lines else chunk.removeprefix(codecs.BOM_UTF8)).splitlines()
            rows = [text.split(b"\t") for text in texts if text.strip()]
            if rows:
                width = parts[0][1].shape[1] + 2 if parts else len(rows[0])
                columns = _columns(rows, width)
                if columns is None:
                    raise _bad_line(path, texts, lines, width)
                parts.append(columns)
            lines += len(texts)
    if not parts:
        raise ValueError(f"{path} names no image: it is empty")
    ids, labels, paths = zip(*parts, strict=True)
    return ImageList(
        np.concatenate(ids), np.concatenate(labels), np.concatenate(paths), tuple(classes)
    )


_Columns = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bytes_]]


def _columns(rows: list[list[bytes]], width: int) -> _Columns | None:
    """Ids, labels and paths of lines split at their tabs; None where a line is not ``width`` good
    fields.
    """
    try:
        number, *values, name = zip(*rows, strict=True)
        ids = np.array(number).astype(np.int64)
        # becomes infinite, and that is refused below
        with np.errstate(over="ignore"):
            labels = np.stack([np.array(value).astype(np.float32) for value in values], axis=1)
    except (ValueError, OverflowError):
        return None
    paths = np.array([each.strip() for each in name])
    sound = (
        len(values) == width - 2 and bool(np.isfinite(labels).all()) and bool((paths != b"").all())
    )
    return (ids, labels, paths) if sound else None


def _bad_line(path: Path, texts: list[bytes], before: int, width: int) -> ValueError:
    """The error for the first bad one of these lines."""
    place = next(
        i
        for i, text in enumerate(texts)
        if text.strip() and not _columns([text.split(b"\t")], width)
    )
    found = texts[place][:120].decode("utf-8", "replace")
    wanted = f"an integer, {max(width - 2, 1)} label(s) and a path, with tabs between"
    return ValueError(f"{path}, line {before + place + 1}: expected {wanted}, found {found!r}")
