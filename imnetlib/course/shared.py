"""What several chapters do in the same way: scratch folders, class names, images, claims, MXNet."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from imnetlib import catalog, image, pack, recordio, wordnet
from imnetlib.course.root import Root
from imnetlib.course.steps import prediction_folder
from imnetlib.files import listed_names
from imnetlib.image import Pixels


def scratch_folder(root: Root, chapter: int) -> Path:
    """An empty folder on the disk of ``root`` for a chapter's trials, which removes it at its end.

    Its name is always the same, so a new run clears what a killed one has left.
    """
    folder = root.root / f".chapter-{chapter}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def class_names(classes: Iterable[str]) -> list[str]:
    """The first name of each class, for titles: not unique. A class that is no wnid is its name."""
    return [_first_name(name) for name in classes]


def class_titles(classes: Iterable[str]) -> list[str]:
    """Each class by name and wnid, ``valley (n09468604)``; one that is no wnid by its name."""
    return [f"{_first_name(name)} ({name})" if _is_wnid(name) else name for name in classes]


def _first_name(name: str) -> str:
    return wordnet.name(name) if _is_wnid(name) else name


def _is_wnid(name: str) -> bool:
    return bool(catalog.WNID.fullmatch(name))


def hierarchy_of(classes: Sequence[str]) -> wordnet.Hierarchy | None:
    """WordNet's hierarchy above classes; where one is no noun of it, None and a line that says so.

    Chapter 9 takes names of your own, with ``nouns``.
    """
    try:
        return wordnet.load(classes)
    except KeyError as error:
        print(f"No hierarchy: {error.args[0]}")
        return None


def nouns(root: Root, meanings: str = "", network: str = "", outputs: str = "") -> tuple[str, ...]:
    """The noun of WordNet that each class of the predictions, or of ``root``, is (chapter 9).

    ``meanings``: a file that says so of names of your own, in lines such as ``n02121620 cats``.
    ``network``, ``outputs``: whose predictions, as in ``prepare``. ValueError names classes that
    stay without a wnid, those of one noun, and those whose wnid is no noun of WordNet 3.0.
    """
    predicted = prediction_folder(root, network, outputs) / pack.CLASSES
    classes = catalog.read_classes(predicted) if predicted.exists() else root.wnids
    meant = _read_meanings(Path(meanings).expanduser()) if meanings else {}
    found = [meant.get(name, name) for name in classes]
    strangers = [name for name in found if not _is_wnid(name)]
    if strangers:
        raise ValueError(
            f"{len(strangers):,} of {len(classes):,} classes are called by no wnid "
            f"({listed_names(strangers)}), but the hierarchy is that of WordNet 3.0: write a file "
            "of lines such as 'n02121620 cats' and name it in the parameter meanings"
        )
    shared = [wnid for wnid, count in Counter(found).items() if count > 1]
    if shared:
        raise ValueError(f"{meanings}: several classes are {listed_names(shared)}: give each one")
    for name, wnid in zip(classes, found, strict=True):
        try:
            wordnet.name(wnid)
        except KeyError as error:
            where = f"{meanings}, {name}" if name in meant else f"class {name}"
            raise ValueError(f"{where}: {error.args[0]}") from None
    return tuple(found)


def _read_meanings(path: Path) -> dict[str, str]:
    """The wnid of each name; ValueError for a line that is not a wnid and a name."""
    meant = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        words = line.split(maxsplit=1)
        if len(words) == 2 and _is_wnid(words[0]):
            meant[words[1].strip()] = words[0]
        elif words:
            raise ValueError(f"{path}, line {number}: {line[:40]!r} is not like 'n02121620 cats'")
    return meant


def validation_images(root: Root, ids: Iterable[int]) -> list[Pixels]:
    """The pixels of validation images by their ids, from the first folder of shards that has them.

    FileNotFoundError where there are no such shards, KeyError for an id that is not in them.
    """
    shards = sorted(root.records.glob("*/validation-*.rec"))
    own = [shard for shard in shards if shard.parent == shards[0].parent]
    if not own:
        raise FileNotFoundError(f"{root.records} holds no validation images: run chapter 4 first")
    place: dict[int, tuple[Path, int]] = {}
    for shard in own:
        keys, offsets = recordio.read_index(shard.with_suffix(".idx"))
        place |= {key: (shard, offset) for key, offset in zip(keys, offsets, strict=True)}
    pixels = []
    for number in ids:
        shard, offset = place[int(number)]
        with recordio.RecordReader(shard) as reader:
            _, encoded = recordio.unpack(reader.read_at(offset))
        pixels.append(image.decode(encoded))
    return pixels


def mxnet() -> Any:
    """MXNet; where it is not installed, None and a line that says so (chapter 4)."""
    if importlib.util.find_spec("mxnet") is None:
        print("MXNet is not installed here: it has a wheel for Linux on x86-64 only")
        return None
    from imnetlib.engines.mxnet import mx

    return mx
