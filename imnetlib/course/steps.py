"""What earlier chapters leave for later ones: found in the root and checked, or built on the sample."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imnetlib import catalog, evaluate, imagelist, organize, pack, recordio, sample, sources
from imnetlib.archive import TarIndex
from imnetlib.course.root import Root, open_root, tar_index
from imnetlib.engines.recipe import Recipe
from imnetlib.evaluate import Predictions
from imnetlib.files import write_atomically
from imnetlib.imagelist import ImageList

if TYPE_CHECKING:  # MXNet is not everywhere
    from imnetlib.engines.mxnet.checkpoint import Checkpoint

Step = Literal["mirror", "archives", "records", "checkpoint", "predictions"]

RECIPE = Recipe()  # chapter 7's parameters, as they are unless told otherwise
RESIZE, QUALITY, SHARDS, SEED = 256, 90, 4, 100  # chapter 4's
SETS = ("train", "validation")


def prepare(root: str, needs: Step) -> Root:
    """Open ``root`` and see to it that what a chapter needs is there.

    In a sample root whatever is missing is built, as the earlier chapters would have built it. In any other root
    nothing is built: FileNotFoundError says which chapter to run first. ValueError names a list, shards, a network or
    predictions that are incomplete or do not fit the classes of the root.
    """
    opened = open_root(root)
    if opened.is_sample:
        _build(opened, needs)
    if needs == "archives":
        for archive in opened.dataset.archives:
            _require(opened.archives / archive.name, chapter=1)
    if needs in ("records", "checkpoint", "predictions"):
        _require(opened.records, chapter=4)
        _check_lists(opened)
    if needs in ("checkpoint", "predictions"):
        _require(opened.checkpoints, chapter=7)
    if needs == "predictions":
        predicted(opened)
    return opened


def _require(path: Path, chapter: int) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run chapter {chapter} with this root first")


def _build(root: Root, needs: Step) -> None:
    """Build what is missing, going back only as far as needed."""
    if needs in ("mirror", "archives"):
        sample.draw(root.mirror)
    if needs == "archives":
        _fetch(root)
    elif needs == "records" and not any(map(_whole, root.records.glob("*"))):
        _build(root, "archives")
        _pack(root)
    elif needs == "checkpoint" and not (root.checkpoints / f"{RECIPE.network}.json").exists():
        _build(root, "records")
        _train(root)
    elif needs == "predictions" and not (root.predictions / "synset.txt").exists():
        _build(root, "checkpoint")
        predict(root, trained(root))


def _fetch(root: Root) -> None:
    """The sample's archives without the network: hard links to the mirror's, or copies where links cannot be."""
    root.archives.mkdir(exist_ok=True)
    for archive in root.dataset.archives:
        target = root.archives / archive.name
        if not target.exists():
            try:
                target.hardlink_to(root.mirror / archive.name)
            except OSError:
                with (root.mirror / archive.name).open("rb") as drawn, write_atomically(target) as out:
                    shutil.copyfileobj(drawn, out)


def lists(root: Root, seed: int) -> dict[str, ImageList]:
    """The training images, shuffled by ``seed``, and the validation images in the order of their numbers."""
    train = TarIndex.load(tar_index(root, catalog.TRAIN_TAR))
    validation = TarIndex.load(tar_index(root, catalog.VALIDATION_TAR))
    wnids = organize.labels_from_devkit(root.archives / catalog.DEVKIT)
    return {
        "train": imagelist.shuffle(imagelist.from_archive(train), seed),
        "validation": imagelist.from_archive(validation, wnids),
    }


def _pack(root: Root) -> None:
    folder = root.records / f"{RESIZE}px-q{QUALITY}-{SHARDS}shards"
    archives = dict(zip(SETS, (catalog.TRAIN_TAR, catalog.VALIDATION_TAR), strict=True))
    for name, images in lists(root, SEED).items():
        imagelist.write_lst(images, root.lists / f"{name}.lst")
        source = sources.Tar(tar_index(root, archives[name]))
        shards = SHARDS if name == "train" else 1
        settings = pack.Settings(resize=RESIZE, quality=QUALITY)
        pack.pack(images, source, folder, name, shards=shards, settings=settings)


def _check_lists(root: Root) -> None:
    for name in SETS:
        path = root.lists / f"{name}.lst"
        if path.exists():
            imagelist.check_labels(imagelist.read_lst(path), root.wnids, path)


def shards(root: Root, part: Literal["train", "validation"], records: str = "") -> list[Path]:
    """The shards of the training or the validation set, in the folder ``records`` or the only one there is.

    FileNotFoundError where there are none, ValueError where one is missing, where labels mean other classes than in
    this root, and where there are several folders and none is named.
    """
    folder = shard_folder(root, records)
    catalog.check_classes(_classes(folder), root.wnids, folder / pack.CLASSES)
    found = _shards(folder, part)
    if not found:
        there = ", ".join(path.name for path in sorted(folder.glob("*.rec"))[:10]) or "none"
        raise ValueError(f"{folder} lacks shards of {part} (there are {there}): run chapter 4 again")
    return found


def _shards(folder: Path, part: str) -> list[Path]:
    """All shards of a set, or an empty list where one is missing or not finished."""
    found = sorted(folder.glob(f"{part}-?????-of-?????.rec"))
    finished = all(path.with_suffix(".json").exists() for path in found)
    return found if finished and {int(path.stem[-5:]) for path in found} == {len(found)} else []


def _whole(folder: Path) -> bool:
    return all(_shards(folder, part) for part in SETS)


def shard_folder(root: Root, records: str = "") -> Path:
    """The folder ``records`` of shards, or the only one there is."""
    there = sorted(path.parent.name for path in root.records.glob(f"*/{pack.CLASSES}"))
    if records in there:
        return root.records / records
    if records or not there:
        known = f"; there are {', '.join(there)}" if there else ""
        raise FileNotFoundError(f"{root.records / records} holds no shards: run chapter 4 first{known}")
    if len(there) > 1:
        raise ValueError(f"{root.records} has {', '.join(there)}: choose one with the parameter records")
    return root.records / there[0]


def _classes(folder: Path) -> list[str]:
    return (folder / pack.CLASSES).read_text(encoding="utf-8").splitlines()


def _train(root: Root) -> None:
    from imnetlib.engines.mxnet.train import train

    train(RECIPE, root.wnids, shards(root, "train"), shards(root, "validation"), root.checkpoints)


def trained(root: Root, network: str = RECIPE.network) -> Checkpoint:
    """The trained ``network``; ValueError where its training is not finished, or its classes are not this root's."""
    from imnetlib.engines.mxnet import checkpoint

    found = checkpoint.load(root.checkpoints, network)
    path = root.checkpoints / f"{network}.json"
    catalog.check_classes(found.wnids, root.wnids, path)
    if not found.finished:
        epochs = f"{len(found.history)} of {found.recipe.epochs} epochs"
        raise ValueError(f"{path} has had {epochs}: run chapter 7 again, it goes on from there")
    return found


def predict(root: Root, network: Checkpoint, records: str = "", threads: int = 2) -> Predictions:
    """What ``network`` says about each validation image, kept under the root."""
    from imnetlib.engines.mxnet import checkpoint

    found = shards(root, "validation", records)
    count = sum(len(recordio.read_index(path.with_suffix(".idx"))[0]) for path in found)
    batches = checkpoint.predict(network, found, threads)
    return evaluate.save_predictions(root.predictions, network.wnids, batches, count)


def predicted(root: Root) -> Predictions:
    """The predictions that chapter 8 has left; ValueError where their classes are not this root's."""
    found = Predictions.load(root.predictions)
    catalog.check_classes(found.wnids, root.wnids, root.predictions)
    return found
