"""``imnet VERB``: the library's long jobs from a terminal, one thin function per verb.

Exit status: 0 done; 1 failed, with one sentence that says why; 2 asked for wrongly; 3 done, but something had to
be left out, and the report names it. Modules are imported inside the verbs, so that ``imnet --help`` is quick.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import click

from imnetlib.catalog import ILSVRC2012

LEFT_OUT = 3
INTERRUPTED = 130  # as a shell has it
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


class _OneSentence(click.Group):
    """Shows what the library says of bad input or a bad disk as one sentence instead of a traceback."""

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
            remedy = "this verb needs the course: make run in a checkout, or pip install '.[course]'"
            raise click.ClickException(f"{error.name} is not installed: {remedy}") from error


@click.group(cls=_OneSentence)
@click.version_option(package_name="imnetlib")
def main() -> None:
    """Train on ImageNet at its real size: the course's chapters, and each long job by itself.

    A job that was stopped goes on when the same command is run again. Exit status: 0 done, 1 failed, 2 asked for
    wrongly, 3 done but for something that had to be left out and is named.
    """


@main.command()
@click.argument("chapters", nargs=-1)
@click.option("--root", type=FOLDER, help="The folder of the run (default: data/sample in the checkout).")
@click.option(
    "-p", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a chapter's parameter."
)
@click.option("--store", is_flag=True, help="Store outputs and figures in the course itself.")
def run(
    chapters: tuple[str, ...], root: Path | None, parameters: tuple[tuple[str, str], ...], store: bool
) -> None:
    """Run CHAPTERS (numbers or names; all of them for none) and print what each showed."""
    from imnetlib.course import runner

    given = dict(parameters) | ({"root": str(root.absolute())} if root else {})
    if store and given:
        raise click.UsageError("--store runs the chapters as they stand: it takes no --root and no -p")
    try:
        chosen = [(path, runner.typed_parameters(path, given)) for path in runner.find_chapters(chapters)]
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


@main.command("doctor")
@click.option("--root", type=FOLDER, help="The folder that runs will write to.")
def doctor_(root: Path | None) -> None:
    """Check that this machine is ready for the course; say what to do where it is not."""
    from imnetlib.course import doctor
    from imnetlib.course.root import CHECKOUT

    checks = doctor.examine(root or CHECKOUT / "data" / "sample")
    for check in checks:
        click.echo(f"[{'OK' if check.ok else 'FAIL'}]  {check.name}: {check.found}")
        if not check.ok:
            click.echo(f"        → {check.remedy}")
    sys.exit(not all(check.ok for check in checks))


@main.command("sample")
@click.argument("folder", type=FOLDER)
@click.option("--train", default=70, show_default=True, help="Training images per class.")
@click.option("--validation", default=50, show_default=True, help="Validation images per class.")
@click.option("--classes", type=int, help="How many classes (default: all 36; of noise 200, up to 1,000).")
@click.option("--noise", is_flag=True, help="Noise of ImageNet's weight, not paintings: for a large sample.")
@click.option("--seed", default=0, show_default=True, help="Another seed, other pictures.")
def sample_(folder: Path, train: int, validation: int, classes: int | None, noise: bool, seed: int) -> None:
    """Paint a miniature ImageNet into FOLDER, in the official archives' layout."""
    from imnetlib import sample

    counts = {"train_per_class": train, "validation_per_class": validation}
    drawn = sample.draw(folder, **counts, classes=classes, seed=seed, noise=noise)
    click.echo(f"{drawn.classes:,} classes, {drawn.train:,} + {drawn.validation:,} images in {folder}")


