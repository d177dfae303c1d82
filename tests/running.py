"""One chapter run on a root, as tests of whole roots take it."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from imnetlib.course import runner


def run_chapter_on(root: Path, chapter: str, **parameters: Any) -> dict[str, Any]:
    """What a chapter records on ``root``; its notebook goes beside the root, into build."""
    (path,) = runner.find_chapters([chapter])
    given = {"root": str(root), **parameters}
    return runner.run_chapter(path, given, root.with_name("build")).values


def run_and_peak(root: Path, chapter: str, **parameters: Any) -> tuple[dict[str, Any], int]:
    """The same, and the most KB of memory that the kernel has had: in a process of its own."""
    values = run_chapter_on(root, chapter, **parameters)
    return values, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
