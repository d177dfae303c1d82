"""What earlier chapters leave for later ones: verified in the root, or built for the sample."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imnetlib import catalog, engines, evaluate, image, pack, recordio
from imnetlib.arguments import Floats, Integers, PathLike
from imnetlib.course import sample
from imnetlib.course.engines import engine as engine_of
from imnetlib.course.root import CHECKOUT, Root, open_root
from imnetlib.course.ways import PARTS, Part, training_and_validation
from imnetlib.engines import Checkpoint, Recipe, Trained
from imnetlib.evaluate import Predictions
from imnetlib.files import file_crc32, listed_names, write_atomically
from imnetlib.pack import ImageList

Step = Literal["mirror", "archives", "records", "checkpoint", "predictions"]

_BY_NETWORK = ("checkpoint", "predictions")

# The defaults of chapter 7's parameters.
RECIPE = Recipe()
# The defaults of chapter 4's parameters.
RESIZE = 256
QUALITY = 90
SHARDS = 4
SEED = 100
RECORDS = f"{RESIZE}px-q{QUALITY}-{SHARDS}shards"
# What chapter 7 has made of the sample, for readers who go on without training.
SHIPPED = CHECKOUT / "data" / "network"


def prepare(root: str, needs: Step, network: str = "", outputs: str = "", engine: str = "") -> Root:
    """Open ``root`` and see to it that what a chapter needs is there.

    In a sample root whatever is missing is built, as the earlier chapters would have built it. In
    any other root nothing is built: FileNotFoundError says which chapter to run first. ValueError
    names a list, shards, a network or predictions that are incomplete or do not fit the classes of
    the root. ``network``, ``outputs``: whose checkpoint or predictions, as in
    ``prediction_folder``; only chapter 7's network is built, or the repository's own taken in its
    place, which is said. ``engine``: as in ``course.engine``.
    """
    opened = open_root(root)
    wanted = network or RECIPE.network
    if needs == "predictions":
        wanted = prediction_folder(opened, network, outputs).name
    if opened.is_sample and (needs not in _BY_NETWORK or wanted == RECIPE.network):
        _build(opened, needs, engine)
    elif opened.is_sample:
        _require_network(opened, wanted, needs)
        _build(opened, "records", engine)
    if needs == "archives" and opened.way == "archives":
        _require_archives(opened)
    if needs in ("records", *_BY_NETWORK):
        _require(opened.records, chapter=4)
        path = opened.lists / "train.lst"
        if path.exists():
            pack.verify_labels(pack.read_lst(path), opened.wnids, path)
    if needs in _BY_NETWORK:
        _require_network(opened, wanted, needs)
    if needs == "predictions":
        predicted(opened, network, outputs)
    return opened


def _require_archives(root: Root) -> None:
    _require(root.training_archive, chapter=1)
    for archive in root.dataset.archives[1:]:
        _require(root.archives / archive.name, chapter=1)


def _require_network(root: Root, network: str, needs: Step) -> None:
    """FileNotFoundError where there is no such checkpoint, or none of its predictions."""
    folder = _network_folder(root, network)
    if folder == SHIPPED:
        print(f"The network is data/network/{network}: chapter 7 trains one of this root's own")
    if needs == "predictions":
        _require(root.predictions / network / pack.CLASSES, chapter=8)
        return
    _require(folder, chapter=7)
    engines.require_network(folder, network)


def _require(path: Path, chapter: int) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run chapter {chapter} with this root first")


def _build(root: Root, needs: Step, engine: str) -> None:
    """Build what is missing, going back only as far as needed."""
    # A sample of other counts may have been put there.
    if needs in ("mirror", "archives") and not sample.is_finished(root.mirror):
        sample.draw(root.mirror)
    if needs == "archives":
        _fetch(root)
    elif needs == "records" and not any(map(_is_packed, root.records.glob("*"))):
        _build(root, "archives", engine)
        _pack(root)
    elif needs == "checkpoint":
        _build(root, "records", engine)
        if not _is_trained(root) and _network_folder(root, RECIPE.network) != SHIPPED:
            _train(root, engine)
    elif needs == "predictions":
        _build(root, "checkpoint", engine)
        predict(root, records=_default_records(root), engine=engine)


def _fetch(root: Root) -> None:
    """Link the sample's archives to the mirror's, or copy them where links cannot be made."""
    root.archives.mkdir(exist_ok=True)
    for archive in root.dataset.archives:
        source = root.mirror / archive.name
        target = root.archives / archive.name
        if target.exists():
            continue
        try:
            target.hardlink_to(source)
        except OSError:
            with source.open("rb") as drawn, write_atomically(target) as out:
                shutil.copyfileobj(drawn, out)


def _pack(root: Root) -> None:
    train, validation = training_and_validation(root)
    shuffled = Part(train.shuffled(SEED), train.source)
    _pack_part(root, "train", shuffled, SHARDS)
    _pack_part(root, "validation", validation, 1)


def _pack_part(root: Root, name: str, part: Part, shards: int) -> None:
    pack.write_lst(part.images, root.lists / f"{name}.lst")
    settings = image.Settings(resize=RESIZE, quality=QUALITY)
    folder = root.records / RECORDS
    pack.pack(part.images, part.source, folder, name, shards=shards, settings=settings)


def _default_records(root: Root) -> str:
    """The folder that chapter 4 makes by default; "" where it is missing."""
    return RECORDS if (root.records / RECORDS).exists() else ""


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


def _finished_shards(folder: Path, part: str) -> list[Path]:
    """All shards of a set; an empty list where one is missing or not finished."""
    paths = sorted(folder.glob(f"{part}-?????-of-?????.rec"))
    for path in paths:
        if not path.with_suffix(".json").exists() or not path.with_suffix(".idx").exists():
            return []
    counts = {int(path.stem[-5:]) for path in paths}
    return paths if counts == {len(paths)} else []


def _is_packed(folder: Path) -> bool:
    return all(_finished_shards(folder, part) for part in PARTS)


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


def _is_trained(root: Root) -> bool:
    """Whether the network is finished, or its recipe is the reader's own, who may finish it."""
    description = engines.describe_checkpoint(root.checkpoints, RECIPE.network)
    if not description:
        return False
    recipe: dict[str, Any] = description["recipe"]
    is_finished: bool = len(description["history"]) >= recipe["epochs"]
    return is_finished or recipe != dataclasses.asdict(RECIPE)


