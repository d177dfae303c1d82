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
from imnetlib.course.charts.networks import (
    accuracy_against_bits,
    buffers,
    calibration,
    confusions,
    learning_curve,
    memory_in_use,
    parameters,
    plans,
    reading,
    relations,
    step_memory,
    top_k,
)

__all__ = [
    "accuracy_against_bits", "buffers", "calibration", "confusions", "disk_steps",
    "download_hours", "hours_per_epoch", "image_sizes", "images_per_class", "learning_curve",
    "memory_in_use", "orders", "parameters", "plans", "reading", "relations", "roofline",
    "size_and_quality", "step_memory", "top_k", "until_loaded",
]  # fmt: skip
