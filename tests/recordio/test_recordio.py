"""The record format against MXNet's own reader and writer, and against damage."""

from __future__ import annotations

import multiprocessing
import pickle
import random
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imnetlib import recordio
from imnetlib.engines.mxnet import mx
from imnetlib.recordio import (
    IRHeader,
    RecordError,
    RecordReader,
    format,
    frame,
    index,
    integrity,
    mxnet,
)

MAGIC = b"\n#\xd7\xce"
SEVERAL_PARTS = [
    MAGIC,
    MAGIC * 3,
    b"abcd" + MAGIC,
    b"abcd" + MAGIC + b"efg",
    MAGIC + b"a" + MAGIC,
    MAGIC + b"12345678" + MAGIC + b"x",
]
ONE_PART = [
    b"a" + MAGIC,
    b"abc" + MAGIC + b"de",
    MAGIC[:3],
    b"\0" * 17,
    *(b"0123456789"[:n] for n in range(10)),
]
PAYLOADS = [*ONE_PART, *SEVERAL_PARTS, random.Random(1).randbytes(5000)]
pieces = st.sampled_from([MAGIC, MAGIC[:1], MAGIC[1:], b"\0" * 4, b"\0"]) | st.binary(max_size=9)
payloads = st.lists(pieces, max_size=9).map(b"".join)
file_is_replaced = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def mx_write(path: Path, records: list[bytes]) -> bytes:
    writer = mx.recordio.MXRecordIO(str(path), "w")
    for record in records:
        writer.write(record)
    writer.close()
    return path.read_bytes()


def read_all(reader: object) -> list[bytes]:
    return list(iter(reader.read, None))


def write(path: Path, records: list[bytes]) -> np.ndarray:
    """A file of ``records`` and its index; their offsets, and the length of the file."""
    framed = [frame(record) for record in records]
    path.write_bytes(b"".join(framed))
    offsets = np.cumsum([0, *map(len, framed)])
    recordio.write_index(path.with_suffix(".idx"), np.arange(len(records)) + 100, offsets[:-1])
    return offsets


@pytest.fixture(params=[16, 60, 1 << 20])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(format, "READ_SIZE", request.param)
    monkeypatch.setattr(integrity, "READ_SIZE", request.param)
    return request.param


# The same bytes as MXNet, both ways


@file_is_replaced
@given(records=st.lists(payloads, max_size=5))
def test_any_payloads_give_mxnets_bytes_and_come_back(tmp_path: Path, records: list[bytes]) -> None:
    path = tmp_path / "a.rec"
    assert b"".join(map(frame, records)) == mx_write(path, records)
    with RecordReader(path) as reader:
        assert [bytes(payload) for _, payload in reader] == records
        assert [reader.read_at(offset) for offset in recordio.scan(path)] == records
    assert recordio.verify(path).ok


def test_every_kind_of_payload_in_one_file(tmp_path: Path, block: int) -> None:
    path = tmp_path / "a.rec"
    ours = recordio.MXRecordIO(path, "w")
    for payload in PAYLOADS:
        ours.write(payload)
    ours.close()
    assert path.read_bytes() == mx_write(tmp_path / "b.rec", PAYLOADS)
    assert read_all(mx.recordio.MXRecordIO(str(path), "r")) == PAYLOADS
    assert read_all(recordio.MXRecordIO(str(path), "r")) == PAYLOADS
    with RecordReader(path) as reader:
        offsets = [offset for offset, _ in reader]
        assert [bytes(payload) for _, payload in reader.records(offsets[7])] == PAYLOADS[7:]
    assert offsets == recordio.scan(path).tolist() == recordio.verify(path).offsets.tolist()
    assert recordio.checksums(path).tolist() == [zlib.crc32(payload) for payload in PAYLOADS]


def test_payloads_may_be_any_bytes_like_object() -> None:
    assert frame(bytearray(b"abcde")) == frame(memoryview(b"abcde")) == frame(b"abcde")
    assert frame(np.arange(5, dtype=np.int16).data) == frame(np.arange(5, dtype=np.int16).tobytes())


