"""A Loader in a process of its own, its batches in memory that both share (chapter 10)."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Generator, Mapping
from multiprocessing.connection import Connection
from typing import Any, Self

import numpy as np

from imnetlib.arguments import require, whole_number
from imnetlib.loader.batch import Batch
from imnetlib.loader.loader import Loader

# What a batch is waiting for in a place of the shared memory: the copy to a device, at most.
_PLACES = 4


class LoaderProcess:
    """The batches of ``Loader(**settings)``, decoded by threads of another process.

    Threads that decode and a training loop in one process wait for each other: only one of them can
    run Python at a time. It is iterated, saved and closed as a Loader is; one loop at a time. The
    images of a batch lie in shared memory that is used again ``places - 1`` batches later, so copy
    what is to stay. What the Loader raises is raised here; RuntimeError where its process died. A
    program that makes one at its top level has to stand under ``if __name__ == "__main__"``.

    Args:
        places: Batches in shared memory, (places, batch_size, …) of the loader's type.
        settings: The arguments of ``Loader``, by name.
    """

    def __init__(self, *, places: int = _PLACES, **settings: Any) -> None:
        places = whole_number("places", places)
        require(places >= 2, "places are 2 or more", places)
        transform = settings["transform"]
        self.transform = transform
        self.batch_size = settings["batch_size"]
        shape = (places, self.batch_size, *transform.shape)
        context = multiprocessing.get_context("spawn")
        # Where /dev/shm is too small, as in containers, it takes a file instead.
        shared = context.RawArray(ctypes.c_byte, int(np.prod(shape)) * transform.dtype.itemsize)
        self.memory = _as_array(shared, shape, transform.dtype)
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, shared, shape, settings), daemon=True
        )
        self._process.start()
        # Thus the end of the process ends the connection.
        theirs.close()
        self._loop = 0
        self._length, self._state = self._receive()

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return int(self._length)

    def state_dict(self) -> dict[str, Any]:
        """As ``Loader.state_dict``, behind the batch that came last."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As ``Loader.load_state_dict``; what is wrong with the state is raised here."""
        self._loop += 1
        self._connection.send(("go to", self._loop, dict(state)))
        while (answer := self._receive())[0] != self._loop:
            pass
        self._state = answer[1]

    def __iter__(self) -> Generator[Batch]:
        self._loop += 1
        loop = self._loop
        self._connection.send(("begin", loop, self._state))
        return self._batches(loop)

    def _batches(self, loop: int) -> Generator[Batch]:
        while loop == self._loop:
            number, state, *rest = self._receive()
            if number != loop:
                continue
            self._state = state
            if not rest:
                return
            place, labels, ids, padding = rest
            yield Batch(self.memory[place], labels, ids, padding)
            if loop == self._loop:
                self._connection.send(("used", loop, place))

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(1)
            raise RuntimeError(
                f"the process that loads images died (status {self._process.exitcode}): was the "
                "memory used up?"
            ) from error
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> None:
        """End the process; a second time does nothing."""
        self._loop += 1
        self._connection.close()
        self._process.terminate()
        self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _as_array(shared: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    return np.frombuffer(shared, np.uint8).view(dtype).reshape(shape)


def _serve(
    connection: Connection, shared: Any, shape: tuple[int, ...], settings: dict[str, Any]
) -> None:
    """The other process: batches on demand until the connection ends."""
    # Ctrl-C in a terminal reaches both; the first process decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    memory = _as_array(shared, shape, settings["transform"].dtype)
    try:
        with Loader(**settings) as loader:
            connection.send((len(loader), loader.state_dict()))
            message = connection.recv()
            while True:
                message = _answer(connection, loader, memory, message)
    except (EOFError, ConnectionError):
        return
    except Exception as error:
        # Raised again in the other process.
        connection.send(error)


def _answer(connection: Connection, loader: Loader, memory: Any, message: Any) -> Any:
    """Do what a message asks for; the next message, which may come before the end."""
    kind, loop, state = message
    if kind == "used":
        return connection.recv()
    loader.load_state_dict(state)
    if kind == "go to":
        connection.send((loop, loader.state_dict()))
        return connection.recv()
    free = list(range(len(memory)))
    for batch in loader:
        while not free or connection.poll():
            message = connection.recv()
            if message[:2] != ("used", loop):
                return message
            free.append(message[2])
        place = free.pop(0)
        np.copyto(memory[place], batch.images)
        rest = (place, batch.labels, batch.ids, batch.padding)
        connection.send((loop, loader.state_dict(), *rest))
    connection.send((loop, loader.state_dict()))
    return connection.recv()
