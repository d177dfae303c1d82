"""Figures about archives, disks, images and shards (chapters 1 to 5)."""

from __future__ import annotations

import io
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imnetlib import image
from imnetlib.catalog import Dataset
from imnetlib.course import plots
from imnetlib.course.findings import TRAINING_RATE
from imnetlib.course.plots import Drawing
from imnetlib.course.shared import class_names
from imnetlib.organize import FolderSurvey
from imnetlib.throughput import DAY, GB, HOUR, MB, MIB, BudgetRow, Device, images_per_second

# Lines that readers know by name, in MB/s.
LINES = {
    "16 Mbit/s, 2 MB/s": 2, "100 Mbit/s, 12.5 MB/s": 12.5, "1 Gbit/s, 125 MB/s": 125,
    "10 Gbit/s, 1,250 MB/s": 1250,
}  # fmt: skip
# Ticks of time, in seconds.
TIMES = {
    "1 s": 1, "10 s": 10, "1 min": 60, "10 min": 600, "1 h": HOUR, "10 h": 10 * HOUR,
    "4 days": 4 * DAY, "40 days": 40 * DAY, "1 year": 365 * DAY,
}  # fmt: skip
# Each disk of chapter 3 in all of its figures, by the first part of its name; others are gray.
DISKS = {
    "WD Black": plots.BLUE, "Samsung 850 PRO": plots.ORANGE, "EBS gp3": plots.GREEN,
    "this disk": plots.BROWN,
}  # fmt: skip
# Of classes with strange files, as many as a figure has rows for.
MOST_ROWS = 12


def told(seconds: float) -> str:
    """A time as people say it, to two digits: "5.1 days", "3.4 h", "21 min", "0.5 s"."""
    units = {"days": DAY, "h": HOUR, "min": 60, "s": 1}
    unit = next((unit for unit, size in units.items() if seconds >= 2 * size), "s")
    number = seconds / units[unit]
    return f"{number:,.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"


def _ticks_of_time(axis: Any) -> None:
    """Times as people say them along a logarithmic axis of seconds."""
    axis.set_ticks(list(TIMES.values()), list(TIMES))
    axis.set_ticks([], minor=True)


def download_times(sets: Mapping[str, Dataset], rate: float) -> Drawing:
    """How long two sets take at ``rate`` MB/s and on lines that readers know (chapter 1)."""
    lines = sorted({f"yours, {rate:g} MB/s": rate, **LINES}.items(), key=lambda line: line[1])
    figure, axis = plots.axes(height=3.2)
    every = []
    marks = zip(sets.items(), (plots.BLUE, plots.ORANGE), "os", strict=True)
    for number, ((name, data), color, marker) in enumerate(marks):
        times = [data.bytes / (speed * MB) for _, speed in lines]
        every += times
        axis.plot(times, range(len(lines)), marker, color=color, markersize=8)
        # The first set's times on the left of its marks, the second's on the right.
        side = {"ha": ("right", "left")[number], "va": "center"}
        offset = ((-8, 8)[number], 0)
        for place, seconds in enumerate(times):
            plots.note(axis, told(seconds), (seconds, place), offset, **side)
        size = f"{name}, {data.bytes / GB:,.0f} GB"
        plots.note(axis, size, (times[0], 0), (offset[0], 14), color=plots.ink(color), **side)
        axis.hlines(range(len(lines)), 1e-9, times, color=plots.PALE, linewidth=1, zorder=0)
    axis.set_yticks(range(len(lines)), [name for name, _ in lines])
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().startswith("yours") else "normal")
    axis.set(xscale="log", ylim=(len(lines) - 0.5, -0.8))
    _ticks_of_time(axis.xaxis)
    axis.set_xlim(min(every) / 10, max(every) * 6)
    axis.set_title("Your line decides between minutes and weeks")
    rows = []
    for name, speed in lines:
        both = [told(data.bytes / (speed * MB)) for data in sets.values()]
        rows.append(f"{name}: {' and '.join(both)}")
    of_each = " and ".join(f"{data.bytes / GB:,.0f} GB ({name})" for name, data in sets.items())
    alt = f"How long {of_each} take on {len(lines)} lines, on a logarithmic axis. "
    return Drawing(figure, f"{alt}{'; '.join(rows)}.")


