"""A training from its first step to its last, the same for every engine (chapters 7 and 10).

An engine brings the ``Replicas``. What is here: where a training goes on, the epochs, the log, the
checkpoints.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from imnetlib import catalog, recordio
from imnetlib.arguments import (
    Floats,
    Integers,
    PathLike,
    in_order,
    list_of_paths,
    real_number,
    require,
    require_type,
)
from imnetlib.engines import checkpoint
from imnetlib.engines.checkpoint import NOTHING, Checkpoint, Epoch
from imnetlib.engines.log import Log
from imnetlib.engines.params import Arrays
from imnetlib.engines.recipe import Recipe
from imnetlib.evaluate import ranks
from imnetlib.loader import Batch, LoadError
from imnetlib.pack import CLASSES
from imnetlib.progress import progress, skip
from imnetlib.recordio import fingerprint

PredictedBatch: TypeAlias = tuple[Floats, Integers, Integers]

# Steps between two looks at the results: each look waits for the devices.
_LOOK = 20
# Labels that are read before the first step where nothing else is known of them.
_MOST_LABELS = 20_000
MINUTES = 10.0
"""Between two checkpoints in the middle of an epoch."""


class DivergedError(ArithmeticError):
    """The loss is infinite or not a number."""


class Feed(Protocol):
    """A ``Loader``, or what stands before one in another process."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...

    def state_dict(self) -> dict[str, Any]:
        """The position behind the batch that came last."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a position."""


class Replicas(Protocol):
    """A network in training on the devices of this process, as an engine builds it.

    ``rank``: the number of this process among those that train together; 0 writes the files.
    """

    rank: int

    def feed(
        self, shards: Sequence[PathLike], *, training: bool, threads: int
    ) -> AbstractContextManager[Feed]:
        """Batches for this process: crops in a random order for ``training``, else in order."""

    def step(self, batch: Batch, rate: float) -> Any:
        """Learn from one batch, without waiting for the result."""

    def results(self, steps: Sequence[Any]) -> NDArray[np.float64]:
        """For each of ``steps`` the sum of the losses, the hits and the images: (steps, 3)."""

    def idle(self, steps: Sequence[Any]) -> float | None:
        """Seconds in which the devices waited for these steps; None where only a GPU could tell."""

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of an array over all processes."""

    def parameters(self) -> Arrays:
        """The weights, and the mean of all devices' running statistics."""

    def state(self) -> Arrays:
        """What only going on needs: momentum, each device's running statistics, random numbers."""

    def predict(self, parameters: Arrays, batches: Feed) -> Iterable[PredictedBatch]:
        """Probabilities, labels and ids by batch, by the network with these parameters."""


