"""Prediction by a trained network with PyTorch, and the devices it runs on (chapter 10)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from imnetlib.arguments import Floats, PathLike, require, whole_number, whole_numbers
from imnetlib.engines import Recipe, Trained
from imnetlib.engines.prediction import picture_reader
from imnetlib.engines.torch.network import module_of, normalized
from imnetlib.engines.training import Feed, PredictedBatch
from imnetlib.loader import Loader


def devices(count: int) -> list[torch.device]:
    """The first ``count`` GPUs, or as many times the CPU where PyTorch sees no GPU.

    Under torchrun, and for a count of 1, this process's own. A Mac's GPU counts as one. ValueError
    where there are GPUs, but too few.
    """
    count = whole_number("count", count)
    require(count >= 1, "count is 1 or more", count)
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


def predict_batches(
    net: nn.Module, batches: Feed, recipe: Recipe | None = None
) -> Iterator[PredictedBatch]:
    """Probabilities, labels and ids of each batch, without its padding, as ``predict`` gives them.

    ``net``: on the device, as ``module_of`` makes it. ``recipe``: where the batches are pixels that
    are still to be normalised by it.
    """
    net = net.to(memory_format=torch.channels_last).eval()
    device = next(net.parameters()).device
    for batch in batches:
        count = len(batch.ids) - batch.padding
        images = torch.as_tensor(batch.images, device=device)
        images = normalized(images, recipe) if recipe else images.float()
        labels = torch.as_tensor(batch.labels).cpu().numpy()
        probabilities = _probabilities(net, images)[:count]
        yield probabilities, whole_numbers("labels", labels[:count]), batch.ids[:count]


def _probabilities(net: nn.Module, images: Tensor) -> Floats:
    with torch.inference_mode():
        probabilities: Floats = net(images).float().softmax(1).cpu().numpy()
    return probabilities


def predict(
    network: Trained, shards: Sequence[PathLike], threads: int = 2
) -> Iterator[PredictedBatch]:
    """Probabilities (b, classes), labels and ids of the images in ``shards``, in order (chapter 8).

    From one crop of each image, on one device. Memory: a device's part of a batch.
    """
    net = module_of(network).to(devices(1)[0])
    images = network.images_per_device
    with Loader(shards, images, network.transform, shuffle=False, threads=threads) as batches:
        yield from predict_batches(net, batches)


def image_predictor(network: Trained) -> Callable[[bytes], Floats]:
    """A function from the bytes of an image to its probabilities, (classes,) (chapter 9).

    The function raises ImageError for what cannot be decoded.
    """
    device = devices(1)[0]
    net = module_of(network).to(device)
    read = picture_reader(network.transform)

    def predict_one(data: bytes) -> Floats:
        one: Floats = _probabilities(net, torch.tensor(read(data), device=device).float())[0]
        return one

    return predict_one
