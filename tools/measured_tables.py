"""Write the tables of measured figures anew from what the benchmarks leave in data/benchmarks.

    python tools/measured_tables.py

In docs/measured.md the text between ``<!-- measured: NAME -->`` and ``<!-- end -->`` is the tables
of that benchmark, with a column for each machine; in README.md it is the short table, a row for
each of ROWS. What no machine has measured stays as it is written there. ``docs/figures`` gets a
figure of the growth on each machine. A test fails while the texts say otherwise.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "benchmarks"))

from results import CHECKOUT, Table, Way, number

from imnetlib.course import plots

BENCHMARKS = CHECKOUT / "data" / "benchmarks"
PAGE = CHECKOUT / "docs" / "measured.md"
README = CHECKOUT / "README.md"
FIGURES = CHECKOUT / "docs" / "figures"
REGION = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


class Row(NamedTuple):
    """A row of the README's table: ``title`` matches that of a table of ``benchmark``."""

    job: str
    benchmark: str
    title: str
    peers: tuple[str, ...]
    ours: str


ROWS = (
    Row(
        "read records of 4 KB, CRC-32 of each", "recordio", r"of 4,096 bytes",
        ("mxnet MXRecordIO.read",), "our RecordReader",
    ),
    Row(
        "pack photos of 500 x 375, short edge 480, equal work", "pack", r"480/95, equal work$",
        ("im2rec.py",), "imnetlib",
    ),
    Row(
        "from a tar of class tars to records, end to end", "pack", r"^from a tar of class tars",
        ("tar, im2rec.py",), "imnet",
    ),
    Row(
        "the disk that this takes", "pack", r"^disk that this takes",
        ("tar, im2rec.py",), "imnet",
    ),
    Row(
        "index a tar of class tars", "archive", r"^index a tar of tars",
        ("tarfile",), "our index_tar",
    ),
    Row(
        "random 4K reads past the page cache, 32 at a time", "probe", r", 32 at a time$",
        ("fio psync", "fio libaio", "fio io_uring"), "imnet probe",
    ),
    Row(
        "load random-resized crops of 224 pixels, two threads", "loader",
        r"3\d KB: random-resized crop, mirror, uint8 NHWC$",
        ("FFCV", "MXNet iterator"), "imnetlib, 2 threads",
    ),
    Row(
        "train the note's network on one GPU, fed from records", "gpu",
        r"^train inception-21k, [^:]*bfloat16$",
        ("one batch that stays on the GPU",), "fed by processes",
    ),
)  # fmt: skip


@dataclass
class Machine:
    """A folder of JSONs: each benchmark's tables, and what it was measured on."""

    name: str
    tables: dict[str, list[Table]] = field(default_factory=dict)
    abouts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Processor, cores and GPU."""
        about = self.abouts[0]
        parts = [str(about["processor"]), f"{about['cores']} cores", str(about.get("gpu", ""))]
        return ", ".join(part for part in parts if part)

    def table(self, benchmark: str, title: str) -> Table | None:
        """The table of that title, if it was measured here."""
        found = [table for table in self.tables.get(benchmark, ()) if table.title == title]
        return found[0] if found else None


def read_machines(folder: Path) -> list[Machine]:
    """What is measured in ``folder``: first the machine with most benchmarks."""
    machines = []
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        machine = Machine(place.name)
        for path in sorted(place.glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            machine.abouts.append(content["machine"])
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
    """The region of docs/measured.md for a benchmark, or for ``machines``."""
    if name == "machines":
        return "".join(f"- {describe(machine)}\n" for machine in machines)
    measured = [machine for machine in machines if name in machine.tables]
    titles = dict.fromkeys(table.title for each in measured for table in each.tables[name])
    parts = [markdown(name, title, measured) for title in titles]
    if name == "growth":
        pictures = [(growth(machine)[1], figure_name(machine)) for machine in measured]
        parts = [f"![{alt}](figures/{file})\n" for alt, file in pictures] + parts
    return "\n".join(parts)


def markdown(benchmark: str, title: str, machines: Sequence[Machine]) -> str:
    """One table: a row for each way, a column for each machine."""
    tables = [machine.table(benchmark, title) for machine in machines]
    known = [table for table in tables if table is not None]
    names = dict.fromkeys(way.name for table in known for way in table.ways)
    lines = [[known[0].unit, *(machine.label for machine in machines)]]
    for name in names:
        role = {known[0].limit: " (the limit)", known[0].peer: " (the peer)"}.get(name, "")
        lines.append([name + role, *(cell(table, name) for table in tables)])
    head, *rows = (f"| {' | '.join(escaped(part) for part in line)} |" for line in lines)
    return "\n".join([f"**{escaped(title)}**\n", head, "|---" * len(lines[0]) + "|", *rows, ""])


def cell(table: Table | None, name: str) -> str:
    """A way's figure on a machine: times the peer, share of the limit and spread in brackets."""
    if table is None or name not in {way.name for way in table.ways}:
        return "not measured"
    way = table.way(name)
    if not way.values:
        return f"cannot run: {way.failure}"
    about = []
    if table.peer not in ("", name) and table.way(table.peer).values:
        about.append(f"{number(table.ratio(name, table.peer))} × the peer")
    if table.limit not in ("", name) and table.way(table.limit).values:
        about.append(f"{100 * table.ratio(name, table.limit):.0f} % of the limit")
    if len(way.values) > 1:
        about.append(f"spread {100 * way.spread:.0f} %")
    return number(way.median) + (f" ({', '.join(about)})" if about else "")


