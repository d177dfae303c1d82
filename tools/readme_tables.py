"""Write the README's tables of chapters and rooms anew from what these say of themselves.

    python tools/readme_tables.py

A chapter's first cell says what the reader will do and how long it takes, the first line of a
room's docstring what is in it and which chapters explain it. A test fails while the README says
otherwise.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
README = CHECKOUT / "README.md"
CHAPTERS = "| chapter | you will | runs in |\n|---|---|---|\n"
ROOMS = "| room | what | chapters |\n|---|---|---|\n"
TIME = r"an hour|half an hour|a quarter of an hour|half a minute|\d+ minutes?"


def filled(readme: str) -> str:
    """``readme`` with the rows below both headers written anew; of rooms those that it lists."""
    chapters = sorted((CHECKOUT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    readme = _replaced(readme, CHAPTERS, [chapter_row(path) for path in chapters])
    start = readme.index(ROOMS) + len(ROOMS)
    listed = re.findall(r"^\| `([\w./]+)` \|", readme[start:], re.MULTILINE)
    return _replaced(readme, ROOMS, [room_row(name) for name in listed])


def _replaced(text: str, header: str, rows: list[str]) -> str:
    """``text`` with the table below ``header`` made of ``rows``."""
    before, _, behind = text.partition(header)
    rest = re.sub(r"\A(?:\|.*\n)*", "", behind)
    return before + header + "".join(f"{row}\n" for row in rows) + rest


def chapter_row(path: Path) -> str:
    """A chapter's title, linked, what is done in it and the time in which it runs on the sample."""
    text = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    title = re.findall(r"^# (.*)", text)[0].replace(" · ", " ")
    will = re.findall(r"\*\*You will\*\* (.*?)\.\n", text, re.DOTALL)[0].replace("\n", " ")
    time = re.findall(rf"\*\*You need\*\* ({TIME})", text)[0]
    return f"| [{title}](notebooks/{path.name}) | {will} | {time} |"


def room_row(name: str) -> str:
    """A room, or a file on the ground, and the first line of its docstring."""
    path = CHECKOUT / "imnetlib" / name
    module = path / "__init__.py" if path.is_dir() else path
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    what, chapters = re.findall(r"(.*?)(?: \(chapters? (.*)\))?\.(?:\n|$)", docstring)[0]
    return f"| `{name}` | {what} | {chapters or 'all'} |"


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
