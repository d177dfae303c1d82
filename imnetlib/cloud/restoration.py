"""A backup from S3 back into a folder, each file proved (chapter 5)."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imnetlib.arguments import PathLike
from imnetlib.cloud.backup import BackupReport
from imnetlib.cloud.errors import BackupError, ObjectError
from imnetlib.cloud.leftovers import look_around
from imnetlib.cloud.manifest import ManifestEntry
from imnetlib.cloud.objects import Listed
from imnetlib.cloud.store import Store, open_store
from imnetlib.files import file_crc32, remove_leftovers, require_space, write_atomically
from imnetlib.progress import progress, skip


def read_manifest(s3: Any, bucket: str, prefix: str) -> list[ManifestEntry]:
    """The files of the last whole backup, by name; BackupError if there is none (chapter 5)."""
    with open_store(s3, bucket, prefix) as store:
        return store.manifest()[0]


def restore(
    s3: Any, bucket: str, prefix: str, folder: PathLike, transfer: Any = None
) -> BackupReport:
    """Fetch the last whole backup into ``folder`` and prove each file by its CRC32 (chapter 5).

    A file with the right bytes is left alone, so another call finishes a killed one; any other of
    that name is replaced. A file is fetched under a temporary name, read back, and only then named:
    boto3 does not compare an object that it fetches in parts. What is wrong, missing or cannot be
    fetched is a line of the report's ``failures``; the others are restored. Its ``notes`` say of
    when the backup is, and whether a later one is unfinished.

    Raises BackupError for a name that leads out of ``folder``, OSError for too little space or a
    folder that cannot be written to, both before anything is fetched; and BackupError when S3
    refuses everything, or answers nothing any more.
    """
    folder = Path(folder)
    with open_store(s3, bucket, prefix, transfer) as store:
        entries, written = store.manifest()
        paths = {entry: _path_inside(folder, entry.name) for entry in entries}
        _require_room(folder, paths)
        for parent in {path.parent for path in paths.values()}:
            remove_leftovers(parent)
        listed, notes = look_around(store, entries, written)
        total = sum(entry.size for entry in entries)
        moved = []
        failures = []
        with progress(total, "restore", "B") as bar:
            fetch = partial(_fetch, store, listed, bar)
            for (entry, _), was_fetched in store.each(fetch, paths.items()):
                if isinstance(was_fetched, ObjectError):
                    failures.append(f"{entry.name}: {was_fetched}")
                elif was_fetched:
                    moved.append(entry)
    fetched = sum(entry.size for entry in moved)
    failed = tuple(sorted(failures))
    return BackupReport(len(entries), total, len(moved), fetched, failed, tuple(notes))


def _fetch(
    store: Store, listed: Mapping[str, Listed], bar: tqdm[Any], item: tuple[ManifestEntry, Path]
) -> bool:
    """Fetch one file unless it is there; ObjectError if it is wrong in S3 or on the way."""
    entry, path = item
    if path.is_file() and path.stat().st_size == entry.size and _crc32(path) == entry.crc32:
        skip(bar, entry.size)
        return False
    _require_place(path)
    found = listed.get(entry.key)
    if listed and found is None:
        raise ObjectError("is missing in S3")
    mismatch = entry.mismatch(found.size) if found else ""
    if mismatch:
        raise ObjectError(mismatch)
    with write_atomically(path, sweep=False) as out:
        store.fetch(entry, found, out, bar.update)
        out.flush()
        fetched = Path(out.name)
        mismatch = entry.mismatch(fetched.stat().st_size, _crc32(fetched))
        if mismatch:
            raise ObjectError(mismatch)
    return True


def _crc32(path: Path) -> str:
    return f"{file_crc32(path):08x}"


def _require_room(folder: Path, paths: Mapping[ManifestEntry, Path]) -> None:
    absent = [entry for entry, path in paths.items() if _size(path) != entry.size]
    require_space(folder, sum(entry.size for entry in absent))
    if absent and not os.access(folder, os.W_OK):
        way_out = "choose another folder, or change its rights"
        raise PermissionError(errno.EACCES, f"{folder} cannot be written to: {way_out}")


def _size(path: Path) -> int | None:
    """A file's bytes; None where there is none, or its folder may not be looked into."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def _require_place(path: Path) -> None:
    """ObjectError where a folder has the file's name, or a file that of a folder it belongs in."""
    if path.is_dir():
        raise ObjectError(f"{path} is a folder: move it away")
    # The nearest that exists; the root always does.
    above = next(parent for parent in path.parents if os.path.lexists(parent))
    if not above.is_dir():
        raise ObjectError(f"{above} is a file where a folder belongs: move it away")


def _path_inside(folder: Path, name: str) -> Path:
    path = folder / name
    # A link in the place of the file itself is not followed but replaced.
    place = path.parent.resolve() / path.name
    if path.name == ".." or folder.resolve() not in place.parents:
        inner = [parent for parent in path.parents if folder in parent.parents]
        links = [str(parent) for parent in inner if parent.is_symlink()]
        way = f" by the link {links[-1]}" if links else ""
        raise BackupError(
            f"the manifest names {name!r}, which leads out of {folder}{way}: nothing was fetched"
        )
    return path
