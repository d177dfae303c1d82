"""Labels and counts from each file that has them."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import random
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from making import tar_of
from scipy.io import loadmat, savemat
from small_set import LABELS, WNIDS

from imnetlib import catalog, organize
from imnetlib.archive import TarIndex, index_tar
from imnetlib.course import sample
from imnetlib.organize import labels


def devkit(
    folder: Path, wnids: tuple[str, ...], labels: tuple[str, ...], ids: dict[str, int]
) -> Path:
    """A development kit as published: ids in their own order, inner synsets after the classes."""
    fields = ["ILSVRC2012_ID", "WNID", "num_children", "words", "num_train_images"]
    synsets = np.empty((len(wnids) + 1, 1), dtype=[(name, object) for name in fields])
    for row, wnid in enumerate(sorted(wnids, key=ids.__getitem__)):
        synsets[row, 0] = (float(ids[wnid]), wnid, 0.0, "words", float(1300 - ids[wnid]))
    synsets[-1, 0] = (float(len(wnids) + 1), "n00001740", 3.0, "entity", 0.0)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    truth = "".join(f"{ids[wnid]}\n" for wnid in labels).encode()
    members = {
        "ILSVRC2012_devkit_t12/data/meta.mat": meta.getvalue(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": truth,
    }
    path = folder / "devkit.tar.gz"
    path.write_bytes(gzip.compress(tar_of(members)))
    return path


@pytest.mark.parametrize("name", ["devkit.tar.gz", "devkit.tar", "devkit"])
@pytest.mark.parametrize("compressed", [True, False])
def test_the_devkit_is_known_by_its_content(tmp_path: Path, name: str, compressed: bool):
    """As a browser leaves it: uncompressed, under either name."""
    ids = {wnid: number for number, wnid in enumerate(WNIDS, 1)}
    data = devkit(tmp_path, WNIDS, LABELS, ids).read_bytes()
    (tmp_path / name).write_bytes(data if compressed else gzip.decompress(data))
    assert organize.read_labels(str(tmp_path / name)) == LABELS
    assert organize.labels_from_devkit(str(tmp_path / name)) == LABELS
    assert organize.train_counts(str(tmp_path / name)) == {w: 1300 - ids[w] for w in WNIDS}


def kaggle(folder: Path, labels: tuple[str, ...]) -> Path:
    rows = []
    for number, wnid in enumerate(labels, 1):
        stem = organize.validation_name(number).removesuffix(".JPEG")
        rows.append([stem, f"{wnid} 1 2 3 4 {wnid} 5 6 7 8 "])
    random.Random(3).shuffle(rows)
    path = folder / "LOC_val_solution.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([["ImageId", "PredictionString"], *rows])
    return path


def test_the_labels_come_back_from_either_file(tmp_path: Path):
    """All 50,000; the first three are published: sea snake, alp, Shetland sheepdog."""
    known = catalog.validation_wnids()
    assert known[:3] == ("n01751748", "n09193705", "n02105855")
    assert len(known) == 50_000
    order = list(catalog.wnids_1k())
    random.Random(4).shuffle(order)
    ids = {wnid: number for number, wnid in enumerate(order, 1)}
    assert organize.labels_from_devkit(devkit(tmp_path, catalog.wnids_1k(), known, ids)) == known
    assert organize.labels_from_kaggle(kaggle(tmp_path, known)) == known


def test_labels_that_are_not_whole(tmp_path: Path):
    ids = {wnid: number for number, wnid in enumerate(reversed(WNIDS), 1)}
    assert organize.labels_from_devkit(devkit(tmp_path, WNIDS, LABELS, ids)) == LABELS
    with pytest.raises(ValueError, match="3 of 3 classes have labels, 3 to 4 each"):
        organize.labels_from_devkit(devkit(tmp_path, WNIDS, LABELS[:-1], ids))
    with pytest.raises(ValueError, match="ids that are no class: 3"):
        organize.labels_from_devkit(devkit(tmp_path, WNIDS[1:], LABELS, ids))
    (tmp_path / "other.tar.gz").write_bytes(gzip.compress(tar_of({})))
    with pytest.raises(ValueError, match="is it the devkit"):
        organize.labels_from_devkit(tmp_path / "other.tar.gz")
    table = kaggle(tmp_path, LABELS)
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if "00000005" not in line))
    message = (
        r"csv lacks the rows of some images \(ILSVRC2012_val_00000005.JPEG\), as its \d+ rows go "
        rf"on to ILSVRC2012_val_{len(LABELS):08d}.JPEG: download it again"
    )
    with pytest.raises(ValueError, match=message):
        organize.labels_from_kaggle(table)


def test_a_devkit_that_is_cut_or_another_file(tmp_path: Path):
    ids = {wnid: number for number, wnid in enumerate(WNIDS, 1)}
    whole = devkit(tmp_path, WNIDS, LABELS, ids).read_bytes()
    # The checksum is at the end.
    flipped = whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]
    truth = "ILSVRC2012_validation_ground_truth.txt"
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.arange(3)})
    kits = [{"a": b""}, {truth: b"1"}]
    kits += [{truth: b"1", "meta.mat": mat} for mat in (b"", b"text" * 99, meta.getvalue())]
    foreign = [b"", b"<html>", tar_of({"a": b""}), gzip.compress(b"text" * 500)]
    foreign += [gzip.compress(tar_of(kit)) for kit in kits]
    cuts = [whole[:cut] for cut in range(0, len(whole), 23)]
    path = tmp_path / "kit.tar.gz"
    message = r"kit\.tar\.gz cannot be read \(.* Download ILSVRC2012_devkit_t12"
    for data in [*cuts, flipped, *foreign]:
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            organize.labels_from_devkit(path)
    with pytest.raises(FileNotFoundError):
        organize.labels_from_devkit(tmp_path / "nowhere.tar.gz")


@pytest.mark.parametrize(
    "text",
    [
        b"a,b\n1,2\n",
        b"ImageId,PredictionString\nILSVRC2012_val_00000001,\n",
        b"ImageId,PredictionString\nILSVRC2012_val_00000001\n",
        b"ImageId\tother\n1\t2\n",
        b"",
    ],
)
def test_a_table_that_is_not_kaggles(tmp_path: Path, text: bytes):
    (tmp_path / "LOC.csv").write_bytes(text)
    message = r"LOC\.csv has no ImageId and .* after 0 images: .* Download it again"
    with pytest.raises(ValueError, match=message):
        organize.labels_from_kaggle(tmp_path / "LOC.csv")


# What spreadsheets, editors and browsers make of a table.
REWRITTEN = {
    "byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "spaces": lambda text: text.replace(",", " , ").encode(),
    "quotes": lambda text: re.sub(r"[^,\n]+", r'"\g<0>"', text).encode(),
    "CRLF, empty lines": lambda text: text.replace("\n", "\r\n").encode() + b"\r\n \r\n",
    "empty rows": lambda text: text.replace("\n", "\n,\n").encode() + b",,\n",
    "columns the other way round": lambda text: "".join(
        ",".join(reversed(line.split(","))) + "\n" for line in text.splitlines()
    ).encode(),
    "gzip": lambda text: gzip.compress(text.encode(), mtime=0),
}


@pytest.mark.parametrize("way", REWRITTEN)
def test_a_table_that_a_spreadsheet_saved(tmp_path: Path, way: str):
    table = kaggle(tmp_path, LABELS)
    table.write_bytes(REWRITTEN[way](table.read_text()))
    assert organize.labels_from_kaggle(table) == LABELS
    assert organize.read_labels(table.rename(tmp_path / "labels.txt")) == LABELS


@pytest.mark.parametrize("way", ["byte-order mark", "CRLF, empty lines", "gzip"])
@pytest.mark.parametrize("separator", [" ", "\t", "  "], ids=["space", "tab", "spaces"])
def test_a_list_of_training_images_as_an_editor_saved_it(tmp_path: Path, way: str, separator: str):
    names = [f"{wnid}/{wnid}_{number}" for wnid in WNIDS for number in range(2)]
    text = "".join(f"{name}{separator}1\n" for name in names)
    (tmp_path / "train_cls.txt").write_bytes(REWRITTEN[way](text))
    assert organize.train_counts(tmp_path / "train_cls.txt") == dict.fromkeys(WNIDS, 2)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_tables_in_utf_16_are_refused(tmp_path: Path, encoding: str):
    (tmp_path / "a.csv").write_bytes("ImageId,PredictionString\n".encode(encoding))
    message = r"a\.csv is in UTF-16, as spreadsheets write it: save it as CSV in UTF-8, or download"
    for read in (organize.labels_from_kaggle, organize.read_labels, organize.train_counts):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\3\4ImageId", r"is a zip archive: unpack it first \(unzip .*a\.csv\)"),
        (lzma.compress(b"ImageId"), "is compressed by xz: unpack it first"),
        (b"<html>", r"gives no labels: name the devkit \.tar\.gz or Kaggle's LOC_val_solution"),
        (b"ImageId,PredictionString\n\xe9\n", "is no text in UTF-8: download it again"),
        (
            gzip.compress(b"ImageId" * 99, mtime=0)[:-9],
            r"cannot be read \(EOFError: .*\): download it again",
        ),
        (
            b"ImageId,PredictionString\n" + b"ILSVRC2012_val_00000001,n01440764 1\n" * 2,
            "has ILSVRC2012_val_00000001 twice",
        ),
    ],
)
def test_what_gives_no_labels(tmp_path: Path, data: bytes, message: str):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        organize.read_labels(tmp_path / "a.csv")


def test_a_devkit_that_is_packed_in_another_way(tmp_path: Path):
    ids = {wnid: number for number, wnid in enumerate(WNIDS, 1)}
    kit = gzip.decompress(devkit(tmp_path, WNIDS, LABELS, ids).read_bytes())
    (tmp_path / "kit.tar.xz").write_bytes(lzma.compress(kit))
    for read in (organize.read_labels, organize.labels_from_devkit, organize.train_counts):
        with pytest.raises(ValueError, match=r"is compressed by xz: unpack it first \(xz -d "):
            read(tmp_path / "kit.tar.xz")


def test_a_file_too_large_for_a_table_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(labels, "_LARGEST", 1000)
    (tmp_path / "train.tar").write_bytes(tar_of({"n01440764.tar": bytes(5000)}))
    for read in (organize.read_labels, organize.labels_from_devkit, organize.train_counts):
        with pytest.raises(
            ValueError, match=r"train\.tar is too large to be a table of Kaggle's or"
        ):
            read(tmp_path / "train.tar")


def test_meta_mat_is_read_as_torchvision_reads_it(tmp_path: Path):
    """Its rule, in torchvision/datasets/imagenet.py: id to wnid of rows whose fifth field is 0."""
    ids = dict(zip(WNIDS, (2, 3, 1), strict=True))
    path = devkit(tmp_path, WNIDS, LABELS, ids)
    with tarfile.open(path) as tar:
        member = tar.extractfile("ILSVRC2012_devkit_t12/data/meta.mat")
        assert member is not None
        synsets = loadmat(member, squeeze_me=True)["synsets"]
    leaves = [row for row in synsets if row["num_children"] == 0]
    by_id = {row["ILSVRC2012_ID"]: row["WNID"] for row in leaves}
    assert organize.labels_from_devkit(path) == tuple(by_id[ids[wnid]] for wnid in LABELS)


def test_what_should_be_there_from_three_files(tmp_path: Path):
    """Archive index, development kit and Kaggle's list say the same of one small sample."""
    sample.draw(tmp_path / "mirror", train_per_class=2, validation_per_class=1, classes=3)
    index_tar(tmp_path / "mirror" / catalog.TRAIN_TAR).save(tmp_path / "train.npz")
    index = TarIndex.load(tmp_path / "train.npz")
    names = [name.decode().removesuffix(".JPEG") for name in index.names.tolist()]
    lines = [f"{name} {number}\n" for number, name in enumerate(names, 1)]
    (tmp_path / "train_cls.txt").write_text("".join(lines))
    sources = (
        tmp_path / "train.npz",
        tmp_path / "mirror" / catalog.DEVKIT,
        tmp_path / "train_cls.txt",
    )
    counts = [organize.train_counts(source) for source in sources]
    assert counts[0] == counts[1] == counts[2] == dict.fromkeys(index.class_names, 2)
    index_tar(tmp_path / "mirror" / catalog.VALIDATION_TAR).save(tmp_path / "val.npz")
    with pytest.raises(ValueError, match=r"val\.tar is a tar without class tars"):
        organize.train_counts(tmp_path / "val.npz")
    with pytest.raises(TypeError, match="counts come from a TarIndex, as archive"):
        organize.train_counts_from_index(tmp_path / "val.npz")
    (tmp_path / "synset.txt").write_text("n01440764 tench\n")
    message = r"synset\.txt gives no counts, as a line is 'n01440764 tench': name the training"
    with pytest.raises(ValueError, match=message):
        organize.train_counts(tmp_path / "synset.txt")


@pytest.mark.parametrize("head", ["sep=;\r\n", "SEP=;\n", ""])
@pytest.mark.parametrize("titles", ["imageid;predictionstring", "IMAGEID;PredictionString"])
def test_a_table_of_other_spreadsheets(tmp_path: Path, head: str, titles: str):
    table = kaggle(tmp_path, LABELS)
    _, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head + titles, *(row.replace(",", ";") for row in rows)]))
    assert organize.read_labels(table) == LABELS


def test_spreadsheets_files_and_wide_text_are_named(tmp_path: Path):
    table = kaggle(tmp_path, LABELS)
    text = table.read_text()
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-32-le", "utf-32-be"):
        table.write_text(text, encoding=encoding)
        with pytest.raises(ValueError, match=f"csv is in {encoding[:6].upper()}, as spreadsheets"):
            organize.read_labels(table)
    with zipfile.ZipFile(table, "w") as book:
        book.writestr("xl/workbook.xml", text)
    with pytest.raises(ValueError, match=r"csv is a spreadsheet's own file \(.xlsx\): save it as"):
        organize.read_labels(table)