@dataclass(frozen=True, slots=True)
class Job:
    """A training: what ``train`` of an engine is asked for; see there."""

    recipe: Recipe
    wnids: Sequence[str]
    train_shards: Sequence[PathLike]
    validation_shards: Sequence[PathLike]
    folder: PathLike
    threads: int = 2
    minutes: float = MINUTES

    def __post_init__(self) -> None:
        # Each is read more than once: a generator, such as that of a glob, would be empty then.
        object.__setattr__(self, "wnids", tuple(in_order("wnids", self.wnids)))
        for name in ("train_shards", "validation_shards"):
            object.__setattr__(self, name, in_order(name, getattr(self, name)))

    def resumed(self) -> Checkpoint | None:
        """The newest checkpoint of the folder; None where there is none.

        ValueError where it is of another recipe, other classes or other shards, or where the shards
        have labels that are none of the classes.
        """
        require_type(self.recipe, Recipe, "recipe is an engines.Recipe")
        require(real_number("minutes", self.minutes) >= 0, "minutes are 0 or more", self.minutes)
        self._require_labels()
        try:
            earlier = checkpoint.load(self.folder, self.recipe.network)
        except FileNotFoundError:
            return None
        where = Path(self.folder) / f"{checkpoint.file_name(self.recipe.network)}-*"
        catalog.verify_classes(earlier.wnids, self.wnids, where)
        ours = dataclasses.asdict(self.recipe)
        theirs = dataclasses.asdict(earlier.recipe)
        if self.recipe.epochs >= len(earlier.history):
            # It goes on by the plan of now.
            theirs["epochs"] = ours["epochs"]
        differ = {name: value for name, value in theirs.items() if value != ours[name]}
        way_out = "remove it, or train in another folder"
        if differ:
            text = ", ".join(f"{name}={value}, not {ours[name]}" for name, value in differ.items())
            raise ValueError(f"{where} was trained with {text}: {way_out}")
        if earlier.shards_fingerprint != self.fingerprint():
            raise ValueError(f"{where} was trained from other shards: {way_out}")
        return dataclasses.replace(earlier, recipe=self.recipe)

    def begun(self, start: Checkpoint) -> Checkpoint:
        """A training's first checkpoint; ValueError where ``start`` is for another training."""
        require_type(start, Checkpoint, "start is an engines.Checkpoint")
        catalog.verify_classes(start.wnids, self.wnids, "the network to start from")
        require(start.recipe == self.recipe, "start has the recipe of the training", start.recipe)
        is_begun = not start.history and not start.steps
        require(is_begun, "start has had no step: see fine_tuned", len(start.history))
        return dataclasses.replace(start, shards_fingerprint=self.fingerprint())

    def fingerprint(self) -> int:
        """A checksum of the shards of both sets."""
        return fingerprint([*self.train_shards, *self.validation_shards])

    def _require_labels(self) -> None:
        for name, shards, least in (
            ("train_shards", self.train_shards, 0),
            ("validation_shards", self.validation_shards, -1),
        ):
            paths = list_of_paths(name, shards)
            known = paths[0].with_name(CLASSES) if paths else None
            if known is None or not known.exists():
                _require_labels(paths, least, len(self.wnids))
                continue
            classes = len(catalog.read_classes(known))
            if classes > len(self.wnids):
                raise ValueError(f"{known} has {classes:,} classes, not {len(self.wnids):,}")

    def run(self, start: Checkpoint, replicas: Replicas) -> Checkpoint:
        """Train from ``start`` to the last epoch; the last checkpoint."""
        current = start
        with ExitStack() as stack:
            log = stack.enter_context(Log(self.folder, start)) if replicas.rank == 0 else None
            batches, held_out = (
                stack.enter_context(replicas.feed(shards, training=training, threads=self.threads))
                for shards, training in ((self.train_shards, True), (self.validation_shards, False))
            )
            if current.position:
                batches.load_state_dict(current.position)
            bar = stack.enter_context(
                progress(self.recipe.epochs * len(batches), "train", "batches")
            )
            skip(bar, len(current.history) * len(batches) + current.steps)
            while not current.finished:
                epoch = _EpochInTraining(self, replicas, batches, current, log)
                current = epoch.finished(held_out, bar.update)
                top1 = current.history[-1].validation_top1
                bar.set_postfix_str(f"epoch {len(current.history)}, validation top-1 {top1:.1%}")
        return current


