"""Whether a backup in S3 is what its manifest says, with or without reading it (chapter 5)."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from imnetlib.cloud.errors import ObjectError, is_wrong, reason
from imnetlib.cloud.leftovers import look_around
from imnetlib.cloud.manifest import ManifestEntry
from imnetlib.cloud.objects import Listed
from imnetlib.cloud.store import Store, open_store
from imnetlib.progress import progress


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a look at a backup in S3 found.

    Args:
        files: The files of the backup.
        wrong: A line for each whose object is missing or has other bytes than the manifest says.
        unproved: A line for each of which that cannot be told without reading it, as the store
            keeps no checksum of the whole object; with what speaks for it.
        failures: A line for each that could not be looked at.
        notes: Of when the backup is, and whether a later one is unfinished.
    """

    files: int
    wrong: tuple[str, ...]
    unproved: tuple[str, ...]
    failures: tuple[str, ...]
    notes: tuple[str, ...]


class _WrongError(ObjectError):
    """The object is not what the manifest says."""


def verify_backup(s3: Any, bucket: str, prefix: str, *, read: bool = False) -> VerifyReport:
    """Hold each object of the last whole backup against the manifest (chapter 5).

    One request a file and no download: this shows what was deleted or replaced, and trusts S3 for
    the bytes it holds. With ``read`` every object is read instead, some MB of each in memory, and
    its bytes are counted and summed here. BackupError when S3 refuses everything, or answers
    nothing any more.
    """
    lines: dict[str, list[str]] = {"wrong": [], "unproved": [], "failures": []}
    with open_store(s3, bucket, prefix) as store:
        entries, written = store.manifest()
        listed, notes = look_around(store, entries, written)
        total = sum(entry.size for entry in entries)
        with progress(total, "verify", "B") as bar:
            look = partial(_read if read else _ask, store, listed, bar.update)
            for entry, found in store.each(look, entries):
                if isinstance(found, ObjectError):
                    kind = "wrong" if isinstance(found, _WrongError) else "failures"
                    lines[kind].append(f"{entry.name}: {found}")
                elif found:
                    lines["unproved"].append(f"{entry.name}: {found}")
    sorted_lines = {kind: tuple(sorted(found)) for kind, found in lines.items()}
    return VerifyReport(len(entries), **sorted_lines, notes=tuple(notes))


def _ask(store: Store, _: object, progress: Callable[[int], object], entry: ManifestEntry) -> str:
    """What cannot be proved of an object by asking; _WrongError if it is wrong."""
    head = store.head(entry.key)
    if head is None:
        raise _WrongError("is missing in S3")
    progress(entry.size)
    mismatch = entry.mismatch(head.size, head.whole or head.noted)
    if mismatch:
        raise _WrongError(mismatch)
    if head.whole:
        return ""
    evidence = []
    if head.noted:
        evidence.append("its metadata has the right CRC32")
    if entry.etag and head.etag == entry.etag:
        evidence.append("its ETag is that of the backup")
    why = " and ".join(evidence) or "nothing speaks for it"
    return f"cannot be proved here without reading it ({why})"


def _read(
    store: Store,
    listed: Mapping[str, Listed],
    progress: Callable[[int], object],
    entry: ManifestEntry,
) -> str:
    """Read an object; _WrongError if it is wrong."""
    found = _Sum()
    try:
        store.fetch(entry, listed.get(entry.key), found, progress)
    except Exception as error:
        if is_wrong(error):
            raise _WrongError(reason(error, store.place)) from error
        raise
    mismatch = entry.mismatch(found.size, f"{found.crc32:08x}")
    if mismatch:
        raise _WrongError(mismatch)
    return ""


class _Sum:
    """A file to write to that keeps no bytes: their count and CRC32 only."""

    def __init__(self) -> None:
        self.size = 0
        self.crc32 = 0

    def write(self, data: bytes) -> None:
        """Add bytes; they come in order."""
        self.crc32 = zlib.crc32(data, self.crc32)
        self.size += len(data)
