"""The ``.idx`` file beside a ``.rec``: read, write, rebuild, merge (chapter 4)."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import PathLike
from imnetlib.files import write_atomically
from imnetlib.recordio.format import RecordReader
from imnetlib.recordio.images import IMAGE_HEADER

# rows turned into text at a time
INDEX_ROWS = 1 << 16
# a number of an index is below
LARGEST = 2**63 - 1
# bytes read at a time
INDEX_BYTES = 1 << 24


def read_index(path: PathLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys and offsets of a ``.idx`` file, in its order (chapter 4). 14 million rows take about a
    second.

    Raises ValueError with the line number where a line is not ``key TAB offset``, two whole
    numbers.
    """
    tables = [np.empty((0, 2), np.int64)]
    rows = 0
    with Path(path).open("rb") as lines:
        while chunk := lines.read(INDEX_BYTES) + lines.readline():
            chunk = chunk.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\n"
            separators = chunk.translate(None, b"0123456789")
            if separators == b"\t\n" * (len(separators) // 2):
                # the text form, which is not deprecated
                values = np.fromstring(chunk, np.int64, sep="\t")
                if (
                    len(values) == len(separators) and values.max(initial=0) < LARGEST
                    # larger ones are cut down
                ):
                    tables.append(values.reshape(-1, 2))
                    rows += len(tables[-1])
                    continue
            raise _bad_index_line(Path(path), rows, chunk)
    table = np.concatenate(tables)
    return table[:, 0].copy(), table[:, 1].copy()


def _bad_index_line(path: Path, rows_before: int, chunk: bytes) -> ValueError:
    lines = enumerate(chunk.split(b"\n"), rows_before + 1)
    number, line = next(row for row in lines if not _is_index_line(row[1]))
    return ValueError(
        f"{path}, line {number}: expected two whole numbers, key TAB offset, found {line[:80]!r}; "
        f"remove it, and imnet index writes a new one from the .rec file"
    )


def _is_index_line(line: bytes) -> bool:
    return bool(re.fullmatch(rb"\d+\t\d+", line)) and max(map(int, line.split(b"\t"))) < LARGEST


def write_index(path: PathLike, keys: ArrayLike, offsets: ArrayLike) -> None:
    """Write a ``.idx`` file, whole or not at all, in MXNet's own text (chapter 4).

    ``keys`` and ``offsets``: integers of shape (n,). About 0.25 s per million rows. Raises
    ValueError when their lengths differ.
    """
    columns = np.asarray(keys, np.int64), np.asarray(offsets, np.int64)
    if columns[0].ndim != 1 or columns[0].shape != columns[1].shape:
        shapes = f"{columns[0].shape} and {columns[1].shape}"
        raise ValueError(f"{path}: an index needs one key for each offset, got shapes {shapes}")
    with write_atomically(Path(path)) as out:
        for start in range(0, len(columns[0]), INDEX_ROWS):
            rows = np.stack([column[start : start + INDEX_ROWS] for column in columns], axis=1)
            out.write(("%d\t%d\n" * len(rows) % tuple(rows.ravel().tolist())).encode("ascii"))


def rebuild_index(
    record: PathLike, advance: Callable[[int], object] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys and offsets of a ``.rec`` whose ``.idx`` is lost: int64 (n,) each (chapter 4).

    Keys as im2rec gives them, the ids in the image headers; 0, 1, 2 … where not all records are
    image records, or ids repeat or exceed int64. ``advance`` gets the bytes just passed. Reads
    headers only: some 5 µs a record. Raises RecordError at the first damage.
    """
    ids = array("q")
    offsets = array("q")
    with RecordReader(record) as reader:
        for at, spans in reader.layout():
            if (key := _image_id(reader, at, spans)) is not None:
                ids.append(key)
            offsets.append(at)
            if advance is not None:
                advance(spans[-1][2] - at)
    keys = np.array(ids, np.int64)
    if len(np.unique(keys)) < len(offsets):
        keys = np.arange(len(offsets), dtype=np.int64)
    return keys, np.array(offsets, np.int64)


def _image_id(reader: RecordReader, at: int, spans: list[tuple[int, int, int]]) -> int | None:
    """The id in the header of an image record; None where there is none that an index could name."""
    start, stop, _ = spans[0]
    head = (
        reader.pread(min(IMAGE_HEADER.size, stop - start), start)
        if len(spans) == 1
        else reader.read_at(at)
    )
    if len(head) < IMAGE_HEADER.size:
        return None
    flag, _, key, _ = IMAGE_HEADER.unpack_from(head)
    length = sum(stop - start for start, stop, _ in spans)
    return key if IMAGE_HEADER.size + 4 * flag <= length and key < LARGEST else None


def merge_indexes(
    records: Sequence[PathLike], indexes: Sequence[PathLike] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One index over several ``.rec`` files in the order given: keys, and offsets as if they were
    one file.

    MXNet's ``ImageRecordIter`` (``path_imgrec="a.rec;b.rec"``) and DALI read shards only through
    such an index (chapter 4). ``indexes`` default to the ``.idx`` beside each ``.rec``. Raises
    ValueError when an index points beyond its file.
    """
    indexes = [Path(path).with_suffix(".idx") for path in records] if indexes is None else indexes
    keys = [np.empty(0, np.int64)]
    offsets = [np.empty(0, np.int64)]
    before = 0
    for record, index in zip(records, indexes, strict=True):
        key, offset = read_index(index)
        size = Path(record).stat().st_size
        if len(offset) and int(offset.max()) >= size:
            raise ValueError(
                f"{index} points to byte {offset.max()}, but {record} has only {size} bytes"
            )
        keys.append(key)
        offsets.append(offset + before)
        before += size
    return np.concatenate(keys), np.concatenate(offsets)
