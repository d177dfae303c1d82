"""How the loader grows with the cores: images/s by as many threads as 1, 2, 4, … and all of them.

    python tests/benchmarks/bench_cores.py [--quick] [--to FOLDER] [--records 512] [--rounds 3]

Random-resized crops of 224 pixels from photos of 256. The limit is the same work, decoding,
cropping and mirroring, done by as many processes over JPEGs held in memory: threads of one process
wait for Python's lock between the pieces of it. "2 processes of its own" is the ProcessLoader with
the same number of threads in all. The peer is torchvision's ImageFolder with torch's DataLoader, as
many processes. --records: for each thread.
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import loader_peers as peers
from bench_loader import LARGE, LIMIT, RESIZED, Readers, make_records, measure, tables, title_of
from loader_peers import Task
from peers_environment import move_there
from results import Report, cores, options

BATCH = 128


def readers(threads: int) -> Readers:
    """The ways to read with so many threads."""
    ways: Readers = {LIMIT: (peers.same_work_apart,), "imnetlib, in this process": (peers.ours,)}
    for processes in itertools.takewhile(lambda count: count <= threads, (1, 2, 4, 8, 16)):
        if threads // processes <= 4:
            own = f"{processes} process{'es' * (processes > 1)}"
            ways[f"imnetlib, {own} of its own"] = (peers.ours_apart, processes)
    return ways | {"torchvision, PIL": (peers.torchvision_folder, "PIL")}


def counts() -> list[int]:
    """How many threads are tried: powers of two, and as many as there are cores."""
    return sorted({cores(), *(count for count in (1, 2, 4, 8, 16, 32) if count < cores())})


def main() -> None:
    """A table for each number of threads, the largest alone where it has to be quick."""
    chosen = options(__doc__ or "", records=(4 * BATCH, 2 * BATCH), rounds=(3, 1))
    move_there()
    report = Report("cores")
    with tempfile.TemporaryDirectory() as name:
        for threads in counts()[-1:] if chosen.quick else counts():
            folder = Path(name) / str(threads)
            shard = make_records(folder, chosen.records * threads, LARGE.quality)
            size = shard.stat().st_size / (chosen.records * threads) / 1e3
            task = Task(shard, folder, RESIZED, BATCH, workers=threads)
            found = measure(readers(threads), task, chosen.rounds)
            rates, _ = tables(title_of(LARGE, RESIZED, size), found)
            report.add(replace(rates, what=f"{threads} of {cores()} cores"))
    report.save(chosen.to)


if __name__ == "__main__":
    main()
