"""Figures about disks and volumes: what they deliver, and when (chapters 3 and 5)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imnetlib.course import plots
from imnetlib.course.charts.times import ticks_of_time, told
from imnetlib.course.findings import TRAINING_RATE
from imnetlib.course.plots import Drawing
from imnetlib.throughput import GB, HOUR, MIB, Device, images_per_second

# Each disk of chapter 3 in all of its figures, by the first part of its name; others are gray.
DISKS = {
    "WD Black": plots.BLUE, "Samsung 850 PRO": plots.ORANGE, "EBS gp3": plots.GREEN,
    "this disk": plots.BROWN,
}  # fmt: skip


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
    ticks_of_time(axis.yaxis)
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
