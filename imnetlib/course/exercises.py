"""The exercises' answers, worked out when asked for, and the check that a notebook calls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from imnetlib import catalog, recordio
from imnetlib import throughput as t
from imnetlib.catalog import ILSVRC2012, IMAGENET21K

HDD = t.DEVICES[0]


def _train_tar_bytes() -> int:
    size = ILSVRC2012.archive(catalog.TRAIN_TAR).size
    assert size is not None  # the catalog knows it
    return size


def _cmyk_in_training() -> list[str]:
    return [name for name in catalog.CMYK if name.startswith("n")]


def _shared_names() -> int:
    names = Counter(catalog.classes()[wnid].names[0] for wnid in catalog.wnids_1k())
    return sum(count for count in names.values() if count > 1)


# Exercise → what works out its answer, and a hint for those who are not there yet.
ANSWERS: dict[str, tuple[Callable[[], float], str]] = {
    "0.1": (lambda: ILSVRC2012.train / ILSVRC2012.classes, "divide images by classes"),
    "0.2": (_shared_names, "count the first names of catalog.wnids_1k() with a Counter; keep those above 1"),
    "1.1": (lambda: 150e9 / (5 * t.DAY) / 1e6, "bytes by seconds; 1 MB is 10**6 bytes"),
    "1.2": (
        lambda: _train_tar_bytes() / (100e6 / 8) / t.HOUR,
        "a byte has 8 bits; the size stands in the catalog",
    ),
    "2.1": (lambda: 100 / ILSVRC2012.classes, "every class has 50 of the 50,000 images"),
    "2.2": (
        lambda: 100 * (len(_cmyk_in_training()) + len(catalog.PNG_CALLED_JPEG)) / ILSVRC2012.train,
        "22 CMYK files and one PNG; in percent",
    ),
    "3.1": (lambda: t.images_per_second(HDD.sequential, 110_000), "bytes a second by bytes an image"),
    "3.2": (
        lambda: t.seconds_seek_per_file(ILSVRC2012.train, 148 * t.GB, HDD.iops, HDD.sequential) / t.HOUR,
        "throughput.seconds_seek_per_file, in hours",
    ),
    "3.3": (lambda: t.epochs(170, 8.5 * t.DAY, IMAGENET21K.train), "throughput.epochs; a day has 86,400 s"),
    "4.1": (lambda: len(recordio.frame(bytes(11))), "a header of 8 bytes, and zeros up to a multiple of 4"),
    "4.2": (lambda: ILSVRC2012.train * 17.6e3 / 1e9, "1 KB is 1,000 bytes, 1 GB is 10**9"),
    "4.3": (lambda: ILSVRC2012.train / (1.5 * t.HOUR), "an hour and a half in seconds"),
}


def check(exercise: str, answer: float | None) -> None:
    """Print whether ``answer`` is right to within 1 %, and give a hint where it is not."""
    worked_out, hint = ANSWERS[exercise]
    if answer is None:
        print(f"Exercise {exercise}: replace None by your answer and run the cell again.")
    elif math.isclose(answer, worked_out(), rel_tol=0.01):
        print(f"Exercise {exercise}: right.")
    else:
        print(f"Exercise {exercise}: {answer:,.4g} is not it yet. Hint: {hint}.")
