"""Draws the sample: worker processes paint it, and it is packed as the official archives are.

Thirty-six real classes with the layout, the naming, the numbering and the oddities of ILSVRC2012,
so that every step of the course runs on it as on the real set. Nothing in it comes from ImageNet:
``scenes`` paints it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imnetlib.catalog import DEVKIT, SAMPLE, TRAIN_TAR, VALIDATION_TAR, Archive, Dataset
from imnetlib.course.sample import archives, scenes
from imnetlib.course.sample.plan import Settings, Shot, id_order, plan_shots, sample_wnids
from imnetlib.files import require_space, write_bytes_atomically
from imnetlib.parallel import map_ahead
from imnetlib.progress import progress

CHECKSUMS = "MD5SUMS"
DESCRIPTION = "sample.json"

# An image with its tar header, generously.
BYTES_PER_IMAGE = 60_000
# Pictures that a worker paints between two reports.
PICTURES_PER_TASK = 10
# Tasks per worker that may wait to be written: it paints on while the tar of a class is written.
TASKS_AHEAD = 8
# After an error, until processes that still paint, or are still starting, are killed.
SECONDS_TO_CANCEL = 0.2


@dataclass(frozen=True, slots=True)
class _Picture:
    """One picture painted: the bytes of its file, and "WIDTHxHEIGHT"."""

    file: str
    data: bytes
    shape: str


def render(wnid: str, index: int, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Paint picture ``index`` of a class: uint8 RGB, about 375 × 500 × 3 (chapter 1).

    With the sample's own seed, these are the pixels that its training file number ``index`` of that
    class (from 0, in file-name order) was encoded from. KeyError names the classes when ``wnid`` is
    not one.
    """
    if wnid not in scenes.motifs():
        raise KeyError(f"{wnid!r} is not in the sample; it has {', '.join(sample_wnids())}")
    return scenes.paint(scenes.motifs()[wnid], np.random.default_rng([seed, int(wnid[1:]), index]))


def draw(
    folder: Path,
    *,
    train_per_class: int = 70,
    validation_per_class: int = 50,
    classes: int = SAMPLE.classes,
    seed: int = 0,
    workers: int | None = None,
) -> Dataset:
    """Draw the sample's three archives, MD5SUMS and sample.json into ``folder`` (chapter 1).

    Costs some 13 ms and 46 KB an image; in memory a class's training images, and some 9 MB a
    worker. Stopped in the middle, the next call starts over; a finished sample with the same
    settings is returned at once. FileExistsError when ``folder`` holds something else, OSError when
    the disk is too small, ValueError for counts that make no sample.

    Args:
        folder: Where they go; made if it is missing.
        train_per_class: Training images of each class.
        validation_per_class: Validation images of each class.
        classes: How many of the 36 classes, spread evenly over them.
        seed: Another seed gives other pictures.
        workers: Processes, one per core unless given; the bytes do not depend on them.
    """
    settings = Settings(classes, train_per_class, validation_per_class, seed)
    if _is_drawn(folder, settings):
        return load(folder)
    require_space(folder, (settings.train + settings.validation) * BYTES_PER_IMAGE)
    # A sample that has lost an archive still has the mark of a finished one.
    (folder / CHECKSUMS).unlink(missing_ok=True)

    train, validation = plan_shots(settings.wnids, train_per_class, validation_per_class, seed)
    shots = [*train, *validation]
    quirks = {shot.file: shot.quirk for shot in shots if shot.quirk}
    description = asdict(settings) | {"quirks": quirks}
    # First, because it says whose folder this is.
    _write_json(folder / DESCRIPTION, description)
    _write_devkit(folder / DEVKIT, validation, settings)

    tally: list[tuple[int, str]] = []
    with _painted(shots, workers) as pictures:
        files = _tallied(pictures, len(shots), tally)
        archives.write_by_class(folder / TRAIN_TAR, itertools.islice(files, len(train)))
        archives.write_flat(folder / VALIDATION_TAR, files)
    _write_json(folder / DESCRIPTION, description | {"images": _summary(tally)})
    return finish(folder, [archive.name for archive in SAMPLE.archives])


def load(folder: Path) -> Dataset:
    """The finished sample in ``folder``, with the sizes and MD5 sums of its archives (chapter 1).

    Or a miniature of another set, under that set's name.

    FileNotFoundError when there is none, or one whose drawing was stopped.
    """
    if not is_finished(folder):
        raise FileNotFoundError(
            f"{folder} holds no finished sample ({CHECKSUMS} or a file that it lists is missing): "
            "draw it with imnetlib.course.sample.draw"
        )
    published = tuple(
        Archive(name, (folder / name).stat().st_size, md5) for name, md5 in _checksums(folder)
    )
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    if "dataset" in description:
        return Dataset(**description["dataset"], archives=published)
    settings = _read_settings(folder)
    return replace(
        SAMPLE,
        classes=settings.classes,
        train=settings.train,
        validation=settings.validation,
        archives=published,
    )


