"""One chapter run on a root, as tests of whole roots take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imnetlib.course import runner


def run_chapter_on(root: Path, chapter: str, **parameters: Any) -> dict[str, Any]:
    """What a chapter records on ``root``; its notebook goes beside the root, into build."""
    (path,) = runner.find_chapters([chapter])
    given = {"root": str(root), **parameters}
    return runner.run_chapter(path, given, root.with_name("build")).values