def test_half_a_gigabyte_is_refused_as_mxnet_refuses_it(tmp_path: Path) -> None:
    # never touched, so it takes no memory
    payload = bytes(1 << 29)
    with pytest.raises(
        ValueError, match=r"at most 536,870,911 bytes .* this payload has 536,870,912"
    ):
        frame(payload)
    writer = mx.recordio.MXRecordIO(str(tmp_path / "a.rec"), "w")
    with pytest.raises(mx.base.MXNetError, match="2\\^29"):
        writer.write(payload)


def index_session(module: object, folder: Path, key_type: type) -> list[object]:
    """What a program does with MXIndexedRecordIO, and all it sees."""
    names = str(folder / "a.idx"), str(folder / "a.rec")
    seen: list[object] = []
    writer = module.MXIndexedRecordIO(*names, "w", key_type)
    for key, payload in zip([5, 3, 900, 0, 3], PAYLOADS[3:8], strict=True):
        seen.append(writer.tell())
        writer.write_idx(key, payload)
    seen += [writer.keys, dict(writer.idx)]
    writer.close()
    reader = module.MXIndexedRecordIO(*names, "r", key_type)
    seen += [reader.keys, reader.idx, reader.read()]
    seen += [reader.read_idx(key_type(key)) for key in (900, 3, 5)]
    seen += [reader.read(), reader.read()]
    reader.seek(key_type(0))
    seen += [reader.read()]
    reader.reset()
    seen += [reader.read(), (folder / "a.idx").read_bytes(), (folder / "a.rec").read_bytes()]
    copy = pickle.loads(pickle.dumps(reader))
    seen += [
        copy.keys,
        copy.idx,
        copy.read_idx(key_type(900)),
        copy.is_open,
        copy.writable,
        copy.flag,
    ]
    copy.close()
    copy.close()
    closed = pickle.loads(pickle.dumps(copy))
    closed.close()
    return [*seen, copy.is_open, closed.is_open, closed.keys]


@pytest.mark.parametrize("key_type", [int, str])
def test_an_indexed_file_behaves_as_mxnets(tmp_path: Path, key_type: type) -> None:
    (tmp_path / "mx").mkdir()
    (tmp_path / "ours").mkdir()
    expected = index_session(mx.recordio, tmp_path / "mx", key_type)
    assert index_session(mxnet, tmp_path / "ours", key_type) == expected


@pytest.mark.parametrize("label", [3, 2.5, np.float32(7), [1.0, 2.0, 3.5], np.arange(5), [9]])
def test_image_headers_as_mxnet_packs_them(label: object) -> None:
    payload = recordio.pack(IRHeader(0, label, 2**40 + 1, 6), b"image")
    assert payload == mx.recordio.pack(mx.recordio.IRHeader(0, label, 2**40 + 1, 6), b"image")
    (ours, image) = recordio.unpack(payload)
    (theirs, same) = mx.recordio.unpack(payload)
    assert (ours.flag, ours.id, ours.id2, image) == (theirs.flag, theirs.id, theirs.id2, same)
    assert np.array_equal(ours.label, theirs.label)
    assert type(ours.label) is type(theirs.label)
    header, view = recordio.unpack(memoryview(payload))
    assert (header.id, type(view), bytes(view)) == (ours.id, memoryview, image)


@pytest.mark.parametrize("payload", [b"", bytes(23), struct.pack("<IfQQ", 3, 0, 1, 0) + bytes(11)])
def test_a_payload_too_short_for_its_header_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=f"no image record: {len(payload)} bytes"):
        recordio.unpack(payload)


