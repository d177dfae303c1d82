"""Damaged files: what verify finds and what salvage saves."""

from __future__ import annotations

import random
import zlib
from collections import deque
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from making import PAYLOADS, write_records

from imnetlib import recordio
from imnetlib.recordio import RecordError, RecordReader


def check_damage(
    folder: Path, records: list[bytes], damage: random.Random, rounds: int, widest: int
) -> int:
    """Damage a file ``rounds`` times; the untouched records that are missed without checksums."""
    path = folder / "a.rec"
    missed = 0
    ends = write_records(path, records).tolist()
    whole = path.read_bytes()
    sums = [zlib.crc32(record) for record in records]
    for _ in range(rounds):
        width = damage.randint(1, widest)
        at = damage.randrange(len(whole))
        spoilt = damage.choice(
            [damage.randbytes(width), bytes(width), bytes([whole[at] ^ 1 << damage.randrange(8)])]
        )
        data = (whole[:at] + spoilt + whole[at + len(spoilt) :])[: len(whole)]
        if data == whole:
            continue
        # To truncate a file that was just written costs more than all else here.
        with path.open("r+b") as file:
            file.write(data)
        spans = list(pairwise(ends))
        kept = [n for n, (start, stop) in enumerate(spans) if data[start:stop] == whole[start:stop]]
        with RecordReader(path) as reader, suppress(RecordError):
            deque(reader.records(), maxlen=0)
        report = recordio.verify(path, folder / "a.idx", sums)
        assert report.problems
        assert report.offsets.tolist() == [ends[n] for n in kept]
        covered = sorted([*map(tuple, report.lost.tolist()), *(spans[n] for n in kept)])
        assert [start for start, _ in covered] == [0, *(stop for _, stop in covered[:-1])]
        assert covered[-1][1] == len(whole)
        untouched = {ends[n] for n in kept}
        assert untouched <= set(recordio.verify(path, folder / "a.idx").offsets.tolist())
        missed += len(untouched.difference(recordio.verify(path).offsets.tolist()))
    return missed


def test_damage_anywhere_is_found_and_costs_only_what_it_touches(
    tmp_path: Path, block: int
) -> None:
    check_damage(tmp_path, PAYLOADS[:-1], random.Random(1), 700, 40)


def test_without_checksums_and_index_the_records_beside_the_damage_are_saved(
    tmp_path: Path,
) -> None:
    source = random.Random(2)
    records = [source.randbytes(source.randrange(300, 3000)) for _ in range(30)]
    assert check_damage(tmp_path, records, random.Random(3), 800, 4096) == 0
    assert check_damage(tmp_path, PAYLOADS[:-1], random.Random(4), 800, 1) == 0


@pytest.mark.slow
def test_a_hundred_thousand_damaged_files(tmp_path: Path) -> None:
    for seed in range(100):
        source = random.Random(seed)
        records = source.sample(PAYLOADS[:-1], 5) + [
            source.randbytes(source.randrange(60)) for _ in range(5)
        ]
        check_damage(tmp_path, records, source, 1000, 30)


