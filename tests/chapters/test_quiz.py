"""The quiz at the end: twenty questions, each answered below a fold, with where it is taught."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import nbformat

from imnetlib.course import runner

(QUIZ,) = runner.find_chapters(["11_quiz"])
TEXTS = [c.source for c in nbformat.read(QUIZ, as_version=4).cells if c.cell_type == "markdown"]
QUESTION = re.compile(
    r"\*\*(\d+)\.\*\* [^\n]+\?\n\n<details><summary>Answer</summary>\n\n"
    r".+ \[Chapter (\d+), \*(.+)\*\]\((\w+\.ipynb)#(\S+)\)\n</details>"
)
ASKED = [found for text in TEXTS if (found := QUESTION.fullmatch(text))]


def test_twenty_questions_cover_all_chapters():
    assert [int(found[1]) for found in ASKED] == list(range(1, 21))
    assert {int(found[2]) for found in ASKED} == set(range(11))


def test_each_answer_links_to_the_section_that_teaches_it():
    for found in ASKED:
        path = QUIZ.parent / found[4]
        assert path.name.startswith(f"{int(found[2]):02}_")
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        headings = re.findall(r"^#{2,3} (.+)$", text, re.MULTILINE)
        assert found[3] in headings
        # As JupyterLab names the place of a heading.
        assert found[5] == found[3].replace(" ", "-")


def test_it_runs_like_any_chapter(run_chapter: Callable[[str], Any]):
    values, figures = run_chapter("11_quiz")
    assert values["questions"] == len(ASKED)
    assert figures == set()
