"""im2rec.py, the tool that MXNet brings along to make lists and records."""

from __future__ import annotations

import gc
import runpy
import sys
from pathlib import Path

import pytest

from imnetlib.engines.mxnet import mx


def im2rec(*arguments: str | Path) -> None:
    """Run the tool that MXNet 1.9.1 brings along, here: another process would import MXNet anew."""
    tool = str(Path(mx.__file__).parent / "tools" / "im2rec.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [tool, *map(str, arguments)])
        patch.setattr(sys, "path", sys.path[:])
        runpy.run_path(tool, run_name="__main__")
    # It leaves its files open until its variables are collected.
    gc.collect()
