"""Prediction by a trained network with PyTorch, and the devices it runs on (chapter 10)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from imnetlib import image
from imnetlib.arguments import Floats, PathLike, require, whole_numbers
from imnetlib.engines import Checkpoint, Recipe
from imnetlib.engines.torch.feed import DeviceFeed
from imnetlib.engines.torch.network import module_of, normalized
from imnetlib.engines.training import Feed, PredictedBatch


def devices(count: int) -> list[torch.device]:
    """The first ``count`` GPUs, or as many times the CPU where PyTorch sees no GPU.

    Under torchrun, and for a count of 1, this process's own. A Mac's GPU counts as one. ValueError
    where there are GPUs, but too few.
    """
    if torch.cuda.is_available():
        gpus = torch.cuda.device_count()
        if count > gpus:
            raise ValueError(
                f"there are {gpus} GPUs, not {count}: set devices to {gpus}, or hide them to use "
                "CPUs"
            )
        own = int(os.environ.get("LOCAL_RANK", 0))
        require(own < gpus, f"there are {gpus} GPUs: start as many processes", own + 1)
        return [torch.device("cuda", own if count == 1 else number) for number in range(count)]
    kind = "mps" if torch.backends.mps.is_available() else "cpu"
    return [torch.device(kind)] * count


def predict_batches(net: nn.Module, recipe: Recipe, batches: Feed) -> Iterator[PredictedBatch]:
    """Probabilities, labels and ids of each batch, without its padding, as ``predict`` gives them.

    ``net``: on the device, as ``module_of`` makes it.
    """
    device = next(net.parameters()).device
    net = net.to(memory_format=torch.channels_last).eval()
    for batch in batches:
        count = len(batch.ids) - batch.padding
        with torch.inference_mode():
            images = normalized(torch.as_tensor(batch.images, device=device), recipe)
            probabilities = net(images).float().softmax(1)[:count].cpu().numpy()
        labels = torch.as_tensor(batch.labels).cpu().numpy()
        yield probabilities, whole_numbers("labels", labels[:count]), batch.ids[:count]


def predict(
    network: Checkpoint, shards: Sequence[PathLike], threads: int = 2
) -> Iterator[PredictedBatch]:
    """Probabilities (b, classes), labels and ids of the images in ``shards``, in order (chapter 8).

    From one crop of each image, on one device. Memory: a device's part of a batch.
    """
    device = devices(1)[0]
    net = module_of(network).to(device)
    classes = len(network.wnids)
    with DeviceFeed(
        shards, network.recipe, device, training=False, threads=threads, classes=classes
    ) as batches:
        yield from predict_batches(net, network.recipe, batches)


def image_predictor(network: Checkpoint) -> Callable[[bytes], Floats]:
    """A function from the bytes of an image to its probabilities, (classes,) (chapter 9).

    The function raises ImageError for what cannot be decoded.
    """
    device = devices(1)[0]
    net = module_of(network).to(device)
    transform = network.transform
    pixels = np.empty((1, transform.size, transform.size, 3), np.uint8)

    def predict_one(data: bytes) -> Floats:
        image.decode_into(data, transform, (0.5,) * image.RANDOM_COLUMNS, pixels[0])
        with torch.inference_mode():
            images = normalized(torch.tensor(pixels, device=device), network.recipe)
            probabilities: Floats = net(images).float().softmax(1)[0].cpu().numpy()
        return probabilities

    return predict_one
