"""Figures about networks and the memory that their training takes (chapter 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from imnetlib.course import plots
from imnetlib.engines import PICTURES, Chain, Layer, Plan, Step, in_use, lifetimes, plan_offsets
from imnetlib.throughput import MIB

Shape = tuple[int, ...]
PARTS = (plots.BLUE, plots.ORANGE, plots.GREEN, plots.BROWN, plots.ROSE, plots.VIOLET)
# The colours of a bar and of the text on it.
RESULT = (plots.BLUE, "white")
GRADIENT = (plots.BROWN, "white")
# What a chain of results is, and its colour in a timeline.
KINDS = {
    "result": RESULT[0], "result, computed again": plots.GREEN, "gradient": GRADIENT[0],
}  # fmt: skip


def network(layers: Sequence[Layer], shapes: Mapping[str, Shape]) -> Figure:
    """A bar for each result that alone leads on in a network, high as its pictures (chapter 6)."""
    figure, axis = plots.axes(8.5, 2.9)
    axis.set_axis_off()
    stem = [name for name in ("conv1", "conv1_pool", "conv2", "conv2_pool") if name in shapes]
    blocks = [layer.name for layer in layers if layer.kind == "Concat"]
    names = [PICTURES, *stem, *blocks, "global_pool", "fc1"]
    before: Shape = ()
    for place, name in enumerate(names):
        shape = shapes[name]
        side = shape[1] if len(shape) > 1 else 1
        height = side**0.5
        axis.add_patch(Rectangle((place - 0.3, -height / 2), 0.6, height, color=plots.BLUE))
        label = "pictures" if name == PICTURES else name.replace("_", "\n")
        plots.note(axis, label, (place, height / 2), (0, 4), ha="center")
        told = f"{shape[0]:,}"
        if shape[1:] != before:
            told += "".join(f"\n{length} px" for length in shape[1:2])
        plots.note(axis, told, (place, -height / 2), (0, -4), ha="center", va="top")
        before = shape[1:]
    axis.set(xlim=(-0.6, len(names) - 0.4), ylim=(-10.5, 10))
    axis.set_title(
        "Height: the root of the side; below it the channels, and the side where it changes"
    )
    return figure


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
    axis.set_title("Where the parameters are")
    for number, (name, counts) in enumerate(by_layer.items()):
        *_, last = counts.values()
        place = (last / 1e6, len(counts) - 1.2 + 0.4 * number)
        color = plots.ink(plots.COLORS[number])
        plots.note(axis, name, place, (5, 0), va="center", color=color)
    return figure


def step_memory(parts: Mapping[str, Mapping[str, float]], batch: int, card: float) -> Figure:
    """MiB of a training step: for each part what each network takes, and the card (chapter 6)."""
    names = list(next(iter(parts.values())))
    figure, axis = plots.axes(8, 2.5)
    left = np.zeros(len(names))
    for (part, mebibytes), color in zip(parts.items(), PARTS, strict=True):
        values = np.array([mebibytes[name] for name in names])
        axis.barh(names, values, left=left, color=color, label=part)
        left += values
    axis.set(xlabel=f"MiB, for a batch of {batch}", ylim=(len(names) - 0.5, -0.8))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.axvline(card, color=plots.BLACK, linestyle="--")
    plots.note(axis, f"the card: {card:,.0f} MiB", (card, -0.5), (-6, 4), ha="right")
    axis.legend(
        ncols=len(parts), loc="lower center", bbox_to_anchor=(0.42, 1.0), columnspacing=1.2,
        handlelength=1, handletextpad=0.5,
    )  # fmt: skip
    return figure


def buffers(steps: Sequence[Step], made: Mapping[str, Plan]) -> Figure:
    """Which buffer holds which result at which of ``steps``, in each of four plans (chapter 6)."""
    spans = lifetimes(steps)
    figure, panels = plots.axes(8.5, 6.4, 2, 2)
    for axis, (name, plan) in zip(panels.ravel(), made.items(), strict=True):
        for result, (start, end) in spans.items():
            color, ink = GRADIENT if str(result).startswith("∂") else RESULT
            place = plan.buffer_of[result]
            axis.barh(place, end - start + 1, left=start, color=color, edgecolor="w")
            middle = {"va": "center", "fontsize": plots.SMALL, "color": ink}
            axis.text(start + 0.15, place, str(result), **middle)
        axis.set(title=f"{name}: {len(plan.buffers)} buffers", ylim=(-0.7, len(spans) - 0.3))
        axis.set_xticks(np.arange(len(steps)) + 0.5, [s.name for s in steps], rotation=90)
        axis.set(ylabel="buffer", yticks=range(0, len(spans), 3))
    return figure


def plans(made: Mapping[str, Mapping[str, float]], batch: int) -> Figure:
    """Planned MiB of each network with each saving, in percent of the first (chapter 6)."""
    figure, panels = plots.axes(8, 2.4, columns=len(made))
    most = max(max(sizes.values()) for sizes in made.values())
    for axis, (name, sizes) in zip(panels, made.items(), strict=True):
        first = next(iter(sizes.values()))
        bars = axis.barh(list(sizes), list(sizes.values()), 0.7, color=plots.BLUE)
        labels = [f"{size:,.0f}: {size / first:.0%}" for size in sizes.values()]
        axis.bar_label(bars, labels, padding=4, fontsize=plots.SMALL)
        axis.set(title=name, xlabel=f"MiB for results, batch {batch}", xlim=(0, 1.4 * most))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.invert_yaxis()
    return figure


def timeline(ways: Mapping[str, Sequence[Step]]) -> Figure:
    """Memory over the operations of training steps, the plan by offsets below it (chapter 6)."""
    figure, panels = plots.axes(8.5, 6.2, 2, len(ways))
    highest = max(plan_offsets(steps).size for steps in ways.values()) / MIB
    for (above, below), (way, steps) in zip(panels.T, ways.items(), strict=True):
        used = in_use(steps) / MIB
        above.fill_between(range(len(used)), used, step="post", color=plots.PALE)
        above.step(range(len(used)), used, where="post", color=plots.BLUE, linewidth=1)
        above.axhline(used.max(), color=plots.BLACK, linestyle=":")
        plots.note(above, f"{used.max():,.0f} MiB at most", (0, used.max()), (4, 3))
        layout = plan_offsets(steps)
        for kind, color in KINDS.items():
            boxes = [_corners(chain, at) for chain, at in layout.places if _kind(chain) == kind]
            below.add_collection(PolyCollection(boxes, facecolor=color, edgecolor="w", lw=0.1))
        above.set(title=way, ylabel="MiB in use", xlim=(0, len(steps)), ylim=(0, 1.12 * highest))
        below.set(ylabel="MiB from the start of the block", ylim=(0, 1.12 * highest))
        below.set(xlabel="operation", xlim=(0, len(steps)))
        for axis in (above, below):
            axis.yaxis.set_major_formatter("{x:,.0f}")
    handles = [Patch(color=color, label=kind) for kind, color in KINDS.items()]
    figure.legend(handles=handles, ncols=3, loc="outside lower center")
    return figure


def _corners(chain: Chain, at: int) -> list[tuple[float, float]]:
    bottom = at / MIB
    top = (at + chain.size) / MIB
    end = chain.last + 1
    return [(chain.first, bottom), (end, bottom), (end, top), (chain.first, top)]


def _kind(chain: Chain) -> str:
    name = str(chain.results[0])
    if name.startswith("∂"):
        return "gradient"
    return "result, computed again" if "'" in name else "result"


def by_batch(
    batches: Sequence[int], lines: Mapping[str, Mapping[str, Sequence[float]]], room: float
) -> Figure:
    """GiB of results against the batch, some plans for each network, and the card (chapter 6)."""
    figure, panels = plots.axes(8.5, 4, columns=len(lines))
    styles = ("-", "-.", ":", "--")
    colors = (plots.ORANGE, plots.BLUE, plots.BLACK, plots.GREEN)
    for axis, (name, plans_of) in zip(panels, lines.items(), strict=True):
        for (way, sizes), style, color in zip(plans_of.items(), styles, colors, strict=True):
            axis.plot(batches, np.array(sizes) / 1024, style, color=color, label=way)
        axis.axhline(room / 1024, color=plots.GRAY, lw=1, label="the card")
        axis.set(title=name, xlabel="images in a batch", xlim=(0, max(batches)), ylim=(0, None))
    panels[0].set(ylabel="GiB for results")
    panels[0].sharey(panels[-1])
    plots.label_lines(panels[-1])
    return figure


def frontier(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    points: Mapping[str, Mapping[str, tuple[float, float]]],
) -> Figure:
    """MiB against percent of time more: the best choices, and others as points (chapter 6)."""
    figure, panels = plots.axes(8.5, 4, columns=len(curves))
    for axis, (name, curve) in zip(panels, curves.items(), strict=True):
        percent, mebibytes = zip(*sorted(curve), strict=True)
        axis.step(percent, mebibytes, where="post", color=plots.GREEN, label="best choices")
        axis.plot(percent, mebibytes, ".", color=plots.GREEN)
        for (way, place), color, marker in zip(
            points[name].items(), (plots.ORANGE, plots.BROWN, plots.BLUE), "o^s", strict=True
        ):
            axis.plot(*place, marker, color=color, label=way)
        axis.set(title=name, xlabel="time more, % of a step, as counted")
        axis.set(xlim=(-1, None), ylim=(0, None))
        axis.yaxis.set_major_formatter("{x:,.0f}")
    panels[0].set(ylabel="MiB in use at most")
    plots.label_lines(panels[-1])
    return figure
