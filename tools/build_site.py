"""Build the reading site: static pages of the chapters, the claims, the figures and the API.

    python tools/build_site.py

Lays the pages out in ``build/site-source``, then runs Sphinx, to which any warning is an error,
into ``build/site``. Needs what ``requirements-site.lock`` holds, and no network.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from PIL import Image

from imnetlib.cli import main as imnet
from imnetlib.course import claims, report
from imnetlib.course.root import CHECKOUT

SOURCE = CHECKOUT / "build" / "site-source"
SITE = CHECKOUT / "build" / "site"
# A line that is a link to a section of the README.
README_LINK = re.compile(r"^\[[^]]+\]\(\.\./README\.md#([\w-]+)\)$", re.MULTILINE)
PICTURE = re.compile(r'<img alt="([^"]*)" src="data:image/(\w+);base64,([^"]+)">')
# What is documented behind a face: a chapter takes from it, or an engine's modules are its face.
OPEN_MODULES = {
    "engines": ("mxnet", "torch"),
    "course": ("charts", "planning", "plots", "sample", "schematics", "trials"),
}
NOT_LIBRARY = ("cli", "py")


def sources() -> dict[str, bytes]:
    """Every page and picture by its path below the site's root."""
    # They lie beside the folder of the chapters there.
    pages = {
        path.name: with_sections(path).replace("](../notebooks/", "](notebooks/").encode()
        for path in sorted((CHECKOUT / "docs").glob("*.md"))
    }
    pages["README.md"] = (CHECKOUT / "README.md").read_bytes()
    for picture in sorted((CHECKOUT / "figures").iterdir()):
        pages[f"figures/{picture.name}"] = picture.read_bytes()
    for picture in sorted((CHECKOUT / "docs" / "figures").glob("*.png")):
        pages[f"figures/{picture.name}"] = picture.read_bytes()
    for chapter in chapters():
        pages[f"notebooks/{chapter.name}"] = with_picture_files(chapter, pages).encode()
    pages["claims.md"] += "\n".join(claims_by_chapter()).encode()
    pages["commands.md"] += "\n".join(help_of(imnet, "imnet")).encode()
    for room in rooms():
        pages[f"api/{room}.rst"] = "\n".join(map(module_entry, modules(room))).encode()
    pages["api/index.md"] = pages.pop("api.md") + map_of_rooms().encode()
    return pages


def with_sections(page: Path) -> str:
    """A page of ``docs`` with sections of the README in place of links to them.

    The site shows no README. Paragraphs that lead from there to the page itself are left out.
    """
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    parts = (part.partition("\n\n") for part in readme.split("\n## ")[1:])
    by_anchor = {title.lower().replace(" ", "-"): text for title, _, text in parts}

    def section(link: re.Match[str]) -> str:
        paragraphs = by_anchor[link[1]].strip().split("\n\n")
        kept = [text for text in paragraphs if f"](docs/{page.name})" not in text]
        return "\n\n".join(kept)

    return README_LINK.sub(section, page.read_text(encoding="utf-8"))


def chapters() -> list[Path]:
    """The notebooks in course order."""
    return sorted((CHECKOUT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def title(chapter: Path) -> str:
    """What a chapter calls itself in its first heading."""
    first = json.loads(chapter.read_text(encoding="utf-8"))["cells"][0]["source"]
    return "".join(first).splitlines()[0].removeprefix("# ")


def with_picture_files(chapter: Path, pages: dict[str, bytes]) -> str:
    """The chapter, its pictures taken out into ``pages``: a browser loads them when needed.

    Links to ``docs`` lead to its pages, which the site has one folder higher.
    """
    notebook = json.loads(chapter.read_text(encoding="utf-8"))

    def taken_out(found: re.Match[str]) -> str:
        alt, kind, encoded = found.groups()
        content = base64.b64decode(encoded)
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.{kind}"
        pages[f"_pictures/{name}"] = content
        width, height = Image.open(io.BytesIO(content)).size
        size = f'width="{width}" height="{height}" loading="lazy"'
        return f'<img alt="{alt}" src="../_pictures/{name}" {size}>'

    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = "".join(cell["source"]).replace("](../docs/", "](../")
        for output in cell.get("outputs", ()):
            data: dict[str, Any] = output.get("data", {})
            data.pop(report.RECORD_TYPE, None)
            if "text/html" in data:
                output["data"] = {"text/html": PICTURE.sub(taken_out, "".join(data["text/html"]))}
    return json.dumps(notebook)


def claims_by_chapter() -> Iterator[str]:
    """Markdown: each chapter that judges claims, and the verdicts as it prints them."""
    for chapter in chapters():
        judged = claims.recompute(chapter=int(chapter.name[:2]))
        if judged:
            yield f"\n## [{title(chapter)}](notebooks/{chapter.name})\n"
            yield report.verdicts(judged).data


def help_of(command: click.Command, name: str) -> Iterator[str]:
    """Markdown: what ``name --help`` prints, then each of its verbs."""
    context = click.Context(command, info_name=name, terminal_width=88, max_content_width=88)
    yield f"\n## {name}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for verb, below in command.commands.items():
            yield from help_of(below, f"{name} {verb}")


def rooms() -> list[str]:
    """The library's rooms and the files on its ground, in the order of the README's map."""
    rows = re.findall(r"^\| (`.*?) \|", (CHECKOUT / "README.md").read_text("utf-8"), re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)(?:\.py|/)`", row)]
    return [name for name in named if name not in NOT_LIBRARY]


def map_of_rooms() -> str:
    """Markdown: the README's map of the library, its rooms linked to their pages."""
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    start = readme.index("\n```\n", readme.index("## Map of the code"))
    drawn = readme[start : readme.index("\nBeside it:")]
    linked = drawn
    for room in rooms():
        linked = re.sub(rf"`{room}(/|\.py)`", rf"[\g<0>]({room}.rst)", linked)
    linked = linked.replace("`cli/`", "[`cli/`](../commands.md)")
    return "\n".join([linked, "\n```{toctree}", ":hidden:\n", *rooms(), "```\n"])


def modules(room: str) -> Iterator[str]:
    """A room's face, and the modules behind it that stand for themselves."""
    yield f"imnetlib.{room}"
    for name in OPEN_MODULES.get(room, ()):
        if name == "mxnet" and importlib.util.find_spec(name) is None:
            continue  # it has no wheel for this machine
        yield f"imnetlib.{room}.{name}"
        for path in sorted((CHECKOUT / "imnetlib" / room / name).glob("[a-z]*.py")):
            if room == "engines":
                yield f"imnetlib.{room}.{name}.{path.stem}"


def module_entry(module: str) -> str:
    """A heading and what the docstrings say."""
    return f"{module}\n{'=' * len(module)}\n\n.. automodule:: {module}\n"


def build() -> int:
    """Lay out the pages and run Sphinx anew over them all; its exit status."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    for name, content in sources().items():
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        (SOURCE / name).write_bytes(content)
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", "--fresh-env"]
    command += ["--conf-dir", str(CHECKOUT / "docs"), "--doctree-dir", str(SOURCE / ".doctrees")]
    status = subprocess.run([*command, str(SOURCE), str(SITE)]).returncode
    if status == 0:
        shutil.copytree(SOURCE / "_pictures", SITE / "_pictures")
        for chapter in chapters():
            shutil.copy(chapter, SITE / "notebooks")
    return status


if __name__ == "__main__":
    sys.exit(build())