def finish(
    folder: Path, names: Sequence[str], described: Mapping[str, Any] | None = None
) -> Dataset:
    """Mark a sample as finished, by the checksums of its archives ``names``; then ``load`` it.

    ``described``: name and counts of the set, where it is not the painted sample.
    """
    if described is not None:
        _write_json(folder / DESCRIPTION, {"dataset": dict(described)})
    sums = [f"{_md5(folder / name)}  {name}\n" for name in names]
    write_bytes_atomically(folder / CHECKSUMS, "".join(sums).encode())
    return load(folder)


def _checksums(folder: Path) -> list[tuple[str, str]]:
    """The archives' names and MD5 sums; empty where a sample is not finished."""
    path = folder / CHECKSUMS
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    sums = (line.split("  ", 1) for line in lines)
    return [(name, md5) for md5, name in sums]


def is_finished(folder: Path) -> bool:
    """Whether ``folder`` holds a finished sample, or a miniature of another set."""
    names = [name for name, _ in _checksums(folder)]
    return bool(names) and all((folder / name).exists() for name in (DESCRIPTION, *names))


def _is_drawn(folder: Path, settings: Settings) -> bool:
    """Whether this very sample is there; FileExistsError where something else takes its place."""
    if not (folder / DESCRIPTION).exists():
        for archive in SAMPLE.archives:
            if (folder / archive.name).exists():
                raise _foreign(folder / archive.name)
        return False
    drawn = _read_settings(folder)
    if not is_finished(folder):
        return False
    if drawn != settings:
        raise FileExistsError(
            f"{folder} holds a sample drawn with {asdict(drawn)}, not {asdict(settings)}: "
            "name another folder, or delete that one"
        )
    return True


def _read_settings(folder: Path) -> Settings:
    """The settings in sample.json; FileExistsError when it is another program's file."""
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        return Settings(**{field.name: description[field.name] for field in fields(Settings)})
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(path) from error


def _foreign(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} is not of the sample: draw it into another folder")


def _write_devkit(path: Path, validation: Iterable[Shot], settings: Settings) -> None:
    order = id_order(settings.wnids, settings.seed)
    groups = {wnid: scenes.motifs()[wnid].group for wnid in order}
    truth = [shot.wnid for shot in sorted(validation, key=lambda shot: shot.file)]
    counts = dict.fromkeys(groups, settings.train_per_class)
    archives.write_devkit(path, groups, truth, counts)


@contextmanager
def _painted(shots: list[Shot], workers: int | None) -> Iterator[Iterator[_Picture]]:
    """The pictures in the order of ``shots``, by ``workers`` processes (by this one if it is 1)."""
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield map(_paint, shots)
        return
    tasks = (shots[i : i + PICTURES_PER_TASK] for i in range(0, len(shots), PICTURES_PER_TASK))
    try:
        with _worker_pool(workers) as pool:
            yield itertools.chain.from_iterable(
                map_ahead(pool, _paint_all, tasks, workers * TASKS_AHEAD)
            )
    except BrokenProcessPool:
        raise ChildProcessError(
            "a process that paints was killed (was the memory used up?): run this again"
        ) from None


@contextmanager
def _worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, which are killed when it is left by an error."""
    # Spawned, not forked: a notebook's process has threads of its own.
    spawn = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    # Posix has a process that counts what a pool shares, and complains if it ends before the pool.
    if os.name == "posix":
        with _signals_blocked():
            resource_tracker.ensure_running()
    # The pool is waited for: its thread closes a pipe that Python's exit would write to.
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin_worker) as pool:
        with _signals_blocked():
            for _ in range(workers):
                pool.submit(int)
            started = set(multiprocessing.active_children()) - others
        try:
            yield pool
        except BaseException:
            # Not before the pool has given up what has not begun: it stumbles over that.
            killer = threading.Timer(SECONDS_TO_CANCEL, _kill, [started])
            killer.start()
            pool.shutdown(cancel_futures=True)
            killer.cancel()
            raise


def _kill(processes: Iterable[BaseProcess]) -> None:
    for process in processes:
        process.kill()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Ctrl-C and SIGHUP go to all of a terminal; who is started in here leaves them to this one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    """Use one core, and end when the parent is killed: an idle worker would wait for ever."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _paint(shot: Shot) -> _Picture:
    pixels = render(shot.wnid, shot.index, seed=shot.seed)
    height, width, _ = pixels.shape
    return _Picture(shot.file, archives.encode(pixels, shot.quirk), f"{width}x{height}")


def _paint_all(shots: list[Shot]) -> list[_Picture]:
    return [_paint(shot) for shot in shots]


def _tallied(
    pictures: Iterable[_Picture], total: int, tally: list[tuple[int, str]]
) -> Iterator[tuple[str, bytes]]:
    """The files' names and bytes; moves the bar, and adds each size and shape to ``tally``."""
    with progress(total, "draw", "img") as bar:
        for picture in pictures:
            tally.append((len(picture.data), picture.shape))
            bar.update()
            yield picture.file, picture.data


def _summary(tally: list[tuple[int, str]]) -> dict[str, Any]:
    sizes = [size for size, _ in tally]
    shapes = Counter(shape for _, shape in tally)
    return {
        "bytes_mean": round(sum(sizes) / len(sizes)),
        "bytes_smallest": min(sizes),
        "bytes_largest": max(sizes),
        "shapes": dict(shapes.most_common()),
    }


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_bytes_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def _md5(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "md5").hexdigest()
