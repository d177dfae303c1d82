"""What an exercise asks for, a number, a choice or a function, and what becomes of an answer."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from imnetlib.course.exercises import slips
from imnetlib.course.exercises.limits import NoResultError, Nowhere, run_for
from imnetlib.course.exercises.reading import NoNumberError, as_text, read_number, same, shorten
from imnetlib.course.exercises.remarks import described, remark, wrong_kind

# For all hidden cases of a function together.
SECONDS = 10.0
_UNWRITTEN = "write what is missing, with a return at its end, and run the cell again."
_A_WAY_WITHOUT_RETURN = "does every way through it end with a return?"
_PRINTED = "it prints something, but what is printed is lost to its caller; end it with a return."


class Judgement(NamedTuple):
    """Whether an answer is right, and the sentence that says so or gives a hint."""

    is_right: bool
    sentence: str


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


@dataclass(frozen=True, slots=True)
class Slip:
    """A wrong answer that people give: ``wrong`` makes it, ``says`` what it computes.

    ``wrong`` of a number takes nothing, that of a function takes what the function takes.
    """

    wrong: Callable[..., Any]
    says: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number, right where it is the one that is printed with ``digits`` significant digits.

    That is the course's precision, and the only place that says so: a table shows three digits.
    An exercise whose chapter prints another number of them says how many. A ``count`` is right to
    the last one. ``within``: the share by which a prediction may miss.

    ``answer`` computes it; without it the number is the one that the notebook's cell has just
    computed. ``unit`` tells which slips are likely, ``why`` is said of a right answer.
    """

    hint: str
    answer: Callable[[], float] | None = None
    unit: str = ""
    digits: int = 3
    count: bool = False
    within: float = 0.0
    slips: tuple[Slip, ...] = ()
    why: str = ""

    def tolerance(self, expected: float) -> float:
        """How far an answer may be from ``expected``: half a unit of the last printed digit."""
        if self.count or not expected:
            return 0.0
        if self.within:
            return self.within * abs(expected)
        unit = 10.0 ** (math.floor(math.log10(abs(expected))) + 1 - self.digits)
        return unit / 2 * (1 + 1e-9)

    def _is_it(self, given: float, number: float) -> bool:
        return abs(given - number) <= self.tolerance(number)

    def judge(self, answer: object, computed: object) -> Judgement:
        """A number of any type beside the right one; ``computed`` is what the cell has found."""
        if answer is None:
            return Judgement(False, "replace None with your number and run the cell again.")
        try:
            given = run_for(lambda: read_number(answer), SECONDS)
        except NoNumberError as error:
            return Judgement(False, f"{error}.")
        if self.answer is None and computed is None:
            return Judgement(False, "run the whole cell: it computes what your number is held to.")
        expected = self.answer() if self.answer else read_number(computed)
        if self._is_it(given, expected):
            return Judgement(True, self.why)
        own = (slip.says for slip in self.slips if self._is_it(given, slip.wrong()))
        tolerance = self.tolerance(expected)
        general = slips.recognise(given, expected, tolerance, self.unit, is_count=self.count)
        hint = next(own, None) or general or f"Hint: {self.hint}"
        return Judgement(False, f"{slips.say(given)} is not it yet. {_ended(hint)}")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of ``options``: which one the library decides. ``why`` gives the reason.

    ``slips`` says of an option what speaks against it.
    """

    options: tuple[str, ...]
    answer: Callable[[], str]
    why: str
    hint: str
    slips: Mapping[str, str] = field(default_factory=dict)

    def judge(self, answer: object, _computed: object) -> Judgement:
        """The text of an option, in letters of any size, or a NumPy string."""
        listed = ", ".join(f'"{option}"' for option in self.options)
        if answer is None:
            return Judgement(False, f"replace None with one of {listed}.")
        try:
            given = run_for(lambda: as_text(answer), SECONDS).strip().lower()
        except TypeError:
            given = ""
        chosen = [option for option in self.options if option.lower() == given]
        if not chosen:
            shown = run_for(lambda: shorten(answer), SECONDS)
            return Judgement(False, f"{shown} is none of {listed}.")
        if chosen[0] == self.answer():
            return Judgement(True, self.why)
        hint = self.slips.get(chosen[0], f"Hint: {self.hint}")
        return Judgement(False, f'"{chosen[0]}" is not it yet. {_ended(hint)}')


class Case(NamedTuple):
    """What a function is called with; ``shown`` names it where its repr would say little."""

    arguments: tuple[Any, ...]
    shown: str = ""

    def __str__(self) -> str:
        return self.shown or ", ".join(shorten(argument) for argument in self.arguments)


class Outcome(NamedTuple):
    """What a function does with a case: it gives ``found``, or raises ``error``."""

    found: Any = None
    error: Exception | SystemExit | None = None

    @classmethod
    def of(cls, function: Callable[..., Any], case: Case) -> Outcome:
        """Call ``function`` with copies of the case's arguments."""
        try:
            return cls(function(*copy.deepcopy(case.arguments)))
        except (Exception, SystemExit) as error:
            return cls(error=error)

    def is_like(self, other: Outcome) -> bool:
        """Whether both give the same, or raise the same error."""
        if self.error or other.error:
            return repr(self.error) == repr(other.error)
        return same(self.found, other.found)


