"""What the verbs share: exit statuses, kinds of arguments, and one sentence for whatever goes
wrong.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import click

LEFT_OUT = 3
# as a shell has it
INTERRUPTED = 130
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


class _Rec(click.Path):
    """A .rec file that is there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() != ".rec":
            self.fail(f"{path} is no .rec file", param, ctx)
        return path


REC = _Rec(path_type=Path, dir_okay=False, exists=True)
INSIDE = click.FloatRange(0, 1, min_open=True, max_open=True)


class OneSentence(click.Group):
    """Shows what the library says of bad input or a bad disk as one sentence instead of a
    traceback.
    """

    def invoke(self, ctx: click.Context) -> object:
        warnings.showwarning = lambda message, *_: click.echo(f"Warning: {message}", err=True)
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Stopped. The same command goes on from here.", err=True)
            sys.exit(INTERRUPTED)
        except ModuleNotFoundError as error:
            remedy = (
                "this verb needs the course: make run in a checkout, or pip install '.[course]'"
            )
            raise click.ClickException(f"{error.name} is not installed: {remedy}") from error
