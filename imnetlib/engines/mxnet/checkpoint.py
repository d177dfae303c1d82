"""Prediction by a trained network, and what MXNet itself needs to read it (chapter 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from imnetlib.arguments import Floats, PathLike, require, whole_number, whole_numbers
from imnetlib.engines import PICTURES, Trained
from imnetlib.engines.checkpoint import Checkpoint, file_name
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import Symbol, symbol_of
from imnetlib.engines.params import Arrays
from imnetlib.engines.prediction import picture_reader
from imnetlib.engines.published import require_trained
from imnetlib.engines.training import Feed, PredictedBatch
from imnetlib.files import write_bytes_atomically
from imnetlib.loader import Loader


def write_symbol(checkpoint: Checkpoint, folder: PathLike) -> None:
    """Write NAME-symbol.json, which ``mx.model.load_checkpoint`` wants beside NAME-0018.params."""
    path = Path(folder) / f"{file_name(checkpoint.recipe.network)}-symbol.json"
    write_bytes_atomically(path, symbol_of(checkpoint).tojson().encode())


def devices(count: int) -> list[Any]:
    """The first ``count`` GPUs, or as many of MXNet's numbered CPUs where it sees no GPU.

    ValueError where it sees too few GPUs: a CPU among them would make all of them wait.
    """
    count = whole_number("count", count)
    require(count >= 1, "count is 1 or more", count)
    gpus = mx.context.num_gpus()
    if 0 < gpus < count:
        raise ValueError(
            f"there are {gpus} GPUs, not {count}: set devices to {gpus}, or hide them to use CPUs"
        )
    return [mx.gpu(number) if gpus else mx.cpu(number) for number in range(count)]


def set_parameters(executor: Any, parameters: Arrays) -> None:
    """Copy the parameters of a network into a bound one.

    ValueError where one is missing, or of another shape.
    """
    wanted = {f"aux:{name}": array for name, array in executor.aux_dict.items()}
    for name, array in executor.arg_dict.items():
        if name != PICTURES and not name.endswith("label"):
            wanted[f"arg:{name}"] = array
    for name, array in wanted.items():
        found = parameters.get(name)
        if found is None or found.shape != array.shape:
            there = "missing" if found is None else f"of shape {found.shape}"
            raise ValueError(f"{name} is {there}; the network has {array.shape}")
        array[:] = found


def predict_batches(symbol: Symbol, parameters: Arrays, batches: Feed) -> Iterator[PredictedBatch]:
    """Probabilities, labels and ids of each batch, without its padding, as ``predict`` gives them.

    Binds the network anew: on a CPU, MXNet fuses convolution and BatchNorm, and goes on with the
    BatchNorm of its first batch whatever parameters it is given later.
    """
    executor = None
    for batch in batches:
        if executor is None:
            shape = batch.images.shape
            executor = symbol.simple_bind(devices(1)[0], data=shape, grad_req="null")
            set_parameters(executor, parameters)
        count = len(batch.ids) - batch.padding
        executor.arg_dict["data"][:] = batch.images
        probabilities = executor.forward(is_train=False)[0].asnumpy()
        labels = whole_numbers("labels", batch.labels[:count])
        yield probabilities[:count], labels, batch.ids[:count]


def predict(
    network: Trained, shards: Sequence[PathLike], threads: int = 2
) -> Iterator[PredictedBatch]:
    """Probabilities (b, classes), labels and ids of the images in ``shards``, in order (chapter 8).

    From one crop of each image, on one device. Memory: a device's part of a batch.
    """
    require_trained(network)
    images = network.images_per_device
    with Loader(shards, images, network.transform, shuffle=False, threads=threads) as batches:
        yield from predict_batches(symbol_of(network), network.parameters, batches)


def image_predictor(network: Trained) -> Callable[[bytes], Floats]:
    """A function from the bytes of an image to its probabilities, (classes,) (chapter 9).

    The network is bound once, on one device, for one image at a time. The function raises
    ImageError for what cannot be decoded.
    """
    require_trained(network)
    shape = (1, *network.transform.shape)
    executor = symbol_of(network).simple_bind(devices(1)[0], data=shape, grad_req="null")
    set_parameters(executor, network.parameters)
    read = picture_reader(network.transform)

    def predict_one(data: bytes) -> Floats:
        executor.arg_dict["data"][:] = read(data)
        probabilities: Floats = executor.forward(is_train=False)[0].asnumpy()[0]
        return probabilities

    return predict_one
