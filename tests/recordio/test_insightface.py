"""insightface's layout, written by MXNet: which records hold an image, and the identities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faces import FIRST, IMAGES, LAST, ORDERS, SIZES, bounds, write_faces

from imnetlib import recordio
from imnetlib.engines.mxnet import mx

LABELS = [10.0 * number for number in range(len(SIZES))]


def image_keys(rec: Path) -> list[int]:
    keys, offsets = recordio.read_index(rec.with_suffix(".idx"))
    return keys[recordio.image_rows(rec, keys, offsets)].tolist()


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_images_and_identities_of_every_writer(tmp_path: Path, order: str, aligned: bool):
    rec = write_faces(tmp_path / "a.rec", order, aligned=aligned)
    assert image_keys(rec) == list(range(1, FIRST))
    labels, first, behind = recordio.read_identities(str(rec))
    assert (labels.dtype, first.dtype, behind.dtype) == (np.float32, np.int64, np.int64)
    assert labels.tolist() == LABELS
    assert list(zip(first.tolist(), behind.tolist(), strict=True)) == bounds()


@pytest.mark.parametrize("order", ORDERS)
def test_an_index_of_images_only_opens_the_images_to_mxnet(tmp_path: Path, order: str):
    rec = write_faces(tmp_path / "a.rec", order)
    keys, offsets = recordio.merge_indexes([rec], images_only=True)
    recordio.write_index(tmp_path / "images.idx", keys, offsets)
    reader = mx.recordio.MXIndexedRecordIO(str(tmp_path / "images.idx"), str(rec), "r")
    assert sorted(reader.keys) == list(range(1, FIRST))
    for label, ends in zip(LABELS, bounds(), strict=True):
        for key in range(*ends):
            header, image = mx.recordio.unpack(reader.read_idx(key))
            assert (header.label, header.id, image[:2]) == (label, key, b"\xff\xd8")


def test_several_files_and_an_index_in_any_order(tmp_path: Path):
    recs = [write_faces(tmp_path / f"{n}.rec", order) for n, order in enumerate(ORDERS)]
    keys, _ = recordio.merge_indexes(list(map(str, recs)), images_only=True)
    assert keys.tolist() == list(range(1, FIRST)) * 3
    index = recs[0].with_suffix(".idx")
    columns = recordio.read_index(index)
    shuffled = np.random.default_rng(1).permutation(len(columns[0]))
    recordio.write_index(index, *(column[shuffled] for column in columns))
    assert sorted(image_keys(recs[0])) == list(range(1, FIRST))
    assert recordio.read_identities(recs[0]).first.tolist() == [first for first, _ in bounds()]
    lists = [column.tolist() for column in columns]
    assert recordio.image_rows(recs[0], *lists).sum() == IMAGES


def test_a_header_alone_that_counts_the_images(tmp_path: Path):
    rec = write_faces(tmp_path / "a.rec", ORDERS[2], header=(FIRST, 4), ranges=())
    assert image_keys(rec) == list(range(1, FIRST))
    assert [len(column) for column in recordio.read_identities(rec)] == [0, 0, 0]


@pytest.mark.parametrize("label", [3.0, [3.0], [3.0, 1.0], [3.0, 1.0, 2.0]])
@pytest.mark.parametrize("image", [b"", b"8 bytes.", b"image"])
def test_a_plain_file_has_images_only(tmp_path: Path, label: object, image: bytes):
    """Its record of key 0 may be empty, too."""
    writer = recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "w")
    for key in range(5):
        content = b"some image" if key else image
        writer.write_idx(key, recordio.pack((0, label, key, 0), content))
    writer.close()
    assert image_keys(tmp_path / "a.rec") == list(range(5))
    with pytest.raises(ValueError, match=r"a\.rec is not in insightface's layout"):
        recordio.read_identities(tmp_path / "a.rec")


@pytest.mark.parametrize(
    "header",
    [
        (FIRST + 0.5, LAST),
        (np.nan, LAST),
        (np.inf, LAST),
        (-1, LAST),
        (0, LAST),
        (FIRST - 1, LAST),
        (FIRST + 1, LAST),
        (LAST, LAST),
        (1000, 2000),
        (FIRST, LAST + 1),
        (FIRST, FIRST),
    ],
)
def test_a_header_that_contradicts_the_index(tmp_path: Path, header: tuple[float, float]):
    rec = write_faces(tmp_path / "a.rec", header=header)
    told = rf"a\.rec: the record of key 0 is a header .*keys {header[0]:g} to {header[1]:g} \(not"
    with pytest.raises(ValueError, match=told):
        image_keys(rec)
    with pytest.raises(ValueError, match=told):
        recordio.read_identities(rec)


@pytest.mark.parametrize(
    ("number", "wrong"),
    [(0, (0, 4)), (1, (3, 5)), (1, (4, 4)), (2, (5, np.nan)), (2, (5.5, 9)), (3, (9, 12))],
)
def test_ranges_that_are_none_leave_the_images_readable(
    tmp_path: Path, number: int, wrong: tuple[float, float]
):
    ranges = [*bounds()[:number], wrong, *bounds()[number + 1 :]]
    rec = write_faces(tmp_path / "a.rec", ranges=ranges)
    told = rf"key {FIRST + number} names the images {wrong[0]:g} to {wrong[1]:g} \(not included\)"
    with pytest.raises(ValueError, match=told):
        recordio.read_identities(rec)
    assert image_keys(rec) == list(range(1, FIRST))


def test_images_that_the_index_leaves_out(tmp_path: Path):
    rec = write_faces(tmp_path / "a.rec", empty=IMAGES, aligned=True)
    index = rec.with_suffix(".idx")
    keys, offsets = recordio.read_index(index)
    some = (keys != 5) & (keys != 2)
    recordio.write_index(index, keys[some], offsets[some])
    assert image_keys(rec) == [1, 3, 4, 6, 7, 8, 9, 10]
    assert recordio.read_identities(rec).labels.tolist() == LABELS
    some = keys != 4
    recordio.write_index(tmp_path / "some.idx", keys[some], offsets[some])
    with pytest.raises(ValueError, match="an identity has the images 4 to 4, of which the index"):
        recordio.read_identities(rec, tmp_path / "some.idx")


@pytest.mark.parametrize("beyond", range(14))
@pytest.mark.parametrize("power", [24, 25])
def test_keys_that_float32_rounds(tmp_path: Path, power: int, beyond: int):
    shift = 2**power - beyond
    rec = write_faces(tmp_path / "a.rec", shift=shift)
    assert image_keys(rec) == list(range(1 + shift, FIRST + shift))
    labels, first, behind = recordio.read_identities(rec)
    assert list(zip(first.tolist(), behind.tolist(), strict=True)) == bounds(shift)
    assert labels.tolist() == LABELS


@pytest.mark.parametrize("order", ORDERS)
def test_a_lost_index_comes_back_and_salvage_keeps_the_layout(tmp_path: Path, order: str):
    rec = write_faces(tmp_path / "a.rec", order)
    index = rec.with_suffix(".idx")
    before = index.read_bytes()
    recordio.write_index(tmp_path / "b.idx", *recordio.rebuild_index(rec))
    assert (tmp_path / "b.idx").read_bytes() == before
    for name, given in (("with", index), ("without", None)):
        out = tmp_path / f"{name}.rec"
        recordio.salvage(rec, out, given)
        assert out.read_bytes() == rec.read_bytes()
        assert out.with_suffix(".idx").read_bytes() == before


def test_keys_and_offsets_are_as_many(tmp_path: Path):
    rec = write_faces(tmp_path / "a.rec")
    with pytest.raises(ValueError, match=r"keys and offsets are \(n,\) each, not \(\(2,\), "):
        recordio.image_rows(rec, [0, 1], [0])
