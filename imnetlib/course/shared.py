"""What several chapters do in the same way: scratch folders, class names, images, claims, MXNet."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imnetlib import catalog, image, organize
from imnetlib.archive import TarReader, open_index
from imnetlib.course.claims import recompute
from imnetlib.course.report import verdicts
from imnetlib.course.root import Root
from imnetlib.image import Pixels
from imnetlib.pack import ImageList, list_archive


def scratch_folder(root: Root, chapter: int) -> Path:
    """An empty folder on the disk of ``root`` for a chapter's trials, which removes it at its end.

    Its name is always the same, so a new run clears what a killed one has left.
    """
    folder = root.root / f".chapter-{chapter}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def class_names(wnids: Iterable[str]) -> list[str]:
    """The first name of each class, for titles: not unique. KeyError if unknown."""
    return [catalog.classes()[wnid].names[0] for wnid in wnids]


def validation_list(root: Root) -> ImageList:
    """The validation images in the order of their numbers, labelled by the development kit."""
    index = open_index(root.archives / catalog.VALIDATION_TAR)
    return list_archive(index, organize.labels_from_devkit(root.archives / catalog.DEVKIT))


def validation_images(root: Root, ids: Iterable[int]) -> list[Pixels]:
    """The pixels of validation images from the archive, by the ids of the course's lists.

    Ids count from 0, the names of the files from 1.
    """
    index = open_index(root.archives / catalog.VALIDATION_TAR)
    with TarReader(index) as reader:
        files = [reader.read_name(organize.validation_name(int(number) + 1)) for number in ids]
    return [image.decode(data) for data in files]


def claims_of(chapter: int) -> Any:
    """The sources' claims that a chapter is about, beside what arithmetic says, as a table."""
    return verdicts(recompute(chapter=chapter))


def mxnet() -> Any:
    """MXNet; where it has no wheel, None and a line that says so (chapter 4)."""
    if importlib.util.find_spec("mxnet") is None:
        print("MXNet has no wheel for this platform")
        return None
    from imnetlib.engines.mxnet import mx

    return mx
