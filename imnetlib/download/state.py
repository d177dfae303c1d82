"""One download under way: what lies on the disk, and what is known of it (chapter 1)."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imnetlib.archive import TarScanner
from imnetlib.progress import progress

# warnings reach stderr unless the program says otherwise
log = logging.getLogger(__name__)


class DownloadError(OSError):
    """A download that failed for good; what was fetched stays, and another call goes on from there."""


class ConnectionBreakError(Exception):
    """This attempt is over; the next may do better."""


class Digest:
    """The one pass over a file's bytes, in order: its MD5 and, of a ``tar``, the index."""

    def __init__(self, tar: Path | None) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._scanner = TarScanner(tar) if tar is not None else None

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        self._md5.update(block)
        if self._scanner is not None:
            self._scanner.update(block)

    def over(self, path: Path) -> Digest:
        """Take all bytes of a file; 0.9 GB/s."""
        with (
            path.open("rb") as file,
            progress(path.stat().st_size, f"MD5 of {path.name}", "B") as bar,
        ):
            while block := file.read(1 << 20):
                self.update(block)
                bar.update(len(block))
        return self

    @property
    def md5(self) -> str:
        """The MD5 of the bytes so far, in hexadecimal digits."""
        return self._md5.hexdigest()

    def save_index(self, path: Path) -> Path | None:
        """Save the index there; None, and a warning that says why, if there is none: the file
        itself is fine.
        """
        if self._scanner is None:
            return None
        try:
            self._scanner.index().save(path)
        except ValueError as problem:
            log.warning("no index: %s", problem)
            return None
        return path


@dataclass(slots=True)
class Transfer:
    """One download under way: the first ``have`` bytes lie in ``part``, and ``seen`` has seen them."""

    url: str
    part: Path
    # what the caller expects
    size: int | None
    # the name it gets, if it is to be indexed
    tar: Path | None
    seen: Digest
    have: int = 0
    # address, size, etag, modified: the sidecar
    known: dict[str, Any] = field(default_factory=dict)
    fetched: int = 0
    restarts: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The URL without its query and fragment: those may hold a secret, and change with each
        log-in.
        """
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    @property
    def sidecar(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    @property
    def lock(self) -> Path:
        return self.part.with_name(self.part.name + ".lock")


def start_over(state: Transfer, why: str) -> None:
    """Throw away what is there: the data first, for a record without data means nothing."""
    state.part.unlink(missing_ok=True)
    state.sidecar.unlink(missing_ok=True)
    log.warning("%s: %s, %s bytes thrown away", state.part.stem, why, f"{state.have:,}")
    state.restarts += 1
    state.notes.append(why)
    state.have = 0
    state.known = {}
    state.seen = Digest(state.tar)
