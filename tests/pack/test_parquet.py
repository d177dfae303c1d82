"""Parquet files of images: listed, shuffled by row groups, packed to the bytes of other sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from making import encoded, photo
from pyarrow import parquet

from imnetlib import pack
from imnetlib.image import Settings

WNIDS = ("n00000001", "n00000002", "n00000003")
IMAGES = 60


def rows(seed: int = 1) -> list[tuple[str, int, bytes]]:
    """Names, labels and files of some photos, in random order."""
    order = np.random.default_rng(seed).permutation(IMAGES).tolist()
    return [
        (f"{WNIDS[n % 3]}_{n}_{WNIDS[n % 3]}.JPEG", n % 3, encoded(photo(48, 40, n))) for n in order
    ]


def write(path: Path, content: list[tuple[str, int, bytes]], group: int = 7, **more: Any) -> Path:
    table = pa.table(
        {
            "image": [{"bytes": data, "path": name} for name, _, data in content],
            "label": [label for _, label, _ in content],
            **more,
        }
    )
    parquet.write_table(table, path, row_group_size=group)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files of several row groups each."""
    content = rows()
    return [
        write(tmp_path / "a.parquet", content[:31]),
        write(tmp_path / "b.parquet", content[31:]),
    ]


def test_the_list_is_that_of_the_rows(files: list[Path]):
    images = pack.open_parquet(list(map(str, files)))
    listed = pack.list_parquet(images)
    assert listed.classes == WNIDS
    assert listed.paths.tolist() == [name.encode() for name, _, _ in rows()]
    assert listed.labels[:, 0].tolist() == [label for _, label, _ in rows()]
    larger = pack.list_parquet(images, ["n00000000", *reversed(WNIDS)])
    assert larger.labels[:, 0].tolist() == [3 - label for _, label, _ in rows()]


@pytest.mark.parametrize("threads", [1, 3])
def test_shards_have_the_bytes_that_files_give(files: list[Path], tmp_path: Path, threads: int):
    images = pack.open_parquet(files)
    listed = pack.shuffle_parquet(pack.list_parquet(images), images, 5)
    assert sorted(listed.ids.tolist()) == list(range(IMAGES))
    assert listed.ids.tolist() != list(range(IMAGES))
    (tmp_path / "files").mkdir()
    for name, _, data in rows():
        (tmp_path / "files" / name).write_bytes(data)
    how = {"shards": 2, "settings": Settings(resize=32), "threads": threads}
    pack.pack(listed, images, tmp_path / "one", "train", **how)
    pack.pack(listed, pack.Folder(tmp_path / "files"), tmp_path / "two", "train", **how)
    for path in sorted((tmp_path / "two").glob("*.rec")):
        assert (tmp_path / "one" / path.name).read_bytes() == path.read_bytes()
    again = pack.pack(listed, images, tmp_path / "one", "train", **how)
    assert again.shards_skipped == 2


def test_any_order_may_be_packed(files: list[Path], tmp_path: Path):
    images = pack.open_parquet(files)
    listed = pack.shuffle(pack.list_parquet(images), 9)
    done = pack.pack(listed, images, tmp_path / "out", "train", shards=1)
    assert done.images == IMAGES


def test_damage_inside_and_lacking_bytes_are_counted_and_named(files: list[Path], tmp_path: Path):
    content = rows()
    content[3] = (*content[3][:2], None)
    write(files[0], content[:31])
    damaged = bytearray(files[1].read_bytes())
    # Inside the first row group's images.
    damaged[2000:2400] = bytes(400)
    files[1].write_bytes(damaged)
    images = pack.open_parquet(files)
    done = pack.pack(pack.list_parquet(images), images, tmp_path / "out", "train", shards=2)
    reasons = {failure.path: failure.reason for failure in done.failures}
    assert reasons.pop(content[3][0]) == "it is empty"
    assert set(reasons) <= {name for name, _, _ in content[31:38]}
    assert done.images + len(done.failures) == IMAGES


