"""A network on the disk, in training or trained, by any engine (chapters 7 and 10)."""

from __future__ import annotations

import dataclasses
import json
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from imnetlib.arguments import PathLike, require_type
from imnetlib.engines.params import Arrays, read_params, write_params
from imnetlib.engines.recipe import Recipe
from imnetlib.files import file_crc32, listed_names, write_atomically, write_bytes_atomically
from imnetlib.image import Transform

# How many of the newest checkpoints stay, the best beside them.
_KEPT = 2
# What a .json that is none of ours leads to.
_DAMAGE = (AttributeError, KeyError, TypeError, ValueError)
# The sums of no steps.
NOTHING = (0.0, 0.0, 0.0, 0.0)


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
    """A network after ``len(history)`` epochs and ``steps`` steps of the next.

    ``wnids``: the class of each output. ``shards_fingerprint``: of those it learned from.
    ``position``: the state of the training set's loader. ``parameters``: weights as "arg:NAME",
    BatchNorm's running statistics as "aux:NAME". ``state``: what only goes on needs, the momentum
    as "momentum:NAME" among it. ``sums``: loss, hits, images and seconds of those ``steps``.
    """

    recipe: Recipe
    wnids: tuple[str, ...]
    shards_fingerprint: int
    history: tuple[Epoch, ...]
    position: dict[str, Any]
    parameters: Arrays
    state: Arrays
    steps: int = 0
    sums: tuple[float, ...] = NOTHING

    @property
    def finished(self) -> bool:
        """Whether all epochs of the recipe are done."""
        return len(self.history) >= self.recipe.epochs

    @property
    def transform(self) -> Transform:
        """The crop for predictions, from the centre."""
        return self.recipe.transform(training=False)

    @property
    def images_per_device(self) -> int:
        """Images that are predicted at once, as many as a device learned from."""
        return self.recipe.images_per_device


def file_name(network: str) -> str:
    """What the files of a network are called: "timm:resnet50" becomes "timm-resnet50"."""
    require_type(network, str, "network is a name")
    return re.sub(r"[^\w.-]+", "-", network)


class _Kept(NamedTuple):
    """A checkpoint among the files of a folder: epochs done, steps of the next, its .json."""

    epochs: int
    steps: int
    path: Path


def _kept(folder: Path, network: str) -> list[_Kept]:
    """The checkpoints of a network in ``folder``, newest first."""
    pattern = re.compile(re.escape(file_name(network)) + r"-(\d{4,})(?:-(\d{6,}))?\.json")
    found = []
    for path in folder.glob("*.json"):
        if match := pattern.fullmatch(path.name):
            found.append(_Kept(int(match[1]), int(match[2] or 0), path))
    return sorted(found, reverse=True)


def networks(folder: PathLike) -> set[str]:
    """The names of the networks whose checkpoints are in ``folder``, as their files have them."""
    matches = (
        re.fullmatch(r"(.+?)-\d{4,}(?:-\d{6,})?", p.stem) for p in Path(folder).glob("*.json")
    )
    return {match[1] for match in matches if match}


def save(checkpoint: Checkpoint, folder: PathLike) -> None:
    """Write NAME-0018.params, .state and .json, or NAME-0018-000120.… after 120 steps more.

    The .json comes last and has the checksums of the others: a kill leaves this checkpoint whole,
    or only those before it. ``mx.model.load_checkpoint`` reads the first kind. The newest two and
    the best by validation top-1 stay, the others are removed.
    """
    require_type(checkpoint, Checkpoint, "checkpoint is an engines.Checkpoint")
    folder = Path(folder)
    stem = f"{file_name(checkpoint.recipe.network)}-{len(checkpoint.history):04}"
    if checkpoint.steps:
        stem += f"-{checkpoint.steps:06}"
    files = {}
    for suffix, arrays in ((".params", checkpoint.parameters), (".state", checkpoint.state)):
        path = folder / f"{stem}{suffix}"
        with write_atomically(path) as out:
            write_params(out, arrays)
        files[path.name] = file_crc32(path)
    contents = {
        "recipe": dataclasses.asdict(checkpoint.recipe),
        "wnids": checkpoint.wnids,
        "shards": checkpoint.shards_fingerprint,
        "history": [dataclasses.asdict(epoch) for epoch in checkpoint.history],
        "steps": checkpoint.steps,
        "sums": checkpoint.sums,
        "position": checkpoint.position,
        "files": files,
    }
    write_bytes_atomically(folder / f"{stem}.json", json.dumps(contents, indent=1).encode())
    _remove_old(folder, checkpoint)


