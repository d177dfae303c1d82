"""Read records and take each payload's CRC-32: ours, mxnet.recordio and the plain file.

    python tests/benchmarks/bench_recordio.py [--megabytes 200]

Best of seven in one run, the file in the page cache. "share" is the rate against the CRC-32 of the
plain file.
"""

from __future__ import annotations

import argparse
import functools
import random
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import best_in_turns, seconds

from imnetlib import recordio
from imnetlib.engines.mxnet import mx

ROUNDS = 7


def plain(path: Path) -> None:
    """Read the file, and no records."""
    block = memoryview(bytearray(1 << 20))
    crc = 0
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            crc = zlib.crc32(block[:size], crc)


def mxnet_reader(path: Path) -> None:
    """Read the records with MXNet."""
    reader = mx.recordio.MXRecordIO(str(path), "r")
    while (payload := reader.read()) is not None:
        zlib.crc32(payload)


def our_mxnet_names(path: Path) -> None:
    """Read the records with our class of MXNet's name."""
    reader = recordio.MXRecordIO(path, "r")
    while (payload := reader.read()) is not None:
        zlib.crc32(payload)


def our_reader(path: Path) -> None:
    """Read the records in order."""
    with recordio.RecordReader(path) as reader:
        for _, payload in reader:
            zlib.crc32(payload)


def our_random_reader(path: Path) -> None:
    """Read each record by its offset."""
    with recordio.RecordReader(path) as reader:
        for offset in recordio.read_index(path.with_suffix(".idx"))[0].tolist():
            zlib.crc32(reader.read_at(offset))


WAYS: dict[str, Callable[[Path], object]] = {
    "plain file": plain,
    "mxnet MXRecordIO.read": mxnet_reader,
    "our MXRecordIO.read": our_mxnet_names,
    "our RecordReader": our_reader,
    "our RecordReader.read_at, by index": our_random_reader,
    "our checksums()": recordio.checksums,
    "our verify(), without checksums": recordio.verify,
    "our scan(), headers only": recordio.scan,
}


def write(path: Path, record_bytes: int, megabytes: int) -> int:
    """Write records of about ``record_bytes``; returns how many."""
    source = random.Random(1)
    noise = source.randbytes(2 * record_bytes)
    count = megabytes * 1_000_000 // record_bytes
    with path.open("wb") as out:
        for _ in range(count):
            start = source.randrange(record_bytes // 2)
            size = source.randrange(-50, 50) + record_bytes
            out.write(recordio.frame(noise[start : start + size]))
    return count


def read_table(folder: Path, record_bytes: int, megabytes: int) -> None:
    """Print how fast records of one size are read."""
    path = folder / "a.rec"
    count = write(path, record_bytes, megabytes)
    offsets = recordio.scan(path)
    recordio.write_index(path.with_suffix(".idx"), offsets, offsets)
    print(f"\n{count:,} records of {record_bytes:,} bytes   GB/s   share   x mxnet   us a record")
    ways = {name: functools.partial(way, path) for name, way in WAYS.items()}
    best = best_in_turns(ways, ROUNDS)
    for name, took in best.items():
        rate = path.stat().st_size / took / 1e9
        share = best["plain file"] / took
        gain = best["mxnet MXRecordIO.read"] / took
        print(f"{name:34} {rate:7.2f} {share:7.0%} {gain:9.2f} {took / count * 1e6:13.2f}")


def index_table(folder: Path, rows: int) -> None:
    """Print how fast an index is written and read."""
    offsets = np.arange(rows) * 113_248
    wrote = seconds(lambda: recordio.write_index(folder / "a.idx", np.arange(rows), offsets))
    read = seconds(lambda: recordio.read_index(folder / "a.idx"))
    print(f"\nindex of {rows:,} rows: written in {wrote:.2f} s, read in {read:.2f} s")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for record_bytes in (4_096, 20_000, 100_000):
            read_table(Path(folder), record_bytes, arguments.megabytes)
        index_table(Path(folder), 1_400_000)


if __name__ == "__main__":
    main()