@pytest.mark.parametrize(
    ("quality", "form"), [(95, ".jpg"), (30, ".JPEG"), (3, ".png"), (0, ".bmp")]
)
def test_images_as_mxnet_packs_them(quality: int, form: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    payload = recordio.pack_img((0, 4, 7, 0), image, quality, form)
    assert payload == mx.recordio.pack_img((0, 4, 7, 0), image, quality, form)
    for color in (-1, 0, 1):
        header, pixels = recordio.unpack_img(payload, color)
        assert header == mx.recordio.unpack_img(payload, color)[0] == (0, 4, 7, 0)
        assert np.array_equal(pixels, mx.recordio.unpack_img(payload, color)[1])


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.rec", [b"abc"])
    with pytest.raises(ValueError, match="flag is 'r' to read or 'w' to write, not 'a'"):
        recordio.MXRecordIO(tmp_path / "a.rec", "a")
    reader = recordio.MXRecordIO(tmp_path / "a.rec", "r")
    with pytest.raises(ValueError, match="open with flag 'r', this needs 'w'"):
        reader.write(b"x")
    reader.close()
    with pytest.raises(ValueError, match="is closed"):
        reader.read()
    writer = recordio.MXRecordIO(tmp_path / "b.rec", "w")
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(writer)
    with pytest.raises(FileNotFoundError, match=r"none\.idx"):
        recordio.MXIndexedRecordIO(tmp_path / "none.idx", tmp_path / "a.rec", "r")


# Processes and threads


def _digest(jobs: tuple[recordio.MXIndexedRecordIO, list[int]]) -> list[int]:
    reader, keys = jobs
    return [zlib.crc32(reader.read_idx(key)) for key in keys]


inherited: recordio.MXIndexedRecordIO


def _digest_inherited(keys: list[int]) -> list[int]:
    return _digest((inherited, keys))


def _read_on(reader: recordio.MXRecordIO, answers: multiprocessing.Queue) -> None:
    try:
        reader.read()
    except RuntimeError as error:
        answers.put(str(error))


def test_forked_workers_and_threads_read_at_once(tmp_path: Path) -> None:
    global inherited
    records = [random.Random(n).randbytes(n) for n in range(1000)]
    offsets = write(tmp_path / "a.rec", records)
    inherited = recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "r")
    orders = [random.Random(n).sample(range(100, 1100), 1000) for n in range(8)]
    expected = [[zlib.crc32(records[key - 100]) for key in order] for order in orders]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_digest_inherited, orders) == expected
        assert pool.map(_digest, [(inherited, order) for order in orders[:2]]) == expected[:2]
    with ThreadPoolExecutor(8) as threads, RecordReader(tmp_path / "a.rec") as reader:
        assert list(threads.map(_digest_inherited, orders)) == expected
        got = threads.map(
            lambda order: [zlib.crc32(reader.read_at(offsets[k - 100])) for k in order], orders
        )
        assert list(got) == expected
    assert pickle.loads(pickle.dumps(reader)).read_at(offsets[5]) == records[5]


def test_reading_on_in_another_process_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.rec", [b"abc"])
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(
        target=_read_on, args=(recordio.MXRecordIO(tmp_path / "a.rec", "r"), answers)
    )
    child.start()
    assert "opened by another process" in answers.get(timeout=20)
    child.join()


# Indexes


def test_an_index_in_mxnets_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "INDEX_BYTES", 50)
    monkeypatch.setattr(index, "INDEX_ROWS", 7)
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