def _remove_old(folder: Path, newest: Checkpoint) -> None:
    now = (len(newest.history), newest.steps)
    # One that stands for more than the newest is damaged: the training went back behind it.
    kept = [
        found
        for found in _kept(folder, newest.recipe.network)
        if (found.epochs, found.steps) <= now
    ]
    top1 = [epoch.validation_top1 for epoch in newest.history]
    best = 1 + top1.index(max(top1)) if top1 else 0
    for number, (epochs, steps, path) in enumerate(kept):
        if number >= _KEPT and (epochs, steps) != (best, 0):
            # First: the others are nothing without it.
            path.unlink()
            for suffix in (".params", ".state"):
                path.with_suffix(suffix).unlink(missing_ok=True)


def load(folder: PathLike, network: str, *, best: bool = False) -> Checkpoint:
    """The newest checkpoint of a network in ``folder``, or the ``best`` by validation (chapter 7).

    One that is damaged or lacks a file gives way to the one before it, with a warning.
    FileNotFoundError when there is none; ValueError when none is sound.
    """
    folder = Path(folder)
    kept = _kept(folder, network)
    if not kept:
        there = listed_names(networks(folder)) or "none"
        raise FileNotFoundError(
            f"{folder} has no checkpoint of {network} (networks there: {there}): chapter 7 trains "
            "networks"
        )
    failures: list[str] = []
    for found in _best_first(kept) if best else kept:
        try:
            checkpoint = _read(found.path)
        except ValueError as error:
            failures.append(str(error))
            continue
        for failure in failures:
            warnings.warn(f"{failure}: going back to {found.path.name}", stacklevel=2)
        return checkpoint
    raise ValueError(f"{'; '.join(failures)}: remove it and train again")


def describe(folder: PathLike, network: str) -> dict[str, Any]:
    """The .json of the newest checkpoint of a network; empty where there is none.

    ValueError where it cannot be read.
    """
    kept = _kept(Path(folder), network)
    if not kept:
        return {}
    try:
        description: dict[str, Any] = json.loads(kept[0].path.read_bytes())
        require_type(description, dict, "it is a dict")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{kept[0].path} is no sound checkpoint ({error}): remove it and train again"
        ) from error
    return description


def _best_first(kept: Iterable[_Kept]) -> list[_Kept]:
    """Those at the end of an epoch, the highest validation top-1 first."""
    whole = [found for found in kept if not found.steps] or list(kept)
    return sorted(whole, key=lambda found: _top1(found.path), reverse=True)


def _top1(path: Path) -> float:
    try:
        return float(json.loads(path.read_bytes())["history"][-1]["validation_top1"])
    except (IndexError, KeyError, TypeError, ValueError):
        return -1.0


def _read(path: Path) -> Checkpoint:
    """ValueError where a file of this checkpoint is damaged or missing."""
    try:
        contents = json.loads(path.read_bytes())
        files = contents["files"]
        for name, crc32 in files.items():
            if file_crc32(path.parent / name) != crc32:
                raise ValueError(f"{name} is not as it was written")
        parameters, state = (read_params(path.parent / name) for name in files)
        return Checkpoint(
            Recipe(**contents["recipe"]),
            tuple(contents["wnids"]),
            int(contents["shards"]),
            tuple(Epoch(**epoch) for epoch in contents["history"]),
            dict(contents["position"]),
            parameters,
            state,
            int(contents["steps"]),
            tuple(map(float, contents["sums"])),
        )
    except (*_DAMAGE, FileNotFoundError, IsADirectoryError) as error:
        raise ValueError(f"{path} is no sound checkpoint ({error})") from error
