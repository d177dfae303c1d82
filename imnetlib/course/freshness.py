"""What the outputs of a chapter come from, and what of that has changed since they were stored.

They come from its cells, from the modules of the library that it uses, from the tables in ``data``
that these name, and from the versions in the lock. A stored chapter holds a digest of each, so a
test can say which outputs are out of date, and why. Nothing is imported or run for that.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imnetlib.course.root import CHECKOUT

LOCK = "requirements.lock"
# As many as tell apart what one file has been: a chapter holds 130 digests.
_DIGITS = 16
# The name of a module, or a pattern of such names.
_MODULE = re.compile(r"imnetlib(\.[\w*]+)+")


def source_hash(notebook: Mapping[str, Any]) -> str:
    """SHA-256 of the cells' kinds and sources: the same as long as nobody has changed one.

    A source is a text, or its lines, as in the JSON of a notebook.
    """
    cells = notebook["cells"]
    text = "\0".join(f"{cell['cell_type']}\n{''.join(cell['source'])}" for cell in cells)
    return hashlib.sha256(text.encode()).hexdigest()


def made_with(notebook: Mapping[str, Any], checkout: Path = CHECKOUT) -> dict[str, str]:
    """What outputs come from beside the cells: paths below ``checkout``, a digest of each.

    A module counts where a name that it defines is used, by the chapter or by a module that counts,
    at the top or inside of a function. A face only hands names on: to import a room is not to use
    all of it. Comments, docstrings and the layout of the code are left out of a digest. No output
    comes from them, and a better word in one docstring would put nearly all chapters out of date.
    """
    names = _names(_code(notebook["cells"]))
    waiting = _defining(names, names.imported, checkout)
    modules: dict[Path, str] = {}
    while waiting:
        module = waiting.pop()
        source = module.read_text(encoding="utf-8")
        modules[module] = _code_digest(source)
        waiting |= _defining(_names(source), _names(source).imported, checkout) - modules.keys()
    texts = {text for module in modules for text in _read(module).texts}
    tables = [path for path in (checkout / "data").glob("*.*") if path.name in texts]
    files = {path: _digest(path.read_bytes()) for path in (*tables, checkout / LOCK)}
    found = sorted((modules | files).items())
    return {path.relative_to(checkout).as_posix(): digest for path, digest in found}


def changed(notebook: Mapping[str, Any], checkout: Path = CHECKOUT) -> list[str]:
    """What has changed since a chapter's outputs were stored: "its cells", paths of files."""
    about = notebook["metadata"].get("imnetlib", {})
    before = about.get("made_with", {})
    now = made_with(notebook, checkout)
    cells = [] if about.get("source_sha256") == source_hash(notebook) else ["its cells"]
    return cells + [path for path in sorted(before | now) if before.get(path) != now.get(path)]


def basis(notebook: Mapping[str, Any], number: int, checkout: Path = CHECKOUT) -> object:
    """What one code cell's output comes from at first hand: equal as long as that is the same.

    That is its source, those of the cells before it that define what it uses, and the digests that
    the notebook holds of the modules that define what all these use.
    """
    cells = notebook["cells"]
    chosen = [cells[number]]
    wanted = _names(_code(chosen)).roots
    for cell in reversed(cells[:number]):
        names = _names(_code([cell]))
        if names.defined & wanted:
            chosen.append(cell)
            wanted |= names.roots
    called = _defining(_names(_code(chosen)), _names(_code(cells)).imported, checkout)
    paths = {path.relative_to(checkout).as_posix() for path in called}
    known = notebook["metadata"].get("imnetlib", {}).get("made_with", {})
    return [_code([cell]) for cell in chosen], {path: known.get(path) for path in paths}


def _code(cells: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def _read(module: Path) -> _Names:
    return _names(module.read_text(encoding="utf-8"))


@functools.cache
def _names(source: str) -> _Names:
    return _Names(source)


def _defining(names: _Names, imported: Mapping[str, str], checkout: Path) -> set[Path]:
    """The modules that define what ``names`` use of the library, by what is ``imported`` as what.

    And those whose name is in a text, such as an engine's, which are imported by it.
    """
    found: set[Path] = set()
    for used in names.used:
        head, _, rest = used.partition(".")
        if head in imported:
            found.update(_homes(f"{imported[head]}.{rest}", checkout))
    for text in filter(_MODULE.fullmatch, names.texts):
        found.update(checkout.glob(f"{text.replace('.', '/')}.py"))
    return found


def _homes(dotted: str, checkout: Path) -> Iterator[Path]:
    """The module that defines a name, behind faces; for a whole face all that it hands on."""
    parts = dotted.rstrip(".").split(".")
    lengths = range(len(parts), 0, -1)
    length, module = next((n, path) for n in lengths if (path := _module(parts[:n], checkout)))
    imported = _read(module).imported
    rest = parts[length:]
    if rest and rest[0] in imported:
        yield from _homes(".".join([imported[rest[0]], *rest[1:]]), checkout)
        return
    yield module
    if not rest and module.name == "__init__.py":
        for name in imported.values():
            yield from _homes(name, checkout)


def _module(parts: Sequence[str], checkout: Path) -> Path | None:
    path = checkout.joinpath(*parts)
    places = (path.with_suffix(".py"), path / "__init__.py")
    return next((place for place in places if place.exists()), None)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


@functools.cache
def _code_digest(source: str) -> str:
    """The digest of what a module does, the same on every Python."""
    return _digest(repr(_plain(ast.parse(source))).encode())


def _plain(node: object) -> object:
    """A syntax tree as tuples, without docstrings and without what is empty.

    Not ``ast.dump``: what that writes of an empty field depends on the version of Python.
    """
    if isinstance(node, list):
        return tuple(_plain(each) for each in node if not _is_docstring(each))
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.JoinedStr):
        # Python 3.12 ends some with an empty text.
        node.values = [part for part in node.values if getattr(part, "value", None) != ""]
    fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
    return type(node).__name__, *((name, _plain(value)) for name, value in fields)


def _is_docstring(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


class _Names(ast.NodeVisitor):
    """The names in a source: those used, with their attributes, and those it defines.

    ``imported``: what each name from this library stands for. ``texts``: its texts, one with holes
    as a pattern.
    """

    def __init__(self, source: str) -> None:
        self.used: set[str] = set()
        self.defined: set[str] = set()
        self.imported: dict[str, str] = {}
        self.texts: set[str] = set()
        self.visit(ast.parse(source))

    @property
    def roots(self) -> set[str]:
        """The names used, without attributes."""
        return {name.partition(".")[0] for name in self.used}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module and node.module.split(".")[0] == "imnetlib":
            for each in node.names:
                self.imported[each.asname or each.name] = f"{node.module}.{each.name}"

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            if each.name.split(".")[0] == "imnetlib":
                self.imported[each.asname or "imnetlib"] = each.name if each.asname else "imnetlib"

    def visit_Name(self, node: ast.Name) -> None:
        (self.defined if isinstance(node.ctx, ast.Store) else self.used).add(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        dotted = ast.unparse(node)
        if dotted.replace(".", "").isidentifier():
            self.used.add(dotted)
        else:
            self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.defined.add(node.name)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.defined.add(node.name)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.texts.add(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        parts = [each.value if isinstance(each, ast.Constant) else "*" for each in node.values]
        self.texts.add("".join(map(str, parts)))
        self.generic_visit(node)
