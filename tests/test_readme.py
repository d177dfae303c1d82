"""The README's tables say what the chapters and the rooms say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import readme_tables


def test_its_tables_are_up_to_date():
    readme = readme_tables.README.read_text(encoding="utf-8")
    assert readme_tables.filled(readme) == readme, "run: python tools/readme_tables.py"


@pytest.mark.parametrize("header", [readme_tables.CHAPTERS, readme_tables.ROOMS])
def test_a_row_that_is_wrong_or_gone_is_written_again(header: str):
    readme = readme_tables.README.read_text(encoding="utf-8")
    first = readme.index(header) + len(header)
    end = readme.index("\n", first)
    cell = readme.index("| ", first + 2)
    assert readme_tables.filled(readme[:cell] + "| nothing | 9 |" + readme[end:]) == readme


def test_the_sets_it_lists_are_those_that_chapter_1_takes(checkout: Path):
    readme = readme_tables.README.read_text(encoding="utf-8")
    chapter = (checkout / "notebooks" / "01_download.ipynb").read_text(encoding="utf-8")
    for name in ("ILSVRC2012", "winter21", "fall11"):
        assert f"| `-p dataset {name}` |" in readme
        assert name in chapter
