"""The verbs of records: verify, merge-index, salvage."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from imnetlib.cli.common import LEFT_OUT, PATH, REC


@click.command(short_help="Verify each REC with the files beside it.")
@click.argument("recs", metavar="REC...", nargs=-1, required=True, type=REC)
@click.option("--decode", is_flag=True, help="Decode every image too, and name unreadable ones.")
def verify(recs: tuple[Path, ...], decode: bool) -> None:
    """Verify each REC with its .idx, .json and synset.txt, and count its classes.

    What is verified: structure, padding, agreement of the files, checksums, labels.
    """
    wrong = 0
    counts = Counter[float]()
    for rec in recs:
        problems = _verify(rec, decode, counts)
        wrong += bool(problems)
    no_class = counts.pop(-1.0, 0)
    if no_class:
        click.echo(f"{no_class:,} records of no class (label -1)")
    if counts:
        fewest = min(counts.values())
        most = max(counts.values())
        click.echo(f"{len(counts):,} classes, {fewest:,} to {most:,} records each")
    click.echo(f"{wrong:,} of {len(recs):,} files have problems")
    sys.exit(bool(wrong))


def _verify(rec: Path, decode: bool, counts: Counter[float]) -> list[str]:
    """Report on one file, and add its classes to ``counts``."""
    from imnetlib import pack, recordio
    from imnetlib.progress import progress

    report = recordio.verify(rec, _index_of(rec))
    problems = list(report.problems)
    try:
        problems += recordio.verify_sidecar(rec)
    except ValueError as error:
        # A damaged sidecar is no reason not to verify the other files.
        problems.append(str(error))
    labels: Iterable[float] = ()
    if not report.problems:
        with progress(len(report.offsets), f"read {rec.name}", "records") as bar:
            survey = pack.survey_shard(rec, decode=decode, advance=bar.update)
        counts += survey.counts
        labels = survey.counts
        if survey.without_image:
            listing = f"{survey.without_image - 1:,} identity records and their header"
            click.echo(f"{rec}: {listing} (insightface's layout) hold no image")
        for record in survey.unreadable:
            problems.append(f"record at byte {record.offset:,}: {record.reason}")
    problems += pack.verify_classes_beside(rec, labels)
    for problem in problems:
        click.echo(f"{rec}: {problem}")
    click.echo(f"{rec}: {len(report.offsets):,} records of sound structure")
    return problems


def _index_of(rec: Path) -> Path | None:
    index = rec.with_suffix(".idx")
    return index if index.exists() else None


@click.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("recs", metavar="REC...", nargs=-1, required=True, type=REC)
@click.option("--images-only", is_flag=True, help="Leave out insightface's identity records.")
def merge_index(out: Path, recs: tuple[Path, ...], images_only: bool) -> None:
    """Write OUT, one index of several REC files in this order.

    ImageRecordIter and DALI need one to read them together. DALI fails on records without an image:
    for files in insightface's layout, one file too, give --images-only.
    """
    import numpy as np

    from imnetlib import recordio

    if out.suffix != ".idx" or out in [_index_of(rec) for rec in recs]:
        raise click.UsageError(f"OUT comes first, and is a new .idx file, not {out}")
    keys, offsets = recordio.merge_indexes(recs, images_only=images_only)
    recordio.write_index(out, keys, offsets)
    click.echo(f"{len(keys):,} records of {len(recs):,} files: {out}")
    repeated = len(keys) - len(np.unique(keys))
    if repeated:
        readers = "a reader by key finds one record of each, ImageRecordIter and DALI all"
        click.echo(f"{repeated:,} keys are repeated: {readers}")


@click.command(short_help="Copy every sound record of a damaged REC to OUT.")
@click.argument("rec", type=REC)
@click.argument("out", type=PATH)
def salvage(rec: Path, out: Path) -> None:
    """Copy every sound record of a damaged REC to OUT, and name the bytes that are lost.

    Records begin at multiples of four bytes: a record that missing bytes have shifted by any other
    number is lost.
    """
    from imnetlib import recordio

    report = recordio.salvage(rec, out, _index_of(rec))
    for problem in report.problems:
        click.echo(problem)
    for start, end in report.lost.tolist():
        click.echo(f"lost: bytes {start:,} to {end:,}")
    click.echo(f"{len(report.offsets):,} records saved to {out}")
    differences = recordio.verify_sidecar(rec)
    for difference in differences:
        click.echo(difference)
    if report.problems or differences:
        verb = f"imnet verify --decode {out}"
        click.echo(f"Images may be damaged inside: {verb} names those that cannot be read")
        sys.exit(LEFT_OUT)
