"""A folder in S3 and back, proved by checksums, which a plain copy does not compare (chapter 5).

S3 keeps the CRC32 of a whole object, even of one sent in parts; an ETag changes with the size of
the parts. The manifest, a table of names, sizes and checksums, marks a whole backup: it is deleted
before the first object changes, and written last. Every ``s3`` is a client of boto3. Its
credentials need s3:DeleteObject for that, and s3:ListBucket, without which S3 answers 403 in place
of 404.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imnetlib.arguments import PathLike
from imnetlib.files import file_crc32, require_space, write_atomically
from imnetlib.progress import progress

MANIFEST = "MANIFEST.tsv"
_COLUMNS = ["crc32", "bytes", "name"]
# What an HTTP status of S3 means here.
_REASONS = {
    301: "the bucket lies in another region",
    403: "this key may not do that",
    404: "there is no such bucket",
}


class BackupError(OSError):
    """A backup or a restoration that is not whole; another call goes on from what was finished."""


class _MismatchError(BackupError):
    """An object that is not what the manifest says; the others are restored."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A line of the manifest: a file's name below the folder, its bytes, its CRC32 in eight digits.

    The CRC32 is hexadecimal, and "unknown" where S3 does not have that of the whole object.
    """

    name: str
    size: int
    crc32: str

    def mismatch(self, stored: ManifestEntry | None) -> str:
        """How a file in S3 or on the disk, None for a missing one, differs; "" if it does not."""
        if stored is None:
            return f"{self.name} is missing"
        if stored == self:
            return ""
        actual = f"{stored.size:,} bytes and CRC32 {stored.crc32}"
        return f"{self.name} has {actual}, not {self.size:,} and {self.crc32}"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """The files and bytes of a backup, and those of them that this call moved."""

    files: int
    bytes: int
    moved: int
    bytes_moved: int


def back_up(
    folder: PathLike, s3: Any, bucket: str, prefix: str, transfer: Any = None
) -> BackupReport:
    """Send every file below ``folder`` to ``bucket``/``prefix``/, then the manifest (chapter 5).

    An object with the file's size and CRC32 is not sent again, so another call finishes a killed
    one; if anything has to be sent, an earlier manifest is deleted first. S3 refuses what arrives
    with another CRC32 than the one computed here. ``transfer`` is boto3's TransferConfig: size of
    the parts, connections, bandwidth. Names that begin with a dot are left out; a link to a file
    is sent as that file. Objects of deleted files stay, without a line in the manifest. Reads each
    file once for its checksum, and once more to send it.

    Raises ValueError for a folder without files or with anything else in it, BackupError when a
    file changes meanwhile or S3 refuses.
    """
    store = _Store(s3, bucket, prefix, transfer)
    paths = _files_below(Path(folder))
    total = sum(path.stat().st_size for path in paths.values())
    entries: list[ManifestEntry] = []
    moved: list[ManifestEntry] = []
    with store.backup_errors(), progress(total, "backup", "B") as bar:
        s3.head_bucket(Bucket=bucket)
        for name, path in paths.items():
            before = path.stat()
            entry = _entry(path, name)
            entries.append(entry)
            if store.find(name) == entry:
                bar.update(entry.size)
                continue
            # From here on the objects are not those of an earlier manifest.
            if not moved:
                s3.delete_object(Bucket=bucket, Key=store.key(MANIFEST))
            store.send(entry, path, bar)
            after = path.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise BackupError(
                    f"{path} changed while it was sent: let its writer finish, run this again"
                )
            moved.append(entry)
        rows = [_COLUMNS, *([entry.crc32, str(entry.size), entry.name] for entry in entries)]
        text = "".join("\t".join(row) + "\n" for row in rows)
        s3.put_object(Bucket=bucket, Key=store.key(MANIFEST), Body=text.encode())
    return _report(entries, moved)


def read_manifest(s3: Any, bucket: str, prefix: str) -> list[ManifestEntry]:
    """The files of a backup in order of their names; BackupError if unfinished (chapter 5)."""
    store = _Store(s3, bucket, prefix)
    where = f"{bucket}/{store.key(MANIFEST)}"
    with store.backup_errors():
        s3.head_bucket(Bucket=bucket)
        if store.find(MANIFEST) is None:
            reason = "the backup was never finished, so run it again; or the prefix is wrong"
            raise BackupError(f"{where} is missing: {reason}")
        text = s3.get_object(Bucket=bucket, Key=store.key(MANIFEST))["Body"].read().decode()
    try:
        columns, *rows = [line.split("\t") for line in text.splitlines()]
        if columns != _COLUMNS:
            raise ValueError("the first line does not name the columns")
        return [ManifestEntry(name, int(size), crc32) for crc32, size, name in rows]
    except ValueError:
        raise BackupError(f"{where} is no manifest: run the backup again") from None


def verify_backup(s3: Any, bucket: str, prefix: str) -> list[str]:
    """A sentence for each object that is not what the manifest says (chapter 5).

    One request a file and no download: this shows what was deleted or replaced, and trusts S3 for
    the bytes it holds.
    """
    store = _Store(s3, bucket, prefix)
    entries = read_manifest(s3, bucket, prefix)
    with store.backup_errors():
        mismatches = [entry.mismatch(store.find(entry.name)) for entry in entries]
    return [mismatch for mismatch in mismatches if mismatch]


def restore(
    s3: Any, bucket: str, prefix: str, folder: PathLike, transfer: Any = None
) -> BackupReport:
    """Fetch a backup into ``folder`` and prove each file by its CRC32 (chapter 5).

    A file with the right bytes is left alone, so another call finishes a killed one; any other of
    that name is replaced. A file is fetched under a temporary name, read back, and only then named:
    boto3 does not compare an object that it fetches in parts. Objects that are wrong or missing are
    left out, and a BackupError names them at the end. Before anything is fetched, raises
    BackupError for a name that leads out of ``folder``, OSError for too little space.
    """
    folder = Path(folder)
    entries = read_manifest(s3, bucket, prefix)
    paths = {entry: _path_inside(folder, entry.name) for entry in entries}
    absent = [e for e, path in paths.items() if not path.exists() or path.stat().st_size != e.size]
    require_space(folder, sum(entry.size for entry in absent))
    store = _Store(s3, bucket, prefix, transfer)
    moved = []
    mismatches = []
    total = sum(entry.size for entry in entries)
    with store.backup_errors(), progress(total, "restore", "B") as bar:
        for entry, path in paths.items():
            if path.is_file() and _entry(path, entry.name) == entry:
                bar.update(entry.size)
                continue
            try:
                store.fetch(entry, path, bar)
                moved.append(entry)
            except _MismatchError as error:
                mismatches.append(str(error))
    if mismatches:
        count = f"{len(mismatches)} of {len(entries)}"
        raise BackupError(f"{count} files could not be restored: {'; '.join(mismatches)}")
    return _report(entries, moved)


@dataclass(frozen=True, slots=True)
class _Store:
    """The place of a backup in S3."""

    s3: Any
    bucket: str
    prefix: str
    transfer: Any = None

    def key(self, name: str) -> str:
        return f"{self.prefix.strip('/')}/{name}".lstrip("/")

    def find(self, name: str) -> ManifestEntry | None:
        """The size and checksum that S3 has of an object; None if there is no such object."""
        key = self.key(name)
        try:
            head = self.s3.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        except self.s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        # A composite one is a checksum of the parts' checksums.
        whole = head.get("ChecksumType") != "COMPOSITE"
        crc32 = head.get("ChecksumCRC32", "") if whole else ""
        digits = base64.b64decode(crc32).hex()
        return ManifestEntry(name, head["ContentLength"], digits or "unknown")

    def send(self, entry: ManifestEntry, path: Path, bar: Any) -> None:
        crc32 = base64.b64encode(bytes.fromhex(entry.crc32)).decode()
        # S3 takes the value alone; moto needs the name of the algorithm as well.
        extra = {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32}
        where = {"Bucket": self.bucket, "Key": self.key(entry.name), "Config": self.transfer}
        self.s3.upload_file(str(path), **where, ExtraArgs=extra, Callback=bar.update)

    def fetch(self, entry: ManifestEntry, path: Path, bar: Any) -> None:
        """Write the object to ``path``; _MismatchError, without a download where S3 shows it."""
        stored = self.find(entry.name)
        without_checksum = ManifestEntry(entry.name, entry.size, "unknown")
        if stored not in (entry, without_checksum):
            raise _MismatchError(entry.mismatch(stored))
        where = {"Bucket": self.bucket, "Key": self.key(entry.name), "Config": self.transfer}
        with write_atomically(path) as out:
            self.s3.download_fileobj(**where, Fileobj=out, Callback=bar.update)
            out.flush()
            mismatch = entry.mismatch(_entry(Path(out.name), entry.name))
            if mismatch:
                raise _MismatchError(mismatch)

    @contextmanager
    def backup_errors(self) -> Iterator[None]:
        """Turn boto3's errors into a BackupError that names the place."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"s3://{self.bucket}/{self.prefix}"
        try:
            yield
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            reason = _REASONS.get(status, "S3 refused")
            raise BackupError(f"{where}: {reason} ({error})") from error
        except (BotoCoreError, Boto3Error) as error:
            raise BackupError(f"{where}: {error}") from error


