"""What the benchmarks left in data/benchmarks, machine by machine, and what it was measured on."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from measured_markdown import as_markdown, escaped
from results import CHECKOUT, Table, Way, number

BENCHMARKS = CHECKOUT / "data" / "benchmarks"
# What the JSON of a benchmark holds, at least.
MACHINE = {
    **{"processor": str, "cores": int, "memory_gb": (int, float), "kernel": str, "python": str},
    **{"versions": dict, "date": str, "commit": str},
}
WAY = {"name": str, "values": [(int, float)], "failure": str}
TABLE = {"title": str, "unit": str, "ways": [WAY], "limit": str, "peer": str, "what": str}
REPORT = {"machine": MACHINE, "tables": [TABLE]}


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
    """What is measured in ``folder``: first the machine with most benchmarks.

    ValueError names a file that is damaged.
    """
    machines = []
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        machine = Machine(place.name)
        for path in sorted(place.glob("*.json")):
            machine.abouts[path.stem], machine.tables[path.stem] = read_report(path)
        if machine.tables:
            machines.append(machine)
    return sorted(machines, key=lambda machine: -len(machine.tables))


def read_report(path: Path) -> tuple[dict[str, Any], list[Table]]:
    """What a benchmark was measured on, and its tables; ValueError names a damaged file."""
    try:
        content = json.loads(path.read_bytes())
        if not (fits(content, REPORT) and content["tables"]):
            raise ValueError("a part is missing, or of another type")
        date.fromisoformat(content["machine"]["date"])
        return content["machine"], [read_table(table) for table in content["tables"]]
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}): run python tests/benchmarks/bench_{path.stem}.py "
            "--to data/benchmarks again on its machine, or delete the file"
        ) from error


def fits(content: object, shape: Any) -> bool:
    """Whether JSON has the keys and the types of ``shape``."""
    if isinstance(shape, dict):
        return isinstance(content, dict) and all(
            key in content and fits(content[key], of) for key, of in shape.items()
        )
    if isinstance(shape, list):
        return isinstance(content, list) and all(fits(each, shape[0]) for each in content)
    return isinstance(content, shape)


def read_table(content: dict[str, Any]) -> Table:
    """A table out of its JSON; ValueError where its ways do not belong together."""
    ways = [Way(way["name"], tuple(way["values"]), way["failure"]) for way in content["ways"]]
    if not {content["limit"], content["peer"]} <= {"", *(way.name for way in ways)}:
        raise ValueError("a table lacks its limit or its peer")
    if len({len(way.values) for way in ways if way.values}) > 1:
        raise ValueError("a table's ways are of different rounds")
    return Table(**{key: content[key] for key in TABLE} | {"ways": tuple(ways)})


def kept(machines: Sequence[Machine]) -> list[Machine]:
    """The machines whose figures are in git."""
    command = ["git", "ls-files", "data/benchmarks"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return [each for each in machines if f"/{each.name}/" in done.stdout]


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


def described(machines: Sequence[Machine]) -> str:
    """A line for each machine, with a word on a processor that is named without its model."""
    unnamed = " (the processor's model is not told, as virtual machines hide it)"
    return "".join(
        f"- {each.label}{'' if re.search('[0-9]', each.about['processor']) else unnamed}: "
        f"{each.about['memory_gb']} GB of memory, {each.about['kernel']}; "
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
