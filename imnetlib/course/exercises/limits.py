"""Runs what a reader wrote for a limited time, in silence."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")

# For a stopped thread to end.
_PATIENCE = 0.5


class NoResultError(Exception):
    """The time is over, or something tried to end the program; the message says what."""


class _StoppedError(BaseException):
    """Raised in what the reader wrote once the time is over."""


class Nowhere(io.TextIOBase):
    """Takes what is printed, and keeps nothing of it: a loop may print for ever.

    ``is_used``: whether there was anything.
    """

    def __init__(self) -> None:
        self.is_used = False

    def write(self, text: str) -> int:
        """Called by ``print``."""
        self.is_used = True
        return len(text)


def run_for(
    action: Callable[[], Result],
    seconds: float,
    writer: object = None,
    prints: Nowhere | None = None,
) -> Result:
    """What ``action`` returns or raises, or NoResultError after ``seconds``; ``prints`` go nowhere.

    It runs in a thread of its own. Once the time is over, an exception ends it at the next step in
    the namespace in which the function ``writer`` was written. Nowhere else, as what is stopped
    inside another library may keep a lock that the whole kernel then waits for; and signals would
    reach neither Windows nor a kernel that runs cells in another thread than its first. What does
    not come back to such a step, as a long sleep, cannot be ended: it is left behind. A single call
    that keeps Python's lock, as ``sum(range(10**12))``, stops everything, as it does without a
    check.
    """
    results: list[Any] = []
    errors: list[BaseException] = []
    is_over = threading.Event()
    namespace = getattr(writer, "__globals__", None)

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_globals is not namespace:
            return None
        if is_over.is_set():
            raise _StoppedError
        frame.f_trace_opcodes = True  # `while True: pass` on one line never comes to another.
        return trace

    def work() -> None:
        sys.settrace(trace)
        try:
            results.append(action())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    nowhere = prints or Nowhere()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(Nowhere()):
        thread.start()
        try:
            thread.join(max(0.0, seconds))
        finally:
            is_over.set()
            thread.join(_PATIENCE)
    if results:
        answer: Result = results[0]
        return answer
    if errors and isinstance(errors[0], Exception):
        raise errors[0]
    if errors and not isinstance(errors[0], _StoppedError):
        raise NoResultError(f"it raises {type(errors[0]).__name__}.")
    left = " It cannot be ended and still runs: restart the kernel." if thread.is_alive() else ""
    raise NoResultError(f"it takes too long: does a loop never end?{left}")
