"""Members read in place: by many threads, in several calls, from an archive that has changed."""

import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tars import CLASSES, entry

from imnetlib import files
from imnetlib.archive import TarReader, index_tar


def test_reading_from_many_threads(nested: Path):
    index = index_tar(nested)
    expected = [data for files in CLASSES.values() for data in files.values()]
    order = np.random.default_rng(0).integers(0, len(index), 4000).tolist()
    with TarReader(index) as reader, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.read, order)) == [expected[i] for i in order]
        assert reader.read_name("n03/n03_5.JPEG") == b"five"
        with pytest.raises(ValueError, match="1 of 1 names"):
            reader.read_name("n03/none.JPEG")


def test_a_reader_asks_for_an_index(nested: Path):
    with pytest.raises(
        TypeError, match=r"by a TarIndex, as archive\.open_index gives it, not .*Pos"
    ):
        TarReader(nested)


def test_an_archive_that_shrank_is_noticed(nested: Path):
    index = index_tar(nested)
    with TarReader(index) as reader:
        with nested.open("r+b") as file:
            file.truncate(int(index.offsets[4]))
        with pytest.raises(OSError, match=r"ends inside n03/n03_5\.JPEG"):
            reader.read(4)


def test_a_member_larger_than_one_system_call_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Linux brings 2 GiB less 4 KiB at most: the file is a hole, and nobody holds what is read."""
    path = tmp_path / "big.tar"
    size = (2 << 30) + 5000
    with path.open("wb") as out:
        out.write(entry("big", size).tobuf(tarfile.GNU_FORMAT))
        out.seek(size - 1, 1)
        out.write(b"!" + bytes(-size % 512) + bytes(1024))
    index = index_tar(path)
    spans = []

    class Unheld:
        """Bytes of which only the number is known."""

        def __init__(self, size: int) -> None:
            self.size = size

        def __len__(self) -> int:
            return self.size

        def __add__(self, more: "Unheld") -> "Unheld":
            return Unheld(self.size + more.size)

    def read_most(descriptor: int, size: int, offset: int) -> Unheld:
        spans.append((offset, min(size, (2 << 30) - 4096)))
        return Unheld(spans[-1][1])

    monkeypatch.setattr(files, "read_at", read_most)
    with TarReader(index) as reader:
        assert len(reader.read(0)) == size
    assert spans == [(512, (2 << 30) - 4096), (512 + (2 << 30) - 4096, 9096)]


def test_short_reads_are_put_together(nested: Path, monkeypatch: pytest.MonkeyPatch):
    """As a network file system may answer: a few bytes at a time."""
    monkeypatch.setattr(
        files,
        "read_at",
        lambda descriptor, size, offset: os.pread(descriptor, min(size, 7), offset),
    )
    expected = [data for members in CLASSES.values() for data in members.values()]
    with TarReader(index_tar(nested)) as reader:
        assert [reader.read(position) for position in range(5)] == expected
