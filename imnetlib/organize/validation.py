"""The validation images, sorted into class folders and back, with a journal (chapter 2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imnetlib import catalog
from imnetlib.files import (
    exclusive_lock,
    first_names,
    require_one_disk,
    shown_names,
    sync,
    write_whole,
)
from imnetlib.organize.names import JOURNAL, require_same_names, validation_name
from imnetlib.progress import progress


@dataclass(frozen=True, slots=True)
class Sorting:
    """What was sorted, adopted or undone: how many images were moved or linked, and how many were
    in place.

    ``missing`` names the images that an undo found at neither of their places.
    """

    folder: Path
    classes: int
    moved: int
    in_place: int
    missing: tuple[str, ...] = ()


def sort_validation(
    folder: Path, wnids: Sequence[str], *, link: bool = False, flat: Path | None = None
) -> Sorting:
    """Put validation image i into ``folder/<wnids[i - 1]>``, out of ``flat`` or else ``folder``
    itself (chapter 2).

    All names are checked first: ValueError, and nothing moved, if any is missing or too much. A
    journal, written before the first move, lets a killed run go on and ``undo_validation`` take it
    back; a second run changes nothing. ``link`` makes hard links and leaves the originals. OSError
    where ``flat`` is on another disk.
    """
    if odd := {wnid for wnid in wnids if not catalog.WNID.fullmatch(wnid)}:
        raise ValueError(f"the labels are not all wnids: {first_names(odd)}")
    flat = flat or folder
    if flat != folder:
        require_one_disk(flat, folder)
    with exclusive_lock(folder):
        _begin(folder, wnids, link, flat)
        return _sort(folder, wnids, link, flat)


def _begin(folder: Path, wnids: Sequence[str], link: bool, flat: Path) -> None:
    """Check everything and write the journal, or find that the same sorting has been begun."""
    record: dict[str, Any] = {"link": link, "wnids": list(wnids)}
    if flat != folder:
        record["flat"] = str(flat.resolve())
    if (folder / JOURNAL).exists():
        _require_same_sorting(_read_journal(folder), record, folder)
        return
    require_same_names(shown_names(flat), set(map(validation_name, range(1, len(wnids) + 1))), flat)
    if flat != folder and (others := shown_names(folder)):
        raise ValueError(
            f"{folder} holds other things ({first_names(others)}): choose an empty folder"
        )
    write_whole(folder / JOURNAL, json.dumps(record).encode())


def _sort(folder: Path, wnids: Sequence[str], link: bool, flat: Path) -> Sorting:
    pairs, missing = _pairs(folder, wnids, flat)
    if missing:
        raise ValueError(
            f"{folder}: {len(missing):,} of {len(wnids):,} images are gone ({first_names(missing)}): "
            f"imnet organize undo {folder}, put them back, then sort again"
        )
    for wnid in sorted(set(wnids)):
        (folder / wnid).mkdir(exist_ok=True)
    moved = 0
    with progress(len(pairs), f"sort {folder.name}", "images") as bar:
        for at, placed in pairs:
            if not placed.exists():
                if link:
                    placed.hardlink_to(at)
                else:
                    at.rename(placed)
                moved += 1
            bar.update(1)
    sync()
    return Sorting(folder, len(set(wnids)), moved, len(pairs) - moved)


def _require_same_sorting(was: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """ValueError that says in what the sorting that was begun differs from the one asked for now."""
    ways = {
        "other labels": was["wnids"] != now["wnids"],
        f"{'links' if was['link'] else 'moves'}, not {'links' if now['link'] else 'moves'}": was[
            "link"
        ]
        != now["link"],
        f"images out of {was.get('flat', 'the same folder')}": was.get("flat") != now.get("flat"),
    }
    if differs := [way for way, other in ways.items() if other]:
        raise ValueError(
            f"{folder} was sorted with {' and '.join(differs)}: imnet organize undo {folder}, then sort again"
        )


def _read_journal(folder: Path) -> dict[str, Any]:
    path = folder / JOURNAL
    if not path.exists():
        raise ValueError(
            f"{folder} has no {JOURNAL}: it holds no validation images that were sorted here"
        )
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        return {"link": record["link"], "wnids": record["wnids"]} | record
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): move the images back by hand, then remove it"
        ) from error


def _pairs(
    folder: Path, wnids: Sequence[str], flat: Path
) -> tuple[list[tuple[Path, Path]], tuple[str, ...]]:
    """Each image's flat and sorted path, and the names of those that are at neither."""
    places = {validation_name(number): wnid for number, wnid in enumerate(wnids, 1)}
    pairs = [(flat / name, folder / wnid / name) for name, wnid in places.items()]
    there = [pair for pair in pairs if pair[0].exists() or pair[1].exists()]
    return there, tuple(sorted(places.keys() - {at.name for at, _ in there}))


def undo_validation(folder: Path) -> Sorting:
    """Take back what ``sort_validation`` did, also half of it: the images are flat again (chapter
    2).

    Images that have gone meanwhile are named in the result; a class folder that holds other things
    stays. ValueError, and nothing moved, where another file has taken an image's old place.
    """
    record = _read_journal(folder)
    with exclusive_lock(folder):
        return _undo(folder, record["wnids"], Path(record.get("flat", folder)))


def _undo(folder: Path, wnids: Sequence[str], flat: Path) -> Sorting:
    pairs, missing = _pairs(folder, wnids, flat)
    taken = [
        at.name
        for at, placed in pairs
        if at.exists() and placed.exists() and not at.samefile(placed)
    ]
    if taken:
        raise ValueError(
            f"{flat}: other files have taken the places of {first_names(taken)}: move those away first"
        )
    flat.mkdir(parents=True, exist_ok=True)
    moved = 0
    with progress(len(pairs), f"undo {folder.name}", "images") as bar:
        for at, placed in pairs:
            if placed.exists():
                # it was a link
                if at.exists():
                    placed.unlink()
                else:
                    placed.rename(at)
                moved += 1
            bar.update(1)
    for wnid in set(wnids):
        if (folder / wnid).exists() and not any((folder / wnid).iterdir()):
            (folder / wnid).rmdir()
    (folder / JOURNAL).unlink()
    sync()
    return Sorting(folder, len(set(wnids)), moved, len(pairs) - moved, missing)
