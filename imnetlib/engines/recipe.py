"""What decides the result of a training, whatever the framework (chapters 7 and 10)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, Self

from imnetlib.arguments import real_number, require, require_type, whole_number
from imnetlib.image import Transform

_WHOLE = ("size", "batch_size", "devices", "accumulate", "epochs", "seed")
_REAL = (
    *("share", "mean", "std", "learning_rate", "momentum", "weight_decay"),
    *("warmup", "label_smoothing"),
)
_SWITCHES = ("decay_all", "sync_batch_norm")
_ONE_OF = {
    "crop": ("random", "random_resized"),
    "schedule": ("cosine", "steps"),
    "precision": ("float32", "bfloat16"),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network, how its pictures are cropped, and how it learns.

    Stochastic gradient descent with momentum. Each batch is split over ``devices``, which decide
    the result too: BatchNorm normalises each device's part by itself. ValueError for impossible
    values, TypeError for values of another type.

    Args:
        network: A name in ``engines.inception``; with PyTorch also "timm:NAME" or "MODULE:FACTORY".
        size: Pixels a side of a picture.
        crop: In training, as in ``image.Transform``; evaluation takes the centre.
        share: Of the short edge, as in ``image.Transform``.
        mean: Of all channels, on the scale of 0 to 255.
        std: Likewise.
        batch_size: Images of a step, on all devices together.
        devices: How many parts of a batch are normalised by themselves, a device each.
        accumulate: In how many turns a device computes its part, with the memory of one.
        precision: Of the products; "bfloat16" with PyTorch only, and weights stay float32.
        epochs: Passes over the training set.
        learning_rate: The highest. See ``scaled_to`` for another batch size.
        schedule: "cosine", half of one down to 0, or "steps", a tenth after each third.
        warmup: Epochs at the start in which the rate rises from 0 (Goyal et al. 2017).
        momentum: The share of a step that the next one repeats.
        weight_decay: How strongly weights are pulled towards 0.
        decay_all: Whether biases and BatchNorm's parameters are too.
        label_smoothing: The share of the truth that all classes get alike (Szegedy et al. 2016).
        sync_batch_norm: Whether BatchNorm sees the parts of all devices; with PyTorch only.
        seed: Of the first weights and of the order and crops of the images.
    """

    network: str = "inception-64px"
    size: int = 64
    crop: Literal["random", "random_resized"] = "random"
    share: float = 0.9375
    mean: float = 117.0
    std: float = 58.0
    batch_size: int = 32
    devices: int = 2
    accumulate: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    epochs: int = 18
    learning_rate: float = 0.05
    schedule: Literal["cosine", "steps"] = "cosine"
    warmup: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay_all: bool = False
    label_smoothing: float = 0.0
    sync_batch_norm: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        require_type(self.network, str, "network is a name")
        # Plain numbers, whatever NumPy type they came in: a checkpoint writes them as JSON.
        for name in _WHOLE:
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        for name in _REAL:
            object.__setattr__(self, name, real_number(name, getattr(self, name)))
        for name in _SWITCHES:
            require_type(getattr(self, name), bool, f"{name} is True or False")
        for name, values in _ONE_OF.items():
            value = getattr(self, name)
            require(value in values, f"{name} is {' or '.join(values)}", value)
        require(self.epochs >= 1, "epochs are 1 or more", self.epochs)
        require(self.devices >= 1, "devices are 1 or more", self.devices)
        require(self.accumulate >= 1, "accumulate is 1 or more", self.accumulate)
        rate = self.learning_rate
        require(0 < rate < math.inf, "the learning rate is a number above 0", rate)
        require(0 <= self.warmup < self.epochs, "warmup is part of the epochs", self.warmup)
        require(0 <= self.momentum < 1, "momentum is 0 or more and below 1", self.momentum)
        decay = self.weight_decay
        require(0 <= decay < math.inf, "weight decay is not negative", decay)
        smoothing = self.label_smoothing
        require(0 <= smoothing < 1, "label smoothing is 0 or more and below 1", smoothing)
        require(self.seed >= 0, "the seed is not negative", self.seed)
        parts = self.devices * self.accumulate
        turns = f" in {self.accumulate} turns" if self.accumulate > 1 else ""
        require(
            self.batch_size >= 1 and self.batch_size % parts == 0,
            f"the batch size is a multiple of the {self.devices} devices{turns}",
            self.batch_size,
        )
        self.transform(training=True)

    @property
    def images_per_device(self) -> int:
        """Images that a device computes at once."""
        return self.batch_size // (self.devices * self.accumulate)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of what a device computes at once: images, channels, height, width."""
        return self.images_per_device, 3, self.size, self.size

    def transform(self, *, training: bool) -> Transform:
        """Random crops, half of them mirrored, for ``training``; the centre for evaluation."""
        return Transform(
            size=self.size,
            crop=self.crop if training else "center",
            mirror=training,
            share=self.share,
            layout="NCHW",
            mean=(self.mean,) * 3,
            std=(self.std,) * 3,
        )

    def rate(self, progress: float) -> float:
        """The learning rate after the share ``progress`` of all steps.

        The cosine is that of Loshchilov and Hutter, *SGDR*, ICLR 2017, without restarts.
        """
        progress = real_number("progress", progress)
        require(0 <= progress <= 1, "progress is 0 to 1", progress)
        warm = self.warmup / self.epochs
        if progress < warm:
            return self.learning_rate * progress / warm
        after = (progress - warm) / (1 - warm)
        if self.schedule == "steps":
            return self.learning_rate * 0.1 ** min(2, int(3 * after))
        return self.learning_rate * (1 + math.cos(math.pi * after)) / 2

    def scaled_to(self, batch_size: int) -> Self:
        """The recipe for another batch size, its rate in proportion (chapter 7).

        Goyal et al. 2017: k times the images a step, k times the rate; with a ``warmup``, it held
        up to 8,192 images of ILSVRC2012.
        """
        scaled = dataclasses.replace(self, batch_size=batch_size)
        rate = self.learning_rate * scaled.batch_size / self.batch_size
        return dataclasses.replace(scaled, learning_rate=rate)
