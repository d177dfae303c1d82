"""Data-parallel training: a replica of the network on each device, gradients summed (chapter 7)."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imnetlib import catalog, engines
from imnetlib.arguments import PathLike, require_several
from imnetlib.engines import Recipe
from imnetlib.engines.mxnet import checkpoint, mx
from imnetlib.engines.mxnet.checkpoint import Checkpoint, Epoch
from imnetlib.engines.mxnet.network import Shape, parameter_shapes, symbol
from imnetlib.evaluate import ranks
from imnetlib.loader import Batch, Loader
from imnetlib.progress import progress
from imnetlib.recordio import fingerprint

# Steps between two checks that the loss is a number.
DIVERGENCE_INTERVAL = 100


class DivergedError(ArithmeticError):
    """The loss is infinite or not a number."""


def untrained(recipe: Recipe, wnids: Sequence[str], shards: int = 0) -> Checkpoint:
    """The network before its first step, with weights after He et al. 2015 (chapter 7).

    They are drawn from the recipe's seed. ValueError for a size that the network cannot take.
    """
    require_several("wnids", wnids)
    net = symbol(engines.network(recipe.network, len(wnids)))
    shapes = parameter_shapes(net, recipe.shape)
    random = np.random.default_rng(recipe.seed)
    parameters = {name: _initial_values(name, shape, random) for name, shape in shapes.items()}
    momentum = {
        name.removeprefix("arg:"): mx.nd.zeros(shape)
        for name, shape in shapes.items()
        if name.startswith("arg:")
    }
    return Checkpoint(recipe, tuple(wnids), shards, (), {}, parameters, momentum)


def _initial_values(name: str, shape: Shape, random: np.random.Generator) -> Any:
    if name.endswith("weight"):
        values = random.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        return mx.nd.array(values)
    return mx.nd.ones(shape) if name.endswith(("gamma", "moving_var")) else mx.nd.zeros(shape)


class Replicas:
    """The network on each device with equal weights; each replica learns from its part of a batch.

    After the backward pass the gradients of a layer are summed over the devices, and each device
    makes the same step with the sum. MXNet's engine starts with the sums of the last layers while
    earlier ones are still at work.
    """

    def __init__(self, start: Checkpoint, devices: Sequence[Any]) -> None:
        self.recipe = start.recipe
        net = start.symbol
        self.names = list(start.momentum)
        gradients = dict.fromkeys(self.names, "write")
        self.executors = [
            net.simple_bind(device, data=self.recipe.shape, grad_req=gradients)
            for device in devices
        ]
        self.momentum = [
            {name: array.as_in_context(device).copy() for name, array in start.momentum.items()}
            for device in devices
        ]
        for executor in self.executors:
            checkpoint.set_parameters(executor, start.parameters)
        self.kvstore = mx.kv.create("device")
        for name in self.names:
            self.kvstore.init(name, self.executors[0].arg_dict[name])

    def step(self, batch: Batch, rate: float) -> list[Any]:
        """Learn from one batch, without waiting for the result.

        Gives an array (2, images) per device: before the step, the probability of the true class,
        and how many classes have as much, itself among them.
        """
        images = self.recipe.images_per_device
        for number, executor in enumerate(self.executors):
            rows = slice(number * images, (number + 1) * images)
            executor.arg_dict["data"][:] = batch.images[rows]
            executor.arg_dict["softmax_label"][:] = batch.labels[rows]
            executor.forward(is_train=True)
        probabilities = [_true_and_reaching(executor) for executor in self.executors]
        for executor in self.executors:
            executor.backward()
        for position, name in enumerate(self.names):
            # The next batch needs the first layers first.
            self._update(name, rate, priority=-position)
        return probabilities

    def _update(self, name: str, rate: float, priority: int) -> None:
        gradients = [executor.grad_dict[name] for executor in self.executors]
        if len(gradients) > 1:
            self.kvstore.push(name, gradients, priority=priority)
            self.kvstore.pull(name, gradients, priority=priority)
        decay = self.recipe.weight_decay if name.endswith("weight") else 0.0
        for executor, momentum in zip(self.executors, self.momentum, strict=True):
            mx.nd.sgd_mom_update(
                executor.arg_dict[name],
                executor.grad_dict[name],
                momentum[name],
                lr=rate,
                momentum=self.recipe.momentum,
                wd=decay,
                rescale_grad=1 / self.recipe.batch_size,
                out=executor.arg_dict[name],
            )

    def parameters(self) -> dict[str, Any]:
        """The weights, and the mean of the devices' running statistics, which all of them take."""
        # On a CPU it is the backward pass that writes the statistics.
        mx.nd.waitall()
        first = self.executors[0]
        parameters = {f"arg:{name}": first.arg_dict[name].copy() for name in self.names}
        for name in first.aux_dict:
            statistics = [executor.aux_dict[name] for executor in self.executors]
            mean = np.mean([array.asnumpy() for array in statistics], axis=0)
            parameters[f"aux:{name}"] = mx.nd.array(mean)
            for array in statistics:
                array[:] = mean
        return parameters


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
) -> Checkpoint:
    """Train a network, or resume a training, and give the last checkpoint (chapter 7).

    A stop costs the epoch it falls into. On CPUs the result has the same bits with and without it,
    and in every run with the same recipe, shards and kind of processor. DivergedError when the loss
    is not a number any more.

    Args:
        recipe: The network and how it learns.
        wnids: The class of each label in the shards.
        train_shards: What it learns from; LoadError for a label that is none of the classes.
        validation_shards: What its accuracy is measured on after each epoch.
        folder: Gets a checkpoint after each epoch; ValueError where it holds a network of that name
            with another recipe, other classes or other shards.
        threads: Threads that decode images.
    """
    require_several("train_shards", train_shards)
    require_several("validation_shards", validation_shards)
    folder = Path(folder)
    shards = fingerprint([*train_shards, *validation_shards])
    current = _resume(recipe, wnids, shards, folder)
    if current.finished:
        return current
    replicas = Replicas(current, checkpoint.devices(recipe.devices))
    crop = recipe.transform(training=True)
    center = recipe.transform(training=False)
    with (
        Loader(
            train_shards,
            recipe.batch_size,
            crop,
            seed=recipe.seed,
            threads=threads,
            classes=len(wnids),
        ) as batches,
        Loader(
            validation_shards, recipe.images_per_device, center, shuffle=False, threads=threads
        ) as held_out,
        progress(recipe.epochs * len(batches), "train", "batches") as bar,
    ):
        if current.history:
            batches.load_state_dict(current.position)
            bar.update(len(current.history) * len(batches))
        while not current.finished:
            current = _after_epoch(current, replicas, batches, held_out, bar.update)
            checkpoint.save(current, folder)
            top1 = current.history[-1].validation_top1
            bar.set_postfix_str(f"epoch {len(current.history)}, validation top-1 {top1:.1%}")
    return current


