"""Data-parallel training: the network once a device, gradients summed over devices after each batch
(chapter 7).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imnetlib import catalog, engines
from imnetlib.engines import Recipe
from imnetlib.engines.mxnet import checkpoint as files
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.checkpoint import Checkpoint, Epoch
from imnetlib.engines.mxnet.network import symbol
from imnetlib.evaluate import ranks
from imnetlib.loader import Batch, Loader
from imnetlib.progress import progress
from imnetlib.recordio import fingerprint

# steps from one look at the loss to the next
_LOOK = 100


class DivergedError(ArithmeticError):
    """The weights have grown beyond all numbers."""


def initial(recipe: Recipe, wnids: Sequence[str], shards: int = 0) -> Checkpoint:
    """The network before its first step: weights after He et al. 2015, drawn from the recipe's seed
    (chapter 7).
    """
    net = symbol(engines.network(recipe.network, len(wnids)))
    shapes, _, statistics = net.infer_shape(data=recipe.shape)
    named = zip(net.list_arguments(), shapes, strict=True)
    learned = {name: shape for name, shape in named if name not in ("data", "softmax_label")}
    random = np.random.default_rng(recipe.seed)
    parameters = {f"arg:{name}": _initial(name, shape, random) for name, shape in learned.items()}
    for name, shape in zip(net.list_auxiliary_states(), statistics, strict=True):
        parameters[f"aux:{name}"] = _initial(name, shape, random)
    momentum = {name: mx.nd.zeros(shape) for name, shape in learned.items()}
    return Checkpoint(recipe, tuple(wnids), shards, (), {}, parameters, momentum)


def _initial(name: str, shape: tuple[int, ...], random: np.random.Generator) -> Any:
    if name.endswith("weight"):
        values = random.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
        return mx.nd.array(values)
    return mx.nd.ones(shape) if name.endswith(("gamma", "moving_var")) else mx.nd.zeros(shape)


class Replicas:
    """The network once a device, with equal weights; each learns from its part of every batch.

    After the backward pass the gradients of a layer are summed over the devices, and each device
    makes the same step with the sum. MXNet's engine starts with the sums of the last layers while
    earlier ones are still at work.
    """

    def __init__(self, start: Checkpoint, devices: Sequence[Any]) -> None:
        self.recipe = recipe = start.recipe
        net = start.symbol
        fixed = ("data", "softmax_label")
        self.names = [name for name in net.list_arguments() if name not in fixed]
        needs = dict.fromkeys(self.names, "write") | dict.fromkeys(fixed, "null")
        self.executors = [
            net.simple_bind(device, data=recipe.shape, grad_req=needs) for device in devices
        ]
        self.momentum = [
            {name: array.as_in_context(device).copy() for name, array in start.momentum.items()}
            for device in devices
        ]
        self.kvstore = mx.kv.create("device")
        for executor in self.executors:
            files.fill(executor, start.parameters)
        for name in self.names:
            self.kvstore.init(name, self.executors[0].arg_dict[name])

    def step(self, batch: Batch, rate: float) -> list[Any]:
        """Learn from one batch, without waiting for the result.

        Gives an array (2, images) per device: the probability of the true class, before the step,
        and the highest.
        """
        for number, executor in enumerate(self.executors):
            rows = slice(number * self.recipe.part, (number + 1) * self.recipe.part)
            executor.arg_dict["data"][:] = batch.images[rows]
            executor.arg_dict["softmax_label"][:] = batch.labels[rows]
            executor.forward(is_train=True)
        seen = [_seen(executor) for executor in self.executors]
        for executor in self.executors:
            executor.backward()
        for place, name in enumerate(self.names):
            # the next batch wants the first layers first
            self._update(name, rate, priority=-place)
        return seen

    def _update(self, name: str, rate: float, priority: int) -> None:
        gradients = [executor.grad_dict[name] for executor in self.executors]
        if len(gradients) > 1:
            self.kvstore.push(name, gradients, priority=priority)
            self.kvstore.pull(name, gradients, priority=priority)
        for executor, gradient, momentum in zip(
            self.executors, gradients, self.momentum, strict=True
        ):
            weight = executor.arg_dict[name]
            mx.nd.sgd_mom_update(
                weight,
                gradient,
                momentum[name],
                lr=rate,
                momentum=self.recipe.momentum,
                wd=self.recipe.weight_decay if name.endswith("weight") else 0.0,
                rescale_grad=1 / self.recipe.batch_size,
                out=weight,
            )

    def parameters(self) -> dict[str, Any]:
        """Weights and running statistics; the latter differ by device, which all take their mean
        from here on.
        """
        # on a CPU the backward pass writes the statistics
        mx.nd.waitall()
        first = self.executors[0]
        found = {f"arg:{name}": first.arg_dict[name].copy() for name in self.names}
        for name in first.aux_dict:
            mean = np.mean(
                [executor.aux_dict[name].asnumpy() for executor in self.executors], axis=0
            )
            found[f"aux:{name}"] = mx.nd.array(mean)
            for executor in self.executors:
                executor.aux_dict[name][:] = mean
        return found


def train(
    recipe: Recipe,
    wnids: Sequence[str],
    train_shards: Sequence[Path],
    validation_shards: Sequence[Path],
    folder: Path,
    threads: int = 2,
) -> Checkpoint:
    """Train a network, or go on where an earlier run was stopped, and give its last checkpoint
    (chapter 7).

    ``wnids``: the class of each label in the shards. ``folder`` gets a checkpoint after each epoch;
    run again after a stop, training goes on from there: a stop costs the epoch it falls into. On
    CPUs the end has the same bits as without the stop, and as every run with the same recipe,
    shards and kind of processor. Raises ValueError when ``folder`` holds a network of that name
    trained otherwise, DivergedError when the loss is no number any more.
    """
    start = _begin(recipe, wnids, fingerprint([*train_shards, *validation_shards]), folder)
    if start.finished:
        return start
    replicas = Replicas(start, files.devices(recipe.devices))
    show = recipe.transform(training=True)
    look = recipe.transform(training=False)
    with (
        Loader(train_shards, recipe.batch_size, show, seed=recipe.seed, threads=threads) as batches,
        Loader(validation_shards, recipe.part, look, shuffle=False, threads=threads) as held_out,
        progress(recipe.epochs * len(batches), "train", "batches") as bar,
    ):
        if start.history:
            batches.load_state_dict(start.position)
            bar.update(len(start.history) * len(batches))
        done = start
        while not done.finished:
            started = time.perf_counter()
            loss, top1 = _epoch(replicas, batches, len(done.history), bar.update)
            parameters = replicas.parameters()
            validation = _accuracy(files.bound(start.symbol, recipe, parameters), held_out)
            epoch = Epoch(loss, top1, *validation, seconds=time.perf_counter() - started)
            momentum = {name: array.copy() for name, array in replicas.momentum[0].items()}
            history = (*done.history, epoch)
            done = dataclasses.replace(
                start,
                history=history,
                position=batches.state_dict(),
                parameters=parameters,
                momentum=momentum,
            )
            files.save(done, folder)
            bar.set_postfix_str(
                f"epoch {len(history)}, validation top-1 {epoch.validation_top1:.1%}"
            )
    return done


def _begin(recipe: Recipe, wnids: Sequence[str], shards: int, folder: Path) -> Checkpoint:
    """The checkpoint to go on from: the one in ``folder``, or a network that has learned nothing
    yet.
    """
    path = folder / f"{recipe.network}.json"
    if not path.exists():
        return initial(recipe, wnids, shards)
    there = files.load(folder, recipe.network)
    catalog.verify_classes(there.wnids, wnids, path)
    way_out = "remove it, or train in another folder"
    if there.recipe != recipe:
        ours = dataclasses.asdict(recipe)
        differ = ", ".join(
            f"{k}={v}, not {ours[k]}"
            for k, v in dataclasses.asdict(there.recipe).items()
            if v != ours[k]
        )
        raise ValueError(f"{path} was trained with {differ}: {way_out}")
    if there.shards != shards:
        raise ValueError(f"{path} was trained from other shards: {way_out}")
    return there


def _seen(executor: Any) -> Any:
    probabilities = executor.outputs[0]
    labels = executor.arg_dict["softmax_label"]
    return mx.nd.stack(mx.nd.pick(probabilities, labels), probabilities.max(axis=1))


def _epoch(
    replicas: Replicas, batches: Loader, epoch: int, advance: Callable[[], object]
) -> tuple[float, float]:
    """One pass over the training set: its mean loss and top-1, each image seen by the weights of
    its moment.
    """
    steps = len(batches)
    epochs = replicas.recipe.epochs
    seen = []
    good = []
    for number, batch in enumerate(batches):
        rate = replicas.recipe.rate((epoch * steps + number) / (epochs * steps))
        seen.append(replicas.step(batch, rate))
        # at a step long done, so as not to wait
        if number % _LOOK == _LOOK - 1:
            _refuse_divergence(seen[number - _LOOK // 2], epoch, rate)
        good.append(len(batch.ids) - batch.padding)
        advance()
    _refuse_divergence(seen[-1], epoch, rate)
    parts = [np.concatenate([part.asnumpy() for part in parts], axis=1) for parts in seen]
    truth, highest = np.concatenate(
        [part[:, :n] for part, n in zip(parts, good, strict=True)], axis=1
    )
    return float(-np.log(np.maximum(truth, 1e-30)).mean()), float((truth == highest).mean())


def _refuse_divergence(seen: list[Any], epoch: int, rate: float) -> None:
    if not all(np.isfinite(part.asnumpy()).all() for part in seen):
        raise DivergedError(
            f"the training diverged in epoch {epoch + 1}, at a learning rate of {rate:.3g}: lower learning_rate"
        )


def _accuracy(network: Any, batches: Loader) -> tuple[float, float]:
    """Top-1 and top-5 accuracy."""
    rank = np.concatenate(
        [ranks(found, labels) for found, labels, _ in files.outputs(network, batches)]
    )
    return float((rank < 1).mean()), float((rank < 5).mean())
