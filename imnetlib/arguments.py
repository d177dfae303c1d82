"""What public functions ask of their arguments, and the types of arrays that rooms share."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat, SupportsIndex, TypeAlias, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

PathLike: TypeAlias = str | os.PathLike[str]
# As text: a backup, for one, does not need NumPy, and need not wait for it.
Integers: TypeAlias = "NDArray[np.int64]"
Floats: TypeAlias = "NDArray[np.float32]"
Names: TypeAlias = "NDArray[np.bytes_]"
Item = TypeVar("Item")

# Characters of a wrong value that a message shows: an array may have thousands.
_MOST_SHOWN = 120


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def require(holds: bool, rule: str, value: object) -> None:
    """Raise ValueError "RULE, not VALUE" unless ``holds``; one call a rule, in argument order."""
    if not holds:
        raise ValueError(f"{rule}, not {_shown(value)}")


def require_type(value: object, expected: type | tuple[type, ...], rule: str) -> None:
    """Raise TypeError "RULE, not VALUE (its type)" unless ``value`` is of an ``expected`` type."""
    if not isinstance(value, expected):
        raise TypeError(f"{rule}, not {_shown(value)} ({type(value).__name__})")


def require_several(name: str, values: object) -> None:
    """Raise TypeError for one string or path where several are wanted, and for what is no list.

    Python would take the letters of a string for the strings.
    """
    rule = f"{name} are several, in a list or a tuple"
    require_type(values, Iterable, rule)
    if isinstance(values, str | bytes):
        raise TypeError(f"{rule}, not {_shown(values)}")


def in_order(name: str, values: Iterable[Item]) -> list[Item]:
    """``values`` as a list; TypeError for one string, and for a set, which has no order."""
    require_several(name, values)
    if isinstance(values, set | frozenset):
        raise TypeError(f"{name} have an order: give a list or a tuple, not {_shown(values)}")
    return list(values)


def list_of_paths(name: str, values: Iterable[PathLike]) -> list[Path]:
    """``values`` as Paths; TypeError names the argument where it is one path, or no list at all."""
    require_several(name, values)
    return [Path(value) for value in values]


def whole_number(name: str, value: SupportsIndex) -> int:
    """``value`` as an int: NumPy's integers too, and no bool; else TypeError names the argument."""
    # Nearly always, and some functions are called for each image.
    if type(value) is int:
        return value
    # To Python a bool is an integer too, but size=True is a mistake.
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is a whole number, not {_shown(value)} ({type(value).__name__})")
    return int(value)


def real_number(name: str, value: SupportsFloat) -> float:
    """``value`` as a float: integers and NumPy's numbers too; else TypeError names the argument."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is a number, not {_shown(value)} ({type(value).__name__})")
    return float(value)


def whole_numbers(name: str, values: ArrayLike) -> Integers:
    """``values`` as int64; ValueError names the first that is no whole number, or too large."""
    import numpy as np

    given = np.asarray(values)
    if given.dtype == np.int64 or not given.size:
        return given.astype(np.int64, copy=False)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"{name} are whole numbers of 64 bits, not {given.ravel().tolist()[0]!r}")
    with np.errstate(invalid="ignore"):
        whole = given.astype(np.int64)
    # 2**63 as a float, and as uint64, comes back as another number.
    same = (whole == given) & ((whole < 0) == (given < 0))
    if not same.all():
        first = given.ravel()[int(same.ravel().argmin())]
        raise ValueError(f"{name} are whole numbers of 64 bits, not {first}")
    return whole
