"""MXNet 1.9.1, its last release, made to import beside NumPy 1.26.

MXNet uses ``numpy.bool``, which NumPy took away in 1.24; putting the name back is all it needs.
"""

import numpy

vars(numpy).setdefault("bool", bool)

import mxnet as mx  # noqa: E402  # only after that line

__all__ = ["mx"]
