"""Slips that are made in all arithmetic: units, powers of ten, percent, rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator

_BYTES = ("KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB")
_TIMES = ("seconds", "minutes", "hours", "days")

_PERCENT = "That is a share of 1, and percent are asked for"
_TWICE = "That is a hundred times too much or too little: are percent of percent in it?"
_BINARY = (
    "Two kinds of units are mixed in it: KB, MB and GB are powers of 1,000, KiB, MiB and GiB are "
    "powers of 1,024"
)
_BITS = "Bits and bytes are mixed in it: a byte has 8 bits"
_TIME = "Seconds, minutes, hours or days are mixed in it"
_THOUSAND = "It is off by a factor of a thousand: look at the units"
_MILLION = "It is off by several factors of a thousand: look at the units"
_TEN = "It is off by a factor of ten: count the digits"
_HUNDRED = "It is off by a factor of a hundred: count the digits"
_TWO = "It is off by a factor of two: is something counted twice, or half of it left out?"
_POWER = "It is off by a power of ten: count the digits"
_SIGN = "Its sign is wrong: what is taken from what?"
_UPSIDE = "It is upside down: what is divided by what?"
_WHOLE = "A count is a whole number: think about which way it has to be rounded"
_ONE = (
    "It is off by one: which way has it to be rounded, and are the first and the last one counted?"
)
_ROUNDED = "It is nearly right: round to the nearest, and not before the end"


def say(number: float) -> str:
    """A number with all its digits, so that none rounds to the right one."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.12g}"


def recognise(
    given: float, expected: float, tolerance: float, unit: str, *, is_count: bool
) -> str | None:
    """What is wrong with ``given``, if it is one of the common slips; it never says ``expected``.

    ``tolerance`` is that of a right answer. ``unit`` says which slips can be made.
    """
    factor = by_factor(given, expected, tolerance, unit)
    if factor:
        return factor
    if is_count and abs(given - expected) <= 1:
        return _ONE if given == math.floor(given) else _WHOLE
    if abs(given - expected) <= max(2 * tolerance, 0.01 * abs(expected)):
        return _ROUNDED
    return None


def by_factor(given: float, expected: float, tolerance: float, unit: str) -> str | None:
    """The slip that multiplies or turns upside down what is right; None if it is none of these."""
    for factor, says in _factors(unit):
        if abs(given - factor * expected) <= tolerance * abs(factor) + 1e-12 * abs(given):
            return says
    if abs(given * expected - 1) <= tolerance / (abs(expected) or 1) + 1e-9:
        return _UPSIDE
    return None


def _factors(unit: str) -> Iterator[tuple[float, str]]:
    """By what a slip multiplies the right number, the likeliest first."""
    yield -1, _SIGN
    if unit == "%":
        yield 0.01, _PERCENT
        yield 100, _TWICE
    if unit.partition("/")[0] in _BYTES:
        for power in (1, 2, 3, 4):
            yield (1000 / 1024) ** power, _BINARY
            yield (1024 / 1000) ** power, _BINARY
    if unit.partition("/")[0] in (*_BYTES, *_TIMES):
        yield 8, _BITS
        yield 1 / 8, _BITS
    if unit in _TIMES or unit.endswith("/s"):
        for factor in (60, 3_600, 86_400, 24, 1_440):
            yield factor, _TIME
            yield 1 / factor, _TIME
    yield 2, _TWO
    yield 0.5, _TWO
    for power in range(1, 16):
        says = {1: _TEN, 2: _HUNDRED, 3: _THOUSAND}.get(power, _POWER if power % 3 else _MILLION)
        yield 10.0**power, says
        yield 10.0**-power, says
