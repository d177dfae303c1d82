"""A folder in S3, proved by checksums, which a plain copy does not compare (chapter 5).

S3 keeps the CRC32 of a whole object, even of one sent in parts; an ETag changes with the size of
the parts. The manifest, a table of names, sizes, checksums and keys, is what a backup is: it is
replaced by one request when all its objects are there, and an object that it names is not
overwritten before. So the last whole backup can be restored at any moment, also while a later one
is under way or was killed. Nothing is deleted; ``prune_backup`` does that.

Every ``s3`` is a client of boto3. Its credentials need s3:PutObject, s3:GetObject and
s3:ListBucket; one backup at a time writes below a prefix.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imnetlib.arguments import PathLike
from imnetlib.cloud.errors import ObjectError
from imnetlib.cloud.leftovers import describe_leftovers
from imnetlib.cloud.manifest import MANIFEST, ManifestEntry, require_prefix
from imnetlib.cloud.scan import find_files
from imnetlib.cloud.store import Store, open_store, utc
from imnetlib.progress import progress, skip


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup or a restoration did.

    Args:
        files: The files of the backup.
        bytes: Their bytes.
        moved: The files that this call sent or fetched.
        bytes_moved: Their bytes.
        failures: A line for each file that could not be sent or fetched; all others were. A backup
            with failures is not finished: the manifest is the one of before.
        notes: Sentences about what is left out, what is left over, and of when the backup is.
    """

    files: int
    bytes: int
    moved: int
    bytes_moved: int
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)


def back_up(
    folder: PathLike,
    s3: Any,
    bucket: str,
    prefix: str,
    transfer: Any = None,
    *,
    hidden: bool = False,
) -> BackupReport:
    """Send every file below ``folder`` to ``bucket``/``prefix``/, then the manifest (chapter 5).

    An object that is there with the file's bytes is not sent again, so another call finishes a
    killed one: a listing shows that nothing has changed since the manifest, and checksums are asked
    for of objects that it does not name. A file that has changed since the last whole backup goes
    to NAME~CRC32, and so does one in whose place something lies that no backup to this prefix made:
    that is not overwritten. S3 refuses what arrives with another CRC32 than the one computed here;
    where a store keeps none, the object's metadata has it. Reads each file once for its checksum,
    and once more to send it; a link to a file is sent as that file. Objects of deleted files stay.

    Args:
        folder: The folder.
        s3: A client of boto3. As many files move at once as it may have connections.
        bucket: The bucket.
        prefix: What the keys begin with, before a slash; "" for nothing.
        transfer: boto3's TransferConfig: size of the parts, connections, bandwidth.
        hidden: Take files and folders whose names begin with a dot too.

    Raises:
        ValueError: For a folder without files, and with a line for each thing in it that is no
            plain file, or has a name that S3 or the manifest cannot hold; nothing is sent.
        OSError: For a folder that is missing, none, or cannot be read.
        BackupError: When S3 refuses everything, or answers nothing any more.
    """
    require_prefix(prefix)
    paths, left_out = find_files(Path(folder), prefix.strip("/"), hidden)
    total = sum(map(_size, paths.values()))
    notes = []
    if left_out:
        notes.append(f"{left_out:,} hidden files are left out: hidden=True, --hidden, takes them")
    with open_store(s3, bucket, prefix, transfer) as store, progress(total, "backup", "B") as bar:
        sending = _Sending(store, paths, bar)
        entries, failures = sending.send_all()
        if not failures:
            failures = sending.finish(entries)
        notes += sending.notes(entries, finished=not failures)
    moved = sending.moved
    sent = sum(entry.size for entry in moved)
    return BackupReport(len(paths), total, len(moved), sent, tuple(failures), tuple(notes))


