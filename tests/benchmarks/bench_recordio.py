"""Read records and take each payload's CRC-32: ours, mxnet.recordio and the plain file.

    python tests/benchmarks/bench_recordio.py [--quick] [--to FOLDER] [--megabytes 200]

The file is in the page cache; the limit is the CRC-32 of the plain file, read in blocks.
"""

from __future__ import annotations

import functools
import random
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from results import Report, Table, in_turns, options

from imnetlib import recordio

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
    from imnetlib.engines.mxnet import mx

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
}
UNCHECKED: dict[str, Callable[[Path], object]] = {
    "our verify(), structure and padding": recordio.verify,
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


def reading(folder: Path, record_bytes: int, megabytes: int) -> Iterator[Table]:
    """How fast records of one size are read."""
    path = folder / "a.rec"
    count = write(path, record_bytes, megabytes)
    offsets = recordio.scan(path)
    recordio.write_index(path.with_suffix(".idx"), offsets, offsets)
    work = path.stat().st_size / 1e9
    ways = {name: functools.partial(way, path) for name, way in (WAYS | UNCHECKED).items()}
    found = in_turns(ways, ROUNDS, work)
    what = f"{record_bytes:,} bytes each"
    yield Table(
        f"read {megabytes} MB of records, CRC-32 of each",
        "GB/s",
        found[: len(WAYS)],
        limit="plain file",
        peer="mxnet MXRecordIO.read",
        what=what,
    )
    # They leave out most of the bytes, or all but the headers.
    walked = tuple(
        replace(way, values=tuple(count / work * rate for rate in way.values))
        for way in found[len(WAYS) :]
    )
    yield Table(f"walk over {megabytes} MB of records, no CRC-32", "records/s", walked, what=what)


def index(folder: Path, rows: int) -> Table:
    """How fast an index is written and read."""
    offsets = np.arange(rows) * 113_248
    path = folder / "a.idx"
    ways = {
        "write_index": lambda: recordio.write_index(path, np.arange(rows), offsets),
        "read_index": lambda: recordio.read_index(path),
    }
    return Table(f"an index of {rows:,} rows", "s", in_turns(ways, ROUNDS, rate=False))


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", megabytes=(200, 50))
    report = Report("recordio")
    with tempfile.TemporaryDirectory() as folder:
        for record_bytes in (4_096, 20_000, 100_000):
            for table in reading(Path(folder), record_bytes, chosen.megabytes):
                report.add(table)
        report.add(index(Path(folder), 1_400_000))
    report.save(chosen.to)


if __name__ == "__main__":
    main()