def disk_steps(budgets: Mapping[str, Sequence[BudgetRow]]) -> Figure:
    """What each step adds to the disk, for each data set, beside 1,000 GB (chapter 1)."""
    figure, axis = plots.axes(height=2.8)
    names = list(budgets)
    largest = max(range(len(names)), key=lambda place: budgets[names[place]][-1].total)
    for number, rows in enumerate(zip(*budgets.values(), strict=True)):
        left = [(row.total - row.needs) / GB for row in rows]
        needs = [row.needs / GB for row in rows]
        axis.barh(names, needs, 0.5, left=left, color=plots.COLORS[number])
        # The steps have their names on the longest bar, where there is room.
        text = f"{textwrap.fill(rows[largest].step, 14)}\n{needs[largest]:,.0f} GB"
        plots.note(
            axis,
            text,
            (left[largest], largest + 0.25),
            (0, 4),
            va="bottom",
            color=plots.ink(plots.COLORS[number]),
        )
    axis.axvline(1000, color=plots.BLACK, linewidth=1.5)
    plots.note(axis, "the article's\n1,000 GB", (1000, -0.45), (6, 0), va="bottom")
    axis.set(xlabel="GB, one step after the other", ylim=(-0.5, len(names) + 0.1))
    together = [f"{name}\n{rows[-1].total / GB:,.0f} GB" for name, rows in budgets.items()]
    axis.set_yticks(range(len(names)), together)
    axis.set_title("The 1,000 classes fit on the article's volume, the full set does not")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    return figure


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


def hours_per_epoch(hours: Mapping[str, Mapping[str, float]]) -> Drawing:
    """Hours to read the set once by device and by pattern of reads, on a log scale (chapter 3)."""
    figure, axis = plots.axes(height=4.4)
    markers = dict(zip(next(iter(hours.values())), "osD", strict=True))
    for place, (name, found) in enumerate(hours.items()):
        color = _disk_color(name)
        axis.plot([min(found.values()), max(found.values())], [place, place], color=color, lw=1)
        for pattern, hour in found.items():
            axis.plot(hour, place, markers[pattern], color=color, markersize=8)
    for pattern, hour in next(iter(hours.values())).items():
        plots.note(axis, pattern, (hour, 0), (0, 10), ha="center")
    axis.set(xscale="log", xlabel="hours per epoch", ylim=(len(hours) - 0.5, -0.9))
    axis.set_yticks(range(len(hours)), list(hours))
    plots.plain_numbers(axis)
    axis.grid(axis="x")
    axis.set_title("Each grid line is ten times the one before", fontweight="normal", fontsize=10)
    rows = []
    for name, found in hours.items():
        times = [f"{pattern} {told(hour * HOUR)}" for pattern, hour in found.items()]
        rows.append(f"{name}: {', '.join(times)}")
    return Drawing(
        figure, f"The time of an epoch by device, three marks for each. {'; '.join(rows)}."
    )


def _disk_color(name: str) -> str:
    return DISKS.get(name.partition(",")[0], plots.GRAY)


def roofline(
    disks: Mapping[str, float],
    gpu_rate: float,
    decode_rate: float,
    cores: int,
    image_bytes: float,
    pace: float,
) -> Drawing:
    """Images/s against decoding cores, under the roofs of disks and GPUs (chapter 3).

    Args:
        disks: images/s that each disk delivers, by its name.
        gpu_rate: images/s that your GPU trains.
        decode_rate: images/s that one core decodes.
        cores: how many you have.
        image_bytes: the size of an image, for the title.
        pace: images/s at which you train.
    """
    highest = max(*disks.values(), gpu_rate, pace)
    lowest = min(*disks.values(), TRAINING_RATE)
    span = np.array([lowest / 4, 3 * highest]) / decode_rate
    right = max(span[1], 2 * cores)
    figure, axis = plots.axes(8.5, 4.8)
    axis.set(xscale="log", yscale="log", xlim=(span[0] / 2, right))
    axis.set(ylim=(lowest / 4, 3 * highest))
    axis.plot(span, decode_rate * span, color=plots.BLACK)
    plots.note(axis, "decoding", (lowest / decode_rate, lowest), (8, -16))
    for name, rate in disks.items():
        style = "-." if name.endswith("files") else "-"
        _roof(axis, rate, decode_rate, name, color=_disk_color(name), linestyle=style)
    gpus = {"your GPU": gpu_rate, "four GPUs of 2015": TRAINING_RATE}
    for (name, rate), color in zip(gpus.items(), (plots.VIOLET, plots.ROSE), strict=True):
        _roof(axis, rate, decode_rate, name, color=color, linestyle="--")
    axis.axvline(cores, color=plots.GRAY, linestyle=":")
    plots.note(
        axis, f"your cores: {cores}", (cores, lowest / 4), (-4, 6), ha="right", color=plots.GRAY
    )
    axis.plot(cores, pace, "*", color=plots.BLACK, markersize=14)
    plots.note(axis, f"you: {pace:,.0f}", (cores, pace), (8, -14), fontweight="bold")
    axis.set(xlabel="cores that decode; at a kink, how many", ylabel="images/s")
    axis.set_title(f"The lowest roof decides: images of {image_bytes / 1000:,.0f} KB")
    plots.plain_numbers(axis)
    plots.label_lines(axis)
    roofs = sorted({**disks, **gpus}.items(), key=lambda roof: roof[1])
    rows = [f"{name}: {rate:,.0f} from {rate / decode_rate:.2g} cores on" for name, rate in roofs]
    return Drawing(
        figure,
        "Images per second against cores that decode. A slanted line, decoding, meets flat roofs "
        f"of disks and GPUs. {'; '.join(rows)}. With your {cores} cores you train {pace:,.0f}.",
    )


