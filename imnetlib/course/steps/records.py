"""The shards of chapter 4."""

from __future__ import annotations

from pathlib import Path

from imnetlib import catalog, image, pack
from imnetlib.course.root import Root
from imnetlib.course.ways import PARTS, Part, training_and_validation

# The defaults of chapter 4's parameters.
RESIZE = 256
QUALITY = 90
SHARDS = 4
SEED = 100
RECORDS = f"{RESIZE}px-q{QUALITY}-{SHARDS}shards"


def shards(root: Root, part: str, records: str = "") -> list[Path]:
    """The .rec files of a set, in the folder ``records`` or in the only one there is.

    FileNotFoundError where there are none, ValueError where one is missing, where labels mean other
    classes than in this root, and where there are several folders and none is named.
    """
    folder = shard_folder(root, records)
    paths = _finished_shards(folder, part)
    if not paths:
        names = ", ".join(path.name for path in sorted(folder.glob("*.rec"))[:10]) or "none"
        raise ValueError(
            f"{folder} lacks shards of {part} (there are {names}): run chapter 4 again"
        )
    return paths


def shard_folder(root: Root, records: str = "") -> Path:
    """The folder ``records`` of shards, or the only one there is; see ``shards`` for the errors."""
    names = sorted({path.parent.name for path in root.records.glob("*/*.rec")})
    if not names or records not in (*names, ""):
        known = f"; there are {', '.join(names)}" if names else ""
        raise FileNotFoundError(
            f"{root.records / records} holds no shards: run chapter 4 first{known}"
        )
    if len(names) > 1 and not records:
        raise ValueError(
            f"{root.records} has {', '.join(names)}: choose one with the parameter records"
        )
    classes = root.records / (records or names[0]) / pack.CLASSES
    if not classes.exists():
        raise FileNotFoundError(
            f"{classes} is missing: run chapter 4 again, or write the wnid of each label there"
        )
    catalog.verify_classes(catalog.read_classes(classes), root.wnids, classes)
    return classes.parent


def _finished_shards(folder: Path, part: str) -> list[Path]:
    """All shards of a set; an empty list where one is missing or not finished."""
    paths = sorted(folder.glob(f"{part}-?????-of-?????.rec"))
    for path in paths:
        if not path.with_suffix(".json").exists() or not path.with_suffix(".idx").exists():
            return []
    counts = {int(path.stem[-5:]) for path in paths}
    return paths if counts == {len(paths)} else []


def is_packed(folder: Path) -> bool:
    """Whether a folder has all shards of both sets."""
    return all(_finished_shards(folder, part) for part in PARTS)


def default_records(root: Root) -> str:
    """The folder that chapter 4 makes by default; "" where it is missing."""
    return RECORDS if (root.records / RECORDS).exists() else ""


def pack_sample(root: Root) -> None:
    """Make lists and shards as chapter 4 does by its defaults."""
    train, validation = training_and_validation(root)
    shuffled = Part(train.shuffled(SEED), train.source)
    _pack_part(root, "train", shuffled, SHARDS)
    _pack_part(root, "validation", validation, 1)


def _pack_part(root: Root, name: str, part: Part, shards: int) -> None:
    pack.write_lst(part.images, root.lists / f"{name}.lst")
    settings = image.Settings(resize=RESIZE, quality=QUALITY)
    folder = root.records / RECORDS
    pack.pack(part.images, part.source, folder, name, shards=shards, settings=settings)
