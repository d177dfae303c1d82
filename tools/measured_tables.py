"""Write the tables of measured figures anew from what the benchmarks leave in data/benchmarks.

    python tools/measured_tables.py

In docs/measured.md the text between ``<!-- measured: NAME -->`` and ``<!-- end -->`` is the tables
of that benchmark, each machine's for itself, or one of PARTS: what comes first on the page (how
ours compares with each peer, and where it is behind) and last (the runs). In README.md it is the
short table, a row for each of ROWS. What no machine has measured stays as it is written there.
``docs/figures`` gets a figure of the growth on each machine. A test fails while the texts say
otherwise, and while REASONS does not hold a reason for each row of ours that is behind.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "benchmarks"))

from results import BUSY, CHECKOUT, Table, Way, number

from imnetlib.course import plots

BENCHMARKS = CHECKOUT / "data" / "benchmarks"
PAGE = CHECKOUT / "docs" / "measured.md"
README = CHECKOUT / "README.md"
FIGURES = CHECKOUT / "docs" / "figures"
REGION = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
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
# Columns of figures that fit beside each other; of more, ways become the columns.
MOST_COLUMNS = 6
# The peer that each job is told against, and not only the range.
LEADING = "FFCV"


class Reason(NamedTuple):
    """Why rows of ``benchmark`` are behind: ``row`` fits "title, what: way"."""

    benchmark: str
    row: str
    why: str


REASONS = (
    Reason("loader", r": imnetlib, 1 thread$", "One thread, where the peers have two."),
    Reason(
        "pack", r"256, quality 90, PSNR.*: imnetlib$",
        "Shrunk by area: Pillow's bicubic filter is nearer to the Lanczos filter of the reference, "
        "and takes more bytes. And simplejpeg encodes with the fast, less exact DCT.",
    ),
    Reason(
        "pack", r"enlarged by both, PSNR.*: imnetlib$",
        "simplejpeg encodes with the fast, less exact DCT, OpenCV with the exact one.",
    ),
    Reason(
        "backup", r"(?<!peak memory): imnet$",
        "rclone, s5cmd and restic are compiled and start at once; imnet, like aws, starts Python "
        "first. It takes a checksum of each file, keeps a manifest, and proves by it what it "
        "restores.",
    ),
    Reason(
        "backup", r"peak memory: imnet$", "It is in Python as aws is, and has NumPy in memory too.",
    ),
    Reason(
        "probe", r"random reads.*: imnet probe$",
        "A thread of Python for each read in flight, all under one lock: it finds what a reader in "
        "Python can have of the disk; fio is compiled.",
    ),
)  # fmt: skip


class Row(NamedTuple):
    """A row of the README's table: ``title`` matches "title, what" of a table of ``benchmark``.

    ``job`` may name groups of that match. Where the peer is the table's limit, the share of it is
    shown.
    """

    job: str
    benchmark: str
    title: str
    peers: tuple[str, ...]
    ours: str


FED = r"^train inception-21k, [^:]*bfloat16%s$"
ROWS = (
    Row(
        r"load random-resized crops of 224 pixels, \1 KB a photo, uint8", "loader",
        r"^load photos of 341 x 256, (3\d) KB, as random-resized crops, uint8 NHWC$",
        ("FFCV", "MXNet iterator", "torchvision, PIL"), "imnetlib, 2 threads",
    ),
    Row(
        r"load random-resized crops of 224 pixels, \1 KB a photo, float32", "loader",
        r"^load photos of 341 x 256, (3\d) KB, as random-resized crops, float32 NCHW$",
        ("FFCV", "MXNet iterator", "torchvision, PIL"), "imnetlib, 2 threads",
    ),
    Row(
        "pack photos of 500 x 375, short edge 256", "pack", r"short edge 256, quality 90$",
        ("im2rec.py", "WebDataset", "FFCV"), "imnetlib",
    ),
    Row(
        r"from a tar of class tars of \1 photos to records", "pack",
        r"^from a tar of class tars of ([\d,]+) photos to records$",
        ("tar and im2rec.py",), "imnet",
    ),
    Row(
        r"disk taken on the way to records of \1 photos", "pack",
        r"^from a tar of class tars of ([\d,]+) photos.*, disk taken",
        ("tar and im2rec.py",), "imnet",
    ),
    Row(
        r"read records of \1 bytes, CRC-32 of each", "recordio",
        r"^read .* CRC-32 of each, (4,096) bytes each$",
        ("mxnet MXRecordIO.read",), "our RecordReader",
    ),
    Row(
        r"index a tar of \1 images in class tars", "archive",
        r"^index a tar of ([\d,]+) members, in class tars$",
        ("tarfile",), "our index_tar",
    ),
    Row(
        "feed the note's network on one GPU from records", "gpu", FED % "",
        ("one batch that stays on the GPU",), "fed by processes",
    ),
    Row(
        "feed the same network, compiled by PyTorch", "gpu", FED % ", torch.compile",
        ("one batch that stays on the GPU",), "fed by processes",
    ),
)  # fmt: skip


@dataclass
class Machine:
    """A folder of JSONs: each benchmark's tables, and what it was measured on."""

    name: str
    tables: dict[str, list[Table]] = field(default_factory=dict)
    abouts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def about(self) -> dict[str, Any]:
        """What its first benchmark was measured on."""
        return next(iter(self.abouts.values()))

    @property
    def label(self) -> str:
        """Processor, cores and GPU."""
        about = self.about
        processor = re.sub(r"\((?:R|TM)\)", "", str(about["processor"]))
        parts = [processor, f"{about['cores']} cores", str(about.get("gpu", ""))]
        return ", ".join(part for part in parts if part)

    def job(self, benchmark: str, title: str) -> list[Table]:
        """The tables of a job, [] where it was not measured here."""
        return [table for table in self.tables.get(benchmark, ()) if table.title == title]