@dataclass(frozen=True, slots=True)
class Function:
    """A function that has to give what ``solution`` gives, for each of the hidden ``cases``.

    A slip is recognised by what it gives or raises. ``unit``: of a number, as for ``Number``.
    ``why`` is said of a right function.
    """

    solution: Callable[..., Any]
    cases: Callable[[], Iterable[Case]]
    hint: str
    slips: tuple[Slip, ...] = ()
    why: str = ""
    unit: str = ""

    def judge(self, answer: object, _computed: object) -> Judgement:
        """A function, called with copies of each case's arguments, for ``SECONDS`` in all."""
        if not callable(answer):
            text = "a function is asked for: give check its name, without brackets and quotes."
            return Judgement(False, text)
        until = time.monotonic() + SECONDS
        passed: list[Case] = []
        for case in self.cases():
            fault = self._fault(answer, case, passed, until - time.monotonic())
            if fault:
                return Judgement(False, f"for {case}: {fault}")
            passed.append(case)
        return Judgement(True, self.why)

    def _fault(
        self, function: Callable[..., Any], case: Case, passed: Sequence[Case], seconds: float
    ) -> str:
        """What is wrong with what ``function`` does with ``case``, "" where nothing is."""
        expected = self._right(case)
        prints = Nowhere()

        def judged() -> str:
            outcome = Outcome.of(function, case)
            if outcome.error:
                raised = described(outcome.error, function)
                return f"it raises {raised}. {self._hint(outcome, case, passed)}".rstrip()
            if outcome.found is None and expected is not None:
                unwritten = _A_WAY_WITHOUT_RETURN if passed else _UNWRITTEN
                return f"it returns nothing: {_PRINTED if prints.is_used else unwritten}"
            if same(outcome.found, expected):
                return ""
            hint = self._hint(outcome, case, passed)
            return f"it gives {shorten(outcome.found)}, which is not right. {hint}"

        try:
            return run_for(judged, seconds, function, prints)
        except NoResultError as error:
            return str(error)

    def _right(self, case: Case) -> Any:
        return self.solution(*copy.deepcopy(case.arguments))

    def _hint(self, outcome: Outcome, case: Case, passed: Sequence[Case]) -> str:
        """What is said of a slip of this exercise; else what can be seen, and the general hint.

        It is no slip that has failed in one of the cases that the reader's function ``passed``. The
        general hint is about what to compute: it would mislead where the fault is an error, or that
        the result is no list.
        """
        for slip in self.slips:
            passes = (
                Outcome.of(slip.wrong, one).is_like(Outcome(self._right(one))) for one in passed
            )
            if outcome.is_like(Outcome.of(slip.wrong, case)) and all(passes):
                return _ended(slip.says)
        if outcome.error:
            return ""
        expected = self._right(case)
        other_kind = wrong_kind(outcome.found, expected)
        if other_kind:
            return _ended(other_kind)
        seen = remark(outcome.found, expected, self.unit)
        return " ".join(_ended(part) for part in (seen, f"Hint: {self.hint}") if part)


Exercise = Number | Choice | Function
