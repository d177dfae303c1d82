"""The files of a folder that is backed up, and what in it cannot be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from imnetlib.cloud.manifest import unsafe_name

_KINDS = {
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFDIR: "is a link to a folder",
}


def find_files(folder: Path, prefix: str, hidden: bool) -> tuple[dict[str, Path], int]:
    """Each file by its name below the folder, in order, and the count of hidden ones left out.

    A file is hidden if a dot begins its name or that of a folder it is in. A link to a file is that
    file. ValueError with a line for each thing that cannot be backed up, or for no files at all;
    OSError for a folder that cannot be read.
    """
    paths: dict[str, Path] = {}
    refused: list[str] = []
    left_out = 0
    for path, unreadable in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if not hidden and "/." in f"/{name}":
            # A folder that cannot be read counts as one.
            left_out += 1
            continue
        why = unreadable or _refusal(path) or unsafe_name(name, prefix)
        if why:
            refused.append(f"{str(path)!r} {why}")
        else:
            paths[name] = path
    if refused:
        lines = "".join(f"\n  {line}" for line in sorted(refused))
        what = "it" if len(refused) == 1 else f"these {len(refused):,}"
        raise ValueError(
            f"not all below {folder} can be backed up, so nothing is; move {what} away:{lines}"
        )
    if not paths:
        beside = f" but {left_out:,} hidden ones" if left_out else ""
        raise ValueError(f"{folder} holds no files to back up{beside}")
    return dict(sorted(paths.items())), left_out


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    """All below a folder but folders that can be read; and why one cannot, else ""."""
    unreadable: list[tuple[Path, str]] = []

    def note(error: OSError) -> None:
        path = Path(str(error.filename))
        if path == folder:
            raise error
        # The system's own folder on each ext4 disk is root's alone.
        if path.name != "lost+found":
            unreadable.append((path, f"cannot be read: {error.strerror}"))

    for parent, folders, files in os.walk(folder, onerror=note):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in [*files, *links]:
            yield Path(parent) / name, ""
    yield from unreadable


def _refusal(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return f"is a broken link: {error.strerror}" if path.is_symlink() else str(error.strerror)
    if not stat.S_ISREG(mode):
        return _KINDS.get(stat.S_IFMT(mode), "is no file")
    return "" if os.access(path, os.R_OK) else "cannot be read: its rights forbid it"
