"""The verbs of the archives: download, verify, index and unpack them."""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from imnetlib.catalog import ILSVRC2012, Archive, published
from imnetlib.cli.common import (
    EXISTING,
    EXISTING_FILE,
    EXISTING_FOLDER,
    FOLDER,
    LEFT_OUT,
    PATH,
    REAL_POSITIVE,
)

if TYPE_CHECKING:
    from imnetlib.download import Result
    from imnetlib.organize import Sorting

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Download ARCHIVES, going on after any stop.")
@click.argument("archives", nargs=-1)
@click.option("--to", "folder", type=FOLDER, required=True, help="The folder for the archives.")
@click.option("--url", help="Where to find the archives, if not at image-net.org.")
@click.option(
    "--size",
    type=click.IntRange(min=0),
    help="Expected bytes; of one file that is given by its URL.",
)
@click.option("--md5", help="Expected MD5; of one file that is given by its URL.")
@click.option(
    "--credentials", type=EXISTING_FILE, help="File (mode 600) of IMAGENET_USER and IMAGENET_KEY."
)
@click.option("--bandwidth", type=REAL_POSITIVE, help="Limit, in MB/s.")
def download(
    archives: tuple[str, ...],
    folder: Path,
    url: str | None,
    size: int | None,
    md5: str | None,
    credentials: Path | None,
    bandwidth: float | None,
) -> None:
    """Download ARCHIVES, resuming what an earlier call began, and index each tar on the way.

    Each is the name of an archive of ImageNet (default: the three of ILSVRC2012), or the address of
    any other file.
    """
    from imnetlib.download import download

    is_stated = size is not None or md5 is not None
    if is_stated and not (len(archives) == 1 and "://" in archives[0]):
        raise click.UsageError("--size and --md5 are of one file that is given by its address")
    if md5 is not None and not re.fullmatch("[0-9a-fA-F]{32}", md5):
        raise click.UsageError("--md5 has 32 digits of 0 to 9 and a to f")
    incomplete = False
    for name in archives or [archive.name for archive in ILSVRC2012.archives]:
        address, archive = _source(name, url, size, md5)
        is_tar = archive.name.endswith(".tar")
        done = download(
            address,
            folder / archive.name,
            size=archive.size,
            md5=archive.md5,
            bandwidth=bandwidth * 1e6 if bandwidth else None,
            credentials=credentials,
            index=is_tar,
        )
        click.echo(f"{archive.name}: {_outcome(done)}")
        click.echo(f"{done.bytes_fetched:,} bytes fetched in {done.seconds:.0f} s")
        if done.index is not None:
            click.echo(f"indexed: {done.index}")
        incomplete |= done.verified == "unverified" or (is_tar and done.index is None)
    sys.exit(LEFT_OUT if incomplete else 0)


def _outcome(done: Result) -> str:
    """Whether the file came or was there, and how far it is known to be the right one."""
    if done.verified == "md5":
        return f"{'there' if done.was_there else 'fetched'}, MD5 {done.md5}, as stated"
    md5 = f"MD5 {done.md5}, which nobody has stated: compare it"
    if done.verified == "unverified":
        return f"there, unverified ({done.notes[-1]}), {md5}"
    return f"{'there, of the right size' if done.was_there else 'fetched'}, {md5}"


def _source(name: str, url: str | None, size: int | None, md5: str | None) -> tuple[str, Archive]:
    """The address of an archive, or of another file, and what is known about it."""
    if "://" in name:
        archive = Archive(urlsplit(name).path.rpartition("/")[2], size, md5)
        if archive.name in ("", ".", ".."):
            raise click.UsageError(f"{name} names no file")
        return name, archive
    address, archive = published(name)
    return address if url is None else f"{url.rstrip('/')}/{name}", archive


