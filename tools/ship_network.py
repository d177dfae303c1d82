"""Take the network that chapter 7 has trained into data/network, for chapters 8 and 9.

First run the chapter by MXNet, ``imnet run 7 -p engine mxnet``; the argument is another root.
"""

from __future__ import annotations

import dataclasses
import shutil
import sys

from imnetlib import course, engines
from imnetlib.course import steps


def ship(root: str) -> None:
    """Copy the last checkpoint, without what only going on with the training needs."""
    checkpoints = course.open_root(root).checkpoints
    trained = engines.load_checkpoint(checkpoints, steps.RECIPE.network)
    if trained.recipe != steps.RECIPE or not trained.finished:
        raise ValueError(f"{checkpoints} has no finished network of chapter 7's defaults")
    shutil.rmtree(steps.SHIPPED, ignore_errors=True)
    steps.SHIPPED.mkdir()
    engines.save_checkpoint(dataclasses.replace(trained, position={}, state={}), steps.SHIPPED)


if __name__ == "__main__":
    ship(*(sys.argv[1:] or ["data/sample"]))
