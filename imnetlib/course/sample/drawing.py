"""The sample: a miniature ImageNet, painted by code from a seed and packed as the official archives
are (chapter 1).

Thirty-six real classes with the layout, the naming, the numbering and the oddities of ILSVRC2012,
so that every step of the course runs on it as on the real set. Nothing in it comes from ImageNet:
`scenes` paints it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from imnetlib.catalog import DEVKIT, SAMPLE, TRAIN_TAR, VALIDATION_TAR, Dataset, wnids_1k
from imnetlib.course.sample import archives, scenes
from imnetlib.files import require_space, write_whole
from imnetlib.parallel import map_ahead
from imnetlib.progress import progress

CHECKSUMS = "MD5SUMS"
DESCRIPTION = "sample.json"
# What the real set holds too; exactly one file of the training set cannot be decoded.
TRAIN_QUIRKS = ("truncated", "png", "cmyk", "cmyk", "broken-exif", *["grayscale"] * 4)
VALIDATION_QUIRKS = ("cmyk", "broken-exif", *["grayscale"] * 2)

# of a sample of noise, unless told otherwise
NOISE_CLASSES = 200
# artifact, as half of ILSVRC's classes are: the course reads no groups
_NOISE_GROUP = "n00021939"
# an image with its tar header, generously
_ABOUT_BYTES = 60_000
_ABOUT_NOISE_BYTES = 120_000
# pictures that a worker paints between two reports
_PICTURES_A_TASK = 10
# chunks per worker that may wait to be written: so it paints on while a class's tar is
_AHEAD = 8
# a validation picture's index starts here: never one that training uses
_VALIDATION = 1_000_000


@dataclass(frozen=True, slots=True)
class _Settings:
    """What decides the bytes of a sample."""

    classes: int
    train_per_class: int
    validation_per_class: int
    seed: int
    noise: bool = False


@dataclass(frozen=True, slots=True)
class _Shot:
    """One picture to take: its file, and the numbers it is painted from."""

    file: str
    wnid: str
    index: int
    seed: int
    noise: bool
    quirk: str = ""


@dataclass(frozen=True, slots=True)
class _Picture:
    """One picture taken: the bytes of its file, and "WIDTHxHEIGHT"."""

    file: str
    data: bytes
    shape: str


def sample_wnids() -> tuple[str, ...]:
    """The 36 classes of the sample, sorted (chapter 1)."""
    return tuple(sorted(scenes.motifs()))


def render(wnid: str, index: int, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Paint picture ``index`` of a class: uint8 RGB, height × width × 3, about 500 × 375 (chapter
    1).

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
    classes: int | None = None,
    seed: int = 0,
    noise: bool = False,
    workers: int | None = None,
) -> Dataset:
    """Draw the sample's three archives, MD5SUMS and sample.json into ``folder`` (chapter 1).

    The bytes depend on the counts and the seed, not on ``workers`` (processes; one per core unless
    given). Costs some 13 ms and 46 KB an image. Stopped in the middle, the next call starts over; a
    finished sample with the same settings is returned at once. FileExistsError when ``folder``
    holds something else, OSError when the disk is too small, ValueError for counts that make no
    sample.

    ``noise`` tries the whole way at a larger size: each picture is a tile of noise in 1 ms and 110
    KB, ImageNet's mean, and ``classes`` (200 unless given) spread over ILSVRC's 1,000. Memory: a
    class's training images, and some 9 MB a worker.
    """
    if classes is None:
        classes = NOISE_CLASSES if noise else len(sample_wnids())
    settings = _Settings(classes, train_per_class, validation_per_class, seed, noise)
    _require_settings(settings)
    if _already_drawn(folder, settings):
        return load(folder)
    _check_space(folder, settings)
    # of a sample that has lost an archive
    (folder / CHECKSUMS).unlink(missing_ok=True)
    wnids = _chosen_classes(settings)
    train, validation = _plan(wnids, settings)
    quirks = {shot.file: shot.quirk for shot in [*train, *validation] if shot.quirk}
    description = _noted(settings) | {"quirks": quirks}
    # first: it says whose folder this is
    _write_json(folder / DESCRIPTION, description)
    _write_devkit(folder / DEVKIT, wnids, validation, settings)
    tally: list[tuple[int, str]] = []
    with _taken([*train, *validation], workers) as pictures:
        files = _counted(pictures, len(train) + len(validation), tally)
        archives.write_by_class(folder / TRAIN_TAR, itertools.islice(files, len(train)))
        archives.write_flat(folder / VALIDATION_TAR, files)
    _write_json(folder / DESCRIPTION, description | {"images": _summary(tally)})
    # last: it marks the sample as finished
    write_whole(
        folder / CHECKSUMS,
        "".join(f"{_md5(folder / a.name)}  {a.name}\n" for a in SAMPLE.archives).encode(),
    )
    return load(folder)


def load(folder: Path) -> Dataset:
    """The finished sample in ``folder``, with the sizes and MD5 sums of its archives (chapter 1).

    FileNotFoundError when there is none, or one whose drawing was stopped.
    """
    if not _finished(folder):
        raise FileNotFoundError(
            f"{folder} holds no finished sample ({CHECKSUMS} or a file that it lists is missing): draw it with "
            "imnetlib.course.sample.draw"
        )
    settings = _described(folder)
    published = tuple(
        replace(SAMPLE.archive(name), size=(folder / name).stat().st_size, md5=md5)
        for name, md5 in _checksums(folder).items()
    )
    return replace(
        SAMPLE,
        classes=settings.classes,
        train=settings.classes * settings.train_per_class,
        validation=settings.classes * settings.validation_per_class,
        archives=published,
    )


def _noted(settings: _Settings) -> dict[str, Any]:
    """The settings as sample.json notes them; noise only where there is some, as older samples have
    no such entry.
    """
    return {name: value for name, value in asdict(settings).items() if name != "noise" or value}


def _described(folder: Path) -> _Settings:
    """The settings that sample.json notes; FileExistsError when it is another program's file."""
    try:
        noted = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        names = [field.name for field in fields(_Settings) if field.name in noted]
        return _Settings(**{name: noted[name] for name in names})
    except (ValueError, TypeError) as error:
        raise FileExistsError(
            f"{folder / DESCRIPTION} is not of the sample: draw it into another folder"
        ) from error


