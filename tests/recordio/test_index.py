"""Indexes in MXNet's text: read, written, merged and rebuilt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from making import write_records

from imnetlib import recordio
from imnetlib.engines.mxnet import mx
from imnetlib.recordio import index


def test_an_index_in_mxnets_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "INDEX_READ_SIZE", 50)
    monkeypatch.setattr(index, "ROWS_PER_WRITE", 7)
    keys = np.arange(100)[::-1] * 3
    offsets = np.arange(100) * 2**40
    path = tmp_path / "a.idx"
    recordio.write_index(path, keys, offsets)
    assert path.read_text() == "".join(f"{k}\t{o}\n" for k, o in zip(keys, offsets, strict=True))
    for text in (
        path.read_bytes(),
        path.read_bytes()[:-1],
        path.read_bytes().replace(b"\n", b"\r\n"),
    ):
        path.write_bytes(text)
        assert [column.tolist() for column in recordio.read_index(path)] == [
            keys.tolist(),
            offsets.tolist(),
        ]
    recordio.write_index(path, [], [])
    assert [column.tolist() for column in recordio.read_index(path)] == [[], []]
    with pytest.raises(ValueError, match=r"one key for each offset, got shapes \(2,\) and \(3,\)"):
        recordio.write_index(path, [1, 2], [1, 2, 3])


LARGEST = 2**63 - 2


@pytest.mark.parametrize(
    "numbers",
    [
        [LARGEST, 0],
        np.array([LARGEST, 0], np.uint64),
        np.array([LARGEST, 0], object),
        (np.int64(LARGEST), np.uint8(0)),
        range(LARGEST, 0, -LARGEST),
    ],
)
def test_the_largest_numbers_come_back(tmp_path: Path, numbers: object) -> None:
    path = tmp_path / "a.idx"
    recordio.write_index(path, numbers, numbers)
    assert path.read_text().startswith(f"{LARGEST}\t{LARGEST}\n")
    found = [column.tolist() for column in recordio.read_index(path)]
    assert found == [[int(number) for number in numbers]] * 2
    (tmp_path / "a.rec").touch()
    assert mx.recordio.MXIndexedRecordIO(str(path), str(tmp_path / "a.rec"), "r").idx == dict(
        zip(*found, strict=True)
    )


@pytest.mark.parametrize(
    ("numbers", "error", "told"),
    [
        ([0, LARGEST + 1], ValueError, "is from 0 to .*, not 9223372036854775807$"),
        ([0, 2**63], ValueError, "is from 0 to .*, not 9223372036854775808$"),
        ([-1, 2**63], ValueError, "is from 0 to .*, not -1$"),
        ([2**64], ValueError, "is from 0 to .*, not 18446744073709551616$"),
        (np.array([2**64 - 1], np.uint64), ValueError, "is from 0 to .*, not 1844674407.*"),
        ([0, -1], ValueError, "is from 0 to .*, not -1$"),
        ([0, 1.5], TypeError, r"is a whole number, not 1\.5 \(float\)$"),
        (np.array([1.0]), TypeError, r"is a whole number, not 1\.0 \(float\)$"),
        ([True], TypeError, r"is a whole number, not True \(bool\)$"),
        (np.array([False]), TypeError, r"is a whole number, not False \(bool\)$"),
        (["1"], TypeError, r"is a whole number, not '1' \(str\)$"),
        ([None], TypeError, r"is a whole number, not None \(NoneType\)$"),
    ],
)
def test_what_the_reader_refuses_is_not_written(
    tmp_path: Path, numbers: object, error: type[Exception], told: str
) -> None:
    path = tmp_path / "a.idx"
    path.write_text("before")
    good = range(len(numbers))
    for name, columns in (("a key", (numbers, good)), ("an offset", (good, numbers))):
        with pytest.raises(error, match=rf"a\.idx: {name} {told}"):
            recordio.write_index(path, *columns)
    assert path.read_text() == "before"


@pytest.mark.parametrize(
    "bad",
    ["5", "5\t6\t7", "", "a\t6", "5\t-6", "5\tx", "\t5", "5\t", "5 6", "5\t6.0", "5\t6\t\n7\n8\t9"],
)
def test_a_bad_index_line_is_named(
    tmp_path: Path, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "INDEX_READ_SIZE", 16)
    good = "".join(f"{n}\t{16 * n}\n" for n in range(20))
    (tmp_path / "a.idx").write_text(f"{good}{bad}\n{good}")
    with pytest.raises(
        ValueError, match=r"a\.idx, line 21: expected two whole.*imnet index writes"
    ):
        recordio.read_index(tmp_path / "a.idx")


def test_mxnets_iterator_reads_shards_by_the_merged_index(tmp_path: Path) -> None:
    shards = [tmp_path / f"{n}.rec" for n in range(3)]
    for number, shard in enumerate(shards):
        image = np.full((8, 8, 3), 80 * number, np.uint8)
        labels = range(10 * number, 10 * number + 4 + number)
        write_records(
            shard,
            [recordio.pack_img((0, label, label, 0), image, img_fmt=".png") for label in labels],
        )
    index = tmp_path / "all.idx"
    recordio.write_index(index, *recordio.merge_indexes(shards))
    batches = mx.io.ImageRecordIter(
        path_imgrec=";".join(map(str, shards)),
        path_imgidx=str(index),
        data_shape=(3, 8, 8),
        batch_size=5,
        shuffle=True,
        preprocess_threads=1,
    )
    seen = {}
    for batch in batches:
        for image, label in zip(batch.data[0].asnumpy(), batch.label[0].asnumpy(), strict=True):
            seen[int(label)] = float(image.mean())
    expected = [*range(4), *range(10, 15), *range(20, 26)]
    assert seen == {label: 80.0 * (label // 10) for label in expected}


def test_merging_refuses_an_index_of_another_file(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [b"abc"])
    write_records(tmp_path / "b.rec", [b"abc", b"def"])
    with pytest.raises(
        ValueError, match=r"b\.idx points to byte 12, but .*a\.rec has only 12 bytes"
    ):
        recordio.read_index_of([tmp_path / "a.rec"], tmp_path / "b.idx")
    (tmp_path / "b.rec").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"b\.idx points to byte 12, but .*b\.rec has only 0 bytes"
    ):
        recordio.merge_indexes([tmp_path / "a.rec", tmp_path / "b.rec"])


def test_a_missing_index_is_named_with_the_verb_that_writes_it(tmp_path: Path) -> None:
    shards = [tmp_path / "a.rec", tmp_path / "b.rec"]
    merged = tmp_path / "all.idx"
    merge = rf"{merged} is missing: .*; imnet merge-index {merged} REC\.\.\. writes it"
    beside = rf"^{tmp_path}/a\.idx is missing: .*; imnet index {shards[0]} writes it"
    for recs, path, told in (
        (shards[:1], tmp_path / "a.idx", beside),
        (shards[:1], merged, merge),
        (shards, merged, merge),
    ):
        with pytest.raises(FileNotFoundError, match=told):
            recordio.read_index_of(recs, path)


@pytest.mark.parametrize("one", ["a.rec", Path("a.rec"), b"a.rec", None, 5])
def test_one_path_is_no_list_of_them(one: object) -> None:
    with pytest.raises(TypeError, match=r"records are (several|paths), in a list or a tuple, not "):
        recordio.merge_indexes(one)
    with pytest.raises(TypeError, match=r"shards are (several|paths), in a list or a tuple, not "):
        recordio.read_index_of(one, "a.idx")
    with pytest.raises(TypeError, match=r"shards are (several|paths), in a list or a tuple, not "):
        recordio.fingerprint(one)


def test_an_index_rebuilt_has_the_ids_of_image_records_else_numbers(tmp_path: Path) -> None:
    for ids, expected in (((7, 3, 9), [7, 3, 9]), ((7, 7, 9), [0, 1, 2])):
        payloads = [recordio.pack(recordio.IRHeader(0, 1.0, key, 0), b"abcde") for key in ids]
        (tmp_path / "a.rec").write_bytes(b"".join(map(recordio.frame, payloads)))
        keys, offsets = recordio.rebuild_index(tmp_path / "a.rec")
        assert keys.tolist() == expected
        assert np.array_equal(offsets, recordio.scan(tmp_path / "a.rec"))
    (tmp_path / "a.rec").write_bytes(recordio.frame(payloads[0]) + recordio.frame(b"no image"))
    assert recordio.rebuild_index(tmp_path / "a.rec")[0].tolist() == [0, 1]
