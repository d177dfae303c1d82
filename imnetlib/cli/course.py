"""The verbs of the course: run its chapters, copy them, check the machine, paint a sample."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from imnetlib.cli.common import FOLDER

LAYOUT = click.Choice(["ILSVRC2012", "winter21", "fall11", "kaggle", "parquet", "folders"])
# Parameters of chapters that name files of yours: a chapter runs in another folder.
PATHS = ("source", "credentials", "outputs", "columns", "meanings")
DATASET_HINT = (
    "is a new folder: it gets the painted sample. For other images start it by imnet run 1 with "
    "-p dataset ILSVRC2012 or -p source FOLDER"
)


@click.command(short_help="Run CHAPTERS and print the result of each.")
@click.argument("chapters", nargs=-1)
@click.option("--root", type=FOLDER, help="The run's folder (default: the checkout's data/sample).")
@click.option("-p", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option("--out", type=FOLDER, help="Folder of the executed notebooks and figures.")
@click.option("--store", is_flag=True, help="Store outputs and figures in the course itself.")
@click.option("--measure", is_flag=True, help="With --store: store measured times anew.")
def run(
    chapters: tuple[str, ...],
    root: Path | None,
    given: tuple[tuple[str, str], ...],
    out: Path | None,
    store: bool,
    measure: bool,
) -> None:
    """Run CHAPTERS (numbers or names; default: all) and print the result of each.

    A parameter -p is for those of the CHAPTERS that have it. The first chapter that fails is the
    last. Without CHAPTERS those are left out that need what is not installed. Executed notebooks
    and figures go to the folder --out, else to build/ of the checkout. With --store a chapter's
    cells tagged "measured" keep their stored outputs as long as what all of these come from is the
    same; --measure renews them. --store without CHAPTERS begins on a new root, and leaves
    data/sample alone.
    """
    from imnetlib.course import runner, storing

    parameters = {name: _from_here(name, value) for name, value in given}
    if root:
        parameters["root"] = str(root.absolute())
    if store and (parameters or out):
        raise click.UsageError(
            "--store runs the chapters as they are: it takes no --root, no -p and no --out"
        )
    if measure and not store:
        raise click.UsageError("--measure goes with --store")
    folder = (out or runner.BUILD).absolute()
    try:
        typed = runner.typed_parameters(runner.find_chapters(chapters), parameters)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    is_new = root and not (root.is_dir() and any(root.iterdir()))
    if is_new and not parameters.keys() & {"dataset", "source"}:
        click.echo(f"{root} {DATASET_HINT}")
    failed = ""
    waiting = list(typed)
    with storing.new_roots(folder) if store and not chapters else nullcontext():
        while waiting and not failed:
            path = waiting.pop(0)
            ran = _ran(path, typed[path], folder, store=store, measure=measure)
            failed = "" if ran else path.stem
    click.echo(f"Executed notebooks and figures: {folder}")
    if failed:
        rest = f"; not run: {', '.join(path.stem for path in waiting)}" if waiting else ""
        raise click.ClickException(f"{failed} failed{rest}")


def _ran(path: Path, given: Mapping[str, Any], folder: Path, *, store: bool, measure: bool) -> bool:
    """Run a chapter, with a line about it; whether it did not fail."""
    from imnetlib.course import runner, storing

    click.echo(f"{path.stem:24}", nl=False)
    outcome = ""
    try:
        if lacks := runner.lacking(path):
            outcome = f"  left out{', what is stored stays' if store else ''}: {lacks}"
            return True
        if store:
            done = storing.store_chapter(path, folder, measure=measure)
        else:
            done = runner.run_chapter(path, given, folder)
        outcome = f"{done.seconds:6.1f} s  {done.values.get('showed', '')}"
    except runner.ChapterFailedError as error:
        outcome = f"FAILED  {error}"
        return False
    finally:
        # Ends the line of a chapter that is stopped, too.
        click.echo(outcome)
    return True


def _from_here(name: str, value: str) -> str:
    return str(Path(value).expanduser().absolute()) if name in PATHS and value else value


@click.command(short_help="Bring your copies of the chapters up to date.")
@click.option("--missing", is_flag=True, help="Make copies that are missing, leave the others.")
def refresh(missing: bool) -> None:
    """Bring your copies of the chapters, in build/course, up to date.

    Where a chapter has changed, a copy that you have only run is replaced. One in which you have
    written stays beside it as NAME-yours-1.ipynb. With --missing new versions are only told.
    """
    from imnetlib.course import copies, runner

    folder = runner.BUILD / "course"
    for chapter, told in copies.refresh(folder, missing_only=missing):
        click.echo(f"{chapter:24}  {told}")
    click.echo(f"Your copies of the chapters: {folder}")


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
@click.option(
    "--like",
    type=LAYOUT,
    help="Arrange it as another set or another way to get it; ILSVRC2012 goes with --tiny.",
)
@click.option(
    "--tiny", is_flag=True, help="With --like ILSVRC2012: all its images, 16 pixels, 2 GB."
)
def sample(
    folder: Path, like: str | None, tiny: bool, train: int, validation: int, classes: int, seed: int
) -> None:
    """Paint a miniature ImageNet into FOLDER, in the layout of the official archives.

    --like winter21 or fall11: one archive of class tars, and ILSVRC2012's validation set. --like
    kaggle, parquet or folders: what one has in place of archives; chapter 1 takes it as its
    parameter source. --like ILSVRC2012 --tiny: all 1,331,167 files, in seconds. Archives go into
    the folder mirror of a new root, FOLDER is ROOT/mirror, and the chapters take them from there.
    """
    from imnetlib.course.sample import draw, draw_tiny, lay_out

    if tiny != (like == "ILSVRC2012"):
        raise click.UsageError(
            "--like ILSVRC2012 goes with --tiny, and --tiny with it: all its images, of 16 pixels"
        )
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
