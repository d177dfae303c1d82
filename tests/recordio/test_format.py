"""The record format against MXNet's own reader and writer, and a file cut short."""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import MAGIC, PAYLOADS, SEVERAL_PARTS, write_records

from imnetlib import recordio
from imnetlib.engines.mxnet import mx
from imnetlib.recordio import RecordError, RecordReader, frame, mxnet

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


@file_is_replaced
@given(records=st.lists(payloads, max_size=5))
def test_any_payloads_give_mxnets_bytes_and_come_back(tmp_path: Path, records: list[bytes]) -> None:
    path = tmp_path / "a.rec"
    assert b"".join(map(frame, records)) == mx_write(path, records)
    with RecordReader(path) as reader:
        assert [bytes(payload) for _, payload in reader] == records
        assert [reader.read_at(offset) for offset in recordio.scan(path)] == records
    assert recordio.verify(path).problems == ()


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
    # These pages are never touched, so they take no memory.
    payload = bytes(1 << 29)
    with pytest.raises(
        ValueError, match=r"at most 536,870,911 bytes .* this payload has 536,870,912"
    ):
        frame(payload)
    writer = mx.recordio.MXRecordIO(str(tmp_path / "a.rec"), "w")
    with pytest.raises(mx.base.MXNetError, match="2\\^29"):
        writer.write(payload)


@given(st.lists(st.integers(0, 40).map(lambda n: n * 4), max_size=3), st.integers(0, 50), st.data())
def test_pieces_join_to_the_frame_of_the_whole(
    lengths: list[int], last: int, data: st.DataObject
) -> None:
    magic = struct.pack("<I", recordio.MAGIC)
    word = st.sampled_from([magic, b"abcd", bytes(4)])
    parts = [b"".join(data.draw(st.lists(word, min_size=n // 4, max_size=n // 4))) for n in lengths]
    parts.append(data.draw(st.binary(min_size=last, max_size=last)))
    assert b"".join(recordio.frame_pieces(*parts)) == recordio.frame(b"".join(parts))


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
    ends = write_records(path, PAYLOADS[3:20]).tolist()
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
    offsets = write_records(path, [b"first", *SEVERAL_PARTS])
    data = bytearray(path.read_bytes())
    # A last part stands where a record should begin.
    data[offsets[3] + 7] = 0x41
    path.write_bytes(data)
    with RecordReader(path) as reader:
        for offset in (offsets[3], 4, -4, 2**40):
            with pytest.raises(
                RecordError, match=rf"a\.rec: no sound record at byte {offset}: .*salvage"
            ) as caught:
                reader.read_at(offset)
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