@click.command(short_help="Say which archives in FOLDER are whole.")
@click.argument("folder", type=EXISTING_FOLDER)
@click.option("--index", is_flag=True, help="Write the index of each whole tar beside it, too.")
def verify_archives(folder: Path, index: bool) -> None:
    """Say which of ILSVRC2012's archives in FOLDER are whole, partial, damaged or missing."""
    from imnetlib.download import verify_archives

    states = verify_archives(ILSVRC2012, folder, index=index)
    for state in states:
        size = f"{state.bytes:,} bytes"
        if state.state == "wrong size":
            size += f", not {ILSVRC2012.archive(state.name).size:,}"
        elif state.state == "unverified":
            size += ", no MD5 is stated"
        click.echo(f"{state.name}: {state.state} ({size})")
    found = {state.state for state in states}
    sys.exit(1 if found - {"whole", "unverified"} else LEFT_OUT if "unverified" in found else 0)


@click.command(short_help="Index a TAR, to read it in place, or a REC.")
@click.argument("file", metavar="TAR|REC", type=EXISTING_FILE)
@click.option(
    "--to", "kept", metavar="FILE.npz", type=FILE, help="The index (default: TAR.npz beside TAR)."
)
def index(file: Path, kept: Path | None) -> None:
    """Index TAR, from which list and pack then read its images in place.

    TAR holds class tars, class folders or flat images. A .tar.gz or .tgz is unpacked beside itself
    and indexed, in one pass. For a REC, write its missing .idx.
    """
    if kept is not None and (kept.suffix != ".npz" or file.suffix.lower() == ".rec"):
        raise click.UsageError("--to is a FILE.npz for the index of a TAR")
    if file.suffix.lower() == ".rec":
        _index_records(file)
    else:
        _index_tar(file, kept)


def _index_tar(tar: Path, kept: Path | None) -> None:
    from imnetlib.archive import gunzip_tar, index_path, index_tar, is_gzip
    from imnetlib.progress import progress

    target = tar
    if is_gzip(tar):
        target = tar.with_suffix("" if tar.suffix.lower() == ".gz" else ".tar")
        if target != tar and target.exists():
            click.echo(f"{target} is there already")
            tar = target
    if target != tar:
        _require_writable(
            target, f"unpack it elsewhere: gunzip -c {tar} > /ELSEWHERE/{target.name}"
        )
    kept = kept or index_path(target)
    _require_writable(kept, "name another place with --to FILE.npz")
    with progress(tar.stat().st_size, f"index {tar.name}", "B") as bar:
        advance = bar.update
        index = index_tar(tar, advance) if target == tar else gunzip_tar(tar, target, advance)
    index.save(kept)
    classes = f" in {_counted(len(index.class_names), 'class')}" if index.class_names else ""
    click.echo(f"{_counted(len(index), 'file')}{classes}: {kept}")
    _echo_left_out(index.left_out)
    loose = index.names[index.classes < 0].tolist() if classes else []
    if loose:
        click.echo(f"{_counted(len(loose), 'file')} of no class, the first {loose[0].decode()}")


