"""Shards to batches: one shuffled order that any number of readers share, threads that decode in
place (chapter 4).

The order of an epoch is a pure function of (records of each shard, seed, epoch), every random
choice for an image one of (seed, epoch, record id). So neither threads nor readers change what
comes out; the whole state is one position.
"""

from __future__ import annotations

import errno
import warnings
import weakref
import zlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from imnetlib import recordio
from imnetlib.arguments import require
from imnetlib.image import (
    RANDOM_COLUMNS,
    # users meet it here
    Transform,
    decode_into,
    normalization_table,
    write_layout,
)
from imnetlib.loader.index import load_index
from imnetlib.loader.memory import BatchMemory
from imnetlib.loader.readahead import Window, Windows
from imnetlib.order import (
    # users meet it here
    Blocks,
    batch_starts,
    order_of,
    random_numbers,
)

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
BadRows = list[Future[list[int]]]

# bad records, and none good: it is not the records that are wrong
_HOPELESS_BATCH = 8
# images a thread takes at a time, at most
_ROWS_A_TASK = 32


class LoadError(ValueError):
    """A record cannot be read or decoded; the text names shard, record id and offset."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """``images`` as the Transform says; ``labels`` float32 (n,), or (n, k) when there are k;
    ``ids`` int64 (n,).

    The last ``padding`` rows repeat other records, so that all batches have one shape (zeros where
    not one record of the batch could be read): do not count them. The memory of ``images`` is used
    for a later batch once no array refers to it.
    """

    images: Images
    labels: Floats
    ids: Integers
    padding: int


class Loader:
    """Batches from shards, epoch after epoch; each ``for`` loop gives the rest of an epoch (chapter
    4).

    ``shards``: .rec files with their .idx beside them, or with one merged ``index`` over all of
    them. ``shuffle``: True for a random order of all records, a read for each; ``Blocks`` to mix
    large pieces that are read in order; False for the order in which they are stored, read in order
    too. ``shard_index`` of ``shard_count``: this reader among those that share the records, as
    Grain names them; all must have the same shards, shuffle, seed and batch size. Each gets equally
    many batches: where the records do not suffice, the last ones are padding, whole or in part.
    ``threads`` decode, up to ``prefetch`` batches ahead. ``label_width``: labels of a record.
    ``classes``: labels must be 0 to classes - 1. ``on_error``: "raise" LoadError at a bad record,
    or "skip" it: a padding row takes its place and ``failures`` says why, by shard and offset. A
    batch of eight or more without one good record raises it all the same, and so does an error of
    the disk (OSError).

    ``close``, or the end of a ``with`` block, closes the shards. One loop at a time, in one thread:
    a new one ends an older one. Ids may repeat from shard to shard; records of one id then share
    their random numbers.

    Raises ValueError where index, .rec and .json contradict each other; with "raise", LoadError (a
    ValueError) where the last record of a shard is cut. Warns where an index names nothing of a
    shard's end. Memory: 16 bytes a record for the index; 8 for the order, 24 while it is made;
    prefetch + 2 batches; where records are read in order, the encoded images of the windows (of
    Blocks, or of a batch each) that those batches touch and of one more. An index that names some
    of the records only makes that larger: what lies between is read as well, up to 4 MB for each.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        batch_size: int,
        transform: Transform,
        *,
        shuffle: bool | Blocks = True,
        seed: int = 0,
        threads: int = 2,
        prefetch: int = 2,
        shard_index: int = 0,
        shard_count: int = 1,
        index: Path | None = None,
        label_width: int = 1,
        classes: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        require(batch_size >= 1, "batch_size is 1 or more", batch_size)
        require(threads >= 1, "threads are 1 or more", threads)
        require(prefetch >= 1, "prefetch is 1 batch or more", prefetch)
        require(seed >= 0, "seed is not negative", seed)
        require(
            0 <= shard_index < shard_count,
            "shard_index is from 0 to shard_count - 1",
            f"{shard_index} of {shard_count}",
        )
        require(on_error in ("raise", "skip"), "on_error is raise or skip", on_error)
        require(isinstance(shuffle, bool | Blocks), "shuffle is True, False or Blocks(…)", shuffle)
        require(classes is None or classes >= 1, "classes is None or 1 or more", classes)
        require(label_width >= 1, "label_width is 1 or more", label_width)
        require(not isinstance(shards, str | Path), "shards is a list of paths", shards)
        self.batch_size = batch_size
        self.transform = transform
        self.shuffle = shuffle
        self.seed = int(seed)
        self.threads = threads
        self.prefetch = prefetch
        self.shard_index = shard_index
        self.shard_count = shard_count
        self.label_width = label_width
        self.classes = classes
        self.on_error = on_error
        # position: records of this epoch that all readers together have passed
        self.epoch = self.position = 0
        self.failures: dict[tuple[Path, int], str] = {}
        self._loop: weakref.ref[Generator[Batch]] | None = None
        self._memory = BatchMemory(prefetch + 2)
        self._values = normalization_table(transform)
        self._index = load_index([Path(shard) for shard in shards], index)
        self._checksum = zlib.crc32(self._index.counts.data, zlib.crc32(self._index.ids.data))
        self._readers = _opened(self._index.shards)
        with ExitStack() as refused:
            refused.callback(self.close)
            if on_error == "raise":
                self._find_cut_shards()
            refused.pop_all()

    def close(self) -> None:
        """End a loop that is under way and close the shards; a second time does nothing."""
        self._end_loop()
        self._memory = BatchMemory(self.prefetch + 2)
        while self._readers:
            self._readers.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(
            batch_starts(len(self._index), self.batch_size, 0, self.shard_index, self.shard_count)
        )

    def state_dict(self) -> dict[str, int | str]:
        """Where all readers stand once each has had as many batches as this one; for
        ``load_state_dict``.
        """
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "shuffle": repr(self.shuffle),
            "records": len(self._index),
            "records_crc32": self._checksum,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``, with any number of readers and any batch size. ValueError if the
        order differs.

        A position at or beyond the last record is the end of its epoch: the next loop gives nothing
        and moves on.
        """
        own = self.state_dict()
        if lacking := own.keys() - state.keys():
            raise ValueError(
                f"this is no saved position of a loader: it lacks {', '.join(sorted(lacking))}"
            )
        other = [key for key in own if key not in ("epoch", "position") and state[key] != own[key]]
        if other:
            what = ", ".join(f"{key} {state[key]}, here {own[key]}" for key in other)
            raise ValueError(f"the saved position belongs to another order of records: {what}")
        at = state["epoch"], state["position"]
        if not all(isinstance(value, int) and value >= 0 for value in at):
            raise ValueError(
                f"epoch and position are whole numbers from 0 on, not {at[0]!r} and {at[1]!r}"
            )
        self._end_loop()
        self.epoch, self.position = at

    def start_epoch(self, epoch: int) -> None:
        """Let the next loop give the whole of this epoch; a loop under way ends."""
        self.load_state_dict(self.state_dict() | {"epoch": epoch, "position": 0})

    def order(self) -> Integers:
        """The numbers of the records, as they are stored, in the order of the present epoch: int64
        (n,).
        """
        return order_of(self._index.counts, self.shuffle, self.seed, self.epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_loop", "_memory")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._loop = None
        self._memory = BatchMemory(self.prefetch + 2)

    def __iter__(self) -> Generator[Batch]:
        if not self._readers:
            raise ValueError("the loader is closed: make a new one")
        self._end_loop()
        batches = self._batches()
        # weak, so that it ends at once when a loop is left by break
        self._loop = weakref.ref(batches)
        return batches

    def _end_loop(self) -> None:
        if self._loop is not None and (batches := self._loop()) is not None:
            batches.close()
        self._loop = None

    def _batches(self) -> Generator[Batch]:
        order = self.order()
        epoch = self.epoch
        starts = batch_starts(
            len(order), self.batch_size, self.position, self.shard_index, self.shard_count
        )
        if not starts:
            self.epoch = epoch + 1
            self.position = 0
            return
        windows = self._windows(order, starts)
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="imnetlib-loader")
        waiting: deque[tuple[Batch, BadRows]] = deque()
        try:
            for start in starts:
                waiting.append(self._begin(pool, order, start, epoch, windows))
                if len(waiting) > self.prefetch:
                    yield self._finish(*waiting.popleft())
            while len(waiting) > 1:
                yield self._finish(*waiting.popleft())
            last = self._finish(*waiting.popleft())
            # Before the last batch is out, as a loop may end there by break:
            self.epoch = epoch + 1
            self.position = 0
            yield last
        finally:
            # also after break, an error or Ctrl-C: a thread ends with the few images it holds
            try:
                pool.shutdown(cancel_futures=True)
            finally:
                windows.close()

    def _windows(self, order: Integers, starts: range) -> Windows:
        """What is read ahead, in order; a full shuffle leaves nothing to read in order."""
        in_order = 0 if self.shuffle else self.batch_size
        places = self.shuffle.places if isinstance(self.shuffle, Blocks) else in_order
        return Windows(self._index, self._readers, order, starts, self.batch_size, places)

    def _begin(
        self, pool: ThreadPoolExecutor, order: Integers, start: int, epoch: int, windows: Windows
    ) -> tuple[Batch, BadRows]:
        """Have the pool fill the batch that begins at ``start``."""
        count = self.batch_size
        size = self.transform.size
        shape = (
            (count, size, size, 3) if self.transform.layout == "NHWC" else (count, 3, size, size)
        )
        images: Any = self._memory.array(
            shape, np.uint8 if self.transform.mean is None else np.float32
        )
        labels = np.empty(count if self.label_width == 1 else (count, self.label_width), np.float32)
        places = np.arange(start, start + count)
        records = order[places % len(order)]
        padding = min(count, max(0, start + count - len(order)))
        batch = Batch(images, labels, self._index.ids[records], padding)
        ahead = windows.of(places)
        step = min(_ROWS_A_TASK, -(-count // self.threads))
        chunks = [slice(first, first + step) for first in range(0, count, step)]
        return batch, [
            pool.submit(self._fill, batch, records[rows], rows, ahead[rows], epoch)
            for rows in chunks
        ]

    def _finish(self, batch: Batch, bad_rows: BadRows) -> Batch:
        """Wait for a batch; bad records become padding at its end."""
        bad = [row for future in bad_rows for row in future.result()]
        if bad:
            if len(bad) == self.batch_size >= _HOPELESS_BATCH:
                last = next(reversed(self.failures.values()))
                raise LoadError(
                    f"not one of the {len(bad)} records of a batch can be read; the last of them: {last}"
                )
            batch = _without(batch, bad)
        self.position += self.batch_size * self.shard_count
        return batch

    def _fill(
        self, batch: Batch, records: Integers, rows: slice, ahead: list[Future[Window]], epoch: int
    ) -> list[int]:
        """Decode some rows of a batch; gives those that could not be (on_error "skip")."""
        transform = self.transform
        bad = list[int]()
        places = zip(
            records.tolist(),
            *(column.tolist() for column in self._index.locate(records)),
            strict=True,
        )
        chances = random_numbers(self.seed, epoch, batch.ids[rows], RANDOM_COLUMNS).tolist()
        direct = transform.layout == "NHWC" and transform.mean is None
        canvas = np.empty((transform.size, transform.size, 3), np.uint8)
        for i, (record, shard, start, behind) in enumerate(places):
            row = rows.start + i
            reader = self._readers[shard]
            try:
                span = (
                    ahead[i].result()[record]
                    if ahead
                    else memoryview(reader.pread(behind - start, start))
                )
                label, image = self._unpack(reader.read_within(span, start))
                batch.labels[row] = label
                decode_into(
                    bytes(image), transform, chances[i], batch.images[row] if direct else canvas
                )
            except ValueError as error:
                what = f"{reader.path}: record {batch.ids[row]} at byte {start}: {_reason(error)}"
                if self.on_error == "raise":
                    raise LoadError(what) from error
                self.failures[reader.path, start] = what
                bad.append(row)
                continue
            if not direct:
                write_layout(canvas, self._values, transform.layout, batch.images[row])
        return bad

    def _unpack(self, payload: memoryview) -> tuple[Any, memoryview]:
        """Label and image of a record; ValueError where the label is none that is asked for."""
        header, image = recordio.unpack(payload)
        if max(header.flag, 1) != self.label_width:
            raise ValueError(
                f"it has {max(header.flag, 1)} labels, label_width is {self.label_width}"
            )
        if self.classes is not None:
            labels = np.atleast_1d(header.label)
            if not ((labels >= 0) & (labels < self.classes) & (labels == np.floor(labels))).all():
                said = ", ".join(f"{label:g}" for label in labels)
                raise ValueError(f"its label is {said}; classes are 0 to {self.classes - 1}")
        return header.label[0] if header.flag == 1 else header.label, image

    def _find_cut_shards(self) -> None:
        """LoadError where the last record that an index names is not whole: a copy that was cut
        short, for one.

        A warning where it is not the last of the shard.
        """
        lasts = (np.cumsum(self._index.counts) - 1)[self._index.counts > 0].tolist()
        shards, starts, _ = self._index.locate(np.array(lasts))
        for record, shard, start in zip(lasts, shards.tolist(), starts.tolist(), strict=True):
            try:
                *_, (_, _, behind) = self._readers[shard].parts_at(start)
            except recordio.RecordError as error:
                raise LoadError(f"record {self._index.ids[record]}, the last: {error}") from error
            if behind < self._index.sizes[shard]:
                what = f"the last record that the index names ends at byte {behind:,} of {self._index.sizes[shard]:,}"
                warnings.warn(
                    f"{self._index.shards[shard]}: {what}; what follows is left out", stacklevel=3
                )


def _reason(error: ValueError) -> str:
    # its own text names the shard again
    if isinstance(error, recordio.RecordError):
        return f"no sound record, {error.what}; do index and shards belong together? imnet verify tells"
    return str(error)


def _without(batch: Batch, bad: list[int]) -> Batch:
    """The batch with a good row in place of each bad one, at its end, as padding."""
    good = np.delete(np.arange(len(batch.ids)), bad)
    rows = np.append(good, np.repeat(good[:1] if len(good) else 0, len(bad)))
    lost = sum(row < len(batch.ids) - batch.padding for row in bad)
    if not len(good):
        batch.images[:] = 0
        batch.labels[:] = 0
    return Batch(batch.images[rows], batch.labels[rows], batch.ids[rows], batch.padding + lost)


def _opened(shards: Sequence[Path]) -> list[recordio.RecordReader]:
    readers: list[recordio.RecordReader] = []
    try:
        for shard in shards:
            readers.append(recordio.RecordReader(shard))
    except OSError as error:
        for reader in readers:
            reader.close()
        if error.errno == errno.EMFILE:
            remedy = f"{len(shards):,} shards want as many open files: raise the limit (ulimit -n)"
            raise OSError(error.errno, remedy, str(shards[len(readers)])) from error
        raise
    return readers
