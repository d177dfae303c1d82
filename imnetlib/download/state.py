"""One download under way: what lies on the disk, and what is known of it (chapter 1)."""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imnetlib.archive import TarScanner, index_path
from imnetlib.arguments import require, require_type, whole_number
from imnetlib.progress import progress

_log = logging.getLogger(__name__)
_MD5 = re.compile(r"[0-9a-f]{32}")


class DownloadError(OSError):
    """A download that failed for good; what was fetched stays, for another call to go on from."""


class ConnectionBreakError(Exception):
    """This attempt is over; the next may do better."""


class UnknownServerError(ConnectionBreakError):
    """The server's name is not known here: more than one more attempt is idle."""


class ByteScan:
    """One pass over the bytes of a file, in order: their MD5 and, of a tar, the index.

    ``tar`` is the path that the index is for, None where it is not wanted.
    """

    def __init__(self, tar: Path | None) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._tar = tar
        self._scanner = None if tar is None else TarScanner(tar)

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        self._md5.update(block)
        if self._scanner is not None:
            self._scanner.update(block)

    def update_from(self, path: Path) -> None:
        """Take all bytes of a file, 0.9 GB/s."""
        size = path.stat().st_size
        with path.open("rb") as file, progress(size, f"MD5 of {path.name}", "B") as bar:
            while block := file.read(1 << 20):
                self.update(block)
                bar.update(len(block))

    @property
    def md5(self) -> str:
        """The MD5 of the bytes so far, in hexadecimal digits."""
        return self._md5.hexdigest()

    def save_index(self) -> Path | None:
        """Save the index beside the tar and return its path; None if there is none to make.

        A warning says why a tar cannot be indexed: the download itself is fine.
        """
        if self._tar is None or self._scanner is None:
            return None
        try:
            self._scanner.index().save(index_path(self._tar))
        except ValueError as problem:
            _log.warning("no index: %s", problem)
            return None
        return index_path(self._tar)


@dataclass(slots=True)
class DownloadState:
    """One download under way: the first ``have`` bytes lie in ``part``, and ``scan`` covers them.

    ``size`` in bytes and ``md5`` are what the caller expects, ``bandwidth`` is in bytes per second.
    """

    url: str
    destination: Path
    size: int | None
    md5: str | None
    bandwidth: float | None
    index: bool
    have: int = 0
    # What the sidecar holds: address, size, etag, modified.
    record: dict[str, Any] = field(default_factory=dict)
    resumed_from: int = 0
    fetched: int = 0
    restarts: int = 0
    notes: list[str] = field(default_factory=list)
    # The names of what the session logs in with, "" where there is no log-in.
    login: str = ""
    scan: ByteScan = field(init=False)
    part: Path = field(init=False)
    sidecar: Path = field(init=False)
    lock: Path = field(init=False)

    def __post_init__(self) -> None:
        # Not by ``require``: a message must not show this address.
        if not isinstance(self.url, str):
            raise TypeError(f"the address is text, a str, not a {type(self.url).__name__}")
        if urlsplit(self.url).password:
            raise ValueError(
                "the address holds a password: give IMAGENET_USER and IMAGENET_KEY instead"
            )
        rule = "bandwidth is more than 0 bytes a second, or None for no limit"
        require(self.bandwidth is None or self.bandwidth > 0, rule, self.bandwidth)
        if self.size is not None:
            self.size = whole_number("size", self.size)
            require(self.size >= 0, "size is 0 bytes or more", self.size)
        require_type(self.md5, (str, type(None)), "an MD5 is text, a str")
        self.md5 = self.md5 and self.md5.lower()
        is_md5 = self.md5 is None or _MD5.fullmatch(self.md5) is not None
        require(is_md5, "an MD5 has 32 digits of 0 to 9 and a to f", self.md5)
        self.part = self.destination.with_name(f"{self.destination.name}.part")
        self.sidecar = self.part.with_name(f"{self.part.name}.json")
        self.lock = self.part.with_name(f"{self.part.name}.lock")
        self._begin_scan()

    def _begin_scan(self) -> None:
        self.scan = ByteScan(self.destination if self.index else None)

    @property
    def address(self) -> str:
        """The URL without query and fragment, which may hold a secret and change."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def start_over(self, why: str) -> None:
        """Throw away what is there: the data first, for a record without data means nothing."""
        self.part.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)
        _log.warning("%s: %s, %s bytes thrown away", self.destination.name, why, f"{self.have:,}")
        self.restarts += 1
        self.notes.append(why)
        self.have = 0
        self.record = {}
        self._begin_scan()
