"""One shard of a packed list: a function of its part of the list, the files and the settings.

Whichever executor runs it, with however many threads, the bytes are the same. The .json comes last
and says what the shard holds; a later run compares it and skips the shard (chapter 4).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
import zlib
from array import array
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from imnetlib import __version__, recordio
from imnetlib.arguments import Floats, Integers, PathLike, require, require_type, whole_number
from imnetlib.files import file_crc32, write_atomically, write_bytes_atomically
from imnetlib.image import DEFAULTS, Action, ImageError, Settings, convert_image, versions
from imnetlib.pack.parquet import ParquetImages
from imnetlib.pack.sources import Files, OnError, Read
from imnetlib.parallel import map_ahead

# Called with the number of images just done and the bytes read for them.
Advance = Callable[[int, int], object]

COUNTS = ("images", "kept", "reencoded", "converted", "bytes_in", "bytes_out")

# Images a thread takes at a time: few enough to bound memory, enough to make the hand-over cheap.
_IMAGES_PER_CHUNK = 8
_CHUNKS_AHEAD_PER_THREAD = 3


class PackError(ValueError):
    """An image could not be packed and ``on_error`` is "stop", or a worker died."""


@dataclass(frozen=True, slots=True)
class Job:
    """What all shards of a packed list share; ValueError or TypeError for what makes no sense."""

    folder: PathLike
    name: str
    shards: int
    settings: Settings = DEFAULTS
    threads: int = 1
    on_error: OnError = "report"

    def __post_init__(self) -> None:
        is_name = bool(self.name) and Path(self.name).name == self.name
        require(is_name, "the shards' name is the beginning of a file name", self.name)
        is_known = self.on_error in ("report", "stop")
        require(is_known, "on_error is report or stop", self.on_error)
        require_type(self.settings, Settings, "settings are image.Settings")
        for field in ("shards", "threads"):
            number = whole_number(field, getattr(self, field))
            object.__setattr__(self, field, number)
        require(self.threads >= 1, "threads are 1 or more", self.threads)

    def identity(self) -> dict[str, Any]:
        """What a .json must say for its shard to belong to this job."""
        return {"shards": self.shards, **dataclasses.asdict(self.settings)}


@dataclass(frozen=True, slots=True)
class ShardTask:
    """All that one shard depends on: the job and a part of the list, ids (n,), labels (n, k)."""

    job: Job
    number: int
    ids: Integers
    labels: Floats
    files: Files | ParquetImages

    def path(self, suffix: str) -> Path:
        """The shard's file with this suffix."""
        name = f"{self.job.name}-{self.number:05d}-of-{self.job.shards:05d}{suffix}"
        return Path(self.job.folder, name)

    def identity(self) -> dict[str, Any]:
        """The job's, with the number and a checksum of this part of the list."""
        checksum = zlib.crc32(b"\n".join(self.files.paths.tolist()))
        for column in (self.ids, self.labels):
            checksum = zlib.crc32(column.tobytes(), checksum)
        return {**self.job.identity(), "number": self.number, "list_crc32": checksum}


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that was left out, and why."""

    id: int
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} (id {self.id}) cannot be packed: {self.reason}"


@dataclass(frozen=True, slots=True)
class Summary:
    """What one shard or several hold: ``images``, of which ``kept`` have the bytes of their files.

    The others were ``reencoded``, or ``converted`` from odd files. ``shards_skipped``: those that
    an earlier run had finished. ``seconds``: of this run.
    """

    images: int
    kept: int
    reencoded: int
    converted: int
    bytes_in: int
    bytes_out: int
    failures: tuple[Failure, ...]
    shards_skipped: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of an image: the length of its framed record, or why it has none."""

    id: int
    action: Action | Literal["failed"]
    bytes_in: int
    bytes_out: int = 0
    failure: Failure | None = None


def pack_shard(task: ShardTask, advance: Advance | None = None) -> Summary:
    """Write the .rec, the .idx, then the .json of one shard, or find it finished (chapter 4).

    Each file appears whole or not at all; images are in list order. ``advance`` gets the number of
    images just done and their bytes. A finished shard is made again when an image it had to leave
    out can now be packed. Raises ValueError where the shard exists with other settings or from
    another list; PackError for a bad image with "stop", left out by an earlier run or not.
    """
    started = time.perf_counter()
    sidecar = _finished_sidecar(task)
    skipped = sidecar is not None
    if sidecar is None:
        sidecar = task.identity() | _write_shard(task, advance)
        write_bytes_atomically(task.path(".json"), json.dumps(sidecar, indent=1).encode())
    failures = tuple(Failure(*failure) for failure in sidecar["failures"])
    if skipped:
        if failures and task.job.on_error == "stop":
            raise PackError(str(failures[0]))
        if advance is not None:
            advance(len(task.ids), 0)
    counts = {key: sidecar[key] for key in COUNTS}
    seconds = time.perf_counter() - started
    return Summary(**counts, failures=failures, shards_skipped=int(skipped), seconds=seconds)


