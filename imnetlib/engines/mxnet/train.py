"""Data-parallel training: a replica of the network on each device, gradients summed (chapter 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imnetlib.arguments import PathLike, require, require_type
from imnetlib.engines import Recipe, training
from imnetlib.engines.checkpoint import Checkpoint
from imnetlib.engines.mxnet import checkpoint, mx
from imnetlib.engines.mxnet.network import symbol_of
from imnetlib.engines.params import Arrays
from imnetlib.engines.training import DivergedError, PredictedBatch
from imnetlib.engines.weights import fine_tuned, untrained
from imnetlib.loader import Batch, Loader

__all__ = ["DivergedError", "Replicas", "fine_tuned", "train", "untrained"]


class Replicas:
    """The network on each device with equal weights; each replica learns from its part of a batch.

    After the backward pass the gradients of a layer are summed over the devices, and each device
    makes the same step with the sum. MXNet's engine starts with the sums of the last layers while
    earlier ones are still at work. ``devices``: else those that ``checkpoint.devices`` gives.
    ValueError for what only PyTorch does of a recipe.
    """

    # MXNet's devices are all in one process.
    rank = 0

    def __init__(self, start: Checkpoint, devices: Sequence[Any] | None = None) -> None:
        require_type(start, Checkpoint, "start is an engines.Checkpoint")
        recipe = start.recipe
        devices = checkpoint.devices(recipe.devices) if devices is None else devices
        require(recipe.precision == "float32", "MXNet trains in float32", recipe.precision)
        require(not recipe.sync_batch_norm, "MXNet's BatchNorm sees one device", True)
        self.recipe = recipe
        self.classes = len(start.wnids)
        self.start = start
        net = symbol_of(start)
        self.names = [name.removeprefix("arg:") for name in start.parameters if name[:4] == "arg:"]
        kind = "write" if recipe.accumulate == 1 else "add"
        self.executors = [
            net.simple_bind(device, data=recipe.shape, grad_req=dict.fromkeys(self.names, kind))
            for device in devices
        ]
        self.momentum = [
            {name: self._momentum(start, name, device) for name in self.names} for device in devices
        ]
        for number, executor in enumerate(self.executors):
            checkpoint.set_parameters(executor, start.parameters)
            for name, array in executor.aux_dict.items():
                if (kept := start.state.get(f"statistics:{name}")) is not None:
                    array[:] = kept[number]
        self.kvstore = mx.kv.create("device")
        for name in self.names:
            self.kvstore.init(name, self.executors[0].arg_dict[name])

    def _momentum(self, start: Checkpoint, name: str, device: Any) -> Any:
        kept = start.state.get(f"momentum:{name}")
        if kept is None:
            return mx.nd.zeros(start.parameters[f"arg:{name}"].shape, device)
        return mx.nd.array(kept, device)

    def feed(
        self, shards: Sequence[PathLike], *, training: bool, threads: int
    ) -> AbstractContextManager[Loader]:
        """The loader of a set, in this process."""
        recipe = self.recipe
        return Loader(
            shards,
            recipe.batch_size if training else recipe.images_per_device,
            recipe.transform(training=training),
            shuffle=training,
            seed=recipe.seed,
            threads=threads,
            classes=self.classes if training else None,
        )

    def step(self, batch: Batch, rate: float) -> tuple[list[Any], int]:
        """Learn from one batch, without waiting for the result.

        Gives what ``results`` reads: an array (2, images) per device and turn, and how many rows of
        the batch count.
        """
        turns = self.recipe.accumulate
        images = self.recipe.images_per_device
        found = []
        for executor in self.executors:
            for name in self.names if turns > 1 else ():
                executor.grad_dict[name][:] = 0
        for turn in range(turns):
            for number, executor in enumerate(self.executors):
                first = (number * turns + turn) * images
                executor.arg_dict["data"][:] = batch.images[first : first + images]
                executor.arg_dict["softmax_label"][:] = batch.labels[first : first + images]
                executor.forward(is_train=True)
            found.append([_true_and_reaching(executor) for executor in self.executors])
            for executor in self.executors:
                executor.backward()
        for position, name in enumerate(self.names):
            # The next batch needs the first layers first.
            self._update(name, rate, priority=-position)
        in_order = [part for parts in zip(*found, strict=True) for part in parts]
        return in_order, len(batch.ids) - batch.padding

    def _update(self, name: str, rate: float, priority: int) -> None:
        gradients = [executor.grad_dict[name] for executor in self.executors]
        if len(gradients) > 1:
            self.kvstore.push(name, gradients, priority=priority)
            self.kvstore.pull(name, gradients, priority=priority)
        decays = self.recipe.decay_all or name.endswith("weight")
        for executor, momentum in zip(self.executors, self.momentum, strict=True):
            mx.nd.sgd_mom_update(
                executor.arg_dict[name],
                executor.grad_dict[name],
                momentum[name],
                lr=rate,
                momentum=self.recipe.momentum,
                wd=self.recipe.weight_decay if decays else 0.0,
                rescale_grad=1 / self.recipe.batch_size,
                out=executor.arg_dict[name],
            )

    def results(self, steps: Sequence[tuple[list[Any], int]]) -> NDArray[np.float64]:
        """For each of ``steps`` the sum of the losses, the hits and the images: (steps, 3)."""
        rows = np.empty((len(steps), 3))
        for row, (parts, count) in zip(rows, steps, strict=True):
            truth, reaching = np.concatenate([p.asnumpy() for p in parts], axis=1)[:, :count]
            losses = -np.log(np.maximum(truth, 1e-30, dtype=np.float64))
            # As evaluate.ranks judges the validation images: a tie is no hit.
            row[:] = losses.sum(), np.count_nonzero(reaching == 1), count
        return rows

    def idle(self, steps: Sequence[tuple[list[Any], int]]) -> None:
        """MXNet does not tell."""

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values themselves: there is one process."""
        return values

    def parameters(self) -> Arrays:
        """The weights, and the mean of the devices' running statistics."""
        first = self.executors[0]
        parameters = {f"arg:{name}": first.arg_dict[name].asnumpy() for name in self.names}
        statistics = self._statistics()
        return parameters | {f"aux:{name}": each.mean(axis=0) for name, each in statistics.items()}

    def state(self) -> Arrays:
        """The momentum, and each device's running statistics, "statistics:NAME" (devices, c)."""
        momentum = {f"momentum:{name}": a.asnumpy() for name, a in self.momentum[0].items()}
        return momentum | {f"statistics:{name}": each for name, each in self._statistics().items()}

    def _statistics(self) -> dict[str, NDArray[np.float32]]:
        # On a CPU it is the backward pass that writes them.
        mx.nd.waitall()
        names = self.executors[0].aux_dict
        each = {name: [e.aux_dict[name].asnumpy() for e in self.executors] for name in names}
        return {name: np.stack(arrays) for name, arrays in each.items()}

    def predict(self, parameters: Arrays, batches: training.Feed) -> Iterable[PredictedBatch]:
        """Probabilities, labels and ids by batch, by the network with these parameters."""
        return checkpoint.predict_batches(symbol_of(self.start), parameters, batches)


