"""The arithmetic of I/O, a probe that measures a disk, and the disk budget (chapters 1 and 3).

Needs NumPy and the standard library only.
"""

from imnetlib.throughput.arithmetic import (
    DAY,
    DEVICES,
    GB,
    GIB,
    HOUR,
    MB,
    MIB,
    PAGE,
    TB,
    TIB,
    Device,
    Feed,
    bottleneck,
    bytes_per_image,
    epochs,
    hours_per_epoch,
    images_per_second,
    say_bottleneck,
    seconds_random,
    seconds_seek_per_file,
    seconds_sequential,
    stage_rates,
    to_feed,
)
from imnetlib.throughput.budget import BudgetRow, disk_budget
from imnetlib.throughput.disk import QUEUE_DEPTHS, Probe, probe

__all__ = [
    "DAY", "DEVICES", "GB", "GIB", "HOUR", "MB", "MIB", "PAGE", "QUEUE_DEPTHS", "TB", "TIB",
    "BudgetRow", "Device", "Feed", "Probe", "bottleneck", "bytes_per_image", "disk_budget",
    "epochs", "hours_per_epoch", "images_per_second", "probe", "say_bottleneck",
    "seconds_random", "seconds_seek_per_file", "seconds_sequential", "stage_rates", "to_feed",
]  # fmt: skip
