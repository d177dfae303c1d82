"""Predictions kept and judged: top-k in any label space, intervals, confusions, calibration (chapter 8).

50,000 images in 21,841 classes are 4.4 GB of probabilities: they stay on the disk, and a block of rows at a time is
in memory. Needs NumPy and the standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.files import write_atomically
from imnetlib.imagelist import ImageList

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

BLOCK = 1 << 22  # probabilities looked at together: 16 MiB
NEVER = int(np.iinfo(np.int64).max)  # the rank of a class that does not compete: no k reaches it
_ARRAYS = ("probabilities.npy", "labels.npy", "ids.npy")
_SOURCE = "source.txt"
_FINISHED = "synset.txt"  # written last
_npy: Any = np.lib.format  # which has no types in NumPy 1.26


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a network says about n images; raises ValueError where the arrays disagree (chapter 8).

    ``probabilities``: float32 (n, classes), possibly memory-mapped. ``labels``: int64 (n,), the true column, or -1
    where the image's class is none of them. ``ids``: int64 (n,), distinct, from the list of the images. ``wnids``:
    the class of each column. ``source``: what made them, in a line of the maker's own.
    """

    probabilities: Floats
    labels: Integers
    ids: Integers
    wnids: tuple[str, ...]
    source: str = ""

    def __post_init__(self) -> None:
        _check(self.probabilities.shape, self.labels, self.ids, self.wnids)
        if self.probabilities.dtype != np.float32 or not self.labels.dtype == self.ids.dtype == np.int64:
            raise ValueError("probabilities are float32, labels and ids int64, and these are not")

    @classmethod
    def load(cls, folder: Path) -> Predictions:
        """What ``save_predictions`` put into ``folder``, memory-mapped: the probabilities are not yet read.

        FileNotFoundError where there are none, or unfinished ones; ValueError for damaged ones.
        """
        if not (folder / _FINISHED).exists():
            raise FileNotFoundError(f"{folder} holds no finished predictions: chapter 8 makes them")
        path = folder
        try:
            wnids = (folder / _FINISHED).read_text(encoding="ascii").split()
            found = [np.load(path := folder / name, mmap_mode="r", allow_pickle=False) for name in _ARRAYS]
            source = (path := folder / _SOURCE).read_text(encoding="utf-8")
            path = folder
            return cls(found[0], np.array(found[1]), np.array(found[2]), tuple(wnids), source)
        except (ValueError, EOFError, FileNotFoundError) as error:
            way_out = f"remove {folder} and make the predictions again (chapter 8)"
            raise ValueError(f"{path}: {error}: {way_out}") from error

    def columns(self, wnids: Iterable[str]) -> Integers:
        """The columns of those ``wnids`` that the network has, ascending. Count them: some may be missing."""
        return np.flatnonzero(np.isin(self.wnids, list(wnids))).astype(np.int64)


def _check(shape: tuple[int, ...], labels: Integers, ids: Integers, wnids: Sequence[str]) -> None:
    if len(shape) != 2 or 0 in shape or not labels.shape == ids.shape == shape[:1]:
        raise ValueError(f"shapes {shape}, {labels.shape}, {ids.shape} are not (n, classes), (n,) and (n,)")
    if len(wnids) != shape[1] or len(set(wnids)) != shape[1]:
        raise ValueError(
            f"{shape[1]:,} columns, but {len(wnids):,} wnids, of which {len(set(wnids)):,} differ"
        )
    if labels.min() < -1 or labels.max() >= shape[1]:
        raise ValueError(f"labels go from -1 to {shape[1] - 1}, not from {labels.min()} to {labels.max()}")
    if (different := len(np.unique(ids))) != len(ids):
        raise ValueError(f"{len(ids):,} images with {different:,} ids: was the padding of a batch counted?")


