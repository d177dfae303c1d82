"""What earlier chapters leave for later ones: verified in the root, or built for the sample."""

from imnetlib.course.steps.networks import RECIPE, SHIPPED, trained
from imnetlib.course.steps.predictions import (
    adopt,
    predict,
    predicted,
    prediction_folder,
    require_outputs,
    rows_in,
)
from imnetlib.course.steps.preparing import Step, prepare
from imnetlib.course.steps.records import shard_folder, shards

__all__ = [
    "RECIPE", "SHIPPED", "Step", "adopt", "predict", "predicted", "prediction_folder", "prepare",
    "require_outputs", "rows_in", "shard_folder", "shards", "trained",
]  # fmt: skip
