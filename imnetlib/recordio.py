"""MXNet's RecordIO: records, indexes, image headers (chapter 4). NumPy and the standard library suffice.

``MXRecordIO``, ``MXIndexedRecordIO``, ``IRHeader``, ``pack``, ``unpack``, ``pack_img`` and ``unpack_img``
mean what they mean in ``mxnet.recordio``: a program changes its import and goes on. ``RecordReader`` is the
faster way to read, ``frame`` the record as it stands in the file; the format itself is described in
:mod:`imnetlib.recordio_format`. The payload of an image record is an image header (``IRHeader``) followed by
the encoded image. A ``.idx`` file is text, ``key TAB offset`` for each record.
"""

from __future__ import annotations

import numbers
import os
import re
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.files import write_atomically
from imnetlib.recordio_format import Buffer, PathLike, RecordError, RecordReader, frame, scan

__all__ = ["IRHeader", "MXIndexedRecordIO", "MXRecordIO", "RecordError", "RecordReader", "frame"]
__all__ += [
    "merge_indexes",
    "pack",
    "pack_img",
    "read_index",
    "rebuild_index",
    "scan",
    "unpack",
    "unpack_img",
]
__all__ += ["write_index"]

IMAGE = struct.Struct("<IfQQ")  # flag, label, id, id2
INDEX_ROWS = 1 << 16  # rows turned into text at a time
LARGEST = 2**63 - 1  # a number of an index is below
INDEX_BYTES = 1 << 24  # bytes read at a time
Payload = TypeVar("Payload", bytes, memoryview)


