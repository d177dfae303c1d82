"""Runs chapters with papermill inside this process."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imnetlib.arguments import PathLike, require
from imnetlib.course.engines import engine
from imnetlib.course.report import recorded
from imnetlib.course.root import CHECKOUT
from imnetlib.course.steps import require_outputs
from imnetlib.course.streams import settle
from imnetlib.engines import Recipe, network, require_size
from imnetlib.files import write_bytes_atomically

NOTEBOOKS = CHECKOUT / "notebooks"
BUILD = CHECKOUT / "build"
# What a value of a parameter must be, at the end of its comment.
_NUMBER = r"(\d+(?:\.\d+)?)"
_RULE = re.compile(
    rf"\((?:{_NUMBER} or more|above {_NUMBER}|{_NUMBER} to {_NUMBER}"
    r"|([\w-]+(?:, [\w-]+)* or [\w-]+))\)$"
)
# What a chapter may need beside the lock.
_NEEDS = {"torch": "needs PyTorch, make run ENGINE=torch"}


class ChapterFailedError(RuntimeError):
    """A cell raised; the message names chapter, cell and error."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a chapter went: its executed notebook, the seconds it took, the values it recorded."""

    notebook: Path
    seconds: float
    values: dict[str, Any]


def find_chapters(names: Sequence[str]) -> list[Path]:
    """The notebooks of ``names`` ("4", "04", "04_recordio_packing"; all for none) in course order.

    ValueError where there is no such chapter, or no chapter at all, and for a named one that needs
    what is not installed.
    """
    chapters = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not chapters:
        raise ValueError(
            f"There are no chapters in {NOTEBOOKS}: run this in a checkout of the course"
        )
    chosen: set[Path] = set()
    for name in names:
        stem = name.removesuffix(".ipynb")
        named = [path for path in chapters if stem == path.stem or stem.zfill(2) == path.stem[:2]]
        if not named:
            known = ", ".join(path.stem for path in chapters)
            raise ValueError(f"There is no chapter {name!r}. The chapters: {known}")
        if lacks := lacking(named[0]):
            raise ValueError(f"{named[0].stem} {lacks}")
        chosen.update(named)
    return sorted(chosen) if names else chapters


def lacking(chapter: PathLike) -> str:
    """What a chapter needs and this environment lacks, with the way out; "" where it can run.

    A chapter says so in its metadata, ``"imnetlib": {"needs": "torch"}``.
    """
    notebook = json.loads(Path(chapter).read_text(encoding="utf-8"))
    needed = notebook["metadata"].get("imnetlib", {}).get("needs", "")
    return "" if not needed or importlib.util.find_spec(needed) else _NEEDS[needed]


def typed_parameters(
    chapters: Sequence[PathLike], given: Mapping[str, str]
) -> dict[Path, dict[str, Any]]:
    """``given`` for each of the chapters that has such a parameter, as the types that it declares.

    Text stays text, so ``-p wnid 01440764`` keeps its zero. ValueError for a parameter that none of
    the chapters declares (papermill itself only warns), for a value that is not of the type, for
    one that breaks the rule in brackets at the end of the parameter's comment, as "(1 or more)",
    "(above 0)", "(0 to 1)" or "(one, another or a third)", and for values that do not fit one
    another.
    """
    import papermill

    declared = {Path(path): papermill.inspect_notebook(str(path)) for path in chapters}
    known = dict.fromkeys(name for parameters in declared.values() for name in parameters)
    strangers = [name for name in given if name not in known]
    if strangers:
        names = ", ".join(path.stem for path in declared)
        lacks = f"{names} has no" if len(declared) == 1 else f"none of {names} has a"
        raise ValueError(f"{lacks} parameter {strangers[0]!r}; there are {', '.join(known)}")
    typed = {}
    for path, parameters in declared.items():
        typed[path] = {
            name: _value_of(name, text, parameters[name])
            for name, text in given.items()
            if name in parameters
        }
        defaults = {name: ast.literal_eval(each["default"]) for name, each in parameters.items()}
        if typed[path] and not lacking(path):
            try:
                _require_fit(defaults | typed[path])
            except (ImportError, ValueError) as error:
                raise ValueError(f"{path.stem}: {error}") from error
    return typed


