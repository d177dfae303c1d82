"""One folder per class: extract the archives, sort the validation images, undo it (chapter 2).

The best-known bug of this step pairs sorted files with labels without counting either: 0.1 % accuracy and no
error. Here image i gets label i because its name says i, and everything is counted before anything moves.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import shutil
import tarfile
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imnetlib import catalog
from imnetlib.archive import TarIndex, TarReader, open_index
from imnetlib.files import (
    HALF_BLOCK,
    alone,
    first_names,
    fsync_folder,
    full_disk_named,
    require_one_disk,
    require_space,
    shown_names,
    sync,
    write_atomically,
)
from imnetlib.progress import progress

JOURNAL = ".sorted.json"
_BATCH = 1000  # validation images between two syncs: 130 MB
_SOME = 1 << 16  # names looked at at a time
_TRAIN_NAME = re.compile(rb"(n\d{8})/\1_\d+\.JPEG")
_VALIDATION_NAME = re.compile(rb"ILSVRC2012_val_\d{8}\.JPEG")


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extraction did: files written and files that an earlier one had left, bytes and seconds."""

    folder: Path
    classes: int
    written: int
    skipped: int
    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Sorting:
    """What was sorted, adopted or undone: how many images were moved or linked, and how many were in place.

    ``missing`` names the images that an undo found at neither of their places.
    """

    folder: Path
    classes: int
    moved: int
    in_place: int
    missing: tuple[str, ...] = ()


def extract_train(tar: Path | TarIndex, folder: Path) -> Extraction:
    """Unpack each class of the training archive into ``folder/<wnid>`` (chapter 2).

    A class is unpacked under another name and then renamed, so it is whole or not there; run again, it goes on
    with the classes that are missing. ValueError, before a byte is written, for a member that is not
    ``<wnid>/<wnid>_<number>.JPEG`` or that ``index_tar`` refuses; and for a class folder whose files are not as
    many and as long as the archive's. Reads the archive once, in its own order.
    """
    began = time.monotonic()
    index = tar if isinstance(tar, TarIndex) else open_index(tar)
    _check_names(index, _TRAIN_NAME, "<wnid>/<wnid>_<number>.JPEG")
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        return _extract_train(index, folder, began)


def _extract_train(index: TarIndex, folder: Path, began: float) -> Extraction:
    wnids = index.names.astype("S9")
    order = np.argsort(wnids, kind="stable")
    classes = np.split(order, np.flatnonzero(wnids[order][1:] != wnids[order][:-1]) + 1)
    missing = []
    for positions in sorted(classes, key=lambda positions: int(positions[0])):  # as the archive has them
        target = folder / wnids[positions[0]].decode()
        if target.exists():
            _check_extracted(target, index, positions)
        else:
            missing.append((target, positions))
    total = int(sum(index.sizes[positions].sum() for _, positions in missing))
    written = sum(len(positions) for _, positions in missing)
    _require_space(folder, written, total)
    with TarReader(index) as reader, progress(total, folder.name, "B") as bar:
        for target, positions in missing:
            _extract_class(reader, positions.tolist(), target)
            bar.update(int(index.sizes[positions].sum()))
    return Extraction(folder, len(classes), written, len(index) - written, total, time.monotonic() - began)


def _check_names(index: TarIndex, pattern: re.Pattern[bytes], described: str) -> None:
    odd: list[str] = []
    for start in range(0, len(index), _SOME):  # 14 million names as objects would take a gigabyte
        some = index.names[start : start + _SOME].tolist()
        odd += [name.decode() for name in some if not pattern.fullmatch(name)]
    if odd:
        raise ValueError(f"{index.path}: {len(odd):,} members are not called {described}: {first_names(odd)}")


def _check_extracted(target: Path, index: TarIndex, positions: NDArray[np.int64]) -> None:
    """ValueError unless a class folder has the files that the archive has for it, each as long as there."""
    found = _sizes(target)
    names = [name.decode().partition("/")[2] for name in index.names[positions].tolist()]
    sizes = index.sizes[positions].tolist()
    if len(found) != len(names):
        counts = f"{len(found):,} files, the archive {len(names):,}"
        raise ValueError(f"{target} holds {counts}: move it away first")
    if odd := [name for name, size in zip(names, sizes, strict=True) if found.get(name) != size]:
        raise ValueError(
            f"{target}: {len(odd):,} files are missing or not as long as in the archive ({first_names(odd)}): "
            "move it away first"
        )


def _sizes(folder: Path) -> dict[str, int]:
    """The length of each file in a folder, -1 for what is none; hidden ones but the journal are left out."""
    shown = (entry for entry in os.scandir(folder) if entry.name[0] != "." or entry.name == JOURNAL)
    return {entry.name: entry.stat().st_size if entry.is_file() else -1 for entry in shown}


