"""Write the tables of measured figures anew from what the benchmarks leave in data/benchmarks.

    python tools/measured_tables.py

In docs/measured.md the text between ``<!-- measured: NAME -->`` and ``<!-- end -->`` is the tables
of that benchmark, each machine's for itself, or one of PARTS: what comes first on the page (how
ours compares with each peer, and where it is behind) and last (the runs). In README.md it is the
short table, a row for each of ROWS. What no machine has measured stays as it is written there.
``docs/figures`` gets a figure of the growth on each machine. A test fails while the texts say
otherwise, and while REASONS does not hold a reason for each row that is behind on a machine in git.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "benchmarks"))

from matplotlib.ticker import LogLocator
from measured_machines import (
    BENCHMARKS,
    Machine,
    described,
    kept,
    read_machines,
    rounds_of,
    runs,
    stack,
)
from measured_markdown import as_markdown, escaped, job_table, share
from measured_peers import beside_peers, reasons_to_mend, where_behind
from results import CHECKOUT, Table, number

from imnetlib import files
from imnetlib.course import plots

PAGE = CHECKOUT / "docs" / "measured.md"
README = CHECKOUT / "README.md"
FIGURES = CHECKOUT / "docs" / "figures"
REGION = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


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
        ("FFCV", "TurboLoader", "torchvision, PIL"), "imnetlib, 2 threads",
    ),
    Row(
        "pack photos of 500 x 375, short edge 256", "pack", r"short edge 256, quality 90$",
        ("im2rec.py", "WebDataset", "FFCV"), "imnetlib",
    ),
    Row(
        r"from a tar of class tars of \1 photos to records, short edge 256", "pack",
        r"^from a tar of class tars of ([\d,]+) photos to records(?!.*disk taken)",
        ("tar and im2rec.py",), "imnet",
    ),
    Row(
        r"disk taken on the way to records of \1 photos", "pack",
        r"^from a tar of class tars of ([\d,]+) photos.*, disk taken",
        ("tar and im2rec.py",), "imnet",
    ),
    Row(
        r"read records of \1 bytes by RecordReader, CRC-32 of each", "recordio",
        r"^read .* CRC-32 of each, (20,000) bytes each$",
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
            yield f"![{growth(machine)[1]}](figures/{figure_name(machine.name)})\n"
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


PARTS: dict[str, Callable[[Sequence[Machine]], str]] = {
    "peers": beside_peers,
    "behind": where_behind,
    "machines": described,
    "runs": runs,
}


def readme_region(name: str, machines: Sequence[Machine]) -> str:
    """The README's sentence on where and when, and its table."""
    rows = [(row, *shown) for row in ROWS if (shown := measured_row(row, machines))]
    if not rows:
        return ""
    used = list(dict.fromkeys(machine.label for _, machine, *_ in rows))
    dates = sorted(str(about["date"]) for _, each, *_ in rows for about in each.abouts.values())
    months = list(dict.fromkeys(f"{date.fromisoformat(day):%B %Y}" for day in dates))
    first = f"Measured on {' and on '.join(used)}, in {' and '.join(months)}."
    lines = [["job", "beside it", "this library", *["on"] * (len(used) > 1)]]
    for row, machine, table, found in rows:
        lines.append([*told_row(row, table, found), *[machine.label] * (len(used) > 1)])
    return f"{first}\n\n{as_markdown(lines)}"


def measured_row(
    row: Row, machines: Sequence[Machine]
) -> tuple[Machine, Table, re.Match[str]] | None:
    """The first machine that has measured what a row shows, the table, and how its title fits."""
    for machine in machines:
        for table in machine.tables.get(row.benchmark, ()):
            found = re.search(row.title, table.heading)
            if found and any(way.name == row.ours and way.values for way in table.ways):
                return machine, table, found
    return None


def told_row(row: Row, table: Table, found: re.Match[str]) -> tuple[str, str, str]:
    """The cells of the job, the peers and ours, with its ratio to the best of them."""
    theirs = [way for way in table.ways if way.name in row.peers and way.values]
    shown = [f"{way.name} {number(way.median)} {table.unit}" for way in theirs]
    ours = f"{number(table.way(row.ours).median)} {table.unit}"
    if table.limit in row.peers:
        ours += f" ({share(table, row.ours)} of it)"
    elif theirs:
        ours += f" ({min(table.ratio(row.ours, way.name) for way in theirs):.2f} ×)"
    return found.expand(row.job), "; ".join(shown) or "none that runs there", ours


def figure_name(machine: str) -> str:
    """The file of a machine's figure of growth."""
    return f"growth-{machine}.png"


def growth(machine: Machine) -> tuple[Any, str]:
    """How time and memory grow with the work on a machine: the figure, and its text."""
    figure, panels = plots.axes(plots.WIDEST, 3.6, columns=2)
    told = []
    for axis, title in zip(panels, ("time", "memory"), strict=True):
        tables = machine.job("growth", title)
        work = [1 if each.what == "once" else int(each.what.split()[0]) for each in tables]
        axis.set_xscale("log")
        if title == "time":
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
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
        if title == "memory":
            axis.set_ylim(bottom=0)
        plots.label_lines(axis)
    *less, most = map(str, work)
    at = f"{', '.join(less)} and {most} times the work"
    return figure, f"Time and memory at {at} on {machine.label}. {'; '.join(told)}."


def written_anew(machines: Sequence[Machine]) -> dict[Path, bytes]:
    """Both texts and the figures."""
    contents = {}
    for path, region in ((PAGE, page_region), (README, readme_region)):
        text = path.read_text(encoding="utf-8")
        contents[path] = filled(text, partial(region, machines=machines)).encode()
    for machine in machines:
        if "growth" in machine.tables:
            image = io.BytesIO()
            growth(machine)[0].savefig(image, metadata={"Software": None})
            contents[FIGURES / figure_name(machine.name)] = image.getvalue()
    return contents


def main() -> None:
    """Write both texts and the figures, and remove those of machines that are gone."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    try:
        machines = read_machines(BENCHMARKS)
    except ValueError as error:
        sys.exit(str(error))
    faults = reasons_to_mend(kept(machines))
    contents = written_anew(machines)
    for path, content in contents.items():
        files.write_bytes_atomically(path, content)
    for path in {*FIGURES.glob(figure_name("*"))} - contents.keys():
        path.unlink()
    for fault in faults:
        print(f"{fault}: mend REASONS in tools/measured_peers.py", file=sys.stderr)


if __name__ == "__main__":
    main()
