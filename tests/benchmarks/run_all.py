"""Run the benchmarks, all or those named, one after the other.

    python tests/benchmarks/run_all.py [--quick] [--to FOLDER] [NAME ...]

One that fails does not stop the others; it is named at the end, and the exit status is 1. What
could not be measured is named there too, with the reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from results import parse, parser_of
from stopping import deaf, hear


def run_all(benchmarks: Mapping[str, Path], arguments: Sequence[str]) -> list[str]:
    """Run benchmarks with ``arguments``; the names of those that failed.

    Stopped by a signal it waits for the one that runs, sums up what was done, and raises the
    SystemExit.
    """
    ended = {}
    took = {}
    lacking: dict[str, dict[str, None]] = {}
    stop = None
    for name, path in benchmarks.items():
        print(f"\n== {name}", flush=True)
        began = time.perf_counter()
        with deaf():
            process = subprocess.Popen(
                [sys.executable, "-u", str(path), *arguments], stdout=subprocess.PIPE, text=True
            )
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                if row := re.match(r"(\S.*?)(?:,.*)? +cannot run: (?:\w+ is (?=not))?(.+)", line):
                    lacking.setdefault(row[2], {})[row[1]] = None
            process.wait()
        except SystemExit as error:
            stop = error
            process.terminate()
            process.communicate()
        took[name] = time.perf_counter() - began
        if stop:
            ended[name] = "stopped"
            break
        if process.returncode:
            ended[name] = "failed"
    print()
    for name, seconds in took.items():
        print(f"{name:12}{seconds:6.0f} s  {ended.get(name, '')}".rstrip())
    print(f"{'in all':12}{sum(took.values()):6.0f} s")
    if lacking:
        told = (f"{', '.join(names)} ({reason})" for reason, names in lacking.items())
        print(f"\nnot measured: {'; '.join(told)}")
    if stop:
        raise stop
    return [*ended]


def main() -> None:
    """Run what is asked for."""
    folder = Path(__file__).parent
    there = {path.stem.removeprefix("bench_"): path for path in sorted(folder.glob("bench_*.py"))}
    parser = parser_of(__doc__ or "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(there)}")
    chosen = parse(parser)
    unknown = set(chosen.names) - there.keys()
    if unknown:
        parser.error(f"no benchmark is {min(unknown)}: there are {', '.join(there)}")
    arguments = ["--quick"] * chosen.quick + (["--to", str(chosen.to)] if chosen.to else [])
    hear()
    failed = run_all({name: there[name] for name in chosen.names or there}, arguments)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; what each says stands above")


if __name__ == "__main__":
    main()
