"""Figures about networks, their memory and their predictions (chapters 6 to 9)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imnetlib import wordnet
from imnetlib.course import plots
from imnetlib.engines import Plan, Step, lifetimes
from imnetlib.evaluate import wilson
from imnetlib.wordnet import Hierarchy

Floats = npt.NDArray[np.floating[Any]]
# Of a noun's name, which may have 48, in the panels of a reading.
LETTERS = 20
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
        axis.plot((1, 5, 20), percent, marker, color=color, label=f"note, {outputs:,} outputs")
    guessed = 100 * ks / classes
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


def calibration(bins: Floats) -> Figure:
    """Share that is right against mean confidence, from ``evaluate.calibration`` (chapter 8)."""
    count, confidence, right = bins.T
    limits = [wilson(round(r * c), int(c)) for r, c in zip(right, count, strict=True)]
    bars = np.abs(np.array(limits).T - right)
    figure, axis = plots.axes(7.5, 4.5)
    axis.plot([0, 1], [0, 1], "--", color=plots.GRAY, label="calibrated")
    axis.errorbar(confidence, right, bars, fmt="o", capsize=3, label="measured, 95 % interval")
    for x, number in zip(confidence, count, strict=True):
        axis.text(x, -0.1, f"{number:,.0f}", ha="center", fontsize=8)
    axis.set(xlabel="mean confidence", ylabel="share that is right", ylim=(-0.13, 1.05))
    axis.set_title("Confidence against accuracy; below, the images per bin")
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def reading(
    picture: plots.Pixels, truth: str, hierarchy: Hierarchy, probabilities: Floats, nodes: list[int]
) -> Figure:
    """A picture, its five likeliest classes, and its reading: ``nodes`` as a tree (chapter 9)."""
    five = np.argsort(-probabilities, kind="stable")[:5]
    wnids = [hierarchy.wnids[node] for node in hierarchy.classes[five]]
    names = [textwrap.fill(wordnet.name(wnid), LETTERS) for wnid in wnids]
    figure, (left, middle, right) = plots.axes(12, 4.4, columns=3)
    left.imshow(picture)
    left.set_axis_off()
    left.set_title(f"Truth: {truth}")
    # By place: two classes of one name are two bars.
    middle.barh(range(len(five)), probabilities[five], tick_label=names, color=plots.BLUE)
    middle.invert_yaxis()
    middle.set(xlabel="probability", title="The raw top five")
    _draw_tree(right, hierarchy, probabilities, nodes)
    right.set_title(f"Read with WordNet: {len(nodes)} nodes")
    return figure


def _draw_tree(axis: Any, hierarchy: Hierarchy, probabilities: Floats, nodes: list[int]) -> None:
    """The root, ``nodes`` in orange, and under each its three likeliest classes, masses as bars."""
    mass = hierarchy.mass(probabilities)
    lines = [(0, 0)]
    for node in sorted(nodes, key=lambda node: -mass[node]):
        under = hierarchy.members[[node]].indices
        likeliest = hierarchy.classes[under[np.argsort(-probabilities[under], kind="stable")]]
        others = [each for each in likeliest.tolist() if each != node]
        lines += [(1, node), *((2, each) for each in others[:3])]
    for line, (depth, node) in enumerate(lines):
        color = plots.ORANGE if depth == 1 else plots.SKY
        axis.barh(line, mass[node], color=color, edgecolor=plots.BLACK, linewidth=0.5)
        name = wordnet.name(hierarchy.wnids[node])
        # A longer name would run into the bars.
        shown = name if len(name) <= LETTERS else f"{name[: LETTERS - 1].rstrip()}…"
        axis.text(0.12 * depth - 1.8, line, f"└ {shown}", va="center")
        axis.text(mass[node] + 0.03, line, f"{mass[node]:.2f}", va="center")
    axis.set(xlim=(-1.8, 1.15), xticks=(0, 0.5, 1), yticks=(), xlabel="mass")
    axis.spines["left"].set_visible(False)
    axis.invert_yaxis()


def relations(counted: Mapping[str, Mapping[str, float]]) -> Figure:
    """How errors divide among ``wordnet.RELATIONS``, a bar for each way to count (chapter 9)."""
    names = list(counted)
    figure, axis = plots.axes(8, 2.6)
    left = np.zeros(len(names))
    colors = (plots.BLUE, plots.SKY, plots.ORANGE, "#dddddd")
    for kind, color in zip(wordnet.RELATIONS[1:], colors, strict=True):
        percent = np.array([100 * shares[kind] for shares in counted.values()])
        axis.barh(names, percent, left=left, color=color, edgecolor="white", label=kind)
        left += percent
    axis.invert_yaxis()
    axis.set(xlabel="share of the errors, %", xlim=(0, 100))
    axis.set_title("What the wrong answer is to the truth")
    axis.legend(loc="upper center", bbox_to_anchor=(0.4, -0.22), ncols=4)
    return figure


def accuracy_against_bits(
    thetas: Floats, right: Floats, bits: Floats, guess: tuple[float, float]
) -> Figure:
    """Share of right answers against their bits, for each θ and the ``guess`` (chapter 9)."""
    figure, axis = plots.axes(7, 4)
    axis.plot(bits, 100 * right, color=plots.BLUE, label="climbing, θ from 0.05 to 1")
    guessed, most = 100 * guess[0], guess[1]
    axis.plot([0, most], [100, guessed], "--", color=plots.GRAY, label="guess or say nothing")
    axis.plot(most, guessed, "D", color=plots.BLACK, label="always the first guess")
    for theta in (0.3, 0.5, 0.8, 0.95):
        at = int(np.argmin(abs(thetas - theta)))
        axis.plot(bits[at], 100 * right[at], "o", color=plots.BLUE)
        axis.text(bits[at], 100 * right[at], f"θ = {theta} ", ha="right", va="top")
    axis.set(xlabel="mean information of the answers, bits", ylabel="answers that are right, %")
    axis.set_title("Being right against saying much")
    axis.legend()
    return figure
