"""Ctrl-C, SIGTERM and SIGHUP end a verb alike: soon, with one sentence, with status 128 + signal.

Slurm and Docker send SIGTERM, a closed terminal SIGHUP. The first signal interrupts the verb, so
that it cleans up. What holds it for longer, such as a file system that does not answer, is not
waited for: a job can be killed at any moment and goes on from there.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import NoReturn

STOPPED = "Stopped. The same command goes on from here."
# Seconds that a verb has to clean up.
GRACE = 1.0
# timeout(1) and a terminal that is closed send a signal twice, within a moment.
TWICE = 0.2
SIGNALS = [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


class StopSignals:
    """A context manager in which the first signal raises KeyboardInterrupt in the main thread.

    It swallows that, and ``received`` is then the signal's number: call ``end``. If the caller has
    not done so ``GRACE`` seconds later, or at a second signal, a thread does. A signal that was
    ignored stays ignored, as nohup wants it for SIGHUP.
    """

    def __init__(self) -> None:
        self.received = 0
        self._is_over = False
        self._ending = threading.Lock()
        self._restore = ExitStack()

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is not threading.main_thread():
            return self
        # Rung by the system's own handler: Python's waits until the main thread runs bytecode.
        bell, clapper = socket.socketpair()
        clapper.setblocking(False)
        threading.Thread(target=self._watch, args=(bell,), daemon=True).start()
        self._restore.callback(clapper.close)
        before = signal.set_wakeup_fd(clapper.fileno(), warn_on_full_buffer=False)
        self._restore.callback(signal.set_wakeup_fd, before)
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._interrupt)
                self._restore.callback(signal.signal, number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> bool:
        self._is_over = True
        # Whatever error it is: a library may have made another one of the interruption.
        if self.received:
            return True
        self._restore.close()
        return False

    def _interrupt(self, number: int, frame: object) -> None:
        if self._is_over:
            self.end(number)
        if not self.received:
            self.received = number
            # What threads, half-made objects and event loops make of it is of no interest.
            logging.disable()
            threading.excepthook = lambda _: None
            sys.unraisablehook = lambda _: None
            raise KeyboardInterrupt

    def _watch(self, bell: socket.socket) -> None:
        """End the process ``GRACE`` seconds after the first signal, or at the second."""
        with bell:
            first = _next_signal(bell, None)
            if not first:
                return
            time.sleep(TWICE)
            bell.setblocking(False)
            with suppress(BlockingIOError):
                bell.recv(4096)
            _next_signal(bell, GRACE - TWICE)
            self.end(first)

    def end(self, number: int) -> NoReturn:
        """Say that the verb is stopped, and end the process without waiting for its threads."""
        # Never released: it is said once. Who comes second waits a moment for that and not for
        # ever: a signal may have come in the middle of this.
        if self._ending.acquire(timeout=TWICE):
            with suppress(OSError):
                os.write(2, f"{STOPPED}\n".encode())
        os._exit(128 + number)


def _next_signal(bell: socket.socket, seconds: float | None) -> int:
    """The number of the next signal; 0 after ``seconds``, or when there will be none."""
    bell.settimeout(seconds)
    with suppress(TimeoutError):
        while data := bell.recv(1):
            if data[0] in SIGNALS:
                return data[0]
    return 0
