"""A batch, and how its rows are filled from records (chapter 4)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imnetlib import recordio
from imnetlib.arguments import Floats, Integers
from imnetlib.image import RANDOM_COLUMNS, Transform, decode_into, write_layout
from imnetlib.loader.readahead import Window
from imnetlib.loader.shards import LoadError, Shards
from imnetlib.order import random_numbers


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """``images`` as the Transform says; ``labels`` float32 (n,) or (n, k); ``ids`` int64 (n,).

    The last ``padding`` rows repeat other records, so that all batches have one shape (zeros where
    not one record of the batch could be read): do not count them. The memory of ``images`` is used
    for a later batch once nothing refers to it.
    """

    images: npt.NDArray[np.uint8] | Floats
    labels: Floats
    ids: Integers
    padding: int

    def without(self, bad: list[int]) -> Batch:
        """The batch with a good row in place of each bad one, at its end, as padding."""
        good = np.delete(np.arange(len(self.ids)), bad)
        rows = np.append(good, np.repeat(good[:1] if len(good) else 0, len(bad)))
        lost = sum(row < len(self.ids) - self.padding for row in bad)
        if not len(good):
            self.images[:] = 0
            self.labels[:] = 0
        return Batch(self.images[rows], self.labels[rows], self.ids[rows], self.padding + lost)


@dataclass(frozen=True, slots=True, eq=False)
class Filler:
    """Fills rows of batches from records, in any thread.

    ``failures`` takes the reason for each bad record; where it is None, one raises LoadError.
    """

    shards: Shards
    transform: Transform
    table: Floats | None
    seed: int
    label_width: int
    classes: int | None
    failures: dict[tuple[Path, int], str] | None

    def fill(
        self, batch: Batch, epoch: int, rows: slice, records: Integers, ahead: list[Future[Window]]
    ) -> list[int]:
        """Fill ``rows`` of ``batch`` from ``records``; returns the rows whose records are bad."""
        bad: list[int] = []
        uniforms = random_numbers(self.seed, epoch, batch.ids[rows], RANDOM_COLUMNS).tolist()
        located = np.stack([records, *self.shards.index.locate(records)], axis=1).tolist()
        canvas = np.empty((self.transform.size, self.transform.size, 3), np.uint8)
        for i, (record, shard, start, end) in enumerate(located):
            row = rows.start + i
            file = self.shards.files[shard]
            try:
                span = ahead[i].result()[record] if ahead else file.pread(end - start, start)
                payload = file.read_within(memoryview(span), start)
                self._fill_row(batch, row, payload, uniforms[i], canvas)
            except ValueError as error:
                text = f"{file.path}: record {batch.ids[row]} at byte {start}: {_reason(error)}"
                if self.failures is None:
                    raise LoadError(text) from error
                self.failures[file.path, start] = text
                bad.append(row)
        return bad

    def _fill_row(
        self, batch: Batch, row: int, payload: memoryview, uniforms: Sequence[float], canvas: Any
    ) -> None:
        header, image = recordio.unpack(payload)
        if header.flag and not image:
            raise ValueError(f"it has {_counted(header.flag)} and no image")
        self._require_labels(header)
        batch.labels.reshape(-1, self.label_width)[row] = header.label
        direct = self.transform.layout == "NHWC" and self.table is None
        out: Any = batch.images[row]
        decode_into(bytes(image), self.transform, uniforms, out if direct else canvas)
        if not direct:
            write_layout(canvas, self.table, self.transform.layout, out)

    def _require_labels(self, header: recordio.IRHeader) -> None:
        width = max(header.flag, 1)
        if width != self.label_width:
            raise ValueError(f"it has {_counted(width)}, label_width is {self.label_width}")
        if not self.classes:
            return
        labels = [header.label] if not header.flag else header.label.tolist()
        if not all(0 <= label < self.classes and label.is_integer() for label in labels):
            listed = ", ".join(f"{label:g}" for label in labels)
            raise ValueError(f"its label is {listed}; classes are 0 to {self.classes - 1}")


def _counted(labels: int) -> str:
    return "1 label" if labels == 1 else f"{labels} labels"


def _reason(error: ValueError) -> str:
    # The text of a RecordError would name the shard once more.
    if isinstance(error, recordio.RecordError):
        return (
            f"no sound record, {error.what}; do index and shards belong together? Run imnet verify"
        )
    return str(error)
