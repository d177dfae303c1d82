"""The exercises as the notebooks ask them: solutions pass, stubs and slips get their hint."""

from __future__ import annotations

import ast
import decimal
import fractions
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import nbformat
import numpy as np
import pytest

from imnetlib import catalog, course, throughput
from imnetlib.course import runner
from imnetlib.course.exercises import EXERCISES, kinds, throughput_and_packing
from imnetlib.course.exercises.kinds import Case, Choice, Function, Number, Slip

KINDS = ("Predict, then run", "Write", "Find the bug", "Decide")
ASKED = re.compile(rf"\*\*(\d+\.\d) · ({'|'.join(KINDS)})\.\*\* (.+)", re.DOTALL)
SOLVED = re.compile(r"<details><summary>Solution</summary>\n\n```python\n(.*?)```", re.DOTALL)


class Asked(NamedTuple):
    """An exercise of a notebook: its kind, the chapter's imports, its cell, its solution."""

    kind: str
    imports: str
    stub: str
    solution: str


def asked_in(chapter: Path) -> dict[str, Asked]:
    cells = nbformat.read(chapter, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    of_chapter = next((source for source in code if "import " in source), "")
    # PyTorch and MXNet may not be installed.
    lines = [line for line in of_chapter.splitlines() if not re.search("torch|mxnet", line)]
    imports = "\n".join(lines)
    found = {}
    for text, stub, behind in zip(cells, cells[1:], cells[2:], strict=False):
        asked = ASKED.search(text.source)
        if asked and stub.cell_type == "code":
            (solution,) = SOLVED.findall(behind.source)
            found[asked[1]] = Asked(asked[2], imports, stub.source, solution)
    return found


CHAPTERS = runner.find_chapters([])
FOUND = {name: asked for chapter in CHAPTERS for name, asked in asked_in(chapter).items()}
NAMES = sorted(EXERCISES, key=lambda name: [*map(int, name.split("."))])
NUMBERS = [name for name in NAMES if isinstance(EXERCISES[name], Number)]
CHOICES = [name for name in NAMES if isinstance(EXERCISES[name], Choice)]
FUNCTIONS = [name for name in NAMES if isinstance(EXERCISES[name], Function)]


def run(name: str, source: str) -> None:
    """Run a cell with its chapter's imports, and what chapter 3 has named."""
    names: dict[str, Any] = {"hdd": throughput.DEVICES[0], "decode_rate": 1400.0}
    exec(FOUND[name].imports, names)
    exec(source, names)


def solved(name: str) -> str:
    """The cell with the solution in place of what the reader has to write."""
    cell = ast.parse(FOUND[name].stub)
    solution = ast.parse(FOUND[name].solution)
    written = {made for node in solution.body for made in names_made(node)}
    kept = [node for node in cell.body if not written & set(names_made(node))]
    before = [node for node in kept if not is_check(node)]
    checks = [node for node in kept if is_check(node)]
    return ast.unparse(ast.Module([*before, *solution.body, *checks], []))


def names_made(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def is_check(node: ast.stmt) -> bool:
    return "course.check" in ast.unparse(node)


def computed_by(name: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """What the cell of a number computes, None where the check does."""
    handed: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(course, "check", lambda *given: handed.extend(given[2:]))
        run(name, FOUND[name].stub)
    return handed[0] if handed else None


def said(capsys: pytest.CaptureFixture, *given: object) -> str:
    """The line that check prints, which it does whatever it is given."""
    course.check(*given)
    captured = capsys.readouterr()
    assert captured.err == ""
    (line,) = captured.out.splitlines()
    return line


def test_every_exercise_is_asked_once_and_every_chapter_has_three_of_two_kinds():
    assert sorted(FOUND) == sorted(EXERCISES)
    for chapter in range(11):
        own = [name for name in FOUND if name.startswith(f"{chapter}.")]
        kinds_there = [FOUND[name].kind for name in own]
        assert len(kinds_there) >= 3
        assert len(set(kinds_there)) >= 2
    all_kinds = [asked.kind for asked in FOUND.values()]
    assert min(all_kinds.count(kind) for kind in KINDS) >= 9


@pytest.mark.parametrize("name", NAMES)
class TestAsked:
    def test_the_solution_is_right(self, name: str, capsys: pytest.CaptureFixture):
        run(name, solved(name))
        assert f"Exercise {name}: right." in capsys.readouterr().out.splitlines()[-1]

    def test_the_untouched_cell_is_not_and_says_what_to_do(
        self, name: str, capsys: pytest.CaptureFixture
    ):
        run(name, FOUND[name].stub)
        (line,) = capsys.readouterr().out.splitlines()
        todo = r"replace None with|returns nothing: write what is|which is not right\. [A-Z]"
        assert re.match(rf"Exercise {re.escape(name)}: .*({todo})", line)

    def test_the_stored_output_is_what_the_cell_prints(
        self, name: str, capsys: pytest.CaptureFixture
    ):
        chapter = next(path for path in CHAPTERS if int(path.stem[:2]) == int(name.split(".")[0]))
        cells = nbformat.read(chapter, as_version=4).cells
        (cell,) = (cell for cell in cells if cell.source == FOUND[name].stub)
        run(name, FOUND[name].stub)
        assert [output.text for output in cell.outputs] == [capsys.readouterr().out]


def tells(line: str, answer: float) -> bool:
    """Whether a line holds the number in one of the ways in which it may be written."""
    written = {f"{answer:,}", f"{answer}", f"{answer:,.3g}", f"{answer:.3g}", f"{answer:,.0f}"}
    return any(re.search(rf"(?<![\d.,]){re.escape(one)}(?![\d.,]*\d)", line) for one in written)


@pytest.mark.parametrize("name", NUMBERS)
class TestNumbers:
    @pytest.fixture
    def computed(self, name: str, monkeypatch: pytest.MonkeyPatch) -> object:
        return computed_by(name, monkeypatch)

    @pytest.fixture
    def right(self, name: str, computed: Any) -> float:
        exercise = EXERCISES[name]
        assert isinstance(exercise, Number)
        return exercise.answer() if exercise.answer else computed

    def test_its_own_slips_get_their_hints(
        self, name: str, computed: object, right: float, capsys: pytest.CaptureFixture
    ):
        exercise = EXERCISES[name]
        assert isinstance(exercise, Number)
        for slip in exercise.slips:
            line = said(capsys, name, slip.wrong(), computed)
            assert slip.says in line
            assert not tells(line.partition("is not it yet")[2], right)

    @pytest.mark.parametrize(
        ("times", "hint"),
        [
            (10, "by a factor of ten"),
            (1000, "by a factor of a thousand"),
            (0.01, "by a factor of a hundred|percent are asked for"),
            (1e6, "by several factors of a thousand"),
            (1e-4, "by a power of ten"),
            (-1, "Its sign is wrong"),
        ],
    )
    def test_slips_of_all_arithmetic_get_theirs(
        self,
        name: str,
        computed: object,
        right: float,
        times: float,
        hint: str,
        capsys: pytest.CaptureFixture,
    ):
        line = said(capsys, name, right * times, computed)
        assert re.search(f"is not it yet. .*({hint})", line)
        assert not tells(line.partition("is not it yet")[2], right)

    def test_slips_of_its_unit_get_theirs(
        self, name: str, computed: object, right: float, capsys: pytest.CaptureFixture
    ):
        exercise = EXERCISES[name]
        assert isinstance(exercise, Number)
        wrong: dict[float, str] = {}
        if exercise.unit in ("MB", "GB"):
            wrong |= {right * 1e9 / 2**30: "mixed in it: KB, MB", right * 8: "Bits and bytes"}
        if exercise.unit == "hours":
            wrong |= {right * 60: "Seconds, minutes, hours", right / 24: "Seconds, minutes, hours"}
        if exercise.count:
            wrong |= {right - 1: "off by one", right + 1: "off by one", right - 0.4: "whole number"}
        for given, hint in wrong.items():
            own = [slip.says for slip in exercise.slips if slip.wrong() == given]
            line = said(capsys, name, given, computed)
            assert any(one in line for one in (hint, *own))
            assert not tells(line.partition("is not it yet")[2], right)


def test_a_quality_that_is_not_the_best_is_told_on_which_side_it_is(capsys: pytest.CaptureFixture):
    for quality in (60, 75, 90, 95):
        is_above = throughput_and_packing.kilobytes(quality) > 17.6
        side = "above 17.6 KB" if is_above else "below 17.6 KB with it, and with a higher one"
        assert f"The mean is {side}" in said(capsys, "4.4", quality)


@pytest.mark.parametrize("name", CHOICES)
def test_each_wrong_choice_is_told_why(name: str, capsys: pytest.CaptureFixture):
    exercise = EXERCISES[name]
    assert isinstance(exercise, Choice)
    right = exercise.answer()
    assert sorted(exercise.slips) == sorted(set(exercise.options) - {right})
    for option, hint in exercise.slips.items():
        line = said(capsys, name, option)
        assert line == f'Exercise {name}: "{option}" is not it yet. {hint}.'
    for given in (right, f" {right.upper()}\n", np.array(right), np.str_(right)):
        assert said(capsys, name, given) == f"Exercise {name}: right. {exercise.why}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_function_is_told_the_case_and_its_slip_but_not_the_result(
    name: str, capsys: pytest.CaptureFixture
):
    exercise = EXERCISES[name]
    assert isinstance(exercise, Function)
    results = [str(exercise.solution(*case.arguments)) for case in exercise.cases()]
    cases = [str(case) for case in exercise.cases()]
    for slip in exercise.slips:
        line = said(capsys, name, slip.wrong)
        assert slip.says in line
        (shown,) = (case for case in cases if line.startswith(f"Exercise {name}: for {case}: it "))
        hint = re.split(r"which is not right\.|it raises \w+ ", line.removeprefix(shown))[1]
        assert not any(result in hint for result in results if len(result) > 2)


class Odd:
    """Fails at whatever it is asked for."""

    def _fail(self, *_: object) -> Any:
        raise RuntimeError("no")

    __repr__ = __str__ = __float__ = __int__ = __len__ = __iter__ = __array__ = _fail
    __eq__ = __lt__ = __sub__ = __bool__ = __getattr__ = _fail
    __hash__ = None


class Quits:
    def __float__(self) -> float:
        raise SystemExit

    def __repr__(self) -> str:
        raise KeyboardInterrupt


ODD: list[Any] = [
    None, True, "7", b"7", "", [], (), {}, set(), [1, 2], [[None]], {"a": 1}, 1j, float("nan"),
    float("inf"), 10**400, -(10**400), decimal.Decimal("NaN"), decimal.Decimal("sNaN"),
    decimal.Decimal("1e999"), fractions.Fraction(10**400, 3), np.nan, np.array([]), np.arange(3),
    np.array(["a"]), np.array([None]), np.datetime64("2026-11-26"), np.bool_(True), np.eye(2),
    iter([]), (x for x in ()), range(3), int, Odd, Odd(), Quits(), ..., NotImplemented, np, len,
    lambda: 1, lambda *_: None, lambda *_: Odd(), lambda *_: [Odd()], lambda *_: np.arange(6),
    lambda *_: iter([]), lambda *_: {"a": Odd()}, lambda *_: float("nan"), lambda *_: 10**400,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_check_never_raises(name: str, capsys: pytest.CaptureFixture):
    for answer in ODD:
        for computed in (12.5, None, "x", Odd()):
            line = said(capsys, name, answer, computed)
            assert line.startswith(f"Exercise {name}: ")
            assert "right" not in line.replace("is not right", "")


@pytest.mark.parametrize("name", ["11.1", "", 4, None, Ellipsis])
def test_an_exercise_that_there_is_not_is_named(name: Any, capsys: pytest.CaptureFixture):
    assert said(capsys, name, 5) == f"There is no exercise {str(name)!r}."


def forever(*_: object) -> None:
    # On one line, which no other line follows.
    while True: pass  # fmt: skip  # noqa: E701


def forever_in_print(*_: object) -> None:
    while True:
        print("again")


def sleepy(*_: object) -> None:
    time.sleep(1)


def endless(*arguments: object) -> object:
    return endless(*arguments)


def quits(*_: object) -> None:
    raise SystemExit(1)


def spoils(files: dict[str, int], stored: dict[str, int]) -> list[str]:
    files.clear()
    stored.clear()
    return ["send manifest"]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (forever, "it takes too long: does a loop never end?"),
        (forever_in_print, "it takes too long: does a loop never end?"),
        (sleepy, "it takes too long: does a loop never end? It cannot be ended and still runs: "
               "restart the kernel."),
        (endless, "it raises RecursionError (maximum recursion depth exceeded"),
        (quits, "it raises SystemExit (1) in line "),
        (spoils, "it gives ['send manifest'], which is not right. It has too few items. Hint: "),
        (lambda *_: Odd(), "it gives a value of type Odd, which is not right. The result has to "),
        (lambda files: files, "it raises TypeError ("),
        (lambda files, stored: (f for f in files), "it gives <generator object "),
    ],
)  # fmt: skip
def test_what_a_function_does_instead_is_said(
    function: Callable, says: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kinds, "SECONDS", 0.2)
    line = said(capsys, "5.4", function)
    assert line.startswith(f"Exercise 5.4: for {{'a.rec': 11, 'b.rec': 22}}, {{}}: {says}")


def test_a_loop_is_stopped_where_it_keeps_no_lock_of_another_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(kinds, "SECONDS", 0.01)
    elsewhere: dict[str, Any] = {"lock": threading.Lock()}
    exec("def count():\n  lock.acquire()\n  sum(range(999))\n  lock.release()", elsewhere)

    def loop(*_: object) -> None:
        while True:
            elsewhere["count"]()

    for _ in range(20):
        assert "does a loop never end?" in said(capsys, "5.4", loop)
        assert not elsewhere["lock"].locked()


def test_a_function_may_print_and_change_its_arguments(capsys: pytest.CaptureFixture):
    def noisy(scores: list[float], error: float) -> float:
        print("hello")
        scores.sort()
        place = int(np.ceil((len(scores) + 1) * (1 - error)))
        return np.float32(np.inf) if place > len(scores) else scores[place - 1]

    assert said(capsys, "9.3", noisy).startswith("Exercise 9.3: right.")


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Judges an answer to an exercise of the test's own."""

    def asked(exercise: kinds.Exercise, *given: object) -> str:
        monkeypatch.setitem(EXERCISES, "test", exercise)
        return said(capsys, "test", *given).removeprefix("Exercise test: ")

    return asked


@pytest.mark.parametrize(
    "given",
    [
        5005, 5005.0, np.int64(5005), np.float32(5005), np.array(5005), np.array([5005.0]), [5005],
        (5005,), decimal.Decimal("5005"), fractions.Fraction(10010, 2), np.array([[5005]], "u2"),
        SimpleNamespace(item=lambda: 5005), SimpleNamespace(asscalar=lambda: np.float32(5005)),
    ],
)  # fmt: skip
def test_a_number_may_come_in_any_type(given: Any, ask: Callable[..., str]):
    assert ask(Number("", count=True), given, 5005) == "right."


@pytest.mark.parametrize(
    ("given", "right"),
    [("23", True), ("22.548", True), ("22.1", True), ("22", False), ("23.1", False), ("24", False)],
)
def test_a_number_is_right_to_the_digits_that_are_printed(
    given: str, right: bool, ask: Callable[..., str]
):
    line = ask(Number("", answer=lambda: 22.548, digits=2), decimal.Decimal(given))
    assert (line == "right.") == right


@pytest.mark.parametrize(
    ("given", "shown"), [(5004.56, "5,004.56"), (5004, "5,004"), (5004.9999999, "5,004.9999999")]
)
def test_a_wrong_number_is_not_rounded_to_the_right_one(
    given: float, shown: str, ask: Callable[..., str]
):
    assert ask(Number("", answer=lambda: 5005, count=True), given).startswith(f"{shown} is not it")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (0.044, "It is upside down"),
        (22.6, "It is nearly right: round to the nearest"),
        (20, "Hint: think."),
    ],
)
def test_other_slips(given: float, says: str, ask: Callable[..., str]):
    number = Number("think", answer=lambda: 1 / 0.044)
    assert says in ask(number, given)