def test_bad_files_and_columns_are_named(files: list[Path], tmp_path: Path):
    (tmp_path / "cut.parquet").write_bytes(files[0].read_bytes()[:-100])
    with pytest.raises(
        ValueError, match=r"cut\.parquet cannot be read as parquet .*fetch it again"
    ):
        pack.open_parquet([tmp_path / "cut.parquet"])
    parquet.write_table(pa.table({"img": [b""], "y": [1]}), tmp_path / "other.parquet")
    with pytest.raises(
        ValueError,
        match=r"other\.parquet has the columns img \(binary\), y \(int64\); expected are image",
    ):
        pack.open_parquet([tmp_path / "other.parquet"])
    image = [{"bytes": b"a", "path": "a"}]
    parquet.write_table(pa.table({"image": image}), tmp_path / "test.parquet")
    with pytest.raises(ValueError, match=r"test\.parquet has no column label: is it of the test"):
        pack.open_parquet([tmp_path / "test.parquet"])
    with pytest.raises(FileNotFoundError, match="gone"):
        pack.open_parquet([tmp_path / "gone.parquet"])
    with pytest.raises(TypeError, match="files are several, in a list or a tuple"):
        pack.open_parquet("a.parquet")
    with pytest.raises(ValueError, match="31 names of images repeat"):
        pack.open_parquet([files[0], files[0]])
    with pytest.raises(ValueError, match="2 of the list's 2 images are not in"):
        pack.open_parquet(files).locate(np.array([b"x", b"y"]), "report")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [("a_n00000001.JPEG", 0, b""), ("b_n00000002.JPEG", 0, b"")],
            "label 0 is n00000001 and n0",
        ),
        ([("a_n00000001.JPEG", 1, b"")], "do not number the classes from 0 without a gap"),
        ([("a_n00000001.JPEG", 0, b""), ("b_n00000001.JPEG", 1, b"")], "do not number the classes"),
        (
            [("ILSVRC2012_test_00000001.JPEG", -1, b"")],
            "with label -1 names no class; expected are",
        ),
    ],
)
def test_labels_and_names_that_disagree_are_refused(
    content: list[tuple[str, int, bytes]], message: str, tmp_path: Path
):
    images = pack.open_parquet([write(tmp_path / "a.parquet", content)])
    with pytest.raises(ValueError, match=message):
        pack.list_parquet(images)


IMAGE = {"bytes": b"a", "path": "a_n00000001.JPEG"}


@pytest.mark.parametrize(
    ("image", "label", "there"),
    [
        (IMAGE, "cat", r"image \(struct<bytes: binary, path: string>\), label \(string\)"),
        (IMAGE, 0.0, r"label \(double\)"),
        (IMAGE, True, r"label \(bool\)"),
        (b"a", 0, r"image \(binary\), label \(int64\)"),
        ("a", 0, r"image \(string\), label \(int64\)"),
        ({**IMAGE, "bytes": "a"}, 0, r"image \(struct<bytes: string, path: string>\)"),
        ({**IMAGE, "bytes": [1, 2]}, 0, r"image \(struct<bytes: list<.*>, path: string>\)"),
        ({**IMAGE, "path": 7}, 0, r"image \(struct<bytes: binary, path: int64>\)"),
        ({"bytes": b"a"}, 0, r"image \(struct<bytes: binary>\)"),
    ],
)
def test_columns_of_other_types_are_named_with_those_wanted(
    image: object, label: object, there: str, tmp_path: Path
):
    parquet.write_table(pa.table({"image": [image], "label": [label]}), tmp_path / "a.parquet")
    wanted = r"expected are image \(struct<bytes: binary, path: string>\) and label \(int64\)"
    with pytest.raises(ValueError, match=rf"a\.parquet has the columns .*{there}.*; {wanted}"):
        pack.open_parquet([tmp_path / "a.parquet"])


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.int32()])
@pytest.mark.parametrize("large", [False, True])
def test_other_widths_of_the_same_types_are_read(kind: pa.DataType, large: bool, tmp_path: Path):
    binary, string = (pa.large_binary(), pa.large_string()) if large else (pa.binary(), pa.string())
    image = pa.array([IMAGE], pa.struct([("bytes", binary), ("path", string)]))
    table = pa.table({"image": image, "label": pa.array([0], kind)})
    parquet.write_table(table, tmp_path / "a.parquet")
    images = pack.open_parquet([tmp_path / "a.parquet"])
    assert (images.names.tolist(), images.labels.tolist()) == ([b"a_n00000001.JPEG"], [0])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ([IMAGE, IMAGE], [0, None], "1 of 2 images have no label"),
        ([IMAGE, None], [0, 0], r"1 of 2 images have no name \(image\.path\)"),
        ([IMAGE, {**IMAGE, "path": ""}], [0, 0], r"1 of 2 images have no name \(image\.path\)"),
        ([], [], "holds no image, 0 rows: fetch it again"),
    ],
)
def test_rows_without_name_or_label_and_files_without_rows_are_named(
    images: list[object], labels: list[object], message: str, tmp_path: Path
):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"image": pa.array(images, kind), "label": pa.array(labels, pa.int64())}
    parquet.write_table(pa.table(columns), tmp_path / "b.parquet")
    whole = write(tmp_path / "a.parquet", rows()[:3])
    with pytest.raises(ValueError, match=rf"b\.parquet:? {message}"):
        pack.open_parquet([whole, tmp_path / "b.parquet"])
