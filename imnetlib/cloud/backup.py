"""A folder in S3 and back, proved by checksums: what a plain copy does not tell (chapter 5).

S3 keeps the CRC32 of a whole object, also of one sent in parts; an ETag is no such thing, it
changes with the size of the parts. The manifest, a table of names, sizes and checksums, is the mark
of a whole backup: it goes away before the first object changes, and comes last. Every ``s3`` is a
client of boto3; its key needs s3:DeleteObject for that, and s3:ListBucket, for S3 answers 403 in
place of 404 without it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imnetlib.files import file_crc32, require_space, write_atomically
from imnetlib.progress import progress

MANIFEST = "MANIFEST.tsv"
_HEAD = ["crc32", "bytes", "name"]
_HINTS = {
    301: "the bucket lies in another region",
    403: "this key may not do that",
    404: "there is no such bucket",
}


class BackupError(OSError):
    """A backup or a restoration that is not whole; what was finished stays, and another call goes
    on from there.
    """


class _WrongError(BackupError):
    """An object that is not what the manifest says: the others go on."""


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A line of the manifest: a file below the folder, its bytes, its CRC32 in eight hexadecimal
    digits.
    """

    name: str
    size: int
    # "unknown" where S3 does not have that of the whole object
    crc32: str

    def disagreement(self, found: ManifestEntry | None) -> str:
        """What is wrong with what was found in S3 or on the disk; "" where it is the same."""
        if found is None:
            return f"{self.name} is missing"
        there = f"{found.size:,} bytes and CRC32 {found.crc32}"
        return (
            "" if found == self else f"{self.name} has {there}, not {self.size:,} and {self.crc32}"
        )


@dataclass(frozen=True, slots=True)
class BackupReport:
    """How much there is, and how much of it this call moved; the rest was in place, by its
    checksum.
    """

    files: int
    bytes: int
    moved: int
    bytes_moved: int


def back_up(folder: Path, s3: Any, bucket: str, prefix: str, transfer: Any = None) -> BackupReport:
    """Send every file below ``folder`` to ``bucket``/``prefix``/, then the manifest (chapter 5).

    An object that has the file's size and CRC32 already is not sent again, so a killed call goes on
    where it was. If anything has to go, an earlier manifest is deleted first: as long as none is
    there, the backup is not finished. S3 compares what arrives with the CRC32 computed here, and
    refuses the rest. ``transfer`` is a TransferConfig of boto3: size of the parts, connections,
    bandwidth. Names that begin with a dot, such as temporary files, are left out; a link to a file
    is sent as that file. Objects of files that are gone stay; the manifest forgets them. Reads each
    file once for its checksum and once more if it has to go.

    Raises ValueError for a folder with nothing in it, or with something that is no file;
    BackupError when a file changes meanwhile or S3 refuses.
    """
    store = _Store(s3, bucket, prefix, transfer)
    files = _files(folder)
    total = sum(path.stat().st_size for path in files.values())
    entries: list[ManifestEntry] = []
    moved: list[ManifestEntry] = []
    with _errors_explained(store), progress(total, "backup", "B") as bar:
        s3.head_bucket(Bucket=bucket)
        for name, path in files.items():
            before = path.stat()
            entries.append(_entry(path, name))
            if store.stored(name) == entries[-1]:
                bar.update(entries[-1].size)
                continue
            # from here on the objects are not those of an earlier manifest
            if not moved:
                s3.delete_object(Bucket=bucket, Key=store.key(MANIFEST))
            store.send(entries[-1], path, bar)
            after = path.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise BackupError(
                    f"{path} changed while it was sent: let its writer finish, run this again"
                )
            moved.append(entries[-1])
        rows = [_HEAD, *([entry.crc32, str(entry.size), entry.name] for entry in entries)]
        text = "".join("\t".join(row) + "\n" for row in rows)
        s3.put_object(Bucket=bucket, Key=store.key(MANIFEST), Body=text.encode())
    return _report(entries, moved)


def read_manifest(s3: Any, bucket: str, prefix: str) -> list[ManifestEntry]:
    """The files of a backup, in order of their names; BackupError when it was never finished
    (chapter 5).
    """
    store = _Store(s3, bucket, prefix)
    where = f"{bucket}/{store.key(MANIFEST)}"
    with _errors_explained(store):
        s3.head_bucket(Bucket=bucket)
        if store.stored(MANIFEST) is None:
            why = "the backup was never finished, so run it again; or the prefix is wrong"
            raise BackupError(f"{where} is missing: {why}")
        text = s3.get_object(Bucket=bucket, Key=store.key(MANIFEST))["Body"].read().decode()
    try:
        head, *rows = [line.split("\t") for line in text.splitlines()]
        if head != _HEAD:
            raise ValueError("the first line is another")
        return [ManifestEntry(name, int(size), crc32) for crc32, size, name in rows]
    except ValueError:
        raise BackupError(f"{where} is no manifest: run the backup again") from None


def verify_backup(s3: Any, bucket: str, prefix: str) -> list[str]:
    """A sentence for each object that is not what the manifest says (chapter 5).

    One request a file and no download: it shows what was deleted or replaced, and trusts S3 for the
    bytes it holds.
    """
    store = _Store(s3, bucket, prefix)
    entries = read_manifest(s3, bucket, prefix)
    with _errors_explained(store):
        answers = [entry.disagreement(store.stored(entry.name)) for entry in entries]
    return [answer for answer in answers if answer]


