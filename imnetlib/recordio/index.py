"""The ``.idx`` file beside a ``.rec``: read, write, rebuild, merge (chapter 4)."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import PathLike
from imnetlib.files import write_atomically
from imnetlib.recordio.format import RecordReader
from imnetlib.recordio.images import IMAGE_HEADER

Integers: TypeAlias = NDArray[np.int64]

# Every key and offset of an index is below this.
NUMBER_LIMIT = 2**63 - 1
INDEX_READ_SIZE = 1 << 24
ROWS_PER_WRITE = 1 << 16


def read_index(path: PathLike) -> tuple[Integers, Integers]:
    """Keys and offsets of a ``.idx`` file, int64 (n,) each, in its order (chapter 4).

    14 million rows take about a second. Raises ValueError with the line number where a line is not
    ``key TAB offset``, two whole numbers.
    """
    tables = [np.empty((0, 2), np.int64)]
    with Path(path).open("rb") as lines:
        while chunk := lines.read(INDEX_READ_SIZE) + lines.readline():
            table = _parse_lines(chunk)
            if table is None:
                raise _bad_line(Path(path), sum(map(len, tables)), chunk)
            tables.append(table)
    rows = np.concatenate(tables)
    return rows[:, 0].copy(), rows[:, 1].copy()


def _parse_lines(chunk: bytes) -> Integers | None:
    """Keys and offsets of these lines, (n, 2); None where one of them is bad."""
    text = chunk.replace(b"\r\n", b"\n")
    if not text.endswith(b"\n"):
        text += b"\n"
    separators = text.translate(None, b"0123456789")
    if separators != b"\t\n" * (len(separators) // 2):
        return None
    # With a separator fromstring parses text, a use that is not deprecated.
    values = np.fromstring(text, np.int64, sep="\t")
    # It skips empty cells, and gives the limit for any larger number.
    if len(values) != len(separators) or values.max(initial=0) >= NUMBER_LIMIT:
        return None
    return values.reshape(-1, 2)


def _bad_line(path: Path, rows_before: int, chunk: bytes) -> ValueError:
    lines = enumerate(chunk.replace(b"\r\n", b"\n").split(b"\n"), rows_before + 1)
    number, line = next(row for row in lines if _parse_lines(row[1]) is None)
    return ValueError(
        f"{path}, line {number}: expected two whole numbers, key TAB offset, found {line[:80]!r}; "
        "remove it, and imnet index writes a new one from the .rec file"
    )


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
        for start in range(0, len(columns[0]), ROWS_PER_WRITE):
            rows = np.stack([column[start : start + ROWS_PER_WRITE] for column in columns], axis=1)
            text = "%d\t%d\n" * len(rows) % tuple(rows.ravel().tolist())
            out.write(text.encode("ascii"))


def rebuild_index(
    record: PathLike, advance: Callable[[int], object] | None = None
) -> tuple[Integers, Integers]:
    """Keys and offsets, int64 (n,) each, of a ``.rec`` whose ``.idx`` is lost (chapter 4).

    Keys as im2rec gives them, the ids in the image headers; 0, 1, 2 … where not all records are
    image records, or ids repeat or exceed int64. ``advance`` gets the bytes just passed. Reads
    headers only: some 5 µs a record. Raises RecordError at the first damage.
    """
    ids = array("q")
    offsets = array("q")
    with RecordReader(record) as reader:
        for at, spans in reader.layout():
            key = _image_id(reader, at, spans)
            if key is not None:
                ids.append(key)
            offsets.append(at)
            if advance is not None:
                advance(spans[-1][2] - at)
    keys = np.array(ids, np.int64)
    if len(np.unique(keys)) < len(offsets):
        keys = np.arange(len(offsets), dtype=np.int64)
    return keys, np.array(offsets, np.int64)


def _image_id(reader: RecordReader, at: int, spans: list[tuple[int, int, int]]) -> int | None:
    """The id in an image record's header; None for another record, or an id beyond the limit."""
    length = sum(stop - start for start, stop, _ in spans)
    if length < IMAGE_HEADER.size:
        return None
    one_part = len(spans) == 1
    head = reader.pread(IMAGE_HEADER.size, spans[0][0]) if one_part else reader.read_at(at)
    flag, _, key, _ = IMAGE_HEADER.unpack_from(head)
    return key if IMAGE_HEADER.size + 4 * flag <= length and key < NUMBER_LIMIT else None


def read_index_of(shards: Sequence[PathLike], index: PathLike) -> tuple[Integers, Integers]:
    """Keys and offsets, int64 (n,) each, of the index over ``shards``, in file order (chapter 4).

    The offsets of several shards count as if they were one file. Raises FileNotFoundError when
    there is no ``index``, and ValueError when it names a place twice or one beyond the shards' end.
    """
    if not Path(index).exists():
        verb = f"index {shards[0]}" if len(shards) == 1 else f"merge-index {index}"
        why = f"a shard needs its index; imnet {verb} writes it"
        raise FileNotFoundError(errno.ENOENT, why, str(index))
    keys, offsets = read_index(index)
    steps = np.diff(offsets)
    if (steps < 0).any():
        order = np.argsort(offsets, kind="stable")
        keys = keys[order]
        offsets = offsets[order]
        steps = np.diff(offsets)
    if (steps == 0).any():
        raise ValueError(
            f"{index} names the record at byte {offsets[:-1][steps == 0][0]:,} twice: "
            "remove it, and imnet index or imnet merge-index writes a new one"
        )
    size = sum(Path(shard).stat().st_size for shard in shards)
    if len(offsets) and offsets[-1] >= size:
        end = f"the {len(shards)} shards have {size:,}: give those that were merged, in their order"
        if len(shards) == 1:
            end = (
                f"but {shards[0]} has only {size:,} bytes: copy the shard again, "
                "or take what is left of it with imnet salvage"
            )
        raise ValueError(f"{index} points to byte {offsets[-1]:,}, {end}")
    return keys, offsets


def merge_indexes(records: Sequence[PathLike]) -> tuple[Integers, Integers]:
    """One index over several ``.rec`` files, in the order given, as if they were one (chapter 4).

    MXNet's ``ImageRecordIter`` (``path_imgrec="a.rec;b.rec"``) and DALI read shards only through
    such an index: keys and offsets, int64 (n,) each. Reads the ``.idx`` beside each ``.rec``, and
    raises as :func:`read_index_of` does.
    """
    keys = [np.empty(0, np.int64)]
    offsets = [np.empty(0, np.int64)]
    before = 0
    for record in map(Path, records):
        shard_keys, shard_offsets = read_index_of([record], record.with_suffix(".idx"))
        keys.append(shard_keys)
        offsets.append(shard_offsets + before)
        before += record.stat().st_size
    return np.concatenate(keys), np.concatenate(offsets)