def save_predictions(
    folder: Path,
    wnids: Sequence[str],
    batches: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]],
    count: int,
    source: str = "",
) -> Predictions:
    """Write ``count`` images' predictions as they come, whole or not at all, and load them (chapter 8).

    A batch: probabilities (b, classes), labels (b,), ids (b,). ValueError for what are no probabilities, another
    number of images, and all that ``Predictions`` refuses; earlier predictions then stay. Memory: a batch, and
    16 bytes an image.
    """
    labels, ids, done = np.empty(count, np.int64), np.empty(count, np.int64), 0
    with write_atomically(folder / "probabilities.npy") as out:
        shape = (count, len(wnids))
        _npy.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for probabilities, some_labels, some_ids in batches:
            block, rows = np.ascontiguousarray(probabilities, "<f4"), slice(done, done + np.size(some_ids))
            done = rows.stop
            fits = block.shape == (np.size(some_ids), len(wnids)) and np.shape(some_labels) == np.shape(
                some_ids
            )
            if done > count or not fits:
                raise ValueError(f"{folder}: a batch {block.shape} that ends at image {done:,} of {shape}")
            labels[rows], ids[rows] = some_labels, some_ids
            _refuse_scores(block, ids[rows], folder)
            out.write(block.data)
        if done != count:
            raise ValueError(f"{folder}: the batches hold {done:,} images, not {count:,}")
        _check(shape, labels, ids, wnids)
        (folder / _FINISHED).unlink(missing_ok=True)  # from here on the folder is neither old nor new
    for name, array in zip(_ARRAYS[1:], (labels, ids), strict=True):
        with write_atomically(folder / name) as out:
            np.save(out, array, allow_pickle=False)
    with write_atomically(folder / _SOURCE) as out:
        out.write(source.encode())
    with write_atomically(folder / _FINISHED) as out:
        out.write("".join(f"{wnid}\n" for wnid in wnids).encode("ascii"))
    return Predictions.load(folder)


def rows_in(predictions: Predictions, images: ImageList, where: Path) -> Integers:
    """Where in its list each predicted image stands: int64 (n,) (chapter 8).

    ValueError names the first image of the predictions in ``where`` that is not in the list, or has another label.
    """
    order = np.argsort(images.ids, kind="stable")
    place = np.searchsorted(images.ids, predictions.ids, sorter=order)
    rows: Integers = order[np.minimum(place, len(order) - 1)]
    known = predictions.labels >= 0
    wrong = (images.ids[rows] != predictions.ids) | (known & (images.labels[rows, 0] != predictions.labels))
    if wrong.any():
        image = f"image {predictions.ids[wrong.argmax()]} with label {predictions.labels[wrong.argmax()]}"
        raise ValueError(f"{where} has {image}, the list has not: make the predictions again")
    return rows


def _refuse_scores(block: Floats, ids: Integers, folder: Path) -> None:
    """Probabilities are not negative and sum to 1; networks in half precision may be 1 % off."""
    wrong = ~(np.isclose(block.sum(axis=1), 1, atol=0.01) & (block.min(axis=1) >= 0))  # NaN is wrong too
    if wrong.any():
        row = int(wrong.argmax())
        what = f"{folder}: the outputs for image {ids[row]} sum to {block[row].sum():.4g}, not 1, or are negative"
        raise ValueError(f"{what}: has the training diverged, or is the softmax missing?")