def read_machines(folder: Path) -> list[Machine]:
    """What is measured in ``folder``: first the machine with most benchmarks."""
    machines = []
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        machine = Machine(place.name)
        for path in sorted(place.glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            machine.abouts[path.stem] = content["machine"]
            machine.tables[path.stem] = [read_table(table) for table in content["tables"]]
        if machine.tables:
            machines.append(machine)
    return sorted(machines, key=lambda machine: -len(machine.tables))


def read_table(content: dict[str, Any]) -> Table:
    """A table out of its JSON."""
    ways = [Way(way["name"], tuple(way["values"]), way["failure"]) for way in content.pop("ways")]
    return Table(**content, ways=tuple(ways))


def filled(text: str, region: Callable[[str], str]) -> str:
    """``text`` with each region written anew as ``region`` of its name says; "" leaves it."""

    def written(found: re.Match[str]) -> str:
        start, name, end = found.groups()
        content = region(name)
        return f"{start}\n{content}\n{end}" if content else found[0]

    return REGION.sub(written, text)


def page_region(name: str, machines: Sequence[Machine]) -> str:
    """The region of docs/measured.md for a benchmark, or one of PARTS."""
    if name in PARTS:
        return PARTS[name](machines)
    measured = [machine for machine in machines if name in machine.tables]
    if not measured:
        return (
            f"Not measured yet: `python tests/benchmarks/bench_{name}.py --to data/benchmarks`.\n"
        )
    return "\n".join(gains(measured) if name == "crop" else jobs(name, measured))


def jobs(benchmark: str, machines: Sequence[Machine]) -> Iterator[str]:
    """Each job of a benchmark: its table on each machine that has measured it."""
    if benchmark == "growth":
        for machine in machines:
            yield f"![{growth(machine)[1]}](figures/{figure_name(machine)})\n"
    for title in dict.fromkeys(t.title for each in machines for t in each.tables[benchmark]):
        there = [machine for machine in machines if machine.job(benchmark, title)]
        for machine in there:
            tables = machine.job(benchmark, title)
            about = [machine.label]
            # Another stack explains figures as much as another processor does.
            if len(there) > 1:
                about.append(stack(machine.abouts[benchmark]))
            rounds = rounds_of(tables[:1])
            if rounds:
                about.append(rounds)
            yield f"**{escaped(title)}** ({escaped('; '.join(about))})\n\n{job_table(tables)}"


def stack(about: dict[str, Any]) -> str:
    """The versions that most figures depend on."""
    packages = {"numpy": "NumPy", "opencv-python-headless": "OpenCV"}
    shown = {"Python": about["python"]}
    shown |= {name: about["versions"].get(package) for package, name in packages.items()}
    short = {name: ".".join(version.split(".")[:2]) for name, version in shown.items() if version}
    return ", ".join(f"{name} {version}" for name, version in short.items())


def rounds_of(tables: Iterable[Table]) -> str:
    """How many rounds: "3 rounds", "1 to 3 rounds"; a PSNR has a value for each photo."""
    counts = {len(way.values) for each in tables if each.unit != "dB" for way in each.ways} - {0}
    if not counts:
        return ""
    least, most = min(counts), max(counts)
    return f"{least if least == most else f'{least} to {most}'} round{'s' * (most > 1)}"


def job_table(tables: Sequence[Table]) -> str:
    """A row for each way and a column for each of the tables; or a line, of one way.

    Tables of one unit that all say ``what`` are a series, as of sizes: each cell has the ratios and
    the spread in brackets. Else the ratios and the spread of the first have columns of their own,
    and the others go without a spread. Where there are more tables of a series than ways, or more
    columns than fit, ways are the columns.
    """
    names = list(dict.fromkeys(way.name for table in tables for way in table.ways))
    first, *others = tables
    if len(names) == 1:
        told = [f"{each.what} {cell(each, names[0])} {each.unit}".strip() for each in tables]
        return f"{escaped(names[0])}: {escaped('; '.join(told))}\n"
    series = all(table.what and table.unit == first.unit for table in tables)
    columns = [] if series else [*columns_of(first)]
    if series:
        columns += [(table.what, partial(cell, table, spread=True)) for table in tables]
    else:
        columns += [(f"{table.what}, {unit(table)}", partial(beside, table)) for table in others]
    corner = unit(first) + f" (× {first.peer})" * bool(first.peer) if series else ""
    lines = [[corner, *(head for head, _ in columns)]]
    for name in names:
        marked = name + " (the limit)" * (name == first.limit)
        lines.append([marked, *(content(name) for _, content in columns)])
    if len(columns) > (len(names) if series else MOST_COLUMNS):
        lines = [list(line) for line in zip(*lines, strict=True)]
    return as_markdown(lines, "---:")


def as_markdown(lines: Sequence[Sequence[str]], side: str = "---") -> str:
    """A table, its first line the head; "---:" puts all columns but the first at the right."""
    rows = [f"| {' | '.join(escaped(part) for part in line)} |" for line in lines]
    return "\n".join([rows[0], "|---" + f"|{side}" * (len(lines[0]) - 1) + "|", *rows[1:], ""])


def escaped(text: str) -> str:
    """``text`` as Markdown in a cell, a sign on one line with its number."""
    one_line = re.sub(r"([|*_`<\[])", r"\\\1", " ".join(text.split()))
    return re.sub(r" (?=[%↑↓×]|dB)|(?<=×) |(?<=spread) ", "\N{NO-BREAK SPACE}", one_line)


def unit(table: Table) -> str:
    """The unit, and which way is better."""
    return f"{table.unit} {'↓' if table.less_is_better else '↑'}"


def columns_of(table: Table) -> Iterator[tuple[str, Callable[[str], str]]]:
    """Head and cells of the median, the ratios and the spread."""

    def of_values(tell: Callable[[Way], str]) -> Callable[[str], str]:
        told = {way.name: tell(way) for way in table.ways if way.values}
        return lambda name: told.get(name, "")

    yield ", ".join(filter(None, (table.what, unit(table)))), partial(median, table)
    if table.peer and table.way(table.peer).values:
        yield f"× {table.peer}", of_values(lambda way: f"{table.ratio(way.name, table.peer):.2f}")
    if table.limit and table.way(table.limit).values:
        yield "of the limit", of_values(lambda way: share(table, way.name))
    if any(len(way.values) > 1 for way in table.ways):
        yield "spread", of_values(lambda way: f"{100 * way.spread:.0f} %")


def share(table: Table, name: str) -> str:
    """The share of the limit."""
    return f"{100 * table.ratio(name, table.limit):.0f} %"


def median(table: Table, name: str) -> str:
    """A way's figure, why there is none, or a dash."""
    found = [way for way in table.ways if way.name == name]
    if not found:
        return "–"
    return number(found[0].median) if found[0].values else f"cannot run: {found[0].failure}"


def cell(table: Table, name: str, *, spread: bool = False) -> str:
    """A way's figure, with the ratios, and the ``spread`` if that is asked for, in brackets."""
    values = {way.name: way.values for way in table.ways}
    about = []
    if values.get(name):
        if values.get(table.peer) and name != table.peer:
            about.append(f"{table.ratio(name, table.peer):.2f} ×")
        if values.get(table.limit) and name != table.limit:
            about.append(f"{share(table, name)} of the limit")
        if spread and len(values[name]) > 1:
            about.append(f"spread {100 * table.way(name).spread:.0f} %")
    return median(table, name) + (f" ({', '.join(about)})" if about else "")


def beside(table: Table, name: str) -> str:
    """A further figure of a way; why there is none stands beside it."""
    failed = any(way.name == name and not way.values for way in table.ways)
    return "" if failed else cell(table, name)


def gains(machines: Sequence[Machine]) -> Iterator[str]:
    """What decoding a crop's region gains, and what it would gain at most: a line a machine."""
    for machine in machines:
        told = []
        for table in machine.tables["crop"]:
            _, region, least = table.ways
            if region.values:
                most = number(table.ratio(least.name, table.peer))
                gain = number(table.ratio(region.name, table.peer))
                told.append(f"{gain} × for {table.what} ({most} × at most)")
        yield f"- {machine.label}: {', '.join(told) or 'not measured'}"
    yield ""


class Pair(NamedTuple):
    """A way of ours beside one of a peer, in one table."""

    machine: Machine
    benchmark: str
    table: Table
    ours: Way
    theirs: Way

    @property
    def job(self) -> str:
        """The title, and what was measured."""
        return ", ".join(filter(None, (self.table.title, self.table.what)))

    @property
    def peer(self) -> str:
        """The peer, whatever it decodes with, or by how many threads."""
        return self.theirs.name.split(", ")[0]

    @property
    def stands_for_us(self) -> bool:
        """Whether it is the way that is held against others."""
        return self.ours is self.table.ours

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
        return f"{1 + middle:.2f} ×"


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
        lines = [["peer", "what", "jobs", "times as fast", BUSY]]
        for key in sorted(speeds, key=lambda key: key[0] != LEADING):
            count = str(len({pair.job for pair in speeds[key]}))
            ends = [extent(of.get(key, ())) for of in (speeds, busy)]
            lines.append([key[0], SUBJECTS[key[1]], count, *ends])
        if speeds:
            yield f"**Each peer** ({escaped(machine.label)})\n\n{as_markdown(lines)}"


def extent(pairs: Iterable[Pair]) -> str:
    """From the least to the greatest of the ratios."""
    ratios = [1 + statistics.median(pair.differences) for pair in pairs]
    ends = dict.fromkeys(f"{end:.2f}" for end in (min(ratios), max(ratios))) if ratios else ()
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
                lines.append([f"{pair.job}, {pair.table.unit}", *sides, pair.told, core])
        if shown:
            head = f"**Each figure beside {LEADING}** ({escaped(machine.label)})"
            yield f"{head}\n\n{as_markdown(lines, '---:')}"
        else:
            yield f"{LEADING} was not measured on {machine.label}.\n"


def behind(machines: Sequence[Machine]) -> dict[tuple[str, str], list[Pair]]:
    """The rows of ours that are behind peers, by benchmark and "title, what: way"."""
    found: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs(machines):
        if pair.is_behind:
            row = f"{pair.job}: {pair.ours.name}"
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
            why = " ".join(reason.why for reason in reasons_for(benchmark, row)) or "Not known."
            found.setdefault(why, []).append(f"  - {escaped(f'{row}: {peers}')}")
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


def described(machines: Sequence[Machine]) -> str:
    """A line for each machine."""
    return "".join(
        f"- {each.label}: {each.about['memory_gb']} GB of memory, {each.about['kernel']}; "
        f"{' or '.join(dict.fromkeys(stack(about) for about in each.abouts.values()))}\n"
        for each in machines
    )


def runs(machines: Sequence[Machine]) -> str:
    """When and with what each benchmark was run; then the software, letter by letter."""
    letters: dict[str, str] = {}
    parts = []
    for machine in machines:
        lines = [["benchmark", "rounds", "software", "commit", "day", "load at the start"]]
        for benchmark, about in machine.abouts.items():
            software = json.dumps({"Python": about["python"]} | about["versions"])
            letter = letters.setdefault(software, chr(ord("A") + len(letters)))
            load = about.get("load_at_start")
            shown = "not noted" if load is None else ""
            if load is not None and load > about["cores"] / 2:
                shown = number(load)
            rounds = rounds_of(machine.tables[benchmark]).partition(" round")[0]
            run = [benchmark, rounds, letter, about["commit"], about["date"], shown]
            lines.append(run)
        parts.append(f"**{escaped(machine.label)}**\n\n{as_markdown(lines)}")
    stacks = [json.loads(software) for software in letters]
    packages = dict.fromkeys(name for each in stacks for name in each)
    software_lines = [["", *letters.values()]]
    software_lines += [[name, *(each.get(name) or "–" for each in stacks)] for name in packages]
    return "\n".join([*parts, f"**Software**\n\n{as_markdown(software_lines)}"])


PARTS: dict[str, Callable[[Sequence[Machine]], str]] = {
    "peers": beside_peers,
    "behind": where_behind,
    "machines": described,
    "runs": runs,
}


def readme_region(name: str, machines: Sequence[Machine]) -> str:
    """The README's sentence on where and when, and its table."""
    rows = [(row, machine) for row in ROWS for machine in measured_row(row, machines)]
    if not rows:
        return ""
    used = list(dict.fromkeys(machine.label for _, machine in rows))
    dates = sorted(str(about["date"]) for _, each in rows for about in each.abouts.values())
    months = list(dict.fromkeys(f"{date.fromisoformat(day):%B %Y}" for day in dates))
    first = f"Measured on {' and on '.join(used)}, in {' and '.join(months)}."
    lines = [["job", "beside it", "this library", *["on"] * (len(used) > 1)]]
    for row, machine in rows:
        lines.append([*told_row(row, machine), *[machine.label] * (len(used) > 1)])
    return f"{first}\n\n{as_markdown(lines)}"


def measured_row(row: Row, machines: Sequence[Machine]) -> Iterator[Machine]:
    """The first machine that has measured what a row shows, if one has."""
    for machine in machines:
        tables = machine.tables.get(row.benchmark, ())
        able = any(way.values for table in tables for way in table.ways)
        if able and table_of(row, machine)[0].way(row.ours).values:
            yield machine
            return


def table_of(row: Row, machine: Machine) -> tuple[Table, re.Match[str]]:
    """The table of a row, and how its title fits; ValueError where none fits any more."""
    for table in machine.tables[row.benchmark]:
        found = re.search(row.title, ", ".join(filter(None, (table.title, table.what))))
        if found:
            return table, found
    raise ValueError(f"no table of {machine.name}/{row.benchmark}.json fits {row.title!r}")


def told_row(row: Row, machine: Machine) -> tuple[str, str, str]:
    """The cells of the job, the peers and ours, with its ratio to the best of them."""
    table, found = table_of(row, machine)
    theirs = [way for way in table.ways if way.name in row.peers and way.values]
    shown = [f"{way.name} {number(way.median)} {table.unit}" for way in theirs]
    ours = f"{number(table.way(row.ours).median)} {table.unit}"
    if table.limit in row.peers:
        ours += f" ({share(table, row.ours)} of it)"
    elif theirs:
        ours += f" ({min(table.ratio(row.ours, way.name) for way in theirs):.2f} ×)"
    return found.expand(row.job), "; ".join(shown) or "none that runs there", ours


def figure_name(machine: Machine) -> str:
    """The file of a machine's figure of growth."""
    return f"growth-{machine.name}.png"


def growth(machine: Machine) -> tuple[Any, str]:
    """How time and memory grow with the work on a machine: the figure, and its text."""
    figure, panels = plots.axes(plots.WIDEST, 3.6, columns=2)
    told = []
    for axis, title in zip(panels, ("time", "memory"), strict=True):
        tables = machine.job("growth", title)
        work = [1 if each.what == "once" else int(each.what.split()[0]) for each in tables]
        axis.set_xscale("log")
        axis.set_yscale("log" if title == "time" else "linear")
        for way in tables[0].ways:
            values = [each.way(way.name).median for each in tables if each.way(way.name).values]
            if len(values) == len(work):
                axis.plot(work, values, "o-", label=way.name.partition(", ")[0])
                told.append(f"{way.name}: {', '.join(map(number, values))} {tables[0].unit}")
        axis.set_xticks(work)
        axis.set_xlabel("times the work")
        axis.set_title(f"{title.capitalize()}, {tables[0].unit}")
        axis.grid(True, which="major")
        plots.plain_numbers(axis)
        axis.minorticks_off()
        if axis.get_yscale() == "linear":
            axis.set_ylim(bottom=0)
        plots.label_lines(axis)
    *less, most = map(str, work)
    at = f"{', '.join(less)} and {most} times the work"
    return figure, f"Time and memory at {at} on {machine.label}. {'; '.join(told)}."


def main() -> None:
    """Write both texts and the figures."""
    machines = read_machines(BENCHMARKS)
    page = filled(PAGE.read_text(encoding="utf-8"), lambda name: page_region(name, machines))
    PAGE.write_text(page, encoding="utf-8")
    readme = filled(README.read_text(encoding="utf-8"), lambda name: readme_region(name, machines))
    README.write_text(readme, encoding="utf-8")
    FIGURES.mkdir(exist_ok=True)
    for machine in machines:
        if "growth" in machine.tables:
            figure, _ = growth(machine)
            figure.savefig(FIGURES / figure_name(machine), metadata={"Software": None})
    for fault in reasons_to_mend(machines):
        print(f"REASONS: {fault}", file=sys.stderr)


if __name__ == "__main__":
    main()