def _true_and_reaching(executor: Any) -> Any:
    probabilities = executor.outputs[0]
    truth = mx.nd.pick(probabilities, executor.arg_dict["softmax_label"])
    reaching = mx.nd.broadcast_greater_equal(probabilities, truth.expand_dims(axis=1))
    return mx.nd.stack(truth, reaching.sum(axis=1))


def train(
    recipe: Recipe,
    wnids: Sequence[str],
    train_shards: Sequence[PathLike],
    validation_shards: Sequence[PathLike],
    folder: PathLike,
    threads: int = 2,
    *,
    minutes: float = training.MINUTES,
    start: Checkpoint | None = None,
) -> Checkpoint:
    """Train a network, or resume a training, and give the last checkpoint (chapter 7).

    A stop costs ``minutes`` and twenty steps at most; a validation begins anew. On CPUs the result
    has the same bits with and without it, and in every run with the same recipe, shards and kind of
    processor. A recipe of more epochs than the one before goes on by the longer plan. DivergedError
    when the loss is not a number any more.

    Args:
        recipe: The network and how it learns.
        wnids: The class of each label in the shards.
        train_shards: What it learns from; LoadError for a label that is none of the classes.
        validation_shards: What its accuracy is measured on after each epoch.
        folder: Gets the checkpoints and the log; ValueError where it holds a network of that name
            with another recipe, other classes or other shards.
        threads: Threads that decode images.
        minutes: Between two checkpoints in the middle of an epoch.
        start: What to start from where the folder has no checkpoint; see ``fine_tuned``.
    """
    job = training.Job(recipe, wnids, train_shards, validation_shards, folder, threads, minutes)
    current = job.resumed() or job.begun(start or untrained(recipe, job.wnids))
    if current.finished:
        return current
    checkpoint.write_symbol(current, folder)
    return job.run(current, Replicas(current))
