"""Docstrings hold what a reader needs: many parameters are listed, a chapter is named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "imnetlib"
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
MANY = 6


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def parameters(function: ast.FunctionDef) -> list[str]:
    taken = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument.arg for argument in taken if argument.arg not in ("self", "cls")]


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] != "cli"], ids=str)
def test_functions_of_many_parameters_list_them(path: Path):
    for function in functions(path):
        names = parameters(function)
        if len(names) < MANY or function.name.startswith("__"):
            continue
        listed = (ast.get_docstring(function) or "").partition("Args:")[2]
        assert [name for name in names if f"{name}:" not in listed] == [], function.name


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_function_is_longer_than_a_screen(path: Path):
    for function in functions(path):
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        if body:
            assert (body[-1].end_lineno or 0) - body[0].lineno < 40, function.name
