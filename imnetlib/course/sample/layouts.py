"""Miniatures in the layout of other sets and of other ways to get them (chapter 1).

From a painted sample: the archives of winter 2021 and fall 2011, Kaggle's folders and tables, the
parquet files, plain class folders. And ILSVRC2012 at its real counts, of tiny pictures.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from imnetlib import catalog, organize
from imnetlib.archive import TarIndex, TarReader, index_tar
from imnetlib.arguments import require
from imnetlib.catalog import DEVKIT, TRAIN_TAR, VALIDATION_TAR, Dataset
from imnetlib.course.sample import archives, scenes
from imnetlib.course.sample.drawing import finish, load
from imnetlib.files import require_space, write_atomically
from imnetlib.progress import progress

# The sets that have no validation images of their own, and the archive of each.
_LARGE_SETS = {"winter21": catalog.WINTER21.archives[0], "fall11": catalog.IMAGENET21K.archives[0]}

# The rows of a parquet file, and of one of its row groups, as the publisher's tools write them.
_ROWS_PER_FILE = 1000
_ROWS_PER_GROUP = 100
# A tar's member of a tiny picture: a header and its data, padded.
_TINY_MEMBER = 512 + 1024
_FIRST_NUMBER = 10_000


def lay_out(drawn: Path, like: str, folder: Path) -> Dataset:
    """Arrange the painted sample in ``drawn`` as ``like`` in ``folder``; what it holds (chapter 1).

    ``like``: "winter21", "fall11", "kaggle", "parquet" or "folders"; ValueError for others.
    FileExistsError where ``folder`` holds something. A stopped run leaves a part of it: remove the
    folder, then run it again.
    """
    layouts = {"kaggle": _kaggle, "parquet": _parquet, "folders": _folders}
    known = (*_LARGE_SETS, *layouts)
    require(like in known, "like is winter21, fall11, kaggle, parquet or folders", like)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder for the miniature")
    folder.mkdir(parents=True, exist_ok=True)
    train = index_tar(drawn / TRAIN_TAR)
    validation = index_tar(drawn / VALIDATION_TAR)
    wnids = organize.labels_from_devkit(drawn / DEVKIT)
    if like in _LARGE_SETS:
        return _large_set(like, train, validation, wnids, folder)
    layouts[like](train, validation, wnids, folder)
    return load(drawn)


def _files(index: TarIndex) -> Iterator[tuple[str, bytes]]:
    """The names, as in the index, and the bytes of all members."""
    with TarReader(index) as reader:
        for position, name in enumerate(index.names.tolist()):
            yield name.decode(), reader.read(position)


def _numbered(index: TarIndex, wnids: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Name, class and bytes of the validation images in the order of their numbers."""
    files = dict(_files(index))
    for number, wnid in enumerate(wnids, 1):
        name = organize.validation_name(number)
        yield name, wnid, files[name]


