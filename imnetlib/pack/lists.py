"""Lists of images: made from folders or an archive's index, shuffled, split (chapter 4).

A list of 14 million images is three arrays of about 0.7 GB, never 14 million objects.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imnetlib.archive import TarIndex
from imnetlib.arguments import require
from imnetlib.files import listed_names
from imnetlib.order import shuffled_positions

EXTENSIONS = (".jpeg", ".jpg", ".png")
# Rows of a list that are turned into Python objects or strings at a time.
LINES_PER_BLOCK = 1 << 16
# Its multiples fill the unit interval evenly.
_GOLDEN = (5**0.5 - 1) / 2


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
            raise ValueError(
                "ids, labels and paths need the shapes (n,), (n, k) and (n,), "
                f"not {self.ids.shape}, {self.labels.shape} and {self.paths.shape}"
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
    """List the images in the class folders of ``folder`` (chapter 4).

    The label of a class is its position in ``wnids``, or else among the folders, sorted. Images are
    .jpeg, .jpg and .png files, in any case, without those that begin with a dot; a_10 comes after
    a_9. Raises OSError for a folder that cannot be read and ValueError where there is no class, one
    that is not in ``wnids``, or one without images, which would shift all labels after it.
    """
    classes = sorted(_names(folder, folders=True))
    if not classes:
        raise ValueError(
            f"{folder} holds no folders: put the images of each class in one named after it, "
            "or give the labels of flat ones (imnet list: --labels)"
        )
    labels = _positions(folder, classes, classes if wnids is None else wnids)
    images = [_images(folder / name) for name in classes]
    empty = [name for name, paths in zip(classes, images, strict=True) if not paths]
    if empty:
        raise ValueError(
            f"{folder}: {len(empty)} of {len(classes)} class folders hold no image "
            f"({listed_names(empty)}): name the folder of the class folders itself, "
            "with an image in each"
        )
    column = np.repeat(np.array(labels, np.float32), [len(paths) for paths in images])
    paths = np.concatenate([np.array(paths) for paths in images])
    return ImageList(np.arange(len(paths)), column[:, None], paths, tuple(wnids or classes))


def list_flat_folder(
    folder: Path, wnids: Sequence[str], classes: Sequence[str] | None = None
) -> ImageList:
    """List the validation images that lie in ``folder`` itself (chapter 4).

    As a flat archive in :func:`list_archive`; names that begin with a dot are left out.
    """
    names = [os.fsencode(name) for name in _names(folder, folders=False)]
    return _numbered(folder, names, wnids, classes)


def list_archive(
    index: TarIndex, wnids: Sequence[str] | None = None, classes: Sequence[str] | None = None
) -> ImageList:
    """List the members of an archive; ``paths`` are their names in the index (chapter 4).

    A tar of tars: in archive order. A flat tar: in the order of the numbers in the file names (the
    order in a tar is no guide), and ``wnids`` gives the class of image 1, 2, … The label of a class
    is its position in ``classes``, or else among the classes that occur, sorted. Raises ValueError
    where classes or counts do not fit.
    """
    if not index.class_names:
        if wnids is None:
            raise ValueError(
                f"{index.path} has no classes in it: "
                "give the class of each image (imnet list: --labels)"
            )
        return _numbered(index.path, index.names.tolist(), wnids, classes)

    if wnids is not None:
        raise ValueError(
            f"{index.path} has classes in it: the labels of validation images do not belong to it"
        )
    classes = index.class_names if classes is None else classes
    labels = np.array(_positions(index.path, index.class_names, classes), np.float32)
    loose = index.names[index.classes < 0]
    if len(loose):
        first = loose[0].decode()
        raise ValueError(f"{index.path} holds {len(loose)} files of no class, first {first}")
    column = labels[index.classes]
    return ImageList(np.arange(len(index)), column[:, None], index.names, tuple(classes))


def _numbered(
    where: Path, names: Sequence[bytes], wnids: Sequence[str], classes: Sequence[str] | None
) -> ImageList:
    """Images in the order of the numbers that end their names, one for each of the ``wnids``."""
    matches = [re.search(rb"(\d+)\.\w+$", name) for name in names]
    numbers = np.array([int(match[1]) if match else -1 for match in matches], np.int64)
    order = np.argsort(numbers, kind="stable")
    if not np.array_equal(numbers[order], np.arange(1, len(wnids) + 1)):
        ends = f", from {names[order[0]].decode()} to {names[order[-1]].decode()}" if names else ""
        raise ValueError(
            f"{where} should hold {len(wnids)} images numbered from 1, one for each wnid; "
            f"it holds {len(names)}{ends}"
        )
    occurring, class_of_image = np.unique(np.asarray(wnids), return_inverse=True)
    classes = occurring.tolist() if classes is None else classes
    labels = np.array(_positions(where, occurring.tolist(), classes), np.float32)
    column = labels[class_of_image]
    return ImageList(np.arange(len(wnids)), column[:, None], np.array(names)[order], tuple(classes))


def _positions(where: Path, classes: Sequence[str], wnids: Sequence[str]) -> list[int]:
    """The position of each of the ``classes`` in ``wnids``; ValueError unless there is just one."""
    positions = {name: position for position, name in enumerate(wnids)}
    if len(positions) != len(wnids):
        raise ValueError(
            f"the classes of {where} name each class once, in the order of the labels; "
            f"of these {len(wnids):,} only {len(positions):,} differ"
        )
    unknown = [name for name in classes if name not in positions]
    if unknown:
        raise ValueError(
            f"{where} holds {len(unknown)} classes that have no label: {listed_names(unknown)}"
        )
    return [positions[name] for name in classes]


def _images(folder: Path) -> list[bytes]:
    """The paths CLASS/NAME of one class. A dangling link counts: packing will name it."""
    names = [name for name in _names(folder, folders=False) if name.lower().endswith(EXTENSIONS)]
    return [os.fsencode(f"{folder.name}/{name}") for name in sorted(names, key=_natural)]


def _natural(name: str) -> tuple[str, str]:
    """A key that sorts the numbers in names as numbers."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), name), name


