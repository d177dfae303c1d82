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
from imnetlib.arguments import Names, PathLike, require, require_several, require_type
from imnetlib.files import listed_names
from imnetlib.pack.lists import NO_CLASS, ImageList, class_names, select

# Those that im2rec takes.
EXTENSIONS = (".jpeg", ".jpg", ".png")
# Other formats that can be packed.
_MORE_EXTENSIONS = (".bmp", ".gif", ".tif", ".tiff", ".webp")

# The parquet release puts the class behind it: ILSVRC2012_val_00000001_n01751748.JPEG.
_NUMBER = re.compile(rb"(\d+)(?:_n\d{8})?\.\w+$")

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
    present = [name for name, paths in zip(names, images, strict=True) if len(paths)]
    if not present or (len(present) < len(names) and wnids is None):
        empty = set(names).difference(present)
        raise ValueError(
            f"{folder}: {len(empty)} of {len(names)} class folders hold no image "
            f"({listed_names(empty)}): name the folder of the class folders itself, "
            "with an image in each"
        )
    members = [paths for paths in images if len(paths)]
    class_of_image = np.repeat(np.arange(len(present)), [len(paths) for paths in members])
    return _labelled(folder, np.concatenate(members), class_of_image, present, wnids, unknown)


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
    unknown: Unknown = "refuse",
) -> ImageList:
    """List the members of an archive; ``paths`` are their names in the index (chapter 4).

    A tar of tars: in archive order. A flat tar: in the order of the numbers in the file names (the
    order in a tar is no guide), and ``wnids`` gives the class of image 1, 2, … The label of a class
    is its position in ``classes``, or else among the classes that occur, in natural order.
    ``unknown``: as in :func:`list_folder`, for classes that are not in ``classes``. Raises
    ValueError where classes or counts do not fit.
    """
    require_type(index, TarIndex, "index is a TarIndex (archive.open_index gives one)")
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
        first = loose[0].decode()
        raise ValueError(f"{index.path} holds {len(loose)} files of no class, first {first}")
    return _labelled(index.path, index.names, index.classes, index.class_names, classes, unknown)


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
    occurring, class_of_image = np.unique(np.asarray(wnids), return_inverse=True)
    paths = np.array(names)[order]
    return _labelled(where, paths, class_of_image, occurring.tolist(), classes, unknown)


def _labelled(
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
    if lacking:
        fate = f"get label {NO_CLASS}" if unknown == "keep" else "are left out"
        warnings.warn(
            f"{where}: {np.count_nonzero(labels == NO_CLASS):,} images of {len(lacking):,} classes "
            f"that have no label ({listed_names(lacking)}) {fate}",
            stacklevel=3,
        )
    return select(images, labels != NO_CLASS) if unknown == "omit" else images


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
        suffix = f".{name.rpartition('.')[2].lower()}"
        if is_folder:
            others.add("folders within class folders" if prefix else "folders", prefix + name)
        elif name.lower().endswith(taken):
            images.append(name)
        elif suffix in (*EXTENSIONS, *_MORE_EXTENSIONS):
            others.add(f"{suffix} files", prefix + name)
        else:
            others.add("other files", prefix + name)
    return [os.fsencode(prefix + name) for name in sorted(images, key=_natural)]


def _natural(name: str) -> tuple[str, str]:
    """A key that sorts the numbers in names as numbers."""
    return re.sub(r"\d+", lambda digits: digits[0].zfill(20), name), name


def _shown(folder: Path, prefix: str, others: _Others) -> Iterator[tuple[str, bool]]:
    """What is in ``folder`` without a dot before its name, and whether it is a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                others.add("names that begin with a dot", prefix + entry.name)
            else:
                yield entry.name, _is_folder(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, for instance.
        return False
