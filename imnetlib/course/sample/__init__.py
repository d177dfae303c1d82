"""A miniature ImageNet, painted by code from a seed, in the official archives' layout (chapter 1)."""

from imnetlib.course.sample.drawing import draw, load, render, sample_wnids

__all__ = ["draw", "load", "render", "sample_wnids"]
