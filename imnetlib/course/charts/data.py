"""Figures about archives, disks, images and shards (chapters 1 to 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from imnetlib.course import plots
from imnetlib.throughput import DAY, GB, HOUR, MB, MIB, BudgetRow, Device, images_per_second


def download_hours(n_bytes: float, rate: float) -> Figure:
    """Hours for ``n_bytes`` by download rate, with a dot at ``rate`` MB/s (chapter 1)."""
    rates = np.geomspace(min(0.1, rate), max(1000, rate), 200)
    seconds = n_bytes / (rate * MB)
    figure, axis = plots.axes()
    axis.loglog(rates, n_bytes / (rates * MB) / HOUR, color=plots.BLUE)
    axis.loglog(rate, seconds / HOUR, "o", color=plots.RED, markersize=9)
    axis.text(rate * 1.3, 25 * seconds / DAY, f"{rate:g} MB/s: {seconds / DAY:.2g} days")
    axis.axhline(24, color=plots.GRAY, linewidth=1)
    axis.text(700, 27, "one day", color=plots.GRAY, ha="right")
    axis.set(xlabel="download rate, MB/s", ylabel="hours")
    axis.set_title(f"Time to download {n_bytes / GB:.0f} GB")
    plots.plain_numbers(axis)
    return figure


def disk_steps(budgets: Mapping[str, Sequence[BudgetRow]]) -> Figure:
    """What each step adds to the disk, for each data set, beside 1,000 GB (chapter 1)."""
    figure, axis = plots.axes(height=2.6)
    names = list(budgets)
    for rows, color in zip(zip(*budgets.values(), strict=True), plots.COLORS, strict=False):
        left = [(row.total - row.needs) / GB for row in rows]
        needs = [row.needs / GB for row in rows]
        axis.barh(names, needs, left=left, color=color, label=rows[0].step)
    axis.axvline(1000, color=plots.BLACK, linewidth=1.5)
    axis.text(1030, 0, "the article's 1,000 GB", va="center")
    axis.set(xlabel="GB, one step after the other")
    axis.set_title("The 1,000 classes fit on the article's volume, the full set does not")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.legend(
        loc="upper left", bbox_to_anchor=(0, -0.25), ncols=4, columnspacing=1, handlelength=1
    )
    return figure


def images_per_class(
    counts: Mapping[str, int], strange: Mapping[str, int], expected: Mapping[str, int]
) -> Figure:
    """Images of each class, strange ones on top, and the expected number if known (chapter 2)."""
    by_size = sorted(counts, key=lambda wnid: (-counts[wnid], wnid))
    every = np.array([counts[wnid] for wnid in by_size])
    plain = every - [strange.get(wnid, 0) for wnid in by_size]
    wanted = [expected.get(wnid, 0) for wnid in by_size]
    edges = np.arange(len(by_size) + 1)
    figure, axis = plots.axes(height=3)
    # One outline each: 21,841 bars would take minutes to draw.
    axis.stairs(plain, edges, fill=True, color=plots.SKY, label="plain colour JPEG")
    few = f"strange ({sum(strange.values()):,})"
    axis.stairs(every, edges, baseline=plain, fill=True, color=plots.RED, label=few)
    if expected:
        axis.stairs(wanted, edges, color=plots.BLACK, linewidth=1, label="expected")
    axis.set(xlabel="classes, the largest first", ylabel="images")
    axis.set_ylim(0, 1.12 * max(*counts.values(), *wanted))
    axis.set_title("Training images by class")
    axis.legend(loc="lower left", bbox_to_anchor=(0, -0.42), ncols=3)
    return figure


def hours_per_epoch(hours: Mapping[str, Mapping[str, float]]) -> Figure:
    """Hours to read the set once by device and by pattern of reads, on a log scale (chapter 3)."""
    figure, axis = plots.axes(height=4.4)
    rows = range(len(hours))
    patterns = next(iter(hours.values()))
    for pattern, marker in zip(patterns, "osD", strict=True):
        values = [found[pattern] for found in hours.values()]
        axis.plot(values, rows, marker, markersize=8, label=pattern)
    axis.set(xscale="log", xlabel="hours per epoch")
    axis.set_yticks(rows, list(hours))
    plots.plain_numbers(axis)
    axis.invert_yaxis()
    axis.grid(axis="x", alpha=0.3)
    axis.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.4, 1.0))
    return figure


def roofline(
    disks: Mapping[str, float],
    gpu_rate: float,
    decode_rate: float,
    cores: int,
    image_bytes: float,
    pace: float,
) -> Figure:
    """Images/s against decoding cores, under the roofs of disks and GPUs (chapter 3).

    Args:
        disks: images/s that each disk delivers, by its name.
        gpu_rate: images/s that your GPU trains.
        decode_rate: images/s that one core decodes.
        cores: how many you have.
        image_bytes: the size of an image, for the title.
        pace: images/s at which you train.
    """
    highest = max(*disks.values(), gpu_rate)
    lowest = min(disks.values())
    span = np.array([lowest / 4, 3 * highest]) / decode_rate
    figure, axis = plots.axes(width=8.5, height=4.6)
    axis.loglog(span, decode_rate * span, color=plots.BLACK, label="decoding")
    colors = dict(zip(disks, plots.COLORS, strict=False))
    for name, rate in sorted(disks.items(), key=lambda disk: -disk[1]):
        _roof(axis, rate, rate / decode_rate, name, color=colors[name])
    _roof(axis, gpu_rate, gpu_rate / decode_rate, "your GPU", color=plots.BLACK, linestyle="--")
    _roof(axis, 170, 170 / decode_rate, "four GPUs of 2015", color=plots.GRAY, linestyle="--")
    axis.axvline(cores, color=plots.GRAY, linestyle=":", label=f"your cores: {cores}")
    axis.plot(cores, pace, "*", color=plots.BLACK, markersize=14, label=f"you: {pace:,.0f}")
    axis.set(xlim=(span[0] / 2, max(span[1], 2 * cores)), ylim=(lowest / 4, 3 * highest))
    axis.set(xlabel="cores that decode; at a kink, how many", ylabel="images/s")
    axis.set_title(f"The lowest roof decides: images of {image_bytes / 1000:,.0f} KB")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    plots.plain_numbers(axis)
    axis.grid(alpha=0.3)
    return figure


def _roof(axis: Any, rate: float, kink: float, name: str, **style: str) -> None:
    """A flat roof, from its kink on the line of decoding to the right edge."""
    axis.plot([kink, 1e6], [rate, rate], label=f"{name}: {rate:,.0f}", **style)
    axis.plot(kink, rate, "o", color=style["color"])
    axis.annotate(f"{kink:.2g}", (kink, rate), (-6, 3), textcoords="offset points", ha="right")


def image_sizes(
    disks: Sequence[Device],
    gpu_rate: float,
    decode_rate: float,
    cores: int,
    marked: Mapping[str, float],
) -> Figure:
    """Images/s of disks, cores and GPU by KB an image; ``marked`` sizes by name (chapter 3)."""
    sizes = np.geomspace(2, 500, 100)
    figure, axis = plots.axes(width=8, height=4)
    for disk, color in zip(disks, plots.COLORS, strict=False):
        delivered = [images_per_second(disk.sequential, size * 1000) for size in sizes]
        name = disk.name.removesuffix(", 1 at a time")
        axis.loglog(sizes, delivered, color=color, label=name)
    axis.axhline(gpu_rate, color=plots.BLACK, linestyle="--", label="GPU")
    decoding = {"color": plots.GRAY, "linestyle": ":"}
    axis.axhline(cores * decode_rate, label=f"{cores} decoding cores", **decoding)
    for name, kilobytes in marked.items():
        axis.axvline(kilobytes, color=plots.GRAY, linewidth=0.8)
        axis.text(kilobytes * 1.05, 30, name, color=plots.BLACK)
    axis.set(xlabel="KB per image, packed", ylabel="images/s", ylim=(20, None))
    axis.set_title("Smaller images, faster disk")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    plots.plain_numbers(axis)
    return figure


def size_and_quality(grid: Mapping[int, Sequence[tuple[float, float]]], note_kb: float) -> Figure:
    """PSNR against KB an image, a line for each short edge, a dot for each quality (chapter 4)."""
    figure, axis = plots.axes(height=4)
    for (edge, points), color, marker in zip(grid.items(), plots.COLORS, "osD^", strict=False):
        kilobytes, decibels = zip(*points, strict=True)
        axis.plot(kilobytes, decibels, marker=marker, color=color, label=f"short edge {edge}")
    axis.axvline(note_kb, color=plots.GRAY, linewidth=1)
    bottom = axis.get_ylim()[0] + 0.3
    axis.text(note_kb * 1.03, bottom, f"the note: {note_kb:.1f} KB", color=plots.GRAY)
    axis.set(xlabel="KB per image", ylabel="PSNR to the original at that size, dB")
    axis.set_title("What compression costs")
    axis.legend()
    plots.plain_numbers(axis)
    return figure


def orders(shuffles: Mapping[str, npt.NDArray[np.int64]]) -> Figure:
    """Where in the files each record of an epoch is stored, a panel for each order (chapter 4)."""
    figure, panels = plots.axes(8, 3, columns=len(shuffles))
    for axis, (title, order) in zip(panels, shuffles.items(), strict=True):
        axis.plot(order, ".", markersize=1.5)
        axis.set(title=title, xlabel="place in the epoch", xticks=[0, 1000, 2000], yticks=[])
    panels[0].set(ylabel="place in the files", yticks=[0, 1000, 2000])
    return figure


def until_loaded(loads: Mapping[str, float], rates: tuple[int, int]) -> Figure:
    """Time until a volume's last byte is there, at the ``rates`` in MiB/s (chapter 5)."""
    gigabytes = np.geomspace(0.03, 3000, 50)
    figure, axis = plots.axes(height=4)
    axis.axhspan(0.01, 10, color=plots.SKY, alpha=0.35, linewidth=0)
    axis.text(2600, 6.5, "a few seconds", ha="right", va="center")
    for rate, color, style in zip(rates, (plots.ORANGE, plots.BLUE), ("--", "-"), strict=True):
        times = gigabytes * GB / (rate * MIB)
        axis.loglog(gigabytes, times, style, color=color, label=f"{rate} MiB/s")
    for (what, n_bytes), marker in zip(loads.items(), "osD^", strict=True):
        best = n_bytes / (rates[-1] * MIB)
        axis.plot(n_bytes / GB, best, marker, color=plots.BLACK, markersize=8, label=what)
    axis.set(xlabel="GB on the volume", ylabel="time until the last block is there")
    axis.set(xlim=(0.03, 3000), ylim=(0.1, 40_000))
    axis.set_title("A volume from a snapshot is there at once; its data are not")
    axis.legend(loc="upper left")
    plots.plain_numbers(axis)
    names = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36_000: "10 h"}
    axis.set_yticks(list(names), list(names.values()))
    return figure
