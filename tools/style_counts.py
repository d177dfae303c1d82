"""Counts that say how the code reads.

    python tools/style_counts.py [CHECKOUT]

For the package without docstrings: lines, lines over 100 characters, paired assignments that could
be two statements, comprehensions, and the lengths of functions (lines of the body, its docstring
left out).
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

WIDTH = 100
COURSE = {"course", "cli"}
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def modules(checkout: Path) -> Iterator[Path]:
    """The package's files."""
    yield from sorted((checkout / "imnetlib").rglob("*.py"))


def is_library(path: Path) -> bool:
    """Whether a file belongs to the library, not to the course or the command line."""
    return not COURSE & set(path.parts)


def is_pair(node: ast.AST) -> bool:
    """Whether ``node`` is ``a, b = x, y`` and not a swap."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return False
    target = node.targets[0]
    if not isinstance(target, ast.Tuple):
        return False
    names = {ast.unparse(name) for name in target.elts}
    return not names & {ast.unparse(value) for value in node.value.elts}


def body_lines(function: ast.FunctionDef) -> int:
    """The lines of a function's body without its docstring."""
    first = function.body[0]
    start = first.lineno
    if ast.get_docstring(function) is not None:
        if len(function.body) == 1:
            return 0
        start = function.body[1].lineno
    end = function.end_lineno
    assert end is not None
    return end - start + 1


def main() -> None:
    """Print the counts."""
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    texts = {path: path.read_text(encoding="utf-8") for path in modules(checkout)}
    nodes = [node for text in texts.values() for node in ast.walk(ast.parse(text))]
    lines = [line for text in texts.values() for line in text.splitlines()]
    library = sum(len(texts[path].splitlines()) for path in texts if is_library(path))
    functions = [body_lines(node) for node in nodes if isinstance(node, ast.FunctionDef)]
    thousands = len(lines) / 1_000
    pairs = sum(map(is_pair, nodes))
    comprehensions = sum(isinstance(node, COMPREHENSIONS) for node in nodes)
    top = [path for path in (checkout / "imnetlib").iterdir() if not path.name.startswith("_")]
    entries = [path for path in top if path.is_dir() or path.suffix == ".py"]
    print(f"entries of imnetlib/: {len(entries)}")
    print(f"lines: {len(lines):,}, of the library without course and cli {library:,}")
    print(f"lines over {WIDTH} characters: {sum(len(line) > WIDTH for line in lines):,}")
    print(f"paired assignments: {pairs:,}, {pairs / thousands:.1f} for 1,000 lines")
    print(f"comprehensions: {comprehensions:,}, {comprehensions / thousands:.1f} for 1,000 lines")
    deciles = statistics.quantiles(functions, n=10)
    print(
        f"functions: {len(functions):,}, median {statistics.median(functions):g} lines, "
        f"90th percentile {deciles[-1]:g}, longest {max(functions)}"
    )


if __name__ == "__main__":
    main()