def _size(path: Path) -> int:
    """A file's bytes; 0 if it has just gone, which is told when it is to be sent."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class _Sending:
    """One call of ``back_up``: what the store held before it, and what it has sent."""

    def __init__(self, store: Store, paths: dict[str, Path], bar: tqdm[Any]) -> None:
        self.moved: list[ManifestEntry] = []
        self._store = store
        self._paths = paths
        self._bar = bar
        self._listed = store.listing()
        self._before: dict[str, ManifestEntry] = {}
        self._written: datetime | None = None
        if MANIFEST in self._listed:
            entries, self._written = store.manifest()
            self._before = {entry.name: entry for entry in entries}
        # Their objects may not be overwritten: they are what can be restored.
        self._taken = {entry.key for entry in self._before.values()}
        self._choosing = threading.Lock()

    def send_all(self) -> tuple[list[ManifestEntry], list[str]]:
        """The lines of the manifest, and one for each file that could not be sent."""
        entries = []
        failures = []
        for name, sent in self._store.each(self._send, self._paths):
            if isinstance(sent, ObjectError):
                failures.append(f"{self._paths[name]}: {sent}")
                continue
            entry, moved = sent
            entries.append(entry)
            if moved:
                self.moved.append(entry)
        return entries, sorted(failures)

    def _send(self, name: str) -> tuple[ManifestEntry, bool]:
        """Send a file unless its bytes are there."""
        path = self._paths[name]
        files = self._store.files
        size = files.note(path)
        try:
            crc32 = files.crc32(path)
            known = self._before.get(name)
            if known is None or known.mismatch(size, crc32):
                known, is_there = self._place(name, size, crc32)
            else:
                is_there = self._is_there(known)
            if is_there:
                skip(self._bar, size)
                return known, False
            try:
                self._store.send(known, path, self._bar.update)
            finally:
                # Whatever error it was: S3 may have refused a file that changed.
                files.require_same(path)
            return known, True
        finally:
            files.forget(path)

    def _place(self, name: str, size: int, crc32: str) -> tuple[ManifestEntry, bool]:
        """The line of new bytes, and whether they are there.

        Their key is the name, and the CRC32 behind it while an object has that which the manifest
        names, or which no backup to this prefix made.
        """
        key = name
        while True:
            entry = ManifestEntry(name, size, crc32, key)
            if self._take(key, name):
                head = self._store.head(key) if key in self._listed else None
                is_there = head is not None and head.proves(entry)
                # That of another backup may go with it.
                if head is None or head.is_of(key) or (is_there and not head.noted):
                    return entry, is_there
            key += f"~{crc32}"

    def _take(self, key: str, name: str) -> bool:
        with self._choosing:
            if key in self._taken or (key != name and key in self._paths):
                return False
            self._taken.add(key)
            return True

    def _is_there(self, entry: ManifestEntry) -> bool:
        if not self._is_listed(entry):
            return False
        if entry.etag and self._listed[entry.key].etag == entry.etag:
            return True
        head = self._store.head(entry.key)
        return head is not None and head.proves(entry)

    def finish(self, entries: list[ManifestEntry]) -> list[str]:
        """Write the manifest if all objects are there; else a line for each that is not."""
        if self.moved:
            self._listed = self._store.listing()
        missing = [entry for entry in entries if not self._is_listed(entry)]
        if missing:
            way_out = "run this again, or rename it if the store cannot hold its name"
            lost = f"was sent and is not there whole: {way_out}"
            return [f"{self._paths[entry.name]}: {lost}" for entry in missing]
        whole = [replace(entry, etag=self._listed[entry.key].etag) for entry in entries]
        self._store.write_manifest(whole)
        return []

    def _is_listed(self, entry: ManifestEntry) -> bool:
        listed = self._listed.get(entry.key)
        return listed is not None and listed.size == entry.size

    def notes(self, entries: list[ManifestEntry], finished: bool) -> list[str]:
        """What can be restored if this backup is not finished, else what earlier ones have left."""
        before = {entry.key for entry in self._before.values()}
        if finished and not self.moved and before == {entry.key for entry in entries}:
            return []
        if finished:
            return describe_leftovers(self._store, self._listed, entries, self._before.values())
        if self._written is None:
            return ["the backup is not finished, and nothing can be restored before it is"]
        return [f"the backup is not finished: until then that of {utc(self._written)} is restored"]
