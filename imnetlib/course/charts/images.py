"""Figures about strange image files (chapter 2)."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imnetlib import image
from imnetlib.course import plots
from imnetlib.course.shared import class_names
from imnetlib.organize import FolderSurvey

# Of classes with strange files, as many as a figure has rows for.
MOST_ROWS = 12


def strange_kinds(files: Mapping[str, bytes]) -> Figure:
    """Files of unusual kinds, by kind: for what careless code takes them, and decoded (chapter 2).

    Careless code hands each to a decoder of JPEG, and takes the first three channels for colours.
    """
    from PIL import Image

    figure, grid = plots.axes(2.1 * len(files) + 0.5, 4.8, 2, len(files))
    for (kind, data), (above, below) in zip(
        files.items(), np.reshape(grid, (2, -1)).T, strict=True
    ):
        plain = Image.open(io.BytesIO(data))
        channels = len(plain.getbands())
        if plain.format == "JPEG":
            raw = np.asarray(plain)
            # Of an array of one channel Matplotlib makes false colours.
            above.imshow(plots.thumbnail(raw[..., :3] if raw.ndim == 3 else raw))
        else:
            above.set_facecolor(plots.PALE)
            above.set_aspect("equal")
            refused = f"a {plain.format}, whatever\nits name says:\na decoder of JPEG\nrefuses it"
            above.text(0.5, 0.5, refused, ha="center", va="center", fontsize=plots.SMALL)
        below.imshow(plots.thumbnail(image.decode(data)))
        plural = "" if channels == 1 else "s"
        above.set_title(f"{kind}: {channels} channel{plural}", fontsize=10, loc="center")
    for row, name in zip(np.reshape(grid, (2, -1)), ("careless", "image.decode"), strict=True):
        row[0].set_ylabel(name, fontweight="bold")
        for axis in row:
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    return figure


def strange_files(survey: FolderSurvey) -> Figure:
    """The strange files of each class by kind, for the classes that have most (chapter 2)."""
    by_class: dict[str, Counter[str]] = {}
    for file in survey.strange:
        by_class.setdefault(file.path.parent.name, Counter())[file.what] += 1
    rows = sorted(by_class, key=lambda wnid: (-by_class[wnid].total(), wnid))[:MOST_ROWS]
    kinds = [kind for kind, _ in Counter(file.what for file in survey.strange).most_common()]
    figure, axis = plots.axes(height=1.3 + 0.28 * len(rows))
    left = np.zeros(len(rows))
    for kind, color in zip(kinds, plots.COLORS, strict=False):
        values = np.array([by_class[wnid][kind] for wnid in rows])
        together = sum(counts[kind] for counts in by_class.values())
        axis.barh(
            range(len(rows)), values, 0.7, left=left, color=color, label=f"{kind}: {together:,}"
        )
        left += values
    axis.set_yticks(range(len(rows)), class_names(rows))
    for place, wnid in enumerate(rows):
        plots.note(
            axis,
            f"{by_class[wnid].total():,} of {survey.counts.get(wnid, 0):,}",
            (left[place], place),
            (5, 0),
            va="center",
        )
    axis.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1.25 * max(left, default=1)))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set(xlabel="strange images of all images of the class")
    images = sum(survey.counts.values())
    axis.set_title(
        f"{len(survey.strange):,} of {images:,} images are strange, "
        f"in {len(by_class):,} of {len(survey.counts):,} classes"
    )
    if kinds:
        axis.legend(loc="lower right")
    return figure
