"""The environment that ``make bench-env`` makes, where it is, and what it could not install."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from results import plainly

FOLDER = Path(__file__).parents[2] / "build/peers"
# A line for each peer that could not be installed: the name it is imported by, a tab, why.
FAILED = FOLDER / "failed.tsv"


def move_there() -> None:
    """Run this program anew by the environment's Python, where there is one."""
    python = FOLDER / "bin/python"
    if python.exists() and Path(sys.prefix).resolve() != FOLDER.resolve():
        os.execv(python, [str(python), *sys.argv])


def reason(failure: str, failed: Path = FAILED) -> str:
    """One line that says why a peer could not run, from the exception's text; "" for ""."""
    if not failure.strip():
        return ""
    lacking = re.search(r"No module named '(\w+)", failure)
    if not lacking:
        return plainly(failure)
    if not failed.exists():
        return f"{lacking[1]} is not installed: make bench-env"
    told = dict(line.split("\t", 1) for line in failed.read_text("utf-8").splitlines())
    return told.get(lacking[1], plainly(failure))
