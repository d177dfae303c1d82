"""What is watched while files move: whether they change, whether the store still answers.

And what s3transfer, which moves the large ones, is given for it.
"""

from __future__ import annotations

import io
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

from imnetlib.cloud.errors import BackupError, ObjectError

_CHANGED = "changed while it was sent: let its writer finish, then run this again"


class Life:
    """Signs of life of a store, by the events of its client; at an error nothing more is asked."""

    def __init__(self) -> None:
        self._waiting_since: float | None = None
        self.is_over = False

    def __enter__(self) -> Life:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None
    ) -> None:
        self.is_over = kind is not None

    def asked(self, **_: Any) -> None:
        """Note a request; BackupError once the job is over, which keeps it from being repeated."""
        self.require_going_on()
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()

    def answered(self, response_dict: Any = None, **_: Any) -> None:
        """Note an answer, None where there is none but an error."""
        if response_dict is not None:
            self.moved()

    def moved(self) -> None:
        """Note that something came or went."""
        self._waiting_since = None

    def silence(self) -> float:
        """The seconds for which requests have been under way and nothing has come or gone."""
        since = self._waiting_since
        return 0.0 if since is None else time.monotonic() - since

    def require_going_on(self) -> None:
        """BackupError once the job is over."""
        if self.is_over:
            raise BackupError("stopped")


def send_at_once(request: Any, **_: Any) -> None:
    """Send an object right behind its header: boto3 would first ask whether it may come."""
    request.headers.pop("Expect", None)


class Files:
    """Files that are read to be sent, each held against what it was when it was first seen."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._before: dict[str, tuple[int, int]] = {}

    def note(self, path: Path) -> int:
        """Remember a file's state until ``forget``; its size."""
        state = _state(path)
        self._before[str(path)] = state
        return state[0]

    def require_same(self, path: Path) -> None:
        """ObjectError if the file has changed since it was noted, or is gone."""
        if _state(path) != self._before[str(path)]:
            raise ObjectError(_CHANGED)

    def forget(self, path: Path) -> None:
        """No longer remember a file's state."""
        self._before.pop(str(path), None)

    def open(self, filename: str, mode: str) -> io.FileIO:
        """A noted file, to read; ObjectError at the first read after a change."""
        return _Unchanging(filename, self._before[filename], self._life)

    def crc32(self, path: Path) -> str:
        """The CRC32 of a noted file in eight digits; ObjectError if it changes meanwhile."""
        checksum = 0
        with self.open(str(path), "rb") as file:
            while block := file.read(1 << 20):
                checksum = zlib.crc32(block, checksum)
        return f"{checksum:08x}"


class _Unchanging(io.FileIO):
    def __init__(self, filename: str, before: tuple[int, int], life: Life) -> None:
        super().__init__(filename)
        self._before = before
        self._life = life

    def read(self, size: int | None = -1, /) -> bytes:
        self._life.require_going_on()
        status = os.fstat(self.fileno())
        if (status.st_size, status.st_mtime_ns) != self._before:
            raise ObjectError(_CHANGED)
        return super().read(-1 if size is None else size)


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ObjectError(_CHANGED) from None
    return status.st_size, status.st_mtime_ns


class Teller:
    """A subscriber of s3transfer: it knows size and ETag, and passes on what has moved."""

    def __init__(
        self, life: Life, progress: Callable[[int], object], size: int, etag: str = ""
    ) -> None:
        self._life = life
        self._progress = progress
        self._size = size
        self._etag = etag

    def on_queued(self, future: Any, **_: Any) -> None:
        """Spare the request that would ask for an object's size and ETag."""
        future.meta.provide_transfer_size(self._size)
        if self._etag:
            future.meta.provide_object_etag(f'"{self._etag}"')

    def on_progress(self, bytes_transferred: int, **_: Any) -> None:
        """Note a piece that has come or gone, or with a minus sign one that is sent again."""
        self._life.moved()
        self._progress(bytes_transferred)

    def on_done(self, **_: Any) -> None:
        """Nothing."""


class RangesFirst:
    """A client for s3transfer, by which it divides an object before its threads fetch the parts.

    For one with ``response_checksum_validation="when_required"`` the threads that fetch would do
    that, and wait for each other for ever as soon as the queue of parts is full.
    """

    def __init__(self, s3: Any) -> None:
        from botocore.config import Config

        ahead = Config(response_checksum_validation="when_supported")
        self.meta = SimpleNamespace(events=s3.meta.events, config=s3.meta.config.merge(ahead))
        self._s3 = s3

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._s3, operation)