def test_a_slip_of_the_exercise_comes_before_those_of_all_arithmetic(ask: Callable[..., str]):
    slip = Slip(lambda: 50, "That is the whole crate?")
    number = Number("", answer=lambda: 5, slips=(slip,))
    assert ask(number, 50) == "50 is not it yet. That is the whole crate?"


def test_a_wrong_way_that_fails_itself_is_no_hint(ask: Callable[..., str]):
    slip = Slip(lambda n: 1 / 0, "never said")
    asked = Function(lambda n: n, lambda: [Case((7,))], "give it back", (slip,))
    assert ask(asked, lambda n: 2) == "for 7: it gives 2, which is not right. Hint: give it back."


def test_what_has_failed_before_is_not_the_slip(ask: Callable[..., str]):
    slip = Slip(lambda n: 0, "never said")
    asked = Function(lambda n: n, lambda: [Case((7,)), Case((9,))], "give it back", (slip,))
    line = ask(asked, lambda n: 7 if n == 7 else 0)
    assert line == "for 9: it gives 0, which is not right. Hint: give it back."


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_what_an_exercise_names_is_not_what_a_later_cell_reads(chapter: Path):
    cells = nbformat.read(chapter, as_version=4).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    stubs = [asked.stub for asked in asked_in(chapter).values()]
    behind = code[max(map(code.index, stubs), default=len(code)) + 1 :]
    assert named(stubs, ast.Store) & named(behind, ast.Load) == set()


def named(sources: list[str], use: type[ast.expr_context]) -> set[str]:
    """The names that cells set or read outside of functions."""
    nodes = [node for source in sources for node in ast.parse(source).body]
    outside = [node for node in nodes if not isinstance(node, ast.FunctionDef)]
    names = [name for node in outside for name in ast.walk(node) if isinstance(name, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, use)}


def test_the_names_that_only_wnids_tell_apart_are_those_of_the_set():
    exercise = EXERCISES["0.2"]
    assert isinstance(exercise, Function)
    names = [catalog.classes()[wnid].names for wnid in catalog.wnids_1k()]
    assert exercise.solution(names) == ["crane", "maillot"]
