"""The verbs of the course: run its chapters, look over the machine, paint a sample."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from imnetlib.cli.common import FOLDER


@click.command()
@click.argument("chapters", nargs=-1)
@click.option(
    "--root", type=FOLDER, help="The folder of the run (default: data/sample in the checkout)."
)
@click.option(
    "-p",
    "parameters",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Set a chapter's parameter.",
)
@click.option("--store", is_flag=True, help="Store outputs and figures in the course itself.")
def run(
    chapters: tuple[str, ...],
    root: Path | None,
    parameters: tuple[tuple[str, str], ...],
    store: bool,
) -> None:
    """Run CHAPTERS (numbers or names; all of them for none) and print what each showed."""
    from imnetlib.course import runner

    given = dict(parameters) | ({"root": str(root.absolute())} if root else {})
    if store and given:
        raise click.UsageError(
            "--store runs the chapters as they stand: it takes no --root and no -p"
        )
    try:
        chosen = [
            (path, runner.typed_parameters(path, given)) for path in runner.find_chapters(chapters)
        ]
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    failures = 0
    if root and not root.exists() and "dataset" not in given:
        click.echo(
            f"{root} is a new folder: it gets the painted sample (-p dataset ILSVRC2012 for the real set)"
        )
    for path, values in chosen:
        click.echo(f"{path.stem:24}", nl=False)
        try:
            if store:
                outcome = runner.store_chapter(path, runner.BUILD)
            else:
                outcome = runner.run_chapter(path, values, runner.BUILD)
            click.echo(f"{outcome.seconds:6.1f} s  {outcome.values.get('showed', '')}")
        except runner.ChapterFailedError as error:
            failures += 1
            click.echo(f"FAILED  {error}")
    click.echo(f"Executed notebooks and figures: {runner.BUILD}")
    if failures:
        raise click.ClickException(f"{failures} of {len(chosen)} chapters failed")


@click.command("doctor")
@click.option("--root", type=FOLDER, help="The folder that runs will write to.")
def doctor_(root: Path | None) -> None:
    """Check that this machine is ready for the course; say what to do where it is not."""
    from imnetlib.course import doctor
    from imnetlib.course.root import CHECKOUT

    checks = doctor.diagnose(root or CHECKOUT / "data" / "sample")
    for check in checks:
        click.echo(f"[{'OK' if check.ok else 'FAIL'}]  {check.name}: {check.found}")
        if not check.ok:
            click.echo(f"        → {check.remedy}")
    sys.exit(not all(check.ok for check in checks))


@click.command("sample")
@click.argument("folder", type=FOLDER)
@click.option("--train", default=70, show_default=True, help="Training images per class.")
@click.option("--validation", default=50, show_default=True, help="Validation images per class.")
@click.option("--classes", default=36, show_default=True, help="How many of its 36 classes.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other pictures.")
def sample_(folder: Path, train: int, validation: int, classes: int, seed: int) -> None:
    """Paint a miniature ImageNet into FOLDER, in the official archives' layout."""
    from imnetlib.course import sample

    counts = {"train_per_class": train, "validation_per_class": validation}
    drawn = sample.draw(folder, **counts, classes=classes, seed=seed)
    click.echo(
        f"{drawn.classes:,} classes, {drawn.train:,} + {drawn.validation:,} images in {folder}"
    )
