"""Predictions kept and judged: top-k in any label space, confusions, calibration (chapter 8)."""

from imnetlib.evaluate.judgement import Judgement, align, judge, permutation_suspected
from imnetlib.evaluate.likelihood import brier_score, fit_temperature, log_loss, with_temperature
from imnetlib.evaluate.metrics import (
    NEVER,
    TopK,
    best_columns,
    calibration,
    confusions,
    labels_for,
    ranks,
    top_k_accuracy,
    wilson,
)
from imnetlib.evaluate.outputs import Outputs, read_outputs
from imnetlib.evaluate.predictions import Predictions, save_predictions
from imnetlib.evaluate.scores import (
    probability_blocks,
    probability_rows,
    require_probabilities,
    row_blocks,
    softmax,
)

__all__ = [
    "NEVER", "Judgement", "Outputs", "Predictions", "TopK", "align", "best_columns", "brier_score",
    "calibration", "confusions", "fit_temperature", "judge", "labels_for", "log_loss",
    "permutation_suspected", "probability_blocks", "probability_rows", "ranks", "read_outputs",
    "require_probabilities", "row_blocks", "save_predictions", "softmax", "top_k_accuracy",
    "wilson", "with_temperature",
]  # fmt: skip