@main.command("download")
@click.argument("archives", nargs=-1)
@click.option("--to", "folder", type=FOLDER, required=True, help="The folder for the archives.")
@click.option("--url", help="The address they lie under, where that is not image-net.org.")
@click.option("--size", type=int, help="Of a file given by its address: its length in bytes.")
@click.option("--md5", help="Of a file given by its address: its MD5.")
@click.option(
    "--credentials", type=FILE, help="A file of mode 600 with IMAGENET_USER and IMAGENET_KEY lines."
)
@click.option("--bandwidth", type=click.FloatRange(min=0, min_open=True), help="At most so many MB/s.")
def download_(
    archives: tuple[str, ...], folder: Path, url: str | None, size: int | None, md5: str | None,
    credentials: Path | None, bandwidth: float | None,
) -> None:  # fmt: skip
    """Fetch ARCHIVES, resuming what an earlier call began, and index each tar on the way.

    Each is the name of an archive of ImageNet (the three of ILSVRC2012 for none), or the address of any other file.
    """
    from imnetlib.catalog import Archive, published
    from imnetlib.download import download

    if (size or md5) and [("://" in name) for name in archives] != [True]:
        raise click.UsageError("--size and --md5 are of one file that is given by its address")
    unindexed = False
    for name in archives or [archive.name for archive in ILSVRC2012.archives]:
        if "://" in name:
            address, archive = name, Archive(urlsplit(name).path.rpartition("/")[2], size, md5)
            if not archive.name:
                raise click.UsageError(f"{name} names no file")
        else:
            address, archive = published(name)
            address = address if url is None else f"{url.rstrip('/')}/{name}"
        done = download(
            address,
            folder / archive.name,
            size=archive.size,
            md5=archive.md5,
            bandwidth=round(bandwidth * 1e6) if bandwidth else None,
            credentials=credentials,
            index=archive.name.endswith(".tar"),
        )
        proof = "as stated" if archive.md5 else "which nobody has stated: compare it"
        click.echo(f"{archive.name}: fetched, MD5 {done.md5}, {proof}")
        click.echo(f"{done.bytes_fetched:,} bytes fetched in {done.seconds:.0f} s")
        if done.index is not None:
            click.echo(f"indexed: {done.index}")
        unindexed |= archive.name.endswith(".tar") and done.index is None
    sys.exit(LEFT_OUT if unindexed else 0)


@main.command("verify-archives")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--index", is_flag=True, help="Leave the index of each whole tar beside it, from the same pass."
)
def verify_archives_(folder: Path, index: bool) -> None:
    """Say which of ILSVRC2012's archives in FOLDER are whole, partial, damaged or missing."""
    from imnetlib.download import verify_archives

    states = verify_archives(ILSVRC2012, folder, index=index)
    for state in states:
        wanted = f", not {ILSVRC2012.archive(state.name).size:,}" if state.state == "wrong size" else ""
        click.echo(f"{state.name}: {state.state} ({state.bytes:,} bytes{wanted})")
    sys.exit(any(state.state != "whole" for state in states))


@main.command("index")
@click.argument("file", metavar="TAR|REC", type=FILE)
def index_(file: Path) -> None:
    """Index TAR, a tar or a tar of tars, into TAR.npz: pack and list then read its images in place.

    A .tar.gz or .tgz is unpacked beside itself and indexed, in one pass. For a REC, write the .idx that it lacks.
    """
    if file.suffix.lower() == ".rec":
        _index_records(file)
    else:
        _index_tar(file)


def _index_tar(tar: Path) -> None:
    from imnetlib.archive import gunzip_tar, index_path, index_tar, is_gzip
    from imnetlib.progress import progress

    unpacked = tar.with_suffix("" if tar.suffix == ".gz" else ".tar") if is_gzip(tar) else tar
    if unpacked != tar and unpacked.exists():
        click.echo(f"{unpacked} is there already")
        tar = unpacked
    with progress(tar.stat().st_size, f"index {tar.name}", "B") as bar:
        index = index_tar(tar, bar.update) if unpacked == tar else gunzip_tar(tar, unpacked, bar.update)
    index.save(index_path(unpacked))
    classes = f" in {len(index.class_names):,} classes" if index.class_names else ""
    click.echo(f"{len(index):,} files{classes}: {index_path(unpacked)}")


def _index_records(rec: Path) -> None:
    from imnetlib import recordio
    from imnetlib.progress import progress

    index = rec.with_suffix(".idx")
    if index.exists():
        raise click.UsageError(
            f"{index} is there: imnet verify says whether it is right; to make it anew, remove it"
        )
    with progress(rec.stat().st_size, f"index {rec.name}", "B") as bar:
        keys, offsets = recordio.rebuild_index(rec, bar.update)
    recordio.write_index(index, keys, offsets)
    click.echo(f"{len(keys):,} records: {index}")


@main.group("organize")
def organize_() -> None:
    """Unpack the archives, put the validation set in order, check what lies on the disk."""


@organize_.command("train")
@click.argument("tar", type=FILE)
@click.argument("folder", type=FOLDER)
def organize_train(tar: Path, folder: Path) -> None:
    """Unpack the training archive TAR into FOLDER, a folder for each class."""
    from imnetlib import organize

    done = organize.extract_train(tar, folder)
    click.echo(f"{done.classes:,} classes, {done.written:,} files written, {done.skipped:,} were there")


