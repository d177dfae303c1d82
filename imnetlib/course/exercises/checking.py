"""The check that a notebook calls."""

from __future__ import annotations

from imnetlib.course.exercises import (
    backup_to_training,
    evaluation_to_gpus,
    start_to_validation,
    throughput_and_packing,
)
from imnetlib.course.exercises.kinds import Exercise

_OF_CHAPTERS = (start_to_validation, throughput_and_packing, backup_to_training, evaluation_to_gpus)
EXERCISES: dict[str, Exercise] = {
    name: exercise for module in _OF_CHAPTERS for name, exercise in module.EXERCISES.items()
}


def check(exercise: str, answer: object = None, computed: object = None) -> None:
    """Print whether ``answer`` is right, or else a hint that does not give it away; never raises.

    ``answer`` is a number of any type, a choice or a function. ``computed``: what the cell has just
    measured or computed, where the answer is a prediction of that. A function has ten seconds.
    """
    name = str(exercise)
    if name not in EXERCISES:
        print(f"There is no exercise {name!r}.")
        return
    try:
        is_right, sentence = EXERCISES[name].judge(answer, computed)
    except Exception as error:
        is_right, sentence = False, f"this answer cannot be judged ({type(error).__name__})."
    said = f"right. {sentence}".strip() if is_right else sentence
    print(f"Exercise {name}: {said}")