def _resume(recipe: Recipe, wnids: Sequence[str], shards: int, folder: Path) -> Checkpoint:
    """The checkpoint in ``folder``, or a network that has learned nothing yet."""
    path = folder / f"{recipe.network}.json"
    if not path.exists():
        return untrained(recipe, wnids, shards)
    earlier = checkpoint.load(folder, recipe.network)
    catalog.verify_classes(earlier.wnids, wnids, path)
    way_out = "remove it, or train in another folder"
    ours = dataclasses.asdict(recipe)
    theirs = dataclasses.asdict(earlier.recipe)
    differ = [
        f"{name}={theirs[name]}, not {ours[name]}" for name in ours if theirs[name] != ours[name]
    ]
    if differ:
        raise ValueError(f"{path} was trained with {', '.join(differ)}: {way_out}")
    if earlier.shards_fingerprint != shards:
        raise ValueError(f"{path} was trained from other shards: {way_out}")
    return earlier


def _after_epoch(
    before: Checkpoint,
    replicas: Replicas,
    batches: Loader,
    held_out: Loader,
    advance: Callable[[], object],
) -> Checkpoint:
    """Train for an epoch, then measure the accuracy on ``held_out``."""
    started = time.perf_counter()
    loss, train_top1 = _train_epoch(replicas, batches, len(before.history), advance)
    trained = dataclasses.replace(
        before,
        position=batches.state_dict(),
        parameters=replicas.parameters(),
        momentum={name: array.copy() for name, array in replicas.momentum[0].items()},
    )
    predictions = checkpoint.predict_batches(trained, held_out)
    rank = np.concatenate([ranks(found, labels) for found, labels, _ in predictions])
    top1 = float((rank < 1).mean())
    top5 = float((rank < 5).mean())
    epoch = Epoch(loss, train_top1, top1, top5, seconds=time.perf_counter() - started)
    return dataclasses.replace(trained, history=(*before.history, epoch))


def _train_epoch(
    replicas: Replicas, batches: Loader, epoch: int, advance: Callable[[], object]
) -> tuple[float, float]:
    """Mean loss and top-1 over the training set, each image judged before its own step."""
    recipe = replicas.recipe
    steps = len(batches)
    probabilities = []
    counts = []
    for number, batch in enumerate(batches):
        rate = recipe.rate((epoch * steps + number) / (recipe.epochs * steps))
        probabilities.append(replicas.step(batch, rate))
        counts.append(len(batch.ids) - batch.padding)
        if number % DIVERGENCE_INTERVAL == DIVERGENCE_INTERVAL - 1:
            # Of a step long done: reading those of the last one would wait for the devices.
            _require_finite(probabilities[number - DIVERGENCE_INTERVAL // 2], epoch, rate)
        advance()
    _require_finite(probabilities[-1], epoch, rate)
    images = []
    for parts, count in zip(probabilities, counts, strict=True):
        images.append(np.concatenate([part.asnumpy() for part in parts], axis=1)[:, :count])
    truth, reaching = np.concatenate(images, axis=1)
    # As evaluate.ranks judges the validation images: a tie is no hit.
    return float(-np.log(np.maximum(truth, 1e-30)).mean()), float((reaching == 1).mean())


def _require_finite(probabilities: list[Any], epoch: int, rate: float) -> None:
    if not all(np.isfinite(part.asnumpy()).all() for part in probabilities):
        raise DivergedError(
            f"the training diverged in epoch {epoch + 1}, at a learning rate of {rate:.3g}: "
            "lower learning_rate"
        )
