"""What the reading site's pages are made of, before Sphinx: pictures, claims, commands, rooms."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import build_site
from PIL import Image
from test_rooms import ORDER

from imnetlib.cli import main as imnet
from imnetlib.course import claims, report


def png(width: int, height: int) -> bytes:
    """A gray picture."""
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, format="PNG")
    return file.getvalue()


def test_a_picture_becomes_a_file_with_its_text_and_size(tmp_path: Path):
    content = png(70, 30)
    tag = f'<img alt="A &lt; B" src="data:image/png;base64,{base64.b64encode(content).decode()}">'
    outputs = [
        {"data": {"image/png": "…", "text/html": tag, "text/plain": "A < B"}},
        {"data": {report.RECORD_TYPE: {"showed": "s"}, "text/plain": "s"}},
        {"name": "stdout", "text": ["1\n"]},
    ]
    chapter = tmp_path / "00_one.ipynb"
    cells = [{"cell_type": "code", "outputs": outputs}]
    chapter.write_text(json.dumps({"cells": cells}))
    pages: dict[str, bytes] = {}
    laid_out = json.loads(build_site.with_picture_files(chapter, pages))
    ((name, stored),) = pages.items()
    assert stored == content
    assert laid_out["cells"][0]["outputs"] == [
        {
            "data": {
                "text/html": f'<img alt="A &lt; B" src="../{name}" width="70" height="30" '
                'loading="lazy">'
            }
        },
        {"data": {"text/plain": "s"}},
        outputs[2],
    ]


def test_links_to_the_docs_lead_to_the_pages_made_of_them(tmp_path: Path):
    chapter = tmp_path / "00_one.ipynb"
    lines = ["See [claims](../docs/claims.md)\n", "and [one](01_two.ipynb)."]
    chapter.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": lines}]}))
    (text,) = json.loads(build_site.with_picture_files(chapter, {}))["cells"]
    assert text["source"] == "See [claims](../claims.md)\nand [one](01_two.ipynb)."


def test_a_link_to_a_section_of_the_readme_becomes_that_section(checkout: Path):
    page = checkout / "docs" / "practice.md"
    shown = build_site.with_sections(page)
    assert build_site.README_LINK.search(page.read_text(encoding="utf-8"))
    assert "README.md" not in shown
    assert "## On the real ImageNet\n\nRegister at [image-net.org]" in shown
    assert "## What runs where\n\n| platform | library |" in shown
    assert "](docs/" not in shown
    assert "## Map of the code" not in shown


def test_every_claim_stands_under_a_chapter_that_is_there():
    text = "\n".join(build_site.claims_by_chapter())
    assert [claim.id for claim in claims.claims().values() if text.count(claim.claim) != 1] == []
    assert text.startswith("\n## [01 · Download the archives](notebooks/01_download.ipynb)\n")


def test_every_verb_has_its_help():
    text = "\n".join(build_site.help_of(imnet, "imnet"))
    for verb in imnet.commands:
        assert f"\n## imnet {verb}\n\n```text\nUsage: imnet {verb} " in text
    assert "\n## imnet organize undo\n" in text


def test_every_room_but_the_commands_has_a_page():
    assert sorted(build_site.rooms()) == sorted(set(ORDER) - {"cli"})
    linked = build_site.map_of_rooms()
    assert [room for room in build_site.rooms() if f"]({room}.rst)" not in linked] == []
    assert "[`cli/`](../commands.md)" in linked
