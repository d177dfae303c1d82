"""Images to shards of records: each shard one pure task, restartable, nothing lost in silence
(chapter 4).

``pack`` cuts an image list into shards NAME-00007-of-00256.rec/.idx/.json. A shard is a function of
its part of the list, the files and the settings: whichever executor runs it, with however many
threads, the bytes are the same. The .json comes last and says what the shard holds; a later run
checks it and skips the shard.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import json
import os
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from imnetlib import __version__, recordio
from imnetlib.catalog import verify_classes
from imnetlib.files import file_crc32, write_atomically, write_whole
from imnetlib.image import DEFAULTS, Action, ImageError, Settings, convert_image, versions
from imnetlib.pack.lists import ImageList
from imnetlib.pack.sources import Files, Folder, Integers, OnError, Read, Tar
from imnetlib.parallel import map_ahead
from imnetlib.progress import progress
from imnetlib.recordio import Buffer, frame_pieces, read_sidecar, verify_sidecar

# images just done, and the bytes read for them
Advance = Callable[[int, int], object]

# beside the shards: the class of each label, one a line
CLASSES = "synset.txt"

# images a thread takes at a time: few enough to bound memory, enough to make the hand-over cheap
_IMAGES_A_TASK = 8
# for each thread
_CHUNKS_AHEAD = 3
_CANNOT = "{1} (id {0}) cannot be packed: {2}"


@dataclass(frozen=True, slots=True)
class Job:
    """What all shards of a packed list share."""

    folder: Path
    name: str
    shards: int
    settings: Settings = DEFAULTS
    threads: int = 1
    on_error: OnError = "report"

    def identity(self) -> dict[str, Any]:
        """What a .json must say for its shard to belong to this job."""
        return {"shards": self.shards, **dataclasses.asdict(self.settings)}


@dataclass(frozen=True, slots=True)
class ShardTask:
    """All that one shard depends on; the arrays hold its part of the list only: ids (n,), labels
    (n, k).
    """

    job: Job
    number: int
    ids: Integers
    labels: npt.NDArray[np.float32]
    files: Files

    def path(self, suffix: str) -> Path:
        """The shard's file with this suffix."""
        return (
            self.job.folder / f"{self.job.name}-{self.number:05d}-of-{self.job.shards:05d}{suffix}"
        )

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


