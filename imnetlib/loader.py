"""Shards to batches: one shuffled order that any number of readers share, threads that decode in place (chapter 4).

The order of an epoch is a pure function of (number of records, seed, epoch), every random choice for an image one of
(seed, epoch, record id). So neither threads nor readers change what comes out, and the whole state is one position.
"""

from __future__ import annotations

import json
import math
import zlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from imnetlib import codec, recordio
from imnetlib.imagelist import shuffled_positions

cv2 = codec.opencv()
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
BadRows = list[Future[list[int]]]

_ROWS = 16  # images a thread takes at a time
_TRIES = 10  # boxes drawn before a crop falls back to the centre, as in torchvision
_MIRROR, _TOP, _LEFT, _BOXES = 0, 1, 2, 3  # columns of the random numbers; two for each box follow
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class LoadError(ValueError):
    """A record cannot be read or decoded; the text names shard, record id and offset."""


@dataclass(frozen=True, slots=True)
class Transform:
    """How a picture becomes ``size`` x ``size`` pixels, RGB.

    ``crop``: "center" or "random" takes a square of ``share`` of the short edge (224 of 256 pixels, unscaled);
    "resized" a box of ``area`` of the picture and an aspect ratio within ``aspect`` (Szegedy et al. 2015).
    ``mirror``: every second picture, by chance. ``mean`` and ``std`` per channel, on the scale of 0 to 255: float32
    (x - mean) / std comes out, else uint8. Raises ValueError for values that make no sense.
    """

    size: int = 224
    crop: Literal["center", "random", "resized"] = "center"
    mirror: bool = False
    share: float = 0.875
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    layout: Literal["NHWC", "NCHW"] = "NHWC"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        for good, rule, value in (
            (self.size >= 1, "size is 1 pixel or more", self.size),
            (self.crop in ("center", "random", "resized"), "crop is center, random or resized", self.crop),
            (0 < self.share <= 1, "share is above 0 and at most 1", self.share),
            (
                0 < self.area[0] <= self.area[1] <= 1,
                "area is two shares in order, above 0, at most 1",
                self.area,
            ),
            (0 < self.aspect[0] <= self.aspect[1], "aspect is two ratios in order, above 0", self.aspect),
            (self.layout in ("NHWC", "NCHW"), "layout is NHWC or NCHW", self.layout),
            (self.mean is None or len(self.mean) == 3, "mean is None or a number a channel", self.mean),
            (len(self.std) == 3 and min(self.std) > 0, "std is three numbers above 0", self.std),
        ):
            if not good:
                raise ValueError(f"{rule}, not {value!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """``images`` as the Transform says; ``labels`` float32 (n,), or (n, k) when there are k; ``ids`` int64 (n,).

    The last ``padding`` rows repeat other records, so that all batches have one shape: do not count them.
    """

    images: Images
    labels: Floats
    ids: Integers
    padding: int


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The output function of splitmix64 (Steele, Lea, Flood 2014), element by element."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def epoch_order(records: int, seed: int, epoch: int) -> Integers:
    """The order of an epoch: a permutation of 0..records - 1, the same everywhere (chapter 4). 0.1 s a million."""
    return shuffled_positions(records, seed << 32 | epoch)


def random_numbers(seed: int, epoch: int, ids: Integers, columns: int) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), of shape (len(ids), columns), each a function of seed, epoch, id and column.

    Hashed, not drawn from a generator, so that any thread can have the numbers of any record.
    """
    key = np.array([seed % 2**64, epoch], np.uint64)
    row = _mix(_mix(_mix(key[:1]) + key[1:] * _GOLDEN) + ids.astype(np.uint64) * _GOLDEN)
    bits = _mix(row[:, None] + np.arange(1, columns + 1, dtype=np.uint64) * _GOLDEN)
    return (bits >> np.uint64(11)) * 2.0**-53


def batch_starts(records: int, batch_size: int, start: int, reader: tuple[int, int]) -> range:
    """Where in the order each batch of this reader begins, from position ``start`` of the epoch on (chapter 4).

    Reader r of n takes every n-th batch, and all take equally many: positions from ``records`` on are padding.
    """
    number, readers = reader
    stride = batch_size * readers
    steps = -(-max(0, records - start) // stride)
    return range(start + number * batch_size, start + number * batch_size + steps * stride, stride)


def crop_box(
    height: int, width: int, transform: Transform, chances: Sequence[float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the part of a picture to show; ``chances`` from ``random_numbers``."""
    if transform.crop == "resized":
        low, high = math.log(transform.aspect[0]), math.log(transform.aspect[1])
        for i in range(_BOXES, _BOXES + 2 * _TRIES, 2):
            area = height * width * (transform.area[0] + chances[i] * (transform.area[1] - transform.area[0]))
            aspect = math.exp(low + chances[i + 1] * (high - low))
            tall, wide = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < tall <= height and 0 < wide <= width:
                top, left = int(chances[_TOP] * (height - tall + 1)), int(chances[_LEFT] * (width - wide + 1))
                return top, left, tall, wide
    side = max(1, round(min(height, width) * transform.share))
    if transform.crop == "random":
        return int(chances[_TOP] * (height - side + 1)), int(chances[_LEFT] * (width - side + 1)), side, side
    return (height - side) // 2, (width - side) // 2, side, side


def show(data: bytes, transform: Transform, chances: Sequence[float], out: codec.Pixels) -> None:
    """Decode one image into ``out`` (size, size, 3). A JPEG is decoded only as large as the crop needs."""
    header, size = codec.sniff(data), transform.size
    height, width = header.size
    top, left, tall, wide = crop_box(height, width, transform, chances)
    pixels = codec.decode(data, -(-height * size // tall), -(-width * size // wide), header=header)
    if pixels.shape[0] != height:
        down, across = pixels.shape[0] / height, pixels.shape[1] / width
        top, left, tall, wide = int(top * down), int(left * across), round(tall * down), round(wide * across)
    box = pixels[top : top + tall, left : left + wide]
    mirror = transform.mirror and chances[_MIRROR] < 0.5
    if (tall, wide) != (size, size):
        codec.resize(box, size, size, out)
        box = out
    if mirror:
        cv2.flip(box, 1, dst=out)
    elif box is not out:
        np.copyto(out, box)


class Loader:
    """Batches from shards, epoch after epoch; each ``for`` loop gives the rest of an epoch (chapter 4).

    ``shards``: .rec files with their .idx beside them. ``reader=(r, n)``: the r-th of n, which all must have the same
    shards, seed and batch size; each gets equally many batches. ``threads`` decode, up to ``prefetch`` batches ahead.
    ``on_error``: "raise" LoadError at a bad record, or "skip" it: a padding row takes its place and ``failures``
    says why, by shard and offset. ``close``, or the end of a ``with`` block, closes the shards. Ids may repeat from
    shard to shard; records of one id then share their random numbers. Raises ValueError where index, .rec and .json
    contradict each other.
    Memory: 16 bytes a record for the index, 8 for the order, and prefetch + 2 batches.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        batch_size: int,
        transform: Transform,
        *,
        shuffle: bool = True,
        seed: int = 0,
        threads: int = 2,
        prefetch: int = 2,
        reader: tuple[int, int] = (0, 1),
        label_width: int = 1,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        if min(batch_size, threads, prefetch) < 1 or seed < 0 or not 0 <= reader[0] < reader[1]:
            raise ValueError(
                f"{batch_size=}, {threads=} and {prefetch=} must be 1 or more, {seed=} not negative, "
                f"{reader=} (number from 0, how many)"
            )
        self.batch_size, self.transform, self.seed, self.threads = batch_size, transform, seed, threads
        self.shuffle, self.prefetch, self.reader, self.on_error = shuffle, prefetch, reader, on_error
        self.label_width = label_width
        self.epoch = self.position = (
            0  # position: records of this epoch that all readers together have passed
        )
        self.failures: dict[tuple[Path, int], str] = {}
        indexes = [_index(Path(shard)) for shard in shards]
        self._ends = np.cumsum([len(keys) for keys, _ in indexes], dtype=np.int64)
        self._ids = np.concatenate([keys for keys, _ in indexes] or [np.empty(0, np.int64)])
        self._offsets = np.concatenate([offsets for _, offsets in indexes] or [np.empty(0, np.int64)])
        if not len(self._ids):
            raise ValueError(
                f"there are no records in {', '.join(map(str, shards)) or 'an empty list of shards'}"
            )
        self._readers = [recordio.RecordReader(shard) for shard in shards]

    def close(self) -> None:
        """Close the shards, after the last loop; a second time does nothing."""
        while self._readers:
            self._readers.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(batch_starts(len(self._ids), self.batch_size, 0, self.reader))

    def state_dict(self) -> dict[str, int]:
        """Where all readers stand once each has had as many batches as this one; for ``load_state_dict``."""
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "records": len(self._ids),
            "ids_crc32": zlib.crc32(self._ids.data),
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from ``state``, with any number of readers and any batch size. ValueError if the records differ.

        A position at or beyond the last record is the end of its epoch: the next loop gives nothing and moves on.
        """
        own = self.state_dict()
        if lacking := own.keys() - state.keys():
            raise ValueError(f"this is no saved position of a loader: it lacks {', '.join(sorted(lacking))}")
        other = [key for key in ("seed", "records", "ids_crc32") if state[key] != own[key]]
        if other:
            what = ", ".join(f"{key} {state[key]}, here {own[key]}" for key in other)
            raise ValueError(f"the saved position belongs to another order of records: {what}")
        self.epoch, self.position = state["epoch"], state["position"]

    def __iter__(self) -> Generator[Batch]:
        if not self._readers:
            raise ValueError("the loader is closed: make a new one")
        records = len(self._ids)
        order = epoch_order(records, self.seed, self.epoch) if self.shuffle else np.arange(records)
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="imnetlib-loader")
        waiting: deque[tuple[Batch, BadRows]] = deque()
        try:
            for start in batch_starts(records, self.batch_size, self.position, self.reader):
                places = np.arange(start, start + self.batch_size)
                padding = min(self.batch_size, max(0, start + self.batch_size - records))
                waiting.append(self._begin(pool, order[places % records], padding))
                if len(waiting) > self.prefetch:
                    yield self._finish(*waiting.popleft())
            while waiting:
                yield self._finish(*waiting.popleft())
            self.epoch, self.position = self.epoch + 1, 0
        finally:  # also after break, an error or Ctrl-C: a thread ends with the few images it holds
            pool.shutdown(cancel_futures=True)

    def _begin(self, pool: ThreadPoolExecutor, records: Integers, padding: int) -> tuple[Batch, BadRows]:
        """Have the pool fill a batch with these records."""
        count, size = len(records), self.transform.size
        shape = (count, size, size, 3) if self.transform.layout == "NHWC" else (count, 3, size, size)
        images: Any = np.empty(shape, np.uint8 if self.transform.mean is None else np.float32)
        labels = np.empty(count if self.label_width == 1 else (count, self.label_width), np.float32)
        batch = Batch(images, labels, self._ids[records], padding)
        chunks = [slice(start, start + _ROWS) for start in range(0, count, _ROWS)]
        return batch, [pool.submit(self._fill, batch, records, chunk, self.epoch) for chunk in chunks]

    def _finish(self, batch: Batch, bad_rows: BadRows) -> Batch:
        """Wait for a batch; bad records become padding at its end."""
        bad = [row for future in bad_rows for row in future.result()]
        self.position += self.batch_size * self.reader[1]
        if not bad:
            return batch
        good = np.delete(np.arange(len(batch.ids)), bad)
        rows = np.append(good, np.repeat(good[:1] if len(good) else 0, len(bad)))
        lost = sum(row < len(batch.ids) - batch.padding for row in bad)
        if not len(good):
            batch.images[:] = 0
            batch.labels[:] = 0
        return Batch(batch.images[rows], batch.labels[rows], batch.ids[rows], batch.padding + lost)

    def _fill(self, batch: Batch, records: Integers, rows: slice, epoch: int) -> list[int]:
        """Decode some rows of a batch; gives those that could not be (on_error "skip")."""
        transform, chosen, bad = self.transform, records[rows], []
        shards = np.searchsorted(self._ends, chosen, side="right").tolist()
        chances = random_numbers(self.seed, epoch, batch.ids[rows], _BOXES + 2 * _TRIES).tolist()
        offsets = self._offsets[chosen].tolist()
        direct = transform.layout == "NHWC" and transform.mean is None
        canvas, table = np.empty((transform.size, transform.size, 3), np.uint8), _table(transform)
        for i, (shard, offset) in enumerate(zip(shards, offsets, strict=True)):
            row = rows.start + i
            try:
                header, data = recordio.unpack(self._readers[shard].read_at(offset))
                if max(header.flag, 1) != self.label_width:
                    raise ValueError(
                        f"it has {max(header.flag, 1)} labels, label_width is {self.label_width}"
                    )
                batch.labels[row] = header.label
                show(data, transform, chances[i], batch.images[row] if direct else canvas)
            except ValueError as error:
                what = f"{self._readers[shard].path}: record {batch.ids[row]} at byte {offset}: {error}"
                if self.on_error == "raise":
                    raise LoadError(what) from error
                self.failures[self._readers[shard].path, offset] = what
                bad.append(row)
                continue
            if not direct:
                _arrange(canvas, table, transform.layout, batch.images[row])
        return bad


def fingerprint(shards: Sequence[Path]) -> int:
    """A checksum of what the shards hold, from the .json beside each, or its .idx: small files, quickly read."""
    checksum = 0
    for shard in shards:
        sidecar = shard.with_suffix(".json")
        if sidecar.exists():
            said = str(json.loads(sidecar.read_bytes())["rec_crc32"]).encode()
        else:
            said = shard.with_suffix(".idx").read_bytes()
        checksum = zlib.crc32(said, checksum)
    return checksum


def _table(transform: Transform) -> Floats | None:
    """What each of the 256 values becomes in each channel, (256, 3); None when they stay."""
    if transform.mean is None:
        return None
    table: npt.NDArray[np.float64] = (np.arange(256)[:, None] - np.array(transform.mean)) / np.array(
        transform.std
    )
    return table.astype(np.float32)


def _arrange(pixels: codec.Pixels, table: Floats | None, layout: str, out: Any) -> None:
    """Pixels (h, w, 3) into the layout and type of ``out``; OpenCV writes there, as shapes and types agree."""
    if table is None:
        cv2.split(pixels, list(out))
    elif layout == "NHWC":
        cv2.LUT(pixels, table[None], dst=out)
    else:
        for channel, plane in enumerate(cv2.split(pixels)):
            cv2.LUT(plane, np.ascontiguousarray(table[:, channel]), dst=out[channel])


def _index(shard: Path) -> tuple[Integers, Integers]:
    """Keys and offsets from the .idx beside a .rec, held against the .rec's size and the .json's count."""
    keys, offsets = recordio.read_index(shard.with_suffix(".idx"))
    size, sidecar = shard.stat().st_size, shard.with_suffix(".json")
    if len(offsets) and int(offsets.max()) >= size:
        raise ValueError(
            f"{shard.with_suffix('.idx')} points to byte {offsets.max():,}, {shard} has {size:,}"
        )
    said: dict[str, Any] = json.loads(sidecar.read_bytes()) if sidecar.exists() else {"images": len(keys)}
    if said["images"] != len(keys):
        raise ValueError(
            f"{shard.with_suffix('.idx')} has {len(keys):,} records, {sidecar} says {said['images']:,}"
        )
    return keys, offsets
