"""What a sample holds: its classes, its pictures in the archives' order, and their quirks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imnetlib.arguments import require
from imnetlib.course.sample.scenes import motifs

# What the real set holds too; exactly one file of the training set cannot be decoded.
TRAIN_QUIRKS = ("truncated", "png", "cmyk", "cmyk", "broken-exif", *["grayscale"] * 4)
VALIDATION_QUIRKS = ("cmyk", "broken-exif", *["grayscale"] * 2)

# Training files are numbered below this, with gaps, as the real ones are.
TRAIN_NUMBERS = 30_000
# A validation picture's index starts here: never one that training uses.
FIRST_VALIDATION_INDEX = 1_000_000


def sample_wnids() -> tuple[str, ...]:
    """The 36 classes of the sample, sorted (chapter 1)."""
    return tuple(sorted(motifs()))


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the bytes of a sample; ValueError for numbers that make none."""

    classes: int
    train_per_class: int
    validation_per_class: int
    seed: int

    def __post_init__(self) -> None:
        most = len(sample_wnids())
        require(1 <= self.classes <= most, f"a sample has 1 to {most} classes", self.classes)
        rule = "a sample has 1 or more {} images a class"
        require(self.train_per_class >= 1, rule.format("training"), self.train_per_class)
        require(
            self.validation_per_class >= 1, rule.format("validation"), self.validation_per_class
        )
        require(self.seed >= 0, "the seed of a sample is 0 or more", self.seed)

    @property
    def train(self) -> int:
        """The number of training images."""
        return self.classes * self.train_per_class

    @property
    def validation(self) -> int:
        """The number of validation images."""
        return self.classes * self.validation_per_class

    @property
    def wnids(self) -> tuple[str, ...]:
        """Classes spread evenly over the sorted list: a small sample keeps several branches."""
        every = sample_wnids()
        return tuple(every[i * len(every) // self.classes] for i in range(self.classes))


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture to paint: its file, and the numbers it is painted from."""

    file: str
    wnid: str
    index: int
    seed: int
    quirk: str = ""


def plan_shots(
    wnids: Sequence[str], train_per_class: int, validation_per_class: int, seed: int
) -> tuple[list[Shot], list[Shot]]:
    """The pictures in their tars' order: training by class and number, validation at random."""
    rng = np.random.default_rng(seed)
    train = []
    for wnid in wnids:
        numbers = np.sort(rng.choice(TRAIN_NUMBERS, train_per_class, replace=False))
        train += [Shot(f"{wnid}_{n}.JPEG", wnid, index, seed) for index, n in enumerate(numbers)]
    indexes = range(FIRST_VALIDATION_INDEX, FIRST_VALIDATION_INDEX + validation_per_class)
    subjects = [(wnid, index) for wnid in wnids for index in indexes]
    validation = []
    for number, place in enumerate(rng.permutation(len(subjects)), start=1):
        wnid, index = subjects[place]
        validation.append(Shot(f"ILSVRC2012_val_{number:08d}.JPEG", wnid, index, seed))
    _plant(train, TRAIN_QUIRKS, rng)
    _plant(validation, VALIDATION_QUIRKS, rng)
    return train, [validation[place] for place in rng.permutation(len(validation))]


def _plant(shots: list[Shot], quirks: Sequence[str], rng: np.random.Generator) -> None:
    """Give each quirk to a picture of its own, as far as the pictures go."""
    for place, quirk in zip(rng.permutation(len(shots)).tolist(), quirks, strict=False):
        shots[place] = replace(shots[place], quirk=quirk)


def id_order(wnids: Sequence[str], seed: int) -> list[str]:
    """The classes in the order of the development kit's ids: as there, never the sorted order."""
    order: list[str] = np.random.default_rng([seed, len(wnids)]).permutation(wnids).tolist()
    return order[::-1] if order == sorted(order) else order