@dataclass(frozen=True, slots=True)
class Summary:
    """What one shard or several hold: ``images`` that kept their bytes, were encoded anew, or
    converted (odd files).

    ``shards_skipped``: those that had been finished before. ``seconds``: of this run.
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


_COUNTS = ("images", "kept", "reencoded", "converted", "bytes_in", "bytes_out")


class PackError(ValueError):
    """An image could not be packed and ``on_error`` is "stop"."""


def estimate_shards(total_bytes: int, target_bytes: int) -> int:
    """How many shards give files of about ``target_bytes``; at least 1."""
    return max(1, round(total_bytes / target_bytes))


@dataclass(frozen=True, slots=True)
class _Packed:
    """One image: the length of its framed record, or the reason why there is none."""

    action: Action | Literal["failed"]
    bytes_in: int
    bytes_out: int = 0
    reason: str = ""


# some records, framed and joined, and what became of each image
_Chunk = tuple[bytes, list[_Packed]]


def _pack_image(task: ShardTask, read: Read, i: int) -> tuple[_Packed, list[Buffer]]:
    """One image and the pieces of its framed record."""
    labels = task.labels[i]
    settings = task.job.settings
    label = labels if settings.pack_label and len(labels) > 1 else float(labels[0])
    size = 0
    try:
        data = read(i)
        size = len(data)
        image, action = convert_image(data, settings)
    except ImageError as error:
        return _Packed("failed", size, reason=str(error)), []
    except OSError as error:
        return _Packed("failed", size, reason=error.strerror or str(error)), []
    header = recordio.pack(recordio.IRHeader(0, label, int(task.ids[i]), 0), b"")
    pieces = frame_pieces(header, image)
    return _Packed(action, size, sum(map(len, pieces))), pieces


def _pack_chunk(task: ShardTask, read: Read, start: int) -> _Chunk:
    packed = list[_Packed]()
    pieces = list[Buffer]()
    for i in range(start, min(start + _IMAGES_A_TASK, len(task.ids))):
        one, framed = _pack_image(task, read, i)
        packed.append(one)
        pieces += framed
    # the one copy of an image's bytes on its way
    return b"".join(pieces), packed


@contextmanager
def _packed_ahead(task: ShardTask) -> Iterator[Iterator[_Chunk]]:
    """The chunks of a shard in order, packed ahead by threads; a bounded number of them waits in
    memory.
    """
    threads = task.job.threads
    starts = range(0, len(task.ids), _IMAGES_A_TASK)
    with task.files.open() as read, ThreadPoolExecutor(threads) as pool:
        work = functools.partial(_pack_chunk, task, read)
        with closing(map_ahead(pool, work, starts, _CHUNKS_AHEAD * threads + 1)) as chunks:
            yield chunks


def pack_shard(task: ShardTask, advance: Advance | None = None) -> Summary:
    """Write one shard, or find it finished: the .rec, the .idx, then the .json, each whole or not
    at all (chapter 4).

    Images stand in list order. ``advance`` gets the images just done and their bytes. A finished
    shard is made again when an image it had to leave out can now be packed. ValueError when the
    shard is there with other settings or from another list; PackError for a bad image and "stop",
    left out by an earlier run or not.
    """
    started = time.perf_counter()
    sidecar = _finished(task)
    skipped = sidecar is not None
    if sidecar is not None and sidecar["failures"] and task.job.on_error == "stop":
        raise PackError(_CANNOT.format(*sidecar["failures"][0]))
    if sidecar is None:
        sidecar = task.identity() | _write_shard(task, advance)
        write_whole(task.path(".json"), json.dumps(sidecar, indent=1).encode())
    elif advance is not None:
        advance(len(task.ids), 0)
    return Summary(
        **{key: sidecar[key] for key in _COUNTS},
        failures=tuple(Failure(*failure) for failure in sidecar["failures"]),
        shards_skipped=int(skipped),
        seconds=time.perf_counter() - started,
    )


def _write_shard(task: ShardTask, advance: Advance | None) -> dict[str, Any]:
    """Write the .rec and the .idx; gives what the .json says of them."""
    counts = dict.fromkeys((*_COUNTS, "failed"), 0)
    failures: list[tuple[int, str, str]] = []
    ids = array("q")
    offsets = array("q")
    sizes = array("q")
    checksum = 0
    done = 0
    with write_atomically(task.path(".rec")) as out, _packed_ahead(task) as chunks:
        for records, packed in chunks:
            for row, one in enumerate(packed, done):
                counts[one.action] += 1
                counts["bytes_in"] += one.bytes_in
                if one.action == "failed":
                    failures.append(
                        (int(task.ids[row]), os.fsdecode(task.files.paths[row]), one.reason)
                    )
                    if task.job.on_error == "stop":
                        raise PackError(_CANNOT.format(*failures[-1]))
                else:
                    ids.append(task.ids[row])
                    offsets.append(counts["bytes_out"])
                    sizes.append(one.bytes_in)
                    counts["bytes_out"] += one.bytes_out
            done += len(packed)
            out.write(records)
            checksum = zlib.crc32(records, checksum)
            if advance is not None:
                advance(len(packed), sum(one.bytes_in for one in packed))
    counts["images"] = len(ids)
    recordio.write_index(task.path(".idx"), np.array(ids, np.int64), np.array(offsets, np.int64))
    checksums = {
        "rec_crc32": checksum,
        "idx_crc32": file_crc32(task.path(".idx")),
        "sizes_crc32": zlib.crc32(sizes),
    }
    made_by = {"imnetlib": __version__}
    if not task.job.settings.pass_through:
        made_by |= versions()
    return {**counts, **checksums, "failures": failures, "versions": made_by}


def _finished(task: ShardTask) -> dict[str, Any] | None:
    """What the .json says when the shard is there and sound; None when it has to be made (again)."""
    if not task.path(".json").exists():
        return None
    sidecar = _read_sidecar(task.path(".json"), task.identity())
    failed = np.isin(task.ids, [failure[0] for failure in sidecar["failures"]])
    sizes = task.files.sizes_crc32(np.flatnonzero(~failed))
    if sizes is not None and sizes != sidecar.get("sizes_crc32", sizes):
        raise ValueError(
            f"{task.path('.rec')} was packed from other images: their sizes differ from those in "
            f"{task.files.base}. Take another folder or name, or remove the old shards"
        )
    if verify_sidecar(task.path(".rec")) or _repaired(task, np.flatnonzero(failed)):
        return None
    return sidecar


def _repaired(task: ShardTask, failed: Integers) -> bool:
    """Whether any of these images, left out before, can now be packed."""
    if not len(failed):
        return False
    with task.files.open() as read:
        return any(_pack_image(task, read, i)[0].action != "failed" for i in failed.tolist())


def _read_sidecar(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Read a .json; ValueError when it does not say all that ``identity`` says."""
    sidecar = read_sidecar(path)
    was = [
        f"{key}={sidecar.get(key)!r}, not {now!r}"
        for key, now in identity.items()
        if sidecar.get(key) != now
    ]
    if was:
        raise ValueError(
            f"{path} was packed with {'; '.join(was)}: take another folder or name, or remove the old shards"
        )
    return sidecar


