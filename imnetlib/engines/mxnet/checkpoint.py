"""A trained network on the disk: MXNet's own two files and what they mean (chapter 7)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imnetlib import engines
from imnetlib.engines import Recipe
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import Symbol, symbol
from imnetlib.files import file_crc32, write_atomically, write_whole
from imnetlib.loader import Loader

# name → mx.nd.NDArray
Arrays = Mapping[str, Any]
Predicted = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to: mean loss and top-1 in training, top-1 and top-5 in validation,
    seconds for both.
    """

    loss: float
    train_top1: float
    validation_top1: float
    validation_top5: float
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network after ``len(history)`` epochs.

    ``wnids``: the class of each output. ``parameters``: weights as "arg:NAME", BatchNorm's running
    statistics as "aux:NAME". ``momentum``: by the weights' names. ``shards``: the fingerprint of
    those it learned from. ``position``: where the loader of the training set stands.
    """

    recipe: Recipe
    wnids: tuple[str, ...]
    shards: int
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


def save(checkpoint: Checkpoint, folder: Path) -> None:
    """Write NAME-symbol.json and NAME-0018.params, as ``mx.model.load_checkpoint`` reads them, and
    NAME.json.

    NAME.json comes last and says which files belong to it: a kill leaves the checkpoint before, or
    this one. Then the files of earlier epochs go.
    """
    name = checkpoint.recipe.network
    epoch = len(checkpoint.history)
    write_whole(folder / f"{name}-symbol.json", checkpoint.symbol.tojson().encode())
    files = {}
    for suffix, arrays in ((".params", checkpoint.parameters), (".momentum", checkpoint.momentum)):
        path = folder / f"{name}-{epoch:04}{suffix}"
        with write_atomically(path) as out:
            mx.nd.save(out.name, dict(arrays))
        files[path.name] = file_crc32(path)
    said = {
        "recipe": dataclasses.asdict(checkpoint.recipe),
        "wnids": checkpoint.wnids,
        "shards": checkpoint.shards,
        "history": [dataclasses.asdict(epoch) for epoch in checkpoint.history],
        "position": checkpoint.position,
        "files": files,
    }
    write_whole(folder / f"{name}.json", json.dumps(said, indent=1).encode())
    for old in folder.glob(f"{name}-????.*"):
        if old.name not in files:
            old.unlink()


def load(folder: Path, name: str) -> Checkpoint:
    """The newest checkpoint of the network ``name`` in ``folder`` (chapter 7).

    FileNotFoundError when there is none; ValueError when a file is missing or damaged.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: chapter 7 trains the network")
    try:
        said = json.loads(path.read_bytes())
        found = [_arrays(folder / file, checksum) for file, checksum in said["files"].items()]
        history = tuple(Epoch(**epoch) for epoch in said["history"])
        recipe = Recipe(**said["recipe"])
        wnids = tuple(said["wnids"])
        shards = int(said["shards"])
        position = dict(said["position"])
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise ValueError(
            f"{path} is no sound checkpoint ({error}): remove it and train again"
        ) from error
    return Checkpoint(recipe, wnids, shards, history, position, *found)


def _arrays(path: Path, checksum: int) -> dict[str, Any]:
    if file_crc32(path) != checksum:
        raise ValueError(f"{path.name} is not as it was written")
    arrays: dict[str, Any] = mx.nd.load(str(path))
    return arrays


def devices(count: int) -> list[Any]:
    """So many GPUs, or CPUs where MXNet sees no GPU: to MXNet, CPUs with numbers are devices too.

    ValueError where it sees GPUs, but too few: a CPU among them would make all of them wait.
    """
    gpus = mx.context.num_gpus()
    if 0 < gpus < count:
        raise ValueError(
            f"there are {gpus} GPUs, not {count}: set devices to {gpus}, or hide them to use CPUs"
        )
    return [mx.gpu(number) if gpus else mx.cpu(number) for number in range(count)]


def fill(executor: Any, parameters: Arrays) -> None:
    """Copy the parameters of a checkpoint into a bound network."""
    for name, array in parameters.items():
        kind, _, own = name.partition(":")
        (executor.arg_dict if kind == "arg" else executor.aux_dict)[own][:] = array


def bound(net: Symbol, recipe: Recipe, parameters: Arrays) -> Any:
    """``net`` with these parameters, ready to predict a device's part of a batch on the first
    device.

    Bind again for other parameters: on a CPU, MXNet fuses convolution and BatchNorm, and goes on
    with the BatchNorm of its first batch whatever it is given later.
    """
    executor = net.simple_bind(devices(1)[0], data=recipe.shape, grad_req="null")
    fill(executor, parameters)
    return executor


def outputs(executor: Any, batches: Loader) -> Iterator[Predicted]:
    """Probabilities (b, classes), labels and ids of each batch, without its padding, from a bound
    network.
    """
    for batch in batches:
        good = len(batch.ids) - batch.padding
        executor.arg_dict["data"][:] = batch.images
        probabilities = executor.forward(is_train=False)[0].asnumpy()
        yield probabilities[:good], batch.labels[:good].astype(np.int64), batch.ids[:good]


def predict(
    checkpoint: Checkpoint, shards: Sequence[Path], threads: int = 2
) -> Iterator[Predicted]:
    """Probabilities (b, classes), labels and ids of the images in ``shards``, in their order
    (chapter 8).

    From the centre crop of each image, on one device. Memory: a device's part of a batch.
    """
    recipe = checkpoint.recipe
    executor = bound(checkpoint.symbol, recipe, checkpoint.parameters)
    transform = recipe.transform(training=False)
    with Loader(shards, recipe.part, transform, shuffle=False, threads=threads) as batches:
        yield from outputs(executor, batches)
