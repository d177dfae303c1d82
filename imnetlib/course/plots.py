"""The look of every figure: one style, colours that the colour-blind can tell apart, alt text.

Importing it sets Matplotlib's defaults.
"""

from __future__ import annotations

import base64
import html
import io
import os
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import NullFormatter

Pixels = npt.NDArray[np.uint8]

# Seven colours of marks, and gray for guides: each at least 3:1 on white, any two at least 15 apart
# in CIEDE2000, also for those who lack one kind of cone, and also where the site's dark theme
# turns them (tests/course/test_plots.py).
BLUE, ORANGE, GREEN, BROWN, VIOLET, ROSE, BLACK = COLORS = (
    "#0B609A", "#EB6E0B", "#45A176", "#8F3100", "#8682FC", "#B281A6", "#1A1A1A",
)  # fmt: skip
GRAY = "#5E5E5E"
# A ground under marks and names, no mark.
PALE = "#E6E6E6"
# Points of the smallest type, readable when the figure is shown at half its size; inches of the
# widest figure, which no page shrinks.
SMALL = 9
WIDEST = 8.5
# Inches that a letter of a picture's title takes.
_TITLE_LETTER = 0.075
# A line of text in points, of SMALL type.
_LINE = 1.25 * SMALL
_JPEG_QUALITY = 85
_SECONDS_BETWEEN_LOOKS = 1.0

mpl.rcParams.update(
    {
        "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.edgecolor": BLACK,
        "axes.labelcolor": BLACK,
        "axes.prop_cycle": cycler(color=COLORS),
        "grid.color": PALE,
        "legend.frameon": False,
        "legend.fontsize": SMALL,
        "lines.linewidth": 2,
        "text.color": BLACK,
        "xtick.color": BLACK,
        "xtick.labelsize": SMALL,
        "ytick.color": BLACK,
        "ytick.labelsize": SMALL,
    }
)


class Drawing(NamedTuple):
    """A figure, and what it shows in words for someone who does not see it."""

    figure: Figure
    alt: str


def figure_folder() -> Path:
    """Where figures are saved: beside a reader's copies, or where ``imnet run`` says."""
    beside_copies = Path(__file__).parents[2] / "build" / "course" / "figures"
    return Path(os.environ.get("IMNETLIB_FIGURES", beside_copies))


def axes(
    width: float = 7, height: float = 3.5, rows: int = 1, columns: int = 1
) -> tuple[Figure, Any]:
    """A figure of ``width`` by ``height`` inches and its axes, in the course's style."""
    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns)


def plain_numbers(axis: Any) -> None:
    """Write 0.1, 1, 10 along the logarithmic axes of a plot, not powers of ten."""
    for scale in (axis.xaxis, axis.yaxis):
        if scale.get_scale() == "log":
            scale.set_major_formatter("{x:,.10g}")
            scale.set_minor_formatter(NullFormatter())


def ink(color: str) -> str:
    """``color`` dark enough for text: at least 4.5:1 on white for each of COLORS."""
    red, green, blue = to_rgb(color)
    return to_hex((0.8 * red, 0.8 * green, 0.8 * blue))


def note(
    axis: Any, text: str, place: tuple[Any, Any], offset: tuple[float, float] = (0, 0), **style: Any
) -> None:
    """Small text that is ``offset`` points from a ``place`` of the data: beside a mark."""
    style = {"fontsize": SMALL} | style
    axis.annotate(text, place, offset, textcoords="offset points", **style)


def label_lines(axis: Any) -> None:
    """Write each labelled line's name beside its right end, in its colour, instead of a legend.

    The names stand in the order of the ends; where these lie close together the names are moved
    apart, each with a thin line to its end. Call it last: it needs the limits of the axes.
    """
    figure = axis.get_figure()
    figure.draw_without_rendering()
    named = (line for line in axis.get_lines() if not line.get_label().startswith("_"))
    lines = [line for line in named if len(line.get_xdata())]
    ends = [_right_end(axis, line) for line in lines]
    points = 72 / figure.dpi
    heights = [_LINE * (1 + line.get_label().count("\n")) for line in lines]
    wanted = [point[1] * points for point, _ in ends]
    room = (axis.bbox.y0 * points - _LINE, axis.bbox.y1 * points + _LINE)
    places = _apart(wanted, heights, room)
    for line, (_, end), place, own in zip(lines, ends, places, wanted, strict=True):
        moved = abs(place - own) > _LINE / 4
        color = line.get_color()
        leader = {"arrowstyle": "-", "color": color, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 3}
        note(
            axis, line.get_label(), end, (14 if moved else 7, place - own),
            xycoords=line.get_transform(), arrowprops=leader if moved else None, va="center",
            color=ink(color), annotation_clip=False,
        )  # fmt: skip


def _right_end(axis: Any, line: Any) -> tuple[npt.NDArray[np.float64], Any]:
    """The last point of a line that lies within its axes: in pixels, and as the line has it."""
    data = np.asarray(line.get_xydata(), np.float64)
    pixels = line.get_transform().transform(data)
    near = (pixels >= axis.bbox.min - 2) & (pixels <= axis.bbox.max + 2)
    inside = np.flatnonzero(near.all(axis=1))
    last = inside[np.argmax(pixels[inside, 0])] if len(inside) else -1
    return pixels[last], data[last]


