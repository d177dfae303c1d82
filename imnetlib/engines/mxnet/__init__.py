"""MXNet 1.9.1, its last release, made to import beside NumPy 1.26.

MXNet needs ``numpy.bool``, which NumPy removed in 1.24, and nothing else that is missing. It also
reports on stderr that oneDNN is at work, once for each network it binds: that is switched off.
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
# MXNet looks for both while it is imported.
vars(numpy).setdefault("bool", bool)
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")

import mxnet as mx  # noqa: E402

__all__ = ["mx"]
