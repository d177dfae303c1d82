"""The rooms stand in the order of the data's way; nobody reaches behind another room's face."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
PACKAGE = CHECKOUT / "imnetlib"

# Each imports only from those before it: the ground, then the rooms.
ORDER = [
    *("arguments", "files", "parallel", "progress", "order", "catalog"),
    *("archive", "download", "organize", "throughput", "image", "recordio", "pack", "loader"),
    *("cloud", "evaluate", "engines", "wordnet", "course", "cli"),
]
ROOMS = [name for name in ORDER if (PACKAGE / name).is_dir()]
# An engine's modules are its face: both engines have the same ones, with the same functions.
OPEN = ("imnetlib.engines.mxnet", "imnetlib.engines.torch", "imnetlib.course", "imnetlib.cli")


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import from imnetlib."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "imnetlib":
            for alias in node.names:
                yield node.module or "", alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "imnetlib":
                    yield alias.name, ""


def rooms_of(module: str, name: str) -> str:
    """The room, or the file on the ground, that an import takes from."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else name


def code_of(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
USERS = {path.name: code_of(path) for path in sorted((CHECKOUT / "notebooks").glob("*.ipynb"))}
USERS |= {
    str(path.relative_to(CHECKOUT)): path.read_text(encoding="utf-8")
    for path in [*(CHECKOUT / "tests").rglob("*.py"), *(CHECKOUT / "tools").glob("*.py")]
}


def test_every_room_has_its_place():
    there = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith(("_", "."))}
    assert there - {"py"} == set(ORDER)
    assert len(ORDER) <= 20


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_imports_only_from_rooms_before_it(path: Path):
    own = path.parts[0].removesuffix(".py")
    if own == "__init__":
        assert list(imports((PACKAGE / path).read_text(encoding="utf-8"))) == []
        return
    used = {rooms_of(*found) for found in imports((PACKAGE / path).read_text(encoding="utf-8"))}
    allowed = set(ORDER[: ORDER.index(own) + 1])
    if own != "cli":
        allowed -= {"course"} - {own}
    if own not in ("course", "cli"):
        allowed -= {"engines"} - {own}
    assert used - allowed - {"__version__"} == set()


@pytest.mark.parametrize("name", [*ROOMS, "course.sample"])
def test_a_face_is_a_docstring_and_the_public_names(name: str):
    path = PACKAGE / name.replace(".", "/") / "__init__.py"
    head, *rest = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(head, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom | ast.Assign) for node in rest)
    face = importlib.import_module(f"imnetlib.{name}")
    assert all(hasattr(face, public) for public in face.__all__)
    # A submodule of a function's name would stand in its place, or the other way round.
    submodules = {path.stem for path in path.parent.iterdir()}
    assert submodules & set(face.__all__) == set()


def is_private(module: str, name: str) -> bool:
    """Whether an import reaches behind a face."""
    if module == "imnetlib" or module.startswith(OPEN):
        return name.startswith("_") and name != "__version__"
    room = module.split(".")[1]
    if room not in ROOMS:
        return name.startswith("_")
    if module != f"imnetlib.{room}":
        return True
    return name not in importlib.import_module(module).__all__


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_takes_from_another_what_is_on_its_face(path: Path):
    own = path.parts[0]
    behind = [
        f"{module}.{name}"
        for module, name in imports((PACKAGE / path).read_text(encoding="utf-8"))
        if is_private(module, name) and not module.startswith(f"imnetlib.{own}")
    ]
    assert behind == []


def private_attributes(source: str) -> Iterator[tuple[str, str]]:
    """Module and attribute of each ``module._name`` where ``module`` was imported from imnetlib."""
    tree = ast.parse(source)
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("imnetlib")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        private = node.attr.startswith("_") and not node.attr.endswith("__")
        if private and node.value.id in modules:
            yield modules[node.value.id], node.attr


@pytest.mark.parametrize("user", USERS)
def test_notebooks_tools_and_tests_of_other_rooms_use_the_faces(user: str):
    own = Path(user).parts[1] if user.startswith("tests/") else "no room"
    reached = [*imports(USERS[user]), *private_attributes(USERS[user])]
    behind = [
        f"{module}.{name}"
        for module, name in reached
        if is_private(module, name) and not module.startswith(f"imnetlib.{own}")
    ]
    assert behind == []


def test_the_readme_has_every_room_on_its_map():
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)(?:\.py|/)`", row.split("|")[1])}
    assert set(ORDER) <= named


def test_every_path_that_a_guide_names_is_there():
    for guide in ("README.md", "CONTRIBUTING.md"):
        text = (CHECKOUT / guide).read_text(encoding="utf-8")
        named = re.findall(r"`((?:imnetlib|data|tests|tools|notebooks)/[\w./]+)`", text)
        assert [path for path in named if not (CHECKOUT / path).exists()] == [], guide


def test_what_the_readme_imports_is_there():
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    taken = [found for block in blocks for found in imports(block)]
    assert len(taken) >= 4
    for module, name in taken:
        assert hasattr(importlib.import_module(module), name), (module, name)
