"""What the verbs share: exit statuses, types of arguments, and errors as one sentence."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import click

LEFT_OUT = 3
# As shells report Ctrl-C.
INTERRUPTED = 130

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True)
FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
POSITIVE = click.IntRange(min=1)


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
        """Run the verb; warnings too become one line each."""
        warnings.showwarning = lambda message, *_: click.echo(f"Warning: {message}", err=True)
        try:
            return super().invoke(ctx)
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Stopped. The same command goes on from here.", err=True)
            sys.exit(INTERRUPTED)
        except ModuleNotFoundError as error:
            raise click.ClickException(
                f"{error.name} is not installed: this verb needs the course: make run in a "
                "checkout, or pip install '.[course]'"
            ) from error
