"""What public functions ask of their arguments."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable
from pathlib import Path
from typing import SupportsIndex, TypeAlias

PathLike: TypeAlias = str | os.PathLike[str]


def require(holds: bool, rule: str, value: object) -> None:
    """Raise ValueError "RULE, not VALUE" unless ``holds``; one call a rule, in argument order."""
    if not holds:
        raise ValueError(f"{rule}, not {value!r}")


def require_type(value: object, expected: type | tuple[type, ...], rule: str) -> None:
    """Raise TypeError "RULE, not VALUE (its type)" unless ``value`` is of an ``expected`` type."""
    if not isinstance(value, expected):
        raise TypeError(f"{rule}, not {value!r} ({type(value).__name__})")


def whole_number(name: str, value: SupportsIndex) -> int:
    """``value`` as an int: NumPy's integers too, and no bool; else TypeError names the argument."""
    # To Python a bool is an integer too, but size=True is a mistake.
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is a whole number, not {value!r} ({type(value).__name__})")
    return int(value)


def list_of_paths(name: str, values: Iterable[PathLike]) -> list[Path]:
    """``values`` as Paths; TypeError names the argument where it is one path, or no list at all."""
    # A text is a sequence too: of its characters.
    is_list = isinstance(values, Iterable) and not isinstance(values, str | bytes | os.PathLike)
    if not is_list:
        raise TypeError(f"{name} is a list of paths, not {values!r} ({type(values).__name__})")
    return [Path(value) for value in values]
