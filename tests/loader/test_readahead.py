"""Reading ahead: in large pieces, each byte once, and only what this reader needs."""

import time
from pathlib import Path

import pytest
from loading import TRAIN
from making import write_shard

from imnetlib import recordio
from imnetlib.loader import Blocks, Loader, readahead


@pytest.mark.parametrize(
    ("shuffle", "most"), [(False, 6), (Blocks(4, 3), 9), (Blocks(100, 1), 2), (True, 36)]
)
@pytest.mark.parametrize("readers", [1, 2])
def test_what_is_stored_together_is_read_at_once_and_no_byte_twice(
    tmp_path: Path,
    images: dict[int, bytes],
    monkeypatch: pytest.MonkeyPatch,
    shuffle: bool | Blocks,
    most: int,
    readers: int,
):
    data = list(images.values())
    shards = [
        write_shard(tmp_path / "a.rec", range(12), data[:12]),
        write_shard(tmp_path / "b.rec", range(24), data[12:36]),
    ]
    reads: list[tuple[Path, int, int]] = []
    plain = recordio.RecordReader.pread

    def counting(self: recordio.RecordReader, size: int, offset: int) -> bytes:
        reads.append((self.path, offset, size))
        return plain(self, size, offset)

    loaders = [
        Loader(shards, 6 // readers, TRAIN, shuffle=shuffle, shard_index=r, shard_count=readers)
        for r in range(readers)
    ]
    monkeypatch.setattr(recordio.RecordReader, "pread", counting)
    monkeypatch.setattr(readahead, "_LARGEST_GAP", 0)
    for loader in loaders:
        assert len(list(loader)) == 6
    assert len(reads) <= (most if readers == 1 else 36)
    touched = sorted(
        (path, byte) for path, offset, size in reads for byte in range(offset, offset + size)
    )
    assert touched == [(path, byte) for path in shards for byte in range(path.stat().st_size)]


def test_a_reader_of_several_reads_its_next_window_ahead(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
):
    """In file order the next window is another reader's: the next of its own is read instead."""
    asked: list[int] = []
    plain = readahead.Windows._read

    def noting(self: readahead.Windows, number: int) -> readahead.Window:
        asked.append(number)
        return plain(self, number)

    monkeypatch.setattr(readahead.Windows, "_read", noting)
    batches = iter(
        Loader(shards, 4, TRAIN, shuffle=False, shard_index=1, shard_count=3, prefetch=1)
    )
    next(batches)
    deadline = time.monotonic() + 10
    while len(asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    batches.close()
    assert asked == [1, 4, 7]
