"""The verbs of lists and records: list, pack, verify, merge, salvage."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click

from imnetlib.cli.common import FILE, FOLDER, INSIDE, LEFT_OUT, REC


@click.command("list")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("lst", type=click.Path(path_type=Path))
@click.option(
    "--labels", type=FILE, help="For flat validation images: the devkit .tar.gz or Kaggle's .csv."
)
@click.option(
    "--classes",
    type=FILE,
    help="The order of the labels: a synset.txt, or Kaggle's LOC_synset_mapping.txt.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Shuffle with this seed.")
@click.option(
    "--train-ratio", type=INSIDE, help="Split, class by class, into LST's NAME_train and NAME_val."
)
def list_(
    source: Path,
    lst: Path,
    labels: Path | None,
    classes: Path | None,
    seed: int | None,
    train_ratio: float | None,
) -> None:
    """Write LST, an image list of SOURCE: a folder of class folders or of flat images, or an
    archive's .npz index.
    """
    import numpy as np

    from imnetlib import catalog, organize, pack
    from imnetlib.archive import TarIndex

    if lst.suffix != ".lst":
        raise click.UsageError(f"{lst} is no name for a list: it ends in .lst")
    wnids = organize.read_labels(labels) if labels else None
    order = catalog.read_classes(classes) if classes else None
    if not source.is_dir():
        images = pack.list_archive(TarIndex.load(source), wnids, order)
    elif wnids is not None:
        images = pack.list_flat_folder(source, wnids, order)
    else:
        images = pack.list_folder(source, order)
    present = len(np.unique(images.labels[:, 0]))
    click.echo(f"{present:,} of {len(images.classes):,} classes have images")
    if seed is not None:
        images = pack.shuffle(images, seed)
    parts = {lst: images}
    if train_ratio is not None:
        halves = pack.split(images, (train_ratio, 1 - train_ratio), seed or 0, stratified=True)
        parts = {
            lst.with_stem(f"{lst.stem}_{name}"): part
            for name, part in zip(("train", "val"), halves, strict=True)
        }
    for path, part in parts.items():
        pack.write_lst(part, path)
        click.echo(f"{len(part):,} images: {path}")


@click.command("pack")
@click.argument("lst", type=FILE)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=FOLDER)
@click.option("--name", help="The shards' name (default: that of LST).")
@click.option(
    "--shards", type=click.IntRange(min=1), default=1, show_default=True, help="How many files."
)
@click.option(
    "--resize",
    type=click.IntRange(min=1),
    help="Short edge in pixels; smaller images are not enlarged.",
)
@click.option("--upscale", is_flag=True, help="Enlarge smaller images too, as im2rec does.")
@click.option(
    "--quality", type=int, help="1 to 100 for .jpg (default 95), 0 to 9 for .png (default 3)."
)
@click.option("--center-crop", is_flag=True, help="Cut to a square before resizing.")
@click.option("--encoding", type=click.Choice([".jpg", ".png"]), default=".jpg", show_default=True)
@click.option(
    "--color", type=click.Choice(["-1", "0", "1"]), default="1", help="1 RGB, 0 gray, -1 as stored."
)
@click.option("--pass-through", is_flag=True, help="Store the files' bytes as they are.")
@click.option("--pack-label", is_flag=True, help="Store all labels of an image.")
@click.option(
    "--num-thread",
    type=click.IntRange(min=1),
    help="Threads for a shard (default: one per core; 1 with --dask).",
)
@click.option(
    "--only", metavar="I::N", help="Shards I, I+N, I+2N, ...: the part of one of N machines."
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Pack on a Dask cluster, tcp://scheduler:8786; all see the disk.",
)
@click.option(
    "--on-error", type=click.Choice(["report", "stop"]), default="report", show_default=True
)
def pack_(
    lst: Path, source: Path, folder: Path, name: str | None, shards: int, num_thread: int | None, color: str,
    only: str | None, dask: str | None, on_error: Literal["report", "stop"], **settings: Any,
) -> None:  # fmt: skip
    """Pack the images of LST into record shards in FOLDER; SOURCE is their folder, or an archive's
    .npz index.
    """
    from imnetlib import image, pack
    from imnetlib.archive import TarIndex

    # a worker stands elsewhere
    source = source.absolute()
    folder = folder.absolute()
    name = name or lst.stem
    part = _part(only) if only else None
    if settings["pass_through"] and (settings["resize"] or settings["center_crop"]):
        raise click.UsageError(
            "--pass-through stores files as they are: it goes without --resize and --center-crop"
        )
    if settings["upscale"] and not settings["resize"]:
        raise click.UsageError("--upscale needs a --resize")
    if settings["quality"] is None:
        settings["quality"] = 95 if settings["encoding"] == ".jpg" else 3
    try:
        chosen = image.Settings(color=int(color), **settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if Path(name).name != name:
        raise click.UsageError(f"--name is the beginning of a file name, not {name}")
    if part and part[0] >= shards:
        click.echo(f"--only {only}: of {shards:,} shards none is this machine's part")
    with _cluster(dask) as executor:
        done = pack.pack(
            pack.read_lst(lst),
            pack.Folder(source) if source.is_dir() else pack.Tar(TarIndex.load(source)),
            folder,
            name,
            shards=shards,
            settings=chosen,
            threads=num_thread,
            executor=executor,
            only=part,
            on_error=on_error,
        )
    click.echo(
        f"{done.images:,} images: {done.kept:,} kept, {done.reencoded:,} encoded anew, {done.converted:,} converted"
    )
    if done.shards_skipped:
        click.echo(f"{done.shards_skipped:,} of {shards:,} shards were there from an earlier run")
    click.echo(f"{done.bytes_in:,} bytes in, {done.bytes_out:,} out, {done.seconds:.1f} s")
    if done.failures:
        click.echo(
            f"left out: {len(done.failures):,} images, see {pack.failures_path(folder, name, part)}"
        )
        sys.exit(LEFT_OUT)


def _part(text: str) -> tuple[int, int]:
    start, _, step = text.partition("::")
    if not (start.isdigit() and step.isdigit() and int(start) < int(step)):
        raise click.UsageError(f"--only is I::N, machine I of N, from 0 to N - 1, not {text}")
    return int(start), int(step)


@contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """The executor of a Dask cluster; None without an address."""
    if address is None:
        yield None
        return
    from distributed import Client

    with Client(address) as client, client.get_executor(pure=False) as executor:
        if not client.scheduler_info()["workers"]:
            click.echo(f"{address} has no worker yet: waiting for one", err=True)
        yield executor


@click.command("verify")
@click.argument("recs", metavar="REC...", nargs=-1, required=True, type=REC)
@click.option(
    "--decode", is_flag=True, help="Read every image too, and name those that cannot be read."
)
def verify_(recs: tuple[Path, ...], decode: bool) -> None:
    """Check each REC with its .idx and .json: structure, padding, agreement, checksums; count its
    classes.
    """
    from imnetlib import pack, recordio
    from imnetlib.progress import progress

    wrong = 0
    counts = Counter[float]()
    for rec in recs:
        index = rec.with_suffix(".idx")
        report = recordio.verify(rec, index if index.exists() else None)
        try:
            problems = [*report.problems, *recordio.verify_sidecar(rec)]
        except ValueError as error:
            # a sidecar that is none: the other files are checked all the same
            problems = [*report.problems, str(error)]
        if not report.problems:
            with progress(len(report.offsets), f"read {rec.name}", "records") as bar:
                found = pack.survey_shard(rec, decode=decode, advance=bar.update)
            counts += found.counts
            problems += [f"record at byte {one.offset:,}: {one.reason}" for one in found.unreadable]
        for problem in problems:
            click.echo(f"{rec}: {problem}")
        click.echo(f"{rec}: {len(report.offsets):,} records of sound structure")
        wrong += bool(problems)
    if counts:
        click.echo(
            f"{len(counts):,} classes, {min(counts.values()):,} to {max(counts.values()):,} records each"
        )
    click.echo(f"{wrong:,} of {len(recs):,} files have problems")
    sys.exit(bool(wrong))


@click.command("merge-index")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("recs", metavar="REC...", nargs=-1, required=True, type=REC)
def merge_index(out: Path, recs: tuple[Path, ...]) -> None:
    """Write OUT, one index over the REC files in this order: what ImageRecordIter and DALI want for
    several.
    """
    import numpy as np

    from imnetlib import recordio

    if out.suffix != ".idx" or out in [rec.with_suffix(".idx") for rec in recs]:
        raise click.UsageError(f"OUT comes first, and is a new .idx file: {out} is none")
    keys, offsets = recordio.merge_indexes(recs)
    recordio.write_index(out, keys, offsets)
    click.echo(f"{len(keys):,} records of {len(recs):,} files: {out}")
    if twice := len(keys) - len(np.unique(keys)):
        click.echo(
            f"{twice:,} keys stand there again: a reader by key meets one of them, ImageRecordIter and DALI all"
        )


@click.command("salvage")
@click.argument("rec", type=REC)
@click.argument("out", type=click.Path(path_type=Path))
def salvage_(rec: Path, out: Path) -> None:
    """Copy every sound record of a damaged REC to OUT, and name the bytes that are lost.

    Records begin at multiples of four bytes: what missing bytes have moved by another number is
    lost.
    """
    from imnetlib import recordio

    index = rec.with_suffix(".idx")
    report = recordio.salvage(rec, out, index if index.exists() else None)
    for problem in report.problems:
        click.echo(problem)
    for first, behind in report.lost.tolist():
        click.echo(f"lost: bytes {first:,} to {behind:,}")
    click.echo(f"{len(report.offsets):,} records saved to {out}")
    unlike = recordio.verify_sidecar(rec)
    for problem in unlike:
        click.echo(problem)
    if report.problems or unlike:
        click.echo(
            f"Images may be damaged inside: imnet verify --decode {out} names those that cannot be read"
        )
        sys.exit(LEFT_OUT)
