"""What readers get wrong in the functions that exercises ask for, and what each is told."""

from __future__ import annotations

import linecache
import math
import re
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from imnetlib import course, image, recordio
from imnetlib.course.exercises import EXERCISES
from imnetlib.course.exercises.kinds import Function

FUNCTIONS = {name: one for name, one in EXERCISES.items() if isinstance(one, Function)}
UNWRITTEN = "it returns nothing: write what is missing, with a return at its end"
PRINTED = "it returns nothing: it prints something, but what is printed is lost"


def told(capsys: pytest.CaptureFixture[str], name: str, function: Callable[..., Any]) -> str:
    """What check prints of a wrong function, behind the case; it never tells the result."""
    course.check(name, function)
    (line,) = capsys.readouterr().out.splitlines()
    cases = [*FUNCTIONS[name].cases()]
    case = next(str(case) for case in cases if line.startswith(f"Exercise {name}: for {case}: it "))
    return line.removeprefix(f"Exercise {name}: for {case}: ")


def written(source: str) -> Callable[..., Any]:
    """The function ``answer`` of a cell, whose lines Python knows, as those of a notebook."""
    linecache.cache["<cell>"] = (len(source), None, source.splitlines(keepends=True), "<cell>")
    names: dict[str, Any] = {}
    exec(compile(source, "<cell>", "exec"), names)
    answer: Callable[..., Any] = names["answer"]
    return answer


@pytest.mark.parametrize("name", FUNCTIONS)
class TestOfEachFunction:
    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ("...", UNWRITTEN),
            ("print(given)", PRINTED),
            ("return object()", "which is not right. The result has to be "),
            ("return nothing", "it raises NameError (name 'nothing' is not defined) in line 2, "
             '"return nothing".'),
            ("if given: raise ValueError('no')\n  return 1 / 0", "it raises ValueError (no) in "
             "line 2, \"if given: raise ValueError('no')\"."),
            ("import fractions\n  return fractions.Fraction('x')", "it raises ValueError (Invalid "
             "literal for Fraction: 'x') in line 3, \"return fractions.Fraction('x')\"."),
        ],
    )  # fmt: skip
    def test_what_is_not_written_or_fails(
        self, name: str, body: str, says: str, capsys: pytest.CaptureFixture[str]
    ):
        line = told(capsys, name, written(f"def answer(*given):\n  {body}"))
        assert says in line
        assert "Hint: " not in line

    def test_a_way_without_return(self, name: str, capsys: pytest.CaptureFixture[str]):
        solution = FUNCTIONS[name].solution
        first = next(iter(FUNCTIONS[name].cases())).arguments
        line = told(capsys, name, lambda *given: solution(*given) if same(given, first) else None)
        assert line == "it returns nothing: does every way through it end with a return?"

    def test_a_call_in_place_of_the_function(self, name: str, capsys: pytest.CaptureFixture[str]):
        course.check(name, FUNCTIONS[name].solution(*next(iter(FUNCTIONS[name].cases())).arguments))
        said = "a function is asked for: give check its name, without brackets and quotes."
        assert capsys.readouterr().out == f"Exercise {name}: {said}\n"

    def test_what_is_done_to_a_right_result(self, name: str, capsys: pytest.CaptureFixture[str]):
        solution = FUNCTIONS[name].solution
        kind = type(solution(*next(iter(FUNCTIONS[name].cases())).arguments))
        for spoil, says in SPOILED[kind]:
            line = told(capsys, name, lambda *given, spoil=spoil: spoil(solution(*given)))
            assert re.search(rf"which is not right\. ({says})( Hint: |$)", line)
            assert ("Hint: " in line) == (" has to be " not in line)


def same(given: tuple[Any, ...], first: tuple[Any, ...]) -> bool:
    return all(map(np.array_equal, map(np.array, map(str, given)), map(np.array, map(str, first))))


SHAPE = r"Its shape is \(.*\), and \(.*\) is asked for\."
FEW = r"It has too few items\."
SPOILED: dict[type, list[tuple[Callable[[Any], Any], str]]] = {
    bool: [(str, r"The result has to be True or False\.")],
    list: [
        (lambda right: right[:-1], rf"The last one is missing\.|{FEW}"),
        (lambda right: right[1:], rf"The (last|first) one is missing\.|{FEW}"),
        (lambda right: [], FEW),
        (lambda right: [*right, *right], r"It has too many items\."),
        (lambda right: right[::-1], r"All are there, but in another order\."),
        (set, r"The result has to be a list\."),
        (lambda right: [*map(len, right)], r"Each of its items has to be (a text|bytes)\."),
    ],
    dict: [
        (lambda right: dict([*right.items()][:-1]), r"Some keys are missing\."),
        (lambda right: right | {"more": 1}, r"Some of its keys do not belong there\."),
        (lambda right: {k: n + 1 for k, n in right.items()}, r"It is off by one: .*\?"),
        (lambda right: [*right.values()], r"The result has to be a dict\."),
    ],
    int: [
        (lambda right: right + 1, r"It is off by one: .*\?"),
        (str, r"The result has to be a number\."),
    ],
    float: [
        (lambda right: 2 * right, r"It is off by a factor of two: .*\?|A share is .*\?"),
        (lambda right: -right, r"Its sign is wrong: .*\?"),
        (lambda right: [right], r"The result has to be a number\."),
        (bool, r"The result has to be a number\."),
    ],
    str: [
        (str.upper, r"Capital letters are not the same as small ones\."),
        (lambda right: right[:-2], r"Its first half is right, what follows is not\."),
        (str.encode, r"The result has to be a text\."),
    ],
    np.ndarray: [
        (lambda right: right[None], SHAPE),
        (lambda right: right[1:], rf"The first one is missing\.|{SHAPE}"),
        (lambda right: right.ravel()[:-1], rf"The last one is missing\.|{SHAPE}"),
        (lambda right: right.sum(), r"The result has to be an array\."),
    ],
}  # fmt: skip