def _checksums(folder: Path) -> dict[str, str]:
    """Archive name to MD5, as MD5SUMS lists them."""
    lines = (folder / CHECKSUMS).read_text(encoding="ascii").splitlines()
    return {name: md5 for md5, name in (line.split("  ", 1) for line in lines)}


def _finished(folder: Path) -> bool:
    if not (folder / CHECKSUMS).exists() or not (folder / DESCRIPTION).exists():
        return False
    return all((folder / archive.name).exists() for archive in SAMPLE.archives)


def _require_settings(settings: _Settings) -> None:
    if not 1 <= settings.classes <= len(_eligible(settings.noise)):
        raise ValueError(
            f"a sample of {settings.classes:,} classes cannot be drawn: "
            f"take 1 to {len(_eligible(False))}, or with noise 1 to {len(_eligible(True)):,}"
        )
    if settings.train_per_class < 1 or settings.validation_per_class < 1 or settings.seed < 0:
        raise ValueError(
            f"a sample needs at least 1 image of each kind a class and a seed from 0, not {_noted(settings)}"
        )


def _already_drawn(folder: Path, settings: _Settings) -> bool:
    """Whether this very sample is there; FileExistsError when its place is taken by something else."""
    if not (folder / DESCRIPTION).exists():
        for archive in SAMPLE.archives:
            if (folder / archive.name).exists():
                raise FileExistsError(
                    f"{folder / archive.name} is not of the sample: draw it into another folder"
                )
        return False
    there = _described(folder)
    if not _finished(folder):
        return False
    if there != settings:
        raise FileExistsError(
            f"{folder} holds a sample drawn with {_noted(there)}, not {_noted(settings)}: "
            "name another folder, or delete that one"
        )
    return True


def _check_space(folder: Path, settings: _Settings) -> None:
    images = settings.classes * (settings.train_per_class + settings.validation_per_class)
    require_space(folder, images * (_ABOUT_NOISE_BYTES if settings.noise else _ABOUT_BYTES))


def _eligible(noise: bool) -> tuple[str, ...]:
    """The classes that a sample may have, sorted."""
    return wnids_1k() if noise else sample_wnids()


