"""The answers to the exercises, computed on demand, and the check that a notebook calls."""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Callable

from imnetlib import catalog, recordio, wordnet
from imnetlib import throughput as t
from imnetlib.catalog import ILSVRC2012, IMAGENET21K, SAMPLE
from imnetlib.files import HALF_BLOCK

HDD = t.DEVICES[0]


def _train_tar_bytes() -> int:
    size = ILSVRC2012.archive(catalog.TRAIN_TAR).size
    assert size is not None, "the catalog has it"
    return size


def _strange_in_training() -> int:
    cmyk = [name for name in catalog.CMYK if name.startswith("n")]
    return len(cmyk) + len(catalog.PNG_CALLED_JPEG)


def _shared_names() -> int:
    names = Counter(catalog.classes()[wnid].names[0] for wnid in catalog.wnids_1k())
    return sum(count for count in names.values() if count > 1)


def _bits_of_dog() -> float:
    """The information in "dog" among the 1,000 classes."""
    hierarchy = wordnet.load(catalog.wnids_1k())
    (dog,) = hierarchy.nodes(["n02084071"])
    return float(hierarchy.information[dog])


# Exercise → a function for its answer, an int where that is a count, and a hint for a wrong one.
ANSWERS: dict[str, tuple[Callable[[], float], str]] = {
    "0.1": (lambda: ILSVRC2012.train / ILSVRC2012.classes, "divide images by classes"),
    "0.2": (
        _shared_names,
        "count the first names of catalog.wnids_1k() with a Counter; keep those above 1",
    ),
    "1.1": (lambda: ILSVRC2012.bytes / t.DAY / 1e6, "bytes by seconds; 1 MB is 10**6 bytes"),
    "1.2": (
        lambda: _train_tar_bytes() / (100e6 / 8) / t.HOUR,
        "a byte has 8 bits; the size stands in the catalog",
    ),
    "1.3": (
        lambda: IMAGENET21K.train * HALF_BLOCK / 1e9,
        "images by bytes lost; 1 GB is 10**9 bytes",
    ),
    "2.1": (lambda: 100 / ILSVRC2012.classes, "every class has 50 of the 50,000 images"),
    "2.2": (
        lambda: 100 * _strange_in_training() / ILSVRC2012.train,
        "22 CMYK files and one PNG; in percent",
    ),
    "3.1": (
        lambda: t.images_per_second(HDD.sequential, 110_000),
        "bytes a second by bytes an image",
    ),
    "3.2": (
        lambda: (
            t.seconds_seek_per_file(ILSVRC2012.train, 148 * t.GB, HDD.iops, HDD.sequential) / t.HOUR
        ),
        "throughput.seconds_seek_per_file, in hours",
    ),
    "3.3": (
        lambda: t.epochs(170, 8.5 * t.DAY, IMAGENET21K.train),
        "throughput.epochs; a day has 86,400 s",
    ),
    "4.1": (
        lambda: len(recordio.frame(bytes(11))),
        "a header of 8 bytes, and zeros up to a multiple of 4",
    ),
    "4.2": (lambda: ILSVRC2012.train * 17.6e3 / 1e9, "1 KB is 1,000 bytes, 1 GB is 10**9"),
    "4.3": (lambda: ILSVRC2012.train / (1.5 * t.HOUR), "an hour and a half in seconds"),
    "5.1": (lambda: 150 * t.GB / 10 / t.MIB, "bytes by seconds; 1 MiB is 2**20 bytes"),
    "5.2": (
        lambda: math.ceil(600 * t.MB / (8 * t.MIB)),
        "the last part may be shorter, but it is a part",
    ),
    "6.1": (
        lambda: 4 * 4 * 33_619_969 / t.MIB,
        "four numbers of four bytes for each parameter; 1 MiB is 2**20",
    ),
    "6.2": (
        lambda: 100 * 21_841 * (1_024 + 1) / 33_619_969,
        "a weight for each of 1,024 inputs, and a bias",
    ),
    "6.3": (
        lambda: int((23 * 1_024 - 513) / (61.6 + 1.15)),
        "the parameters come off first; 1 GiB is 1,024 MiB",
    ),
    "6.4": (lambda: 100 / 3, "one forward pass more, and a step is one forward and two of them"),
    "7.1": (lambda: -(-ILSVRC2012.train // 256), "images by images a step, rounded up"),
    "7.2": (
        lambda: -(-IMAGENET21K.train // 256) * 4 * 33_619_969 / 1e9,
        "4 bytes a parameter, 33,619,969 parameters, once a step",
    ),
    "7.3": (
        lambda: math.acos(2 * 0.1 - 1) / math.pi,
        "solve (1 + cos(pi * share)) / 2 = 0.1 for share",
    ),
    "7.4": (
        lambda: 0.1 * 8_192 / 256 * 2 / 5,
        "Recipe.scaled_to for the highest rate; in warm-up it rises from 0 in proportion",
    ),
    "7.5": (lambda: 1 / (1 - 0.9), "the sum of 1, 0.9, 0.9**2 and so on"),
    "8.1": (lambda: math.log(SAMPLE.classes), "minus the natural logarithm of 1 / 36"),
    "8.2": (
        lambda: ILSVRC2012.validation * (0.683 - 0.419),
        "with fewer rivals no hit is lost, so the difference of 68.3 and 41.9 % is what is gained",
    ),
    "8.3": (lambda: 0.5 * 0.5 * (1.96 / 0.01) ** 2, "1.96 * sqrt(p * (1 - p) / n) is to be 0.01"),
    "9.1": (_bits_of_dog, "log2 of 1,000 less log2 of the dogs"),
    "9.2": (lambda: 0.3 + 0.2, "amabilis fir is a fir, spruce is not; Hierarchy.mass adds them up"),
    "9.3": (lambda: 100 - 1, "the ceil((n + 1) * 0.99)-th of n scores has to be there"),
    "10.1": (lambda: ILSVRC2012.train / 2_470 / 60, "images by images a second; in minutes"),
    "10.2": (lambda: 2**8, "8 binary digits, one of them before the point, reach to 2**8"),
    "10.3": (
        lambda: 2 * 7 / 8 * 4 * 25_557_032 / 1e6,
        "2 (n - 1) / n of the gradients, of 4 bytes each",
    ),
    "10.4": (
        lambda: 9 * IMAGENET21K.train / 3_000 / t.HOUR * 3,
        "images by images a second, in hours; by dollars an hour",
    ),
}


def check(exercise: str, answer: float | None) -> None:
    """Print whether ``answer`` is right (a count exactly, others to within 1 %), or else a hint."""
    compute, hint = ANSWERS[exercise]
    if answer is None:
        print(f"Exercise {exercise}: replace None with your answer and run the cell again.")
        return
    if not isinstance(answer, numbers.Real):
        print(f"Exercise {exercise}: {answer!r} is no number.")
        return
    expected = compute()
    tolerance = 0 if isinstance(expected, int) else 0.01
    if math.isclose(answer, expected, rel_tol=tolerance):
        print(f"Exercise {exercise}: right.")
    else:
        print(f"Exercise {exercise}: {answer:,.4g} is not it yet. Hint: {hint}.")
