"""Runs what a reader wrote for a limited time, in silence."""

from __future__ import annotations

import contextlib
import ctypes
import io
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

# For a stopped thread to end.
_PATIENCE = 0.5


class NoResultError(Exception):
    """The time is over, or something tried to end the program; the message says what."""


class _Stopped(BaseException):
    """Raised inside a thread whose time is over."""


class _Nowhere(io.TextIOBase):
    """Takes what is printed, and keeps nothing of it: a loop may print for ever."""

    def write(self, text: str) -> int:
        return len(text)


def run_for(action: Callable[[], Result], seconds: float) -> Result:
    """What ``action`` returns or raises, or NoResultError after ``seconds``; prints go nowhere.

    It runs in a thread of its own, which an exception then ends: signals would reach neither
    Windows nor a kernel that runs cells in another thread than its first. What does not come back
    to Python, as a long sleep, cannot be ended: it is left behind. A single call that keeps
    Python's lock, as ``sum(range(10**12))``, stops everything, as it does without a check.
    """
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        # It may come at any moment, also between the lines here.
        with contextlib.suppress(_Stopped):
            try:
                results.append(action())
            except BaseException as error:
                errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    with contextlib.redirect_stdout(_Nowhere()), contextlib.redirect_stderr(_Nowhere()):
        thread.start()
        try:
            thread.join(max(0.0, seconds))
        finally:
            was_ended = _end(thread)
    if results:
        answer: Result = results[0]
        return answer
    if errors and isinstance(errors[0], Exception):
        raise errors[0]
    if errors and not isinstance(errors[0], _Stopped):
        raise NoResultError(f"it raises {type(errors[0]).__name__}.")
    left = "" if was_ended else " It cannot be ended and still runs: restart the kernel."
    raise NoResultError(f"it takes too long: does a loop never end?{left}")


def _end(thread: threading.Thread) -> bool:
    """End a thread by an exception inside it; False where it goes on."""
    if thread.is_alive() and thread.ident is not None:
        stopped = ctypes.py_object(_Stopped)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), stopped)
        thread.join(_PATIENCE)
    return not thread.is_alive()