def shard_tasks(images: ImageList, source: Folder | Tar, job: Job) -> list[ShardTask]:
    """The tasks whose results together are the packed list; ``pack`` says which errors there are
    (chapter 4).
    """
    count = len(images.ids)
    labels = images.labels.shape[1]
    if not 1 <= job.shards <= count:
        raise ValueError(
            f"a list of {count:,} images makes 1 to {count:,} shards, not {job.shards:,}"
        )
    ordered = np.sort(images.ids)
    again = ordered[1:][np.diff(ordered) == 0]
    if ordered[0] < 0 or len(again):
        which = f"{again[0]} stands there twice" if len(again) else f"there is {ordered[0]}"
        raise ValueError(
            f"the list's ids must be distinct and not negative, as they are the keys of the index: {which}"
        )
    if not job.name or Path(job.name).name != job.name:
        raise ValueError(f"the shards' name is the beginning of a file name, not {job.name!r}")
    if labels > 1 and not job.settings.pack_label:
        raise ValueError(
            f"the list has {labels} labels an image: set pack_label, or give a list with one"
        )
    files = source.locate(images.paths, job.on_error)
    bounds = pairwise(count * number // job.shards for number in range(job.shards + 1))
    return [
        ShardTask(
            job, number, images.ids[start:stop], images.labels[start:stop], files.part(start, stop)
        )
        for number, (start, stop) in enumerate(bounds)
    ]


def pack(
    images: ImageList,
    source: Folder | Tar,
    folder: Path,
    name: str,
    *,
    shards: int,
    settings: Settings = DEFAULTS,
    threads: int | None = None,
    executor: Executor | None = None,
    only: tuple[int, int] | None = None,
    on_error: OnError = "report",
) -> Summary:
    """Pack a list into ``shards`` shards in ``folder``; run it again after a stop and it goes on
    (chapter 4).

    ``executor`` (any of concurrent.futures', or Dask's) runs whole shards, each with ``threads``
    threads (1 if not given); without one they are packed here, one after the other, with all cores.
    ``only`` (i, n) packs shards i, i + n, i + 2 n, …: the part of one of n machines. With "report",
    bad images are left out, listed in the summary and in ``failures_path``, and tried again by the
    next run; with "stop" the first raises PackError, and missing files FileNotFoundError
    beforehand. Where a worker dies, the other shards are finished first; then PackError names its
    shard. Where the list knows its classes, they go into synset.txt. ValueError when the folder has
    shards of that name with other settings, from another list or from other images (as their sizes
    tell), or shards of other classes, and for a list that does not fit. Time grows with the images'
    bytes; memory does not, beyond the list.
    """
    started = time.perf_counter()
    job = Job(
        folder,
        name,
        shards,
        settings,
        threads or (1 if executor else os.cpu_count() or 1),
        on_error,
    )
    tasks = _part(shard_tasks(images, source, job), only)
    for sidecar in sorted(folder.glob(f"{glob.escape(name)}-?????-of-?????.json")):
        _read_sidecar(sidecar, job.identity())
    classes = folder / CLASSES
    if images.classes and classes.exists():
        verify_classes(classes.read_text(encoding="utf-8").splitlines(), images.classes, classes)
    with progress(sum(len(task.ids) for task in tasks), f"pack {name}", "images") as bar:
        done = _run(tasks, executor, _progress_with_rate(bar))
    # labels are numbers: what they mean goes with the shards
    if images.classes and not classes.exists():
        write_whole(classes, "".join(f"{name}\n" for name in images.classes).encode())
    failures = tuple(failure for shard in done for failure in shard.failures)
    _write_failures(failures_path(folder, name, only), failures)
    return Summary(
        **{key: sum(getattr(shard, key) for shard in done) for key in _COUNTS},
        failures=failures,
        shards_skipped=sum(shard.shards_skipped for shard in done),
        seconds=time.perf_counter() - started,
    )


def _progress_with_rate(bar: tqdm[Any]) -> Advance:
    """Moves the bar, and writes MB/s behind it."""
    started = time.perf_counter()
    total = 0

    def advance(images: int, n_bytes: int) -> None:
        nonlocal total
        total += n_bytes
        bar.set_postfix_str(
            f"{total / 1e6 / (time.perf_counter() - started):,.0f} MB/s", refresh=False
        )
        bar.update(images)

    return advance


def failures_path(folder: Path, name: str, only: tuple[int, int] | None = None) -> Path:
    """Where ``pack`` reports the images that it left out."""
    part = "" if only is None else f"-{only[0]}-of-{only[1]}"
    return folder / f"{name}-failures{part}.tsv"


def _part(tasks: list[ShardTask], only: tuple[int, int] | None) -> list[ShardTask]:
    """The tasks of one of several machines."""
    start, step = only or (0, 1)
    if not 0 <= start < step:
        raise ValueError(f"a part is i of n machines, i from 0 to n - 1, not {start} of {step}")
    return tasks[start::step]


def _run(tasks: Sequence[ShardTask], executor: Executor | None, advance: Advance) -> list[Summary]:
    if executor is None:
        return [pack_shard(task, advance) for task in tasks]
    futures = {executor.submit(pack_shard, task): task for task in tasks}
    lost: list[tuple[ShardTask, Exception]] = []
    try:
        for future in as_completed(futures):
            try:
                shard = future.result()
            except (
                ValueError,
                OSError,
                # the list, the settings or the disk: the other shards would fare no better
            ):
                raise
            except (
                Exception
                # a worker that died, for one: whatever its shard holds, others may be sound
            ) as error:
                lost.append((futures[future], error))
            else:
                advance(
                    shard.images + len(shard.failures),
                    0 if shard.shards_skipped else shard.bytes_in,
                )
    finally:
        # after an error or Ctrl-C: what has not begun need not begin
        for future in futures:
            future.cancel()
    if lost:
        task, why = min(lost, key=lambda one: one[0].number)
        raise PackError(
            f"{len(lost)} of {len(tasks)} shards were lost, first {task.path('.rec').name} "
            f"({type(why).__name__}: {why}); the others are finished: run this again"
        ) from why
    return [future.result() for future in futures]


def _write_failures(path: Path, failures: Iterable[Failure]) -> None:
    """The report of the last run; no file when there is nothing to report."""
    path.unlink(missing_ok=True)
    lines = [
        f"{failure.id}\t{failure.path}\t{' '.join(failure.reason.split())}\n"
        for failure in failures
    ]
    if lines:
        write_whole(
            path, "".join(["id\tpath\treason\n", *lines]).encode("utf-8", "surrogateescape")
        )
