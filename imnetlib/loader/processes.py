"""Loaders in processes of their own, their batches in memory that all share (chapter 10)."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any, Self

import numpy as np

from imnetlib.arguments import require, require_type, whole_number
from imnetlib.image import Transform
from imnetlib.loader.batch import Batch
from imnetlib.loader.loader import Loader
from imnetlib.order import batch_starts

Shape = tuple[int, ...]
# Batches of each process in shared memory: one in use, one being filled, one that waits.
_PLACES = 3


class ProcessLoader:
    """The batches of ``Loader(**settings)``, decoded by ``processes`` of several threads each.

    Threads of one process run Python one at a time: beyond about four of them the next ones decode
    nothing more, and a training in the same process waits for them too. The batches are the same,
    in the same order, and it is iterated, saved and closed as a Loader is; one loop at a time. The
    images of a batch lie in shared memory that is used again once the next batch is asked for: copy
    what is to stay. What a Loader raises is raised here; RuntimeError where a process died. A
    program that makes one at its top level has to stand under ``if __name__ == "__main__"``.

    Memory: that of each Loader, and 3 batches of each process in ``memory``.

    Args:
        processes: How many; each takes every n-th batch.
        settings: The arguments of ``Loader``, by name; ``threads`` are those of all processes.
    """

    def __init__(self, *, processes: int = 1, **settings: Any) -> None:
        processes = whole_number("processes", processes)
        require(processes >= 1, "processes are 1 or more", processes)
        require_type(settings.get("transform"), Transform, "transform is a Transform(…)")
        self.transform: Transform = settings["transform"]
        self.batch_size = whole_number("batch_size", settings.get("batch_size", 0))
        require(self.batch_size >= 1, "batch_size is 1 or more", self.batch_size)
        self._index = whole_number("shard_index", settings.pop("shard_index", 0))
        self._count = whole_number("shard_count", settings.pop("shard_count", 1))
        threads = whole_number("threads", settings.pop("threads", 2))
        context = multiprocessing.get_context("spawn")
        shape = (processes * _PLACES, self.batch_size, *self.transform.shape)
        # Where /dev/shm is too small, as in containers, it takes a file instead.
        size = int(np.prod(shape)) * self.transform.dtype.itemsize
        shared = context.RawArray(ctypes.c_byte, size)
        self.memory = _as_array(shared, shape, self.transform.dtype)
        self._loop = 0
        self._workers = []
        with ExitStack() as on_error:
            on_error.callback(self.close)
            for number in range(processes):
                own = settings | {
                    "threads": -(-threads // processes),
                    "shard_index": self._index + self._count * number,
                    "shard_count": self._count * processes,
                }
                self._workers.append(_Worker(context, number, shared, shape, own))
            states = [worker.receive() for worker in self._workers]
            self._state: dict[str, Any] = states[0]
            on_error.pop_all()

    def _starts(self, position: int) -> range:
        records = self._state["records"]
        return batch_starts(records, self.batch_size, position, self._index, self._count)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self._starts(0))

    def state_dict(self) -> dict[str, Any]:
        """As ``Loader.state_dict``, behind the batch that came last."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As ``Loader.load_state_dict``; what is wrong with the state is raised here."""
        self._loop += 1
        for worker in self._workers:
            worker.send("go to", self._loop, dict(state))
        answers = [worker.answer(self._loop) for worker in self._workers]
        (self._state,) = answers[0]

    def __iter__(self) -> Generator[Batch]:
        require(bool(self._workers), "the loader is open: make a new one", "closed")
        self._loop += 1
        for worker in self._workers:
            worker.send("begin", self._loop, self._state)
        return self._batches(self._loop)

    def _batches(self, loop: int) -> Generator[Batch]:
        starts = self._starts(self._state["position"])
        if not starts and loop == self._loop:
            self._go_to(self._state["epoch"] + 1, 0)
        for number in range(len(starts)):
            if loop != self._loop:
                return
            worker = self._workers[number % len(self._workers)]
            place, labels, ids, padding = worker.answer(loop)
            if number == len(starts) - 1:
                # Before the last batch is out, as in a Loader.
                self._go_to(self._state["epoch"] + 1, 0)
            else:
                read = self.batch_size * self._count
                self._go_to(self._state["epoch"], self._state["position"] + read)
            yield Batch(self.memory[place], labels, ids, padding)
            if loop == self._loop:
                worker.send("used", loop, place)

    def _go_to(self, epoch: int, position: int) -> None:
        self._state |= {"epoch": epoch, "position": position}

    def close(self) -> None:
        """End the processes; a second time does nothing."""
        self._loop += 1
        while self._workers:
            self._workers.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _as_array(shared: Any, shape: Shape, dtype: np.dtype[Any]) -> Any:
    return np.frombuffer(shared, np.uint8).view(dtype).reshape(shape)


class _Worker:
    """One of the processes, and the connection to it."""

    def __init__(
        self,
        context: SpawnContext,
        number: int,
        shared: Any,
        shape: Shape,
        settings: dict[str, Any],
    ) -> None:
        places = range(number * _PLACES, (number + 1) * _PLACES)
        self._connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, shared, shape, places, settings), daemon=True
        )
        self.process.start()
        # Thus the end of the process ends the connection.
        theirs.close()

    def send(self, kind: str, loop: int, value: object) -> None:
        try:
            self._connection.send((kind, loop, value))
        except ConnectionError as error:
            raise self._death() from error

    def receive(self) -> Any:
        try:
            found = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._death() from error
        if isinstance(found, BaseException):
            raise found
        return found

    def answer(self, loop: int) -> Any:
        """The next message of a loop; those of older loops are left out."""
        while (found := self.receive())[0] != loop:
            pass
        if isinstance(found[1], BaseException):
            raise found[1]
        return found[1:]

    def _death(self) -> RuntimeError:
        self.process.join(1)
        return RuntimeError(
            f"a process that loads images died (status {self.process.exitcode}): was the memory "
            'used up, or does the program lack `if __name__ == "__main__":`?'
        )

    def close(self) -> None:
        self._connection.close()
        self.process.terminate()
        self.process.join()


def _serve(
    connection: Connection, shared: Any, shape: Shape, places: range, settings: dict[str, Any]
) -> None:
    """A process: batches on demand until the connection ends."""
    # Ctrl-C in a terminal reaches all of them; the first process decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    memory = _as_array(shared, shape, settings["transform"].dtype)
    try:
        with Loader(**settings) as loader:
            connection.send(loader.state_dict())
            message = connection.recv()
            while True:
                try:
                    message = _answer(connection, loader, memory, places, message)
                except (ValueError, TypeError, OSError) as error:
                    if isinstance(error, ConnectionError):
                        raise
                    # Raised again in the first process, which may go on.
                    connection.send((message[1], error))
                    message = connection.recv()
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        # Raised again in the first process.
        connection.send(error)


def _answer(
    connection: Connection, loader: Loader, memory: Any, places: range, message: Any
) -> Any:
    """Do what a message asks for; the next message, which may come before the end."""
    kind, loop, value = message
    if kind == "used":
        return connection.recv()
    loader.load_state_dict(value)
    if kind == "go to":
        connection.send((loop, loader.state_dict()))
        return connection.recv()
    free = list(places)
    for batch in loader:
        while not free or connection.poll():
            message = connection.recv()
            if message[:2] != ("used", loop):
                return message
            free.append(message[2])
        place = free.pop(0)
        np.copyto(memory[place], batch.images)
        connection.send((loop, place, batch.labels, batch.ids, batch.padding))
    return connection.recv()