def _large_set(
    like: str, train: TarIndex, validation: TarIndex, wnids: Sequence[str], folder: Path
) -> Dataset:
    """All but one class in one archive of class tars; validation images of ILSVRC2012's classes.

    The class that is left out is one of ILSVRC2012's: its validation images have no column.
    """
    ilsvrc = sorted(set(wnids) & set(catalog.wnids_1k()))
    absent = ilsvrc[len(ilsvrc) // 2]
    files = ((name.partition("/")[2], data) for name, data in _files(train))
    kept = ((name, data) for name, data in files if not name.startswith(absent))
    whole = _LARGE_SETS[like].name
    plain = folder / whole.removesuffix(".gz")
    archives.write_by_class(plain, kept)
    if plain.name != whole:
        _compress(plain, folder / whole)
    chosen = [file for file in _numbered(validation, wnids) if file[1] in ilsvrc]
    renamed = [
        (organize.validation_name(number), data) for number, (*_, data) in enumerate(chosen, 1)
    ]
    # In a tar the order is no guide.
    order = np.random.default_rng(21).permutation(len(renamed)).tolist()
    archives.write_flat(folder / VALIDATION_TAR, (renamed[place] for place in order))
    groups = {wnid: scenes.motifs()[wnid].group for wnid in reversed(ilsvrc)}
    counts = organize.train_counts_from_index(train)
    truth = [wnid for _, wnid, _ in chosen]
    archives.write_devkit(folder / DEVKIT, groups, truth, counts)
    names = (whole, VALIDATION_TAR, DEVKIT)
    images = sum(counts.values()) - counts[absent]
    return finish(folder, names, _described(like, len(counts) - 1, images, len(chosen)))


def _compress(plain: Path, packed: Path) -> None:
    """Put a tar's .tar.gz in its place."""
    with (
        plain.open("rb") as tar,
        write_atomically(packed) as out,
        gzip.GzipFile("", "wb", fileobj=out, mtime=0, compresslevel=1) as gz,
    ):
        shutil.copyfileobj(tar, gz)
    plain.unlink()


def _described(name: str, classes: int, train: int, validation: int) -> dict[str, str | int]:
    return {"name": name, "classes": classes, "train": train, "validation": validation}


def _write_files(folder: Path, files: Iterator[tuple[str, bytes]]) -> None:
    for name, data in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _kaggle(train: TarIndex, validation: TarIndex, wnids: Sequence[str], folder: Path) -> None:
    images = folder / organize.KAGGLE_IMAGES
    _write_files(images / "train", _files(train))
    _write_files(images / "val", ((name, data) for name, _, data in _numbered(validation, wnids)))
    stems = [name.decode().removesuffix(".JPEG") for name in train.names.tolist()]
    write_kaggle_tables(folder, train.class_names, stems, wnids)


def write_kaggle_tables(
    folder: Path, classes: Iterable[str], stems: Iterable[str], wnids: Sequence[str]
) -> None:
    """Write the three tables of Kaggle's download: classes, training images, labels (chapter 2).

    ``stems``: of the training images, ``<wnid>/<name>`` without .JPEG. ``wnids``: the class of
    validation image 1, 2, …; their rows are in no order, as there.
    """
    names = "".join(f"{wnid} its names\n" for wnid in classes)
    (folder / organize.KAGGLE_CLASSES).write_text(names, encoding="utf-8")
    rows = [
        f"{organize.validation_name(number).removesuffix('.JPEG')},{wnid} 0 0 499 374\n"
        for number, wnid in enumerate(wnids, 1)
    ]
    table = "ImageId,PredictionString\n" + "".join(reversed(rows))
    (folder / organize.KAGGLE_LABELS).write_text(table, encoding="utf-8")
    listed = folder / organize.KAGGLE_TRAIN_LIST
    listed.parent.mkdir(parents=True)
    lines = [f"{stem} {number}\n" for number, stem in enumerate(stems, 1)]
    listed.write_text("".join(lines), encoding="utf-8")


def _parquet(train: TarIndex, validation: TarIndex, wnids: Sequence[str], folder: Path) -> None:
    """The columns of ILSVRC/imagenet-1k, its rows at random, its files and row groups small."""
    rows = []
    for path, data in _files(train):
        wnid, _, name = path.partition("/")
        rows.append((f"{name.removesuffix('.JPEG')}_{wnid}.JPEG", wnid, data))
    order = np.random.default_rng(22).permutation(len(rows)).tolist()
    labels = {wnid: label for label, wnid in enumerate(train.class_names)}
    _write_parquet(folder / "data", "train", [rows[place] for place in order], labels)
    held_out = [
        (f"{name.removesuffix('.JPEG')}_{wnid}.JPEG", wnid, data)
        for name, wnid, data in _numbered(validation, wnids)
    ]
    _write_parquet(folder / "data", "validation", held_out, labels)


def _write_parquet(
    folder: Path, part: str, rows: Sequence[tuple[str, str, bytes]], labels: dict[str, int]
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    folder.mkdir(parents=True, exist_ok=True)
    files = -(-len(rows) // _ROWS_PER_FILE)
    for number in range(files):
        own = rows[number * _ROWS_PER_FILE : (number + 1) * _ROWS_PER_FILE]
        table = pa.table(
            {
                "image": [{"bytes": data, "path": name} for name, _, data in own],
                "label": [labels[wnid] for _, wnid, _ in own],
            }
        )
        path = folder / f"{part}-{number:05}-of-{files:05}.parquet"
        parquet.write_table(table, path, row_group_size=_ROWS_PER_GROUP)


def _folders(train: TarIndex, validation: TarIndex, wnids: Sequence[str], folder: Path) -> None:
    _write_files(folder / "train", _files(train))
    held_out = ((f"{wnid}/{name}", data) for name, wnid, data in _numbered(validation, wnids))
    _write_files(folder / "val", held_out)


def draw_tiny(folder: Path) -> Dataset:
    """ILSVRC2012's archives with all their files, each a picture of 16 pixels (chapter 1).

    2 GB in seconds. 732 to 1,300 training images a class, 1,281,167 in all, and 50,000 for
    validation with the labels that ILSVRC2012's have.
    """
    real = catalog.ILSVRC2012
    wnids = catalog.wnids_1k()
    require_space(folder, (real.train + real.validation) * _TINY_MEMBER)
    pictures = {wnid: _tiny(number) for number, wnid in enumerate(wnids)}
    counts = dict(zip(wnids, _class_sizes(real), strict=True))
    with (
        write_atomically(folder / TRAIN_TAR) as out,
        progress(len(wnids), "draw", "classes") as bar,
    ):
        for wnid, count in counts.items():
            names = [f"{wnid}_{number}.JPEG" for number in _numbers(count)]
            inner = _members(names, [pictures[wnid]]) + bytes(1024)
            out.write(_header(f"{wnid}.tar", len(inner)) + inner + bytes(-len(inner) % 512))
            bar.update()
        out.write(bytes(1024))
    truth = catalog.validation_wnids()
    order = np.random.default_rng(23).permutation(len(truth)).tolist()
    names = [organize.validation_name(place + 1) for place in order]
    with write_atomically(folder / VALIDATION_TAR) as out:
        out.write(_members(names, [pictures[truth[place]] for place in order]) + bytes(1024))
    groups = dict.fromkeys(reversed(wnids), next(iter(scenes.motifs().values())).group)
    archives.write_devkit(folder / DEVKIT, groups, truth, counts)
    described = _described(real.name, real.classes, real.train, real.validation)
    return finish(folder, (TRAIN_TAR, VALIDATION_TAR, DEVKIT), described)


def _numbers(count: int) -> range:
    # All of one length, so that the names are.
    return range(_FIRST_NUMBER, _FIRST_NUMBER + count)


def _class_sizes(dataset: Dataset) -> list[int]:
    """1,300 images for most classes, 732 for the smallest, ``dataset.train`` in all."""
    sizes = [1300] * dataset.classes
    missing = sum(sizes) - dataset.train
    for number in range(0, dataset.classes, 9):
        sizes[number] -= min(missing, 568)
        missing = sum(sizes) - dataset.train
    return sizes


def _tiny(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
    return archives.encode(np.full_like(pixels, pixels[0, 0]))


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _members(names: Sequence[str], pictures: Sequence[bytes]) -> bytes:
    """Members of a tar, with names of one length, each smaller than a KiB: picture i is name i's.

    Where there is only one picture, it is that of all names.
    """
    kinds = {picture: _header(names[0], len(picture)) for picture in set(pictures)}
    blocks = {
        picture: np.frombuffer((header + picture).ljust(_TINY_MEMBER, b"\0"), np.uint8)
        for picture, header in kinds.items()
    }
    members = np.empty((len(names), _TINY_MEMBER), np.uint8)
    members[:] = np.stack([blocks[picture] for picture in pictures])
    width = len(names[0])
    members[:, :width] = np.array(names, f"S{width}").view(np.uint8).reshape(len(names), width)
    members[:, 148:156] = ord(" ")
    totals = members[:, :512].sum(axis=1, dtype=np.int64).tolist()
    checksums = b"".join(b"%06o\0 " % total for total in totals)
    members[:, 148:156] = np.frombuffer(checksums, np.uint8).reshape(len(names), 8)
    return members.tobytes()