@pytest.mark.parametrize(
    "bad",
    ["5", "5\t6\t7", "", "a\t6", "5\t-6", "5\tx", "\t5", "5\t", "5 6", "5\t6.0", "5\t6\t\n7\n8\t9"],
)
def test_a_bad_index_line_is_named(
    tmp_path: Path, bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "INDEX_BYTES", 16)
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
        write(
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
    write(tmp_path / "a.rec", [b"abc"])
    write(tmp_path / "b.rec", [b"abc", b"def"])
    with pytest.raises(
        ValueError, match=r"b\.idx points to byte 12, but .*a\.rec has only 12 bytes"
    ):
        recordio.merge_indexes([tmp_path / "a.rec"], [tmp_path / "b.idx"])


def test_offsets_beyond_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    header = struct.pack("<II", 0xCED7230A, 2**29 - 4)
    size = 2**29 + 4
    with path.open("wb") as sparse:
        for number in range(9):
            sparse.seek(number * size)
            sparse.write(header)
        sparse.seek(9 * size)
        sparse.write(frame(b"the first") + frame(b"the second"))
    offsets = recordio.scan(path)
    assert offsets.tolist() == [*(n * size for n in range(10)), 9 * size + 20]
    recordio.write_index(tmp_path / "a.idx", range(11), offsets)
    with RecordReader(path) as reader:
        assert reader.read_at(offsets[10]) == b"the second"
        assert [bytes(payload) for _, payload in reader.records(int(offsets[9]))] == [
            b"the first",
            b"the second",
        ]
    for module in (mxnet, mx.recordio):
        assert (
            module.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(path), "r").read_idx(10)
            == b"the second"
        )


# Damage


def sound_prefix(
    records: Iterator[tuple[int, memoryview]],
) -> tuple[list[bytes], RecordError | None]:
    found = []
    try:
        for _, payload in records:
            found.append(bytes(payload))
    except RecordError as error:
        return found, error
    return found, None


def test_a_file_cut_at_any_byte(tmp_path: Path, block: int) -> None:
    path = tmp_path / "a.rec"
    ends = write(path, PAYLOADS[3:20]).tolist()
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        count = max(n for n, end in enumerate(ends) if end <= cut)
        with RecordReader(path) as reader:
            found, error = sound_prefix(reader.records())
        assert found == PAYLOADS[3 : 3 + count]
        assert (error is None) == (cut in ends)
        if error is not None:
            assert (error.path, error.offset) == (path, ends[count])
            with pytest.raises(RecordError):
                recordio.scan(path)
            names = recordio.MXRecordIO(path, "r")
            assert [names.read() for _ in range(count)] == found
            for _ in range(2):
                with pytest.raises(RecordError):
                    names.read()
        report = recordio.verify(path)
        assert report.offsets.tolist() == ends[:count]
        assert report.lost.tolist() == ([] if cut in ends else [[ends[count], cut]])


def test_an_error_names_file_offset_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    offsets = write(path, [b"first", *SEVERAL_PARTS])
    data = bytearray(path.read_bytes())
    # an end where a beginning belongs
    data[offsets[3] + 7] = 0x41
    path.write_bytes(data)
    with RecordReader(path) as reader:
        for offset in (offsets[3], 4, -4, 2**40):
            with pytest.raises(
                RecordError, match=rf"a\.rec: no sound record at byte {offset}: .*salvage"
            ) as caught:
                reader.read_at(offset)
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def check_damage(
    folder: Path, records: list[bytes], damage: random.Random, rounds: int, widest: int
) -> int:
    """Damage a file ``rounds`` times; count the untouched records that salvage misses without
    checksums.
    """
    path = folder / "a.rec"
    missed = 0
    ends = write(path, records).tolist()
    whole = path.read_bytes()
    sums = [zlib.crc32(record) for record in records]
    for _ in range(rounds):
        width = damage.randint(1, widest)
        at = damage.randrange(len(whole))
        spoilt = damage.choice(
            [damage.randbytes(width), bytes(width), bytes([whole[at] ^ 1 << damage.randrange(8)])]
        )
        data = (whole[:at] + spoilt + whole[at + len(spoilt) :])[: len(whole)]
        if data == whole:
            continue
        path.write_bytes(data)
        spans = list(pairwise(ends))
        kept = [n for n, (start, stop) in enumerate(spans) if data[start:stop] == whole[start:stop]]
        with RecordReader(path) as reader:
            sound_prefix(reader.records())
        report = recordio.verify(path, folder / "a.idx", sums)
        assert not report.ok
        assert report.offsets.tolist() == [ends[n] for n in kept]
        covered = sorted([*map(tuple, report.lost.tolist()), *(spans[n] for n in kept)])
        assert [start for start, _ in covered] == [0, *(stop for _, stop in covered[:-1])]
        assert covered[-1][1] == len(whole)
        untouched = {ends[n] for n in kept}
        assert untouched <= set(recordio.verify(path, folder / "a.idx").offsets.tolist())
        missed += len(untouched.difference(recordio.verify(path).offsets.tolist()))
    return missed