def read_index(path: PathLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys and offsets of a ``.idx`` file, in its order (chapter 4). 14 million rows take about a second.

    Raises ValueError with the line number where a line is not ``key TAB offset``, two whole numbers.
    """
    tables = [np.empty((0, 2), np.int64)]
    rows = 0
    with Path(path).open("rb") as lines:
        while chunk := lines.read(INDEX_BYTES) + lines.readline():
            chunk = chunk.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\n"
            separators = chunk.translate(None, b"0123456789")
            if separators == b"\t\n" * (len(separators) // 2):
                values = np.fromstring(chunk, np.int64, sep="\t")  # the text form, which is not deprecated
                if (
                    len(values) == len(separators) and values.max(initial=0) < LARGEST
                ):  # larger ones are cut down
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

    ``keys`` and ``offsets``: integers of shape (n,). About 0.25 s per million rows. Raises ValueError when
    their lengths differ.
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

    Keys as im2rec gives them, the ids in the image headers; 0, 1, 2 … where not all records are image records, or ids
    repeat or exceed int64. ``advance`` gets the bytes just passed. Reads headers only: some 5 µs a record. Raises
    RecordError at the first damage.
    """
    ids, offsets = array("q"), array("q")
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
    head = reader.pread(min(IMAGE.size, stop - start), start) if len(spans) == 1 else reader.read_at(at)
    if len(head) < IMAGE.size:
        return None
    flag, _, key, _ = IMAGE.unpack_from(head)
    length = sum(stop - start for start, stop, _ in spans)
    return key if IMAGE.size + 4 * flag <= length and key < LARGEST else None


def merge_indexes(
    records: Sequence[PathLike], indexes: Sequence[PathLike] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One index over several ``.rec`` files in the order given: keys, and offsets as if they were one file.

    MXNet's ``ImageRecordIter`` (``path_imgrec="a.rec;b.rec"``) and DALI read shards only through such an
    index (chapter 4). ``indexes`` default to the ``.idx`` beside each ``.rec``. Raises ValueError when an
    index points beyond its file.
    """
    indexes = [Path(path).with_suffix(".idx") for path in records] if indexes is None else indexes
    keys, offsets = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    before = 0
    for record, index in zip(records, indexes, strict=True):
        key, offset = read_index(index)
        size = Path(record).stat().st_size
        if len(offset) and int(offset.max()) >= size:
            raise ValueError(f"{index} points to byte {offset.max()}, but {record} has only {size} bytes")
        keys.append(key)
        offsets.append(offset + before)
        before += size
    return np.concatenate(keys), np.concatenate(offsets)


class IRHeader(NamedTuple):
    """What stands before the image in an image record.

    ``label``: a number, or float32 labels of shape (k,), then ``flag`` is k. ``id``: unique in the file.
    """

    flag: int
    label: Any
    id: int
    id2: int


def pack(header: IRHeader | tuple[int, Any, int, int], s: Buffer) -> bytes:
    """The payload of an image record: header, labels if there are several, encoded image ``s`` (chapter 4).

    As in MXNet ``flag`` is set here: 0 for one label, else the number of labels. The same bytes, too.
    """
    _, label, key, high = header
    if isinstance(label, numbers.Real):
        return IMAGE.pack(0, label, key, high) + s
    labels = np.asarray(label, "<f4")
    return b"".join((IMAGE.pack(labels.size, 0, key, high), labels.tobytes(), s))


def unpack(s: Payload) -> tuple[IRHeader, Payload]:
    """The header and the encoded image of an image record's payload; raises ValueError if it is too short.

    Several labels come as a read-only float32 array of shape (flag,), a view of ``s``.
    """
    start = IMAGE.size
    if len(s) >= start:
        flag, label, key, high = IMAGE.unpack_from(s)
        stop = start + 4 * flag
        if len(s) >= stop:
            label = np.frombuffer(s, "<f4", flag, start) if flag else label
            return IRHeader(flag, label, key, high), s[stop:]
    raise ValueError(f"no image record: {len(s)} bytes are too few for the header and its labels")


def pack_img(
    header: IRHeader | tuple[int, Any, int, int],
    img: NDArray[np.uint8],
    quality: int = 95,
    img_fmt: str = ".jpg",
) -> bytes:
    """Encode ``img`` (height, width, BGR) by OpenCV and :func:`pack` it.

    ``quality``: 1 to 100 for ``.jpg``; for ``.png`` the compression, 0 to 9. Raises ValueError when OpenCV
    cannot encode the image.
    """
    import cv2

    form = img_fmt.upper()
    parameters: list[int] = []
    if form in (".JPG", ".JPEG"):
        parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
    elif form == ".PNG":
        parameters = [cv2.IMWRITE_PNG_COMPRESSION, quality]
    done, encoded = cv2.imencode(img_fmt, img, parameters)
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {img.shape} as {img_fmt}")
    return pack(header, encoded.tobytes())


def unpack_img(s: Payload, iscolor: int = -1) -> tuple[IRHeader, NDArray[Any] | None]:
    """The header and the decoded image (height, width, BGR) of an image record; None where OpenCV fails.

    ``iscolor`` is OpenCV's: -1 as stored, 0 grey, 1 colour.
    """
    import cv2

    header, encoded = unpack(s)
    return header, cv2.imdecode(np.frombuffer(encoded, np.uint8), iscolor)


class MXRecordIO:
    """A ``.rec`` file read or written in order, as ``mxnet.recordio.MXRecordIO`` does it (chapter 4).

    ``flag``: "r" or "w" (which empties the file). Only the process that opened it may use it; pickled, a
    reader opens its file again, at the start. A writer cannot be pickled: its copy would empty the file.
    """

    def __init__(self, uri: PathLike, flag: str) -> None:
        self.uri = os.fspath(uri)
        self.flag = flag
        self.is_open = False
        self.open()

    def open(self) -> None:
        """Open the file at its start."""
        if self.flag not in ("r", "w"):
            raise ValueError(f"{self.uri}: the flag is 'r' to read or 'w' to write, not {self.flag!r}")
        self.writable = self.flag == "w"
        self._position = 0
        self._records: Iterator[tuple[int, memoryview]] | None = None
        if self.writable:
            self._out = Path(self.uri).open("wb")  # noqa: SIM115
        else:
            self._reader = RecordReader(self.uri)
        self.pid: int | None = os.getpid()
        self.is_open = True

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self.is_open:
            (self._out if self.writable else self._reader).close()
            self.is_open, self.pid = False, None

    def reset(self) -> None:
        """Go back to the first record; a file opened to write is emptied."""
        self.close()
        self.open()

    def write(self, buf: Buffer) -> None:
        """Append a record."""
        self._check("w")
        framed = frame(buf)
        self._out.write(framed)
        self._position += len(framed)

    def read(self) -> bytes | None:
        """The next record; None after the last."""
        self._check("r")
        if self._records is None:
            self._records = self._reader.records(self._position)
        try:
            record = next(self._records, None)
        except RecordError as damage:  # ask again and hear it again, instead of an early end
            self._position, self._records = damage.offset, None
            raise
        return None if record is None else bytes(record[1])

    def _check(self, flag: str) -> None:
        if not self.is_open:
            raise ValueError(f"{self.uri} is closed: call open() or reset() first")
        if self.flag != flag:
            raise ValueError(f"{self.uri} is open with flag {self.flag!r}, this needs {flag!r}")
        if self.pid != os.getpid():
            raise RuntimeError(f"{self.uri} was opened by another process: call reset() here first")

    def __del__(self) -> None:
        if getattr(self, "is_open", False):
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        if self.writable:
            raise TypeError(f"{self.uri} is open to write, so it cannot be pickled: its copy would empty it")
        hidden = ("_reader", "_records", "_index", "pid")
        return {name: value for name, value in self.__dict__.items() if name not in hidden}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state["is_open"]:
            self.open()


class MXIndexedRecordIO(MXRecordIO):
    """A ``.rec`` file with its ``.idx``, as ``mxnet.recordio.MXIndexedRecordIO`` (chapter 4).

    ``keys``: in file order; ``idx``: key → offset. ``read_idx`` may be called by many threads and by forked
    workers. A plain dict and list, as MXNet's users expect: about 150 bytes a record; for large files use
    :func:`read_index` with :class:`RecordReader`.
    """

    _index: TextIO | None = None

    def __init__(
        self, idx_path: PathLike, uri: PathLike, flag: str, key_type: Callable[[Any], Any] = int
    ) -> None:
        self.idx_path = os.fspath(idx_path)
        self.key_type = key_type
        super().__init__(uri, flag)

    def open(self) -> None:
        """Open both files at their start; raises ValueError where the index has a bad line."""
        super().open()
        self.idx: dict[Any, int] = {}
        self.keys: list[Any] = []
        if self.writable:
            self._index = Path(self.idx_path).open("w", encoding="utf-8", newline="\n")  # noqa: SIM115
        else:
            keys, offsets = self._read_keys()
            self.keys, self.idx = keys, dict(zip(keys, offsets, strict=True))

    def _read_keys(self) -> tuple[list[Any], list[int]]:
        if self.key_type is int:
            keys, offsets = read_index(self.idx_path)
            return keys.tolist(), offsets.tolist()
        rows = [line.split("\t") for line in Path(self.idx_path).read_text(encoding="utf-8").splitlines()]
        return [self.key_type(row[0]) for row in rows], [int(row[1]) for row in rows]

    def close(self) -> None:
        """Close both files; a second time does nothing."""
        if self._index is not None:
            self._index.close()
        super().close()

    def seek(self, idx: Any) -> None:
        """Let :meth:`read` go on with the record of key ``idx``; KeyError when there is none."""
        self.pid = os.getpid()  # no file position is shared: a forked worker may go on
        self._check("r")
        self._position, self._records = self.idx[idx], None

    def tell(self) -> int:
        """Where the next record will be written."""
        self._check("w")
        return self._position

    def read_idx(self, idx: Any) -> bytes:
        """The record of key ``idx``; KeyError when there is none."""
        self.seek(idx)
        payload, self._position = self._reader.record_at(self.idx[idx])
        return payload

    def write_idx(self, idx: Any, buf: Buffer) -> None:
        """Append a record and its line in the index."""
        key, position = self.key_type(idx), self.tell()
        self.write(buf)
        assert self._index is not None  # it is open as long as the records are
        self._index.write(f"{key}\t{position}\n")
        self.idx[key] = position
        self.keys.append(key)
