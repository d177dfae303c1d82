"""Predictions kept and judged: top-k in any label space, confusions, calibration (chapter 8)."""

from imnetlib.evaluate.metrics import (
    NEVER,
    TopK,
    calibration,
    confusions,
    ranks,
    row_blocks,
    top,
    top_k,
    wilson,
)
from imnetlib.evaluate.predictions import Predictions, save_predictions

__all__ = [
    "NEVER", "Predictions", "TopK", "calibration", "confusions", "ranks", "row_blocks",
    "save_predictions", "top", "top_k", "wilson",
]  # fmt: skip
