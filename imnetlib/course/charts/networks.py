"""Figures about networks that learn and predict (chapters 7 and 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from imnetlib.course import plots
from imnetlib.evaluate import NEVER, wilson

Floats = npt.NDArray[np.floating[Any]]


def top_k(
    ranks: Mapping[int, npt.NDArray[np.int64]], note: Mapping[int, Sequence[float]]
) -> Figure:
    """Top-k accuracy against k: ``ranks`` by number of outputs, and the note's (chapter 8)."""
    classes = max(ranks)
    ks = np.unique(np.geomspace(1, min(classes, 1000), 80).astype(np.int64))
    figure, axis = plots.axes(8.5, 3.8)
    lines = zip(ranks.items(), (plots.BLUE, plots.ORANGE), ("-", "--"), strict=False)
    for (outputs, rank), color, style in lines:
        accuracies = [100 * np.mean(rank < k) for k in ks]
        axis.plot(ks, accuracies, style, color=color, label=f"here, {outputs:,} outputs")
    for (outputs, shares), color, marker in zip(note.items(), plots.COLORS, "o^", strict=False):
        percent = 100 * np.array(shares)
        axis.plot(
            (1, 5, 20), percent, marker, color=color, label=f"note, other images, {outputs:,}"
        )
    # A class without an output can't be guessed either.
    guessed = 100 * ks / classes * np.mean(ranks[classes] < NEVER)
    axis.plot(ks, guessed, ":", color=plots.BLACK, label=f"guessing among {classes:,}")
    axis.set(xscale="log", xlabel="k", ylabel="top-k accuracy, %", ylim=(0, 103))
    ticks = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if k <= max(20, ks[-1])]
    axis.set_xticks(ticks, [f"{k:,}" for k in ticks])
    axis.minorticks_off()
    axis.set_title("The true class is among the first k")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def confusions(percent: Floats, names: Sequence[str]) -> Figure:
    """A row for each true class, a column for each chosen one; NaN stays gray (chapter 8)."""
    figure, axis = plots.axes(8, 7)
    picture = axis.imshow(percent, cmap="Blues", vmin=0)
    axis.set_facecolor("lightgray")
    axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set(xlabel="chosen", ylabel="true")
    axis.set_title("What is taken for what")
    figure.colorbar(picture, ax=axis, shrink=0.6, label="% of the images of the true class")
    return figure


def calibration(bins: Mapping[str, Floats]) -> Figure:
    """Share that is right against mean confidence, from ``evaluate.calibration`` (chapter 8)."""
    figure, panels = plots.axes(4.2 * len(bins), 4.2, columns=len(bins))
    for axis, (name, table) in zip(np.atleast_1d(panels), bins.items(), strict=True):
        count, confidence, right = table.T
        limits = [wilson(round(r * c), int(c)) for r, c in zip(right, count, strict=True)]
        bars = np.abs(np.array(limits).T - right)
        axis.plot([0, 1], [0, 1], "--", color=plots.GRAY, label="calibrated")
        axis.errorbar(confidence, right, bars, fmt="o", capsize=3, label="95 % interval")
        for x, number in zip(confidence, count, strict=True):
            axis.text(x, -0.1, f"{number:,.0f}", ha="center", fontsize=8)
        axis.set(xlabel="mean confidence", ylabel="share that is right", title=name)
        axis.set(xlim=(0, 1.05), ylim=(-0.13, 1.05))
    np.atleast_1d(panels)[0].legend(loc="upper left")
    return figure