def _files_below(folder: Path) -> dict[str, Path]:
    """Each file by its name below the folder, in order of the names, hidden ones left out."""
    paths = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        hidden = "/." in f"/{name}"
        if hidden or (path.is_dir() and not path.is_symlink()):
            continue
        if not path.is_file() or not name.isprintable() or name == MANIFEST:
            raise ValueError(
                f"{str(path)!r} cannot be backed up: no plain file or no plain name; move it away"
            )
        paths[name] = path
    if not paths:
        raise ValueError(f"{folder} holds no files to back up")
    return dict(sorted(paths.items()))


def _entry(path: Path, name: str) -> ManifestEntry:
    """A file's line in the manifest, by reading it."""
    return ManifestEntry(name, path.stat().st_size, f"{file_crc32(path):08x}")


def _path_inside(folder: Path, name: str) -> Path:
    path = folder / name
    if folder.resolve() not in path.resolve().parents:
        raise BackupError(
            f"the manifest names {name!r}, which leads out of {folder}: nothing was fetched"
        )
    return path


def _report(entries: Collection[ManifestEntry], moved: Collection[ManifestEntry]) -> BackupReport:
    total = sum(entry.size for entry in entries)
    return BackupReport(len(entries), total, len(moved), sum(entry.size for entry in moved))