def rate(done: float, epochs: float, warmup: float) -> float:
    past = done - warmup
    return done / warmup if past < 0 else (1 + math.cos(math.pi * past / (epochs - warmup))) / 2


def salvage_byte_by_byte(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at + 8 <= len(data):
        magic, length = struct.unpack_from("<II", data, at)
        behind = at + 8 + length + -length % 4
        is_sound = magic == recordio.MAGIC and behind <= len(data)
        found += [data[at + 8 : at + 8 + length]] if is_sound else []
        at = behind if is_sound else at + 1
    return found


def salvage_to_the_last_byte(data: bytes) -> list[bytes]:
    found = []
    at = 0
    while at < len(data):
        magic, length = struct.unpack_from("<II", data, at)
        behind = at + 8 + length + -length % 4
        is_sound = magic == recordio.MAGIC and behind <= len(data)
        found += [data[at + 8 : at + 8 + length]] if is_sound else []
        at = behind if is_sound else at + 4
    return found


def bgr(jpeg: bytes) -> Any:
    return image.decode(jpeg)[..., ::-1]


def number(name: str) -> int:
    return int(name.removesuffix(".JPEG").rpartition("_")[2])


def range_of(headers: dict[str, str]) -> str:
    return headers.get("Content-Range", "")


TYPICAL: list[tuple[str, Callable[..., Any], str]] = [
    ("0.2", lambda classes: sorted(n for n, k in Counter(c[0] for c in classes).items() if k > 2),
     "It has too few items. Hint: count the first names"),
    ("0.2", lambda classes: sorted(Counter(n for names in classes for n in names)),
     "It has too many items. Hint: count the first names"),
    ("0.2", lambda classes: max(names[0] for names in classes), "has to be a list."),
    ("0.3", lambda wnids: len(set(wnids)), "The result has to be a dict."),
    ("0.3", lambda wnids: {wnid: wnids.count(wnid) - 1 for wnid in wnids}, "It is off by one: "),
    ("1.2", lambda held, etag, status, headers: headers["ETag"] == etag,
     "200 means that the whole file comes once more."),
    ("1.2", lambda held, etag, status, headers: f"bytes {held}-" in range_of(headers),
     "Hint: three things must hold: the status"),
    ("1.2", lambda held, etag, status, headers: (
        status == 206 and headers["ETag"] == etag and f"bytes {held}-" in range_of(headers)),
     "it raises KeyError ('ETag') in line "),
    ("1.2", lambda held, etag, status, headers: (
        status == 206 and headers.get("ETag") == etag and f"bytes {held}" in range_of(headers)),
     '"bytes 3000-" begins with "bytes 300", too: what comes behind the number?'),
    ("2.2", lambda names, wnids: [wnids[number(name)] for name in names],
     "That is the label after the right one: the files count from 1."),
    ("2.2", lambda names, wnids: [wnids[number(name) - 2] for name in names],
     "Hint: the number in a name counts from 1"),
    ("2.2", lambda names, wnids: [wnids[number(name) - 1] for name in sorted(names)],
     "Those are the labels in the order of the list"),
    ("2.2", lambda names, wnids: [wnids[int(name[-12:]) - 1] for name in names],
     "it raises ValueError (invalid literal for int() with base 10: '0000001.JPEG') in line "),
    ("2.2", lambda names, wnids: np.array([wnids, wnids, wnids]), "items has to be a text."),
    ("2.3", lambda ids, synsets: [synsets[one - 1][1] for one in ids],
     "Nobody says in which order the rows of the table come."),
    ("2.3", lambda ids, synsets: [dict(row[:2] for row in synsets)[one] for one in ids[:-1]],
     "The last one is missing. Hint: "),
    ("3.2", lambda files, n_bytes, iops, rate: max(files / iops, n_bytes / rate) / 3600,
     "Those are the seeks alone: the disk seeks, and then it reads."),
    ("3.2", lambda files, n_bytes, iops, rate: n_bytes / rate / 3600, "Those are the bytes alone"),
    ("3.2", lambda files, n_bytes, iops, rate: files / iops + n_bytes / rate,
     "Seconds, minutes, hours or days are mixed in it. Hint: "),
    ("3.2", lambda files, n_bytes, iops, rate: (files / iops + n_bytes / rate) // 3600,
     "What stands behind the decimal point is lost: is there a // or an int() in it? Hint: "),
    ("4.2", salvage_byte_by_byte, "It has too many items. Hint: the next record begins behind"),
    ("4.2", salvage_to_the_last_byte, "Does the loop end where fewer than 8 bytes are left?"),
    ("4.2", lambda data: (payload for payload in [data]), "The result has to be a list."),
    ("4.2", lambda data: struct.unpack("<II", data), "it raises error (unpack requires a buffer"),
    ("4.3", lambda jpeg: bgr(jpeg)[::-1], "That turns the picture: its axes are height, width and"),
    ("4.3", lambda jpeg: bgr(jpeg)[:, ::-1], "That turns the picture: its axes are height, width"),
    ("4.3", lambda jpeg: np.flip(bgr(jpeg)), "That turns the picture: its axes are height, width"),
    ("4.3", lambda jpeg: bgr(jpeg).transpose(2, 0, 1), "Its shape is (3, "),
    ("4.3", bgr, "Hint: look at one pixel of a picture whose colour you know."),
    ("6.2", lambda steps: max(sum(writes.values()) for _, writes in steps),
     "That is the most that one step writes"),
    ("6.2", lambda steps: sum(sum(writes.values()) for _, writes in steps),
     "That is the sum of all results"),
    ("6.3", lambda steps: {name: n for n, (reads, _) in enumerate(steps) for name in reads},
     "Some keys are missing. Hint: each result has the number of one step"),
    ("6.3", lambda steps: {
        name: n for n, step in enumerate(steps, 1) for names in step for name in names},
     "It is off by one: are the first and the last one counted? Hint: "),
    ("7.3", lambda records, seed, epoch, position: (
        np.random.default_rng((epoch, seed)).permutation(records)[position:]),
     "The generator is to be made of (seed, epoch), in this order."),
    ("7.3", lambda records, seed, epoch, position: (
        np.random.default_rng((seed, epoch)).permutation(records)[:position]),
     "Its shape is (0,), and (10,) is asked for. Hint: "),
    ("7.4", lambda epoch, step, steps, epochs, warmup: rate(epoch + step // steps, epochs, warmup),
     "It stays the same for a whole epoch: the step counts, too."),
    ("7.4", lambda epoch, step, steps, epochs, warmup: rate(epoch + step, epochs, warmup),
     "Hint: print the rate over all steps"),
    ("7.4", lambda epoch, step, steps, epochs, warmup: (
        epoch / warmup if epoch + step == 0 else rate(epoch + step / steps, epochs, warmup)),
     "it raises ZeroDivisionError (division by zero) in line "),
    ("8.2", lambda probabilities, labels, k, columns: 100 * np.mean(
        probabilities.argmax(axis=1) == labels), "A share is 1 at most"),
    ("8.2", lambda probabilities, labels, k, columns: int(
        (probabilities.argmax(axis=1) == labels).sum()), "A share is 1 at most"),
    ("8.2", lambda probabilities, labels, k, columns: probabilities.argmax(axis=0) == labels,
     "it raises ValueError (operands could not be broadcast together with shapes (3,) (4,))"),
    ("8.3", lambda chosen, labels: int((chosen == labels).sum()), "A share is 1 at most"),
    ("8.3", lambda chosen, labels: (chosen == labels).sum() // len(labels), "It is 0: is some"),
    ("9.2", lambda node, children, p: sum(p[one] for one in [node, *children[node]]),
     "it raises KeyError ('spruce') in line "),
    ("9.2", lambda node, children, p: max(p.get(one, 0) for one in [node, *children.get(node, ())]),
     "Hint: collect the distinct nodes at or under it first, then add up."),
    ("9.3", lambda scores, error: sorted(scores)[math.ceil((len(scores) + 1) * (1 - error))],
     "Python counts the places of a list from 0."),
    ("9.3", lambda scores, error: scores[math.ceil((len(scores) + 1) * (1 - error)) - 1],
     "Are the scores in ascending order?"),
    ("9.3", lambda scores, error: sorted(scores)[math.ceil((len(scores) + 1) * (1 - error)) - 1],
     "it raises IndexError (list index out of range) in line "),
    ("10.3", lambda turns: np.concatenate(turns).mean(axis=1), "Its shape is (5,), and (2,) is"),
    ("10.3", lambda turns: sum(turn.sum(axis=0) for turn in turns) / len(turns), "is the sum"),
    ("10.3", lambda turns: [[1.0], [2.0, 3.0]], "Its rows have several lengths. Hint: "),
    ("10.3", lambda turns: np.concatenate(turns).mean(), "The result has to be an array."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "function", "says"), TYPICAL)
def test_a_typical_slip_is_told(
    name: str, function: Callable[..., Any], says: str, capsys: pytest.CaptureFixture[str]
):
    assert says in told(capsys, name, function)
