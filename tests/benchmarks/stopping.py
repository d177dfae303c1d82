"""Ctrl-C, SIGTERM and SIGHUP end a benchmark alike: what it has started and left goes, status 130.

``timeout`` and Slurm send SIGTERM, a closed terminal SIGHUP.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

import psutil

# What a terminal sends to all processes that were started from it.
OF_TERMINALS = (signal.SIGINT, signal.SIGHUP)
SIGNALS = (*OF_TERMINALS, signal.SIGTERM)


def hear(said: str = "") -> None:
    """From now on a signal raises SystemExit here, so that ``with`` blocks end; ``said`` is a line.

    One that is ignored stays ignored, as nohup wants it; further ones break off no cleaning up.
    """
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]

    def stop(number: int, frame: object) -> NoReturn:
        for each in heard:
            # Not SIG_IGN: Python prints a traceback where another signal has come already.
            signal.signal(each, lambda *_: None)
        if said:
            # Not print, in the middle of which the signal may have come.
            with contextlib.suppress(OSError):
                os.write(2, f"{said}\n".encode())
        sys.exit(130)

    for number in heard:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OF_TERMINALS)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Processes that are started in here do not hear a terminal, and print no traceback of Ctrl-C.

    The one that started them ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_TERMINALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def signal_tree(pid: int | None, number: int) -> None:
    """Send a signal to a process, if it was started, and to all that it started itself."""
    # None would be this process to psutil.
    if pid is None:
        return
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