def _finished_sidecar(task: ShardTask) -> dict[str, Any] | None:
    """The sidecar of a shard that is there and sound; None where the shard has to be made."""
    path = task.path(".json")
    if not path.exists():
        return None
    sidecar = read_matching_sidecar(path, task.identity())
    left_out = np.isin(task.ids, [failure[0] for failure in sidecar["failures"]])
    sizes = task.files.sizes_crc32(np.flatnonzero(~left_out))
    if sizes is not None and sizes != sidecar.get("sizes_crc32", sizes):
        raise ValueError(
            f"{task.path('.rec')} was packed from other images: their sizes differ from those in "
            f"{task.files.base}. Take another folder or name, or remove the old shards"
        )
    if recordio.verify_sidecar(task.path(".rec")):
        return None
    if left_out.any():
        with task.files.open() as read:
            for row in np.flatnonzero(left_out).tolist():
                if not _pack_image(task, read, row)[0].failure:
                    return None
    return sidecar


def read_matching_sidecar(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Read a .json; ValueError where it does not say all that ``identity`` says."""
    sidecar: dict[str, Any] = recordio.read_sidecar(path)
    lacking = [key for key in (*COUNTS, "failures") if key not in sidecar]
    if lacking:
        raise ValueError(f"{path} lacks {', '.join(lacking)}: remove it, and pack again")
    differences = [
        f"{key}={sidecar.get(key)!r}, not {value!r}"
        for key, value in identity.items()
        if sidecar.get(key) != value
    ]
    if differences:
        raise ValueError(
            f"{path} was packed with {'; '.join(differences)}: "
            "take another folder or name, or remove the old shards"
        )
    return sidecar


def _write_shard(task: ShardTask, advance: Advance | None) -> dict[str, Any]:
    """Write the .rec and the .idx; return what the .json says of them."""
    counts = dict.fromkeys((*COUNTS, "failed"), 0)
    failures: list[Failure] = []
    ids = array("q")
    offsets = array("q")
    sizes = array("q")
    rec_crc32 = 0
    with write_atomically(task.path(".rec")) as out, closing(_packed_ahead(task)) as chunks:
        for records, outcomes in chunks:
            for outcome in outcomes:
                counts[outcome.action] += 1
                counts["bytes_in"] += outcome.bytes_in
                if outcome.failure:
                    failures.append(outcome.failure)
                    if task.job.on_error == "stop":
                        raise PackError(str(outcome.failure))
                    continue
                ids.append(outcome.id)
                offsets.append(counts["bytes_out"])
                sizes.append(outcome.bytes_in)
                counts["bytes_out"] += outcome.bytes_out
            out.write(records)
            rec_crc32 = zlib.crc32(records, rec_crc32)
            if advance is not None:
                advance(len(outcomes), sum(outcome.bytes_in for outcome in outcomes))

    counts["images"] = len(ids)
    recordio.write_index(task.path(".idx"), np.array(ids, np.int64), np.array(offsets, np.int64))
    checksums = {
        "rec_crc32": rec_crc32,
        "idx_crc32": file_crc32(task.path(".idx")),
        "sizes_crc32": zlib.crc32(sizes),
    }
    made_by = {"imnetlib": __version__}
    if not task.job.settings.pass_through:
        made_by |= versions()
    rows = [dataclasses.astuple(failure) for failure in failures]
    return {**counts, **checksums, "failures": rows, "versions": made_by}


def _packed_ahead(task: ShardTask) -> Generator[tuple[bytes, list[_Outcome]]]:
    """The chunks of a shard in order; threads pack a bounded number of them ahead."""
    threads = task.job.threads
    starts = range(0, len(task.ids), _IMAGES_PER_CHUNK)
    with task.files.open() as read, ThreadPoolExecutor(threads) as pool:
        pack_chunk = functools.partial(_pack_chunk, task, read)
        yield from map_ahead(pool, pack_chunk, starts, _CHUNKS_AHEAD_PER_THREAD * threads + 1)


def _pack_chunk(task: ShardTask, read: Read, start: int) -> tuple[bytes, list[_Outcome]]:
    """Some images as framed records, joined, and what became of each."""
    outcomes: list[_Outcome] = []
    pieces: list[recordio.Buffer] = []
    for row in range(start, min(start + _IMAGES_PER_CHUNK, len(task.ids))):
        outcome, record = _pack_image(task, read, row)
        outcomes.append(outcome)
        pieces += record
    # This is the only time that the bytes of an image are copied.
    return b"".join(pieces), outcomes


def _pack_image(task: ShardTask, read: Read, row: int) -> tuple[_Outcome, list[recordio.Buffer]]:
    """What became of one image, and the pieces of its framed record."""
    key = int(task.ids[row])
    settings = task.job.settings
    size = 0
    try:
        data = read(row)
        size = len(data)
        image, action = convert_image(data, settings)
    except (ImageError, OSError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        failure = Failure(key, os.fsdecode(task.files.paths[row]), reason)
        return _Outcome(key, "failed", size, failure=failure), []
    labels = task.labels[row]
    label = labels if settings.pack_label and len(labels) > 1 else float(labels[0])
    header = recordio.pack(recordio.IRHeader(0, label, key, 0), b"")
    pieces = recordio.frame_pieces(header, image)
    return _Outcome(key, action, size, sum(map(len, pieces))), pieces
