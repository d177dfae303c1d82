"""Predictions kept and judged: top-k in any label space, confusions, calibration (chapter 8)."""

from imnetlib.evaluate.metrics import (
    NEVER,
    TopK,
    best_columns,
    calibration,
    confusions,
    ranks,
    row_blocks,
    top_k_accuracy,
    wilson,
)
from imnetlib.evaluate.predictions import Predictions, save_predictions

__all__ = [
    "NEVER",
    "Predictions",
    "TopK",
    "best_columns",
    "calibration",
    "confusions",
    "ranks",
    "row_blocks",
    "save_predictions",
    "top_k_accuracy",
    "wilson",
]  # fmt: skip