def _blocks(probabilities: Floats) -> Iterator[tuple[slice, Floats]]:
    step = max(1, BLOCK // probabilities.shape[1])
    for start in range(0, len(probabilities), step):
        block = np.asarray(probabilities[start : start + step])
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise ValueError(f"row {start + int(finite.argmin())} of the probabilities holds NaN or infinity")
        yield slice(start, start + len(block)), block


def ranks(probabilities: Floats, labels: ArrayLike, columns: ArrayLike | None = None) -> Integers:
    """How many classes stand before the true one: int64 (n,), so ``ranks < k`` are the top-k hits (chapter 8).

    A class stands before it when its probability is larger *or equal*: a tie is never a hit by luck, and the order
    of the columns plays no part. ``columns``: the label space, positions of the classes that compete (all unless
    given); rescaling a row changes nothing. An image whose class does not compete, or has no column (label -1), gets
    ``NEVER``. Cost: n × classes comparisons. ValueError for NaN, infinity and labels that do not fit.
    """
    truth, classes = np.asarray(labels, np.int64), probabilities.shape[1]
    if (
        truth.shape != probabilities.shape[:1]
        or truth.min(initial=-1) < -1
        or truth.max(initial=0) >= classes
    ):
        raise ValueError(
            f"labels {truth.shape} up to {truth.max(initial=0)} for {probabilities.shape} outputs"
        )
    competes = np.zeros(classes, np.bool_)
    competes[slice(None) if columns is None else np.asarray(columns, np.int64)] = True
    found = np.full(len(truth), NEVER)
    for rows, block in _blocks(probabilities):
        true = np.take_along_axis(block, np.maximum(truth[rows], 0)[:, None], axis=1)
        rivals = block if columns is None else block[:, competes]
        before = np.count_nonzero(rivals >= true, axis=1) - 1  # it equals itself
        found[rows] = np.where((truth[rows] >= 0) & competes[truth[rows]], before, NEVER)
    return found


def top(probabilities: Floats, k: int) -> tuple[Integers, Floats]:
    """The ``k`` best columns of each row and their probabilities, (n, k) each, best first (chapters 8 and 9).

    Of equal ones the first column: here a choice must be made. k passes over the data; k at most the columns.
    """
    columns = np.empty((len(probabilities), min(k, probabilities.shape[1])), np.int64)
    values = np.empty(columns.shape, np.float32)
    for rows, block in _blocks(probabilities):
        left, row = block.copy(), np.arange(len(block))
        for place in range(columns.shape[1]):
            best = left.argmax(axis=1)
            columns[rows, place], values[rows, place] = best, left[row, best]
            left[row, best] = -np.inf
    return columns, values


class TopK(NamedTuple):
    """Top-k accuracy and the limits of its 95 % interval; the top-k error is 1 - ``accuracy``."""

    k: int
    images: int
    accuracy: float
    low: float
    high: float


def top_k(rank: Integers, ks: Sequence[int] = (1, 5, 20)) -> list[TopK]:
    """The share of images whose true class is among the first k, for each k (chapter 8)."""
    found = [(k, int(np.count_nonzero(rank < k)), len(rank)) for k in ks]
    limits = [wilson(hits, images) for _, hits, images in found]
    return [TopK(k, n, hits / n, *both) for (k, hits, n), both in zip(found, limits, strict=True)]


def wilson(hits: int, images: int) -> tuple[float, float]:
    """The 95 % interval of a share (chapter 8): E. B. Wilson, Probable inference, JASA 22, 1927.

    Unlike the share ± 1.96 standard errors it stays within 0 and 1 and holds for few images. ValueError for none.
    """
    if images < 1:
        raise ValueError("a share of no images has no interval: is the list empty?")
    if not 0 <= hits <= images:
        raise ValueError(f"{hits} of {images} images is no share")
    z2, share = 1.959964**2, hits / images
    middle = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = (z2 * (share * (1 - share) / images + z2 / (4 * images**2))) ** 0.5 / (1 + z2 / images)
    return max(0.0, middle - half), min(1.0, middle + half)


def confusions(labels: Integers, chosen: Integers) -> Integers:
    """Which class is taken for which: rows (true, chosen, images), the most frequent first (chapter 8).

    ``chosen``: the first column of ``top``. Memory grows with the images, not with the square of the classes.
    """
    wrong = (labels != chosen) & (labels >= 0)
    pairs, images = np.unique(np.stack([labels[wrong], chosen[wrong]], 1), axis=0, return_counts=True)
    return np.column_stack([pairs, images])[np.argsort(-images, kind="stable")].astype(np.int64)


def calibration(confidence: Floats, correct: NDArray[np.bool_], bins: int = 10) -> NDArray[np.float64]:
    """Is a probability of 0.8 right in 8 of 10 cases? (bins, 3): images, mean confidence, accuracy (chapter 8).

    Bins of equal width, NaN where one is empty: C. Guo et al., On calibration of modern neural networks, ICML 2017.
    """
    place = np.clip(np.ceil(confidence.astype(np.float64) * bins) - 1, 0, bins - 1).astype(np.int64)
    images, sure, right = (np.bincount(place, w, bins) for w in (np.ones(len(place)), confidence, correct))
    with np.errstate(invalid="ignore"):
        return np.column_stack([images, sure / images, right / images])