def escaped(text: str) -> str:
    """``text`` as Markdown in a cell."""
    return re.sub(r"([|*_`<\[])", r"\\\1", " ".join(text.split()))


def describe(machine: Machine) -> str:
    """A machine in a line."""
    about = machine.abouts[0]
    versions = {
        f"{name} {version}": None
        for each in machine.abouts
        for name, version in each["versions"].items()
        if version
    }
    dates = sorted({str(about["date"]) for about in machine.abouts})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    commits = dict.fromkeys(str(about["commit"]) for about in machine.abouts)
    return (
        f"{machine.label}: {about['memory_gb']} GB of memory, {about['kernel']}, "
        f"Python {about['python']}, {', '.join(versions)}; {when}, "
        f"commit {', '.join(commits)}"
    )


def readme_region(name: str, machines: Sequence[Machine]) -> str:
    """The README's sentence on where and when, and its table."""
    rows = [(row, machine) for row in ROWS for machine in measured_row(row, machines)]
    if not rows:
        return ""
    used = list(dict.fromkeys(machine.label for _, machine in rows))
    dates = sorted(str(about["date"]) for _, machine in rows for about in machine.abouts)
    months = list(dict.fromkeys(f"{date.fromisoformat(day):%B %Y}" for day in dates))
    first = f"Measured on {' and on '.join(used)}, in {' and '.join(months)}."
    several = len(used) > 1
    lines = [
        "| job | peer | this library |" + " on |" * several,
        "|---|---|---|" + "---|" * several,
    ]
    for row, machine in rows:
        cells = [row.job, *beside(row, machine), *([machine.label] if several else ())]
        lines.append(f"| {' | '.join(escaped(part) for part in cells)} |")
    return "\n".join([f"{first}\n", *lines, ""])


def measured_row(row: Row, machines: Sequence[Machine]) -> Iterator[Machine]:
    """The first machine that has measured what a row shows, if one has."""
    for machine in machines:
        tables = machine.tables.get(row.benchmark, ())
        able = any(way.values for table in tables for way in table.ways)
        if able and table_of(row, machine).way(row.ours).values:
            yield machine
            return


def table_of(row: Row, machine: Machine) -> Table:
    """The table of a row; ValueError where the benchmark has none of that title any more."""
    tables = [each for each in machine.tables[row.benchmark] if re.search(row.title, each.title)]
    if not tables:
        raise ValueError(f"no table of {machine.name}/{row.benchmark}.json fits {row.title!r}")
    return tables[0]


def beside(row: Row, machine: Machine) -> tuple[str, str]:
    """The cells of the peers and of ours."""
    table = table_of(row, machine)
    theirs = [way for way in table.ways if way.name in row.peers]
    shown = [f"{way.name} {number(way.median)} {table.unit}" for way in theirs if way.values]
    ours = f"{number(table.way(row.ours).median)} {table.unit}"
    return ", ".join(shown) or "none that runs there", ours


def figure_name(machine: Machine) -> str:
    """The file of a machine's figure of growth."""
    return f"growth-{machine.name}.png"


def growth(machine: Machine) -> tuple[Any, str]:
    """How time and memory grow with the work on a machine: the figure, and its text."""
    figure, panels = plots.axes(plots.WIDEST, 3.6, columns=2)
    told = []
    for axis, table in zip(panels, machine.tables["growth"], strict=True):
        axis.set_xscale("log")
        axis.set_yscale("log" if table.unit == "s" else "linear")
        for (job, counted), points in by_job(table).items():
            work, values = np.array(points).T
            axis.plot(work / work[0], values, "o-", label=job)
            sizes = ", ".join(f"{count:,.0f}" for count in work)
            shown = ", ".join(map(number, values))
            told.append(f"{job}, {sizes} {counted}: {shown} {table.unit}")
        axis.set_xticks([1, 4, 16])
        axis.set_xlabel("times the work")
        axis.set_title(f"{table.title.capitalize()}, {table.unit}")
        axis.grid(True, which="major")
        plots.plain_numbers(axis)
        axis.minorticks_off()
        if axis.get_yscale() == "linear":
            axis.set_ylim(bottom=0)
        plots.label_lines(axis)
    alt = f"How time and memory grow with the work on {machine.label}. {'; '.join(told)}."
    return figure, alt


def by_job(table: Table) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Work and median by job and what is counted, of ways like "pack photos, 4,000 images"."""
    jobs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for way in table.ways:
        job, _, work = way.name.partition(", ")
        count, _, counted = work.partition(" ")
        if way.values:
            point = (float(count.replace(",", "")), way.median)
            jobs.setdefault((job, counted), []).append(point)
    return jobs


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


if __name__ == "__main__":
    main()
