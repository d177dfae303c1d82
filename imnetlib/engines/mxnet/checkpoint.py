"""A trained network on the disk: MXNet's own two files and what they mean (chapter 7)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from imnetlib import engines, image
from imnetlib.arguments import Floats, Integers, PathLike, whole_numbers
from imnetlib.engines import Recipe
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import Symbol, symbol
from imnetlib.files import file_crc32, write_atomically, write_bytes_atomically
from imnetlib.image import Transform
from imnetlib.loader import Loader

# The arrays are MXNet's.
Arrays = Mapping[str, Any]
PredictedBatch = tuple[Floats, Integers, Integers]


class Predictor(Protocol):
    """What a prediction needs of a network: ``Checkpoint`` and ``published.Published`` have it."""

    @property
    def symbol(self) -> Symbol:
        """From "data", a batch of pictures, to a probability for each class."""

    @property
    def parameters(self) -> Arrays:
        """The weights as "arg:NAME", BatchNorm's running statistics as "aux:NAME"."""

    @property
    def transform(self) -> Transform:
        """What becomes of a picture before the network sees it."""

    @property
    def images_per_device(self) -> int:
        """How many pictures it sees at once."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The result of one epoch; ``seconds`` are those of training and validation together."""

    loss: float
    train_top1: float
    validation_top1: float
    validation_top5: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network after ``len(history)`` epochs.

    ``wnids``: the class of each output. ``shards_fingerprint``: of those it learned from.
    ``position``: the state of the training set's loader. ``parameters``: weights as "arg:NAME",
    BatchNorm's running statistics as "aux:NAME". ``momentum``: by the weights' names.
    """

    recipe: Recipe
    wnids: tuple[str, ...]
    shards_fingerprint: int
    history: tuple[Epoch, ...]
    position: dict[str, Any]
    parameters: Arrays
    momentum: Arrays

    @property
    def finished(self) -> bool:
        """Whether all epochs of the recipe are done."""
        return len(self.history) == self.recipe.epochs

    @property
    def symbol(self) -> Symbol:
        """The network with one output a class."""
        return symbol(engines.network(self.recipe.network, len(self.wnids)))

    @property
    def transform(self) -> Transform:
        """The crop for predictions, from the centre."""
        return self.recipe.transform(training=False)

    @property
    def images_per_device(self) -> int:
        """Images that are predicted at once, as many as a device learned from."""
        return self.recipe.images_per_device


def save(checkpoint: Checkpoint, folder: PathLike) -> None:
    """Write NAME-symbol.json and NAME-0018.params for ``mx.model.load_checkpoint``, and NAME.json.

    NAME.json comes last and names the files that belong to it: a kill leaves the checkpoint before,
    or this one. Then the files of earlier epochs are removed.
    """
    folder = Path(folder)
    name = checkpoint.recipe.network
    epoch = len(checkpoint.history)
    write_bytes_atomically(folder / f"{name}-symbol.json", checkpoint.symbol.tojson().encode())
    files = {}
    for suffix, arrays in ((".params", checkpoint.parameters), (".momentum", checkpoint.momentum)):
        path = folder / f"{name}-{epoch:04}{suffix}"
        with write_atomically(path) as out:
            mx.nd.save(out.name, dict(arrays))
        files[path.name] = file_crc32(path)
    contents = {
        "recipe": dataclasses.asdict(checkpoint.recipe),
        "wnids": checkpoint.wnids,
        "shards": checkpoint.shards_fingerprint,
        "history": [dataclasses.asdict(epoch) for epoch in checkpoint.history],
        "position": checkpoint.position,
        "files": files,
    }
    write_bytes_atomically(folder / f"{name}.json", json.dumps(contents, indent=1).encode())
    for path in folder.glob(f"{name}-????.*"):
        if path.name not in files:
            path.unlink()


def load(folder: PathLike, name: str) -> Checkpoint:
    """The newest checkpoint of the network ``name`` in ``folder`` (chapter 7).

    FileNotFoundError when there is none; ValueError when a file is missing or damaged.
    """
    folder = Path(folder)
    path = folder / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: chapter 7 trains the network")
    try:
        contents = json.loads(path.read_bytes())
        arrays = [_load_arrays(folder / file, crc32) for file, crc32 in contents["files"].items()]
        return Checkpoint(
            Recipe(**contents["recipe"]),
            tuple(contents["wnids"]),
            int(contents["shards"]),
            tuple(Epoch(**epoch) for epoch in contents["history"]),
            dict(contents["position"]),
            *arrays,
        )
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"{path} is no sound checkpoint ({error}): remove it and train again"
        ) from error


def _load_arrays(path: Path, crc32: int) -> dict[str, Any]:
    if file_crc32(path) != crc32:
        raise ValueError(f"{path.name} is not as it was written")
    arrays: dict[str, Any] = mx.nd.load(str(path))
    return arrays


def devices(count: int) -> list[Any]:
    """The first ``count`` GPUs, or as many of MXNet's numbered CPUs where it sees no GPU.

    ValueError where it sees too few GPUs: a CPU among them would make all of them wait.
    """
    gpus = mx.context.num_gpus()
    if 0 < gpus < count:
        raise ValueError(
            f"there are {gpus} GPUs, not {count}: set devices to {gpus}, or hide them to use CPUs"
        )
    return [mx.gpu(number) if gpus else mx.cpu(number) for number in range(count)]


def set_parameters(executor: Any, parameters: Arrays) -> None:
    """Copy the parameters of a network into a bound one."""
    for key, array in parameters.items():
        kind, _, name = key.partition(":")
        arrays = executor.arg_dict if kind == "arg" else executor.aux_dict
        arrays[name][:] = array


def predict_batches(network: Predictor, batches: Loader) -> Iterator[PredictedBatch]:
    """Probabilities, labels and ids of each batch, without its padding, as ``predict`` gives them.

    Binds the network anew: on a CPU, MXNet fuses convolution and BatchNorm, and goes on with the
    BatchNorm of its first batch whatever parameters it is given later.
    """
    shape = (batches.batch_size, *batches.transform.shape)
    executor = network.symbol.simple_bind(devices(1)[0], data=shape, grad_req="null")
    set_parameters(executor, network.parameters)
    for batch in batches:
        count = len(batch.ids) - batch.padding
        executor.arg_dict["data"][:] = batch.images
        probabilities = executor.forward(is_train=False)[0].asnumpy()
        labels = whole_numbers("labels", batch.labels[:count])
        yield probabilities[:count], labels, batch.ids[:count]


def predict(
    network: Predictor, shards: Sequence[PathLike], threads: int = 2
) -> Iterator[PredictedBatch]:
    """Probabilities (b, classes), labels and ids of the images in ``shards``, in order (chapter 8).

    From one crop of each image, on one device. Memory: a device's part of a batch.
    """
    images = network.images_per_device
    with Loader(shards, images, network.transform, shuffle=False, threads=threads) as batches:
        yield from predict_batches(network, batches)


def image_predictor(network: Predictor) -> Callable[[bytes], Floats]:
    """A function from the bytes of an image to its probabilities, (classes,) (chapter 9).

    The network is bound once, on one device, for one image at a time. The function raises
    ImageError for what cannot be decoded.
    """
    transform = network.transform
    executor = network.symbol.simple_bind(
        devices(1)[0], data=(1, *transform.shape), grad_req="null"
    )
    set_parameters(executor, network.parameters)
    table = image.normalization_table(transform)
    pixels = np.empty((transform.size, transform.size, 3), np.uint8)
    batch = np.empty((1, *transform.shape), transform.dtype)

    def predict_one(data: bytes) -> Floats:
        image.decode_into(data, transform, (0.5,) * image.RANDOM_COLUMNS, pixels)
        image.write_layout(pixels, table, transform.layout, batch[0])
        executor.arg_dict["data"][:] = batch
        probabilities: Floats = executor.forward(is_train=False)[0].asnumpy()[0]
        return probabilities

    return predict_one
