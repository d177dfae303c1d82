"""PyTorch: training on GPUs of today, on a Mac and on CPUs, and what feeds it (chapter 10)."""

import importlib.util
import os

if importlib.util.find_spec("torch") is None:
    raise ImportError(
        "PyTorch is not installed: make run ENGINE=torch brings it, elsewhere pip install "
        "'imnetlib[torch]'; https://pytorch.org/get-started/locally names the build for a GPU",
        name="torch",
    )
# PyTorch reads both while it is imported. Its threads wait for each other's part of each operation.
# Where they sleep at once, two cores train the sample at 230 images/s, where they look around for a
# moment before that at 380. Long looking, as is GNU's default, takes the cores from others: with
# two busy programs beside it 82 images/s, against 120.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
