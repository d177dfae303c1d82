"""What earlier chapters leave for later ones: found in the root and checked, or built on the
sample.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from imnetlib import catalog, evaluate, image, organize, pack, recordio
from imnetlib.archive import open_index
from imnetlib.course import sample
from imnetlib.course.root import Root, open_root
from imnetlib.engines import Recipe
from imnetlib.evaluate import Predictions
from imnetlib.files import write_atomically
from imnetlib.pack import ImageList
from imnetlib.recordio import fingerprint

# MXNet is not everywhere
if TYPE_CHECKING:
    from imnetlib.engines.mxnet.checkpoint import Checkpoint

Step = Literal["mirror", "archives", "records", "checkpoint", "predictions"]

# chapter 7's parameters, as they are unless told otherwise
RECIPE = Recipe()
# chapter 4's
RESIZE = 256
QUALITY = 90
SHARDS = 4
SEED = 100
RECORDS = f"{RESIZE}px-q{QUALITY}-{SHARDS}shards"
SETS = ("train", "validation")


def prepare(root: str, needs: Step) -> Root:
    """Open ``root`` and see to it that what a chapter needs is there.

    In a sample root whatever is missing is built, as the earlier chapters would have built it. In
    any other root nothing is built: FileNotFoundError says which chapter to run first. ValueError
    names a list, shards, a network or predictions that are incomplete or do not fit the classes of
    the root.
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
    elif needs == "checkpoint":
        _build(root, "records")
        if not _is_trained(root):
            _train(root)
    elif needs == "predictions" and not (root.predictions / "synset.txt").exists():
        _build(root, "checkpoint")
        predict(root, trained(root), _default_records(root))


def _fetch(root: Root) -> None:
    """The sample's archives without the network: hard links to the mirror's, or copies where links
    cannot be.
    """
    root.archives.mkdir(exist_ok=True)
    for archive in root.dataset.archives:
        target = root.archives / archive.name
        if not target.exists():
            try:
                target.hardlink_to(root.mirror / archive.name)
            except OSError:
                with (
                    (root.mirror / archive.name).open("rb") as drawn,
                    write_atomically(target) as out,
                ):
                    shutil.copyfileobj(drawn, out)


def _validation(root: Root) -> ImageList:
    """The validation images in the order of their numbers."""
    index = open_index(root.archives / catalog.VALIDATION_TAR)
    return pack.list_archive(index, organize.labels_from_devkit(root.archives / catalog.DEVKIT))


def _default_records(root: Root) -> str:
    """The folder that chapter 4 makes unless told otherwise; "" where it is not there."""
    return RECORDS if (root.records / RECORDS).exists() else ""


def _pack(root: Root) -> None:
    folder = root.records / RECORDS
    settings = image.Settings(resize=RESIZE, quality=QUALITY)
    train = open_index(root.archives / catalog.TRAIN_TAR)
    validation = open_index(root.archives / catalog.VALIDATION_TAR)
    labels = organize.labels_from_devkit(root.archives / catalog.DEVKIT)
    for name, index, images, shards in (
        ("train", train, pack.shuffle(pack.list_archive(train), SEED), SHARDS),
        ("validation", validation, pack.list_archive(validation, labels), 1),
    ):
        pack.write_lst(images, root.lists / f"{name}.lst")
        pack.pack(images, pack.Tar(index), folder, name, shards=shards, settings=settings)


def _check_lists(root: Root) -> None:
    for name in SETS:
        path = root.lists / f"{name}.lst"
        if path.exists():
            pack.verify_labels(pack.read_lst(path), root.wnids, path)


def shards(root: Root, part: Literal["train", "validation"], records: str = "") -> list[Path]:
    """The shards of the training or the validation set, in the folder ``records`` or the only one
    there is.

    FileNotFoundError where there are none, ValueError where one is missing, where labels mean other
    classes than in this root, and where there are several folders and none is named.
    """
    folder = shard_folder(root, records)
    found = _shards(folder, part)
    if not found:
        there = ", ".join(path.name for path in sorted(folder.glob("*.rec"))[:10]) or "none"
        raise ValueError(
            f"{folder} lacks shards of {part} (there are {there}): run chapter 4 again"
        )
    return found


def _shards(folder: Path, part: str) -> list[Path]:
    """All shards of a set, or an empty list where one is missing or not finished."""
    found = sorted(folder.glob(f"{part}-?????-of-?????.rec"))
    finished = all(
        path.with_suffix(suffix).exists() for path in found for suffix in (".json", ".idx")
    )
    return found if finished and {int(path.stem[-5:]) for path in found} == {len(found)} else []


def _whole(folder: Path) -> bool:
    return all(_shards(folder, part) for part in SETS)


