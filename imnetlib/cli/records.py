"""The verbs of lists and records: list, pack, verify, merge, salvage."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from imnetlib.cli.common import EXISTING, EXISTING_FILE, FOLDER, LEFT_OUT, PATH, POSITIVE, REC

if TYPE_CHECKING:
    from imnetlib.image import Settings
    from imnetlib.pack import ImageList

SEED = click.IntRange(min=0)
RATIO = click.FloatRange(0, 1, min_open=True, max_open=True)
ENCODING = click.Choice([".jpg", ".png"])
ON_ERROR = click.Choice(["report", "stop"])
COLOR = click.Choice(["-1", "0", "1"])


@click.command("list")
@click.argument("source", type=EXISTING)
@click.argument("lst", type=PATH)
@click.option(
    "--labels", type=EXISTING_FILE, help="Labels of flat images: the devkit or Kaggle's .csv."
)
@click.option("--classes", type=EXISTING_FILE, help="The order of the labels.")
@click.option("--seed", type=SEED, help="Shuffle with this seed.")
@click.option("--train-ratio", type=RATIO, help="Split each class into NAME_train and NAME_val.")
def list_(
    source: Path,
    lst: Path,
    labels: Path | None,
    classes: Path | None,
    seed: int | None,
    train_ratio: float | None,
) -> None:
    """Write LST, an image list of SOURCE.

    SOURCE is a folder of class folders or of flat images, or an archive's .npz index. For the order
    of the labels give a synset.txt or Kaggle's LOC_synset_mapping.txt as --classes.
    """
    import numpy as np

    from imnetlib import pack

    if lst.suffix != ".lst":
        raise click.UsageError(f"{lst} is no name for a list: it ends in .lst")
    images = _listed(source, labels, classes)
    present = len(np.unique(images.labels[:, 0]))
    click.echo(f"{present:,} of {len(images.classes):,} classes have images")
    if seed is not None:
        images = pack.shuffle(images, seed)
    parts = {lst: images}
    if train_ratio is not None:
        ratios = (train_ratio, 1 - train_ratio)
        train, validation = pack.split(images, ratios, seed or 0, stratified=True)
        parts = {lst.with_stem(f"{lst.stem}_train"): train}
        parts[lst.with_stem(f"{lst.stem}_val")] = validation
    for path, part in parts.items():
        pack.write_lst(part, path)
        click.echo(f"{len(part):,} images: {path}")


def _listed(source: Path, labels: Path | None, classes: Path | None) -> ImageList:
    from imnetlib import catalog, organize, pack
    from imnetlib.archive import TarIndex

    wnids = organize.read_labels(labels) if labels else None
    order = catalog.read_classes(classes) if classes else None
    if not source.is_dir():
        return pack.list_archive(TarIndex.load(source), wnids, order)
    if wnids is not None:
        return pack.list_flat_folder(source, wnids, order)
    return pack.list_folder(source, order)


@click.command()
@click.argument("lst", type=EXISTING_FILE)
@click.argument("source", type=EXISTING)
@click.argument("folder", type=FOLDER)
@click.option("--name", help="The shards' name (default: that of LST).")
@click.option("--shards", type=POSITIVE, default=1, help="Number of shards.")
@click.option("--resize", type=POSITIVE, help="Short edge in pixels; no image is enlarged.")
@click.option("--upscale", is_flag=True, help="Enlarge smaller images too, as im2rec does.")
@click.option("--quality", type=int, help="1-100 for .jpg (default 95), 0-9 for .png (default 3).")
@click.option("--center-crop", is_flag=True, help="Cut to a square before resizing.")
@click.option("--encoding", type=ENCODING, default=".jpg", help="Format of images encoded anew.")
@click.option("--color", type=COLOR, default="1", help="1 RGB, 0 gray, -1 as stored.")
@click.option("--pass-through", is_flag=True, help="Store the files' bytes as they are.")
@click.option("--pack-label", is_flag=True, help="Store all labels of an image.")
@click.option("--num-thread", type=POSITIVE, help="Threads (default: one per core; 1 with --dask).")
@click.option("--only", metavar="I::N", help="Pack only shards I, I+N, ...: machine I of N.")
@click.option("--dask", metavar="tcp://HOST:PORT", help="Pack on this Dask cluster.")
@click.option(
    "--on-error", type=ON_ERROR, default="report", help="Report bad images or stop at one."
)
def pack(
    lst: Path,
    source: Path,
    folder: Path,
    name: str | None,
    shards: int,
    num_thread: int | None,
    only: str | None,
    dask: str | None,
    on_error: Literal["report", "stop"],
    **settings: Any,
) -> None:
    """Pack the images of LST into record shards in FOLDER.

    SOURCE is the images' folder, or an archive's .npz index.
    """
    from imnetlib import pack
    from imnetlib.archive import TarIndex

    # The working directory of a cluster's worker is another one.
    source = source.absolute()
    folder = folder.absolute()
    name = name or lst.stem
    part = _part(only) if only else None
    chosen = _settings(**settings)
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
    encoded = f"{done.reencoded:,} encoded anew, {done.converted:,} converted"
    click.echo(f"{done.images:,} images: {done.kept:,} kept, {encoded}")
    if done.shards_skipped:
        click.echo(f"{done.shards_skipped:,} of {shards:,} shards were there from an earlier run")
    click.echo(f"{done.bytes_in:,} bytes in, {done.bytes_out:,} out, {done.seconds:.1f} s")
    if done.failures:
        report = pack.failures_path(folder, name, part)
        click.echo(f"left out: {len(done.failures):,} images, see {report}")
        sys.exit(LEFT_OUT)


def _part(text: str) -> tuple[int, int]:
    start, _, step = text.partition("::")
    if not (start.isdigit() and step.isdigit() and int(start) < int(step)):
        raise click.UsageError(f"--only is I::N, machine I of N, from 0 to N - 1, not {text}")
    return int(start), int(step)


def _settings(color: str, quality: int | None, **settings: Any) -> Settings:
    from imnetlib import image

    if settings["pass_through"] and (settings["resize"] or settings["center_crop"]):
        raise click.UsageError(
            "--pass-through stores files as they are: it goes without --resize and --center-crop"
        )
    if settings["upscale"] and not settings["resize"]:
        raise click.UsageError("--upscale needs a --resize")
    if quality is None:
        quality = 95 if settings["encoding"] == ".jpg" else 3
    try:
        return image.Settings(color=int(color), quality=quality, **settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


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


@click.command(short_help="Verify each REC with the files beside it.")
@click.argument("recs", metavar="REC...", nargs=-1, required=True, type=REC)
@click.option("--decode", is_flag=True, help="Decode every image too, and name unreadable ones.")
def verify(recs: tuple[Path, ...], decode: bool) -> None:
    """Verify each REC with its .idx and .json, and count its classes.

    What is verified: structure, padding, agreement of the files, checksums.
    """
    wrong = 0
    counts = Counter[float]()
    for rec in recs:
        problems = _verify(rec, decode, counts)
        wrong += bool(problems)
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
    if not report.problems:
        with progress(len(report.offsets), f"read {rec.name}", "records") as bar:
            survey = pack.survey_shard(rec, decode=decode, advance=bar.update)
        counts += survey.counts
        for record in survey.unreadable:
            problems.append(f"record at byte {record.offset:,}: {record.reason}")
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
def merge_index(out: Path, recs: tuple[Path, ...]) -> None:
    """Write OUT, one index of several REC files in this order.

    ImageRecordIter and DALI need one to read them together.
    """
    import numpy as np

    from imnetlib import recordio

    if out.suffix != ".idx" or out in [_index_of(rec) for rec in recs]:
        raise click.UsageError(f"OUT comes first, and is a new .idx file, not {out}")
    keys, offsets = recordio.merge_indexes(recs)
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