@organize_.command("validation")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("labels", type=FILE)
@click.argument("folder", type=FOLDER)
@click.option("--link", is_flag=True, help="Hard links: the flat files stay.")
def organize_validation(source: Path, labels: Path, folder: Path, link: bool) -> None:
    """Put the validation images of SOURCE into class folders in FOLDER.

    SOURCE is their archive, which is unpacked there first, or a folder of the flat files (FOLDER itself will do).
    LABELS is the devkit .tar.gz or Kaggle's LOC_val_solution.csv.
    """
    from imnetlib import organize

    wnids = organize.read_labels(labels)  # first: a wrong file should not cost the unpacking
    if source.is_dir():
        flat = source
    else:
        organize.extract_validation(source, folder)
        flat = folder
    _tell_sorted(organize.sort_validation(folder, wnids, link=link, flat=flat))


def _tell_sorted(done: Any) -> None:
    click.echo(f"{done.classes:,} classes, {done.moved:,} images put in place, {done.in_place:,} were there")


@organize_.command("kaggle")
@click.argument("download", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("root", type=FOLDER)
@click.option("--link", is_flag=True, help="Hard links: the download stays as it is.")
def organize_kaggle(download: Path, root: Path, link: bool) -> None:
    """Put Kaggle's unpacked DOWNLOAD into the course's folders under ROOT, on the same disk."""
    from imnetlib import kaggle
    from imnetlib.catalog import Layout

    layout = Layout(root)
    for done in kaggle.adopt(download, layout.train, layout.validation, link=link):
        click.echo(f"{done.folder}: ", nl=False)
        _tell_sorted(done)


@organize_.command("undo")
@click.argument("folder", type=FOLDER)
def organize_undo(folder: Path) -> None:
    """Make the validation images in FOLDER flat again, where they came from."""
    from imnetlib import organize

    done = organize.undo_validation(folder)
    click.echo(f"{done.moved:,} images taken back")
    for name in done.missing:
        click.echo(f"{name} is gone")
    sys.exit(LEFT_OUT if done.missing else 0)


@organize_.command("check")
@click.argument("folder", type=FOLDER)
@click.option(
    "--labels", type=FILE, help="For the validation set: its labels, devkit .tar.gz or Kaggle's .csv."
)
@click.option(
    "--counts",
    type=FILE,
    help="For the training set: the archive's .npz, the devkit, or Kaggle's train_cls.txt.",
)
@click.option(
    "--report", type=click.Path(path_type=Path), help="Write the report here, with every file named."
)
def organize_check(folder: Path, labels: Path | None, counts: Path | None, report: Path | None) -> None:
    """Count the classes of FOLDER, compare with what should be there, and name the files that are strange.

    Strange is what is no plain colour JPEG, by its markers: damage among the pixels shows when it is packed. Exit
    status 3: a count is wrong, or a file is no image that can be read.
    """
    from imnetlib import organize, survey
    from imnetlib.files import write_atomically

    if labels and counts:
        raise click.UsageError("--labels are for the validation set, --counts for the training set: give one")
    expected = (
        Counter(organize.read_labels(labels)) if labels else survey.train_counts(counts) if counts else None
    )
    found = survey.check(folder, expected)
    if not found.counts:
        raise click.ClickException(f"{folder} holds no class folders")
    click.echo(survey.report(found), nl=False)
    if report is not None:
        with write_atomically(report) as out:
            out.write(survey.report(found, most=None).encode())
    sys.exit(0 if found.sound else LEFT_OUT)


@main.command("probe")
@click.argument("folder", type=FOLDER)
@click.option("--seconds", default=20.0, show_default=True)
def probe_(folder: Path, seconds: float) -> None:
    """Measure the disk under FOLDER: reads in order, and random 4K reads, 1 to 32 at a time."""
    from imnetlib import throughput

    found = throughput.probe(folder, seconds)
    click.echo(f"in order: {found.sequential / throughput.MB:,.0f} MB/s ({found.method})")
    for depth, iops in found.iops.items():
        rate = iops * throughput.BLOCK / throughput.MB
        click.echo(f"random 4K, {depth:2} at a time: {iops:9,.0f} reads/s = {rate:7,.1f} MB/s")


@main.command("list")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("lst", type=click.Path(path_type=Path))
@click.option("--labels", type=FILE, help="For flat validation images: the devkit .tar.gz or Kaggle's .csv.")
@click.option(
    "--classes", type=FILE, help="The order of the labels: a synset.txt, or Kaggle's LOC_synset_mapping.txt."
)
@click.option("--seed", type=click.IntRange(min=0), help="Shuffle with this seed.")
@click.option("--train-ratio", type=INSIDE, help="Split, class by class, into LST's NAME_train and NAME_val.")
def list_(
    source: Path,
    lst: Path,
    labels: Path | None,
    classes: Path | None,
    seed: int | None,
    train_ratio: float | None,
) -> None:
    """Write LST, an image list of SOURCE: a folder of class folders or of flat images, or an archive's .npz index."""
    import numpy as np

    from imnetlib import catalog, imagelist, organize
    from imnetlib.archive import TarIndex

    if lst.suffix != ".lst":
        raise click.UsageError(f"{lst} is no name for a list: it ends in .lst")
    wnids = organize.read_labels(labels) if labels else None
    order = catalog.read_classes(classes) if classes else None
    if not source.is_dir():
        images = imagelist.from_archive(TarIndex.load(source), wnids, order)
    elif wnids is not None:
        images = imagelist.scan_flat(source, wnids, order)
    else:
        images = imagelist.scan(source, order)
    present = len(np.unique(images.labels[:, 0]))
    click.echo(f"{present:,} of {len(images.classes):,} classes have images")
    if seed is not None:
        images = imagelist.shuffle(images, seed)
    parts = {lst: images}
    if train_ratio is not None:
        halves = imagelist.split(images, (train_ratio, 1 - train_ratio), seed or 0, stratified=True)
        parts = {
            lst.with_stem(f"{lst.stem}_{name}"): part
            for name, part in zip(("train", "val"), halves, strict=True)
        }
    for path, part in parts.items():
        imagelist.write_lst(part, path)
        click.echo(f"{len(part):,} images: {path}")


@main.command("pack")
@click.argument("lst", type=FILE)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=FOLDER)
@click.option("--name", help="The shards' name (default: that of LST).")
@click.option("--shards", type=click.IntRange(min=1), default=1, show_default=True, help="How many files.")
@click.option(
    "--resize", type=click.IntRange(min=1), help="Short edge in pixels; smaller images are not enlarged."
)
@click.option("--upscale", is_flag=True, help="Enlarge smaller images too, as im2rec does.")
@click.option("--quality", type=int, help="1 to 100 for .jpg (default 95), 0 to 9 for .png (default 3).")
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
@click.option("--only", metavar="I::N", help="Shards I, I+N, I+2N, ...: the part of one of N machines.")
@click.option(
    "--dask", metavar="ADDRESS", help="Pack on a Dask cluster, tcp://scheduler:8786; all see the disk."
)
@click.option("--on-error", type=click.Choice(["report", "stop"]), default="report", show_default=True)
def pack_(
    lst: Path, source: Path, folder: Path, name: str | None, shards: int, num_thread: int | None, color: str,
    only: str | None, dask: str | None, on_error: Literal["report", "stop"], **settings: Any,
) -> None:  # fmt: skip
    """Pack the images of LST into record shards in FOLDER; SOURCE is their folder, or an archive's .npz index."""
    from imnetlib import convert, imagelist, pack, sources

    source, folder, name = source.absolute(), folder.absolute(), name or lst.stem  # a worker stands elsewhere
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
        chosen = convert.Settings(color=int(color), **settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if Path(name).name != name:
        raise click.UsageError(f"--name is the beginning of a file name, not {name}")
    if part and part[0] >= shards:
        click.echo(f"--only {only}: of {shards:,} shards none is this machine's part")
    with _cluster(dask) as executor:
        done = pack.pack(
            imagelist.read_lst(lst),
            sources.Folder(source) if source.is_dir() else sources.Tar(source),
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
        click.echo(f"left out: {len(done.failures):,} images, see {pack.failures_path(folder, name, part)}")
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


@main.command("verify")
@click.argument("recs", metavar="REC...", nargs=-1, required=True, type=REC)
@click.option("--decode", is_flag=True, help="Read every image too, and name those that cannot be read.")
def verify_(recs: tuple[Path, ...], decode: bool) -> None:
    """Check each REC with its .idx and .json: structure, padding, agreement, checksums; count its classes."""
    from imnetlib import recordio_check, shard_check
    from imnetlib.progress import progress

    wrong, counts = 0, Counter[float]()
    for rec in recs:
        index = rec.with_suffix(".idx")
        report = recordio_check.verify(rec, index if index.exists() else None)
        try:
            problems = [*report.problems, *shard_check.check_sidecar(rec)]
        except ValueError as error:  # a sidecar that is none: the other files are checked all the same
            problems = [*report.problems, str(error)]
        if not report.problems:
            with progress(len(report.offsets), f"read {rec.name}", "records") as bar:
                found = shard_check.census(rec, decode=decode, advance=bar.update)
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


@main.command("merge-index")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("recs", metavar="REC...", nargs=-1, required=True, type=REC)
def merge_index(out: Path, recs: tuple[Path, ...]) -> None:
    """Write OUT, one index over the REC files in this order: what ImageRecordIter and DALI want for several."""
    import numpy as np

    from imnetlib import recordio

    for rec in recs:
        if not rec.with_suffix(".idx").exists():
            raise click.ClickException(f"{rec} has no .idx beside it: imnet index {rec} writes it")
    if out.suffix != ".idx" or out in [rec.with_suffix(".idx") for rec in recs]:
        raise click.UsageError(f"OUT comes first, and is a new .idx file: {out} is none")
    keys, offsets = recordio.merge_indexes(recs)
    recordio.write_index(out, keys, offsets)
    click.echo(f"{len(keys):,} records of {len(recs):,} files: {out}")
    if twice := len(keys) - len(np.unique(keys)):
        click.echo(
            f"{twice:,} keys stand there again: a reader by key meets one of them, ImageRecordIter and DALI all"
        )


@main.command("salvage")
@click.argument("rec", type=REC)
@click.argument("out", type=click.Path(path_type=Path))
def salvage_(rec: Path, out: Path) -> None:
    """Copy every sound record of a damaged REC to OUT, and name the bytes that are lost.

    Records begin at multiples of four bytes: what missing bytes have moved by another number is lost.
    """
    from imnetlib import recordio_check, shard_check

    index = rec.with_suffix(".idx")
    report = recordio_check.salvage(rec, out, index if index.exists() else None)
    for problem in report.problems:
        click.echo(problem)
    for first, behind in report.lost.tolist():
        click.echo(f"lost: bytes {first:,} to {behind:,}")
    click.echo(f"{len(report.offsets):,} records saved to {out}")
    unlike = shard_check.check_sidecar(rec)
    for problem in unlike:
        click.echo(problem)
    if report.problems or unlike:
        click.echo(
            f"Images may be damaged inside: imnet verify --decode {out} names those that cannot be read"
        )
        sys.exit(LEFT_OUT)


@main.command("backup")
@click.argument("folder", type=FOLDER)
@click.argument("url", metavar="s3://BUCKET/PREFIX")
def backup_(folder: Path, url: str) -> None:
    """Send FOLDER to S3 with checksums; what is there already is not sent again. The keys are those of boto3."""
    from imnetlib import backup

    done = backup.backup(folder, *_s3(url))
    click.echo(
        f"{done.files:,} files, {done.bytes:,} bytes; sent: {done.moved:,} files, {done.bytes_moved:,} bytes"
    )


@main.command("restore")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.argument("folder", type=FOLDER, required=False)
def restore_(url: str, folder: Path | None) -> None:
    """Fetch a backup into FOLDER and prove each file; without FOLDER, only say what is missing or wrong in S3."""
    from imnetlib import backup

    where = _s3(url)
    if folder is None:
        problems = backup.check(*where)
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems):,} objects do not agree with the manifest")
        sys.exit(bool(problems))
    done = backup.restore(*where, folder)
    click.echo(
        f"{done.files:,} files, {done.bytes:,} bytes; fetched: {done.moved:,} files, {done.bytes_moved:,} bytes"
    )


def _s3(url: str) -> tuple[Any, str, str]:
    """A client, the bucket and the prefix of s3://BUCKET/PREFIX."""
    import boto3
    from botocore.exceptions import BotoCoreError

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise click.UsageError(f"{url} is no address in S3: write s3://BUCKET/PREFIX")
    try:
        return boto3.client("s3"), bucket, prefix
    except BotoCoreError as error:  # a profile that does not exist, for one
        raise click.ClickException(str(error)) from error
