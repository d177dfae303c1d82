"""Figures about WordNet's hierarchy and what may be said with it (chapter 9)."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from imnetlib import wordnet
from imnetlib.course import plots
from imnetlib.course.plots import Drawing
from imnetlib.course.readings import Compared
from imnetlib.wordnet import Hierarchy, OperatingCurve, Reading

Floats = npt.NDArray[np.floating[Any]]
# Of a noun's name, which may have 48, where it stands beside bars.
LETTERS = 20
# On cells that have a place elsewhere, too.
HATCH = "///"
# How far left of the bars their names begin, in lengths of their axis: one panel of two, of three.
NAMES = {2: 1.4, 3: 3.2}
# Where an axis of bars may end.
ENDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
# Classes under a node that have a bar of their own, and the least probability of one.
PARTS = 5
LEAST = 0.005
# The least probability of a class that an icicle shows: the height of its name.
LEAST_SHOWN = 0.02


class _Line(NamedTuple):
    """A line of a tree with bars."""

    depth: int
    name: str
    share: float
    color: str


def reading(
    hierarchy: Hierarchy,
    probabilities: Floats,
    read: Reading,
    picture: plots.Pixels | None = None,
    title: str = "",
    *,
    listed: int,
) -> Figure:
    """Some of the likeliest classes, and a reading as a tree with bars; perhaps a picture first.

    Args:
        hierarchy: That of the classes.
        probabilities: Of one image, (N,).
        read: Their reading.
        picture: The image.
        title: What stands above it.
        listed: How many classes are shown.
    """
    lines = _tree_lines(hierarchy, probabilities, read)
    figure, panels = plots.axes(8.5, max(4, 0.36 * len(lines) + 0.8), columns=3 - (picture is None))
    if picture is not None:
        panels[0].imshow(picture)
        panels[0].set_axis_off()
        panels[0].set_title(title)
    raw, tree = panels[-2:]
    names = wordnet.class_names(hierarchy)
    first = np.argsort(-probabilities, kind="stable")[:listed].tolist()
    # By place: two classes of one name are two bars.
    labels = [textwrap.fill(names[column], LETTERS) for column in first]
    bars = raw.barh(range(len(first)), probabilities[first], tick_label=labels, color=plots.BLUE)
    raw.bar_label(bars, fmt="%.2f", padding=3, fontsize=plots.SMALL)
    raw.invert_yaxis()
    end = _end(probabilities[first].max())
    raw.set(xlabel="probability", title="The likeliest classes", xlim=(0, 1.2 * end))
    raw.set_xticks((0, end / 2, end), ("0", f"{end / 2:g}", f"{end:g}"))
    _draw_tree(tree, lines, NAMES[len(panels)])
    tree.set_title("Read with WordNet")
    return figure


def compared(hierarchy: Hierarchy, one: Compared, picture: plots.Pixels) -> Figure:
    """A picture under its label, its likeliest classes and its reading."""
    title = f"Label: {wordnet.class_names(hierarchy)[one.label]}"
    listed = len(one.listed.nodes)
    return reading(hierarchy, one.probabilities, one.reading, picture, title, listed=listed)


def _tree_lines(hierarchy: Hierarchy, probabilities: Floats, read: Reading) -> list[_Line]:
    """Each node of a reading, and under it the classes whose probabilities add up to its mass."""
    nodes = wordnet.unique_names(hierarchy)
    classes = wordnet.class_names(hierarchy)
    lines = []
    said = zip(read.nodes.tolist(), read.mass.tolist(), read.unspecified.tolist(), strict=True)
    for node, mass, unspecified in said:
        name = f"{nodes[node]}, unspecified" if unspecified else nodes[node]
        lines.append(_Line(0, name, mass, plots.ORANGE))
        under = hierarchy.members[[node]].indices
        if unspecified or len(under) == 1:
            continue
        under = under[np.argsort(-probabilities[under], kind="stable")]
        shown = [each for each in under[:PARTS].tolist() if probabilities[each] >= LEAST]
        parts = [_Line(1, classes[each], float(probabilities[each]), plots.BLUE) for each in shown]
        others = mass - sum(part.share for part in parts)
        if others >= LEAST:
            parts.append(_Line(1, f"{len(under) - len(shown):,} more", others, plots.BLUE))
        lines += parts
    return [*lines, _Line(0, "anything else", max(0.0, 1 - read.covered), plots.PALE)]


def _end(most: float) -> float:
    """Where an axis for bars of up to ``most`` ends."""
    return next((end for end in ENDS if most <= end), ENDS[-1])


def _draw_tree(axis: Any, lines: Sequence[_Line], names: float) -> None:
    end = _end(max(line.share for line in lines))
    for place, line in enumerate(lines):
        axis.barh(place, line.share, color=line.color, edgecolor=plots.BLACK, linewidth=0.5)
        # In two lines what would run into the bars.
        rows = textwrap.wrap(line.name, LETTERS)
        text = f"{'└ ' if line.depth else ''}" + "\n".join(rows)
        weight = "normal" if line.depth else "bold"
        left = ((0.1 * line.depth - names) * end, place)
        plots.note(axis, text, left, va="center", fontweight=weight, linespacing=1)
        plots.note(axis, f"{line.share:.2f}", (line.share, place), (4, 0), va="center")
    axis.set(xlim=(-names * end, 1.5 * end), yticks=())
    axis.set_xlabel("mass", loc="right")
    axis.set_xticks((0, end), ("0", f"{end:g}"))
    axis.spines["left"].set_visible(False)
    axis.invert_yaxis()


def _short(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1].rstrip()}…"


def icicle(hierarchy: Hierarchy, probabilities: Floats, read: Reading) -> Figure:
    """All probability from the root on the left to the likeliest classes on the right.

    A cell is as high as its mass, and the cells right of it fill it. Only nodes that tell these
    classes apart are there. A node with several parents is drawn under one of them, and hatched.
    """
    shown = np.flatnonzero(probabilities >= LEAST_SHOWN)
    shown = shown if len(shown) else np.array([np.argmax(probabilities)])
    own = probabilities[shown].astype(np.float64)
    small = wordnet.contract(
        wordnet.load([hierarchy.wnids[node] for node in hierarchy.classes[shown]])
    )
    cells = _Cells(small, own)
    names = wordnet.unique_names(hierarchy)
    number = {wnid: node for node, wnid in enumerate(hierarchy.wnids)}
    as_read = _drawn_as(hierarchy, small, shown, read)
    labels = [names[as_read.get(n, number[wnid])] for n, wnid in enumerate(small.wnids)]
    classes = np.array(wordnet.class_names(hierarchy))[shown]
    as_classes = dict(zip(small.classes.tolist(), classes.tolist(), strict=True))
    # Said of the class alone, "fir, unspecified".
    alone = {hierarchy.wnids[node] for node in read.nodes[read.unspecified].tolist()}
    figure, axis = plots.axes(8.5, 5.8)
    axis.barh(0.5, 1, 1, left=0, color=plots.PALE, edgecolor="white", linewidth=1.5)
    axis.text(0.5, 0.5, "everything", ha="center", va="center", fontsize=plots.SMALL)
    for cell in cells.all():
        whole = not cell.residual and cell.node in as_read
        named = whole or (cell.leaf and small.wnids[cell.node] in alone)
        _draw_cell(axis, cell, named=named, hatched=len(small.parents[[cell.node]].indices) > 1)
        label = as_classes[cell.node] if cell.leaf and not whole else labels[cell.node]
        # What is drawn elsewhere, under another parent, is missing here.
        mass = float(own[small.members[[cell.node]].indices].sum())
        # What fits on the right of a leaf: about 11 letters take the width of a cell.
        letters = int(11 * (cells.deepest + 1.9 - cell.depth))
        _write_in(axis, cell, label, cell.height if cell.residual else mass, letters)
    axis.set(xlim=(0, cells.deepest + 2.9), ylim=(1, 0), xticks=(), ylabel="probability")
    axis.set_title("One whole, divided: named (orange), other nodes (gray), other classes (blue)")
    axis.spines["bottom"].set_visible(False)
    _explain_rest(axis, 1 - cells.total)
    _explain_hatches(axis, small, labels)
    return figure


def _explain_rest(axis: Any, rest: float) -> None:
    if rest >= LEAST:
        axis.text(
            1.05, 1 - rest / 2, f"{rest:.2f} in other classes", va="center", fontsize=plots.SMALL
        )


def _draw_cell(axis: Any, cell: _Cell, *, named: bool, hatched: bool) -> None:
    color = plots.BLUE if cell.leaf else plots.PALE
    place = {"y": cell.start + cell.height / 2, "width": 1, "height": cell.height}
    place["left"] = cell.depth
    axis.barh(**place, color=plots.ORANGE if named else color, edgecolor="white", linewidth=1.5)
    if hatched and not cell.residual:
        # A hatch has the colour of its edge.
        axis.barh(**place, fill=False, edgecolor=plots.GRAY, linewidth=0, hatch=HATCH)


def _explain_hatches(axis: Any, small: Hierarchy, labels: Sequence[str]) -> None:
    """Say under the picture which nodes have a place under other parents, too."""
    marks = []
    for node, label in enumerate(labels):
        # It is drawn under the last.
        others = np.sort(small.parents[[node]].indices)[:-1].tolist()
        if others:
            marks.append(f"{label}: also under {', '.join(labels[each] for each in others)}")
    if marks:
        found = Patch(
            facecolor=plots.PALE, edgecolor=plots.GRAY, hatch=HATCH, label="; ".join(marks)
        )
        axis.legend(
            handles=[found], loc="upper center", bbox_to_anchor=(0.5, -0.01), fontsize=plots.SMALL
        )


def _drawn_as(
    hierarchy: Hierarchy, small: Hierarchy, shown: npt.NDArray[np.int64], read: Reading
) -> dict[int, int]:
    """Which node of a reading each node of a small hierarchy, over the columns shown, is."""
    columns = {tuple(small.members[[node]].indices): node for node in range(len(small))}
    found = {}
    for node in read.nodes[~read.unspecified].tolist():
        under = np.flatnonzero(np.isin(shown, hierarchy.members[[node]].indices))
        if tuple(under) in columns:
            found[columns[tuple(under)]] = node
    return found


class _Cell(NamedTuple):
    """A cell of an icicle: a node of a small hierarchy, or what its own class has (residual)."""

    node: int
    depth: int
    start: float
    height: float
    leaf: bool
    residual: bool


class _Cells:
    """Where each node of a hierarchy is drawn, under the last of its parents."""

    def __init__(self, hierarchy: Hierarchy, probabilities: Floats) -> None:
        self.own = np.zeros(len(hierarchy))
        self.own[hierarchy.classes] = probabilities
        self.children: list[list[int]] = [[] for _ in range(len(hierarchy))]
        self.height = self.own.copy()
        for node in range(len(hierarchy) - 1, 0, -1):
            parent = int(hierarchy.parents[[node]].indices.max())
            self.children[parent].append(node)
            self.height[parent] += self.height[node]
        self.total = float(self.height[0])
        self.deepest = 0

    def all(self) -> list[_Cell]:
        """The cells, each after the one that it divides."""
        return self._under(0, 1, 0.0)

    def _under(self, node: int, depth: int, start: float) -> list[_Cell]:
        self.deepest = max(self.deepest, depth)
        drawn = [each for each in self.children[node] if self.height[each] > 0]
        children = sorted(drawn, key=lambda each: -self.height[each])
        height = float(self.height[node])
        cells = [_Cell(node, depth, start, height, not children, residual=False)]
        if children and self.own[node] > 0:
            self.deepest = max(self.deepest, depth + 1)
            own = float(self.own[node])
            cells.append(_Cell(node, depth + 1, start, own, leaf=True, residual=True))
            start += own
        for child in children:
            cells += self._under(child, depth + 1, start)
            start += self.height[child]
        return cells


def _write_in(axis: Any, cell: _Cell, label: str, whole: float, letters: int) -> None:
    """The name of a cell, and its part of its whole mass: beside a leaf, inside another."""
    middle = cell.start + cell.height / 2
    share = f"{cell.height:.2f}"
    if f"{whole:.2f}" != share:
        share += f" of {whole:.2f}"
    if cell.leaf:
        text = f"{_short(label, letters - len(share))} {share}"
        axis.text(cell.depth + 1.04, middle, text, va="center", fontsize=plots.SMALL)
        return
    # A line of text takes about 0.033 of the height.
    lines = textwrap.wrap(f"{label} {share}", 13)[: int(cell.height / 0.033)]
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
    text = "\n".join(lines)
    if text:
        axis.text(
            cell.depth + 0.5, middle, text, va="center", ha="center", fontsize=plots.SMALL, bbox=box
        )


def operating_curve(
    curve: OperatingCurve, guess: tuple[float, float], thetas: Mapping[str, float]
) -> Drawing:
    """The share of wrong answers against what they tell, for each θ and the first guess."""
    wrong = 100 * (1 - curve.right)
    bits = curve.information
    figure, axis = plots.axes(7.5, 4)
    axis.plot(bits, wrong, color=plots.BLUE)
    end = np.argmax(bits)
    at_most = (bits[end], wrong[end])
    blue = plots.ink(plots.BLUE)
    plots.note(axis, "climbing, every θ", at_most, (-8, 0), ha="right", va="center", color=blue)
    share, most = guess
    guessed = 100 * (1 - share)
    axis.plot([0, most], [0, guessed], "--", color=plots.GRAY)
    halfway = (most / 2, guessed / 2)
    plots.note(axis, "guess or say nothing", halfway, (-8, 4), ha="right", color=plots.GRAY)
    axis.plot(most, guessed, "D", color=plots.BLACK)
    plots.note(axis, "always the first guess", (most, guessed), (-10, 4), ha="right")
    told = [f"always the first guess, {guessed:.1f} % at {most:.2f} bits"]
    told.append(f"climbing, every θ, up to {wrong[end]:.1f} % at {bits[end]:.2f}")
    marks = itertools.cycle("os^")
    for (name, theta), marker in zip(thetas.items(), marks, strict=False):
        at = int(np.searchsorted(curve.theta, theta))
        at = min(at, len(bits) - 1)
        axis.plot(bits[at], wrong[at], marker, color=plots.ORANGE, markersize=9)
        text = f"{name}: θ = {theta:.4g}"
        told.append(f"{name}, θ = {theta:.4g}, {wrong[at]:.1f} % at {bits[at]:.2f}")
        # Left of the curve where there is room.
        side = {"offset": (-10, 4), "ha": "right"} if bits[at] > most / 2 else {"offset": (10, 4)}
        plots.note(axis, text, (bits[at], wrong[at]), **side)
    axis.set(xlabel="mean information of the answers, bits", ylabel="answers that are wrong, %")
    axis.set(xlim=(0, None), ylim=(0, None), title="Being wrong against saying much")
    return Drawing(
        figure,
        "Wrong answers against the mean bits that answers tell, both from 0 on, a curve and a "
        f"straight line: {'; '.join(told)}.",
    )


def splits(errors: Mapping[str, Floats], promised: float, expected: tuple[float, float]) -> Figure:
    """How errors on the other pictures spread over random splits, for each kind of answer.

    ``expected``: the binomial interval for one split.
    """
    figure, axis = plots.axes(7.5, 0.9 + 0.75 * len(errors))
    axis.axvspan(
        100 * expected[0], 100 * expected[1], color=plots.PALE, label="binomial, 95 % of splits"
    )
    axis.axvline(100 * promised, color=plots.BLACK, linestyle="--", label="promised at most")
    for place, values in enumerate(errors.values()):
        low, mean, high = (
            100 * np.quantile(values, 0.025), 100 * values.mean(), 100 * np.quantile(values, 0.975)
        )  # fmt: skip
        axis.plot([low, high], [place, place], color=plots.BLUE)
        axis.plot(mean, place, "o", color=plots.BLUE)
    axis.plot([], [], "o-", color=plots.BLUE, label="mean, and 95 % of splits here")
    axis.set_yticks(range(len(errors)), list(errors))
    axis.set(xlabel="errors on the other half, %", ylim=(-0.6, len(errors) - 0.4))
    axis.invert_yaxis()
    axis.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3)
    return figure