def shard_folder(root: Root, records: str = "") -> Path:
    """The folder ``records`` of shards, or the only one there is; see ``shards`` for the errors."""
    there = sorted({path.parent.name for path in root.records.glob("*/*.rec")})
    if not there or records not in (*there, ""):
        known = f"; there are {', '.join(there)}" if there else ""
        raise FileNotFoundError(
            f"{root.records / records} holds no shards: run chapter 4 first{known}"
        )
    if len(there) > 1 and not records:
        raise ValueError(
            f"{root.records} has {', '.join(there)}: choose one with the parameter records"
        )
    classes = root.records / (records or there[0]) / pack.CLASSES
    if not classes.exists():
        raise FileNotFoundError(
            f"{classes} is missing: run chapter 4 again, or write the wnid of each label there"
        )
    catalog.verify_classes(classes.read_text(encoding="utf-8").splitlines(), root.wnids, classes)
    return classes.parent


def _said(root: Root, network: str) -> dict[str, Any]:
    """The .json of a checkpoint, for which MXNet is not needed; empty where there is none."""
    path = root.checkpoints / f"{network}.json"
    try:
        said: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError as error:
        raise ValueError(
            f"{path} is no sound checkpoint ({error}): remove it and train again"
        ) from error
    return said


def _is_trained(root: Root) -> bool:
    """Whether there is a network that is finished, or whose recipe is the reader's own: not ours to
    go on with.
    """
    said = _said(root, RECIPE.network)
    if not said:
        return False
    recipe: dict[str, Any] = said["recipe"]
    finished: bool = len(said["history"]) >= recipe["epochs"]
    return finished or recipe != dataclasses.asdict(RECIPE)


def _train(root: Root) -> None:
    from imnetlib.engines.mxnet.train import train

    records = _default_records(root)
    both = shards(root, "train", records), shards(root, "validation", records)
    train(RECIPE, root.wnids, *both, root.checkpoints)


def trained(root: Root, network: str = RECIPE.network) -> Checkpoint:
    """The trained ``network``; ValueError where its training is not finished, or its classes are
    not this root's.
    """
    from imnetlib.engines.mxnet import checkpoint

    found = checkpoint.load(root.checkpoints, network)
    path = root.checkpoints / f"{network}.json"
    catalog.verify_classes(found.wnids, root.wnids, path)
    if not found.finished:
        epochs = f"{len(found.history)} of {found.recipe.epochs} epochs"
        raise ValueError(f"{path} has had {epochs}: run chapter 7 again, it goes on from there")
    return found


def predict(root: Root, network: Checkpoint, records: str = "", threads: int = 2) -> Predictions:
    """What ``network`` says about each validation image, kept under the root; made anew only where
    it must be.
    """
    from imnetlib.engines.mxnet import checkpoint

    found = shards(root, "validation", records)
    source = f"{_weights(root, network.recipe.network)} {fingerprint(found):08x}"
    if (root.predictions / "synset.txt").exists():
        there = Predictions.load(root.predictions)
        if there.source == source:
            return there
    count = sum(len(recordio.read_index(path.with_suffix(".idx"))[0]) for path in found)
    batches = checkpoint.predict(network, found, threads)
    return evaluate.save_predictions(root.predictions, network.wnids, batches, count, source)


def _weights(root: Root, network: str) -> str:
    """The name of a network and the checksum of its present weights; only the name where they are
    not here.
    """
    files: dict[str, int] = _said(root, network).get("files", {})
    return " ".join(
        [network, *(f"{crc:08x}" for name, crc in files.items() if name.endswith(".params"))]
    )


def predicted(root: Root) -> Predictions:
    """The predictions that chapter 8 has left.

    ValueError where classes or labels are not this root's, or where the network has been trained
    anew since.
    """
    found = Predictions.load(root.predictions)
    catalog.verify_classes(found.wnids, root.wnids, root.predictions)
    network = found.source.partition(" ")[0]
    if _said(root, network) and not found.source.startswith(_weights(root, network)):
        raise ValueError(f"{root.predictions} is of an earlier {network}: run chapter 8 again")
    if all((root.archives / name).exists() for name in (catalog.VALIDATION_TAR, catalog.DEVKIT)):
        rows_in(found, _validation(root), root.predictions)
    return found


def rows_in(predictions: Predictions, images: ImageList, where: Path) -> npt.NDArray[np.int64]:
    """Where in its list each predicted image stands: int64 (n,) (chapter 8).

    ValueError names the first image of the predictions in ``where`` that is not in the list, or has
    another label.
    """
    order = np.argsort(images.ids, kind="stable")
    place = np.searchsorted(images.ids, predictions.ids, sorter=order)
    rows: npt.NDArray[np.int64] = order[np.minimum(place, len(order) - 1)]
    known = predictions.labels >= 0
    wrong = (images.ids[rows] != predictions.ids) | (
        known & (images.labels[rows, 0] != predictions.labels)
    )
    if wrong.any():
        image = f"image {predictions.ids[wrong.argmax()]} with label {predictions.labels[wrong.argmax()]}"
        raise ValueError(f"{where} has {image}, the list has not: make the predictions again")
    return rows
