"""A small copy of the course's class folders in the layout of Kaggle's download (chapter 2)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from imnetlib import organize
from imnetlib.course import sample
from imnetlib.course.root import Root


def copy_as_kaggle(root: Root, wnids: Iterable[str], folder: Path) -> Path:
    """Copy the classes ``wnids`` into ``folder`` as Kaggle arranges them; the folder of images.

    Training images in class folders, validation images flat and numbered anew, three tables.
    """
    images = folder / organize.KAGGLE_IMAGES
    (images / "val").mkdir(parents=True)
    classes = list(wnids)
    stems = []
    labels: list[str] = []
    for wnid in classes:
        shutil.copytree(root.train / wnid, images / "train" / wnid)
        stems += [f"{wnid}/{path.stem}" for path in (images / "train" / wnid).iterdir()]
        for path in sorted((root.validation / wnid).iterdir()):
            labels.append(wnid)
            shutil.copy(path, images / "val" / organize.validation_name(len(labels)))
    sample.write_kaggle_tables(folder, classes, stems, labels)
    return images
