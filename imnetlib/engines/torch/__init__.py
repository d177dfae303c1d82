"""PyTorch: training on GPUs of today, on a Mac and on CPUs, and what feeds it (chapter 10)."""

import importlib.util
import os

if importlib.util.find_spec("torch") is None:
    raise ImportError(
        "PyTorch is not installed: make run ENGINE=torch brings it, elsewhere pip install "
        "'imnetlib[torch]'; https://pytorch.org/get-started/locally names the build for a GPU",
        name="torch",
    )
# Threads that compute would wait for each other in a busy loop, on cores that others need: on two
# busy ones a step took four times as long. PyTorch looks for it while it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
