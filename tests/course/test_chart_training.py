"""What the learning curve shows, where there is nothing to show."""

from __future__ import annotations

from imnetlib.course import charts


def test_a_training_that_has_not_begun():
    figure, alt = charts.learning_curve([])
    figure.draw_without_rendering()
    assert alt.endswith("the loss of 0 batches: no epoch is finished yet.")