def _network_folder(root: Root, network: str) -> Path:
    """The root's checkpoints; for a sample that has not trained chapter 7's network, the shipped.

    That one is of the sample's own classes only.
    """
    if not root.is_sample or network != RECIPE.network or _is_trained(root):
        return root.checkpoints
    shipped = engines.describe_checkpoint(SHIPPED, network)
    return SHIPPED if shipped.get("wnids") == list(root.wnids) else root.checkpoints


def _train(root: Root, engine: str) -> None:
    records = _default_records(root)
    images = shards(root, "train", records)
    held_out = shards(root, "validation", records)
    engine_of(engine).train.train(RECIPE, root.wnids, images, held_out, root.checkpoints)


def trained(root: Root, network: str = RECIPE.network) -> Trained:
    """The trained ``network``, or a published one that was put among the root's checkpoints.

    ValueError if it is not finished, or not of this root's classes. A published network, three
    files such as Inception-symbol.json, Inception-0009.params and synset.txt, has its own classes.
    In a sample root without chapter 7's network it is the repository's.
    """
    folder = _network_folder(root, network)
    loaded = engines.load_network(folder, network)
    if isinstance(loaded, Checkpoint):
        path = folder / network
        catalog.verify_classes(loaded.wnids, root.wnids, path)
        if not loaded.finished:
            epochs = f"{len(loaded.history)} of {loaded.recipe.epochs} epochs"
            raise ValueError(f"{path} has had {epochs}: run chapter 7 again, it goes on from there")
    return loaded


def prediction_folder(root: Root, network: str = "", outputs: PathLike = "") -> Path:
    """Where the predictions of a network, or of a file of outputs, are kept (chapters 8 and 9).

    Without either, that of chapter 7's own network where there are such or none at all; else of the
    only network of this root's; else the only one. ValueError where several are left.
    """
    if outputs or network:
        return root.predictions / (f"outputs-{Path(outputs).name}" if outputs else network)
    kept = {path.parent.name for path in root.predictions.glob(f"*/{pack.CLASSES}")}
    trained_here = engines.networks_in(root.checkpoints)
    own = {name for name in kept if engines.file_name(name) in trained_here}
    if RECIPE.network in own or not kept:
        return root.predictions / RECIPE.network
    left = own or kept
    if len(left) > 1:
        raise ValueError(
            f"{root.predictions} has those of {listed_names(left)}: choose one with the parameter "
            "network, or outputs for a file that chapter 8 has taken"
        )
    return root.predictions / left.pop()


