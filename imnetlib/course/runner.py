"""Runs chapters with papermill inside this process, and stores their outputs in the course."""

from __future__ import annotations

import ast
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imnetlib.course.report import recorded
from imnetlib.course.root import CHECKOUT
from imnetlib.files import write_whole

NOTEBOOKS = CHECKOUT / "notebooks"
BUILD = CHECKOUT / "build"


class ChapterFailedError(RuntimeError):
    """A cell raised; the message names chapter, cell and error."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a chapter went: where its executed notebook is, the seconds it took, what it recorded."""

    notebook: Path
    seconds: float
    values: dict[str, Any]


def find_chapters(names: Sequence[str]) -> list[Path]:
    """The notebooks of ``names`` ("4", "04" or "04_recordio_packing"), all of them for none, in
    course order.
    """
    there = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not there:
        raise ValueError(
            f"There are no chapters in {NOTEBOOKS}: run this in a checkout of the course"
        )
    if not names:
        return there
    chosen = []
    for name in names:
        wanted = name.removesuffix(".ipynb")
        found = [path for path in there if wanted == path.stem or wanted.zfill(2) == path.stem[:2]]
        if not found:
            known = ", ".join(path.stem for path in there)
            raise ValueError(f"There is no chapter {name!r}. The chapters: {known}")
        chosen += found
    return sorted(set(chosen))


def typed_parameters(notebook: Path, given: Mapping[str, str]) -> dict[str, Any]:
    """``given`` as the types that the notebook's parameters cell declares; ValueError for one it
    does not have.

    Text stays text, so ``-p wnid 01440764`` keeps its zero. papermill itself only warns of an
    unknown name.
    """
    import papermill

    declared = papermill.inspect_notebook(str(notebook))
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in declared:
            raise ValueError(
                f"{notebook.stem} has no parameter {name!r}; it has {', '.join(declared)}"
            )
        values[name] = _as_type(name, text, declared[name]["inferred_type_name"])
    return values


def _as_type(name: str, text: str, declared: str) -> Any:
    if declared == "str":
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = None
    if declared == "float" and type(value) is int:
        value = float(value)
    if type(value).__name__ != declared.partition("[")[0]:
        raise ValueError(f"Parameter {name} is of type {declared}; {text!r} is not")
    return value


@contextmanager
def _environment(**settings: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_chapter(chapter: Path, parameters: Mapping[str, Any], folder: Path) -> Outcome:
    """Execute one notebook into ``folder``/notebooks, its figures into ``folder``/figures."""
    output = folder / "notebooks" / chapter.name
    return _execute(chapter, output, parameters, folder / "figures")


def _execute(chapter: Path, output: Path, parameters: Mapping[str, Any], figures: Path) -> Outcome:
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    try:
        with _environment(IMNETLIB_FIGURES=str(figures)), _kernel_config() as config:
            papermill.execute_notebook(
                str(chapter),
                str(output),
                dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(NOTEBOOKS),
                config=config,
                extra_arguments=[
                    "--log-level=CRITICAL"
                    # a chapter's errors come back as ChapterFailedError
                ],
            )
    except papermill.PapermillExecutionError as error:
        raise ChapterFailedError(
            f"{chapter.stem}, cell [{error.exec_count}]: {error.ename}: {error.evalue} (the whole notebook: {output})"
        ) from None
    except DeadKernelError:
        raise ChapterFailedError(
            f"{chapter.stem}: its kernel died; was the memory used up?"
        ) from None
    values = recorded(nbformat.read(output, as_version=4))
    return Outcome(output, time.perf_counter() - started, values)


@contextmanager
def _kernel_config() -> Iterator[Any]:
    """Talk to the kernel through sockets in the file system: over TCP it warns that others could
    listen.

    They lie in a folder of this run's own: another run at the same time has the same names for its
    sockets.
    """
    from traitlets.config import Config

    if os.name == "nt":
        yield Config()
        return
    with tempfile.TemporaryDirectory(prefix="imnetlib-") as folder:
        yield Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})


def source_hash(notebook: Mapping[str, Any]) -> str:
    """SHA-256 over the cells' kinds and sources: outputs of the same hash belong to the present
    source.
    """
    text = "\0".join(f"{cell['cell_type']}\n{cell['source']}" for cell in notebook["cells"])
    return hashlib.sha256(text.encode()).hexdigest()


def store_chapter(chapter: Path, folder: Path) -> Outcome:
    """Execute one notebook as it stands and put its outputs and figures into the course itself."""
    import nbformat

    outcome = _execute(chapter, folder / "notebooks" / chapter.name, {}, CHECKOUT / "figures")
    notebook = nbformat.read(outcome.notebook, as_version=4)
    write_whole(chapter, (nbformat.writes(clean(notebook)) + "\n").encode())
    return outcome


def clean(notebook: Any) -> Any:
    """``notebook`` without timestamps, papermill's notes and chance ids; with the hash of its
    sources.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "imnetlib": {"source_sha256": source_hash(notebook)},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
    return notebook
