"""The verbs of the course: run its chapters, check the machine, paint a sample."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from imnetlib.cli.common import FOLDER

LAYOUT = click.Choice(["ILSVRC2012", "winter21", "fall11", "kaggle", "parquet", "folders"])
# Parameters of chapters that name files of yours: a chapter runs in another folder.
PATHS = ("source", "credentials", "outputs", "columns", "meanings")
DATASET_HINT = "it gets the painted sample (-p dataset ILSVRC2012 for the real set)"


@click.command(short_help="Run CHAPTERS and print the result of each.")
@click.argument("chapters", nargs=-1)
@click.option("--root", type=FOLDER, help="The run's folder (default: the checkout's data/sample).")
@click.option("-p", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option("--out", type=FOLDER, help="Folder of the executed notebooks and figures.")
@click.option("--store", is_flag=True, help="Store outputs and figures in the course itself.")
def run(
    chapters: tuple[str, ...],
    root: Path | None,
    given: tuple[tuple[str, str], ...],
    out: Path | None,
    store: bool,
) -> None:
    """Run CHAPTERS (numbers or names; default: all) and print the result of each.

    Executed notebooks and figures go to the folder --out, else to build/ of the checkout.
    """
    from imnetlib.course import runner

    parameters = {name: _from_here(name, value) for name, value in given}
    if root:
        parameters["root"] = str(root.absolute())
    if store and (parameters or out):
        raise click.UsageError(
            "--store runs the chapters as they are: it takes no --root, no -p and no --out"
        )
    folder = (out or runner.BUILD).absolute()
    typed: dict[Path, dict[str, Any]] = {}
    try:
        for path in runner.find_chapters(chapters):
            typed[path] = runner.typed_parameters(path, parameters)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if root and not root.exists() and not parameters.keys() & {"dataset", "source"}:
        click.echo(f"{root} is a new folder: {DATASET_HINT}")
    failures = 0
    for path, values in typed.items():
        click.echo(f"{path.stem:24}", nl=False)
        outcome = ""
        try:
            if store:
                done = runner.store_chapter(path, folder)
            else:
                done = runner.run_chapter(path, values, folder)
            outcome = f"{done.seconds:6.1f} s  {done.values.get('showed', '')}"
        except runner.ChapterFailedError as error:
            failures += 1
            outcome = f"FAILED  {error}"
        finally:
            # Ends the line of a chapter that is stopped, too.
            click.echo(outcome)
    click.echo(f"Executed notebooks and figures: {folder}")
    if failures:
        raise click.ClickException(f"{failures} of {len(typed)} chapters failed")


def _from_here(name: str, value: str) -> str:
    return str(Path(value).expanduser().absolute()) if name in PATHS and value else value


@click.command(short_help="Check whether this machine is ready for the course.")
@click.option("--root", type=FOLDER, help="The folder that runs will write to.")
def doctor(root: Path | None) -> None:
    """Check whether this machine is ready for the course, and say what to do where it is not."""
    from imnetlib.course.doctor import diagnose
    from imnetlib.course.root import CHECKOUT

    checks = diagnose(root or CHECKOUT / "data" / "sample")
    for check in checks:
        click.echo(f"[{'OK' if check.ok else 'FAIL'}]  {check.name}: {check.found}")
        if not check.ok:
            click.echo(f"        → {check.remedy}")
    sys.exit(not all(check.ok for check in checks))


@click.command(short_help="Paint a miniature ImageNet into FOLDER.")
@click.argument("folder", type=FOLDER)
@click.option("--train", default=70, help="Training images per class.")
@click.option("--validation", default=50, help="Validation images per class.")
@click.option("--classes", default=36, help="Number of classes, 1 to 36.")
@click.option("--seed", default=0, help="Another seed gives other pictures.")
@click.option("--like", type=LAYOUT, help="Arrange it as another set or another way to get it.")
@click.option("--tiny", is_flag=True, help="All images of ILSVRC2012, of 16 pixels a side: 2 GB.")
def sample(
    folder: Path, like: str | None, tiny: bool, train: int, validation: int, classes: int, seed: int
) -> None:
    """Paint a miniature ImageNet into FOLDER, in the layout of the official archives.

    --like winter21 or fall11: one archive of class tars, and ILSVRC2012's validation set. --like
    kaggle, parquet or folders: what one has in place of archives; chapter 1 takes it as its
    parameter source. --like ILSVRC2012 --tiny: all 1,331,167 files, in seconds. Archives go into
    the folder mirror of a new root, and the chapters take them from there.
    """
    from imnetlib.course.sample import draw, draw_tiny, lay_out

    if tiny != (like == "ILSVRC2012"):
        raise click.UsageError("--tiny goes with --like ILSVRC2012, and that with it")
    counts = {"train_per_class": train, "validation_per_class": validation}
    if like is None:
        drawn = draw(folder, **counts, classes=classes, seed=seed)
    elif tiny:
        drawn = draw_tiny(folder)
    else:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # On the same disk, for it may be large.
        with tempfile.TemporaryDirectory(prefix=".painted-", dir=folder.parent) as painted:
            draw(Path(painted), **counts, classes=classes, seed=seed)
            drawn = lay_out(Path(painted), like, folder)
    images = f"{drawn.train:,} + {drawn.validation:,} images"
    click.echo(f"{drawn.classes:,} classes, {images} in {folder}")
