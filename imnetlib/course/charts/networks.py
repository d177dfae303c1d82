"""Figures about networks, their memory and their predictions (chapters 6 to 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imnetlib.course import plots
from imnetlib.engines import Plan, Step, lifetimes
from imnetlib.evaluate import NEVER, wilson

Floats = npt.NDArray[np.floating[Any]]
PARTS = (plots.BLUE, plots.SKY, plots.YELLOW, plots.ORANGE)


def parameters(by_layer: Mapping[str, Mapping[str, int]]) -> Figure:
    """Millions of parameters by layer, a bar for each network (chapter 6)."""
    figure, axis = plots.axes(height=4.2)
    for number, (name, counts) in enumerate(by_layer.items()):
        places = np.arange(len(counts)) + 0.4 * number - 0.2
        axis.barh(places, [n / 1e6 for n in counts.values()], 0.4, label=name)
    layers = list(next(iter(by_layer.values())))
    axis.set_yticks(range(len(layers)), layers)
    axis.invert_yaxis()
    axis.set(xlabel="million parameters", ylabel="layer")
    axis.legend(loc="center right")
    return figure


def step_memory(parts: Mapping[str, Mapping[str, float]], batch: int, card: float) -> Figure:
    """MiB of a training step: for each part what each network takes, and the card (chapter 6)."""
    names = list(next(iter(parts.values())))
    figure, axis = plots.axes(height=2.3)
    left = np.zeros(len(names))
    for (part, mebibytes), color in zip(parts.items(), PARTS, strict=True):
        values = np.array([mebibytes[name] for name in names])
        axis.barh(names, values, left=left, color=color, label=part)
        left += values
    axis.invert_yaxis()
    axis.axvline(card, color=plots.BLACK, linestyle="--", label="the card")
    axis.set(xlabel=f"MiB, for a batch of {batch}")
    axis.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return figure


def buffers(steps: Sequence[Step], made: Mapping[str, Plan]) -> Figure:
    """Which buffer holds which result at which of ``steps``, in each of four plans (chapter 6)."""
    spans = lifetimes(steps)
    figure, panels = plots.axes(9, 5.6, 2, 2)
    for axis, (name, plan) in zip(panels.ravel(), made.items(), strict=True):
        for result, (start, end) in spans.items():
            color = plots.ORANGE if str(result).startswith("∂") else plots.SKY
            place = plan.buffer_of[result]
            axis.barh(place, end - start + 1, left=start, color=color, edgecolor="w")
            axis.text(start + 0.1, place, str(result), va="center", fontsize=7)
        axis.set(title=f"{name}: {len(plan.buffers)} buffers", ylim=(-0.7, len(spans) - 0.3))
        axis.set_xticks(np.arange(len(steps)) + 0.5, [s.name for s in steps], rotation=90)
        axis.tick_params(axis="x", labelsize=7)
        axis.set(ylabel="buffer", yticks=range(0, len(spans), 3))
    return figure


def plans(made: Mapping[str, Mapping[str, float]], batch: int) -> Figure:
    """Planned MiB of each network with each saving, in percent of the first (chapter 6)."""
    figure, axis = plots.axes(height=3.6)
    savings = list(next(iter(made.values())))
    for number, (saving, color) in enumerate(zip(savings, PARTS[::-1], strict=True)):
        values = [sizes[saving] for sizes in made.values()]
        labels = [f"{sizes[saving] / sizes[savings[0]]:.0%}" for sizes in made.values()]
        places = np.arange(len(made)) + 0.2 * number - 0.3
        bars = axis.bar(places, values, 0.19, color=color, label=saving)
        axis.bar_label(bars, labels, fontsize=9)
    axis.set_xticks(range(len(made)), list(made))
    axis.set(ylabel=f"MiB for results, batch {batch}")
    axis.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def memory_in_use(curves: Mapping[str, Floats]) -> Figure:
    """MiB in use over the operations of a training step, a line for each way (chapter 6)."""
    figure, axis = plots.axes(height=3.4)
    for (name, curve), style in zip(curves.items(), ("-", "--"), strict=True):
        axis.plot(curve, style, label=f"{name}: {len(curve) - 1} operations")
    axis.set(xlabel="operation", ylabel="MiB in use", ylim=(0, None))
    axis.set_title("A training step of the wider network")
    axis.legend()
    return figure


def learning_curve(history: Sequence[Any]) -> Figure:
    """Accuracy by epoch: training and validation top-1, validation top-5 (chapter 7)."""
    number = np.arange(1, len(history) + 1)
    figure, axis = plots.axes(7.5, 3.8)
    for field, label, color, style in (
        ("train_top1", "training, top-1", plots.ORANGE, "--"),
        ("validation_top1", "validation, top-1", plots.BLUE, "-"),
        ("validation_top5", "validation, top-5", plots.GREEN, ":"),
    ):
        values = [100 * getattr(epoch, field) for epoch in history]
        axis.plot(number, values, style, color=color, marker=".", label=label)
    axis.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 102))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    axis.set_title("The network learns")
    return figure


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
