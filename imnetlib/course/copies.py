"""Copies of the chapters to work in: made, brought up to date, what a reader changed always kept.

A copy notes its name and the hash of its cells' sources when it is made. It is untouched as long as
both are still so: outputs and counts of executions don't matter, an answer to an exercise does.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from imnetlib.arguments import PathLike
from imnetlib.course.freshness import source_hash
from imnetlib.course.runner import find_chapters
from imnetlib.files import exclusive_lock, write_bytes_atomically

# A link that leads out of the folder of the chapters; copies lie one folder deeper.
_LINK_OUT = re.compile(r"""(\]\(<?|\b(?:src|href)=["'])\.\./""")


def refresh(folder: PathLike, *, missing_only: bool = False) -> Iterator[tuple[str, str]]:
    """Bring the copies of all chapters in ``folder`` up to date, and tell what became of which.

    Yields the name of each chapter for which there is something to tell, once it is done. A missing
    copy is made. Where the chapter has changed since, or is gone, an untouched copy is replaced, or
    removed; any other is first renamed, NAME-yours-1.ipynb. With ``missing_only`` these stay as
    they are. ValueError outside of a checkout; OSError while another process is at it.
    """
    folder = Path(folder)
    newest = {chapter.name: _copy(chapter) for chapter in find_chapters([])}
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(folder):
        noted = {path.name: _notes(path)[0] for path in folder.glob("*.ipynb")}
        gone = {name for name, note in noted.items() if note.startswith(f"{name} ")} - newest.keys()
        for name in sorted(newest.keys() | gone):
            copy = folder / name
            note, data = newest.get(name, ("", b""))
            if name not in noted:
                write_bytes_atomically(copy, data)
                yield copy.stem, "copied"
            elif noted[name] != note:
                told = "new version" if data else "no longer in the course"
                become = ": left until imnet refresh" if missing_only else _replace(copy, data)
                yield copy.stem, told + become


def _copy(chapter: Path) -> tuple[str, bytes]:
    """What the copy of a chapter notes of itself, and its bytes."""
    notebook = json.loads(chapter.read_text(encoding="utf-8"))
    about = notebook["metadata"].setdefault("imnetlib", {})
    # Somebody may have worked in the chapter itself: the copy is then never taken for untouched.
    stored = about.get("source_sha256") == source_hash(notebook)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _LINK_OUT.sub(r"\1../../", "".join(cell["source"]))
    about["copied"] = f"{chapter.name} {'' if stored else 'edited '}{source_hash(notebook)}"
    return about["copied"], json.dumps(notebook, ensure_ascii=False, indent=1).encode()


def _notes(copy: Path) -> tuple[str, str]:
    """What a notebook notes of itself, and what it would as it is: the same where it is untouched.

    The first is "" of what is no copy, and of what cannot be read.
    """
    try:
        notebook = json.loads(copy.read_bytes())
        return notebook["metadata"]["imnetlib"]["copied"], f"{copy.name} {source_hash(notebook)}"
    except (ValueError, KeyError, TypeError):
        return "", "unknown"


def _replace(copy: Path, data: bytes) -> str:
    """Put ``data``, if any, in the place of a copy; where that one is kept, for a message."""
    noted, now = _notes(copy)
    told = ""
    if noted != now:
        places = (copy.with_stem(f"{copy.stem}-yours-{n}") for n in itertools.count(1))
        kept = next(place for place in places if not place.exists())
        copy.rename(kept)
        told = f"; yours is now {kept.name}"
    if data:
        write_bytes_atomically(copy, data)
    else:
        copy.unlink(missing_ok=True)
    return told