def _require_space(folder: Path, files: int, data: int) -> None:
    """Make the folder; OSError when its disk is too small, with half a block of each file counted in."""
    require_space(folder, data + files * HALF_BLOCK)


def _extract_class(reader: TarReader, positions: Sequence[int], target: Path) -> None:
    """Write one class beside its place; the rename comes when its data is on the disk."""
    beside = target.with_name(f".{target.name}.tmp")
    if beside.exists():  # left by a kill
        shutil.rmtree(beside)
    beside.mkdir()
    with full_disk_named(target):
        for position in positions:
            name = reader.index.names[position].decode().partition("/")[2]
            (beside / name).write_bytes(reader.read(position))
    sync()
    beside.rename(target)
    fsync_folder(target.parent)


def extract_validation(tar: Path | TarIndex, folder: Path) -> Extraction:
    """Unpack the validation archive flat into ``folder`` (chapter 2).

    Each file is whole or not there, even after a power cut; run again, files with the right size are left alone,
    and a folder that ``sort_validation`` has begun to sort is left as it is. ValueError as ``extract_train``.
    """
    began = time.monotonic()
    index = tar if isinstance(tar, TarIndex) else open_index(tar)
    _check_names(index, _VALIDATION_NAME, "ILSVRC2012_val_<8 digits>.JPEG")
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        return _extract_validation(index, folder, began)


def _extract_validation(index: TarIndex, folder: Path, began: float) -> Extraction:
    names, sizes = [name.decode() for name in index.names.tolist()], index.sizes.tolist()
    there = _sizes(folder)
    missing = [i for i, name in enumerate(names) if there.get(name) != sizes[i] and JOURNAL not in there]
    total = sum(sizes[i] for i in missing)
    _require_space(folder, len(missing), total)
    with TarReader(index) as reader, progress(total, folder.name, "B") as bar:
        for start in range(0, len(missing), _BATCH):
            batch = [(i, folder / f".{names[i]}.tmp") for i in missing[start : start + _BATCH]]
            with full_disk_named(folder):
                for position, beside in batch:
                    beside.write_bytes(reader.read(position))
                    bar.update(sizes[position])
            sync()
            for position, beside in batch:
                beside.replace(folder / names[position])
    fsync_folder(folder)
    return Extraction(folder, 0, len(missing), len(index) - len(missing), total, time.monotonic() - began)


def labels_from_devkit(devkit: Path) -> tuple[str, ...]:
    """The wnid of validation image 1, 2, … from ILSVRC2012_devkit_t12.tar.gz, read without unpacking (chapter 2).

    Its ground truth holds ids in file-name order; ``meta.mat`` gives each id's wnid, in the rows without children.
    ValueError for a cut or another file, an id that is no class and classes with unequal numbers of images.
    """
    wnids, _, ids = _from_devkit(devkit)
    if strange := set(ids) - wnids.keys():
        raise ValueError(
            f"{devkit}: the ground truth has ids that are no class: {first_names(map(str, strange))}"
        )
    return _equal_shares(tuple(wnids[i] for i in ids), devkit, len(wnids))


def _from_devkit(devkit: Path) -> tuple[dict[int, str], dict[str, int], list[int]]:
    from scipy.io.matlab import MatReadError  # 0.2 s, for this function alone

    try:
        return _read_devkit(devkit)
    except (
        *(tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError),  # cut or damaged
        *(MatReadError, LookupError, ValueError, TypeError, NotImplementedError),  # other files, other fields
    ) as error:
        raise ValueError(
            f"{devkit} cannot be read ({type(error).__name__}: {error}): is it the devkit, and whole? Download "
            "ILSVRC2012_devkit_t12.tar.gz again"
        ) from error


def train_counts_from_devkit(devkit: Path) -> dict[str, int]:
    """How many training images each class has, as the development kit's ``meta.mat`` says (chapter 2)."""
    return _from_devkit(devkit)[1]


def _read_devkit(devkit: Path) -> tuple[dict[int, str], dict[str, int], list[int]]:
    """The wnid of each class id, the training images of each wnid, and the id of each validation image."""
    from scipy.io import loadmat

    files = {}
    with gzip.open(devkit) as packed:
        data = io.BytesIO(packed.read())  # to its end, for there is the checksum; 2.5 MB
    with tarfile.open(fileobj=data, mode="r:") as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            if name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt") and (
                opened := tar.extractfile(member)
            ):
                files[name] = opened.read()
    synsets = loadmat(io.BytesIO(files["meta.mat"]), squeeze_me=True)["synsets"]  # type: ignore[arg-type]
    leaves = synsets[synsets["num_children"].astype(int) == 0]
    wnids = [str(wnid) for wnid in leaves["WNID"]]
    by_id = dict(zip(leaves["ILSVRC2012_ID"].astype(int).tolist(), wnids, strict=True))
    counts = dict(zip(wnids, leaves["num_train_images"].astype(int).tolist(), strict=True))
    return by_id, counts, [int(line) for line in files["ILSVRC2012_validation_ground_truth.txt"].split()]


