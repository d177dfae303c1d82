"""Lists made from class folders, flat folders and archives' indexes (chapter 4)."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imnetlib.archive import TarIndex
from imnetlib.arguments import Integers, Names, PathLike, require, require_several, require_type
from imnetlib.catalog import IMAGE_EXTENSIONS, WNID
from imnetlib.files import listed_names
from imnetlib.pack.lists import LINES_PER_BLOCK, NO_CLASS, ImageList, class_names, select

# Those that im2rec takes.
EXTENSIONS = (".jpeg", ".jpg", ".png")
# The parquet release puts the class behind it: ILSVRC2012_val_00000001_n01751748.JPEG.
_NUMBER = re.compile(rb"(\d+)(?:_(n\d{8}))?\.\w+$")
_LOWER = np.frombuffer(bytes(range(256)).lower(), np.uint8)

Unknown: TypeAlias = Literal["refuse", "keep", "omit"]


def list_folder(
    folder: PathLike,
    wnids: Sequence[str] | None = None,
    *,
    extensions: Sequence[str] = EXTENSIONS,
    unknown: Unknown = "refuse",
) -> ImageList:
    """List the images in the class folders of ``folder`` (chapter 4).

    The label of a class is its position in ``wnids``, or else among the folders in natural order:
    10 comes after 9, and so do images in their folders. Images are the files with one of the
    ``extensions``, in any case of letters, but for names that begin with a dot; a warning for each
    kind of the others says how many there are. ``unknown``: what becomes of images whose class is
    not in ``wnids``. With "keep" they get the label -1, with "omit" they are left out, and a
    warning names the classes. Raises OSError for a folder that cannot be read and ValueError where
    there is no class, no image, a class that is not in ``wnids`` ("refuse"), or, without
    ``wnids``, one without images, which would shift all labels after it.
    """
    folder = Path(folder)
    taken = _require_extensions(extensions)
    others = _Others(folder)
    names = []
    for name, is_folder in _shown(folder, "", others):
        if is_folder:
            names.append(name)
        else:
            others.add("files beside the class folders", name)
    if not names:
        raise ValueError(
            f"{folder} holds no folders: put the images of each class in one named after it, "
            "or give the labels of flat ones (imnet list: --labels)"
        )
    # For classes in plain order the list has the bytes of im2rec's.
    names.sort(key=_natural if wnids is None else None)
    # As arrays, since millions of bytes objects take three times the memory.
    images = [np.array(_images(folder / name, f"{name}/", taken, others)) for name in names]
    others.warn()
    counts = np.array([len(paths) for paths in images])
    present = _require_images(folder, names, counts, wnids)
    members = [paths for paths in images if len(paths)]
    class_of_image = np.repeat(np.arange(len(present)), counts[counts > 0])
    return labelled(folder, np.concatenate(members), class_of_image, present, wnids, unknown)


def list_flat_folder(
    folder: PathLike,
    wnids: Sequence[str],
    classes: Sequence[str] | None = None,
    *,
    extensions: Sequence[str] = EXTENSIONS,
    unknown: Unknown = "refuse",
) -> ImageList:
    """List the validation images that lie in ``folder`` itself (chapter 4).

    As a flat archive in :func:`list_archive`, with the ``extensions`` of :func:`list_folder`.
    """
    folder = Path(folder)
    others = _Others(folder)
    names = _images(folder, "", _require_extensions(extensions), others)
    others.warn()
    return _numbered(folder, names, wnids, classes, unknown)


def list_archive(
    index: TarIndex,
    wnids: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    extensions: Sequence[str] = EXTENSIONS,
    unknown: Unknown = "refuse",
) -> ImageList:
    """List the images of an archive; ``paths`` are their names in the index (chapter 4).

    A tar of tars: in archive order. A flat tar: in the order of the numbers in the file names (the
    order in a tar is no guide), and ``wnids`` gives the class of image 1, 2, … The label of a class
    is its position in ``classes``, or else among the classes that occur, in natural order.
    ``extensions`` and ``unknown``: as in :func:`list_folder`, the latter for classes that are not
    in ``classes``. Where names begin with another wnid than that of their class, a warning says
    so. Raises ValueError where classes or counts do not fit, a name ends in another class than its
    label, or an image is of no class.
    """
    require_type(index, TarIndex, "index is a TarIndex (archive.open_index gives one)")
    index = _images_of(index, _require_extensions(extensions))
    if not index.class_names:
        if wnids is None:
            raise ValueError(
                f"{index.path} has no classes in it: "
                "give the class of each image (imnet list: --labels)"
            )
        return _numbered(index.path, index.names.tolist(), wnids, classes, unknown)

    if wnids is not None:
        raise ValueError(
            f"{index.path} has classes in it: the labels of validation images do not belong to it"
        )
    loose = index.names[index.classes < 0]
    if len(loose):
        raise ValueError(
            f"{index.path} holds {len(loose):,} images of no class, first {loose[0].decode()}: "
            "unpack it, then list each folder of class folders (train/ and val/, say) by itself"
        )
    counts = np.bincount(index.classes, minlength=len(index.class_names))
    present = _require_images(index.path, index.class_names, counts, classes)
    class_of_image = (np.cumsum(counts > 0) - 1)[index.classes]
    return labelled(index.path, index.names, class_of_image, present, classes, unknown)


def _images_of(index: TarIndex, taken: tuple[str, ...]) -> TarIndex:
    """The index without what is no image by its name; a warning a kind says how many."""
    suffixes = [np.frombuffer(os.fsencode(extension), np.uint8) for extension in taken]
    width = max(map(len, suffixes))
    is_image = np.empty(len(index), bool)
    for start in range(0, len(index), LINES_PER_BLOCK):
        rows = slice(start, start + LINES_PER_BLOCK)
        text, file_name = _letters(index.names[rows])
        hidden = _window(text, file_name, 1)[:, 0] == ord(".")
        end = np.char.str_len(index.names[rows])
        tail = _LOWER[_window(text, end - width, width)]
        ends = [(tail[:, -len(suffix) :] == suffix).all(1) for suffix in suffixes]
        is_image[rows] = ~hidden & np.any(ends, axis=0)
    if is_image.all():
        return index
    others = _Others(index.path)
    for name in map(os.fsdecode, index.names[~is_image].tolist()):
        others.add(_kind(name.rpartition("/")[2], taken), name)
    others.warn()
    return index.select(np.flatnonzero(is_image))


def _letters(names: Names) -> tuple[NDArray[np.uint8], Integers]:
    """The bytes of names (n, width), and where the file name begins in each (n,)."""
    text = np.ascontiguousarray(names).view(np.uint8).reshape(len(names), -1)
    columns = np.arange(1, text.shape[1] + 1, dtype=np.min_scalar_type(text.shape[1]))
    return text, ((text == ord("/")) * columns).max(1).astype(np.int64)


def _window(text: NDArray[np.uint8], start: Integers, width: int) -> NDArray[np.uint8]:
    """``width`` bytes of each row from ``start`` on (n, width); those outside of it repeat."""
    columns = (start[:, None] + np.arange(width)).clip(0, text.shape[1] - 1)
    return np.take_along_axis(text, columns, 1)


def _require_images(
    where: Path, names: Sequence[str], counts: Integers, classes: Sequence[str] | None
) -> list[str]:
    """The classes with images; ValueError where there are none, or the others shift labels."""
    present = [name for name, count in zip(names, counts.tolist(), strict=True) if count]
    if not present or (len(present) < len(names) and classes is None):
        empty = set(names).difference(present)
        raise ValueError(
            f"{where}: {len(empty)} of {len(names)} class folders hold no image "
            f"({listed_names(empty)}): name the folder of the class folders itself, "
            "with an image in each, or the classes (imnet list: --classes)"
        )
    return present


def _numbered(
    where: Path,
    names: Sequence[bytes],
    wnids: Sequence[str],
    classes: Sequence[str] | None,
    unknown: Unknown,
) -> ImageList:
    """Images in the order of the numbers that end their names, one for each of the ``wnids``."""
    wnids = class_names(wnids)
    matches = [re.search(_NUMBER, name) for name in names]
    numbers = [int(match[1]) if match else -1 for match in matches]
    order = sorted(range(len(names)), key=numbers.__getitem__)
    if sorted(numbers) != list(range(1, len(wnids) + 1)) or not names:
        ends = f", from {names[order[0]].decode()} to {names[order[-1]].decode()}" if names else ""
        raise ValueError(
            f"{where} should hold {len(wnids)} images numbered from 1, one for each wnid; "
            f"it holds {len(names)}{ends}"
        )
    wrong = [
        f"{names[row].decode()} of {wnid}"
        for row, wnid in zip(order, wnids, strict=True)
        if (match := matches[row])
        and match[2] not in (None, wnid.encode())
        and WNID.fullmatch(wnid)
    ]
    if wrong:
        raise ValueError(
            f"{where}: {len(wrong):,} of {len(names):,} names end in another class than the labels "
            f"give them, first {wrong[0]}: the labels are those of other images"
        )
    occurring, class_of_image = np.unique(np.asarray(wnids), return_inverse=True)
    paths = np.array(names)[order]
    return labelled(where, paths, class_of_image, occurring.tolist(), classes, unknown)


def labelled(
    where: Path,
    paths: Names,
    class_of_image: NDArray[np.integer[Any]],
    present: Sequence[str],
    classes: Sequence[str] | None,
    unknown: Unknown,
) -> ImageList:
    """The list of the images ``paths``.

    Args:
        where: The folder or the archive, for messages.
        paths: (n,), in the order of the list.
        class_of_image: (n,), positions in ``present``.
        present: The classes that have images.
        classes: The class of each label, or None for those of ``present`` in natural order.
        unknown: What becomes of images of other classes.
    """
    require(unknown in ("refuse", "keep", "omit"), "unknown is refuse, keep or omit", unknown)
    order = tuple(sorted(present, key=_natural)) if classes is None else class_names(classes)
    positions = {name: position for position, name in enumerate(order)}
    if len(positions) != len(order):
        raise ValueError(
            f"the classes of {where} name each class once, in the order of the labels; "
            f"of these {len(order):,} only {len(positions):,} differ"
        )
    lacking = [name for name in present if name not in positions]
    if lacking and unknown == "refuse":
        raise ValueError(
            f"{where} holds {len(lacking):,} classes that have no label: {listed_names(lacking)}: "
            f"name them among the classes, or keep their images with label {NO_CLASS}, or omit "
            "them (imnet list: --unknown)"
        )
    if len(lacking) == len(present):
        raise ValueError(
            f"none of the classes of {where} ({listed_names(present)}) is one of those that have "
            f"a label ({listed_names(order)}): give those that belong to it"
        )
    of_class = np.array([positions.get(name, NO_CLASS) for name in present], np.float32)
    labels = of_class[class_of_image]
    images = ImageList(np.arange(len(paths)), labels[:, None], paths, order)
    _warn_of_strangers(where, images.paths, class_of_image, present)
    if lacking:
        fate = f"get label {NO_CLASS}" if unknown == "keep" else "are left out"
        warnings.warn(
            f"{where}: {np.count_nonzero(labels == NO_CLASS):,} images of {len(lacking):,} classes "
            f"that have no label ({listed_names(lacking)}) {fate}",
            stacklevel=3,
        )
    return select(images, labels != NO_CLASS) if unknown == "omit" else images


def _warn_of_strangers(
    where: Path, paths: Names, class_of_image: NDArray[np.integer[Any]], present: Sequence[str]
) -> None:
    """Name images called by a wnid, ``n01440764_1.JPEG``, that lie in the folder of another."""
    own = np.array([name if WNID.fullmatch(name) else "" for name in present]).astype("S9")
    strangers = list[Integers]()
    for start in range(0, len(paths), LINES_PER_BLOCK):
        rows = slice(start, start + LINES_PER_BLOCK)
        first = _window(*_letters(paths[rows]), 10)
        digits = (first[:, 1:9] >= ord("0")) & (first[:, 1:9] <= ord("9"))
        called = (first[:, 0] == ord("n")) & (first[:, 9] == ord("_")) & digits.all(1)
        classes = own[class_of_image[rows]]
        other = first.view("S10").ravel().astype("S9") != classes
        strangers.append(start + np.flatnonzero(called & other & (classes != b"")))
    found = np.concatenate(strangers)
    if len(found):
        warnings.warn(
            f"{where}: {len(found):,} images are called by another class than their folder, "
            f"such as {os.fsdecode(paths[found[0]])}; they get the label of the folder",
            stacklevel=4,
        )


def _require_extensions(extensions: Sequence[str]) -> tuple[str, ...]:
    """In small letters."""
    rule = "extensions are a sequence such as ('.jpg', '.webp'), each with a dot before it"
    require_several("extensions", extensions)
    sound = all(len(extension) > 1 and extension.startswith(".") for extension in extensions)
    require(sound and len(extensions) > 0, rule, list(extensions))
    return tuple(extension.lower() for extension in extensions)


@dataclass
class _Others:
    """What is in ``where`` and not in the list, by kind: how many, and the first by name."""

    where: Path
    kinds: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, kind: str, name: str) -> None:
        count, first = self.kinds.get(kind, (0, name))
        self.kinds[kind] = (count + 1, min(first, name))

    def warn(self) -> None:
        for kind, (count, first) in sorted(self.kinds.items()):
            message = f"{self.where}: {kind} are left out: {count:,}, such as {first}"
            if kind.startswith("."):
                message += "; the argument extensions takes them (imnet list: --extensions)"
            warnings.warn(message, stacklevel=3)


def _images(folder: Path, prefix: str, taken: tuple[str, ...], others: _Others) -> list[bytes]:
    """The images in ``folder``, ``prefix`` before their names, in natural order.

    A dangling link counts: packing will name it.
    """
    images = []
    for name, is_folder in _shown(folder, prefix, others):
        kind = _kind(name, taken)
        if is_folder:
            others.add("folders within class folders" if prefix else "folders", prefix + name)
        elif kind:
            others.add(kind, prefix + name)
        else:
            images.append(name)
    return [os.fsencode(prefix + name) for name in sorted(images, key=_natural)]


def _kind(name: str, taken: tuple[str, ...]) -> str:
    """Why a file is no image by its name: empty for one that is ``taken``."""
    suffix = f".{name.rpartition('.')[2].lower()}"
    if name.startswith("."):
        return "names that begin with a dot"
    if name.lower().endswith(taken):
        return ""
    return f"{suffix} files" if suffix in IMAGE_EXTENSIONS else "other files"


def _natural(name: str) -> tuple[str, str]:
    """A key that sorts the numbers in names as numbers."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), name), name


def _shown(folder: Path, prefix: str, others: _Others) -> Iterator[tuple[str, bool]]:
    """What is in ``folder`` without a dot before its name, and whether it is a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            kind = _kind_of_entry(entry)
            if entry.name.startswith("."):
                others.add("names that begin with a dot", prefix + entry.name)
            elif kind == "special":
                others.add("pipes, sockets and devices", prefix + entry.name)
            else:
                yield entry.name, kind == "folder"


def _kind_of_entry(entry: os.DirEntry[str]) -> Literal["folder", "file", "special"]:
    """What an entry is or links to; a link to nothing, or to itself, is a file."""
    try:
        if entry.is_file():
            return "file"
        return "folder" if entry.is_dir() else "special" if Path(entry).exists() else "file"
    except OSError:
        return "file"
