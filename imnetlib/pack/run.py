"""A list to shards NAME-00007-of-00256.rec/.idx/.json, all of them or one machine's (chapter 4)."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor, as_completed
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imnetlib.arguments import PathLike, require, require_type, whole_number
from imnetlib.files import write_bytes_atomically
from imnetlib.image import DEFAULTS, Settings
from imnetlib.pack.classes import keeping_classes
from imnetlib.pack.lists import ImageList
from imnetlib.pack.parquet import Parquet
from imnetlib.pack.shard import (
    COUNTS,
    Advance,
    Failure,
    Job,
    PackError,
    ShardTask,
    Summary,
    pack_shard,
    read_matching_sidecar,
)
from imnetlib.pack.sources import Folder, OnError, Tar
from imnetlib.progress import progress, skip

# What reads an index takes the number after it for one that is larger still.
_LARGEST_ID = 2**63 - 2


def estimate_shards(total_bytes: int, target_bytes: int) -> int:
    """How many shards give files of about ``target_bytes``, which is more than 0; at least 1."""
    require(target_bytes > 0, "target_bytes are more than 0", target_bytes)
    return max(1, round(total_bytes / target_bytes))


def shard_tasks(images: ImageList, source: Folder | Tar | Parquet, job: Job) -> list[ShardTask]:
    """The tasks that together pack the list (chapter 4).

    Raises ValueError for a list that does not fit, and what ``source`` raises for missing files.
    """
    require_type(images, ImageList, "images are an ImageList (read_lst reads one)")
    require_type(source, (Folder, Tar, Parquet), "source is a Folder, a Tar or a Parquet")
    count = len(images)
    possible = 1 <= job.shards <= count
    require(possible, f"a list of {count:,} images makes 1 to {count:,} shards", job.shards)
    ordered = np.sort(images.ids)
    repeated = ordered[1:][np.diff(ordered) == 0]
    rule = "the list's ids must be distinct and not negative, as they are the keys of the index"
    if len(repeated):
        raise ValueError(f"{rule}: {repeated[0]} appears twice")
    if ordered[0] < 0:
        raise ValueError(f"{rule}: {ordered[0]} is negative")
    if ordered[-1] > _LARGEST_ID:
        raise ValueError(f"{rule}, and at most {_LARGEST_ID}: {ordered[-1]} is too large")
    width = images.labels.shape[1]
    if width > 1 and not job.settings.pack_label:
        raise ValueError(
            f"the list has {width} labels an image: set pack_label, or give a list with one"
        )
    files = source.locate(images.paths, job.on_error)
    tasks = []
    bounds = pairwise(count * number // job.shards for number in range(job.shards + 1))
    for number, (start, stop) in enumerate(bounds):
        ids = images.ids[start:stop]
        labels = images.labels[start:stop]
        tasks.append(ShardTask(job, number, ids, labels, files.part(start, stop)))
    return tasks


def pack(
    images: ImageList,
    source: Folder | Tar | Parquet,
    folder: PathLike,
    name: str,
    *,
    shards: int,
    settings: Settings = DEFAULTS,
    threads: int | None = None,
    executor: Executor | None = None,
    only: tuple[int, int] | None = None,
    on_error: OnError = "report",
) -> Summary:
    """Pack a list into shards; run it again after a stop and it goes on (chapter 4).

    Time grows with the images' bytes; memory does not, beyond the list and the index of an archive.
    Where the list knows its classes, they go into synset.txt.

    Args:
        images: The list; its ids become the keys of the indexes.
        source: Where the list's images are.
        folder: Where the shards go.
        name: The beginning of their file names.
        shards: How many there are.
        settings: What happens to each image.
        threads: For each shard; 1 with an executor, else all cores.
        executor: Any of concurrent.futures', or Dask's, to run whole shards; without one they are
            packed here, one after the other.
        only: (i, n) packs shards i, i + n, i + 2 n, …: the part of machine i of n.
        on_error: With "report", bad images are left out, listed in the summary and in
            ``failures_path``, and tried again by the next run; with "stop" the first one ends it.

    Raises:
        ValueError: The list does not fit, or the folder has shards of that name with other
            settings, from another list, from other images (by their sizes) or of other classes.
        FileNotFoundError: Files are missing: all of them, or any with "stop".
        PackError: An image is bad and ``on_error`` is "stop"; or a worker died, and the other
            shards are finished.
    """
    started = time.perf_counter()
    folder = Path(folder)
    first, step = _require_part(only or (0, 1))
    if threads is None:
        threads = 1 if executor else os.cpu_count() or 1
    job = Job(folder, name, shards, settings, threads, on_error)
    tasks = shard_tasks(images, source, job)[first::step]
    for sidecar in sorted(folder.glob(f"{glob.escape(name)}-?????-of-?????.json")):
        read_matching_sidecar(sidecar, job.identity())

    images_here = sum(len(task.ids) for task in tasks)
    with keeping_classes(images, folder), progress(images_here, f"pack {name}", "images") as bar:
        done = _run(tasks, executor, _progress_with_rate(bar))

    failures = tuple(failure for shard in done for failure in shard.failures)
    _write_report(failures_path(folder, name, only), failures)
    return Summary(
        **{key: sum(getattr(shard, key) for shard in done) for key in COUNTS},
        failures=failures,
        shards_skipped=sum(shard.shards_skipped for shard in done),
        seconds=time.perf_counter() - started,
    )


def _require_part(only: tuple[int, int]) -> tuple[int, int]:
    rule = "only is (i, n), machine i of n, with i from 0 to n - 1"
    require_type(only, (tuple, list), rule)
    require(len(only) == 2, rule, only)
    first, step = (whole_number("a number of only", number) for number in only)
    require(0 <= first < step, rule, only)
    return first, step


def _progress_with_rate(bar: tqdm[Any]) -> Advance:
    """A function that moves the bar and writes MB/s behind it."""
    total = 0

    def advance(images: int, n_bytes: int) -> None:
        nonlocal total
        if not n_bytes:
            # Those of a finished shard.
            skip(bar, images)
            return
        total += n_bytes
        seconds = bar.format_dict["elapsed"]
        if seconds:
            bar.set_postfix_str(f"{total / 1e6 / seconds:,.0f} MB/s", refresh=False)
        bar.update(images)

    return advance


def _run(tasks: Sequence[ShardTask], executor: Executor | None, advance: Advance) -> list[Summary]:
    if executor is None:
        return [pack_shard(task, advance) for task in tasks]
    futures = {executor.submit(pack_shard, task): task for task in tasks}
    lost: dict[int, Exception] = {}
    try:
        for future in as_completed(futures):
            try:
                shard = future.result()
            # The fault is in the list, the settings or the disk: other shards would fail too.
            except (ValueError, OSError):
                raise
            # A worker died, for instance, whatever its shard holds: other shards may be sound.
            except Exception as error:
                lost[futures[future].number] = error
            else:
                n_bytes = 0 if shard.shards_skipped else shard.bytes_in
                advance(shard.images + len(shard.failures), n_bytes)
    finally:
        # After an error or Ctrl-C, no other shard is begun.
        for future in futures:
            future.cancel()
    if lost:
        task = next(task for task in tasks if task.number in lost)
        cause = lost[task.number]
        raise PackError(
            f"{len(lost)} of {len(tasks)} shards were lost, first {task.path('.rec').name} "
            f"({type(cause).__name__}: {cause}); the others are finished: run this again"
        ) from cause
    return [future.result() for future in futures]


def failures_path(folder: PathLike, name: str, only: tuple[int, int] | None = None) -> Path:
    """Where ``pack`` reports the images that it left out."""
    part = "" if only is None else "-{}-of-{}".format(*_require_part(only))
    return Path(folder, f"{name}-failures{part}.tsv")


def _write_report(path: Path, failures: Sequence[Failure]) -> None:
    """Replace the report of the last run; no file where there is nothing to report."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    lines = ["id\tpath\treason\n"]
    for failure in failures:
        reason = " ".join(failure.reason.split())
        lines.append(f"{failure.id}\t{failure.path}\t{reason}\n")
    write_bytes_atomically(path, "".join(lines).encode("utf-8", "surrogateescape"))