def test_damage_anywhere_is_found_and_costs_only_what_it_touches(
    tmp_path: Path, block: int
) -> None:
    check_damage(tmp_path, PAYLOADS[:-1], random.Random(1), 700, 40)


def test_without_checksums_and_index_the_records_beside_the_damage_are_saved(
    tmp_path: Path,
) -> None:
    source = random.Random(2)
    records = [source.randbytes(source.randrange(300, 3000)) for _ in range(30)]
    assert check_damage(tmp_path, records, random.Random(3), 1000, 4096) == 0
    assert check_damage(tmp_path, PAYLOADS[:-1], random.Random(4), 1000, 1) == 0


@pytest.mark.slow
def test_a_hundred_thousand_damaged_files(tmp_path: Path) -> None:
    for seed in range(100):
        source = random.Random(seed)
        records = source.sample(PAYLOADS[:-1], 5) + [
            source.randbytes(source.randrange(60)) for _ in range(5)
        ]
        check_damage(tmp_path, records, source, 1000, 30)


def test_salvage_keeps_keys_and_writes_a_sound_file(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    out = tmp_path / "out" / "b.rec"
    offsets = write(path, PAYLOADS)
    sums = recordio.checksums(path)
    data = bytearray(path.read_bytes())
    # a header
    data[offsets[3] + 2] ^= 1
    # a payload
    data[offsets[-1] - 1] ^= 1
    path.write_bytes(data)
    report = recordio.salvage(path, out, tmp_path / "a.idx", sums)
    kept = [n for n in range(len(PAYLOADS)) if n not in (3, len(PAYLOADS) - 1)]
    assert report.offsets.tolist() == offsets[kept].tolist()
    assert report.lost.tolist() == [offsets[3:5].tolist(), offsets[-2:].tolist()]
    assert not report.ok
    reader = recordio.MXIndexedRecordIO(out.with_suffix(".idx"), out, "r")
    assert {key: reader.read_idx(key) for key in reader.keys} == {
        n + 100: PAYLOADS[n] for n in kept
    }
    assert recordio.verify(out, out.with_suffix(".idx")).ok
    other = tmp_path / "out" / "c.rec"
    recordio.salvage(path, other)
    assert recordio.read_index(other.with_suffix(".idx"))[0].tolist() == list(
        range(len(PAYLOADS) - 1)
    )
    with pytest.raises(ValueError, match="cannot be salvaged onto itself"):
        recordio.salvage(path, tmp_path / "out" / ".." / "a.rec")


def test_salvage_of_something_else_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(b"no records here, " * 99)
    with pytest.raises(
        ValueError, match=r"a\.rec holds no sound record at all: nothing is written"
    ):
        recordio.salvage(tmp_path / "a.rec", tmp_path / "b.rec")
    assert [path.name for path in tmp_path.iterdir()] == ["a.rec"]


def test_an_index_rebuilt_has_the_ids_of_image_records_else_numbers(tmp_path: Path) -> None:
    for ids, expected in (((7, 3, 9), [7, 3, 9]), ((7, 7, 9), [0, 1, 2])):
        payloads = [recordio.pack(recordio.IRHeader(0, 1.0, key, 0), b"abcde") for key in ids]
        (tmp_path / "a.rec").write_bytes(b"".join(map(recordio.frame, payloads)))
        keys, offsets = recordio.rebuild_index(tmp_path / "a.rec")
        assert keys.tolist() == expected
        assert np.array_equal(offsets, recordio.scan(tmp_path / "a.rec"))
    (tmp_path / "a.rec").write_bytes(recordio.frame(payloads[0]) + recordio.frame(b"no image"))
    assert recordio.rebuild_index(tmp_path / "a.rec")[0].tolist() == [0, 1]


def test_salvage_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    write(path, PAYLOADS)
    index = path.with_suffix(".idx")
    before = path.read_bytes(), index.read_bytes()
    with pytest.raises(
        ValueError, match=r"train\.saved cannot become a record file: .* ends in \.rec"
    ):
        recordio.salvage(path, tmp_path / "train.saved", index)
    (tmp_path / "there.rec").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"there\.rec exists and is not overwritten"):
        recordio.salvage(path, tmp_path / "there.rec", index)
    moved = path.rename(tmp_path / "train.damaged")
    with pytest.raises(FileExistsError, match=r"train\.idx exists and is not overwritten"):
        recordio.salvage(moved, path, index)
    assert (moved.read_bytes(), index.read_bytes()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "there.rec",
        "train.damaged",
        "train.idx",
    ]


