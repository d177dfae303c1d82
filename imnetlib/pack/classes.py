"""The classes of labels, kept beside lists and shards in ``synset.txt`` (chapter 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from imnetlib import catalog
from imnetlib.arguments import PathLike
from imnetlib.files import write_bytes_atomically
from imnetlib.pack.lists import NO_CLASS, ImageList

# The class of each label, one a line. In a folder it holds for all lists and shards.
CLASSES = "synset.txt"
_REMEDY = "take another folder, or remove this file if nothing beside it needs it"


def verify_classes_beside(rec: PathLike, labels: Iterable[float]) -> list[str]:
    """What contradicts the classes kept beside a shard, a sentence; empty where none are kept.

    ``labels``: those of its records; -1 is none of the classes.
    """
    path = Path(rec).with_name(CLASSES)
    if not path.exists():
        return []
    try:
        classes = len(catalog.read_classes(path))
    except (ValueError, OSError) as error:
        return [str(error)]
    # In range() a float is looked for number by number.
    wrong = [x for x in labels if not (NO_CLASS <= x < classes and x == int(x))]
    if not wrong:
        return []
    return [
        f"{path} has {classes:,} classes, 0 to {classes - 1}, but records have {len(wrong):,} "
        f"other labels, such as {max(wrong):g}: put the file back that belongs to them"
    ]


def with_classes(images: ImageList, folder: Path) -> ImageList:
    """The list with the classes kept in ``folder``; as it is where there are none.

    ValueError where the list's own classes differ from them, or its labels do not fit.
    """
    path = folder / CLASSES
    if not path.exists():
        return images
    kept = catalog.read_classes(path)
    if images.classes:
        catalog.verify_classes(kept, images.classes, path, _REMEDY)
        return images
    try:
        return replace(images, classes=kept)
    except ValueError as error:
        raise ValueError(f"{error} (those of {path}): {_REMEDY}") from error


@contextmanager
def keeping_classes(images: ImageList, folder: Path) -> Iterator[None]:
    """Write the list's classes into ``folder`` once what needs them is there (chapter 4).

    Thus a stop leaves no file beside classes that are not its own. Raises what ``with_classes``
    raises, and ValueError for names that cannot be kept, before anything is written.
    """
    path = folder / CLASSES
    with_classes(images, folder)
    kept = catalog.encode_classes(images.classes, path) if images.classes else b""
    yield
    # Another process may have written them by now.
    with_classes(images, folder)
    if kept and not path.exists():
        write_bytes_atomically(path, kept)
