"""MXNet 1.9.1, its last release, made to import beside any NumPy from 1.26 on.

MXNet also reports on stderr that oneDNN is at work, once for each network it binds: that is
switched off.
"""

import importlib.util
import os

from imnetlib.engines.mxnet.names import old_numpy_for_mxnet, rename_tostring

if importlib.util.find_spec("mxnet") is None:
    raise ImportError(
        "MXNet is not installed: it has a wheel for Linux on x86-64 only. There, or in a "
        "container, pip install 'imnetlib[mxnet]' brings it; on Python 3.13 and later, also "
        "pip install --no-deps mxnet==1.9.1.",
        name="mxnet",
    )
# MXNet looks for it while it is imported.
os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")

try:
    with old_numpy_for_mxnet():
        import mxnet as mx
    rename_tostring(mx.recordio)
except OSError as error:
    raise ImportError(
        f"MXNet's library can't be loaded: {error}. In a checkout of the course, "
        "tools/lend_libraries.py gives it what a system lacks; elsewhere install libgomp1 and "
        "libquadmath0 (Debian's names).",
        name="mxnet",
    ) from error

__all__ = ["mx"]
