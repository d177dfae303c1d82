"""Jobs that take turns, each in a process of its own, and the processor time that they take."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from stopping import deaf, signal_tree

# Seconds until a job counts as stuck.
PATIENCE = 300
# Seconds that a process has to end.
FAREWELL = 10
Job = Callable[[], int]
# What the job returned, its seconds, its processor seconds.
Timing = tuple[int, float, float]


def cpu_seconds() -> float:
    """Processor time of this process and of all that it started, whether they have ended or not."""
    spent = sum(os.times()[:4])
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(child.cpu_times()[:4])
    return spent


def _serve(
    make: Callable[..., Job], arguments: tuple[object, ...], log: Path, pipe: Connection
) -> None:
    """Make the job, run and time it as often as asked; send an exception to the parent as text."""
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # This process was spawned, but libraries expect the platform's default.
    default = multiprocessing.get_all_start_methods()[0]
    multiprocessing.set_start_method(default, force=True)
    try:
        job = make(*arguments)
        pipe.send("")
        while pipe.recv():
            worked = cpu_seconds()
            began = time.perf_counter()
            answer = job()
            pipe.send((answer, time.perf_counter() - began, cpu_seconds() - worked))
    except Exception as error:
        with contextlib.suppress(OSError):
            pipe.send(f"{type(error).__name__}: {error}")


class Apart:
    """A job in a process of its own: its libraries, threads and crashes do not reach another.

    ``make(*arguments)`` builds the job there, beside what others build: ``wait`` for it. From then
    on ``failure`` says why it cannot run, "" while it can. What the process prints goes to the file
    ``log``. Between two runs it is stopped, so that it takes no processor time from others.
    """

    def __init__(self, log: Path, make: Callable[..., Job], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, arguments, log, far_end))
        self._is_made = False
        self.failure = ""
        try:
            with deaf():
                self._process.start()
            far_end.close()
        except SystemExit:
            # Nobody has this object, to close it.
            signal_tree(self._process.pid, signal.SIGKILL)
            raise

    def wait(self) -> None:
        """Until the job is made, or has failed to be."""
        self.failure = str(self._answer() or "")
        self._is_made = True

    def run(self) -> Timing | None:
        """One run, or None when ``failure`` says why not."""
        if self.failure:
            return None
        signal_tree(self._process.pid, signal.SIGCONT)
        self._pipe.send(True)
        answer = self._answer()
        if isinstance(answer, str):
            self.failure = answer
            return None
        return answer

    def _answer(self) -> Timing | str:
        try:
            answer = (
                self._pipe.recv() if self._pipe.poll(PATIENCE) else f"no answer in {PATIENCE} s"
            )
        except EOFError:
            self._process.join()
            answer = f"its process ended with exit status {self._process.exitcode}"
        signal_tree(self._process.pid, signal.SIGSTOP)
        return answer

    def close(self) -> None:
        """End the process and all that it started, by force where it does not end by itself."""
        if self._is_made:
            signal_tree(self._process.pid, signal.SIGCONT)
            with contextlib.suppress(OSError):
                self._pipe.send(False)
            self._process.join(FAREWELL)
        signal_tree(self._process.pid, signal.SIGKILL)
        self._process.join()
        self._pipe.close()
