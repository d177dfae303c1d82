"""Reads what a reader hands in: numbers of any type, texts, results of functions."""

from __future__ import annotations

import contextlib
import decimal
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# Characters of a value that a sentence shows.
_MOST_SHOWN = 100
# How far the results of two right formulas may lie apart.
ROUNDING = 1e-6


class NoNumberError(ValueError):
    """An answer holds no number; the message says what it is instead."""


def shorten(value: object) -> str:
    """``value`` as a few characters on one line; its type where it cannot even be shown."""
    try:
        as_it_reads = isinstance(value, str | BaseException)
        text = " ".join((str(value) if as_it_reads else repr(value)).split())
    except BaseException:
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def read_number(value: object) -> float:
    """The one number in ``value``: any number of Python or NumPy, or an array or a list of one.

    An int where it is whole by its type. NoNumberError says what else it is.
    """
    if isinstance(value, str | bytes):
        raise NoNumberError(f"{shorten(repr(value))} is a text: write the number without quotes")
    if callable(value):
        raise NoNumberError("that is a function, and a number is asked for: call it")
    single = value if isinstance(value, numbers.Number) else _single(value)
    if isinstance(single, bool | np.bool_):
        raise NoNumberError(f"{shorten(value)} is no number")
    if isinstance(single, numbers.Integral):
        # To Python a whole number may have any size.
        number: float = int(single)
        return number if abs(number) < 1e300 else _refuse(value)
    if isinstance(single, numbers.Real | decimal.Decimal):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(single)
            return number if math.isfinite(number) else _refuse(value)
        return _refuse(value)
    raise NoNumberError(f"{shorten(value)} is no number")


def _refuse(value: object) -> float:
    raise NoNumberError(f"{shorten(value)} is no finite number")


def _single(value: Any) -> object:
    """The only number of an array, a tensor or a list; None where there is no such."""
    ways: tuple[Callable[[], object], ...] = (
        # A tensor of PyTorch that wants a gradient is no array, and MXNet's are none at all.
        lambda: value.item(),
        lambda: value.asscalar(),
        lambda: np.asarray(value).item(),
    )
    for way in ways:
        with contextlib.suppress(Exception):
            found = way()
            if isinstance(found, numbers.Number | np.bool_):
                return found
    return None


def as_text(value: object) -> str:
    """A text of Python or NumPy; TypeError for anything else."""
    single = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if not isinstance(single, str):
        raise TypeError(f"{shorten(value)} is no text")
    return str(single)


def same(found: Any, expected: Any) -> bool:
    """Whether a result is the expected one; NumPy's types, lists and tuples may replace each other.

    Numbers that are not whole may differ in their last digits.
    """
    if isinstance(expected, bool):
        return isinstance(found, bool | np.bool_) and bool(found) == expected
    if isinstance(expected, numbers.Integral):
        return _is_number(found) and bool(found == expected)
    if isinstance(expected, numbers.Real):
        return _is_number(found) and _close(float(found), float(expected))
    if isinstance(expected, bytes):
        return isinstance(found, bytes | bytearray | memoryview) and bytes(found) == expected
    if isinstance(expected, np.ndarray):
        try:
            given = np.asarray(found)
        except ValueError:  # its rows have several lengths
            return False
        fits = given.shape == expected.shape and given.dtype.kind in "biuf"
        return fits and np.allclose(given, expected, rtol=ROUNDING, atol=ROUNDING)
    if isinstance(expected, Mapping):
        is_mapping = isinstance(found, Mapping) and found.keys() == expected.keys()
        return is_mapping and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list | tuple):
        several = isinstance(found, list | tuple | np.ndarray) and len(found) == len(expected)
        return several and all(map(same, found, expected))
    return type(found) is type(expected) and bool(found == expected)


def _is_number(value: object) -> bool:
    is_bool = isinstance(value, bool | np.bool_)
    return isinstance(value, numbers.Real) and not is_bool


def _close(found: float, expected: float) -> bool:
    return found == expected or math.isclose(found, expected, rel_tol=ROUNDING, abs_tol=1e-9)
