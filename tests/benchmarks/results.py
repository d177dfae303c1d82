"""What a benchmark leaves: tables of ways that were timed in turns, as text and as JSON.

A benchmark makes a ``Report``, times ways with ``in_turns`` and adds a ``Table`` for each job; or
it has jobs run in processes of their own by ``apart``, which finds their peak memory as well.
With ``--to FOLDER`` the report lands in FOLDER/MACHINE/NAME.json, together with what the machine,
the system and the packages were. A share is that of one round by the limit's value in the same
round, so a machine that slows down between rounds favours no way.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import multiprocessing
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

import psutil
from stopping import deaf, hear, signal_tree

from imnetlib.files import write_bytes_atomically

CHECKOUT = Path(__file__).resolve().parents[2]
# Whose versions a reader of the figures would ask for.
PACKAGES = (
    *("imnetlib", "numpy", "opencv-python-headless", "simplejpeg", "mxnet", "torch"),
    *("ffcv", "webdataset", "mosaicml-streaming", "litdata", "spdl-io", "turboloader"),
    *("torchvision", "pillow", "nltk"),
)
T = TypeVar("T")
Key = TypeVar("Key")
Size = TypeVar("Size", int, float, str)
# Shares of which less is better say so in their unit.
LESS_IS_BETTER = (
    *("s", "hours", "processor s", "processors", "KB an image", "MB", "MiB"),
    *("% idle", "% waiting", "% more"),
)
# What names of ways begin with that are this library's.
OURS = ("imnet", "our ")
BUSY = "for each busy core"
# What a row says where this machine or its environment lacks what the way needs.
LACKING = re.compile(r" is not installed|^there is no |^PyTorch sees no GPU")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do a job: its value in each round, or ``failure``, why there is none."""

    name: str
    values: tuple[float, ...] = ()
    failure: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is this library's."""
        return self.name.startswith(OURS)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """From the least to the most, as a share of the median."""
        return (max(self.values) - min(self.values)) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Table:
    """One job done in several ways.

    Of a ``unit`` in LESS_IS_BETTER less is better, of "images/s" or any other more. The way named
    ``limit`` does the work that none can leave out and no more, ``peer`` is whom ours is held
    against. Tables of one ``title`` are of one job, and shown as one; ``what`` then says what else
    was measured ("peak memory"), or at which size the job was done ("8 at a time").
    """

    title: str
    unit: str
    ways: tuple[Way, ...]
    limit: str = ""
    peer: str = ""
    what: str = ""

    @property
    def heading(self) -> str:
        """The title, and what was measured."""
        return f"{self.title}, {self.what}" if self.what else self.title

    @property
    def less_is_better(self) -> bool:
        """Whether the values are seconds or bytes, and no rates or shares."""
        return self.unit in LESS_IS_BETTER

    def way(self, name: str) -> Way:
        """The way of that name; KeyError where there is none."""
        return {way.name: way for way in self.ways}[name]

    @property
    def ours(self) -> Way | None:
        """The way that stands for this library: the first of its ways that has values."""
        return next((way for way in self.ways if way.ours and way.values), None)

    @property
    def broken(self) -> list[Way]:
        """This library's ways that failed, but for what the machine lacks.

        All ways are its own in a table that names neither them nor a peer: steps of one job.
        """
        all_ours = not self.peer and not any(way.ours for way in self.ways)
        failed = (way for way in self.ways if way.failure and not LACKING.search(way.failure))
        return [way for way in failed if all_ours or way.ours]

    def ratios(self, name: str, base: str) -> list[float]:
        """How many times better ``name`` is than ``base`` in each round; [] without values."""
        if not (self.way(name).values and self.way(base).values):
            return []
        pairs = zip(self.way(name).values, self.way(base).values, strict=True)
        return [b / a if self.less_is_better else a / b for a, b in pairs]

    def ratio(self, name: str, base: str) -> float:
        """The median of the ratios of the rounds; NaN where one of the two has no values."""
        return statistics.median(self.ratios(name, base) or [math.nan])


