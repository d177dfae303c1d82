"""A small copy of the course's class folders in the layout of Kaggle's download (chapter 2)."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from imnetlib import organize
from imnetlib.course.root import Root


def copy_as_kaggle(root: Root, wnids: Iterable[str], folder: Path) -> Path:
    """Copy the classes ``wnids`` into ``folder`` as Kaggle arranges them; the folder of images.

    Training images in class folders, validation images flat and numbered anew, three tables.
    """
    images = folder / organize.KAGGLE_IMAGES
    (images / "val").mkdir(parents=True)
    classes = []
    listed: list[str] = []
    labels = ["ImageId,PredictionString\n"]
    for wnid in wnids:
        shutil.copytree(root.train / wnid, images / "train" / wnid)
        for path in (images / "train" / wnid).iterdir():
            listed.append(f"{wnid}/{path.stem} {len(listed) + 1}\n")
        classes.append(f"{wnid} its names\n")
        for path in sorted((root.validation / wnid).iterdir()):
            # The first label is the head of the table, so images count from 1.
            name = organize.validation_name(len(labels))
            shutil.copy(path, images / "val" / name)
            labels.append(f"{name.removesuffix('.JPEG')},{wnid} 0 0 499 374\n")
    (folder / organize.KAGGLE_CLASSES).write_text("".join(classes), encoding="utf-8")
    (folder / organize.KAGGLE_LABELS).write_text("".join(labels), encoding="utf-8")
    table = folder / organize.KAGGLE_TRAIN_LIST
    table.parent.mkdir(parents=True)
    table.write_text("".join(listed), encoding="utf-8")
    return images