def test_salvage_keeps_keys_and_writes_a_sound_file(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    out = tmp_path / "out" / "b.rec"
    offsets = write_records(path, PAYLOADS)
    sums = recordio.checksums(path)
    data = bytearray(path.read_bytes())
    # This bit is in a header, the next in a payload.
    data[offsets[3] + 2] ^= 1
    data[offsets[-1] - 1] ^= 1
    path.write_bytes(data)
    report = recordio.salvage(path, out, tmp_path / "a.idx", sums)
    kept = [n for n in range(len(PAYLOADS)) if n not in (3, len(PAYLOADS) - 1)]
    assert report.offsets.tolist() == offsets[kept].tolist()
    assert report.lost.tolist() == [offsets[3:5].tolist(), offsets[-2:].tolist()]
    assert report.problems
    reader = recordio.MXIndexedRecordIO(out.with_suffix(".idx"), out, "r")
    assert {key: reader.read_idx(key) for key in reader.keys} == {
        n + 100: PAYLOADS[n] for n in kept
    }
    assert recordio.verify(out, out.with_suffix(".idx")).problems == ()
    other = tmp_path / "out" / "c.rec"
    recordio.salvage(path, other)
    assert recordio.read_index(other.with_suffix(".idx"))[0].tolist() == list(
        range(len(PAYLOADS) - 1)
    )
    with pytest.raises(ValueError, match="cannot be salvaged onto itself"):
        recordio.salvage(path, tmp_path / "out" / ".." / "a.rec")


def test_salvage_of_something_else_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_bytes(b"no records here, " * 99)
    with pytest.raises(
        ValueError, match=r"a\.rec holds no sound record at all: nothing is written"
    ):
        recordio.salvage(tmp_path / "a.rec", tmp_path / "b.rec")
    assert [path.name for path in tmp_path.iterdir()] == ["a.rec"]


def test_salvage_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "train.rec"
    write_records(path, PAYLOADS)
    index = path.with_suffix(".idx")
    before = path.read_bytes(), index.read_bytes()
    with pytest.raises(
        ValueError, match=r"train\.saved cannot become a record file: .* ends in \.rec"
    ):
        recordio.salvage(path, tmp_path / "train.saved", index)
    (tmp_path / "there.rec").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"there\.rec exists and is not overwritten"):
        recordio.salvage(path, tmp_path / "there.rec", index)
    moved = path.rename(tmp_path / "train.damaged")
    own = index.read_bytes()
    # Another one than a killed call would have left.
    index.write_bytes(b"7\t0\n")
    with pytest.raises(FileExistsError, match=r"train\.idx exists and is not overwritten"):
        recordio.salvage(moved, path, index)
    assert index.read_bytes() == b"7\t0\n"
    index.write_bytes(own)
    assert (moved.read_bytes(), index.read_bytes()) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "there.rec",
        "train.damaged",
        "train.idx",
    ]


def test_a_file_cut_between_records_is_not_called_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    offsets = write_records(path, PAYLOADS)
    path.write_bytes(path.read_bytes()[: offsets[-3]])
    report = recordio.salvage(path, tmp_path / "b.rec", tmp_path / "a.idx")
    assert not len(report.lost)
    assert report.problems == (
        f"in the index without a sound record: 2, first at byte {offsets[-3]:,}",
    )


def test_salvage_goes_on_after_missing_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    out = tmp_path / "b.rec"
    offsets = write_records(path, PAYLOADS)
    whole = path.read_bytes()
    first = int(offsets[-3]) + 8
    after = int(offsets[-2]) + 40
    path.write_bytes(whole[:first] + whole[after:] + whole)
    report = recordio.salvage(path, out)
    assert out.read_bytes() == whole[: offsets[-3]] + whole
    assert report.lost.tolist() == [[offsets[-3], len(whole) - (after - first)]]


def test_verify_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    index = tmp_path / "a.idx"
    offsets = write_records(path, [b"abc", b"defgh", b"", b"xyz"])
    sums = recordio.checksums(path)
    assert recordio.verify(path, index, sums).problems == ()
    with pytest.raises(ValueError, match="name the index too"):
        recordio.verify(path, checksums=sums)
    with pytest.raises(ValueError, match=r"a\.idx lists 4 records, but there are 3 checksums"):
        recordio.verify(path, index, sums[:3])
    assert recordio.verify(path, index, sums ^ [0, 0, 0, 1]).problems == (
        "no sound record: 12 bytes, first from byte 36 to 48",
        "contradicting their checksum: 1, first at byte 36",
        "in the index without a sound record: 1, first at byte 36",
    )
    recordio.write_index(index, [1, 2, 3, 4], [0, 12, 12, 16])
    assert recordio.verify(path, index).problems == (
        "in the index without a sound record: 1, first at byte 16",
        "sound records missing from the index: 2, first at byte 28",
        "in the index more than once: 1, first at byte 12",
    )
    data = bytearray(path.read_bytes())
    data[offsets[1] - 1] = 7
    path.write_bytes(data)
    assert recordio.verify(path).problems == ("no sound record: 12 bytes, first from byte 0 to 12",)
