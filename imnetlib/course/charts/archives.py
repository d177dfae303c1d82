"""Figures about archives: how long they take, and what they need of a disk (chapter 1)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from imnetlib.catalog import Dataset
from imnetlib.course import plots
from imnetlib.course.charts.times import ticks_of_time, told
from imnetlib.course.plots import Drawing
from imnetlib.throughput import GB, MB, BudgetRow

# Lines that readers know by name, in MB/s.
LINES = {
    "16 Mbit/s, 2 MB/s": 2, "100 Mbit/s, 12.5 MB/s": 12.5, "1 Gbit/s, 125 MB/s": 125,
    "10 Gbit/s, 1,250 MB/s": 1250,
}  # fmt: skip


def download_times(sets: Mapping[str, Dataset], rate: float) -> Drawing:
    """How long two sets take at ``rate`` MB/s and on lines that readers know (chapter 1)."""
    lines = sorted({f"yours, {rate:g} MB/s": rate, **LINES}.items(), key=lambda line: line[1])
    figure, axis = plots.axes(height=3.2)
    every = []
    marks = zip(sets.items(), (plots.BLUE, plots.ORANGE), "os", strict=True)
    for number, ((name, data), color, marker) in enumerate(marks):
        times = [data.bytes / (speed * MB) for _, speed in lines]
        every += times
        axis.plot(times, range(len(lines)), marker, color=color, markersize=8)
        # The first set's times on the left of its marks, the second's on the right.
        side = {"ha": ("right", "left")[number], "va": "center"}
        offset = ((-8, 8)[number], 0)
        for place, seconds in enumerate(times):
            plots.note(axis, told(seconds), (seconds, place), offset, **side)
        size = f"{name}, {data.bytes / GB:,.0f} GB"
        plots.note(axis, size, (times[0], 0), (offset[0], 14), color=plots.ink(color), **side)
        axis.hlines(range(len(lines)), 1e-9, times, color=plots.PALE, linewidth=1, zorder=0)
    axis.set_yticks(range(len(lines)), [name for name, _ in lines])
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("yours") else "normal")
    axis.set(xscale="log", ylim=(len(lines) - 0.5, -0.8))
    ticks_of_time(axis.xaxis)
    axis.set_xlim(min(every) / 10, max(every) * 6)
    axis.set_title("Your line decides between minutes and weeks")
    rows = []
    for name, speed in lines:
        both = [told(data.bytes / (speed * MB)) for data in sets.values()]
        rows.append(f"{name}: {' and '.join(both)}")
    of_each = " and ".join(f"{data.bytes / GB:,.0f} GB ({name})" for name, data in sets.items())
    alt = f"How long {of_each} take on {len(lines)} lines, on a logarithmic axis. "
    return Drawing(figure, f"{alt}{'; '.join(rows)}.")


def disk_steps(budgets: Mapping[str, Sequence[BudgetRow]]) -> Figure:
    """What each step adds to the disk, for each data set, beside 1,000 GB (chapter 1)."""
    figure, axis = plots.axes(height=2.8)
    names = list(budgets)
    largest = max(range(len(names)), key=lambda place: budgets[names[place]][-1].total)
    for number, rows in enumerate(zip(*budgets.values(), strict=True)):
        left = [(row.total - row.needs) / GB for row in rows]
        needs = [row.needs / GB for row in rows]
        axis.barh(names, needs, 0.5, left=left, color=plots.COLORS[number])
        # The steps have their names on the longest bar, where there is room.
        text = f"{textwrap.fill(rows[largest].step, 14)}\n{needs[largest]:,.0f} GB"
        plots.note(
            axis,
            text,
            (left[largest], largest + 0.25),
            (0, 4),
            va="bottom",
            color=plots.ink(plots.COLORS[number]),
        )
    axis.axvline(1000, color=plots.BLACK, linewidth=1.5)
    plots.note(axis, "the article's\n1,000 GB", (1000, -0.45), (6, 0), va="bottom")
    axis.set(xlabel="GB, one step after the other", ylim=(-0.5, len(names) + 0.1))
    together = [f"{name}\n{rows[-1].total / GB:,.0f} GB" for name, rows in budgets.items()]
    axis.set_yticks(range(len(names)), together)
    axis.set_title("The 1,000 classes fit on the article's volume, the full set does not")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return figure