def _require_fit(values: Mapping[str, Any]) -> None:
    """ValueError or ImportError where the parameters of a chapter do not fit, or lack a package.

    Its cells would say so, too, but only after what comes before them.
    """
    if values.get("engine"):
        engine(values["engine"])
    if {"network", "size", "batch_size"} <= values.keys():
        fields = {field.name for field in dataclasses.fields(Recipe)}
        recipe = Recipe(**{name: value for name, value in values.items() if name in fields})
        package, colon, _ = recipe.network.partition(":")
        if not colon:
            require_size(network(recipe.network, classes=2), recipe.size)
        elif package == "timm":
            engine("torch").network.module(recipe.network, 2, recipe.size)
    if {"outputs", "columns", "logits"} <= values.keys():
        require_outputs(values["outputs"], values["columns"], logits=values["logits"])


def _value_of(name: str, text: str, declared: Mapping[str, str]) -> Any:
    """The value of a parameter; ValueError where it does not fit what is declared of it."""
    value = _as_type(name, text, declared["inferred_type_name"])
    rule = _RULE.search(declared["help"])
    if rule and value != "":
        low, above, least, most, names = rule.groups()
        holds = (
            (low is None or value >= float(low))
            and (above is None or value > float(above))
            and (least is None or float(least) <= value <= float(most))
            and (names is None or value in re.split(", | or ", names))
        )
        require(holds, f"Parameter {name} is {rule[0][1:-1]}", value)
    return value


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
        wanted = "True or False" if declared == "bool" else f"of type {declared}"
        raise ValueError(f"Parameter {name} is {wanted}; {text!r} is not")
    return value


def run_chapter(
    chapter: PathLike,
    parameters: Mapping[str, Any],
    folder: PathLike,
    figures: PathLike | None = None,
) -> Outcome:
    """Execute one notebook into ``folder``/notebooks, its figures into ``figures``.

    Without ``figures`` that is ``folder``/figures. Of a bar the notebook keeps the last line.
    ChapterFailedError where a cell raises or the kernel dies.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    chapter = Path(chapter)
    # The kernel's working directory is another one.
    folder = Path(folder).absolute()
    figures = Path(figures).absolute() if figures else folder / "figures"
    output = folder / "notebooks" / chapter.name
    output.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    try:
        with _figures_in(figures), _kernel_config() as config:
            papermill.execute_notebook(
                str(chapter),
                str(output),
                dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                cwd=str(NOTEBOOKS),
                config=config,
                # A chapter's errors are raised here and need no second place in a log.
                extra_arguments=["--log-level=CRITICAL"],
                # A kernel that computes would be waited for when this is interrupted.
                shutdown_kernel="immediate",
            )
    except papermill.PapermillExecutionError as error:
        raise ChapterFailedError(
            f"{chapter.stem}, cell [{error.exec_count}]: {error.ename}: {error.evalue} "
            f"(the whole notebook: {output})"
        ) from None
    except DeadKernelError:
        raise ChapterFailedError(
            f"{chapter.stem}: its kernel died; was the memory used up?"
        ) from None
    executed = nbformat.read(output, as_version=4)
    settle(executed)
    write_bytes_atomically(output, nbformat.writes(executed).encode())
    return Outcome(output, time.perf_counter() - started, recorded(executed))


@contextmanager
def _figures_in(folder: Path) -> Iterator[None]:
    """Tell ``plots.show``, which runs in the kernel, where to write."""
    before = os.environ.get("IMNETLIB_FIGURES")
    os.environ["IMNETLIB_FIGURES"] = str(folder)
    try:
        yield
    finally:
        del os.environ["IMNETLIB_FIGURES"]
        if before is not None:
            os.environ["IMNETLIB_FIGURES"] = before


@contextmanager
def _kernel_config() -> Iterator[Any]:
    """Reach the kernel through sockets in a folder of this run's own, on Windows over TCP.

    Over TCP it warns that others could listen; in a shared folder the sockets of two runs at the
    same time would have the same names.
    """
    from traitlets.config import Config

    if os.name == "nt":
        yield Config()
        return
    with tempfile.TemporaryDirectory(prefix="imnetlib-") as folder:
        yield Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})