def labels_from_catalog() -> tuple[str, ...]:
    """The same labels from the list that comes with the course."""
    return catalog.validation_wnids()


def labels_from_kaggle(solution: Path) -> tuple[str, ...]:
    """The same labels from Kaggle's LOC_val_solution.csv, whose rows stand in no order (chapter 2).

    ValueError for another table, for image numbers that are not 1, 2, … without a gap, and for unequal shares.
    """
    labels: dict[str, str] = {}
    with solution.open(newline="", encoding="ascii") as table:
        try:
            for row in csv.DictReader(table):
                labels[f"{row['ImageId']}.JPEG"] = row["PredictionString"].split()[0]
        except (LookupError, AttributeError, UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"{solution} has no ImageId and PredictionString after {len(labels):,} images: "
                "is it Kaggle's LOC_val_solution.csv, and whole? Download it again"
            ) from error
    names = [validation_name(i) for i in range(1, len(labels) + 1)]
    compare(set(labels), set(names), solution)
    return _equal_shares(tuple(labels[name] for name in names), solution, len(set(labels.values())))


def read_labels(source: Path) -> tuple[str, ...]:
    """The same labels from either file: Kaggle's .csv, or the development kit's .tar.gz (chapter 2).

    ValueError for a file that is called otherwise.
    """
    if source.suffix == ".csv":
        return labels_from_kaggle(source)
    if source.suffix in (".gz", ".tgz"):
        return labels_from_devkit(source)
    raise ValueError(
        f"{source} gives no labels: name the development kit .tar.gz or Kaggle's LOC_val_solution.csv"
    )


def _equal_shares(wnids: tuple[str, ...], source: Path, classes: int) -> tuple[str, ...]:
    """``wnids``, if each class has as many images as any other; a cut file shows here."""
    counts = Counter(wnids)
    if odd := [wnid for wnid in counts if not catalog.WNID.fullmatch(wnid)]:
        raise ValueError(f"{source}: not all labels are wnids like n02510455: {first_names(odd)}")
    if len(counts) != classes or len(set(counts.values())) != 1:
        least, most = min(counts.values(), default=0), max(counts.values(), default=0)
        raise ValueError(
            f"{source}: {len(counts)} of {classes} classes have labels, {least} to {most} each: not whole"
        )
    return wnids


def is_training_name(wnid: str, name: str) -> bool:
    """Whether ImageNet calls training images of the class ``wnid`` like this."""
    return _TRAIN_NAME.fullmatch(os.fsencode(f"{wnid}/{name}")) is not None


def is_validation_name(name: str) -> bool:
    """Whether ImageNet calls validation images like this."""
    return _VALIDATION_NAME.fullmatch(os.fsencode(name)) is not None


def validation_name(number: int) -> str:
    """The file name of validation image 1, 2, …"""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def compare(found: set[str], expected: set[str], where: Path, what: str = "validation images") -> None:
    """ValueError that counts and names what is missing and what is too much."""
    missing, unexpected = expected - found, found - expected
    if missing or unexpected:
        said = [
            f"{len(names):,} {kind} ({first_names(names)})"
            for kind, names in (("missing", missing), ("unexpected", unexpected))
            if names
        ]
        raise ValueError(f"{where}: of {len(expected):,} {what}, {' and '.join(said)}: nothing was done")


def sort_validation(
    folder: Path, wnids: Sequence[str], *, link: bool = False, flat: Path | None = None
) -> Sorting:
    """Put validation image i into ``folder/<wnids[i - 1]>``, out of ``flat`` or else ``folder`` itself (chapter 2).

    All names are checked first: ValueError, and nothing moved, if any is missing or too much. A journal, written
    before the first move, lets a killed run go on and ``undo_validation`` take it back; a second run changes
    nothing. ``link`` makes hard links and leaves the originals. OSError where ``flat`` is on another disk.
    """
    if odd := {wnid for wnid in wnids if not catalog.WNID.fullmatch(wnid)}:
        raise ValueError(f"the labels are not all wnids: {first_names(odd)}")
    flat = flat or folder
    if flat != folder:
        require_one_disk(flat, folder)
    with alone(folder):
        _begin(folder, wnids, link, flat)
        return _sort(folder, wnids, link, flat)