def _require_labels(shards: Sequence[Path], least: int, classes: int) -> None:
    """LoadError for a label that is none of the classes, in up to 20,000 records of the shards."""
    tables = [recordio.read_index_of([path], path.with_suffix(".idx")) for path in shards]
    apart = max(1, sum(len(keys) for keys, _ in tables) // _MOST_LABELS)
    size = recordio.IMAGE_HEADER.size
    for path, (keys, offsets) in zip(shards, tables, strict=True):
        with recordio.RecordReader(path) as records:
            for key, offset in zip(keys[::apart].tolist(), offsets[::apart].tolist(), strict=True):
                # Behind the record's own header.
                header = records.pread(size, offset + 8)
                flag, label, *_ = recordio.IMAGE_HEADER.unpack(header)
                if not flag and not (least <= label < classes and label == int(label)):
                    raise LoadError(
                        f"{path}: record {key} at byte {offset}: its label is {label:g}; classes "
                        f"are 0 to {classes - 1}"
                    )


class _EpochInTraining:
    """The rest of an epoch: its steps, the log, the checkpoints on the way."""

    def __init__(
        self, job: Job, replicas: Replicas, batches: Feed, start: Checkpoint, log: Log | None
    ) -> None:
        self.job = job
        self.replicas = replicas
        self.batches = batches
        self.before = start
        self.log = log
        self.number = len(start.history) + 1
        self.steps = start.steps
        # Loss, hits, images, seconds.
        self.sums = np.array(start.sums)
        self.pending: list[tuple[float, Any]] = []
        self.waited = 0.0
        self.looked = time.perf_counter()
        self.saved = self.looked

    def finished(self, held_out: Feed, advance: Callable[[], object]) -> Checkpoint:
        """Train to the end of the epoch and measure the accuracy on ``held_out``."""
        recipe = self.job.recipe
        in_epoch = len(self.batches)
        for batch in self._timed(iter(self.batches)):
            done = (self.number - 1) * in_epoch + self.steps
            rate = recipe.rate(done / (recipe.epochs * in_epoch))
            self.pending.append((rate, self.replicas.step(batch, rate)))
            self.steps += 1
            # Before a checkpoint counts the step.
            advance()
            if len(self.pending) == _LOOK and self.steps < in_epoch:
                self._look()
        self._look(last=True)
        return self._judged(held_out)

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def _look(self, last: bool = False) -> None:
        """Add up the results of the steps since the last look; save where it is time to."""
        if not self.pending:
            return
        own = self.replicas.results([step for _, step in self.pending])
        idle = self.replicas.idle([step for _, step in self.pending])
        now = time.perf_counter()
        is_due = not last and now - self.saved >= 60 * self.job.minutes
        # The first process decides for all of them.
        vote = np.full((1, 3), float(is_due and self.replicas.rank == 0))
        *rows, (due, *_) = self.replicas.total(np.concatenate([own, vote]))
        self._require_finite(rows)
        seconds = now - self.looked
        for row in rows:
            self.sums[:3] += row
        self.sums[3] += seconds
        waiting = self.waited if idle is None else idle
        self._log(rows, sum(row[2] for row in rows) / seconds, waiting / seconds)
        self.pending.clear()
        if due:
            sums = tuple(self.sums.tolist())
            self._save(self.replicas.parameters(), steps=self.steps, sums=sums)
            self.saved = time.perf_counter()
        self.looked = time.perf_counter()
        self.waited = 0.0

    def _log(self, rows: Sequence[NDArray[np.float64]], speed: float, waiting: float) -> None:
        """A line for each step looked at; rate and waiting are those of all of them together."""
        if not self.log:
            return
        first = self.steps - len(self.pending) + 1
        for number, ((rate, _), row) in enumerate(zip(self.pending, rows, strict=True), first):
            loss, hits, images = row.tolist()
            results = {"rate": rate, "loss": loss / images, "top1": hits / images}
            of_all = {"images_per_s": speed, "waiting": waiting}
            self.log.step(self.number, number, results | of_all)

    def _require_finite(self, rows: Sequence[NDArray[np.float64]]) -> None:
        if not np.isfinite(rows).all():
            raise DivergedError(
                f"the training diverged in epoch {self.number}, at a learning rate of "
                f"{self.pending[-1][0]:.3g}: lower learning_rate"
            )

    def _judged(self, held_out: Feed) -> Checkpoint:
        began = time.perf_counter()
        counts = np.zeros(3)
        parameters = self.replicas.parameters()
        for probabilities, labels, _ in self.replicas.predict(parameters, held_out):
            rank = ranks(probabilities, labels)
            counts += (np.count_nonzero(rank < 1), np.count_nonzero(rank < 5), len(rank))
        top1, top5, judged = self.replicas.total(counts).tolist()
        loss, hits, images, seconds = self.sums.tolist()
        seconds += time.perf_counter() - began
        epoch = Epoch(loss / images, hits / images, top1 / judged, top5 / judged, seconds)
        if self.log:
            self.log.epoch(self.number, epoch)
        history = (*self.before.history, epoch)
        return self._save(parameters, history=history, steps=0, sums=NOTHING)

    def _save(self, parameters: Arrays, **changes: Any) -> Checkpoint:
        """A checkpoint of now, on the disk; each process takes part in making it."""
        current = dataclasses.replace(
            self.before,
            position=self.batches.state_dict(),
            parameters=parameters,
            state=self.replicas.state(),
            **changes,
        )
        if self.replicas.rank == 0:
            checkpoint.save(current, self.job.folder)
        return current
