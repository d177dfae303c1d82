"""The validation images, sorted into class folders and back, with a journal (chapter 2).

The best-known bug of this step zips the labels to the files in the order of a tar or a listing,
which is not the order of the labels: 0.1 % accuracy and no error. Here image i gets label i because
its name says i, and everything is counted before anything moves.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from imnetlib import catalog, files
from imnetlib.arguments import PathLike
from imnetlib.organize.names import JOURNAL, require_same_names, validation_name
from imnetlib.progress import progress, skip


@dataclass(frozen=True, slots=True)
class Sorting:
    """How many images one run moved or linked, and how many it found in place.

    ``missing`` names the images that an undo found at neither of their places.
    """

    folder: Path
    classes: int
    moved: int
    in_place: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Journal:
    """How a folder is being sorted; ``flat`` where the images come out of another folder.

    ``wnid_in_name``: whether the images' names end in their class.
    """

    link: bool
    wnids: list[str]
    flat: str | None = None
    wnid_in_name: bool = False

    def names(self) -> list[str]:
        """The name of each image."""
        named = enumerate(self.wnids, 1)
        return [validation_name(number, wnid * self.wnid_in_name) for number, wnid in named]


def sort_validation(
    folder: PathLike, wnids: Sequence[str], *, link: bool = False, flat: PathLike | None = None
) -> Sorting:
    """Put validation image i into ``folder/<wnids[i - 1]>``, out of ``flat`` (chapter 2).

    ``flat`` is ``folder`` itself unless given. A name may end in the image's class, which then must
    be its label. ``link`` makes hard links and leaves the originals.
    A journal, written before the first move, lets another run finish a killed one and
    ``undo_validation`` take it back; once sorted, nothing more is done. Raises ValueError, with
    nothing moved, for a missing or an unexpected name; OSError for ``flat`` on another disk.
    """
    others = {wnid for wnid in wnids if not catalog.WNID.fullmatch(wnid)}
    if others:
        raise ValueError(f"the labels are not all wnids: {files.listed_names(others)}")
    folder = Path(folder)
    flat = Path(flat) if flat else folder
    if flat != folder:
        files.require_one_disk(flat, folder)
    with files.exclusive_lock(folder):
        journal = _begin(folder, wnids, link, flat)
        pairs, missing = _locate(folder, journal, flat)
        if missing:
            raise ValueError(
                f"{folder}: {len(missing):,} of {len(wnids):,} images are gone "
                f"({files.listed_names(missing)}): imnet organize undo {folder}, put them back, "
                "then sort again"
            )
        for wnid in sorted(set(wnids)):
            (folder / wnid).mkdir(exist_ok=True)

        moved = 0
        with progress(len(pairs), f"sort {folder.name}", "images") as bar:
            for original, target in pairs:
                if not target.exists():
                    if link:
                        target.hardlink_to(original)
                    else:
                        original.rename(target)
                    moved += 1
                    bar.update(1)
                else:
                    skip(bar, 1)
        files.sync()
    return Sorting(folder, len(set(wnids)), moved, len(pairs) - moved)


def undo_validation(folder: PathLike) -> Sorting:
    """Take back what ``sort_validation`` did, or half did: the images are flat again (chapter 2).

    The result names the images that are gone; a class folder that holds other things stays.
    ValueError, with nothing moved, where another file has taken an image's old place.
    """
    folder = Path(folder)
    journal = _read_journal(folder)
    flat = Path(journal.flat or folder)
    with files.exclusive_lock(folder):
        pairs, missing = _locate(folder, journal, flat)
        taken = [
            original.name
            for original, target in pairs
            if original.exists() and target.exists() and not original.samefile(target)
        ]
        if taken:
            listed = files.listed_names(taken)
            raise ValueError(
                f"{flat}: other files have taken the places of {listed}: move those away first"
            )
        flat.mkdir(parents=True, exist_ok=True)
        moved = 0
        with progress(len(pairs), f"undo {folder.name}", "images") as bar:
            for original, target in pairs:
                if target.exists():
                    # Beside its original it is a hard link.
                    if original.exists():
                        target.unlink()
                    else:
                        target.rename(original)
                    moved += 1
                    bar.update(1)
                else:
                    skip(bar, 1)

        wnids = set(journal.wnids)
        for wnid in wnids:
            if (folder / wnid).exists() and not any((folder / wnid).iterdir()):
                (folder / wnid).rmdir()
        (folder / JOURNAL).unlink()
        files.sync()
    return Sorting(folder, len(wnids), moved, len(pairs) - moved, missing)


def _begin(folder: Path, wnids: Sequence[str], link: bool, flat: Path) -> _Journal:
    """Compare all names and write the journal, unless the same sorting has been begun."""
    journal = _Journal(link, list(wnids), None if flat == folder else str(flat.resolve()))
    if (folder / JOURNAL).exists():
        begun = _read_journal(folder)
        _require_same_sorting(begun, journal, folder)
        return begun
    names = files.visible_names(flat)
    ending_in_wnid = replace(journal, wnid_in_name=True)
    if not names.isdisjoint(ending_in_wnid.names()):
        journal = ending_in_wnid
    require_same_names(names, set(journal.names()), flat)
    others = files.visible_names(folder) if flat != folder else set()
    if others:
        listed = files.listed_names(others)
        raise ValueError(f"{folder} holds other things ({listed}): choose an empty folder")
    record = {key: value for key, value in asdict(journal).items() if value is not None}
    files.write_bytes_atomically(folder / JOURNAL, json.dumps(record).encode())
    return journal


def _require_same_sorting(begun: _Journal, asked: _Journal, folder: Path) -> None:
    differences = []
    if begun.wnids != asked.wnids:
        differences.append("other labels")
    if begun.link != asked.link:
        differences.append("links, not moves" if begun.link else "moves, not links")
    if begun.flat != asked.flat:
        differences.append(f"images out of {begun.flat or 'the same folder'}")
    if differences:
        raise ValueError(
            f"{folder} was sorted with {' and '.join(differences)}: "
            f"imnet organize undo {folder}, then sort again"
        )


def _read_journal(folder: Path) -> _Journal:
    path = folder / JOURNAL
    if not path.exists():
        raise ValueError(
            f"{folder} has no {JOURNAL}: it holds no validation images that were sorted here"
        )
    try:
        return _Journal(**json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): move the images back by hand, then remove it"
        ) from error


def _locate(
    folder: Path, journal: _Journal, flat: Path
) -> tuple[list[tuple[Path, Path]], tuple[str, ...]]:
    """Each image's flat and sorted path, and the names of those that are at neither."""
    pairs = []
    missing = []
    for name, wnid in zip(journal.names(), journal.wnids, strict=True):
        original = flat / name
        target = folder / wnid / name
        if original.exists() or target.exists():
            pairs.append((original, target))
        else:
            missing.append(name)
    return pairs, tuple(missing)
