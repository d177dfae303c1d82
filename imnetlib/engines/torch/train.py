"""Data-parallel training with PyTorch: on GPUs of today, on a Mac, on CPUs (chapter 10)."""

from __future__ import annotations

import dataclasses
import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

# Its functions keep for good what group there is when it is imported: before there is one.
import torch.distributed.nn.functional
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from imnetlib.arguments import PathLike, in_order, require, require_type
from imnetlib.engines import Recipe, training, weights
from imnetlib.engines.checkpoint import Checkpoint
from imnetlib.engines.params import Arrays
from imnetlib.engines.torch import checkpoint, memory
from imnetlib.engines.torch.feed import DeviceFeed
from imnetlib.engines.torch.network import (
    arrays_of,
    as_array,
    imported,
    module,
    module_of,
    named_statistics,
    named_weights,
    normalized,
    statistics_owners,
)
from imnetlib.engines.training import DivergedError, PredictedBatch
from imnetlib.loader import Batch

__all__ = ["DivergedError", "Replicas", "fine_tuned", "train", "untrained"]

# After so long without a word from another process a training ends.
_PATIENCE = timedelta(minutes=10)
# PyTorch takes no larger one than the last of these.
_SEEDS = 2**64


def untrained(recipe: Recipe, wnids: Sequence[str]) -> Checkpoint:
    """A network before its first step (chapter 10).

    One of the table has the same weights as with MXNet; another module its own first weights, drawn
    from the recipe's seed. ValueError for a size that the network cannot take.
    """
    require_type(recipe, Recipe, "recipe is an engines.Recipe")
    if ":" not in recipe.network:
        return weights.untrained(recipe, wnids)
    wnids = in_order("wnids", wnids)
    # Before the seed: to import it may draw numbers.
    imported(recipe.network.partition(":")[0])
    torch.manual_seed(recipe.seed % _SEEDS)
    net = module(recipe.network, len(wnids), recipe.size)
    return Checkpoint(recipe, tuple(wnids), 0, (), {}, arrays_of(net), {})


def fine_tuned(trained: Checkpoint, begun: Checkpoint) -> Checkpoint:
    """As ``engines.fine_tuned``, of any module; its last layer is what changes with the classes."""
    require_type(trained, Checkpoint, "trained is an engines.Checkpoint")
    recipe = trained.recipe
    if ":" not in recipe.network:
        return weights.fine_tuned(trained, begun)
    one_more = arrays_of(module(recipe.network, len(trained.wnids) + 1, recipe.size))
    arrays = trained.parameters
    last = [name for name in arrays if arrays[name].shape != one_more[name].shape]
    return weights.with_weights_of(trained, begun, last)


@dataclass(frozen=True, slots=True)
class _Step:
    """What a step leaves for later: sums over its images, on the device, and two moments there."""

    sums: Tensor
    images: int
    began: Any
    ended: Any


