"""How this library compares with each peer, where it is behind, and why."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from measured_machines import Machine, rounds_of
from measured_markdown import as_markdown, escaped, times
from results import BUSY, Table, Way, number

# What a benchmark is about, where all of them are in one table; in the page's order.
SUBJECTS = {
    "loader": "load crops",
    "cores": "load crops by cores",
    "gpu": "feed a GPU",
    "pack": "pack",
    "recordio": "read records",
    "archive": "read archives",
    "whole_way": "unpack into class folders",
    "backup": "back up and restore",
    "imagelist": "lists",
    "winter21": "winter21",
    "evaluate": "judge predictions",
    "wordnet": "the hierarchy",
    "memory": "plan the memory of training",
    "engines": "train",
    "growth": "growth",
    "probe": "the probe of a disk",
    "crop": "decode a part",
}
# A probe is to say what other programs reach, and not more.
NOT_A_RACE = ("probe",)
# What a way is behind by, in this share or in dB, at least, and in each of its rounds.
LEAST_BEHIND = 0.01
LEAST_DECIBELS = 0.1
# The peer that each job is told against, and not only the range.
LEADING = "FFCV"


class Reason(NamedTuple):
    """Why rows of ``benchmark`` are behind: ``row`` fits "title, what: way"."""

    benchmark: str
    row: str
    why: str


REASONS = (
    Reason(
        "pack", r"256, quality 90, PSNR.*: imnetlib$",
        "Shrunk by area: Pillow's bicubic filter is nearer to the Lanczos filter of the reference, "
        "and takes more bytes. And simplejpeg encodes with the fast, less exact DCT.",
    ),
    Reason(
        "pack", r"enlarged, PSNR.*: imnetlib$",
        "simplejpeg encodes with the fast, less exact DCT, OpenCV with the exact one.",
    ),
    Reason(
        "pack", r"256, quality 90, its start not counted: imnetlib$",
        "im2rec.py shrinks bilinearly without smoothing, which takes less than half the time of "
        "the shrinking by area, and stores worse pictures in more bytes.",
    ),
    Reason(
        "memory", r"plan a step's memory: imnetlib, by offsets$",
        "It is in Python, MXNet's plan in C++; a plan is made once, and takes less than a step.",
    ),
    Reason(
        "backup", r"(?<!peak memory): imnet$",
        "rclone, s5cmd and restic are compiled and start at once; imnet, like aws, starts Python "
        "first, and boto3 takes some 2 ms of a processor for a request. s5cmd sends 256 requests "
        "at a time, imnet 16, and restic puts small files into a few large ones. imnet takes a "
        "checksum of each file, keeps and reads a manifest, and proves by it what it restores.",
    ),
    Reason(
        "backup", r"peak memory: imnet$",
        "It is in Python as aws is, and up to 16 parts of 8 MB are under way.",
    ),
)  # fmt: skip


class Pair(NamedTuple):
    """A way of ours beside one of a peer, in one table."""

    machine: Machine
    benchmark: str
    table: Table
    ours: Way
    theirs: Way

    @property
    def peer(self) -> str:
        """The peer, whatever it decodes with, or by how many threads."""
        return self.theirs.name.split(", ")[0]

    @property
    def stands_for_us(self) -> bool:
        """Whether ours is held against this peer: the way that ends as its name, else the first.

        "2 threads" is so held against "2 threads".
        """
        end = f", {self.theirs.name.rpartition(', ')[2]}"
        alike = (way for way in self.table.ways if way.ours and way.values)
        fair = (way for way in alike if way.name.endswith(end))
        return self.ours is next(fair, self.table.ours)

    @property
    def differences(self) -> list[float]:
        """How much better ours is in each round: of decibels the difference, else the share."""
        if self.table.unit == "dB":
            return [a - b for a, b in zip(self.ours.values, self.theirs.values, strict=True)]
        ratios = self.table.ratios(self.ours.name, self.theirs.name)
        return [ratio - 1 for ratio in ratios]

    @property
    def is_behind(self) -> bool:
        """Whether ours is worse in every round, and in the middle by more than a trifle."""
        least = LEAST_DECIBELS if self.table.unit == "dB" else LEAST_BEHIND
        return max(self.differences) < 0 and -statistics.median(self.differences) > least

    @property
    def told(self) -> str:
        """How much better ours is: "1.37 ×", "−0.6 dB"."""
        middle = statistics.median(self.differences)
        if self.table.unit == "dB":
            return f"{middle:+.1f} dB".replace("-", "−")
        return f"{times(1 + middle)} ×"

    @property
    def few(self) -> str:
        """How many rounds, in brackets, where their middle is that of one or two."""
        rounds = rounds_of([self.table]) if len(self.ours.values) < 3 else ""
        return rounds and f" ({rounds})"


def pairs(machines: Iterable[Machine]) -> Iterator[Pair]:
    """Each way of ours beside each of a peer, subject by subject."""
    for benchmark in SUBJECTS:
        for machine in machines:
            tables = machine.tables.get(benchmark, ())
            limits = {(table.title, table.limit) for table in tables}
            for table in tables:
                able = [way for way in table.ways if way.values]
                measured = [way for way in able if (table.title, way.name) not in limits]
                for ours in measured:
                    theirs = (way for way in measured if ours.ours and not way.ours)
                    yield from (Pair(machine, benchmark, table, ours, way) for way in theirs)


def is_speed(table: Table) -> bool:
    """Whether it is a job's time or rate, and no memory, disk or processor time."""
    return table.what != BUSY and (table.unit in ("s", "hours") or table.unit.endswith("/s"))


