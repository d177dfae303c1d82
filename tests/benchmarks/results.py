"""What a benchmark leaves: tables of ways that were timed in turns, as text and as JSON.

A benchmark makes a ``Report``, times ways with ``in_turns`` and adds a ``Table`` for each job.
With ``--to FOLDER`` the report lands in FOLDER/MACHINE/NAME.json, together with what the machine,
the system and the packages were. A share is that of one round by the limit's value in the same
round, so a machine that slows down in between lifts no way above its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).parents[2]
# Whose versions a reader of the figures would ask for.
PACKAGES = ("imnetlib", "numpy", "opencv-python-headless", "simplejpeg", "mxnet", "torch")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a job: its value in each round, or ``failure``, why there is none."""

    name: str
    values: tuple[float, ...] = ()
    failure: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Table:
    """One job done in several ways.

    ``unit`` is "images/s" or the like, where more is better, or "s" or "MB", where less is. The
    way named ``limit`` is what nothing can exceed, ``peer`` whom ours is held against.
    """

    title: str
    unit: str
    ways: tuple[Way, ...]
    limit: str = ""
    peer: str = ""

    @property
    def less_is_better(self) -> bool:
        """Whether the values are seconds or bytes, and no rates."""
        return not self.unit.endswith("/s")

    def way(self, name: str) -> Way:
        """The way of that name; KeyError where there is none."""
        return {way.name: way for way in self.ways}[name]

    def ratio(self, name: str, base: str) -> float:
        """How much better ``name`` is than ``base``: the median of the rounds' ratios."""
        pairs = zip(self.way(name).values, self.way(base).values, strict=True)
        ratios = [b / a if self.less_is_better else a / b for a, b in pairs]
        return statistics.median(ratios)


@dataclass
class Report:
    """The tables of one benchmark, printed as they come."""

    name: str
    tables: list[Table] = field(default_factory=list)

    def add(self, table: Table) -> None:
        """Print a table and keep it."""
        self.tables.append(table)
        print(f"\n{as_text(table)}", flush=True)

    def save(self, folder: Path | None) -> None:
        """Write the tables and what they were measured on below ``folder``, if there is one."""
        if folder is None:
            return
        machine = describe_machine()
        path = folder / slug(str(machine["processor"]), int(str(machine["cores"])))
        path.mkdir(parents=True, exist_ok=True)
        content = {"machine": machine, "tables": [asdict(table) for table in self.tables]}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (path / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")


def in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, work: float = 1.0, *, rate: bool = True
) -> list[Way]:
    """Time each way once a round, every second round in reverse, after one round that warms up.

    A value is ``work`` by seconds, or the seconds where it is no ``rate``.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            ways[name]()
            seconds = time.perf_counter() - began
            if number:
                taken[name].append(work / seconds if rate else seconds)
    return [Way(name, tuple(values)) for name, values in taken.items()]


def as_text(table: Table) -> str:
    """The table for a terminal: median, spread, share of the limit, times the peer."""
    width = max(len(way.name) for way in table.ways) + 2
    head = f"{'':{width}}{table.unit:>14}{'spread':>9}"
    head += f"{'of limit':>10}" if table.limit else ""
    head += f"{'x ' + table.peer:>{_room(table)}}" if table.peer else ""
    lines = [table.title, head]
    for way in table.ways:
        if not way.values:
            lines.append(f"{way.name:{width}}cannot run: {way.failure}")
            continue
        spread = (max(way.values) - min(way.values)) / way.median
        line = f"{way.name:{width}}{number(way.median):>14}{spread:>9.0%}"
        if table.limit and table.way(table.limit).values:
            line += f"{table.ratio(way.name, table.limit):>10.0%}"
        if table.peer and table.way(table.peer).values:
            line += f"{table.ratio(way.name, table.peer):>{_room(table)}.2f}"
        lines.append(line)
    return "\n".join(lines)


def _room(table: Table) -> int:
    return len(table.peer) + 4


def number(value: float) -> str:
    """Three digits, or whole numbers from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe_machine() -> dict[str, object]:
    """Processor, cores, memory, kernel, day, commit, and the versions of the packages."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = ""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "date": date.today().isoformat(),
        "commit": _commit(),
        "load": round(psutil.getloadavg()[0], 1),
    }


def processor() -> str:
    """Its name, as the system says it."""
    about = Path("/proc/cpuinfo")
    if about.exists():
        names = re.findall(r"^model name\s*: (.*)", about.read_text(), re.MULTILINE)
        if names:
            return str(names[0]).strip()
    return platform.processor() or platform.machine()


def slug(name: str, cores: int) -> str:
    """A folder's name for a machine: ``amd-epyc-2-cores``."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((?:r|tm)\)", "", name.lower()))
    return "-".join([*words, str(cores), "cores"])


def _commit() -> str:
    """The commit of the checkout, with a + where files differ from it; "" without git."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def options(description: str, **sizes: tuple[int, int]) -> argparse.Namespace:
    """The command line: ``--quick``, ``--to``, and the benchmark's sizes, (whole, quick) each."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, rougher figures")
    parser.add_argument("--to", type=Path, help="the folder that takes the JSON")
    for name, (whole, _) in sizes.items():
        parser.add_argument(f"--{name}", type=int, help=f"default {whole:,}")
    chosen = parser.parse_args()
    for name, (whole, quick) in sizes.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, quick if chosen.quick else whole)
    return chosen