class Replicas:
    """The network in this process, which learns from its part of each batch.

    ``recipe.devices`` are shared out over the processes that torchrun has started. A process with
    several computes their parts one after another, each with running statistics of its own: the
    recipe decides the result, the machine only how long it takes. ``compiled``: by torch.compile.
    """

    def __init__(
        self, start: Checkpoint, device: torch.device | None = None, *, compiled: bool = False
    ) -> None:
        require_type(start, Checkpoint, "start is an engines.Checkpoint")
        recipe = start.recipe
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        shared = recipe.devices % self.world == 0
        require(shared, f"devices are a multiple of the {self.world} processes", recipe.devices)
        self.recipe = recipe
        self.start = start
        self.device = device or checkpoint.devices(1)[0]
        self.parts = recipe.devices // self.world
        if recipe.sync_batch_norm:
            is_one = self.world == 1 or self.device.type == "cuda"
            require(is_one, "BatchNorm over several processes needs GPUs", self.device.type)
            self.parts = 1
        self.net = module_of(start).to(self.device, memory_format=torch.channels_last).train()
        self.weights = named_weights(self.net)
        self.optimizer = _optimizer(self.net, recipe)
        self._set_momentum()
        self._set_random_numbers()
        # Gives each process the first one's running statistics, before it gets its own.
        self._learner = self._prepared(compiled)
        self.statistics = self._each_devices_statistics()
        self._ended: Any = None

    def _prepared(self, compiled: bool) -> nn.Module:
        """The network as the steps call it."""
        net = self.net
        if self.recipe.sync_batch_norm and self.world > 1:
            net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
        if compiled:
            net.compile()
        if self.world == 1:
            return net
        ids = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            net, device_ids=ids, forward_sync_buffers=False, gradient_as_bucket_view=True
        )

    def _each_devices_statistics(self) -> list[dict[str, Tensor]]:
        """The running statistics of each of this process's devices, by name."""
        first = named_statistics(self.net)
        each = [first]
        each += [{k: v.clone() for k, v in first.items()} for _ in range(self.parts - 1)]
        for number, statistics in enumerate(each, self.rank * self.parts):
            for name, value in statistics.items():
                kept = self.start.state.get(f"statistics:{name}", ())
                if number < len(kept):
                    value.copy_(torch.tensor(kept[number]))
        return each

    def _set_momentum(self) -> None:
        for name, weight in self.weights.items():
            kept = self.start.state.get(f"momentum:{name}")
            if kept is not None and weight.requires_grad:
                # MXNet adds it to the weights, PyTorch takes it away.
                buffer = torch.empty_like(weight).copy_(-torch.tensor(kept))
                self.optimizer.state[weight]["momentum_buffer"] = buffer

    def _set_random_numbers(self) -> None:
        """Go on with those of the checkpoint, where as many processes go on as before."""
        torch.manual_seed((self.recipe.seed + self.rank) % _SEEDS)
        for name, set_state in self._random_states():
            kept = self.start.state.get(name, ())
            if len(kept) == self.world:
                set_state(torch.tensor(kept[self.rank]))

    def _random_states(self) -> Iterator[tuple[str, Callable[[Tensor], None]]]:
        yield "random", torch.set_rng_state
        if self.device.type == "cuda":
            yield "random on GPU", partial(torch.cuda.set_rng_state, device=self.device)

    def feed(
        self, shards: Sequence[PathLike], *, training: bool, threads: int
    ) -> AbstractContextManager[training.Feed]:
        """This process's share of the batches of a set."""
        return DeviceFeed(
            shards,
            self.recipe,
            self.device,
            training=training,
            threads=threads,
            classes=len(self.start.wnids),
            rank=self.rank,
            world=self.world,
        )

    def step(self, batch: Batch, rate: float) -> _Step:
        """Learn from one batch, without waiting for a GPU's result.

        MemoryError where the GPU has too little memory, with the batch that would fit.
        """
        count = len(batch.ids) - batch.padding
        began = self._moment()
        try:
            sums = self._learn(*self._on_device(batch), rate, count)
        except torch.OutOfMemoryError as error:
            raise MemoryError(memory.advice(self.start, self.device)) from error
        return _Step(sums, count, began, self._moment())

    def _moment(self) -> Any:
        """Now, on the clock of the GPU."""
        if self.device.type != "cuda":
            return None
        moment = torch.cuda.Event(enable_timing=True)
        moment.record()
        return moment

    def _on_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images = torch.as_tensor(batch.images, device=self.device)
        labels = torch.as_tensor(batch.labels, device=self.device).long()
        if images.dtype == torch.uint8:
            images = normalized(images, self.recipe)
        return images.contiguous(memory_format=torch.channels_last), labels

    def _learn(self, images: Tensor, labels: Tensor, rate: float, count: int) -> Tensor:
        """One step; the sums of losses and hits over the first ``count`` images."""
        turns = self.recipe.accumulate
        passes = self.parts * turns
        at_once = len(images) // passes
        sums = torch.zeros(2, device=self.device)
        for number in range(passes):
            first = number * at_once
            rows = slice(first, first + at_once)
            self._use_statistics(number // turns)
            with self._exchanging(number == passes - 1):
                losses, judged = self._losses(images[rows], labels[rows])
                # The rate is in the gradient, and the optimizer's own is 1: so the momentum has the
                # rate in it, as MXNet's does (Goyal et al. 2017, section 3.1).
                (losses.sum() * (rate * self.world / self.recipe.batch_size)).backward()
            sums += judged[:, : max(0, count - first)].sum(1)
        for group in self.optimizer.param_groups:
            group["weight_decay"] = group["decay"] * rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return sums

    def _losses(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What each picture teaches, (n,); its loss without smoothing and 1 for a hit, (2, n)."""
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"
        ):
            scores = self._learner(images)
        # Some modules give more than that only in training.
        require_type(scores, Tensor, f"{self.recipe.network} gives one tensor of logits")
        scores = scores.float()
        losses = functional.cross_entropy(
            scores, labels, reduction="none", label_smoothing=self.recipe.label_smoothing
        )
        with torch.no_grad():
            # As ranks judges the probabilities of the validation images.
            probabilities = scores.softmax(1)
            truth = probabilities.gather(1, labels[:, None])
            hits = (probabilities >= truth).sum(1) == 1
            plain = -truth[:, 0].clamp_min(1e-30).log()
        return losses, torch.stack([plain, hits.float()])

    def _exchanging(self, wanted: bool) -> AbstractContextManager[Any]:
        """Only the last pass sums the gradients over the processes."""
        if self.world == 1 or wanted:
            return nullcontext()
        quiet: AbstractContextManager[Any] = self._learner.no_sync()
        return quiet

    def _use_statistics(self, number: int) -> None:
        """Have BatchNorm move the running statistics of one of this process's devices."""
        if self.parts > 1:
            for (owner, key), value in zip(
                statistics_owners(self.net), self.statistics[number].values(), strict=True
            ):
                setattr(owner, key, value)

    def results(self, steps: Sequence[_Step]) -> NDArray[np.float64]:
        """For each of ``steps`` the sum of the losses, the hits and the images: (steps, 3)."""
        sums = torch.stack([step.sums for step in steps]).cpu().numpy().astype(np.float64)
        return np.column_stack([sums, [step.images for step in steps]])

    def idle(self, steps: Sequence[_Step]) -> float | None:
        """Seconds between these steps in which the GPU had nothing to do; None on a CPU."""
        if self.device.type != "cuda":
            return None
        before = [self._ended, *(step.ended for step in steps[:-1])]
        self._ended = steps[-1].ended
        pairs = zip(before, steps, strict=True)
        return sum((ended.elapsed_time(step.began) for ended, step in pairs if ended), 0.0) / 1000

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of an array over all processes."""
        if self.world == 1:
            return values
        summed = torch.from_numpy(values).to(self.device)
        dist.all_reduce(summed)
        total: NDArray[np.float64] = summed.cpu().numpy()
        return total

    def _gathered(self, values: Tensor) -> NDArray[Any]:
        """A tensor (n, …) of each process, one after another: (world × n, …)."""
        each = [values]
        if self.world > 1:
            each = [torch.empty_like(values, device=self.device) for _ in range(self.world)]
            dist.all_gather(each, values.to(self.device).contiguous())
        gathered: NDArray[Any] = torch.cat(each).cpu().numpy()
        return gathered

    def parameters(self) -> Arrays:
        """The weights, and the mean of all devices' running statistics."""
        # What follows is no waiting for data.
        self._ended = None
        weights = {f"arg:{name}": as_array(weight) for name, weight in self.weights.items()}
        statistics = self._all_statistics()
        for name, each in statistics.items():
            # A count is the same on all devices, or at least a count.
            is_real = each.dtype.kind == "f"
            weights[f"aux:{name}"] = each.mean(axis=0) if is_real else each[0]
        return weights

    def state(self) -> Arrays:
        """The momentum, each device's running statistics, and each process's random numbers."""
        state = {f"statistics:{name}": each for name, each in self._all_statistics().items()}
        for name, weight in self.weights.items():
            buffer = self.optimizer.state.get(weight, {}).get("momentum_buffer")
            if buffer is not None:
                state[f"momentum:{name}"] = -as_array(buffer)
        state["random"] = self._gathered(torch.get_rng_state()[None])
        if self.device.type == "cuda":
            state["random on GPU"] = self._gathered(torch.cuda.get_rng_state(self.device)[None])
        return state

    def _all_statistics(self) -> dict[str, NDArray[Any]]:
        names = self.statistics[0]
        stacked = {name: torch.stack([own[name] for own in self.statistics]) for name in names}
        return {name: self._gathered(values) for name, values in stacked.items()}

    def predict(self, parameters: Arrays, batches: training.Feed) -> Iterable[PredictedBatch]:
        """Probabilities, labels and ids by batch, by the network with these parameters."""
        now = dataclasses.replace(self.start, parameters=parameters)
        return checkpoint.predict_batches(module_of(now).to(self.device), batches, self.recipe)


def _optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with momentum over two groups: what is pulled towards 0, and what is not."""
    learned = [weight for weight in net.parameters() if weight.requires_grad]
    decays = [weight for weight in learned if recipe.decay_all or weight.ndim > 1]
    others = [weight for weight in learned if not recipe.decay_all and weight.ndim <= 1]
    groups = [{"params": decays, "decay": recipe.weight_decay}, {"params": others, "decay": 0.0}]
    used = [group for group in groups if group["params"]]
    return torch.optim.SGD(used, lr=1.0, momentum=recipe.momentum)


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
    compiled: bool = False,
) -> Checkpoint:
    """Train a network, or resume a training, and give the last checkpoint (chapter 10).

    As ``engines.mxnet.train.train``, with the same files: what one engine began the other goes on
    with. Under torchrun each process takes its share of ``recipe.devices``, over NCCL on GPUs, else
    over gloo; torchrun ends all of them when one dies. They need the same shards and one folder,
    which the first of them writes: ValueError where they would start from different checkpoints. To
    the bit the same after a stop on one CPU process with the same number of threads.

    Args:
        recipe: The network and how it learns.
        wnids: The class of each label in the shards.
        train_shards: What it learns from; LoadError for a label that is none of the classes.
        validation_shards: What its accuracy is measured on after each epoch.
        folder: Gets the checkpoints and the log; ValueError where it holds a network of that name
            with another recipe, other classes or other shards.
        threads: Threads that decode images, in each process.
        minutes: Between two checkpoints in the middle of an epoch.
        start: What to start from where the folder has no checkpoint; see ``fine_tuned``.
        compiled: Whether torch.compile makes faster code first, in a minute or so.
    """
    with _together():
        job = training.Job(recipe, wnids, train_shards, validation_shards, folder, threads, minutes)
        current = job.resumed() or job.begun(start or untrained(recipe, job.wnids))
        _require_one_start(current)
        if current.finished:
            return current
        return job.run(current, Replicas(current, compiled=compiled))


def _require_one_start(current: Checkpoint) -> None:
    """ValueError where another process, such as one on another machine, would start elsewhere."""
    if not dist.is_initialized():
        return
    place = [len(current.history), current.steps, current.shards_fingerprint]
    own = torch.tensor(place, device=checkpoint.devices(1)[0])
    each = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(each, own)
    first, *others = [found.tolist() for found in each]
    for number, found in enumerate(others, 1):
        if found[2] != first[2]:
            raise ValueError(f"process {number} has other shards than process 0: give all the same")
        if found != first:
            raise ValueError(
                f"process {number} would go on after {found[0]} epochs and {found[1]} steps, "
                f"process 0 after {first[0]} and {first[1]}: share the folder of checkpoints"
            )


@contextmanager
def _together() -> Iterator[None]:
    """Join the other processes where torchrun has started this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()
        # Ends gloo's threads, when what still holds the group goes. One that lets go of a tensor
        # while Python ends would abort the process.
        gc.collect()