@dataclass
class Report:
    """The tables of one benchmark, printed as they come.

    ``programs`` are the paths of those that take part, None where one is not installed. ``load`` is
    the system's load average as the benchmark starts.
    """

    name: str
    tables: list[Table] = field(default_factory=list)
    programs: Mapping[str, str | None] = field(default_factory=dict)
    load: float = field(default_factory=lambda: round(psutil.getloadavg()[0], 1))

    def add(self, table: Table) -> None:
        """Print a table and keep it."""
        self.tables.append(table)
        print(f"\n{as_text(table)}", flush=True)

    def write(self, folder: Path | None) -> None:
        """Write the tables and what they were measured on below ``folder``, if there is one.

        Nothing where not one way could run, as of a GPU where there is none.
        """
        if folder is None or not any(way.values for table in self.tables for way in table.ways):
            return
        machine = describe_machine(self.programs) | {"load_at_start": self.load}
        path = folder / slug(str(machine["processor"]), int(str(machine["cores"])))
        content = {"machine": machine, "tables": [asdict(table) for table in self.tables]}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_bytes_atomically(path / f"{self.name}.json", f"{text}\n".encode())

    def save(self, folder: Path | None) -> None:
        """As ``write``; then SystemExit if one of this library's ways is broken."""
        self.write(folder)
        broken = dict.fromkeys(way.name for table in self.tables for way in table.broken)
        if broken:
            sys.exit(f"failed: {', '.join(broken)}")


def take_turns(
    jobs: Mapping[Key, Callable[[], T]], rounds: int, *, warm_up: bool = False
) -> dict[Key, list[T] | str]:
    """What each job returns in each round, every second round in reverse; or why it failed.

    ``warm_up``: a round before them that does not count.
    """
    found: dict[Key, list[T] | str] = {name: [] for name in jobs}
    for number in range(rounds + warm_up):
        for name in list(jobs)[:: -1 if number % 2 else 1]:
            taken = found[name]
            if isinstance(taken, str):
                continue
            try:
                returned = jobs[name]()
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
                continue
            if number >= warm_up:
                taken.append(returned)
    return found


def ways(
    found: Mapping[str, list[T] | str], value: Callable[[Any], float] = float
) -> tuple[Way, ...]:
    """The ways of a table by what ``take_turns`` found; ``value`` picks one out of several."""
    return tuple(
        Way(name, failure=plainly(of))
        if isinstance(of, str)
        else Way(name, tuple(float(value(each)) for each in of))
        for name, of in found.items()
    )


def plainly(failure: str) -> str:
    """The last line of an exception's text, without the name of its class."""
    last = failure.strip().splitlines()[-1]
    said = re.sub(r"^[\w.]*(Error|Exception): (?=.)", "", last)
    return re.sub(r"^No module named '(\w+).*", r"\1 is not installed", said)


def in_turns(
    jobs: Mapping[str, Callable[[], object]], rounds: int, work: float = 1.0, *, rate: bool = True
) -> tuple[Way, ...]:
    """Time each job once a round, after one round that warms up.

    A value is ``work`` by seconds, or the seconds where it is no ``rate``.
    """
    timed = {name: functools.partial(_seconds, job) for name, job in jobs.items()}
    found = take_turns(timed, rounds, warm_up=True)
    return ways(found, lambda seconds: work / seconds if rate else seconds)


def _seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def _cost(job: Callable[[], object]) -> tuple[float, float]:
    return _seconds(job), peak() / 1e6


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    # On Linux ru_maxrss would count what the parent had before the start.
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(job: Callable[[], T]) -> T:
    """What ``job`` returns in a process of its own, started for it; it has to be picklable."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            with deaf():
                returned = process.submit(job)
            return returned.result()
        except SystemExit:
            # The pool would wait for the job.
            for each in multiprocessing.active_children():
                signal_tree(each.pid, signal.SIGKILL)
            raise


def apart(
    title: str, jobs: Mapping[str, Callable[[], object]], rounds: int = 1, peer: str = ""
) -> tuple[Table, Table]:
    """Two tables: the seconds and the peak memory of jobs, each in a process of its own.

    The seconds are those of the job, without the start of its process. The memory is that of the
    process, imports included, and not of programs that it starts: the peer's row is left out.
    """
    costs = {
        name: functools.partial(alone, functools.partial(_cost, job)) for name, job in jobs.items()
    }
    found = take_turns(costs, rounds)
    seconds = Table(title, "s", ways(found, lambda cost: cost[0]), peer=peer)
    found.pop(peer, None)
    memory = ways(found, lambda cost: cost[1])
    return seconds, Table(title, "MB", memory, what="peak memory")


def as_text(table: Table) -> str:
    """The table for a terminal: median, spread, share of the limit, times the peer."""
    width = max(len(way.name) for way in table.ways) + 2
    head = f"{'':{width}}{table.unit:>14}{'spread':>9}"
    head += f"{'of limit':>10}" if table.limit else ""
    head += f"{'x ' + table.peer:>{_room(table)}}" if table.peer else ""
    lines = [table.heading, head]
    for way in table.ways:
        if not way.values:
            lines.append(f"{way.name:{width}}cannot run: {way.failure}")
            continue
        spread = f"{way.spread:.0%}" if len(way.values) > 1 else "–"
        line = f"{way.name:{width}}{number(way.median):>14}{spread:>9}"
        line += f"{table.ratio(way.name, table.limit):>10.0%}" if table.limit else ""
        line += f"{table.ratio(way.name, table.peer):>{_room(table)}.2f}" if table.peer else ""
        lines.append(line.replace(" nan%", "    –").replace(" nan", "   –"))
    return "\n".join(lines)


def _room(table: Table) -> int:
    return len(table.peer) + 4


def number(value: float) -> str:
    """Three digits, or whole numbers from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe_machine(programs: Mapping[str, str | None]) -> dict[str, object]:
    """Processor, cores, memory, kernel, GPU, day, commit, versions of packages and programs."""
    versions = {name: version(path) for name, path in programs.items()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = ""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "date": date.today().isoformat(),
        "commit": _commit(),
        "gpu": _gpu(),
    }