def test_a_file_cut_between_records_is_not_called_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    offsets = write(path, PAYLOADS)
    path.write_bytes(path.read_bytes()[: offsets[-3]])
    report = recordio.salvage(path, tmp_path / "b.rec", tmp_path / "a.idx")
    assert not len(report.lost)
    assert report.problems == (
        f"in the index without a sound record: 2, first at byte {offsets[-3]:,}",
    )


def test_salvage_goes_on_after_missing_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    out = tmp_path / "b.rec"
    offsets = write(path, PAYLOADS)
    whole = path.read_bytes()
    first = int(offsets[-3]) + 8
    after = int(offsets[-2]) + 40
    path.write_bytes(whole[:first] + whole[after:] + whole)
    report = recordio.salvage(path, out)
    assert out.read_bytes() == whole[: offsets[-3]] + whole
    assert report.lost.tolist() == [[offsets[-3], len(whole) - (after - first)]]


def test_verify_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    index = tmp_path / "a.idx"
    offsets = write(path, [b"abc", b"defgh", b"", b"xyz"])
    sums = recordio.checksums(path)
    assert recordio.verify(path, index, sums).problems == ()
    with pytest.raises(ValueError, match="name the index too"):
        recordio.verify(path, checksums=sums)
    with pytest.raises(ValueError, match=r"a\.idx lists 4 records, but there are 3 checksums"):
        recordio.verify(path, index, sums[:3])
    assert recordio.verify(path, index, sums ^ [0, 0, 0, 1]).problems == (
        "no sound record: 12 bytes, first from byte 36 to 48",
        "contradicting their checksum: 1, first at byte 36",
        "in the index without a sound record: 1, first at byte 36",
    )
    recordio.write_index(index, [1, 2, 3, 4], [0, 12, 12, 16])
    assert recordio.verify(path, index).problems == (
        "in the index without a sound record: 1, first at byte 16",
        "sound records missing from the index: 2, first at byte 28",
        "in the index more than once: 1, first at byte 12",
    )
    data = bytearray(path.read_bytes())
    data[offsets[1] - 1] = 7
    path.write_bytes(data)
    assert recordio.verify(path).problems == ("no sound record: 12 bytes, first from byte 0 to 12",)


@given(st.lists(st.integers(0, 40).map(lambda n: n * 4), max_size=3), st.integers(0, 50), st.data())
def test_pieces_join_to_the_frame_of_the_whole(
    lengths: list[int], last: int, data: st.DataObject
) -> None:
    magic = struct.pack("<I", recordio.MAGIC)
    word = st.sampled_from([magic, b"abcd", bytes(4)])
    parts = [b"".join(data.draw(st.lists(word, min_size=n // 4, max_size=n // 4))) for n in lengths]
    parts.append(data.draw(st.binary(min_size=last, max_size=last)))
    assert b"".join(recordio.frame_pieces(*parts)) == recordio.frame(b"".join(parts))
