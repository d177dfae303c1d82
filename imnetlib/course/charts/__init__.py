"""Figures whose drawing teaches nothing: a chapter hands in its numbers and gets a figure back."""

from imnetlib.course.charts.archives import disk_steps, download_times
from imnetlib.course.charts.disks import hours_per_epoch, image_sizes, roofline, until_loaded
from imnetlib.course.charts.hierarchy import compared, icicle, operating_curve, reading, splits
from imnetlib.course.charts.images import strange_files, strange_kinds
from imnetlib.course.charts.memory import (
    buffers,
    by_batch,
    frontier,
    network,
    parameters,
    plans,
    step_memory,
    timeline,
)
from imnetlib.course.charts.networks import calibration, confusions, top_k
from imnetlib.course.charts.records import middles, orders, size_and_quality
from imnetlib.course.charts.training import crops, hours, learning_curve, losses, rates

__all__ = [
    "buffers", "by_batch", "calibration", "compared", "confusions", "crops", "disk_steps",
    "download_times", "frontier", "hours", "hours_per_epoch", "icicle", "image_sizes",
    "learning_curve", "losses", "middles", "network", "operating_curve",
    "orders", "parameters", "plans", "rates", "reading", "roofline", "size_and_quality", "splits",
    "step_memory", "strange_files", "strange_kinds", "timeline", "top_k", "until_loaded",
]  # fmt: skip
