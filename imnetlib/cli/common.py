"""What the verbs share: exit statuses, types of arguments, and errors as one sentence."""

from __future__ import annotations

import atexit
import io
import math
import os
import re
import select
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from imnetlib.cli.stopping import StopSignals

LEFT_OUT = 3
# 128 + SIGPIPE, as for every program whose reader has gone.
NO_READER = 141

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
POSITIVE = click.IntRange(min=1)


class FiniteRange(click.FloatRange):
    """Numbers within bounds; nan, which compares as neither too small nor too large, is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A finite number, or the usage error of click."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


REAL_POSITIVE = FiniteRange(min=0, min_open=True)


class _Rec(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() != ".rec":
            self.fail(f"{path} is no .rec file", param, ctx)
        return path


REC = _Rec(path_type=Path, dir_okay=False, exists=True)


class OneSentenceErrors(click.Group):
    """A group of verbs that reports bad input or a bad disk in one sentence, not a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb until it is done or a signal stops it; warnings too become one line each."""
        warnings.showwarning = lambda message, *_: click.echo(f"Warning: {message}", err=True)
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            # A name that the terminal cannot show, as stderr shows it.
            sys.stdout.reconfigure(errors="backslashreplace")
        with StopSignals() as stop, _one_sentence():
            return super().invoke(ctx)
        # Such as that of multiprocessing, which removes its semaphores.
        atexit._run_exitfuncs()
        return stop.end(stop.received)


@contextmanager
def _one_sentence() -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            sys.exit(NO_READER)
        raise click.ClickException(sentence(error)) from error
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed: this verb needs the course: make run in a "
            "checkout, or pip install '.[course]'"
        ) from error
    except ImportError as error:
        # Of an engine, which says what brings its framework.
        raise click.ClickException(str(error)) from error


def sentence(error: Exception) -> str:
    """What an error says, without the number that Python puts before the system's words."""
    return re.sub(r"^\[(?:Errno|WinError) -?\d+\] ", "", str(error))


def _reader_has_gone() -> bool:
    """Whether what is printed goes into a pipe that nobody reads; what is left is dropped.

    A BrokenPipeError may also be of a connection, and then it is one to report.
    """
    if sys.platform == "win32":
        return True
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, select.POLLOUT)
    gone = [descriptor for descriptor, event in poll.poll(0) if event & select.POLLERR]
    # What is left in a buffer is flushed when Python ends.
    with Path(os.devnull).open("wb") as nowhere:
        for descriptor in gone:
            os.dup2(nowhere.fileno(), descriptor)
    return bool(gone)