def restore(s3: Any, bucket: str, prefix: str, folder: Path, transfer: Any = None) -> BackupReport:
    """Fetch a backup into ``folder`` and prove each file by its CRC32 (chapter 5).

    A file with the right bytes is left alone, so a killed call goes on; another one of that name is
    replaced. What comes gets a temporary name, is read back, and only then takes its place: boto3
    does not check an object that it fetches in parts. What is wrong or missing is left out, the
    others go on, and a BackupError names it at the end. Raises BackupError too, before anything is
    fetched, for too little room and for a name that leads out of ``folder``; a disk that fills
    meanwhile raises the bare OSError of the system.
    """
    entries = read_manifest(s3, bucket, prefix)
    paths = {entry: _path_inside(folder, entry.name) for entry in entries}
    folder.mkdir(parents=True, exist_ok=True)
    _require_room(folder, paths)
    store = _Store(s3, bucket, prefix, transfer)
    moved = []
    problems = []
    with (
        _errors_explained(store),
        progress(sum(entry.size for entry in entries), "restore", "B") as bar,
    ):
        for entry, path in paths.items():
            if path.is_file() and _entry(path, entry.name) == entry:
                bar.update(entry.size)
                continue
            try:
                store.fetch(entry, path, bar)
                moved.append(entry)
            except _WrongError as problem:
                problems.append(str(problem))
    if problems:
        listed = "; ".join(problems)
        raise BackupError(
            f"{len(problems)} of {len(entries)} files could not be restored: {listed}"
        )
    return _report(entries, moved)


@dataclass(frozen=True, slots=True)
class _Store:
    """Where a backup lies, and how one talks to it."""

    s3: Any
    bucket: str
    prefix: str
    transfer: Any = None

    def key(self, name: str) -> str:
        return f"{self.prefix.strip('/')}/{name}".lstrip("/")

    def stored(self, name: str) -> ManifestEntry | None:
        """What S3 knows of an object; None if it is not there."""
        try:
            head = self.s3.head_object(
                Bucket=self.bucket, Key=self.key(name), ChecksumMode="ENABLED"
            )
        except self.s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        crc32 = head.get("ChecksumCRC32", "")
        # a checksum of the parts' checksums
        if head.get("ChecksumType") == "COMPOSITE":
            crc32 = ""
        return ManifestEntry(
            name, head["ContentLength"], base64.b64decode(crc32).hex() or "unknown"
        )

    def send(self, entry: ManifestEntry, path: Path, bar: Any) -> None:
        crc32 = base64.b64encode(bytes.fromhex(entry.crc32)).decode()
        # moto looks for the first
        extra = {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": crc32}
        where = {"Bucket": self.bucket, "Key": self.key(entry.name), "Config": self.transfer}
        self.s3.upload_file(str(path), **where, ExtraArgs=extra, Callback=bar.update)

    def fetch(self, entry: ManifestEntry, path: Path, bar: Any) -> None:
        """The object as ``path``; what S3 knows to be the wrong one is not even fetched."""
        found = self.stored(entry.name)
        unknown = ManifestEntry(entry.name, entry.size, "unknown")
        if found not in (entry, unknown):
            raise _WrongError(entry.disagreement(found))
        where = {"Bucket": self.bucket, "Key": self.key(entry.name), "Config": self.transfer}
        with write_atomically(path) as out:
            self.s3.download_fileobj(**where, Fileobj=out, Callback=bar.update)
            out.flush()
            if problem := entry.disagreement(_entry(Path(out.name), entry.name)):
                raise _WrongError(problem)


def _files(folder: Path) -> dict[str, Path]:
    """Name → file, in order of the names."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if f"/{name}".count("/.") or (path.is_dir() and not path.is_symlink()):
            continue
        if not path.is_file() or not name.isprintable() or name == MANIFEST:
            raise ValueError(
                f"{str(path)!r} cannot be backed up: no plain file or no plain name; move it away"
            )
        found[name] = path
    if not found:
        raise ValueError(f"{folder} holds no files to back up")
    return dict(sorted(found.items()))


def _entry(path: Path, name: str) -> ManifestEntry:
    """What a file on this disk has in the manifest."""
    return ManifestEntry(name, path.stat().st_size, f"{file_crc32(path):08x}")


def _path_inside(folder: Path, name: str) -> Path:
    path = folder / name
    if folder.resolve() not in path.resolve().parents:
        raise BackupError(
            f"the manifest names {name!r}, which leads out of {folder}: nothing was fetched"
        )
    return path


def _require_room(folder: Path, paths: dict[ManifestEntry, Path]) -> None:
    lacking = [
        e.size for e, path in paths.items() if not path.exists() or path.stat().st_size != e.size
    ]
    require_space(folder, sum(lacking))


def _report(entries: list[ManifestEntry], moved: list[ManifestEntry]) -> BackupReport:
    return BackupReport(
        len(entries), sum(e.size for e in entries), len(moved), sum(e.size for e in moved)
    )


@contextmanager
def _errors_explained(store: _Store) -> Iterator[None]:
    """Turn boto3's errors into one that says where it happened."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    where = f"s3://{store.bucket}/{store.prefix}"
    try:
        yield
    except ClientError as error:
        hint = _HINTS.get(error.response["ResponseMetadata"]["HTTPStatusCode"], "S3 refused")
        raise BackupError(f"{where}: {hint} ({error})") from error
    except (BotoCoreError, Boto3Error) as error:
        raise BackupError(f"{where}: {error}") from error
