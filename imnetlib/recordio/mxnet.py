"""The reader and writer classes of ``mxnet.recordio``, under their own names (chapter 4)."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from imnetlib.arguments import PathLike, require
from imnetlib.recordio.format import Buffer, RecordError, RecordReader, frame
from imnetlib.recordio.index import NUMBER_LIMIT, read_index


class MXRecordIO:
    """A ``.rec`` file read or written in order, as by ``mxnet.recordio.MXRecordIO`` (chapter 4).

    ``flag``: "r" or "w" (which empties the file). Only the process that opened it may use it;
    pickled, a reader opens its file again, at the start. A writer cannot be pickled: its copy would
    empty the file. :class:`RecordReader` reads faster.
    """

    def __init__(self, uri: PathLike, flag: str) -> None:
        self.uri = os.fspath(uri)
        self.flag = flag
        self.is_open = False
        self.open()

    def open(self) -> None:
        """Open the file at its start."""
        rule = f"{self.uri}: the flag is 'r' to read or 'w' to write"
        require(self.flag in ("r", "w"), rule, self.flag)
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
            self.is_open = False
            self.pid = None

    def reset(self) -> None:
        """Go back to the first record; a file opened to write is emptied."""
        self.close()
        self.open()

    def write(self, buf: Buffer) -> None:
        """Append a record."""
        self._require_open("w")
        framed = frame(buf)
        self._out.write(framed)
        self._position += len(framed)

    def read(self) -> bytes | None:
        """The next record; None after the last."""
        self._require_open("r")
        if self._records is None:
            self._records = self._reader.records(self._position)
        try:
            record = next(self._records, None)
        except RecordError as error:
            # The next call raises again: an exhausted iterator would look like the file's end.
            self._position = error.offset
            self._records = None
            raise
        return None if record is None else bytes(record[1])

    def _require_open(self, flag: str) -> None:
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
            raise TypeError(
                f"{self.uri} is open to write, so it cannot be pickled: its copy would empty it"
            )
        hidden = ("_reader", "_records", "_index", "pid")
        return {name: value for name, value in self.__dict__.items() if name not in hidden}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state["is_open"]:
            self.open()


class MXIndexedRecordIO(MXRecordIO):
    """A ``.rec`` file with its ``.idx``, as ``mxnet.recordio.MXIndexedRecordIO`` (chapter 4).

    ``keys``: in file order; ``idx``: key → offset. ``read_idx`` may be called by many threads and
    by forked workers. A plain dict and list, as MXNet's users expect: about 150 bytes a record; for
    large files use :func:`read_index` with :class:`RecordReader`.
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
            path = Path(self.idx_path)
            self._index = path.open("w", encoding="utf-8", newline="\n")
        else:
            self.keys, offsets = self._read_index()
            self.idx = dict(zip(self.keys, offsets, strict=True))

    def _read_index(self) -> tuple[list[Any], list[int]]:
        if self.key_type is int:
            columns = read_index(self.idx_path)
            return columns[0].tolist(), columns[1].tolist()
        lines = Path(self.idx_path).read_text(encoding="utf-8").splitlines()
        keys: list[Any] = []
        offsets: list[int] = []
        for number, line in enumerate(lines, 1):
            key, _, offset = line.partition("\t")
            rule = f"{self.idx_path}, line {number}: expected key TAB offset, a whole number"
            require(offset.isdecimal(), rule, line[:80])
            keys.append(self.key_type(key))
            offsets.append(int(offset))
        return keys, offsets

    def close(self) -> None:
        """Close both files; a second time does nothing."""
        if self._index is not None:
            self._index.close()
        super().close()

    def seek(self, idx: Any) -> None:
        """Let :meth:`read` go on with the record of key ``idx``; KeyError when there is none."""
        # A forked worker may go on: no file position is shared.
        self.pid = os.getpid()
        self._require_open("r")
        self._position = self.idx[idx]
        self._records = None

    def tell(self) -> int:
        """Where the next record will be written."""
        self._require_open("w")
        return self._position

    def read_idx(self, idx: Any) -> bytes:
        """The record of key ``idx``; KeyError when there is none."""
        self.seek(idx)
        payload, self._position = self._reader.record_at(self.idx[idx])
        return payload

    def write_idx(self, idx: Any, buf: Buffer) -> None:
        """Append a record and its line in the index; ValueError for a key that cannot be read."""
        key = self.key_type(idx)
        self._require_key(idx, key)
        position = self.tell()
        self.write(buf)
        # The index is open as long as the records are.
        assert self._index is not None
        self._index.write(f"{key}\t{position}\n")
        self.idx[key] = position
        self.keys.append(key)

    def _require_key(self, idx: Any, key: Any) -> None:
        """Refuse what the index could not hold, or would hold as another key."""
        if self.key_type is int:
            as_given = not isinstance(idx, numbers.Real) or key == idx
            rule = f"{self.idx_path}: a key is a whole number from 0 to {NUMBER_LIMIT - 1:,}"
            require(as_given and 0 <= key < NUMBER_LIMIT, rule, idx)
        else:
            text = str(key)
            rule = f"{self.idx_path}: a key is one line of text, without a tab or outer spaces"
            require(text.splitlines() == [text] == [text.strip()] and "\t" not in text, rule, idx)
