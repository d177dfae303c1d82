"""The ``.idx`` file beside a ``.rec``: read, write, rebuild, merge (chapter 4)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from imnetlib.arguments import Integers, PathLike, list_of_paths, require, whole_number
from imnetlib.files import write_atomically
from imnetlib.recordio.format import RecordReader
from imnetlib.recordio.images import read_header
from imnetlib.recordio.insightface import image_rows

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
                raise _bad_line(path, sum(map(len, tables)), chunk)
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


def _bad_line(path: PathLike, rows_before: int, chunk: bytes) -> ValueError:
    lines = enumerate(chunk.replace(b"\r\n", b"\n").split(b"\n"), rows_before + 1)
    number, line = next(row for row in lines if _parse_lines(row[1]) is None)
    return ValueError(
        f"{path}, line {number}: expected two whole numbers, key TAB offset, found {line[:80]!r}; "
        "remove it, and imnet index writes a new one from the .rec file"
    )


def write_index(path: PathLike, keys: ArrayLike, offsets: ArrayLike) -> None:
    """Write a ``.idx`` file, whole or not at all, in MXNet's own text (chapter 4).

    ``keys`` and ``offsets``: integers of shape (n,). About 0.25 s per million rows. Raises
    ValueError when their lengths differ, and for a number that :func:`read_index` would refuse, one
    below 0 or above 2**63 - 2; TypeError for what is no whole number.
    """
    columns = (
        _require_numbers(f"{path}: a key", keys),
        _require_numbers(f"{path}: an offset", offsets),
    )
    if columns[0].ndim != 1 or columns[0].shape != columns[1].shape:
        shapes = f"{columns[0].shape} and {columns[1].shape}"
        raise ValueError(f"{path}: an index needs one key for each offset, got shapes {shapes}")
    with write_atomically(path) as out:
        for start in range(0, len(columns[0]), ROWS_PER_WRITE):
            rows = np.stack([column[start : start + ROWS_PER_WRITE] for column in columns], axis=1)
            text = "%d\t%d\n" * len(rows) % tuple(rows.ravel().tolist())
            out.write(text.encode("ascii"))


def _require_numbers(name: str, values: ArrayLike) -> Integers:
    numbers = np.asarray(values)
    if numbers.size and numbers.dtype.kind not in "iu":
        # Python's integers beyond 64 bits pass here, and are out of range.
        for value in np.asarray(values, object).flat:
            whole_number(name, value)
    for value in (numbers.min(initial=0), numbers.max(initial=0)):
        rule = f"{name} is from 0 to {NUMBER_LIMIT - 1:,}"
        require(0 <= value < NUMBER_LIMIT, rule, int(value))
    return numbers.astype(np.int64, copy=False)


def rebuild_index(
    record: PathLike, advance: Callable[[int], object] | None = None
) -> tuple[Integers, Integers]:
    """Keys and offsets, int64 (n,) each, of a ``.rec`` whose ``.idx`` is lost (chapter 4).

    Keys as im2rec and insightface give them, the ids in the image headers; 0, 1, 2 … where not all
    records are image records, or ids repeat or exceed int64 (which insightface's layout survives
    only where its header comes first). ``advance`` gets the bytes just passed. Reads headers only:
    some 5 µs a record. Raises RecordError at the first damage.
    """
    ids = array("q")
    offsets = array("q")
    with RecordReader(record) as reader:
        for at, spans in reader.layout():
            header = read_header(reader, at, spans)
            if header is not None and header.id < NUMBER_LIMIT:
                ids.append(header.id)
            offsets.append(at)
            if advance is not None:
                advance(spans[-1][2] - at)
    keys = np.array(ids, np.int64)
    if len(np.unique(keys)) < len(offsets):
        keys = np.arange(len(offsets), dtype=np.int64)
    return keys, np.array(offsets, np.int64)


def read_index_of(shards: Sequence[PathLike], index: PathLike) -> tuple[Integers, Integers]:
    """Keys and offsets, int64 (n,) each, of the index over ``shards``, in file order (chapter 4).

    The offsets of several shards count as if they were one file. Raises FileNotFoundError when
    there is no ``index``, and ValueError when it names a place twice or one beyond the shards' end.
    """
    shards = list_of_paths("shards", shards)
    if not Path(index).exists():
        lies_beside = [shard.with_suffix(".idx") for shard in shards] == [Path(index)]
        verb = f"index {shards[0]}" if lies_beside else f"merge-index {index} REC..."
        raise FileNotFoundError(
            f"{index} is missing: a shard needs its index; imnet {verb} writes it"
        )
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
    size = sum(shard.stat().st_size for shard in shards)
    if len(offsets) and offsets[-1] >= size:
        end = f"the {len(shards)} shards have {size:,}: give those that were merged, in their order"
        if len(shards) == 1:
            end = (
                f"but {shards[0]} has only {size:,} bytes: copy the shard again, "
                "or take what is left of it with imnet salvage"
            )
        raise ValueError(f"{index} points to byte {offsets[-1]:,}, {end}")
    return keys, offsets


def merge_indexes(
    records: Sequence[PathLike], *, images_only: bool = False
) -> tuple[Integers, Integers]:
    """One index over several ``.rec`` files, in the order given, as if they were one (chapter 4).

    MXNet's ``ImageRecordIter`` (``path_imgrec="a.rec;b.rec"``) and DALI read shards only through
    such an index: keys and offsets, int64 (n,) each. With ``images_only`` without the records that
    hold none, of insightface's layout: DALI fails on those. Reads the ``.idx`` beside each
    ``.rec``, and raises as :func:`read_index_of` and :func:`image_rows` do.
    """
    keys = [np.empty(0, np.int64)]
    offsets = [np.empty(0, np.int64)]
    before = 0
    for record in list_of_paths("records", records):
        shard_keys, shard_offsets = read_index_of([record], record.with_suffix(".idx"))
        if images_only:
            rows = image_rows(record, shard_keys, shard_offsets)
            shard_keys = shard_keys[rows]
            shard_offsets = shard_offsets[rows]
        keys.append(shard_keys)
        offsets.append(shard_offsets + before)
        before += record.stat().st_size
    return np.concatenate(keys), np.concatenate(offsets)
