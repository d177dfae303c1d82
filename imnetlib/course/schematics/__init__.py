"""Schematics: one idea each, drawn and put in words from the numbers that a chapter hands in."""

from imnetlib.course.schematics.files import broken_download, epoch_order, record_bytes, tar_of_tars
from imnetlib.course.schematics.networks import inception_block, shared_descendant, training_step

__all__ = [
    "broken_download", "epoch_order", "inception_block", "record_bytes", "shared_descendant",
    "tar_of_tars", "training_step",
]  # fmt: skip
