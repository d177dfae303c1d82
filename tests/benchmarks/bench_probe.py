"""imnet's probe of a disk beside fio, on one folder in one run.

    python tests/benchmarks/bench_probe.py [FOLDER]

Random 4K reads with O_DIRECT at each queue depth, by fio with a thread for each read in flight
(psync) and with one thread (io_uring, or libaio where that is forbidden). Reads of 8 MiB in order,
by fio with memory in small pages, as it comes, and in huge ones (glibc 2.35 or later), which the
probe takes. Median of three rounds in turns; a ratio is that of the probe to the fastest of fio's.
fio: apt install fio, dnf install fio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path

from imnetlib import throughput as t

ROUNDS = 3
# Seconds for each of fio's jobs.
SECONDS = 1
PROBE_SECONDS = 12


def fio(folder: Path, *options: str, huge_pages: bool = False) -> dict:
    """What fio reports of one job's reads."""
    environment = os.environ | {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={huge_pages:d}"}
    file = [f"--directory={folder}", "--filename=fio", f"--size={t.GIB}", "--direct=1"]
    job = ["--time_based", f"--runtime={SECONDS}", "--group_reporting", "--output-format=json"]
    command = ["fio", "--name=probe", *file, *job, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]["read"]


def ways(depth: int, one_thread: str) -> dict[str, list[str]]:
    """The options of fio for so many reads in flight, by the name of the way."""
    return {
        "psync": ["--ioengine=psync", "--thread", f"--numjobs={depth}"],
        one_thread: [f"--ioengine={one_thread}", f"--iodepth={depth}"],
    }


def works(folder: Path, engine: str) -> bool:
    """Whether fio can use ``engine`` here."""
    try:
        fio(folder, "--rw=randread", "--bs=4k", f"--ioengine={engine}")
    except subprocess.CalledProcessError:
        return False
    return True


def measure(folder: Path, one_thread: str) -> dict[tuple[str, int], float]:
    """Reads/s by tool and depth, depth 0 for bytes/s in order: the median of the rounds."""
    rounds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        found = t.probe(folder, PROBE_SECONDS)
        rounds["probe", 0].append(found.sequential)
        for pages in ("small", "huge"):
            in_order = fio(
                folder, "--rw=read", "--bs=8M", "--ioengine=psync", huge_pages=pages == "huge"
            )
            rounds[pages, 0].append(in_order["bw_bytes"])
        for depth, rate in found.iops.items():
            rounds["probe", depth].append(rate)
            for name, options in ways(depth, one_thread).items():
                rounds[name, depth].append(
                    fio(folder, "--rw=randread", "--bs=4k", *options)["iops"]
                )
    return {key: statistics.median(values) for key, values in rounds.items()}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # Not /tmp, which may be memory.
    parser.add_argument("folder", type=Path, nargs="?", default=Path.cwd())
    folder = parser.parse_args().folder
    if shutil.which("fio") is None:
        print(
            "no fio here, so nothing to compare the probe with: apt install fio, or dnf install fio"
        )
        return
    with tempfile.TemporaryDirectory(dir=folder) as name:
        scratch = Path(name)
        one_thread = "io_uring" if works(scratch, "io_uring") else "libaio"
        found = measure(scratch, one_thread)
    probe, small, huge = (found[name, 0] / t.MB for name in ("probe", "small", "huge"))
    print("\nin order, MB/s          probe  fio small pages  fio huge pages  probe / fio")
    ratio = probe / max(small, huge)
    print(f"8 MiB                {probe:8,.0f}{small:17,.0f}{huge:16,.0f}{ratio:13.2f}")
    print(f"\nrandom 4K, reads/s      probe  fio psync  fio {one_thread:8}  probe / fio")
    for depth in t.QUEUE_DEPTHS:
        probe, threads, one = (found[name, depth] for name in ("probe", "psync", one_thread))
        ratio = probe / max(threads, one)
        print(f"{depth:2} at a time        {probe:11,.0f}{threads:11,.0f}{one:14,.0f}{ratio:13.2f}")


if __name__ == "__main__":
    main()
