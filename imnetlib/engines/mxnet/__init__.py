"""MXNet 1.9.1, its last release, made to import beside NumPy 1.26.

MXNet uses ``numpy.bool``, which NumPy took away in 1.24; putting the name back is all it needs. It
also reports on stderr, for each network it makes ready, that oneDNN is at work: a notebook need not
show that.
"""

import importlib.util
import os

import numpy

if importlib.util.find_spec("mxnet") is None:
    raise ImportError(
        "MXNet is not installed: it has wheels for Linux on x86-64 with Python 3.11 or 3.12 only. "
        "There, or in a container, pip install 'imnetlib[mxnet]' brings it.",
        name="mxnet",
    )
vars(numpy).setdefault("bool", bool)
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")

import mxnet as mx  # noqa: E402  # only after those lines

__all__ = ["mx"]