def _names(folder: Path, *, folders: bool) -> list[str]:
    """What is in ``folder`` without a dot before its name: the folders, or all but those."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
        return [entry.name for entry in shown if _is_folder(entry) == folders]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, for instance.
        return False


def shuffle(images: ImageList, seed: int) -> ImageList:
    """The same images in the order of :func:`shuffled_positions`; each keeps its id (chapter 4)."""
    return select(images, shuffled_positions(len(images), seed))


def split(
    images: ImageList, fractions: Sequence[float], seed: int, *, stratified: bool = False
) -> tuple[ImageList, ...]:
    """Random parts, one for each of the ``fractions``, which sum to 1 (chapter 4).

    Every image is in exactly one part, in the order of the list, and the size of a part is within
    one of its fraction; with ``stratified`` that holds for each class (first label) by itself.
    Raises ValueError for other fractions.
    """
    limits = np.cumsum(fractions)
    # In this form the condition refuses NaN as well.
    sound = min(fractions, default=-1) >= 0 and abs(limits[-1] - 1) <= 1e-9
    require(sound, "fractions of a split must be positive and sum to 1", list(fractions))
    order = shuffled_positions(len(images), seed)
    groups = images.labels[order, 0] if stratified else np.zeros(len(order))
    order = order[np.argsort(groups, kind="stable")]
    _, counts = np.unique(groups, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Up for some classes, down for others: if all were rounded alike, many small classes would lose
    # their share of a part.
    rounding = (0.5 + np.arange(len(counts)) * _GOLDEN) % 1
    part = np.zeros(len(order), np.int64)
    for limit in limits[:-1]:
        part[order] += rank >= np.repeat(np.floor(counts * limit + rounding), counts)
    return tuple(select(images, part == number) for number in range(len(fractions)))


def verify_labels(images: ImageList, wnids: Sequence[str], where: Path) -> None:
    """Raise ValueError unless the first labels of the list ``where`` are those of ``wnids``.

    A label must be a position in ``wnids``, and where the folder of a path is a wnid, that
    position (chapter 7).
    """
    labels = images.labels[:, 0]
    wrong = (labels < 0) | (labels >= len(wnids)) | (labels != np.floor(labels))
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(
            f"{where}: image {images.ids[first]} has the label {labels[first]:g}, classes are "
            f"0 to {len(wnids) - 1}: write the list again (chapter 4)"
        )
    for start in range(0, len(images), LINES_PER_BLOCK):
        rows = slice(start, start + LINES_PER_BLOCK)
        paths = images.paths[rows]
        expected = np.asarray(wnids, "S")[labels[rows].astype(np.int64)]
        folders, slashes, _ = np.char.partition(paths, b"/").T
        wrong = (slashes == b"/") & (folders != expected)
        if wrong.any():
            first = int(wrong.argmax())
            raise ValueError(
                f"{where}: label {labels[start + first]:g} is {expected[first].decode()}, but "
                f"{paths[first].decode()} has it: write the list again (chapter 4)"
            )
