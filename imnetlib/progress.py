"""Progress of a long job: a bar in a terminal, a widget in a notebook, else a line per tenth."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

from tqdm import tqdm

# Seconds between two lines: a job of a moment writes one, not ten.
QUIET = 0.5


class _Stream:
    """A stream whose reader may go: a bar that nobody sees is no reason for a job to end.

    In the middle of a transfer its error would look like one of the connection.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write, while there is a reader."""
        with suppress(BrokenPipeError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush, while there is a reader."""
        with suppress(BrokenPipeError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# The class is generic in its stub only.
class _LinePerTenth(tqdm):  # type: ignore[type-arg]
    """A tqdm that writes a line per tenth, readable in a log or a saved notebook."""

    def __init__(self, *, total: int, **settings: Any) -> None:
        settings |= {"mininterval": 0, "maxinterval": float("inf"), "ascii": True}
        self._shown = 0.0
        self._written = time.monotonic()
        super().__init__(total=total, miniters=max(1, total // 10), **settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Write a line, except for an empty bar or too soon after another line."""
        if self.n == self.total or time.monotonic() - self._written > QUIET:
            self._write()

    def close(self) -> None:
        """Write how far it came, once, without the blank line that tqdm adds."""
        if not self.disable:
            self._write()
        self.disable = True

    def _write(self) -> None:
        if self.n != self._shown:
            self.fp.write(f"{self}\n")
            self.fp.flush()
            self._shown = self.n
            self._written = time.monotonic()


def _in_a_kernel() -> bool:
    kernelapp = sys.modules.get("ipykernel.kernelapp")
    return kernelapp is not None and bool(kernelapp.IPKernelApp.initialized())


def watched() -> bool:
    """Whether this is the kernel of a Jupyter server that shows widgets.

    It sets this name in the kernels that it starts; a notebook that nobody looks at has none.
    """
    is_asked = _in_a_kernel() and "JPY_SESSION_NAME" in os.environ
    return is_asked and importlib.util.find_spec("ipywidgets") is not None


def progress(total: int, what: str, unit: str) -> tqdm[Any]:
    """A bar over ``total`` steps of ``unit`` ("B" counts in kB, MB, …); a context manager."""
    settings: dict[str, Any] = {"total": total, "desc": what, "unit": f" {unit}"}
    if unit == "B":
        settings |= {"unit": unit, "unit_scale": True, "unit_divisor": 1000}
    if watched():
        from tqdm.notebook import tqdm as widget

        return widget(**settings)
    stream = sys.stdout if _in_a_kernel() else sys.stderr
    # A program may be started without one.
    if stream is None:
        return tqdm(**settings, disable=True)
    bar: type[tqdm[Any]] = tqdm if sys.stderr.isatty() else _LinePerTenth
    return bar(**settings, file=_Stream(stream))


def skip(bar: tqdm[Any], steps: int) -> None:
    """Move ``bar`` over steps that were done before: its rate is that of the work of this run."""
    if bar.disable:
        return
    now = time.time()
    if bar.n == bar.initial:
        # The clock starts with the work.
        bar.start_t = now
    bar.n += steps
    bar.initial += steps
    bar.last_print_n += steps
    if now - bar.last_print_t >= bar.mininterval:
        bar.refresh()
        bar.last_print_t = now
