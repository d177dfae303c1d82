"""Times as people say them, in figures of several chapters."""

from __future__ import annotations

from typing import Any

from imnetlib.throughput import DAY, HOUR

# Ticks of time, in seconds.
TIMES = {
    "1 s": 1, "10 s": 10, "1 min": 60, "10 min": 600, "1 h": HOUR, "10 h": 10 * HOUR,
    "4 days": 4 * DAY, "40 days": 40 * DAY, "1 year": 365 * DAY,
}  # fmt: skip


def told(seconds: float) -> str:
    """A time as people say it, to two digits: "5.1 days", "3.4 h", "21 min", "0.5 s"."""
    units = {"days": DAY, "h": HOUR, "min": 60, "s": 1}
    unit = next((unit for unit, size in units.items() if seconds >= 2 * size), "s")
    number = seconds / units[unit]
    return f"{number:,.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"


def ticks_of_time(axis: Any) -> None:
    """Times as people say them along a logarithmic axis of seconds."""
    axis.set_ticks(list(TIMES.values()), list(TIMES))
    axis.set_ticks([], minor=True)