def _apart(
    wanted: Sequence[float], heights: Sequence[float], room: tuple[float, float]
) -> list[float]:
    """The middles of texts of these ``heights``, in the order of ``wanted``, none on another.

    They are as near to it as may be, by least squares, and within ``room`` if they fit there.
    """
    order = sorted(range(len(wanted)), key=lambda each: wanted[each])
    above = np.cumsum([heights[each] for each in order])
    stacked = above - [heights[each] / 2 for each in order]
    free = np.array([wanted[each] for each in order]) - stacked
    # What is free of the stack has to rise: isotonic regression.
    means = [
        max(
            min(free[low : high + 1].mean() for high in range(at, len(free)))
            for low in range(at + 1)
        )
        for at in range(len(free))
    ]
    highest = max(room[0], room[1] - sum(heights))
    places = np.clip(means, room[0], highest) + stacked
    return [float(places[order.index(each)]) for each in range(len(wanted))]


def show(figure: Figure, name: str, alt: str) -> None:
    """Save ``figure`` and display it with ``alt`` read aloud in place of the picture.

    NAME.jpg if it holds pictures in colour, else NAME.png. A notebook keeps that for builders that
    look for it, and an <img> tag with the alt text for JupyterLab: alt text in output metadata
    reaches neither. The same figure gives the same bytes.
    """
    from IPython.display import display

    drawn = _Drawn.of(figure)
    drawn.save(name)
    display(drawn.bundle(alt), raw=True)


class _Drawn(NamedTuple):
    """A figure as the bytes of a file of ``kind``, "jpeg" or "png"."""

    kind: str
    content: bytes

    @classmethod
    def of(cls, figure: Figure) -> _Drawn:
        """Photographs as a JPEG with all of its colours; lines and text as a PNG of 256.

        A third of the bytes of a PNG of all colours, which a notebook holds twice.
        """
        from PIL import Image

        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", metadata={"Software": None})
        picture = Image.open(drawn).convert("RGB")
        small = io.BytesIO()
        shown = [image.get_array() for image in figure.findobj(AxesImage)]
        if any(pixels is not None and pixels.ndim == 3 for pixels in shown):
            picture.save(
                small, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, progressive=True
            )
            return cls("jpeg", small.getvalue())
        picture.quantize(256).save(small, format="PNG", optimize=True)
        return cls("png", small.getvalue())

    def save(self, name: str) -> None:
        """Write it into the folder of figures."""
        folder = figure_folder()
        folder.mkdir(parents=True, exist_ok=True)
        suffix = {"jpeg": "jpg", "png": "png"}[self.kind]
        (folder / f"{name}.{suffix}").write_bytes(self.content)

    def bundle(self, alt: str) -> dict[str, str]:
        """What a notebook keeps of it."""
        encoded = base64.b64encode(self.content).decode("ascii")
        tag = f'<img alt="{html.escape(alt)}" src="data:image/{self.kind};base64,{encoded}">'
        return {f"image/{self.kind}": encoded, "text/html": tag, "text/plain": alt}


@contextmanager
def live(name: str, draw: Callable[[], Drawing], seen: Callable[[], object]) -> Iterator[None]:
    """Show ``draw()`` in the output of a cell, in the same place anew when ``seen()`` has changed.

    It looks once a second while the block runs. At the end, also after an error, the output holds
    what ``show`` would have left: one figure.
    """
    from IPython.display import display

    def drawn() -> tuple[_Drawn, str]:
        figure, alt = draw()
        return _Drawn.of(figure), alt

    first, alt = drawn()
    handle = display(first.bundle(alt), raw=True, display_id=True)
    over = threading.Event()

    def watch() -> None:
        before = seen()
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            now = seen()
            if now != before:
                newer, alt = drawn()
                handle.update(newer.bundle(alt), raw=True)
                before = now

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        last, alt = drawn()
        last.save(name)
        handle.update(last.bundle(alt), raw=True)


def show_anew(figure: Figure, name: str, alt: str) -> Callable[[Figure, str], None]:
    """As ``show``, with ``alt`` under the figure; what it returns puts others in their place."""
    from IPython.display import display

    drawn = _Drawn.of(figure)
    drawn.save(name)
    picture = display(drawn.bundle(alt), raw=True, display_id=True)
    text = display({"text/plain": alt}, raw=True, display_id=True)

    def again(figure: Figure, alt: str) -> None:
        picture.update(_Drawn.of(figure).bundle(alt), raw=True)
        text.update({"text/plain": alt}, raw=True)

    return again


def thumbnail(image: Pixels, side: int = 200) -> Pixels:
    """The centre square of ``image`` at ``side`` by ``side`` pixels.

    A notebook with a grid of originals would weigh megabytes.
    """
    import cv2

    height, width = image.shape[:2]
    edge = min(height, width)
    top = (height - edge) // 2
    left = (width - edge) // 2
    square = image[top : top + edge, left : left + edge]
    return np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def pictures(
    images: Sequence[Pixels], titles: Sequence[str], columns: int, width: float = WIDEST
) -> Figure:
    """A grid of uint8 pictures (height, width, 3), each under its title, ``width`` inches wide.

    A line of a title that is wider than its picture becomes two.
    """
    rows = -(-len(images) // columns)
    figure, grid = axes(width, rows * (width / columns + 0.22), rows, columns)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    cells = np.atleast_1d(grid).ravel()
    for axis in cells:
        axis.set_axis_off()
    letters = int(width / columns / _TITLE_LETTER)
    for axis, image, title in zip(cells, images, titles, strict=False):
        axis.imshow(image)
        wrapped = "\n".join(textwrap.fill(line, letters) for line in title.splitlines())
        axis.set_title(wrapped, fontsize=SMALL, fontweight="normal", loc="center", pad=3)
    return figure
