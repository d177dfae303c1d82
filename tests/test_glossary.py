"""The glossary: its words in order, each in one sentence, and led to where it is used."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from imnetlib.course.root import CHECKOUT

PAGE = CHECKOUT / "docs" / "glossary.md"
ENTRY = re.compile(
    r"- \*\*(?P<word>.+?)\*\*: (?P<sentence>[^.]+\.) "
    r"(?:\[Measured\]\(measured\.md\)|"
    r"\[Chapter (?P<number>\d+)(?:, \*(?P<section>.+)\*)?\]"
    r"\((?P<path>[^#]+\.ipynb)(?:#(?P<anchor>.+))?\))"
)
LINES = PAGE.read_text(encoding="utf-8").split("\n\n")[2].splitlines()
ENTRIES = [found for line in LINES if (found := ENTRY.fullmatch(line))]


def test_every_line_is_a_word_in_one_sentence_and_a_link():
    assert [line for line in LINES if not ENTRY.fullmatch(line)] == []
    assert 25 <= len(LINES) <= 50


def test_the_words_are_in_alphabetical_order():
    words = [entry["word"].casefold() for entry in ENTRIES]
    assert words == sorted(set(words))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["word"])
def test_a_link_leads_to_where_the_word_is(entry: re.Match[str]):
    if entry["path"] is None:
        page = (PAGE.parent / "measured.md").read_text(encoding="utf-8")
        assert re.search(rf"\b{entry['word']}\b", page)
        return
    chapter = PAGE.parent / entry["path"]
    assert chapter.name.startswith(f"{int(entry['number']):02}_")
    sections = sections_of(chapter)
    section = entry["section"] or next(iter(sections))
    # As JupyterLab names the place of a heading.
    assert entry["anchor"] == (entry["section"] and section.replace(" ", "-"))
    assert entry["word"].removesuffix(", the").casefold() in sections[section].casefold()


def sections_of(chapter: Path) -> dict[str, str]:
    """The text under each heading of a chapter, up to the next heading of any level."""
    cells = nbformat.read(chapter, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    parts = re.split(r"^#{1,4} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