def _roof(axis: Any, rate: float, decode_rate: float, name: str, **style: str) -> None:
    """A flat roof, from its kink on the line of decoding to the right edge."""
    kink = rate / decode_rate
    label = textwrap.fill(f"{name}: {rate:,.0f}", 24)
    axis.plot([kink, axis.get_xlim()[1]], [rate, rate], label=label, **style)
    axis.plot(kink, rate, "o", color=style["color"])
    plots.note(axis, f"{kink:.2g}", (kink, rate), (-6, 3), ha="right")


def image_sizes(
    disks: Sequence[Device],
    gpu_rate: float,
    decode_rate: float,
    cores: int,
    marked: Mapping[str, float],
) -> Drawing:
    """Images/s of disks, cores and GPU by KB an image; ``marked`` sizes by name (chapter 3)."""
    sizes = np.geomspace(2, 500, 100)
    figure, axis = plots.axes(8, 4.2)
    for disk in disks:
        delivered = [images_per_second(disk.sequential, size * 1000) for size in sizes]
        name = disk.name.removesuffix(", 1 at a time")
        axis.loglog(sizes, delivered, color=_disk_color(name), label=name)
    axis.axhline(gpu_rate, color=plots.VIOLET, linestyle="--", label="your GPU")
    rate = cores * decode_rate
    axis.axhline(rate, color=plots.BLACK, linestyle=":", label=f"your {cores} decoding cores")
    axis.set(xlim=(2, 500), ylim=(20, None))
    for name, kilobytes in marked.items():
        axis.axvline(kilobytes, color=plots.GRAY, linewidth=0.8)
        plots.note(
            axis,
            f"{name}: {kilobytes:,.3g} KB",
            (kilobytes, 20),
            (-4, 6),
            ha="right",
            color=plots.GRAY,
        )
    axis.set(xlabel="KB per image, packed", ylabel="images/s")
    axis.set_title("The smaller the images, the more of them a disk delivers")
    plots.plain_numbers(axis)
    plots.label_lines(axis)
    rows = []
    for name, kilobytes in marked.items():
        at = [
            f"{images_per_second(disk.sequential, kilobytes * 1000):,.0f} from {disk.name}"
            for disk in disks
        ]
        rows.append(f"At {kilobytes:,.3g} KB ({name}): {'; '.join(at)}.")
    return Drawing(
        figure,
        "Images per second against KB per image. The line of each disk falls as images grow, those "
        f"of your GPU, {gpu_rate:,.0f}, and your {cores} decoding cores, {rate:,.0f}, are level. "
        + " ".join(rows),
    )


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


def until_loaded(loads: Mapping[str, float], rates: tuple[int, int]) -> Drawing:
    """Time until a volume's last byte is there, at the ``rates`` in MiB/s (chapter 5)."""
    gigabytes = np.geomspace(0.03, 3000, 50)
    figure, axis = plots.axes(height=4)
    axis.axhspan(0.01, 10, color=plots.PALE, linewidth=0)
    axis.text(25_000, 5, "a few seconds", ha="right", va="center", fontsize=plots.SMALL)
    for rate, color, style in zip(rates, (plots.ORANGE, plots.BLUE), ("--", "-"), strict=True):
        times = gigabytes * GB / (rate * MIB)
        axis.loglog(gigabytes, times, style, color=color, label=f"{rate} MiB/s")
    for what, n_bytes in loads.items():
        best = n_bytes / (rates[-1] * MIB)
        axis.plot(n_bytes / GB, best, "o", color=plots.BLACK, markersize=7)
        plots.note(axis, f"{what}: {told(best)}", (n_bytes / GB, best), (6, -10))
    axis.set(xlabel="GB on the volume", ylabel="until the last block is there")
    axis.set(xlim=(0.03, 30_000), ylim=(0.1, 40_000))
    axis.set_title("A volume from a snapshot is there at once; its data are not")
    plots.plain_numbers(axis)
    _ticks_of_time(axis.yaxis)
    axis.set_ylim(0.1, 40_000)
    plots.label_lines(axis)
    rows = [
        f"{what} {' or '.join(told(n_bytes / (rate * MIB)) for rate in rates)}"
        for what, n_bytes in loads.items()
    ]
    return Drawing(
        figure,
        "Time until the last block of a volume from a snapshot is there, against its data: two "
        f"rising lines, and a gray band of a few seconds at most. At {rates[0]} or {rates[1]} "
        f"MiB/s: {'; '.join(rows)}.",
    )
