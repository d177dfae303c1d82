"""The classes of mxnet.recordio against MXNet's own, and in several processes and threads."""

from __future__ import annotations

import multiprocessing
import pickle
import random
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from making import PAYLOADS, write_records

from imnetlib import recordio
from imnetlib.engines.mxnet import mx
from imnetlib.recordio import RecordReader, mxnet


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


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "a.rec", [b"abc"])
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


@pytest.mark.parametrize(
    ("key_type", "key"),
    [*((int, key) for key in (0, 2**63 - 2, np.int64(7), "7", 7.0)), *((str, "é 1"), (float, 1.5))],
)
def test_a_key_that_is_written_can_be_read(tmp_path: Path, key_type: type, key: object) -> None:
    names = str(tmp_path / "a.idx"), str(tmp_path / "a.rec")
    writer = recordio.MXIndexedRecordIO(*names, "w", key_type)
    writer.write_idx(key, b"abc")
    writer.close()
    for module in (mx.recordio, mxnet):
        assert module.MXIndexedRecordIO(*names, "r", key_type).read_idx(key_type(key)) == b"abc"


@pytest.mark.parametrize(
    ("key_type", "key"),
    [
        *((int, key) for key in (-1, 2**63 - 1, 2**64, 1.5)),
        *((str, key) for key in ("", " ", "a\tb", "a\nb", "a\rb", "a\x85b", "a\n", " a")),
    ],
)
def test_a_key_that_could_not_be_read_is_not_written(
    tmp_path: Path, key_type: type, key: object
) -> None:
    writer = recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "w", key_type)
    with pytest.raises(ValueError, match=r"a\.idx: a key is (a whole number from|one line)"):
        writer.write_idx(key, b"abc")
    writer.close()
    assert (tmp_path / "a.idx").read_bytes() == (tmp_path / "a.rec").read_bytes() == b""


@pytest.mark.parametrize("line", ["a", "a\t", "a\t-1", "a\tb", "", "a\t1\t2"])
def test_a_bad_line_of_keys_of_text_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.rec").touch()
    (tmp_path / "a.idx").write_text(f"b\t0\n{line}\nc\t4\n")
    with pytest.raises(ValueError, match=r"a\.idx, line 2: expected key TAB offset"):
        recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "r", str)


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
    offsets = write_records(tmp_path / "a.rec", records)
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
    write_records(tmp_path / "a.rec", [b"abc"])
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(
        target=_read_on, args=(recordio.MXRecordIO(tmp_path / "a.rec", "r"), answers)
    )
    child.start()
    assert "opened by another process" in answers.get(timeout=20)
    child.join()
