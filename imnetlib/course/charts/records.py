"""Figures about records: how small images may be, and in which order they are read (chapter 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from imnetlib import image
from imnetlib.course import plots


def size_and_quality(
    grid: Mapping[int, Sequence[tuple[float, float]]], qualities: Sequence[int], note_kb: float
) -> Figure:
    """PSNR against KB an image, a line for each short edge, a dot for each quality (chapter 4)."""
    figure, axis = plots.axes(height=4)
    for (edge, points), color, marker in zip(grid.items(), plots.COLORS, "osD^v", strict=False):
        kilobytes, decibels = zip(*points, strict=True)
        axis.plot(kilobytes, decibels, marker=marker, color=color, label=f"short edge {edge}")
    largest = grid[max(grid)]
    for quality, point in zip(qualities, largest, strict=True):
        plots.note(axis, f"{quality}", point, (-3, 5), ha="right")
    axis.axvline(note_kb, color=plots.GRAY, linewidth=1)
    plots.note(
        axis,
        f"the note: {note_kb:.1f} KB",
        (note_kb, 0),
        (5, 5),
        xycoords=axis.get_xaxis_transform(),
        color=plots.GRAY,
    )
    axis.set(xlabel="KB per image", ylabel="PSNR to the original, at its size, dB")
    axis.set_title("What are KB better spent on, pixels or quality?")
    plots.plain_numbers(axis)
    plots.label_lines(axis)
    return figure


def middles(versions: Mapping[str, bytes]) -> Figure:
    """The middle of each version of an image, scaled to the size of the first one (chapter 4)."""
    decoded = [image.decode(data) for data in versions.values()]
    height, width = decoded[0].shape[:2]
    rows = slice(height // 2 - 70, height // 2 + 70)
    columns = slice(width // 2 - 70, width // 2 + 70)
    scaled = [image.resize(pixels, height, width)[rows, columns] for pixels in decoded]
    return plots.pictures(scaled, list(versions), columns=len(versions))


def orders(shuffles: Mapping[str, npt.NDArray[np.int64]]) -> Figure:
    """Where in the files each record of an epoch is stored, a panel for each order (chapter 4)."""
    figure, panels = plots.axes(8, 3, columns=len(shuffles))
    ticks = [0, 1000, 2000]
    for axis, (title, order) in zip(panels, shuffles.items(), strict=True):
        axis.plot(order, ".", markersize=1.5)
        axis.set(title=title, xlabel="place in the epoch", yticks=[])
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    panels[0].set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    panels[0].set(ylabel="place in the files")
    return figure
