"""Run every benchmark, one after the other; what follows goes to each of them.

    python tests/benchmarks/run_all.py [--quick] [--to FOLDER]

One that fails does not stop the others; it is named at the end, and the exit status is 1.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def run_all(folder: Path, arguments: list[str]) -> list[str]:
    """Run the benchmarks in ``folder`` with ``arguments``; the names of those that failed."""
    failed = []
    took = {}
    for benchmark in sorted(folder.glob("bench_*.py")):
        name = benchmark.stem.removeprefix("bench_")
        print(f"\n== {name}", flush=True)
        began = time.perf_counter()
        done = subprocess.run([sys.executable, str(benchmark), *arguments], check=False)
        took[name] = time.perf_counter() - began
        if done.returncode:
            failed.append(name)
    print()
    for name, seconds in took.items():
        print(f"{name:12}{seconds:6.0f} s{'  failed' * (name in failed)}")
    print(f"{'in all':12}{sum(took.values()):6.0f} s")
    return failed


if __name__ == "__main__":
    failures = run_all(Path(__file__).parent, sys.argv[1:])
    if failures:
        sys.exit(f"failed: {', '.join(failures)}; what each says stands above")
