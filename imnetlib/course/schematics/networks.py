"""Schematics of networks: a training step, a block, a graph of nouns (chapters 6, 7 and 9)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from imnetlib import wordnet
from imnetlib.course import plots
from imnetlib.course.plots import Drawing
from imnetlib.course.schematics.sketch import EDGE, SMALL, WIDTH, Box, Sketch
from imnetlib.engines import Layer
from imnetlib.wordnet import Hierarchy

Floats = npt.NDArray[np.floating[Any]]
Shape = tuple[int, ...]
# Inches: of a branch of a block, and between its boxes.
ROW = 0.66
GAP = 0.36


def training_step(images: int, weights: int) -> Drawing:
    """A step with a batch of so many images, an even number, on two devices (chapter 7).

    ``weights``: how many numbers the network has, and so the gradient.
    """
    sketch = Sketch(3.5, "A step on two devices: only gradients travel between them")
    batch = sketch.box(Box(EDGE, 1.72, 1.1, 0.5), f"a batch of\n{images} images", plots.BLUE)
    total = sketch.box(Box(4.95, 1.72, 1.2, 0.5), "add up the\ngradients", plots.ORANGE)
    texts = (f"forward\n{images // 2} images", "backward", f"update\n{weights} weights")
    # Of the boxes between the devices, device 0 is on the upper side and device 1 on the lower.
    for device, top in enumerate((0.42, 2.32)):
        text = f"device {device}: the whole network, with the same weights"
        frame = sketch.frame(Box(1.45, top, WIDTH - 1.45 - EDGE, 1.1), text)
        line = frame.top + 0.68
        forward, backward, update = (
            sketch.box(Box(left, line - 0.25, 1.1, 0.5), text)
            for left, text in zip((1.6, 3.0, 6.67), texts, strict=True)
        )
        given = batch.at(0.5, device)
        into = total.at(0.25, device)
        out = total.at(0.75, device)
        sketch.arrow(given, (given[0], line), forward.at(0, 0.5))
        sketch.arrow(forward.at(1, 0.5), backward.at(0, 0.5))
        sketch.arrow(backward.at(1, 0.5), (into[0], line), into)
        sketch.arrow(out, (out[0], line), update.at(0, 0.5))
        above = line - 0.13
        sketch.words(((backward.right + into[0]) / 2, above), f"{weights} numbers", size=SMALL)
        sketch.words(((out[0] + update.left) / 2, above), "their sum", size=SMALL)
    alt = (
        f"A batch of {images} images goes to two devices, half to each. Each holds the whole "
        f"network and goes forward and backward. The gradients, {weights} numbers from each, are "
        f"added up between the devices. Both get the sum, and update their {weights} weights."
    )
    return Drawing(sketch.figure, alt)


def inception_block(layers: Sequence[Layer], shapes: Mapping[str, Shape], block: str) -> Drawing:
    """The branches of a ``block`` of a network, from left to right, with their shapes (chapter 6).

    ``layers`` and ``shapes`` are those of the network.
    """
    by_name = {layer.name: layer for layer in layers}
    branches = [_branch(by_name, end, block) for end in by_name[block].inputs]
    (source,) = {by_name[branch[0]].inputs[0] for branch in branches}
    title = f"Block {block}: {len(branches)} branches read the same pictures and are stacked"
    sketch = Sketch(0.96 + ROW * len(branches), title)
    first = Box(EDGE, 0.64, 0.55, ROW * len(branches))
    last = Box(WIDTH - EDGE - 0.55, first.top, first.width, first.height)
    sketch.cells(first, [str(shapes[source][0])], [plots.BLUE])
    for name, side, across in ((source, "left", first.left), (block, "right", last.right)):
        sketch.words((across, 0.5), f"{name}: {_told(shapes[name])}", side)
    columns = max(map(len, branches))
    width = (last.left - first.right - GAP) / columns - GAP
    for row, branch in enumerate(branches):
        line = first.top + (row + 0.5) * ROW
        before = (first.right, line)
        for column, name in enumerate(branch):
            left = first.right + GAP + column * (width + GAP)
            box = Box(left, line - 0.25, width, 0.5)
            _draw_layer(sketch, box, by_name[name], shapes[name])
            sketch.arrow(before, box.at(0, 0.5))
            before = box.at(1, 0.5)
        sketch.arrow(before, (last.left, line))
        part = Box(last.left, line - ROW / 2, last.width, ROW)
        sketch.cells(part, [str(shapes[branch[-1]][0])], [plots.BLUE])
    note = "Shapes are channels×height×width. BatchNorm and ReLU follow each layer of filters."
    sketch.words((EDGE, last.bottom + 0.18), note, "left", SMALL)
    ways = "; ".join(", then ".join(_what(by_name[name]) for name in branch) for branch in branches)
    alt = f"{title}. From {_told(shapes[source])} to {_told(shapes[block])} lead {ways}."
    return Drawing(sketch.figure, alt)


def _draw_layer(sketch: Sketch, box: Box, layer: Layer, shape: Shape) -> None:
    fill = plots.ORANGE if layer.kind == "Pooling" else ""
    sketch.box(box, f"{_what(layer)}\n{_told(shape)}", fill)


def _what(layer: Layer) -> str:
    side = _told(layer.options["kernel"])
    stride = layer.options["stride"][0]
    what = f"{layer.options['pool_type']} pool" if layer.kind == "Pooling" else "filters"
    return f"{side} {what}" + (f", stride {stride}" if stride > 1 else "")


def _branch(by_name: Mapping[str, Layer], end: str, block: str) -> list[str]:
    """The convolutions and pools of a block that lead to ``end``, the first one first."""
    found = []
    while end.startswith(f"{block}_"):
        if by_name[end].kind in ("Convolution", "Pooling"):
            found.append(end)
        end = by_name[end].inputs[0]
    return found[::-1]


def _told(shape: Shape) -> str:
    return "×".join(map(str, shape))


def shared_descendant(hierarchy: Hierarchy, node: int, sums: Mapping[str, Floats]) -> Drawing:
    """A node with several parents up to where their ways meet, once for each sum (chapter 9).

    ``sums`` have a value for each node of the hierarchy. Nodes on which they differ are orange.
    """
    names = wordnet.unique_names(hierarchy)
    parents = hierarchy.parents[[node]].indices.tolist()
    meet = hierarchy.lowest_common_ancestor(parents)
    others = [parent for parent in parents if parent != meet]
    between = {parent: _between(hierarchy, parent, meet) for parent in parents}
    places = {meet: (0.5, 0.2), node: (0.5, 0.91)}
    for number, parent in enumerate(others):
        places[parent] = ((number + 0.5) / max(2, len(others)), 0.62)
    ways = f"From {names[node]} up to {names[meet]} there are {len(parents)} ways"
    sketch = Sketch(3.85, ways)
    told = []
    width = WIDTH / len(sums)
    for number, (title, values) in enumerate(sums.items()):
        panel = Box(number * width, 0.42, width, 3.35)
        sketch.words(panel.at(0.5, 0.04), title)
        boxes = {}
        for each, place in places.items():
            across, down = panel.at(*place)
            text = f"{textwrap.fill(names[each], 17)}\n{values[each]:.2f}"
            differ = len({f"{one[each]:.2f}" for one in sums.values()}) > 1
            fill = plots.ORANGE if differ else plots.BLUE
            boxes[each] = sketch.box(Box(across - 0.63, down - 0.33, 1.26, 0.66), text, fill, SMALL)
        for parent in parents:
            _draw_way(sketch, boxes[node], boxes[parent], boxes[meet], between[parent])
        shares = ", ".join(f"{names[each]} {values[each]:.2f}" for each in places)
        told.append(f"{title} ({shares})")
    past = {parent: f" and {more} more" if more else "" for parent, more in between.items()}
    over = ", and ".join(f"over {names[parent]}{past[parent]}" for parent in others)
    return Drawing(sketch.figure, f"{ways}, {over}; {'; '.join(told)}.")


def _draw_way(sketch: Sketch, lower: Box, parent: Box, upper: Box, more: int) -> None:
    """Arrows from a node to its parent, and past so many ``more`` to where the ways meet."""
    if parent == upper:
        sketch.arrow(lower.at(0.5, 0), upper.at(0.5, 1))
        return
    share = 0.5 + 0.25 * np.sign(parent.left - lower.left)
    start = parent.at(0.5, 0)
    end = upper.at(share, 1)
    sketch.arrow(lower.at(share, 0), parent.at(0.5, 1))
    sketch.arrow(start, end)
    if more:
        across, down = np.mean((start, end), axis=0)
        sketch.box(Box(across - 0.32, down - 0.13, 0.64, 0.26), f"{more} more", size=SMALL)


def _between(hierarchy: Hierarchy, lower: int, upper: int) -> int:
    """How many nodes lie above one node and below another."""
    above = hierarchy.ancestors[[lower]].indices
    inner = above[hierarchy.above(np.full(len(above), upper), above)]
    return int(np.setdiff1d(inner, [lower, upper]).size)
