"""What decides the result of a training, whatever the framework (chapter 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from imnetlib.arguments import real_number, require, whole_number
from imnetlib.image import Transform


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network, how its pictures are cropped, and how it learns; ValueError for impossible values.

    ``network``: a name in ``engines.inception``. ``size``: pixels a side. ``share``: of the short
    edge, as in ``loader.Transform``. ``mean``, ``std``: of all channels, on the scale of 0 to 255.
    Stochastic gradient descent with momentum; ``learning_rate`` is the highest. Each batch of
    ``batch_size`` images is split over ``devices``, which decide the result too: BatchNorm
    normalises each device's part by itself.
    """

    network: str = "inception-64px"
    size: int = 64
    share: float = 0.9375
    mean: float = 117.0
    std: float = 58.0
    batch_size: int = 32
    devices: int = 2
    epochs: int = 18
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0

    def __post_init__(self) -> None:
        # Plain numbers, whatever NumPy type they came in: a checkpoint writes them as JSON.
        for name in ("size", "batch_size", "devices", "epochs", "seed"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        for name in ("share", "mean", "std", "learning_rate", "momentum", "weight_decay"):
            object.__setattr__(self, name, real_number(name, getattr(self, name)))
        require(self.epochs >= 1, "epochs are 1 or more", self.epochs)
        require(self.devices >= 1, "devices are 1 or more", self.devices)
        require(self.learning_rate > 0, "the learning rate is above 0", self.learning_rate)
        require(0 <= self.momentum < 1, "momentum is 0 or more and below 1", self.momentum)
        require(self.weight_decay >= 0, "weight decay is not negative", self.weight_decay)
        require(
            self.batch_size >= 1 and self.batch_size % self.devices == 0,
            f"the batch size is a multiple of the {self.devices} devices",
            self.batch_size,
        )
        self.transform(training=True)

    @property
    def images_per_device(self) -> int:
        """Images of a batch on each device."""
        return self.batch_size // self.devices

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The shape of a device's part: images, channels, height, width."""
        return self.images_per_device, 3, self.size, self.size

    def transform(self, *, training: bool) -> Transform:
        """Random crops, half of them mirrored, for ``training``; the centre for evaluation."""
        return Transform(
            size=self.size,
            crop="random" if training else "center",
            mirror=training,
            share=self.share,
            layout="NCHW",
            mean=(self.mean,) * 3,
            std=(self.std,) * 3,
        )

    def rate(self, progress: float) -> float:
        """The learning rate after the share ``progress`` of all steps: half a cosine down to 0.

        Loshchilov and Hutter, *SGDR*, ICLR 2017, without restarts.
        """
        return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2
