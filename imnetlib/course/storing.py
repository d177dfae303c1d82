"""Outputs of chapters put into the course itself: clean, and measured ones only when asked for."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imnetlib.arguments import PathLike
from imnetlib.course.freshness import basis, made_with, source_hash
from imnetlib.course.root import CHECKOUT
from imnetlib.course.runner import Outcome, run_chapter
from imnetlib.course.streams import settle
from imnetlib.files import write_bytes_atomically

# The tag of a cell whose output is another in each run or on each machine: times, rates, what is
# on a disk.
MEASURED = "measured"


def store_chapter(chapter: PathLike, folder: PathLike, *, measure: bool = False) -> Outcome:
    """Execute one notebook as it is and put its outputs and figures into the course itself.

    The cells tagged ``measured`` keep the outputs, and the figures, that are stored, unless
    ``measure``, or unless what one of them comes from has changed: a second run changes no file.
    """
    import nbformat

    chapter = Path(chapter)
    stored = nbformat.read(chapter, as_version=4)
    # What is changed meanwhile may have been too late for the run.
    files = made_with(stored)
    with tempfile.TemporaryDirectory(prefix="imnetlib-") as figures:
        outcome = run_chapter(chapter, {}, folder, figures=figures)
        executed = nbformat.read(outcome.notebook, as_version=4)
        notebook = clean(copy.deepcopy(executed), files)
        if not measure:
            keep_measured(notebook, stored)
        _store_figures(executed, notebook, Path(figures), chapter)
    write_bytes_atomically(chapter, (nbformat.writes(notebook) + "\n").encode())
    return outcome


@contextmanager
def new_roots(folder: PathLike) -> Iterator[None]:
    """Let relative roots begin in a new folder below ``folder``, which is removed at the end.

    On a root in which a chapter has run before, it says that all is there, in no time at all.
    """
    roots = Path(folder, "roots").absolute()
    shutil.rmtree(roots, ignore_errors=True)
    os.environ["IMNETLIB_ROOTS"] = str(roots)
    try:
        yield
    finally:
        del os.environ["IMNETLIB_ROOTS"]
        shutil.rmtree(roots, ignore_errors=True)


def clean(notebook: Any, files: Mapping[str, str]) -> Any:
    """``notebook`` without timestamps, times of bars, papermill's notes and random ids.

    What it needs stays, and it notes what its outputs come from: its source and ``files``, and for
    each measured cell what it comes from at first hand.
    """
    kept = {k: v for k, v in notebook.metadata.get("imnetlib", {}).items() if k == "needs"}
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "imnetlib": {**kept, "made_with": dict(files), "source_sha256": source_hash(notebook)},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
    notebook.metadata.imnetlib["measured"] = {
        cell.id: _basis_digest(notebook, number) for number, cell in _measured(notebook)
    }
    settle(notebook, timeless=True)
    return notebook


def keep_measured(notebook: Any, stored: Any) -> None:
    """Give the cells tagged ``measured`` their stored outputs, if all of these come from the same.

    All or none: where two cells show one figure and only one were kept, they would show two. What a
    stored output came from is noted beside it; the source that now stands over it may be another.
    """
    noted = stored.metadata.get("imnetlib", {}).get("measured", {})
    before: dict[str, list[Any]] = {}
    for _, cell in _measured(stored):
        if cell.execution_count is not None:
            before.setdefault(noted.get(cell.id, ""), []).append(cell)
    kept = []
    for number, cell in _measured(notebook):
        same = before.get(_basis_digest(notebook, number), [])
        if not same or len(_pictures(same[0])) != len(_pictures(cell)):
            return
        kept.append((cell, same.pop(0)))
    for cell, old in kept:
        cell.outputs = copy.deepcopy(old.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = cell.execution_count


def _basis_digest(notebook: Any, number: int) -> str:
    """What a cell's output comes from at first hand, in 16 digits."""
    return hashlib.sha256(json.dumps(basis(notebook, number), sort_keys=True).encode()).hexdigest()[
        :16
    ]


def _measured(notebook: Any) -> list[tuple[int, Any]]:
    return [
        (number, cell)
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and MEASURED in cell.metadata.get("tags", ())
    ]


def _pictures(cell: Any) -> list[bytes]:
    """The files of the pictures in the output of a cell."""
    return [
        base64.b64decode(content)
        for output in cell.get("outputs", ())
        for kind, content in output.get("data", {}).items()
        if kind.startswith("image/")
    ]


def _store_figures(executed: Any, notebook: Any, drawn: Path, chapter: Path) -> None:
    """Put each figure into the course as the notebook holds it, which may have kept an older one.

    ``drawn``: the folder of the figures that ``executed`` shows. Figures of the chapter that it
    shows no more are removed.
    """
    names = {path.read_bytes(): path.name for path in sorted(drawn.iterdir())}
    folder = CHECKOUT / "figures"
    folder.mkdir(exist_ok=True)
    stored = set()
    for ran, cell in zip(executed.cells, notebook.cells, strict=True):
        for shown, kept in zip(_pictures(ran), _pictures(cell), strict=True):
            if shown in names:
                write_bytes_atomically(folder / names[shown], kept)
                stored.add(names[shown])
    for old in folder.glob(f"{chapter.name[:2]}_*"):
        if old.name not in stored:
            old.unlink()
