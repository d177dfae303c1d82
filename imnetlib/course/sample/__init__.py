"""A miniature ImageNet, painted from a seed, in the official archives' layout (chapter 1)."""

from imnetlib.course.sample.drawing import draw, is_finished, load, render
from imnetlib.course.sample.layouts import draw_tiny, lay_out, write_kaggle_tables
from imnetlib.course.sample.plan import sample_wnids

__all__ = [
    "draw", "draw_tiny", "is_finished", "lay_out", "load", "render", "sample_wnids",
    "write_kaggle_tables",
]  # fmt: skip