def _require_writable(path: Path, remedy: str) -> None:
    """Find out before a long pass whether ``path`` can be written after it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written ({error.strerror}): {remedy}"
        ) from error


def _echo_left_out(count: int) -> None:
    if count:
        click.echo(f"left out: {_counted(count, 'file')} of macOS or Windows (._NAME and the like)")


def _counted(count: int, noun: str) -> str:
    plural = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{plural * (count != 1)}"


def _index_records(rec: Path) -> None:
    from imnetlib import recordio
    from imnetlib.progress import progress

    index = rec.with_suffix(".idx")
    if index.exists():
        raise click.UsageError(
            f"{index} is there: imnet verify says whether it is right; remove it to make a new one"
        )
    with progress(rec.stat().st_size, f"index {rec.name}", "B") as bar:
        keys, offsets = recordio.rebuild_index(rec, bar.update)
    recordio.write_index(index, keys, offsets)
    click.echo(f"{_counted(len(keys), 'record')}: {index}")


@click.group(short_help="Unpack the archives, sort the images, count them.")
def organize() -> None:
    """Unpack the archives, sort the validation set into classes, check what is on the disk."""


@organize.command("train", short_help="Unpack the training archive TAR into class folders.")
@click.argument("tar", type=EXISTING_FILE)
@click.argument("folder", type=FOLDER)
def organize_train(tar: Path, folder: Path) -> None:
    """Unpack the training archive TAR, or its .npz, into FOLDER, with a folder for each class."""
    from imnetlib.organize import extract_train

    done = extract_train(tar, folder)
    files = f"{_counted(done.written, 'file')} written, {done.skipped:,} were there"
    click.echo(f"{_counted(done.classes, 'class')}, {files}")
    _echo_left_out(done.left_out)


@organize.command("validation", short_help="Sort the validation images into class folders.")
@click.argument("source", type=EXISTING)
@click.argument("labels", type=EXISTING_FILE)
@click.argument("folder", type=FOLDER)
@click.option("--link", is_flag=True, help="Make hard links: the flat files stay.")
def organize_validation(source: Path, labels: Path, folder: Path, link: bool) -> None:
    """Sort the validation images of SOURCE into class folders in FOLDER.

    SOURCE is their archive, which is first unpacked into FOLDER, or a folder of the flat files
    (FOLDER itself will do). LABELS is the devkit .tar.gz or Kaggle's LOC_val_solution.csv, as it is
    or without its compression.
    """
    from imnetlib.organize import extract_validation, read_labels, sort_validation

    # Before the unpacking, which would be lost to a wrong file.
    wnids = read_labels(labels)
    flat = source
    if not source.is_dir():
        _echo_left_out(extract_validation(source, folder).left_out)
        flat = folder
    click.echo(_counts(sort_validation(folder, wnids, link=link, flat=flat)))


def _counts(done: Sorting) -> str:
    images = f"{_counted(done.moved, 'image')} put in place, {done.in_place:,} were there"
    return f"{_counted(done.classes, 'class')}, {images}"


@organize.command("kaggle", short_help="Move Kaggle's DOWNLOAD into the course's folders.")
@click.argument("download", type=EXISTING_FOLDER)
@click.argument("root", type=FOLDER)
@click.option("--link", is_flag=True, help="Make hard links: the download stays as it is.")
def organize_kaggle(download: Path, root: Path, link: bool) -> None:
    """Move Kaggle's unpacked DOWNLOAD into the course's folders under ROOT, on the same disk."""
    from imnetlib.course.root import Root
    from imnetlib.organize import adopt_kaggle

    folders = Root(root, ILSVRC2012)
    for done in adopt_kaggle(download, folders.train, folders.validation, link=link):
        click.echo(f"{done.folder}: {_counts(done)}")


@organize.command("undo", short_help="Move the sorted validation images back.")
@click.argument("folder", type=EXISTING_FOLDER)
def organize_undo(folder: Path) -> None:
    """Move the sorted validation images in FOLDER back to where they came from."""
    from imnetlib.organize import undo_validation

    done = undo_validation(folder)
    click.echo(f"{_counted(done.moved, 'image')} taken back")
    for name in done.missing:
        click.echo(f"{name} is gone")
    sys.exit(LEFT_OUT if done.missing else 0)


@organize.command("check", short_help="Count the files of each class, name strange ones.")
@click.argument("folder", type=EXISTING_FOLDER)
@click.option(
    "--labels", type=EXISTING_FILE, help="Labels of a validation set: devkit or Kaggle's .csv."
)
@click.option(
    "--counts", type=EXISTING_FILE, help="Counts of a training set: .npz, devkit, train_cls.txt."
)
@click.option("--report", type=PATH, help="Write a report here that names every file.")
def organize_check(
    folder: Path, labels: Path | None, counts: Path | None, report: Path | None
) -> None:
    """Count the files of each class in FOLDER, compare with what is expected, name strange files.

    A file is strange unless its markers say that it is a plain colour JPEG; damage among the pixels
    is found when it is packed. Exit status 3: a count is wrong, or a file cannot be read as an
    image.
    """
    from imnetlib import organize
    from imnetlib.files import write_bytes_atomically

    if labels and counts:
        raise click.UsageError(
            "--labels are for the validation set, --counts for the training set: give one"
        )
    expected: dict[str, int] | None = None
    if labels:
        expected = Counter(organize.read_labels(labels))
    elif counts:
        expected = organize.train_counts(counts)
    survey = organize.survey_folders(folder, expected)
    if not survey.counts:
        raise click.ClickException(f"{folder} holds no class folders")
    click.echo(organize.survey_report(survey), nl=False)
    if report is not None:
        write_bytes_atomically(report, organize.survey_report(survey, most=None).encode())
    sys.exit(0 if survey.sound else LEFT_OUT)