def _begin(folder: Path, wnids: Sequence[str], link: bool, flat: Path) -> None:
    """Check everything and write the journal, or find that the same sorting has been begun."""
    record: dict[str, Any] = {"link": link, "wnids": list(wnids)}
    if flat != folder:
        record["flat"] = str(flat.resolve())
    if (folder / JOURNAL).exists():
        _check_journal(_read_journal(folder), record, folder)
        return
    compare(shown_names(flat), set(map(validation_name, range(1, len(wnids) + 1))), flat)
    if flat != folder and (others := shown_names(folder)):
        raise ValueError(f"{folder} holds other things ({first_names(others)}): choose an empty folder")
    with write_atomically(folder / JOURNAL) as out:
        out.write(json.dumps(record).encode())


def _sort(folder: Path, wnids: Sequence[str], link: bool, flat: Path) -> Sorting:
    pairs, missing = _pairs(folder, wnids, flat)
    if missing:
        raise ValueError(
            f"{folder}: {len(missing):,} of {len(wnids):,} images are gone ({first_names(missing)}): "
            f"imnet organize undo {folder}, put them back, then sort again"
        )
    for wnid in sorted(set(wnids)):
        (folder / wnid).mkdir(exist_ok=True)
    moved = 0
    with progress(len(pairs), f"sort {folder.name}", "images") as bar:
        for at, placed in pairs:
            if not placed.exists():
                if link:
                    placed.hardlink_to(at)
                else:
                    at.rename(placed)
                moved += 1
            bar.update(1)
    sync()
    return Sorting(folder, len(set(wnids)), moved, len(pairs) - moved)


def _check_journal(was: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """ValueError that says in what the sorting that was begun differs from the one asked for now."""
    ways = {
        "other labels": was["wnids"] != now["wnids"],
        f"{'links' if was['link'] else 'moves'}, not {'links' if now['link'] else 'moves'}": was["link"]
        != now["link"],
        f"images out of {was.get('flat', 'the same folder')}": was.get("flat") != now.get("flat"),
    }
    if differs := [way for way, other in ways.items() if other]:
        raise ValueError(
            f"{folder} was sorted with {' and '.join(differs)}: imnet organize undo {folder}, then sort again"
        )


def _read_journal(folder: Path) -> dict[str, Any]:
    path = folder / JOURNAL
    if not path.exists():
        raise ValueError(f"{folder} has no {JOURNAL}: it holds no validation images that were sorted here")
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        return {"link": record["link"], "wnids": record["wnids"]} | record
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): move the images back by hand, then remove it"
        ) from error


def _pairs(folder: Path, wnids: Sequence[str], flat: Path) -> tuple[list[tuple[Path, Path]], tuple[str, ...]]:
    """Each image's flat and sorted path, and the names of those that are at neither."""
    places = {validation_name(number): wnid for number, wnid in enumerate(wnids, 1)}
    pairs = [(flat / name, folder / wnid / name) for name, wnid in places.items()]
    there = [pair for pair in pairs if pair[0].exists() or pair[1].exists()]
    return there, tuple(sorted(places.keys() - {at.name for at, _ in there}))


def undo_validation(folder: Path) -> Sorting:
    """Take back what ``sort_validation`` did, also half of it: the images are flat again (chapter 2).

    Images that have gone meanwhile are named in the result; a class folder that holds other things stays. ValueError,
    and nothing moved, where another file has taken an image's old place.
    """
    record = _read_journal(folder)
    with alone(folder):
        return _undo(folder, record["wnids"], Path(record.get("flat", folder)))


def _undo(folder: Path, wnids: Sequence[str], flat: Path) -> Sorting:
    pairs, missing = _pairs(folder, wnids, flat)
    taken = [at.name for at, placed in pairs if at.exists() and placed.exists() and not at.samefile(placed)]
    if taken:
        raise ValueError(
            f"{flat}: other files have taken the places of {first_names(taken)}: move those away first"
        )
    flat.mkdir(parents=True, exist_ok=True)
    moved = 0
    with progress(len(pairs), f"undo {folder.name}", "images") as bar:
        for at, placed in pairs:
            if placed.exists():
                if at.exists():  # it was a link
                    placed.unlink()
                else:
                    placed.rename(at)
                moved += 1
            bar.update(1)
    for wnid in set(wnids):
        if (folder / wnid).exists() and not any((folder / wnid).iterdir()):
            (folder / wnid).rmdir()
    (folder / JOURNAL).unlink()
    sync()
    return Sorting(folder, len(set(wnids)), moved, len(pairs) - moved, missing)
