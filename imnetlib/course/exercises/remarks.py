"""What can be said of a function's error, or of its wrong result without telling the right one."""

from __future__ import annotations

import contextlib
import linecache
import math
import numbers
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from imnetlib.course.exercises import slips
from imnetlib.course.exercises.reading import ROUNDING, NoNumberError, read_number, same, shorten

# What is asked for: the type of the right result, then those that may take its place.
_KINDS: dict[str, tuple[type, ...]] = {
    "True or False": (bool, np.bool_),
    "a number": (numbers.Real,),
    "a text": (str,),
    "bytes": (bytes, bytearray, memoryview),
    "a dict": (Mapping,),
    "an array": (np.ndarray, list, tuple),
    "a list": (list, tuple, np.ndarray),
}
_OFF_BY_ONE = "It is off by one: are the first and the last one counted?"
_NOTHING = "It is 0: is something left out, or is there a // or an int() in it?"
_CUT_OFF = "What stands behind the decimal point is lost: is there a // or an int() in it?"
_TOO_MUCH = "A share is 1 at most: what is it divided by, and is it in percent?"


def described(error: BaseException, function: object) -> str:
    """An error's name and text, and in which line of the reader's own cells it was raised."""
    text = f"{type(error).__name__} ({shorten(error)})"
    own = getattr(function, "__globals__", None)
    frames = traceback.walk_tb(error.__traceback__)
    lines = [(frame.f_code.co_filename, line) for frame, line in frames if frame.f_globals is own]
    if not lines:
        return text
    path, line = lines[-1]
    source = linecache.getline(path, line).strip()
    return f"{text} in line {line}" + (f', "{shorten(source)}"' if source else "")


def wrong_kind(found: Any, expected: Any) -> str:
    """What kind of thing a result, or each item of a list, has to be; "" where it is that."""
    asked = _kind(expected)
    if not _is(found, asked):
        return f"The result has to be {asked}"
    if asked == "a list":
        kinds = {_kind(item) for item in expected}
        of_items = kinds.pop() if len(kinds) == 1 else ""
        if of_items and not all(_is(item, of_items) for item in found):
            return f"Each of its items has to be {of_items}"
    return ""


def remark(found: Any, expected: Any, unit: str = "") -> str:
    """A sentence on how ``found`` differs from ``expected``; "" where it is in no common way.

    ``unit``: that of a number, for ``slips.by_factor``.
    """
    other_kind = wrong_kind(found, expected)
    if other_kind:
        return other_kind
    asked = _kind(expected)
    if asked == "a number":
        return _of_numbers(found, expected, unit)
    if asked == "a dict":
        return _of_dicts(found, expected)
    if asked == "an array":
        return _of_arrays(found, expected)
    if asked == "a text":
        return _of_texts(found, expected)
    return _of_lists(list(found), list(expected)) if asked == "a list" else ""


def _kind(expected: object) -> str:
    return next(name for name, types in _KINDS.items() if isinstance(expected, types[0]))


def _is(found: object, asked: str) -> bool:
    is_bool = isinstance(found, bool | np.bool_)
    return isinstance(found, _KINDS[asked]) and is_bool == (asked == "True or False")


def _of_numbers(found: object, expected: float, unit: str) -> str:
    try:
        given = read_number(found)
    except NoNumberError:
        return ""
    if not math.isfinite(expected):
        return ""
    if isinstance(expected, numbers.Integral) and abs(given - expected) == 1:
        return _OFF_BY_ONE
    if unit == "share" and given > 1:
        return _TOO_MUCH
    by_factor = slips.by_factor(given, expected, ROUNDING * abs(expected), unit)
    if by_factor:
        return by_factor
    if given == math.floor(expected):
        return _CUT_OFF if given else _NOTHING
    return ""


def _of_texts(found: str, expected: str) -> str:
    if found.lower() == expected.lower():
        return "Capital letters are not the same as small ones"
    begins_alike = found.startswith(expected[: len(expected) // 2 + 1])
    return "Its first half is right, what follows is not" if begins_alike else ""


def _of_dicts(found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> str:
    if expected.keys() - found.keys():
        return "Some keys are missing"
    if found.keys() - expected.keys():
        return "Some of its keys do not belong there"
    return _of_each((found[key], expected[key]) for key in expected)


def _of_arrays(given: Any, expected: Any) -> str:
    try:
        found = np.asarray(given)
    except ValueError:
        return "Its rows have several lengths"
    if found.ndim == expected.ndim == 1 and abs(len(found) - len(expected)) < 2:
        return _of_lists(found.tolist(), expected.tolist())
    if found.shape == expected.shape:
        return _of_each(zip(found.flat, expected.ravel().tolist(), strict=True))
    return f"Its shape is {found.shape}, and {expected.shape} is asked for"


def _of_lists(found: Sequence[Any], expected: Sequence[Any]) -> str:
    if len(found) != len(expected):
        if found and same(found, expected[:-1]):
            return "The last one is missing"
        if found and same(found, expected[1:]):
            return "The first one is missing"
        return f"It has too {'few' if len(found) < len(expected) else 'many'} items"
    with contextlib.suppress(TypeError, ValueError):
        if same(sorted(found), sorted(expected)):
            return "All are there, but in another order"
    return _of_each(zip(found, expected, strict=True))


def _of_each(pairs: Iterable[tuple[Any, Any]]) -> str:
    """The remark on each wrong one, where it is the same for all of them."""
    told = {remark(found, expected) for found, expected in pairs if not same(found, expected)}
    return told.pop() if len(told) == 1 else ""
