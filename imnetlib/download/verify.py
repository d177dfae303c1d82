"""Archives on the disk against what their publisher states (chapter 1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imnetlib.archive import index_path
from imnetlib.catalog import Archive, Dataset
from imnetlib.download.state import Digest


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """``state``: whole, missing, partial, wrong size, wrong MD5, or unchecked where nothing is
    known of it.
    """

    name: str
    state: str
    bytes: int


def verify_archives(dataset: Dataset, folder: Path, *, index: bool = False) -> list[ArchiveState]:
    """Compare the archives in ``folder`` with what their publisher states; reads each once (chapter
    1).

    Those the course can spare are looked at where they are there. With ``index`` the same pass
    leaves the index of each whole tar, as NAME.npz.
    """
    begun = (
        {path.name.removesuffix(".part") for path in folder.iterdir()} if folder.is_dir() else set()
    )
    wanted = (*dataset.archives, *(archive for archive in dataset.others if archive.name in begun))
    return [_state(archive, folder, index) for archive in wanted]


def _state(archive: Archive, folder: Path, index: bool) -> ArchiveState:
    path = folder / archive.name
    part = folder / f"{archive.name}.part"
    if not path.exists():
        there = part.stat().st_size if part.exists() else 0
        return ArchiveState(archive.name, "partial" if part.exists() else "missing", there)
    there = path.stat().st_size
    if archive.size not in (None, there):
        return ArchiveState(archive.name, "wrong size", there)
    if archive.md5 is None:
        return ArchiveState(archive.name, "unchecked", there)
    seen = Digest(path if index and path.suffix == ".tar" else None).over(path)
    if seen.md5 != archive.md5:
        return ArchiveState(archive.name, "wrong MD5", there)
    seen.save_index(index_path(path))
    return ArchiveState(archive.name, "whole", there)