def predict(
    root: Root, network: str = RECIPE.network, records: str = "", threads: int = 2, engine: str = ""
) -> Predictions:
    """What ``network`` predicts for each validation image, kept under the root.

    Labels are columns of the network, by wnid. Predictions of the same weights and the same shards
    are not made again, by whichever ``engine`` they were made; those of earlier weights are
    replaced.
    """
    loaded = trained(root, network)
    paths = shards(root, "validation", records)
    source = f"{_made_by(root, network, loaded)} {recordio.fingerprint(paths):08x}"
    folder = prediction_folder(root, network)
    if _source_of(folder) == source:
        return Predictions.load(folder)
    count = sum(len(recordio.read_index(path.with_suffix(".idx"))[0]) for path in paths)
    batches = engines.relabel(
        engine_of(engine).checkpoint.predict(loaded, paths, threads), root.wnids, loaded.wnids
    )
    return evaluate.save_predictions(folder, loaded.wnids, batches, count, source)


def _source_of(folder: Path) -> str:
    """What made the finished predictions in a folder; "" where there are none."""
    return Predictions.load(folder).source if (folder / pack.CLASSES).exists() else ""


def require_outputs(outputs: PathLike, columns: PathLike, *, logits: bool) -> None:
    """ValueError where of a network's outputs and what tells about them a part is missing."""
    if bool(outputs) != bool(columns):
        raise ValueError(
            "outputs and columns go together: a network's outputs, and the file of the class of "
            "each column, a line each"
        )
    if logits and not outputs:
        raise ValueError("logits says what outputs are: name their file, too")


def adopt(root: Root, outputs: PathLike, columns: PathLike, *, logits: bool = False) -> Predictions:
    """Another network's outputs for the validation images, kept under the root (chapter 8).

    ``outputs``: a .npy or .npz as ``imnet evaluate`` takes it, a row for each image of the
    validation list in the order of its ids, or for its ``ids``. ``columns``: the file of the class
    of each column. ValueError for what does not fit, such as ``labels`` that are not those of the
    list; FileExistsError where others of that file's name are kept.
    """
    require_outputs(outputs, columns, logits=logits)
    found = evaluate.read_outputs(outputs)
    if logits and found.are_probabilities():
        raise ValueError(f"{outputs} holds probabilities: leave out logits")
    wnids = catalog.read_classes(columns)
    rows, width = found.scores.shape
    if len(wnids) != width:
        raise ValueError(f"{outputs} has {width:,} columns and {columns} {len(wnids):,} classes")
    images = pack.read_lst(root.lists / "validation.lst", root.wnids)
    ids = np.sort(images.ids) if found.ids is None else found.ids
    place = _rows_of(images, ids)
    if rows != len(ids) or not np.array_equal(images.ids[place], ids):
        raise ValueError(
            f"{outputs} has {rows:,} rows and {root.lists / 'validation.lst'} {len(images):,} "
            "images: give a row for each, in the order of their numbers, or their ids in a .npz"
        )
    labels = _columns_of(images, wnids)[place]
    differing = 0 if found.labels is None else _differing(found.labels, labels, wnids)
    if differing:
        raise ValueError(
            f"{outputs} has other labels than {root.lists / 'validation.lst'} for {differing:,} of "
            f"{rows:,} images: are its rows in another order? Then put their ids beside them; else "
            "leave its labels out"
        )
    as_logits = logits or bool(found.logits)
    checksums = " ".join(f"{file_crc32(Path(path)):08x}" for path in (outputs, columns))
    kind = "logits" if as_logits else "probabilities"
    source = f"{Path(outputs).name} {checksums} {kind}"
    folder = prediction_folder(root, outputs=outputs)
    if _source_of(folder) not in ("", source):
        raise FileExistsError(
            f"{folder} holds other outputs, columns or logits of a file of that name: remove it, "
            f"or give {outputs} another name"
        )
    batches = (
        (block, labels[part], ids[part])
        for part, block in _probabilities(outputs, found.scores, as_logits)
    )
    return evaluate.save_predictions(folder, wnids, batches, rows, source)


