"""imnet's probe of a disk beside fio, below build/ in one run.

    python tests/benchmarks/bench_probe.py [--quick] [--to FOLDER]

Random 4K reads with O_DIRECT at each queue depth, by fio with a thread for each read in flight
(psync) and with one thread (io_uring, or libaio where that is forbidden). Reads of 8 MiB in order,
by fio with memory in small pages, as it comes, and in huge ones (glibc 2.35 or later), which the
probe takes. --seconds: of each job of fio; the probe has twelve times as many for all of its own.
fio: apt install fio, dnf install fio.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from results import Report, Table, options, take_turns, ways, work_folder

from imnetlib import throughput as t

PROBE = "imnet probe"


def fio(folder: Path, seconds: float, *options: str, huge_pages: bool = False) -> dict[str, float]:
    """What fio reports of one job's reads."""
    if shutil.which("fio") is None:
        raise FileNotFoundError("no fio here: apt install fio, or dnf install fio")
    environment = os.environ | {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={huge_pages:d}"}
    file = [f"--directory={folder}", "--filename=fio", f"--size={t.GIB}", "--direct=1"]
    time = ["--time_based", f"--runtime={round(1000 * seconds)}ms"]
    job = [*time, "--group_reporting", "--output-format=json"]
    command = ["fio", "--name=probe", *file, *job, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    report = json.loads(done.stdout[done.stdout.index("{") :])
    read: dict[str, float] = report["jobs"][0]["read"]
    return read


def works(folder: Path, engine: str) -> bool:
    """Whether fio can use ``engine`` here."""
    try:
        fio(folder, 1, "--rw=randread", "--bs=4k", f"--ioengine={engine}")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def jobs_in_order(folder: Path, seconds: float) -> dict[str, Callable[[], float]]:
    """MB/s of reads in order by fio."""

    def rate(huge_pages: bool) -> float:
        options = ("--rw=read", "--bs=8M", "--ioengine=psync")
        return fio(folder, seconds, *options, huge_pages=huge_pages)["bw_bytes"] / t.MB

    return {
        f"fio, memory in {pages} pages": functools.partial(rate, pages == "huge")
        for pages in ("small", "huge")
    }


def random_jobs(
    folder: Path, seconds: float, depth: int, engine: str
) -> dict[str, Callable[[], float]]:
    """Random reads/s of 4 KiB by fio, so many in flight."""
    engines = {
        "fio psync": ["--ioengine=psync", "--thread", f"--numjobs={depth}"],
        f"fio {engine}": [f"--ioengine={engine}", f"--iodepth={depth}"],
    }

    def rate(chosen: list[str]) -> float:
        return fio(folder, seconds, "--rw=randread", "--bs=4k", *chosen)["iops"]

    return {name: functools.partial(rate, chosen) for name, chosen in engines.items()}


def tables(folder: Path, seconds: float, rounds: int) -> Iterator[Table]:
    """Each tool's rates: in order, then at each depth."""
    engine = "io_uring" if works(folder, "io_uring") else "libaio"
    theirs = {0: jobs_in_order(folder, seconds)}
    theirs |= {depth: random_jobs(folder, seconds, depth, engine) for depth in t.QUEUE_DEPTHS}
    jobs: dict[tuple[int, str], Callable[[], Any]] = {
        (depth, name): job for depth, of in theirs.items() for name, job in of.items()
    }
    found = take_turns({PROBE: lambda: t.probe(folder, 12 * seconds), **jobs}, rounds)
    for depth, of in theirs.items():
        probed = {PROBE: found[PROBE]}
        rates = ways({name: found[depth, name] for name in of})
        peer = rates[-1].name
        if depth:
            ours = ways(probed, lambda probe, depth=depth: probe.iops[depth])
            title = "random reads of 4 KiB past the page cache"
            what = f"{depth} at a time"
            yield Table(title, "reads/s", (*ours, *rates), peer=peer, what=what)
        else:
            ours = ways(probed, lambda probe: probe.sequential / t.MB)
            yield Table("reads in order, 8 MiB at a time", "MB/s", (*ours, *rates), peer=peer)


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", rounds=(2, 1), seconds=(0.7, 0.2))
    report = Report("probe", programs={"fio": shutil.which("fio")})
    with work_folder() as name:
        for table in tables(Path(name), chosen.seconds, chosen.rounds):
            report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
