"""The predictions of chapter 8, and those that another program has made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imnetlib import catalog, engines, evaluate, pack, recordio
from imnetlib.arguments import Floats, Integers, PathLike
from imnetlib.course.engines import engine as engine_of
from imnetlib.course.root import Root
from imnetlib.course.steps.networks import RECIPE, made_by, network_folder, network_source, trained
from imnetlib.course.steps.records import shards
from imnetlib.evaluate import Predictions
from imnetlib.files import file_crc32, listed_names
from imnetlib.pack import ImageList


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
    source = f"{made_by(root, network, loaded)} {recordio.fingerprint(paths):08x}"
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
    checkpoints = network_folder(root, folder.name)
    is_here = bool(engines.describe_checkpoint(checkpoints, folder.name))
    if is_here and not predictions.source.startswith(network_source(root, folder.name)):
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
