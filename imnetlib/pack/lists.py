"""Lists of images: their columns, shuffled, split, held against their classes (chapter 4).

A list of 14 million images is three arrays of about 0.7 GB, never 14 million objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib import catalog
from imnetlib.arguments import (
    Floats,
    Integers,
    Names,
    PathLike,
    real_number,
    require,
    require_several,
    whole_number,
    whole_numbers,
)
from imnetlib.order import shuffled_positions

# Rows of a list that are turned into Python objects or strings at a time.
LINES_PER_BLOCK = 1 << 16
# float32 has every whole number up to here.
EXACT_UP_TO = 1 << 24
# The label of an image whose class is none of those of the labels.
NO_CLASS = -1
# Its multiples fill the unit interval evenly.
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True, eq=False)
class ImageList:
    """Images in order, n of them, with k labels each.

    ``ids``: int64 (n,). ``labels``: float32 (n, k). ``paths``: bytes (n,), relative, UTF-8, with
    ``/``. ``classes``: the class name of each label, if known; the first label of an image is then
    a position in it, or -1 for an image of none of them. Other arrays and sequences become these.
    Raises TypeError for those that hold something else, and ValueError where the arrays disagree,
    for ids beyond int64, labels that are not finite, whole ones that float32 does not have, and
    those of no class.
    """

    ids: Integers
    labels: Floats
    paths: Names
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = whole_numbers("ids", self.ids)
        labels = np.asarray(self.labels)
        paths = _as_paths(self.paths)
        rows = labels.shape[:1]
        if labels.ndim != 2 or labels.shape[1] == 0 or not ids.shape == paths.shape == rows:
            raise ValueError(
                "ids, labels and paths need the shapes (n,), (n, k) and (n,), "
                f"not {ids.shape}, {labels.shape} and {paths.shape}"
            )
        labels = _as_labels(labels)
        classes = class_names(self.classes)
        wrong = _first_of_no_class(labels, len(classes), NO_CLASS) if classes else None
        if wrong is not None:
            raise ValueError(
                f"image {ids[wrong]} has the label {labels[wrong, 0]:g}; the {len(classes):,} "
                f"classes are 0 to {len(classes) - 1}, and {NO_CLASS} is none of them"
            )
        columns = {"ids": ids, "labels": labels, "paths": paths, "classes": classes}
        for name, column in columns.items():
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.ids)


def class_names(classes: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; TypeError for a single one, such as the path of a file of them."""
    require_several("classes", classes)
    return classes if isinstance(classes, tuple) else tuple(map(str, classes))


def _as_paths(paths: ArrayLike) -> Names:
    given = np.asarray(paths)
    if given.dtype.kind == "U":
        return np.char.encode(given, "utf-8", "surrogateescape")
    if given.dtype.kind != "S" and given.size:
        raise TypeError(f"paths are bytes, UTF-8, not {given.dtype}")
    return given.astype(np.bytes_, copy=False)


def _as_labels(given: NDArray[np.generic]) -> Floats:
    """In float32: fractions rounded, whole numbers exactly, or ValueError."""
    # Whole numbers beyond 64 bits come as objects.
    is_numeric = given.dtype.kind in "iuf" or all(isinstance(value, int) for value in given.flat)
    if not is_numeric:
        raise TypeError(f"labels are numbers, float32, not {given.dtype}")
    # What is too large becomes infinite, which is refused.
    with np.errstate(over="ignore"):
        labels = given.astype(np.float32, copy=False)
    if not np.isfinite(labels).all():
        raise ValueError(f"labels are finite in float32, not {given[~np.isfinite(labels)][0]}")
    if labels is not given:
        far = np.abs(labels) >= EXACT_UP_TO
        for value, stored in zip(given[far].tolist(), labels[far].tolist(), strict=True):
            if value == int(value) != int(stored):
                raise ValueError(
                    f"labels are float32, which has no {int(value)}; it has all whole numbers up "
                    f"to {EXACT_UP_TO:,}"
                )
    return labels


def _first_of_no_class(labels: Floats, classes: int, least: int) -> int | None:
    """The first row whose first label is no whole number from ``least`` to ``classes`` - 1."""
    first = labels[:, 0]
    wrong = (first < least) | (first >= classes) | (first != np.floor(first))
    return int(wrong.argmax()) if wrong.any() else None


def select(images: ImageList, positions: Integers | NDArray[np.bool_] | slice) -> ImageList:
    """The images at ``positions``, in that order; everything else stays as it is."""
    return ImageList(
        images.ids[positions], images.labels[positions], images.paths[positions], images.classes
    )


def shuffle(images: ImageList, seed: int) -> ImageList:
    """The same images in the order of :func:`shuffled_positions`; each keeps its id (chapter 4)."""
    return select(images, shuffled_positions(len(images), _require_seed(seed)))


def _require_seed(seed: int) -> int:
    seed = whole_number("seed", seed)
    require(seed >= 0, "seed is 0 or more", seed)
    return seed


def split(
    images: ImageList, fractions: Sequence[float], seed: int, *, stratified: bool = False
) -> tuple[ImageList, ...]:
    """Random parts, one for each of the ``fractions``, which sum to 1 (chapter 4).

    Every image is in exactly one part, in the order of the list, and the size of a part is within
    one of its fraction; with ``stratified`` that holds for each class (first label) by itself.
    Raises ValueError for other fractions.
    """
    fractions = [real_number("a fraction", fraction) for fraction in fractions]
    limits = np.cumsum(fractions)
    # In this form the condition refuses NaN as well.
    sound = min(fractions, default=-1) >= 0 and abs(limits[-1] - 1) <= 1e-9
    require(sound, "fractions of a split must be positive and sum to 1", list(fractions))
    order = shuffled_positions(len(images), _require_seed(seed))
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


def verify_labels(images: ImageList, wnids: Sequence[str], where: PathLike) -> None:
    """Raise ValueError unless the first labels of the list ``where`` are those of ``wnids``.

    A label must be a position in ``wnids``, not -1, and where the folder of an image is a wnid or
    one of the classes, that position (chapter 7).
    """
    wnids = class_names(wnids)
    labels = images.labels[:, 0]
    misfit = _first_of_no_class(images.labels, len(wnids), 0)
    if misfit is not None:
        raise ValueError(
            f"{where}: image {images.ids[misfit]} has the label {labels[misfit]:g}, classes are "
            f"0 to {len(wnids) - 1}: write the list again (chapter 4)"
        )
    known = set(wnids)
    names = np.array([name.encode() for name in wnids])
    for start in range(0, len(images), LINES_PER_BLOCK):
        rows = slice(start, start + LINES_PER_BLOCK)
        paths = images.paths[rows]
        expected = names[labels[rows].astype(np.int64)]
        folders = np.char.rpartition(np.char.rpartition(paths, b"/")[:, 0], b"/")[:, 2]
        for row in np.flatnonzero(folders != expected).tolist():
            folder = folders[row].decode(errors="replace")
            if folder in known or catalog.WNID.fullmatch(folder):
                raise ValueError(
                    f"{where}: label {labels[start + row]:g} is {expected[row].decode()}, but "
                    f"{paths[row].decode()} has it: write the list again (chapter 4)"
                )
