"""PyTorch: training on GPUs of today, on a Mac and on CPUs, and what feeds it (chapter 10)."""

import importlib.util

if importlib.util.find_spec("torch") is None:
    raise ImportError(
        "PyTorch is not installed: make run ENGINE=torch brings it, elsewhere pip install "
        "'imnetlib[torch]'; https://pytorch.org/get-started/locally names the build for a GPU",
        name="torch",
    )
