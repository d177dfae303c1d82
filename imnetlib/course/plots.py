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
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

Pixels = npt.NDArray[np.uint8]

# Okabe and Ito's palette (2008), the darker ones first: https://jfly.uni-koeln.de/color
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#222222",
)  # fmt: skip
GRAY = "#8a8a8a"
# Inches that a letter of a picture's title takes.
_TITLE_LETTER = 0.07
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
        "axes.prop_cycle": cycler(color=COLORS),
        "legend.frameon": False,
        "lines.linewidth": 2,
    }
)


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


def show(figure: Figure, name: str, alt: str) -> None:
    """Save ``figure`` as NAME.png and display it with ``alt`` read aloud in place of the picture.

    A notebook keeps image/png for builders that look for it, and an <img> tag with the alt text for
    JupyterLab: alt text in output metadata reaches neither. The same figure gives the same bytes.
    """
    from IPython.display import display

    png = _small_png(figure)
    _save(png, name)
    display(_bundle(png, alt), raw=True)


def _save(png: bytes, name: str) -> None:
    folder = figure_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(png)


def _bundle(png: bytes, alt: str) -> dict[str, str]:
    """What a notebook keeps of a figure."""
    encoded = base64.b64encode(png).decode("ascii")
    tag = f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{encoded}">'
    return {"image/png": encoded, "text/html": tag, "text/plain": alt}


@contextmanager
def live(
    name: str, alt: str, draw: Callable[[], Figure], seen: Callable[[], object]
) -> Iterator[None]:
    """Show ``draw()`` in the output of a cell, in the same place anew when ``seen()`` has changed.

    It looks once a second while the block runs. At the end, also after an error, the output holds
    what ``show`` would have left: one figure.
    """
    from IPython.display import display

    handle = display(_bundle(_small_png(draw()), alt), raw=True, display_id=True)
    over = threading.Event()

    def watch() -> None:
        before = seen()
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            now = seen()
            if now != before:
                handle.update(_bundle(_small_png(draw()), alt), raw=True)
                before = now

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        png = _small_png(draw())
        _save(png, name)
        handle.update(_bundle(png, alt), raw=True)


def show_anew(figure: Figure, name: str, alt: str) -> Callable[[Figure, str], None]:
    """As ``show``, with ``alt`` under the figure; what it returns puts others in their place."""
    from IPython.display import display

    png = _small_png(figure)
    _save(png, name)
    picture = display(_bundle(png, alt), raw=True, display_id=True)
    text = display({"text/plain": alt}, raw=True, display_id=True)

    def again(figure: Figure, alt: str) -> None:
        picture.update(_bundle(_small_png(figure), alt), raw=True)
        text.update({"text/plain": alt}, raw=True)

    return again


def _small_png(figure: Figure) -> bytes:
    """A PNG of 256 colours of its own: a third of the bytes, which a notebook holds twice."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    small = io.BytesIO()
    Image.open(drawn).convert("RGB").quantize(256).save(small, format="PNG", optimize=True)
    return small.getvalue()


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
    images: Sequence[Pixels], titles: Sequence[str], columns: int, width: float = 8
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
        axis.set_title(wrapped, fontsize=9, fontweight="normal", loc="center", pad=3)
    return figure