def version(program: str | None) -> str:
    """What a program says its version is; "" without one."""
    for argument in ("--version", "version") if program else ():
        command = [str(program), argument]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"\d+(?:\.\d+)+[\w.-]*", done.stdout)
        if found and done.returncode == 0:
            return found[0]
    return ""


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Its name, as the system says it."""
    about = Path("/proc/cpuinfo")
    if about.exists():
        names = re.findall(r"^model name\s*: (.*)", about.read_text(), re.MULTILINE)
        if names:
            return str(names[0]).strip()
    return platform.processor() or platform.machine()


def _gpu() -> str:
    """The names of NVIDIA's GPUs, "" without any."""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return ", ".join(sorted(set(done.stdout.splitlines()))) if done.returncode == 0 else ""


def slug(name: str, cores: int) -> str:
    """A folder's name for a machine: ``amd-epyc-2-cores``."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"\((?:r|tm)\)", "", name.lower()))
    return "-".join([*words, str(cores), "cores"])


def _commit() -> str:
    """The commit of the checkout, with a + where files differ from it; "" without git.

    What benchmarks have left counts for no difference.
    """

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    named = git("rev-parse", "--short", "HEAD").stdout.strip()
    differs = git("diff", "--quiet", "HEAD", "--", ".", ":(exclude)data/benchmarks").returncode
    return named + "+" * bool(named and differs)


def work_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder on the checkout's disk: /tmp may be small, or memory."""
    build = CHECKOUT / "build"
    build.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=build)


def parser_of(description: str) -> argparse.ArgumentParser:
    """A command line with ``--quick`` and ``--to``."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, rougher figures")
    parser.add_argument("--to", metavar="FOLDER", help="the folder that takes the JSON")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line, ``to`` a folder that takes files; made, if it was not there."""
    chosen = parser.parse_args()
    if chosen.to is None:
        return chosen
    folder = Path(chosen.to).resolve()
    if chosen.quick and folder.is_relative_to(CHECKOUT / "data" / "benchmarks"):
        parser.error(f"{chosen.to} keeps whole runs: with --quick choose another folder")
    if not chosen.to or folder.is_file():
        parser.error(f"--to {chosen.to!r} is no folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        parser.error(f"--to {chosen.to} takes no file: {error.strerror}")
    chosen.to = folder
    return chosen


def options(
    description: str, most: Mapping[str, int] | None = None, **sizes: tuple[Size, Size]
) -> argparse.Namespace:
    """The command line: ``--quick``, ``--to``, and the benchmark's sizes, (whole, quick) each.

    A size is above 0, or 0 where that is a default, and not above what ``most`` says. From now on a
    signal stops the benchmark.
    """
    parser = parser_of(description)
    for name, (whole, _) in sizes.items():
        parser.add_argument(f"--{name}", type=type(whole), help=f"default {whole}")
    chosen = parse(parser)
    for name, (whole, quick) in sizes.items():
        size = getattr(chosen, name)
        if size is None:
            setattr(chosen, name, quick if chosen.quick else whole)
        elif not isinstance(size, str) and size not in (whole, quick):
            if not 0 < size < math.inf:
                parser.error(f"--{name} {size}: it has to be above 0")
            if most and size > most.get(name, size):
                parser.error(f"--{name} {size}: there are {most[name]:,}")
    hear("stopped")
    with deaf():
        # Started later, with the first process, it would let that one hear.
        resource_tracker.ensure_running()
    return chosen
