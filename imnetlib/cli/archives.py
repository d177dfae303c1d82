"""The verbs of the archives: fetch, prove, index and unpack them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from imnetlib.catalog import ILSVRC2012
from imnetlib.cli.common import FILE, FOLDER, LEFT_OUT


@click.command("download")
@click.argument("archives", nargs=-1)
@click.option("--to", "folder", type=FOLDER, required=True, help="The folder for the archives.")
@click.option("--url", help="The address they lie under, where that is not image-net.org.")
@click.option("--size", type=int, help="Of a file given by its address: its length in bytes.")
@click.option("--md5", help="Of a file given by its address: its MD5.")
@click.option(
    "--credentials", type=FILE, help="A file of mode 600 with IMAGENET_USER and IMAGENET_KEY lines."
)
@click.option(
    "--bandwidth", type=click.FloatRange(min=0, min_open=True), help="At most so many MB/s."
)
def download_(
    archives: tuple[str, ...], folder: Path, url: str | None, size: int | None, md5: str | None,
    credentials: Path | None, bandwidth: float | None,
) -> None:  # fmt: skip
    """Fetch ARCHIVES, resuming what an earlier call began, and index each tar on the way.

    Each is the name of an archive of ImageNet (the three of ILSVRC2012 for none), or the address of
    any other file.
    """
    from imnetlib.catalog import Archive, published
    from imnetlib.download import download

    if (size or md5) and [("://" in name) for name in archives] != [True]:
        raise click.UsageError("--size and --md5 are of one file that is given by its address")
    unindexed = False
    for name in archives or [archive.name for archive in ILSVRC2012.archives]:
        if "://" in name:
            address = name
            archive = Archive(urlsplit(name).path.rpartition("/")[2], size, md5)
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


@click.command("verify-archives")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option(
    "--index", is_flag=True, help="Leave the index of each whole tar beside it, from the same pass."
)
def verify_archives_(folder: Path, index: bool) -> None:
    """Say which of ILSVRC2012's archives in FOLDER are whole, partial, damaged or missing."""
    from imnetlib.download import verify_archives

    states = verify_archives(ILSVRC2012, folder, index=index)
    for state in states:
        wanted = (
            f", not {ILSVRC2012.archive(state.name).size:,}" if state.state == "wrong size" else ""
        )
        click.echo(f"{state.name}: {state.state} ({state.bytes:,} bytes{wanted})")
    sys.exit(any(state.state != "whole" for state in states))


@click.command("index")
@click.argument("file", metavar="TAR|REC", type=FILE)
def index_(file: Path) -> None:
    """Index TAR, a tar or a tar of tars, into TAR.npz: pack and list then read its images in place.

    A .tar.gz or .tgz is unpacked beside itself and indexed, in one pass. For a REC, write the .idx
    that it lacks.
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
        index = (
            index_tar(tar, bar.update) if unpacked == tar else gunzip_tar(tar, unpacked, bar.update)
        )
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


@click.group("organize")
def organize_() -> None:
    """Unpack the archives, put the validation set in order, check what lies on the disk."""


@organize_.command("train")
@click.argument("tar", type=FILE)
@click.argument("folder", type=FOLDER)
def organize_train(tar: Path, folder: Path) -> None:
    """Unpack the training archive TAR into FOLDER, a folder for each class."""
    from imnetlib import organize

    done = organize.extract_train(tar, folder)
    click.echo(
        f"{done.classes:,} classes, {done.written:,} files written, {done.skipped:,} were there"
    )


@organize_.command("validation")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.argument("labels", type=FILE)
@click.argument("folder", type=FOLDER)
@click.option("--link", is_flag=True, help="Hard links: the flat files stay.")
def organize_validation(source: Path, labels: Path, folder: Path, link: bool) -> None:
    """Put the validation images of SOURCE into class folders in FOLDER.

    SOURCE is their archive, which is unpacked there first, or a folder of the flat files (FOLDER
    itself will do). LABELS is the devkit .tar.gz or Kaggle's LOC_val_solution.csv.
    """
    from imnetlib import organize

    # first: a wrong file should not cost the unpacking
    wnids = organize.read_labels(labels)
    if source.is_dir():
        flat = source
    else:
        organize.extract_validation(source, folder)
        flat = folder
    _tell_sorted(organize.sort_validation(folder, wnids, link=link, flat=flat))


def _tell_sorted(done: Any) -> None:
    click.echo(
        f"{done.classes:,} classes, {done.moved:,} images put in place, {done.in_place:,} were there"
    )


@organize_.command("kaggle")
@click.argument("download", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("root", type=FOLDER)
@click.option("--link", is_flag=True, help="Hard links: the download stays as it is.")
def organize_kaggle(download: Path, root: Path, link: bool) -> None:
    """Put Kaggle's unpacked DOWNLOAD into the course's folders under ROOT, on the same disk."""
    from imnetlib import catalog, organize
    from imnetlib.course.root import Root

    to = Root(root, catalog.ILSVRC2012)
    for done in organize.adopt_kaggle(download, to.train, to.validation, link=link):
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
    "--labels",
    type=FILE,
    help="For the validation set: its labels, devkit .tar.gz or Kaggle's .csv.",
)
@click.option(
    "--counts",
    type=FILE,
    help="For the training set: the archive's .npz, the devkit, or Kaggle's train_cls.txt.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Write the report here, with every file named.",
)
def organize_check(
    folder: Path, labels: Path | None, counts: Path | None, report: Path | None
) -> None:
    """Count the classes of FOLDER, compare with what should be there, and name the files that are
    strange.

    Strange is what is no plain colour JPEG, by its markers: damage among the pixels shows when it
    is packed. Exit status 3: a count is wrong, or a file is no image that can be read.
    """
    from imnetlib import organize
    from imnetlib.files import write_whole

    if labels and counts:
        raise click.UsageError(
            "--labels are for the validation set, --counts for the training set: give one"
        )
    expected = (
        Counter(organize.read_labels(labels))
        if labels
        else organize.train_counts(counts)
        if counts
        else None
    )
    found = organize.survey_folders(folder, expected)
    if not found.counts:
        raise click.ClickException(f"{folder} holds no class folders")
    click.echo(organize.survey_report(found), nl=False)
    if report is not None:
        write_whole(report, organize.survey_report(found, most=None).encode())
    sys.exit(0 if found.sound else LEFT_OUT)
