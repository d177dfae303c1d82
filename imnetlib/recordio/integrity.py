"""Whether a ``.rec`` file is sound, and what can be saved if it is not (chapter 4).

In a sound file the magic stands at a multiple of 4 only where a part begins. So a damaged length
shows (the next magic comes too early or too late), and after damage the next magic that begins a
whole record is the place to go on. Damage inside a payload leaves no trace in the structure: only
checksums find it.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import Integers, PathLike
from imnetlib.files import write_atomically
from imnetlib.recordio.format import (
    MAGIC_BYTES,
    MAX_LENGTH,
    PART,
    READ_SIZE,
    RecordError,
    RecordReader,
    aligned_magics,
    frame,
    whole_parts,
)
from imnetlib.recordio.index import read_index, rebuild_index, write_index


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What :func:`verify` or :func:`salvage` found in ``path``.

    ``offsets``: int64 (n,), where the sound records begin. ``lost``: int64 (m, 2), the byte ranges,
    first byte and byte after the last, without a sound record. ``problems``: one sentence each,
    empty for a sound file.
    """

    path: Path
    offsets: Integers
    lost: Integers
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """What index and checksums promise of the records, by offset; empty where there are none."""

    indexed: bool
    keys: Integers
    offsets: Integers
    checksums: NDArray[np.uint32]

    def find(self, offsets: Integers) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The row of each offset, and whether there is one."""
        if not len(self.offsets):
            return np.zeros(len(offsets), np.intp), np.zeros(len(offsets), np.bool_)
        rows = np.minimum(np.searchsorted(self.offsets, offsets), len(self.offsets) - 1)
        return rows, self.offsets[rows] == offsets

    def match(self, offsets: Integers, payloads: Sequence[memoryview]) -> NDArray[np.bool_]:
        """Whether each payload has its checksum; true for all where no checksums are given."""
        if not len(self.checksums):
            return np.ones(len(offsets), np.bool_)
        rows, listed = self.find(offsets)
        actual = np.fromiter(map(zlib.crc32, payloads), np.uint32, len(payloads))
        matching: NDArray[np.bool_] = listed & (self.checksums[rows] == actual)
        return matching


def checksums(path: PathLike) -> NDArray[np.uint32]:
    """The CRC-32 of every payload, in file order: uint32 (n,) (chapter 4).

    About as fast as the disk. Raises RecordError at the first damage.
    """
    crcs = array("I")
    with RecordReader(path) as reader:
        for _, payloads in reader.blocks():
            crcs.extend(map(zlib.crc32, payloads))
    return np.array(crcs, np.uint32)


def verify(
    path: PathLike, index: PathLike | None = None, checksums: ArrayLike | None = None
) -> Report:
    """Read a ``.rec`` whole; verify structure, padding, index and checksums (chapter 4).

    ``checksums``: as the function of that name gives them, in file order; they need the ``index``
    too. Raises OSError for a file that cannot be read and ValueError for a malformed index.
    """
    return _survey(Path(path), _read_expected(index, checksums), lambda payloads: None)


def salvage(
    damaged: PathLike,
    out: PathLike,
    index: PathLike | None = None,
    checksums: ArrayLike | None = None,
) -> Report:
    """Copy each sound record of ``damaged`` to ``out``, with a new ``.idx`` beside it (chapter 4).

    Keys are those of ``index`` if given, else those of :func:`rebuild_index`. ``index`` and
    ``checksums`` as in :func:`verify`: with checksums exactly the untouched records come through.
    Without, damage inside a payload passes unseen, and a record whose length may be damaged is left
    out. Where bytes are missing or were added, give neither; what moved by no multiple of 4 is
    lost. ``problems`` says whether anything is lost: ``lost`` is empty for a file cut where a
    record ends.

    Raises ValueError when there is no record, or ``out`` is ``damaged`` itself or not named .rec,
    FileExistsError when it exists, or an .idx beside it that a killed call did not leave.
    """
    source = Path(damaged)
    target = Path(out)
    _require_new(target, source)
    expected = _read_expected(index, checksums)
    ends = array("q", [0])
    with write_atomically(target) as file:

        def save(payloads: Iterator[memoryview]) -> None:
            for payload in payloads:
                ends.append(ends[-1] + file.write(frame(payload)))

        report = _survey(source, expected, save)
        if not len(report.offsets):
            raise ValueError(
                f"{source} holds no sound record at all: nothing is written. Is it a .rec file?"
            )
        file.flush()
        if index is None:
            keys, _ = rebuild_index(file.name)
        else:
            rows, listed = expected.find(report.offsets)
            keys = int(expected.keys.max(initial=-1)) + np.cumsum(~listed)
            keys[listed] = expected.keys[rows[listed]]
        # Before the .rec has its name: that is the sign that both are there.
        _write_new_index(target.with_suffix(".idx"), keys, np.array(ends[:-1], np.int64))
    return report


def _write_new_index(path: Path, keys: Integers, offsets: Integers) -> None:
    """Write the index, unless a killed call has left this very one."""
    if path.exists():
        there = read_index(path)
        if not (np.array_equal(there[0], keys) and np.array_equal(there[1], offsets)):
            raise _existing(path)
    else:
        write_index(path, keys, offsets)


def _existing(path: Path) -> FileExistsError:
    return FileExistsError(
        f"{path} exists and is not overwritten: name another file to write, or remove it"
    )


def _require_new(target: Path, source: Path) -> None:
    if target.exists() and target.samefile(source):
        raise ValueError(f"{source} cannot be salvaged onto itself: name another file to write")
    if target.suffix != ".rec":
        raise ValueError(f"{target} cannot become a record file: give a name that ends in .rec")
    if target.exists():
        raise _existing(target)


def _read_expected(index: PathLike | None, checksums: ArrayLike | None) -> _Expected:
    if index is None and checksums is not None:
        raise ValueError(
            "checksums without an index cannot be matched to records: name the index too"
        )
    none = np.empty(0, np.int64)
    keys, offsets = (none, none) if index is None else read_index(index)
    crcs = np.asarray(() if checksums is None else checksums, np.uint32)
    if checksums is not None and len(crcs) != len(offsets):
        raise ValueError(
            f"{index} lists {len(offsets)} records, but there are {len(crcs)} checksums"
        )
    order = np.argsort(offsets, kind="stable")
    return _Expected(index is not None, keys[order], offsets[order], crcs)


def _survey(
    path: Path, expected: _Expected, keep: Callable[[Iterator[memoryview]], None]
) -> Report:
    """Hand every sound record to ``keep``, in file order, and report."""
    starts = array("q")
    stops = array("q", [0])
    contradicting = array("q")
    with RecordReader(path) as reader:
        for bounds, payloads in _sound_batches(reader, expected):
            matching = expected.match(bounds[:-1], payloads)
            keep(compress(payloads, matching.tolist()))
            starts.extend(bounds[:-1][matching].tolist())
            stops.extend(bounds[1:][matching].tolist())
            contradicting.extend(bounds[:-1][~matching].tolist())
    offsets = np.array(starts, np.int64)
    gaps = np.stack([stops, np.append(offsets, path.stat().st_size)], axis=1)
    lost = gaps[gaps[:, 1] > gaps[:, 0]]
    problems = _problems(offsets, lost, contradicting, expected)
    return Report(path, offsets, lost, tuple(problems))


def _problems(
    offsets: Integers, lost: Integers, contradicting: Sequence[int], expected: _Expected
) -> Iterator[str]:
    if len(lost):
        total = int((lost[:, 1] - lost[:, 0]).sum())
        first, behind = lost[0].tolist()
        yield f"no sound record: {total:,} bytes, first from byte {first:,} to {behind:,}"
    listed = expected.offsets
    kinds: dict[str, Sequence[int] | Integers] = {"contradicting their checksum": contradicting}
    if expected.indexed:
        kinds["in the index without a sound record"] = np.setdiff1d(listed, offsets)
        kinds["sound records missing from the index"] = np.setdiff1d(offsets, listed)
        kinds["in the index more than once"] = listed[1:][np.diff(listed) == 0]
    for kind, places in kinds.items():
        if len(places):
            yield f"{kind}: {len(places):,}, first at byte {places[0]:,}"


def _sound_batches(
    reader: RecordReader, expected: _Expected
) -> Iterator[tuple[Integers, list[memoryview]]]:
    """Where the records of a batch begin and the last ends, and their payloads, in file order.

    A block of sound one-part records is one batch; around damage each record is its own.
    """
    at = one_by_one_until = 0
    size = reader.path.stat().st_size
    while at < size:
        if at >= one_by_one_until:
            block = reader.pread(READ_SIZE, at)
            offsets, payloads, used = whole_parts(block, at)
            bounds = np.array([*offsets, at + used], np.int64)
            sound = used > 0 and _is_sound(block[:used], bounds - at)
            if sound and reader.pread(len(MAGIC_BYTES), at + used) in (MAGIC_BYTES, b""):
                yield bounds, payloads
                at += used
                continue
            one_by_one_until = at + max(used, 1)
        payload, following = _read_sound_record(reader, at, expected)
        if payload is not None:
            yield np.array([at, following], np.int64), [memoryview(payload)]
        at = following


def _is_sound(block: bytes, bounds: Integers) -> bool:
    """Whether these one-part records have zero padding and no header inside their data."""
    words = np.frombuffer(block, "<u4")
    lengths = words[bounds[:-1] // 4 + 1].astype(np.int64)
    last_words = words[bounds[1:] // 4 - 1].astype(np.int64)
    padding_sizes = -lengths % 4
    padding = last_words >> 8 * (4 - padding_sizes)
    return np.array_equal(aligned_magics(block), bounds[:-1]) and not padding.any()


def _read_sound_record(
    reader: RecordReader, at: int, expected: _Expected
) -> tuple[bytes | None, int]:
    """The payload of the record at ``at``, None if it is not sound, and where to go on."""
    try:
        parts = list(reader.parts_at(at))
    except RecordError:
        return None, _next_magic(reader, at + 4)
    sound = all(
        _next_magic(reader, start, following) == following
        and not any(reader.pread(following - stop, stop))
        for start, stop, following in parts
    )
    # Where there is a checksum, it says more surely whether the length is right.
    if sound and (len(expected.checksums) or _has_plausible_length(reader, expected, parts[-1])):
        return reader.record_at(at)
    return None, _next_magic(reader, at + 4)


def _has_plausible_length(
    reader: RecordReader, expected: _Expected, part: tuple[int, int, int]
) -> bool:
    """Whether a record's last ``part`` ends where it says.

    If no header follows, either that header is damaged or this length.
    """
    start, stop, following = part
    head = reader.pread(PART.size, following)
    equal_bytes = sum(a == b for a, b in zip(head, MAGIC_BYTES, strict=False))
    if equal_bytes >= min(2, len(head)) or expected.find(np.array([following]))[1].any():
        return True
    later = _next_magic(reader, following)
    if len(head) == PART.size:
        length = PART.unpack(head)[1] & MAX_LENGTH
        if following + PART.size + length + -length % 4 == later:
            # Only the magic of that header is gone.
            return True
    # If this length is damaged, the true one reaches to the next magic.
    true_lengths = [later - start - padding for padding in range(4)]
    differences = [((stop - start) ^ length).to_bytes(8, "little") for length in true_lengths]
    one_byte_off = any(difference.count(0) == 7 for difference in differences)
    return stop > start and not one_byte_off


def _next_magic(reader: RecordReader, start: int, stop: int = sys.maxsize) -> int:
    """The first multiple of 4 from ``start`` on with the magic; else ``stop`` or the file's end."""
    while block := reader.pread(min(READ_SIZE, stop - start), start):
        magics = aligned_magics(block)
        if len(magics):
            return start + int(magics[0])
        start += len(block)
    return start
