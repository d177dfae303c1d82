"""Figures whose drawing teaches nothing: a chapter hands in its numbers and gets a figure back."""

from imnetlib.course.charts.data import (
    disk_steps,
    download_hours,
    hours_per_epoch,
    image_sizes,
    images_per_class,
    orders,
    roofline,
    size_and_quality,
    until_loaded,
)
from imnetlib.course.charts.hierarchy import compared, icicle, operating_curve, reading, splits
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
from imnetlib.course.charts.training import crops, hours, learning_curve, losses, rates

__all__ = [
    "buffers", "by_batch", "calibration", "compared", "confusions", "crops", "disk_steps",
    "download_hours", "frontier", "hours", "hours_per_epoch", "icicle", "image_sizes",
    "images_per_class", "learning_curve", "losses", "network", "operating_curve",
    "orders", "parameters", "plans", "rates", "reading", "roofline", "size_and_quality", "splits",
    "step_memory", "timeline", "top_k", "until_loaded",
]  # fmt: skip