def beside_peers(machines: Sequence[Machine]) -> str:
    """How many times as fast ours is as each peer; then every job of the leading one."""
    return "\n".join([*ranges(machines), *leading(machines)])


def ranges(machines: Sequence[Machine]) -> Iterator[str]:
    """A table for each machine: how many times as fast ours is as each peer, in each subject."""
    for machine in machines:
        speeds: dict[tuple[str, str], list[Pair]] = {}
        busy: dict[tuple[str, str], list[Pair]] = {}
        for pair in pairs([machine]):
            if not pair.stands_for_us or pair.benchmark in NOT_A_RACE:
                continue
            if is_speed(pair.table):
                speeds.setdefault((pair.peer, pair.benchmark), []).append(pair)
            elif pair.table.what == BUSY:
                busy.setdefault((pair.peer, pair.benchmark), []).append(pair)
        lines = [["peer", "what", "jobs", "times as fast", BUSY, "median of"]]
        for key in sorted(speeds, key=lambda key: key[0] != LEADING):
            count = str(len({pair.table.heading for pair in speeds[key]}))
            ends = [extent(of.get(key, ())) for of in (speeds, busy)]
            rounds = rounds_of(pair.table for pair in speeds[key])
            lines.append([key[0], SUBJECTS[key[1]], count, *ends, rounds])
        if speeds:
            yield f"**Each peer** ({escaped(machine.label)})\n\n{as_markdown(lines)}"


def extent(pairs: Iterable[Pair]) -> str:
    """From the least to the greatest of the ratios."""
    ratios = [1 + statistics.median(pair.differences) for pair in pairs]
    ends = dict.fromkeys(map(times, (min(ratios), max(ratios)))) if ratios else ()
    return " to ".join(ends)


def leading(machines: Sequence[Machine]) -> Iterator[str]:
    """A table for each machine: every figure of ours that the leading peer has one beside."""
    for machine in machines:
        shown = [p for p in pairs([machine]) if p.stands_for_us and p.peer == LEADING]
        busy = {pair.table.title: pair.told for pair in shown if pair.table.what == BUSY}
        lines = [["", "this library", LEADING, "better by", BUSY]]
        for pair in shown:
            if pair.table.what != BUSY:
                sides = [number(way.median) for way in (pair.ours, pair.theirs)]
                core = "" if pair.table.what else busy.get(pair.table.title, "")
                what = f"{pair.table.heading}, {pair.table.unit}{pair.few}"
                lines.append([what, *sides, pair.told, core])
        if shown:
            head = f"**Each figure beside {LEADING}** ({escaped(machine.label)})"
            yield f"{head}\n\n{as_markdown(lines, '---:')}"
        else:
            yield f"{LEADING} was not measured on {machine.label}.\n"


def behind(machines: Sequence[Machine]) -> dict[tuple[str, str], list[Pair]]:
    """The rows of ours that are behind peers, by benchmark and "title, what: way"."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs(machines):
        if pair.is_behind and pair.benchmark not in NOT_A_RACE:
            row = f"{pair.table.heading}: {pair.ours.name}"
            found.setdefault((pair.benchmark, row), []).append(pair)
    return found


def reasons_for(benchmark: str, row: str) -> list[Reason]:
    """Why a row is behind, where that is known."""
    return [each for each in REASONS if each.benchmark == benchmark and re.search(each.row, row)]


def where_behind(machines: Sequence[Machine]) -> str:
    """A list for each machine: each reason, and below it what of ours is behind which peers."""
    lines = []
    for machine in machines:
        found: dict[str, list[str]] = {}
        for (benchmark, row), of in behind([machine]).items():
            peers = "; ".join(f"{pair.told} {pair.theirs.name}" for pair in of)
            why = " ".join(each.why for each in reasons_for(benchmark, row)) or "Not looked into."
            found.setdefault(why, []).append(f"  - {escaped(f'{row}{of[0].few}: {peers}')}")
        if found:
            lines.append(f"On {escaped(machine.label)}:\n")
            for why, rows in found.items():
                lines += [f"- {escaped(why)}", *rows]
            lines.append("")
    return "\n".join(lines) or "Nothing is.\n"


def reasons_to_mend(machines: Sequence[Machine]) -> list[str]:
    """Rows that are behind without a reason, and reasons without such a row."""
    rows = [*behind(machines)]
    used = {reason for row in rows for reason in reasons_for(*row)}
    lacking = [
        f"behind without a reason: {': '.join(row)}" for row in rows if not reasons_for(*row)
    ]
    measured = {benchmark for machine in machines for benchmark in machine.tables}
    idle = [each for each in REASONS if each.benchmark in measured and each not in used]
    return lacking + [f"a reason without a row: {each.benchmark}: {each.row}" for each in idle]
