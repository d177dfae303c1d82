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
PARTS = (plots.BLUE, plots.SKY, plots.GREEN, plots.PURPLE, plots.YELLOW, plots.ORANGE)
SAVINGS = (plots.ORANGE, plots.YELLOW, plots.SKY, plots.BLUE)
# What a chain of results is, and its colour in a timeline.
KINDS = {
    "result": plots.SKY, "result, computed again": plots.GREEN, "gradient": plots.ORANGE,
}  # fmt: skip


def network(layers: Sequence[Layer], shapes: Mapping[str, Shape]) -> Figure:
    """A bar for each result that alone leads on in a network, high as its pictures (chapter 6)."""
    figure, axis = plots.axes(10, 2.8)
    stem = [name for name in ("conv1", "conv1_pool", "conv2", "conv2_pool") if name in shapes]
    blocks = [layer.name for layer in layers if layer.kind == "Concat"]
    names = [PICTURES, *stem, *blocks, "global_pool", "fc1"]
    for place, name in enumerate(names):
        shape = shapes[name]
        side = shape[1] if len(shape) > 1 else 1
        height = side**0.5
        axis.add_patch(Rectangle((place - 0.3, -height / 2), 0.6, height, color=plots.SKY))
        label = "pictures" if name == PICTURES else name.replace("_", "\n")
        axis.text(place, height / 2 + 0.4, label, ha="center", fontsize=8)
        axis.text(place, -height / 2 - 0.4, _told(shape), ha="center", va="top", fontsize=7)
    axis.set(xlim=(-0.6, len(names) - 0.4), ylim=(-10, 11))
    axis.set_title("From the pictures to the classes: height is the side, below it the shape")
    axis.set_axis_off()
    return figure


def _told(shape: Shape) -> str:
    return f"{shape[0]:,}" + ("" if len(shape) == 1 else f"\n{shape[1]}×{shape[2]}")


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
    axis.legend(ncols=4, fontsize=8, loc="lower center", bbox_to_anchor=(0.4, 1.0))
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
    for number, (saving, color) in enumerate(zip(savings, SAVINGS, strict=True)):
        values = [sizes[saving] for sizes in made.values()]
        labels = [f"{sizes[saving] / sizes[savings[0]]:.0%}" for sizes in made.values()]
        places = np.arange(len(made)) + 0.2 * number - 0.3
        bars = axis.bar(places, values, 0.19, color=color, label=saving)
        axis.bar_label(bars, labels, fontsize=9)
    axis.set_xticks(range(len(made)), list(made))
    axis.set(ylabel=f"MiB for results, batch {batch}")
    axis.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


def timeline(ways: Mapping[str, Sequence[Step]]) -> Figure:
    """Memory over the operations of training steps, the plan by offsets below it (chapter 6)."""
    figure, panels = plots.axes(10, 6.4, 2, len(ways))
    highest = max(plan_offsets(steps).size for steps in ways.values()) / MIB
    for (above, below), (way, steps) in zip(panels.T, ways.items(), strict=True):
        used = in_use(steps) / MIB
        above.fill_between(range(len(used)), used, step="post", color=plots.GRAY, alpha=0.4)
        above.axhline(used.max(), color=plots.BLACK, linestyle=":")
        above.text(0, used.max(), f"{used.max():,.0f} MiB", va="bottom")
        layout = plan_offsets(steps)
        for kind, color in KINDS.items():
            boxes = [_corners(chain, at) for chain, at in layout.places if _kind(chain) == kind]
            below.add_collection(PolyCollection(boxes, facecolor=color, edgecolor="w", lw=0.1))
        above.set(title=way, ylabel="MiB in use", xlim=(0, len(steps)), ylim=(0, 1.12 * highest))
        below.set(ylabel="MiB from the start of the block", ylim=(0, 1.12 * highest))
        below.set(xlabel="operation", xlim=(0, len(steps)))
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
    figure, panels = plots.axes(10, 4.2, columns=len(lines))
    styles = ("-", "-.", ":", "--")
    colors = (plots.ORANGE, plots.BLUE, plots.BLACK, plots.GREEN)
    for axis, (name, plans_of) in zip(panels, lines.items(), strict=True):
        for (way, sizes), style, color in zip(plans_of.items(), styles, colors, strict=True):
            axis.plot(batches, np.array(sizes) / 1024, style, color=color, label=way)
        axis.axhline(room / 1024, color=plots.GRAY, lw=1)
        axis.text(1, room / 1024, "the card", va="bottom", color=plots.GRAY)
        axis.set(title=name, xlabel="images in a batch", ylabel="GiB for results")
        axis.set(xlim=(0, max(batches)), ylim=(0, None))
    panels[0].sharey(panels[-1])
    panels[0].legend(loc="upper left", bbox_to_anchor=(0, 0.9), fontsize=9)
    return figure


def frontier(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    points: Mapping[str, Mapping[str, tuple[float, float]]],
) -> Figure:
    """MiB against percent of time more: the best choices, and others as points (chapter 6)."""
    figure, panels = plots.axes(10, 4, columns=len(curves))
    for axis, (name, curve) in zip(panels, curves.items(), strict=True):
        percent, mebibytes = zip(*sorted(curve), strict=True)
        axis.step(percent, mebibytes, where="post", color=plots.GREEN, label="best choice")
        axis.plot(percent, mebibytes, ".", color=plots.GREEN)
        for (way, place), color, marker in zip(
            points[name].items(), (plots.ORANGE, plots.RED, plots.BLUE), "o^s", strict=True
        ):
            axis.plot(*place, marker, color=color, label=way)
        axis.set(
            title=name, xlabel="time more, % of a step, as counted", ylabel="MiB in use at most"
        )
        axis.set(xlim=(-1, None), ylim=(0, None))
    panels[0].legend(fontsize=9)
    return figure
