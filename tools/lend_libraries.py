"""Lend MXNet the two libraries that its wheel lacks, out of other wheels in this environment.

``libmxnet.so`` looks for ``libgomp.so.1`` and ``libquadmath.so.0`` beside itself first. A system
with a compiler has both, and those are taken; a bare one has neither.
"""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
from pathlib import Path

NEEDED = ("libgomp.so.1", "libquadmath.so.0")


def lend(mxnet: Path, wheels: Path) -> list[Path]:
    """Copy what the system lacks to the folder ``mxnet``; say which files of ``wheels`` were taken.

    A wheel keeps a library of others in ``<wheel>.libs``, with a digest in its name.
    """
    lent = []
    for name in NEEDED:
        (mxnet / name).unlink(missing_ok=True)
        if _system_has(name):
            continue
        stem, suffix = name.split(".so")
        copies = sorted(wheels.glob(f"*.libs/{stem}-*.so{suffix}*"))
        if copies:
            shutil.copy(copies[0], mxnet / name)
            lent.append(copies[0])
    return lent


def _system_has(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    found = importlib.util.find_spec("mxnet")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent
        lend(folder, folder.parent)
