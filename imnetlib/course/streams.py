"""What an executed cell has printed, as a reader sees it at its end: a bar is its last line."""

from __future__ import annotations

import re
from typing import Any

# A bar of imnetlib.progress: what it is about, the part that is done, and in brackets how fast.
_BAR = re.compile(r"(?P<what>.*): +(?P<percent>\d+)%\|(?P<drawn>[^|]*)\| \S+ \[(?P<speed>[^]]*)\]")
_TIMES = re.compile(r"\d+:\d\d\S*|.*/s|.*\ds/ .*|\?.*")


def settle(notebook: Any, *, timeless: bool = False) -> None:
    """Join what each cell has printed, and leave of each bar the line that it has ended with.

    When a kernel hands over what is printed is a matter of chance. ``timeless``: without times and
    rates in the lines of bars, which are others in each run.
    """
    for cell in notebook.cells:
        joined: list[Any] = []
        for output in cell.get("outputs", ()):
            before = joined[-1] if joined else {}
            printed = output.output_type == "stream" == before.get("output_type")
            if printed and output.name == before["name"]:
                before["text"] += output.text
            else:
                joined.append(output)
        for output in joined:
            if output.output_type == "stream":
                output.text = last_states(output.text, timeless=timeless)
        if cell.cell_type == "code":
            cell.outputs = joined


def last_states(text: str, *, timeless: bool = False) -> str:
    """``text`` with one line for each bar: the last one, and of a line what was written last."""
    lines: list[str] = []
    for written in text.split("\n"):
        end = "\r" if written.endswith("\r") else ""
        line = written.rstrip("\r").rpartition("\r")[2] + end
        if lines and _goes_on(lines[-1], line):
            lines.pop()
        lines.append(line)
    return "\n".join(map(_without_times, lines) if timeless else lines)


def _goes_on(before: str, line: str) -> bool:
    """Whether a line is a later state of the bar in the line before it."""
    first = _BAR.match(before)
    then = _BAR.match(line)
    if not first or not then or first["what"] != then["what"]:
        return False
    is_full = set(first["drawn"]) <= {"#", "█"}
    return not is_full and int(first["percent"]) <= int(then["percent"])


def _without_times(line: str) -> str:
    bar = _BAR.match(line)
    if not bar:
        return line
    kept = ", ".join(part for part in bar["speed"].split(", ") if not _TIMES.fullmatch(part))
    told = f" [{kept}]" if kept else ""
    return line[: bar.start("speed") - 2] + told + line[bar.end() :]
