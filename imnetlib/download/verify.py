"""Archives on the disk against what their publisher states (chapter 1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imnetlib.arguments import PathLike
from imnetlib.catalog import Archive, Dataset
from imnetlib.download.state import ByteScan


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """Whole, missing, partial, wrong size, wrong MD5, or unverified where no MD5 is stated."""

    name: str
    state: str
    bytes: int


def verify_archives(
    dataset: Dataset, folder: PathLike, *, index: bool = False
) -> list[ArchiveState]:
    """Compare the archives in ``folder`` with what their publisher states (chapter 1).

    Each is read once. Those the course can do without are verified if they are there. With
    ``index`` the same pass leaves the index of each whole tar, as NAME.npz.
    """
    folder = Path(folder)
    names = {path.name.removesuffix(".part") for path in folder.glob("*")}
    optional = (archive for archive in dataset.others if archive.name in names)
    return [_state(archive, folder, index) for archive in (*dataset.archives, *optional)]


def _state(archive: Archive, folder: Path, index: bool) -> ArchiveState:
    path = folder / archive.name
    part = folder / f"{archive.name}.part"
    if not path.exists():
        if part.exists():
            return ArchiveState(archive.name, "partial", part.stat().st_size)
        return ArchiveState(archive.name, "missing", 0)
    size = path.stat().st_size
    if archive.size not in (None, size):
        return ArchiveState(archive.name, "wrong size", size)
    if archive.md5 is None:
        return ArchiveState(archive.name, "unverified", size)
    scan = ByteScan(path if index and path.suffix == ".tar" else None)
    scan.update_from(path)
    if scan.md5 != archive.md5:
        return ArchiveState(archive.name, "wrong MD5", size)
    scan.save_index()
    return ArchiveState(archive.name, "whole", size)
