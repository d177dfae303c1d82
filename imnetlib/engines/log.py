"""The log of a training, a line of JSON a step and an epoch (chapters 7 and 10)."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Self

from imnetlib.arguments import PathLike
from imnetlib.engines.checkpoint import Checkpoint, Epoch, file_name
from imnetlib.files import try_lock, write_bytes_atomically


class Log:
    """NAME.log: a line of JSON a step and an epoch, those of a resumed training once each.

    It is locked while it is open: OSError where another process trains this network there.
    """

    def __init__(self, folder: PathLike, start: Checkpoint) -> None:
        path = log_path(folder, start.recipe.network)
        if path.exists():
            with path.open("rb") as earlier:
                _lock(earlier, path)
        done = (len(start.history) + 1, start.steps)
        lines = [
            line for line in _log_lines(path) if (line["epoch"], line.get("step", math.inf)) <= done
        ]
        write_bytes_atomically(path, b"".join(map(_encoded, lines)))
        self._file = path.open("ab")
        _lock(self._file, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def step(self, epoch: int, number: int, results: dict[str, float]) -> None:
        """The line of a step."""
        self._write({"epoch": epoch, "step": number} | results)

    def epoch(self, number: int, result: Epoch) -> None:
        """The line at the end of an epoch."""
        self._write({"epoch": number} | dataclasses.asdict(result))

    def _write(self, line: Mapping[str, float]) -> None:
        self._file.write(_encoded(line))
        self._file.flush()


def _lock(file: BinaryIO, path: Path) -> None:
    if not try_lock(file.fileno(), path.parent):
        busy = f"another process is at work in {path}: wait for it, or train in another folder"
        raise OSError(errno.EBUSY, busy)


def _encoded(line: Mapping[str, float]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def log_path(folder: PathLike, network: str) -> Path:
    """The file of a network's log."""
    return Path(folder) / f"{file_name(network)}.log"


def read_log(folder: PathLike, network: str) -> list[dict[str, float]]:
    """The log of a training, under way or done, a dict a line (chapters 7 and 10).

    Of each step: epoch, step, rate, loss, top1, images_per_s, and waiting, the share of the time in
    which the devices had no data. Of each epoch: what ``Epoch`` holds. Empty where there is no log.
    """
    return list(_log_lines(log_path(folder, network)))


def _log_lines(path: Path) -> Iterator[dict[str, float]]:
    """The sound lines; the last one of a training that was killed may be cut."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            are_numbers = isinstance(found, dict) and all(
                isinstance(value, int | float) for value in found.values()
            )
            if are_numbers and "epoch" in found:
                yield found
