"""Figures about networks that learn and predict (chapters 7 and 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from imnetlib.course import plots
from imnetlib.course.plots import Drawing
from imnetlib.evaluate import NEVER, wilson

Floats = npt.NDArray[np.floating[Any]]


def top_k(
    ranks: Mapping[int, npt.NDArray[np.int64]], note: Mapping[int, Sequence[float]]
) -> Figure:
    """Errors among the first k, against k: ``ranks`` by number of outputs, the note's (chapter 8).

    On a logarithmic scale, where the few errors of a good network still differ.
    """
    classes = max(ranks)
    ks = np.unique(np.geomspace(1, min(classes, 1000), 80).astype(np.int64))
    figure, axis = plots.axes(8.5, 4)
    for (outputs, rank), color, style in zip(
        ranks.items(), (plots.BLUE, plots.ORANGE), ("-", "--"), strict=False
    ):
        wrong = np.array([100 * np.mean(rank >= k) for k in ks])
        some = wrong > 0
        label = f"here, {outputs:,} outputs"
        axis.plot(ks[some], wrong[some], style, color=color, marker=".", label=label)
    for (outputs, shares), color, marker in zip(
        note.items(), (plots.GREEN, plots.BROWN), "o^", strict=False
    ):
        percent = 100 * (1 - np.array(shares))
        axis.plot((1, 5, 20), percent, ":", marker=marker, color=color)
        # Under the line: on its right the line of guessing would cross the name.
        under = {"ha": "right", "color": plots.ink(color)}
        plots.note(axis, f"the note, {outputs:,} outputs", (20, percent[-1]), (-4, -14), **under)
    # A class without an output can't be guessed either.
    guessed = 100 * (1 - ks / classes * np.mean(ranks[classes] < NEVER))
    some = guessed > 0
    label = f"guessing among {classes:,}"
    axis.plot(ks[some], guessed[some], "-.", color=plots.BLACK, label=label)
    axis.set(xscale="log", yscale="log", xlabel="k", ylabel="true class not among the first k, %")
    ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= max(20, ks[-1])]
    axis.set_xticks(ticks, [f"{k:,}" for k in ticks])
    axis.minorticks_off()
    plots.plain_numbers(axis)
    axis.set_title("How many errors are left when k answers are allowed")
    plots.label_lines(axis)
    return figure


def confusions(percent: Floats, names: Sequence[str]) -> Figure:
    """A row for each true class, a column for each chosen one; NaN stays gray (chapter 8)."""
    # As large as its names need.
    side = 3 + 0.15 * len(names)
    figure, axis = plots.axes(side + 0.8, side)
    # The fewest are seen, too: only none at all is white.
    shades = ListedColormap(mpl.colormaps["Blues"](np.linspace(0.35, 1, 256)))
    seen = shades.with_extremes(under="white")
    picture = axis.imshow(percent, cmap=seen, vmin=np.finfo(np.float32).tiny)
    axis.set_facecolor(plots.GRAY)
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="chosen", ylabel="true")
    axis.set_title("What is taken for what")
    figure.colorbar(picture, ax=axis, shrink=0.6, label="% of the images of the true class")
    return figure


def calibration(bins: Mapping[str, Floats]) -> Drawing:
    """Share that is right against mean confidence, from ``evaluate.calibration`` (chapter 8)."""
    figure, panels = plots.axes(4.2 * len(bins), 4.4, columns=len(bins))
    told = []
    for axis, (name, table) in zip(np.atleast_1d(panels), bins.items(), strict=True):
        count, confidence, right = table.T
        limits = [wilson(round(r * c), int(c)) for r, c in zip(right, count, strict=True)]
        bars = np.abs(np.array(limits).T - right)
        axis.plot([0, 1], [0, 1], "--", color=plots.GRAY)
        plots.note(axis, "calibrated", (0.1, 0.1), (6, -4), va="top", color=plots.GRAY)
        axis.errorbar(confidence, right, bars, fmt="o", capsize=3)
        for x, number in zip(confidence, count, strict=True):
            text = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": plots.SMALL}
            axis.text(x, -0.24, f"{number:,.0f}", **text)
        axis.text(0.02, -0.24, "images", va="bottom", fontsize=plots.SMALL)
        axis.set(xlabel="mean confidence", title=name)
        axis.set_ylabel("share that is right, with 95 % intervals")
        axis.set(xlim=(0, 1.05), ylim=(-0.25, 1.05), yticks=np.arange(0, 1.1, 0.2))
        missed = [not low <= x <= high for x, (low, high) in zip(confidence, limits, strict=True)]
        told.append(f"Panel “{name}”: {_bins_in_words(table, sum(missed))}")
    alt = (
        "Share of right answers against mean confidence, of the images in each of some bins, with "
    )
    alt += f"95 % intervals and the diagonal, on which both are the same. {' '.join(told)}"
    return Drawing(figure, alt)


def _bins_in_words(table: Floats, missed: int) -> str:
    """How many intervals miss the diagonal; the fullest bin, and the one farthest from it."""
    if not len(table):
        return "no image."
    fullest = table[np.argmax(table[:, 0])]
    farthest = table[np.argmax(np.abs(table[:, 2] - table[:, 1]))]
    return (
        f"{missed} of {len(table)} intervals miss the diagonal; the fullest bin has "
        f"{_bin_in_words(fullest)}, the one farthest from the diagonal {_bin_in_words(farthest)}."
    )


def _bin_in_words(one: Floats) -> str:
    count, confidence, right = one
    return f"{count:,.0f} images, confidence {confidence:.0%} and {right:.0%} right"