def _differing(told: NDArray[Any], labels: Integers, wnids: Sequence[str]) -> int:
    """How many labels that a file tells, columns or wnids, are not ``labels``, columns."""
    columns = evaluate.align(told.tolist(), wnids) if told.dtype.kind == "U" else told
    return int(np.count_nonzero(columns != labels))


def _probabilities(
    outputs: PathLike, scores: NDArray[Any], logits: bool
) -> Iterator[tuple[slice, Floats]]:
    """Blocks of rows of the file ``outputs``, which a ValueError names."""
    blocks = evaluate.row_blocks(scores) if logits else evaluate.probability_blocks(scores)
    try:
        for part, block in blocks:
            yield part, evaluate.softmax(block) if logits else block
    except ValueError as error:
        raise ValueError(f"{outputs}, {error}") from error


def _made_by(root: Root, network: str, loaded: Trained) -> str:
    return _network_source(root, network) if isinstance(loaded, Checkpoint) else loaded.source


def _network_source(root: Root, network: str) -> str:
    """A network's name and the checksum of its weights; the name alone where there are none."""
    folder = _network_folder(root, network)
    files: dict[str, int] = engines.describe_checkpoint(folder, network).get("files", {})
    checksums = [f"{crc:08x}" for name, crc in files.items() if name.endswith(".params")]
    return " ".join([network, *checksums])


def predicted(root: Root, network: str = "", outputs: PathLike = "") -> Predictions:
    """The predictions that chapter 8 has left, verified; whose, as in ``prediction_folder``.

    Their classes may be others than the root's: labels are compared by wnid. ValueError where none
    is shared or no image is of one of them, where images or labels are not this root's, or where
    the network has been trained anew since.
    """
    folder = prediction_folder(root, network, outputs)
    predictions = Predictions.load(folder)
    if not set(predictions.wnids) & set(root.wnids):
        raise ValueError(f"{folder} has no class of this root: make the predictions again")
    if predictions.labels.max() < 0:
        raise ValueError(f"{folder} has no image of one of its classes: nothing to judge")
    network_folder = _network_folder(root, folder.name)
    is_here = bool(engines.describe_checkpoint(network_folder, folder.name))
    if is_here and not predictions.source.startswith(_network_source(root, folder.name)):
        raise ValueError(f"{folder} is of an earlier {folder.name}: run chapter 8 again")
    path = root.lists / "validation.lst"
    if path.exists():
        rows_in(predictions, pack.read_lst(path, root.wnids), folder)
    return predictions


def rows_in(predictions: Predictions, images: ImageList, where: Path) -> Integers:
    """Where in its list each predicted image stands: int64 (n,) (chapter 8).

    Labels are compared by the classes of the list, if known. ValueError names the first image of
    the predictions in ``where`` that is not in the list, or has another label.
    """
    rows = _rows_of(images, predictions.ids)
    other_id = images.ids[rows] != predictions.ids
    other_label = _columns_of(images, predictions.wnids)[rows] != predictions.labels
    wrong = other_id | (other_label & (predictions.labels >= 0))
    if wrong.any():
        first = wrong.argmax()
        stranger = f"image {predictions.ids[first]} with label {predictions.labels[first]}"
        raise ValueError(f"{where} has {stranger}, the list has not: make the predictions again")
    return rows


def _rows_of(images: ImageList, ids: Integers) -> Integers:
    """Where in the list each id stands, or would: compare the ids there."""
    order = np.argsort(images.ids, kind="stable")
    place = np.searchsorted(images.ids, ids, sorter=order)
    rows: Integers = order[np.minimum(place, len(order) - 1)]
    return rows


def _columns_of(images: ImageList, wnids: Sequence[str]) -> Integers:
    """The label of each image as a position in ``wnids``, where the list knows its classes."""
    # The label -1 finds the last item.
    columns = np.array([*catalog.positions(images.classes or wnids, among=wnids), -1])
    labels: Integers = columns[images.labels[:, 0].astype(np.int64)]
    return labels
