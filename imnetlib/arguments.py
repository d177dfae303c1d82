"""What public functions ask of their arguments."""

from __future__ import annotations

import os
from typing import TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]


def require(holds: bool, rule: str, value: object) -> None:
    """Raise ValueError "RULE, not VALUE" unless ``holds``; one call a rule, in argument order."""
    if not holds:
        raise ValueError(f"{rule}, not {value!r}")
