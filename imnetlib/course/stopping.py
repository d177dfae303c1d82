"""A kill, or a stop as by a reader's hand, when a chapter says so (chapters 4 and 7)."""

from __future__ import annotations

import _thread
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SECONDS_BETWEEN_LOOKS = 0.02


@contextmanager
def stopped_when(happened: Callable[[], bool]) -> Iterator[None]:
    """Interrupt the block, as JupyterLab's stop button does, as soon as ``happened()``.

    In the main thread only. The interruption ends here and is told in a line; a block that comes to
    its end before is told, too.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            if happened():
                _thread.interrupt_main()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
        over.set()
        watcher.join()
        print("came to its end before the stop")
    except KeyboardInterrupt:
        print("stopped")
    finally:
        over.set()


def killed_when(
    happened: Callable[[], bool], action: Callable[..., object], *given: Any, **named: Any
) -> None:
    """Call ``action`` in a process of its own, and kill that as soon as ``happened()``.

    It gets no chance to tidy up. What it prints goes nowhere; a line tells the kill, or that it
    came to its end before.
    """
    # One that is forked would share locks with the threads of a notebook.
    spawned = multiprocessing.get_context("spawn")
    process = spawned.Process(target=_in_silence, args=(action, given, named), daemon=True)
    process.start()
    try:
        while process.is_alive() and not happened():
            process.join(_SECONDS_BETWEEN_LOOKS)
        print("killed" if process.is_alive() else "came to its end before the kill")
    finally:
        process.kill()
        process.join()


def _in_silence(
    action: Callable[..., object], given: tuple[Any, ...], named: dict[str, Any]
) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(nowhere, output)
    action(*given, **named)
