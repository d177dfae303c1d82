"""What every schematic is made of: boxes, arrows, braces, rows of cells, words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Way

from imnetlib.course import plots

Point = tuple[float, float]
# Sizes of letters, in points.
TITLE, TEXT, SMALL = 11, 10, plots.SMALL
# Of a letter's size: the height of a capital, and from one line to the next.
CAPITAL = 0.73
LEADING = 1.35
# Width of borders and lines, in points; how much of its colour a fill keeps under black words.
STROKE = 1.1
THIN = 0.7
PALE = 0.28
# Inches.
WIDTH = 8.0
EDGE = 0.08
CORNER = 0.06
TICK = 0.07


class Box(NamedTuple):
    """A rectangle on a sketch, in inches from its top left corner."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where its right side is."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Where its lower side is."""
        return self.top + self.height

    def at(self, across: float, down: float) -> Point:
        """The point at these shares of its width and height: (0.5, 1) is below its middle."""
        return self.left + across * self.width, self.top + down * self.height


class Sketch:
    """A drawing, ``WIDTH`` by ``height`` inches, measured from its top left corner."""

    def __init__(self, height: float, title: str) -> None:
        self.figure = Figure(figsize=(WIDTH, height))
        # An axis that fills the figure needs no layout.
        self.figure.set_layout_engine("none")
        self._axis: Any = self.figure.add_axes((0, 0, 1, 1))
        self._axis.set(xlim=(0, WIDTH), ylim=(height, 0))
        self._axis.set_axis_off()
        self.words((EDGE, 0.18), title, side="left", size=TITLE, fontweight="bold")

    def words(
        self, at: Point, text: str, side: str = "center", size: float = TEXT, **look: Any
    ) -> None:
        """Write ``text`` with its middle, or the named side of it, at this point.

        Line by line on baselines of our own: Matplotlib's would go by the letters of each text.
        """
        lines = text.split("\n")
        across, down = at
        down += (CAPITAL - LEADING * (len(lines) - 1)) * size / 72 / 2
        look = {"color": plots.BLACK, "zorder": 3} | look
        for number, line in enumerate(lines):
            base = down + number * LEADING * size / 72
            self._axis.text(across, base, line, ha=side, va="baseline", fontsize=size, **look)

    def box(self, box: Box, text: str, fill: str = "", size: float = TEXT) -> Box:
        """A box with ``text`` in its middle; without ``fill`` it is white."""
        self._rectangle(box, fill)
        self.words(box.at(0.5, 0.5), text, size=size)
        return box

    def frame(self, box: Box, text: str, *, below: bool = False) -> Box:
        """A dashed frame around other boxes, ``text`` in its upper or lower left corner."""
        self._rectangle(box, "", edgecolor=plots.GRAY, linestyle="--", zorder=0)
        down = box.bottom - 0.16 if below else box.top + 0.16
        self.words((box.left + EDGE, down), text, side="left", size=SMALL)
        return box

    def _rectangle(self, box: Box, fill: str, corner: float = CORNER, **look: Any) -> None:
        settings: dict[str, Any] = {"edgecolor": plots.BLACK, "linewidth": STROKE, "zorder": 2}
        face = (fill, PALE) if fill else "white"
        style = f"round,pad=0,rounding_size={corner}" if corner else "square,pad=0"
        shape = FancyBboxPatch(
            (box.left, box.top),
            box.width,
            box.height,
            boxstyle=style,
            facecolor=face,
            **(settings | look),
        )
        self._axis.add_patch(shape)

    def arrow(self, *points: Point, style: str = "-|>") -> None:
        """An arrow along these points, straight from one to the next; it ends at the last."""
        shape = FancyArrowPatch(
            path=Way(points), arrowstyle=style, mutation_scale=10, color=plots.BLACK,
            linewidth=STROKE, shrinkA=0, shrinkB=0, joinstyle="miter", zorder=1,
        )  # fmt: skip
        self._axis.add_patch(shape)

    def line(self, *points: Point, style: str = "-") -> None:
        """A thin gray line along these points."""
        across, down = zip(*points, strict=True)
        self._axis.plot(across, down, style, color=plots.GRAY, linewidth=STROKE, zorder=0)

    def cross(self, at: Point) -> None:
        """A mark where something breaks."""
        self._axis.plot(
            *at, "X", color=plots.ORANGE, markersize=11, markeredgecolor=plots.BLACK, zorder=4
        )

    def brace(self, left: float, right: float, top: float, text: str) -> None:
        """A bracket below what reaches from ``left`` to ``right``, and ``text`` below it."""
        left += 0.02
        right -= 0.02
        bottom = top + TICK
        self.line((left, top), (left, bottom), (right, bottom), (right, top))
        half = (CAPITAL + LEADING * text.count("\n")) * SMALL / 72 / 2
        self.words(((left + right) / 2, bottom + 0.06 + half), text, size=SMALL)

    def strip(self, row: Box, shares: Sequence[float], fills: Sequence[str]) -> list[Box]:
        """``row`` cut into cells of these shares of its width, each with its fill."""
        cells = []
        left = row.left
        for share, fill in zip(shares, fills, strict=True):
            cells.append(Box(left, row.top, share * row.width, row.height))
            self._rectangle(cells[-1], fill, corner=0, linewidth=THIN)
            left = cells[-1].right
        return cells

    def cells(self, row: Box, texts: Sequence[str], fills: Sequence[str]) -> list[Box]:
        """``row`` cut into equal cells, each with its text and its fill."""
        cells = self.strip(row, [1 / len(texts)] * len(texts), fills)
        for cell, text in zip(cells, texts, strict=True):
            self.words(cell.at(0.5, 0.5), text, size=SMALL)
        return cells
