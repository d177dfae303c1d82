"""Figures about training: crops, rates, curves (chapters 7 and 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from imnetlib.course import plots
from imnetlib.course.plots import Drawing, Pixels
from imnetlib.engines import Recipe

STYLES = ("-", "--", "-.", ":")
# The marks of what others measured, and of what we did.
BY: tuple[dict[str, Any], ...] = (
    {"color": plots.BLUE, "marker": "o", "markersize": 9, "label": "published"},
    {"color": plots.ORANGE, "marker": "D", "markersize": 8, "label": "measured by us"},
)
# What a log says of an epoch.
ACCURACIES = {
    "train_top1": "training top-1", "validation_top1": "validation top-1",
    "validation_top5": "validation top-5",
}  # fmt: skip
# More of them than a figure has pixels.
_MOST_STEPS = 2_000


def crops(
    photo: Pixels, boxes: Sequence[tuple[int, int, int, int]], cropped: Sequence[Pixels]
) -> Figure:
    """``boxes`` (top, left, height, width) on a photo, and what becomes of each (chapter 7)."""
    figure = Figure(figsize=(8, 5.4))
    grid = figure.add_gridspec(2, len(boxes), height_ratios=(2.4, 1))
    whole = figure.add_subplot(grid[0, :])
    whole.imshow(photo)
    whole.set_axis_off()
    lines = [color for color in plots.COLORS if color != plots.BLACK]
    for number, (box, pixels) in enumerate(zip(boxes, cropped, strict=True)):
        top, left, height, width = box
        color = lines[number % len(lines)]
        frame = Rectangle((left, top), width, height, fill=False, linewidth=2.5, edgecolor=color)
        whole.add_patch(frame)
        label = {"facecolor": "white", "edgecolor": color, "pad": 2}
        whole.text(left + 5, top + 5, str(number + 1), va="top", fontsize=plots.SMALL, bbox=label)
        below = figure.add_subplot(grid[1, number])
        below.imshow(pixels)
        below.set(xticks=[], yticks=[])
        below.set_title(str(number + 1), fontsize=plots.SMALL, loc="center")
        for spine in below.spines.values():
            spine.set(visible=True, edgecolor=color, linewidth=2.5)
    return figure


def rates(recipes: Mapping[str, Recipe]) -> Drawing:
    """The learning rate over the epochs of each recipe (chapter 7)."""
    figure, axis = plots.axes(7.5, 3.2)
    for (name, recipe), style, color in zip(recipes.items(), STYLES, plots.COLORS, strict=False):
        progress = np.linspace(0, 1, 601)
        values = [recipe.rate(share) for share in progress]
        axis.plot(progress * recipe.epochs, values, style, color=color)
        # Where the lines lie apart: all begin and end together.
        place = (progress[216] * recipe.epochs, values[216])
        plots.note(axis, name, place, (5, 5), color=plots.ink(color))
    axis.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axis.set_title("The rate over a training")
    told = [f"{name}, {_rate_in_words(recipe)}" for name, recipe in recipes.items()]
    return Drawing(figure, f"The learning rate over a training: {'; '.join(told)}.")


def _rate_in_words(recipe: Recipe) -> str:
    highest = max(recipe.rate(share) for share in np.linspace(0, 1, 601))
    return (
        f"{recipe.rate(0):.3g} at its start, at most {highest:.3g}, {recipe.rate(0.5):.3g} halfway "
        f"and {recipe.rate(1):.3g} after {recipe.epochs:,} epochs"
    )


def learning_curve(log: Sequence[Mapping[str, float]]) -> Drawing:
    """Loss by step and accuracy by epoch, out of a training's log (chapter 7)."""
    figure, (left, right) = plots.axes(8.5, 3.6, columns=2)
    steps = [line for line in log if "step" in line]
    epochs = [line for line in log if "step" not in line]
    longest = max((line["step"] for line in steps), default=1)
    shown = steps[:: -(-len(steps) // _MOST_STEPS) or 1]
    places = [line["epoch"] - 1 + line["step"] / longest for line in shown]
    left.plot(places, [line["loss"] for line in shown], ".", markersize=2, color=plots.VIOLET)
    numbers = [line["epoch"] for line in epochs]
    middles = [number - 0.5 for number in numbers]
    means = [line["loss"] for line in epochs]
    left.plot(middles, means, color=plots.BLUE)
    left.set(xlabel="epoch", ylabel="loss of a batch", ylim=(0, None))
    for (field, name), color, style in zip(
        ACCURACIES.items(), (plots.ORANGE, plots.BLUE, plots.GREEN), ("--", "-", ":"), strict=True
    ):
        label = name.replace(" ", ",\n")
        values = [100 * line[field] for line in epochs]
        right.plot(numbers, values, style, color=color, marker=".", label=label)
    right.set(xlabel="epoch", ylabel="accuracy, %", ylim=(0, 102))
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    left.set_title("The loss falls")
    right.set_title("The network learns")
    plots.label_lines(right)
    for place in zip(middles[:1], means[:1], strict=True):
        plots.note(left, "mean of an epoch", place, (12, 6), color=plots.BLUE)
    return Drawing(figure, _curve_in_words(steps, epochs))


def _curve_in_words(
    steps: Sequence[Mapping[str, float]], epochs: Sequence[Mapping[str, float]]
) -> str:
    if not epochs:
        return f"Two panels. Left the loss of {len(steps):,} batches: no epoch is finished yet."
    first = epochs[0]
    last = epochs[-1]
    told = [f"{name} {first[f]:.1%} and {last[f]:.1%}" for f, name in ACCURACIES.items()]
    return (
        f"Two panels over {last['epoch']:,} epochs. Left the loss of each batch; its mean is "
        f"{first['loss']:.2f} in the first epoch and {last['loss']:.2f} in the last. Right the "
        f"accuracy in these two: {', '.join(told)}."
    )


def losses(curves: Mapping[str, Sequence[float]], title: str) -> Drawing:
    """The loss by step of several trainings, drawn over each other (chapter 10)."""
    figure, axis = plots.axes(7.5, 3.4)
    widths = (5, 2.5, 1.2)
    colors = (plots.VIOLET, plots.ORANGE, plots.BLACK)
    for (name, values), style, width, color in zip(
        curves.items(), STYLES, widths, colors, strict=False
    ):
        numbers = range(1, len(values) + 1)
        axis.plot(numbers, values, style, linewidth=width, color=color, label=name)
    axis.set(xlabel="step", ylabel="loss of the batch", ylim=(0, None))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Lines that lie on each other can't be labelled at their ends.
    axis.legend(loc="upper right", handlelength=4)
    axis.set_title(title)
    told = [f"{name} from {values[0]:.2f} to {values[-1]:.2f}" for name, values in curves.items()]
    alt = f"{title}: the loss of the batch over the steps, {', '.join(told)}."
    if len(curves) > 1:
        apart = np.ptp(list(curves.values()), axis=0)
        most = int(np.argmax(apart))
        alt += f" The lines are {apart[0]:.0e} apart at step 1, at most {apart[most]:.0e}"
        alt += f", at step {most + 1:,}."
    return Drawing(figure, alt)


def hours(jobs: Mapping[str, Sequence[tuple[str, float, bool]]]) -> Figure:
    """Hours by machine for each job, ours and published: (machine, hours, is ours) (chapter 10)."""
    figure, axis = plots.axes(8.5, 1.2 + 0.32 * sum(len(rows) + 1 for rows in jobs.values()))
    names = []
    for job, rows in jobs.items():
        names += [job, *(machine for machine, _, _ in rows)]
        for place, (_, hour, is_ours) in enumerate(rows, len(names) - len(rows)):
            axis.axhline(place, color=plots.GRAY, linestyle=":", linewidth=0.6)
            axis.plot(hour, place, linestyle="none", **BY[is_ours])
            plots.note(axis, f"{hour:,.3g} h", (hour, place), (9, 0), va="center")
    axis.set_yticks(range(len(names)), names)
    for label, name in zip(axis.get_yticklabels(), names, strict=True):
        if name in jobs:
            label.set_fontweight("bold")
    axis.set(xscale="log", xlabel="hours", ylim=(len(names) - 0.4, -0.6))
    least, most = axis.get_xlim()
    axis.set_xlim(least / 2, most * 4)
    plots.plain_numbers(axis)
    axis.tick_params(axis="y", length=0)
    by = [Line2D([], [], linestyle="none", **marks) for marks in BY]
    axis.legend(handles=by, loc="lower center", ncols=2, bbox_to_anchor=(0.4, 1.0))
    return figure
