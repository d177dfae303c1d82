"""Shards to batches: one shuffled order that readers share, and threads that decode (chapter 4).

The order of an epoch is a pure function of (records of each shard, seed, epoch), every random
choice for an image one of (seed, epoch, record id). So neither threads nor readers change what
comes out, and the whole state is one position.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from imnetlib.arguments import (
    Integers,
    PathLike,
    list_of_paths,
    require,
    require_type,
    whole_number,
)
from imnetlib.image import Transform, normalization_table
from imnetlib.loader.batch import Batch, Filler
from imnetlib.loader.memory import BatchMemory
from imnetlib.loader.readahead import Windows
from imnetlib.loader.shards import LoadError, Shards
from imnetlib.order import Blocks, batch_starts, order_of, require_shuffle

BadRows = list[Future[list[int]]]

# A batch of so many records without a good one means a wrong transform, index or disk: stop.
_HOPELESS_BATCH = 8
_MOST_ROWS_PER_TASK = 32
_WHOLE_NUMBERS = (
    *("batch_size", "seed", "threads", "prefetch"),
    *("shard_index", "shard_count", "label_width"),
)


@dataclass(eq=False, repr=False)
class Loader:
    """Batches from shards, epoch after epoch; each ``for`` loop gives the rest of one (chapter 4).

    One loop at a time, in one thread: a new one ends an older one. ``epoch`` and ``position``, the
    records of it that all readers have passed, say where it is. ``close``, or the end of a ``with``
    block, closes the shards. Records of one id share their random numbers.

    Args:
        shards: .rec files with their .idx beside them, or with one merged ``index``.
        batch_size: Rows of every batch.
        transform: What becomes of an image.
        shuffle: True for a random order of all records, a read for each; ``Blocks`` to mix large
            pieces that are read in order; False for the stored order, read in order too.
        seed: Of the order and of all random choices.
        threads: How many decode.
        prefetch: How many batches they may be ahead.
        shard_index: The number of this reader among those that share the records (the name is that
            of Google's Grain); all must have the same shards, shuffle, seed and batch size.
        shard_count: How many share them. Each gets equally many batches: where the records do not
            suffice, the last ones are padding, whole or in part.
        index: One .idx over all shards, as ``imnet merge-index`` writes it.
        label_width: Labels of a record.
        classes: If given, labels must be 0 to classes - 1.
        images_only: Leave out the records that index images by identity in insightface's layout;
            ``left_out`` counts them. Without it, shards in that layout are refused.
        on_error: "raise" LoadError at a bad record, or "skip" it: a padding row takes its place and
            ``failures`` says why, by shard and offset. Even then a batch of eight or more without
            one good record raises LoadError, and the disk OSError.

    Raises TypeError for an argument of a wrong type, ValueError for one out of range and where
    index, .rec and .json contradict each other; with "raise", LoadError (a ValueError) where the
    last record of a shard is cut. Warns where an index leaves out the end of a shard.

    Memory: 16 bytes a record for the index, 8 for the order (24 while it is made), and prefetch + 2
    batches. Where records are read in order, also the encoded images of the windows (of Blocks, or
    of a batch each) that those batches touch, and of one window more. Where an index names only
    some of the records, what lies between them counts too, up to 4 MB each.
    """

    shards: Sequence[PathLike]
    batch_size: int
    transform: Transform
    _: KW_ONLY
    shuffle: bool | Blocks = True
    seed: int = 0
    threads: int = 2
    prefetch: int = 2
    shard_index: int = 0
    shard_count: int = 1
    index: PathLike | None = None
    label_width: int = 1
    classes: int | None = None
    images_only: bool = False
    on_error: Literal["raise", "skip"] = "raise"

    def __post_init__(self) -> None:
        self._require_arguments()
        self._go_to(0, 0)
        self.failures: dict[tuple[Path, int], str] = {}
        self._loop: weakref.ref[Generator[Batch]] | None = None
        self._memory = BatchMemory(self.prefetch + 2)
        strict = self.on_error == "raise"
        paths = list_of_paths("shards", self.shards)
        self.shards = paths
        merged = None if self.index is None else Path(self.index)
        self._shards = Shards(paths, merged, self.images_only, whole=strict)
        self.left_out = self._shards.index.left_out
        self._filler = Filler(
            self._shards,
            self.transform,
            normalization_table(self.transform),
            self.seed,
            self.label_width,
            self.classes,
            None if strict else self.failures,
        )

    def _require_arguments(self) -> None:
        for name in _WHOLE_NUMBERS:
            setattr(self, name, whole_number(name, getattr(self, name)))
        if self.classes is not None:
            self.classes = whole_number("classes", self.classes)
        require_type(self.transform, Transform, "transform is a Transform(…)")
        require_shuffle(self.shuffle)
        require_type(self.images_only, bool, "images_only is True or False")
        require(self.batch_size >= 1, "batch_size is 1 or more", self.batch_size)
        require(self.threads >= 1, "threads are 1 or more", self.threads)
        require(self.prefetch >= 1, "prefetch is 1 batch or more", self.prefetch)
        require(self.label_width >= 1, "label_width is 1 or more", self.label_width)
        require(self.seed >= 0, "seed is not negative", self.seed)
        readers = range(self.shard_count)
        rule = "shard_index is from 0 to shard_count - 1"
        require(self.shard_index in readers, rule, f"{self.shard_index} of {self.shard_count}")
        require(self.on_error in ("raise", "skip"), "on_error is raise or skip", self.on_error)
        too_few = self.classes is not None and self.classes < 1
        require(not too_few, "classes is None or 1 or more", self.classes)

    def close(self) -> None:
        """End a loop that is under way and close the shards; a second time does nothing."""
        self._end_loop()
        self._memory = BatchMemory(self.prefetch + 2)
        self._shards.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self._starts(0))

    def _starts(self, position: int) -> range:
        records = len(self._shards.index)
        return batch_starts(records, self.batch_size, position, self.shard_index, self.shard_count)

    def state_dict(self) -> dict[str, int | str]:
        """Where all readers are once each has had as many batches as this one."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "shuffle": repr(self.shuffle),
            "records": len(self._shards.index),
            "records_crc32": self._shards.checksum,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, with any number of readers and any batch size.

        A position at or beyond the last record is the end of its epoch: the next loop gives nothing
        and moves on. ValueError where the order of records is another one, TypeError for no dict.
        """
        require_type(state, Mapping, "a saved position is a dict, as state_dict gives it")
        own = self.state_dict()
        lacking = sorted(own.keys() - state.keys())
        if lacking:
            raise ValueError(f"not a saved position of a loader: it lacks {', '.join(lacking)}")
        epoch = state["epoch"]
        position = state["position"]
        own |= {"epoch": epoch, "position": position}
        other = [f"{key} {state[key]}, here {own[key]}" for key in own if state[key] != own[key]]
        if other:
            raise ValueError(f"a saved position in another order of records: {', '.join(other)}")
        are_whole = all(
            isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0
            for value in (epoch, position)
        )
        require(are_whole, "epoch and position are whole numbers from 0 on", (epoch, position))
        self._end_loop()
        self._go_to(int(epoch), int(position))

    def _go_to(self, epoch: int, position: int) -> None:
        self.epoch = epoch
        # In records of this epoch that all readers together have passed.
        self.position = position

    def start_epoch(self, epoch: int) -> None:
        """Let the next loop give the whole of this epoch; a loop under way ends."""
        self.load_state_dict(self.state_dict() | {"epoch": epoch, "position": 0})

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loop": None}

    def __iter__(self) -> Generator[Batch]:
        if not self._shards.files:
            raise ValueError("the loader is closed: make a new one")
        self._end_loop()
        batches = self._batches()
        # Weak, so that a loop that is left by break ends at once.
        self._loop = weakref.ref(batches)
        return batches

    def _end_loop(self) -> None:
        batches = self._loop() if self._loop else None
        if batches is not None:
            batches.close()
        self._loop = None

    def _batches(self) -> Generator[Batch]:
        starts = self._starts(self.position)
        if not starts:
            self._go_to(self.epoch + 1, 0)
            return
        order = order_of(self._shards.index.counts, self.shuffle, self.seed, self.epoch)
        with ExitStack() as on_exit:
            windows = Windows(
                self._shards, order, starts, self.batch_size, self._records_per_window()
            )
            on_exit.callback(windows.close)
            pool = ThreadPoolExecutor(self.threads, thread_name_prefix="imnetlib-loader")
            # After break, an error or Ctrl-C too, each thread ends with the few images it holds.
            on_exit.callback(pool.shutdown, cancel_futures=True)
            begun = (self._begin(pool, order, start, windows) for start in starts)
            waiting = deque(islice(begun, self.prefetch))
            while waiting:
                waiting.extend(islice(begun, 1))
                # No name here for the batch: it would keep the memory from being used again.
                yield self._finish(*waiting.popleft(), last=not waiting)

    def _records_per_window(self) -> int:
        """How many records are read together; none of a full shuffle."""
        if isinstance(self.shuffle, Blocks):
            return self.shuffle.records_mixed
        return 0 if self.shuffle else self.batch_size

    def _begin(
        self, pool: ThreadPoolExecutor, order: Integers, start: int, windows: Windows
    ) -> tuple[Batch, BadRows]:
        """Have the pool fill the batch that begins at ``start``."""
        count = self.batch_size
        images = self._memory.array((count, *self.transform.shape), self.transform.dtype)
        labels = np.empty(count if self.label_width == 1 else (count, self.label_width), np.float32)
        positions = np.arange(start, start + count)
        records = order[positions % len(order)]
        padding = int(np.count_nonzero(positions >= len(order)))
        batch = Batch(images, labels, self._shards.index.ids[records], padding)
        ahead = windows.of(positions)
        step = min(_MOST_ROWS_PER_TASK, -(-count // self.threads))
        parts = [slice(first, first + step) for first in range(0, count, step)]
        fill = partial(self._filler.fill, batch, self.epoch)
        return batch, [pool.submit(fill, rows, records[rows], ahead[rows]) for rows in parts]

    def _finish(self, batch: Batch, bad_rows: BadRows, last: bool) -> Batch:
        """Wait for a batch, and move on; bad records become padding at its end."""
        bad = [row for future in bad_rows for row in future.result()]
        if len(bad) == self.batch_size >= _HOPELESS_BATCH:
            reason = next(reversed(self.failures.values()))
            raise LoadError(
                f"not one of the {len(bad)} records of a batch can be read; the last: {reason}"
            )
        if last:
            # Before the last batch is out, as a loop may end there by break.
            self._go_to(self.epoch + 1, 0)
        else:
            self._go_to(self.epoch, self.position + self.batch_size * self.shard_count)
        return batch.without(bad) if bad else batch