def _chosen_classes(settings: _Settings) -> tuple[str, ...]:
    """So many classes spread evenly over the sorted list, so that a small sample keeps several
    branches.
    """
    every = _eligible(settings.noise)
    return tuple(every[i * len(every) // settings.classes] for i in range(settings.classes))


def _plan(wnids: tuple[str, ...], settings: _Settings) -> tuple[list[_Shot], list[_Shot]]:
    """All pictures in the order their tars hold them: training by class and number, validation at
    random.
    """
    rng = np.random.default_rng(settings.seed)
    train = []
    # the real numbers have gaps too
    for wnid in wnids:
        numbers = np.sort(rng.choice(30_000, settings.train_per_class, replace=False))
        files = [f"{wnid}_{n}.JPEG" for n in numbers]
        train += [
            _Shot(file, wnid, i, settings.seed, settings.noise) for i, file in enumerate(files)
        ]
    indexes = range(_VALIDATION, _VALIDATION + settings.validation_per_class)
    subjects = [
        _Shot("", wnid, index, settings.seed, settings.noise) for wnid in wnids for index in indexes
    ]
    validation = [
        replace(subjects[place], file=f"ILSVRC2012_val_{number:08d}.JPEG")
        for number, place in enumerate(rng.permutation(len(subjects)), start=1)
    ]
    _plant(train, TRAIN_QUIRKS, rng)
    _plant(validation, VALIDATION_QUIRKS, rng)
    return train, [validation[i] for i in rng.permutation(len(validation))]


def _write_devkit(
    path: Path, wnids: Sequence[str], validation: Sequence[_Shot], settings: _Settings
) -> None:
    """The development kit; its ids are not in the order of the sorted wnids, as the official ones
    are not.
    """
    order = np.random.default_rng([settings.seed, len(wnids)]).permutation(wnids).tolist()
    if order == sorted(order):
        order.reverse()
    groups = {
        wnid: _NOISE_GROUP if settings.noise else scenes.motifs()[wnid].group for wnid in order
    }
    truth = [shot.wnid for shot in sorted(validation, key=lambda shot: shot.file)]
    archives.write_devkit(path, groups, truth, settings.train_per_class)


def _plant(shots: list[_Shot], quirks: Sequence[str], rng: np.random.Generator) -> None:
    """Give each quirk to a picture of its own, as far as the pictures go."""
    for place, quirk in zip(rng.permutation(len(shots)).tolist(), quirks, strict=False):
        shots[place] = replace(shots[place], quirk=quirk)


@contextmanager
def _taken(shots: list[_Shot], workers: int | None) -> Iterator[Iterator[_Picture]]:
    """The pictures in the order of ``shots``, painted by ``workers`` processes (by this one if it
    is 1).
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1:
        yield map(_take, shots)
        return
    # Spawned, not forked: a notebook's process has threads of its own.
    spawn = multiprocessing.get_context("spawn")
    tasks = (shots[i : i + _PICTURES_A_TASK] for i in range(0, len(shots), _PICTURES_A_TASK))
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin_worker) as pool:
        try:
            painted = map_ahead(pool, _take_all, tasks, workers * _AHEAD)
            yield itertools.chain.from_iterable(painted)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin_worker() -> None:
    """Use one core, and end when the parent is killed: an idle worker would wait for it for ever."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _counted(
    pictures: Iterable[_Picture], total: int, tally: list[tuple[int, str]]
) -> Iterator[tuple[str, bytes]]:
    """The files' names and bytes; moves the bar, and notes each one's size and shape in ``tally``."""
    with progress(total, "draw", "img") as bar:
        for picture in pictures:
            tally.append((len(picture.data), picture.shape))
            bar.update()
            yield picture.file, picture.data


def _summary(tally: list[tuple[int, str]]) -> dict[str, Any]:
    sizes = [size for size, _ in tally]
    return {
        "bytes_mean": round(sum(sizes) / len(sizes)),
        "bytes_smallest": min(sizes),
        "bytes_largest": max(sizes),
        "shapes": dict(Counter(shape for _, shape in tally).most_common()),
    }


def _noise(wnid: str, index: int, *, seed: int) -> npt.NDArray[np.uint8]:
    """A 500 × 375 picture in place of the one that ``render`` paints: a tile of noise, over and
    over.
    """
    rng = np.random.default_rng([seed, int(wnid[1:]), index])
    # the files then weigh 50 to 150 KB, and 110 on average
    swing = rng.integers(16, 112)
    return np.tile(rng.integers(128 - swing, 128 + swing, (75, 50, 3), np.uint8), (5, 10, 1))


def _take(shot: _Shot) -> _Picture:
    pixels = (_noise if shot.noise else render)(shot.wnid, shot.index, seed=shot.seed)
    shape = f"{pixels.shape[1]}x{pixels.shape[0]}"
    return _Picture(shot.file, archives.encode(pixels, shot.quirk), shape)


def _take_all(shots: list[_Shot]) -> list[_Picture]:
    return [_take(shot) for shot in shots]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def _md5(path: Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "md5").hexdigest()
