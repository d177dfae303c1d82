"""Is a ``.rec`` file sound, and what can be saved if it is not (chapter 4).

In a sound file the magic stands at a multiple of 4 only where a part begins. So a damaged length
shows (the next magic comes too early or too late), and after damage the next magic that begins a
whole record is the place to go on. Damage inside a payload leaves no trace in the structure: only
checksums find it.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imnetlib.arguments import PathLike
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
from imnetlib.recordio.index import read_index, write_index

# where each record begins and the last ends; payloads
_Batch = tuple[NDArray[np.int64], list[memoryview]]


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What a check of ``path`` found.

    ``offsets``: int64 (n,), where the sound records begin. ``lost``: int64 (m, 2), the byte ranges,
    first byte and byte after the last, that hold none. ``problems``: one sentence each, none in a
    sound file.
    """

    path: Path
    offsets: NDArray[np.int64]
    lost: NDArray[np.int64]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is known of the records beforehand, sorted by offset; ``checksums`` of equal length, or
    empty.
    """

    keys: NDArray[np.int64]
    offsets: NDArray[np.int64]
    checksums: NDArray[np.uint32]

    def find(self, offsets: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """The row of each offset, and whether there is one."""
        if not len(self.offsets):
            return np.zeros(len(offsets), np.intp), np.zeros(len(offsets), np.bool_)
        rows = np.minimum(np.searchsorted(self.offsets, offsets), len(self.offsets) - 1)
        return rows, self.offsets[rows] == offsets


def checksums(path: PathLike) -> NDArray[np.uint32]:
    """The CRC-32 of every payload, in file order: uint32 (n,). About as fast as the disk (chapter
    4).

    Raises RecordError at the first damage.
    """
    found = array("I")
    with RecordReader(path) as reader:
        for _, payloads in reader.blocks():
            found.extend(map(zlib.crc32, payloads))
    return np.array(found, np.uint32)


def verify(
    path: PathLike, index: PathLike | None = None, checksums: ArrayLike | None = None
) -> Report:
    """Read a ``.rec`` file whole and check structure and padding, agreement with its index,
    checksums (chapter 4).

    ``checksums``: as the function of that name gives them, CRC-32 in the order of the file; they
    need the ``index`` too. Raises OSError for a file that cannot be read and ValueError for an
    index that is none.
    """
    return _read_sound_records(
        Path(path), _known(index, checksums), index is not None, lambda payloads: None
    )


def salvage(
    damaged: PathLike,
    out: PathLike,
    index: PathLike | None = None,
    checksums: ArrayLike | None = None,
) -> Report:
    """Copy every sound record of ``damaged`` to ``out``, with a new ``.idx`` beside it; say what is
    lost.

    Keys are those of ``index`` if given, else 0, 1, 2 … (chapter 4). ``index`` and ``checksums`` as
    in :func:`verify`: with checksums exactly the untouched records come through. Without, damage
    inside a payload passes unseen, and where a length may be what was damaged the record is left
    out. After missing or added bytes go without index and checksums; what moved by no multiple of 4
    is lost all the same. Whether anything is lost, ``problems`` tells: ``lost`` is empty for a file
    cut where a record ends. Raises ValueError when there is no record, or ``out`` is ``damaged``
    itself or not named .rec, FileExistsError when it or its .idx exists.
    """
    source = Path(damaged)
    target = Path(out)
    if target.exists() and target.samefile(source):
        raise ValueError(f"{source} cannot be salvaged onto itself: name another file to write")
    if target.suffix != ".rec":
        raise ValueError(f"{target} cannot become a record file: give a name that ends in .rec")
    for path in (target, target.with_suffix(".idx")):
        if path.exists():
            raise FileExistsError(
                f"{path} exists and is not overwritten: name another file to write, or remove it"
            )
    known = _known(index, checksums)
    ends = array("q", [0])
    with write_atomically(target) as file:

        def save(payloads: list[memoryview]) -> None:
            for payload in payloads:
                ends.append(ends[-1] + file.write(frame(payload)))

        report = _read_sound_records(source, known, index is not None, save)
        if not len(report.offsets):
            raise ValueError(
                f"{source} holds no sound record at all: nothing is written. Is it a .rec file?"
            )
    rows, listed = known.find(report.offsets)
    new_key = int(known.keys.max(initial=-1)) + 1
    keys = np.where(
        listed, known.keys[rows] if len(known.keys) else 0, new_key + np.cumsum(~listed) - 1
    )
    write_index(target.with_suffix(".idx"), keys, np.array(ends[:-1], np.int64))
    return report


def _known(index: PathLike | None, checksums: ArrayLike | None) -> _Known:
    if index is None and checksums is not None:
        raise ValueError(
            "checksums without an index cannot be matched to records: name the index too"
        )
    none = np.empty(0, np.int64)
    keys, offsets = (none, none) if index is None else read_index(index)
    expected = np.asarray(() if checksums is None else checksums, np.uint32)
    if checksums is not None and len(expected) != len(offsets):
        raise ValueError(
            f"{index} lists {len(offsets)} records, but there are {len(expected)} checksums"
        )
    order = np.argsort(offsets, kind="stable")
    return _Known(keys[order], offsets[order], expected)


def _read_sound_records(
    path: Path, known: _Known, indexed: bool, keep: Callable[[list[memoryview]], None]
) -> Report:
    """Hand every sound record to ``keep``, in file order, and report."""
    starts = array("q")
    stops = array("q")
    wrong = array("q")
    with RecordReader(path) as reader:
        for bounds, payloads in _sound_batches(reader, known):
            good = _agree(bounds[:-1], payloads, known)
            keep([payload for payload, right in zip(payloads, good.tolist(), strict=True) if right])
            starts.extend(bounds[:-1][good].tolist())
            stops.extend(bounds[1:][good].tolist())
            wrong.extend(bounds[:-1][~good].tolist())
    offsets = np.array(starts, np.int64)
    begins = np.append(offsets, path.stat().st_size)
    ends = np.insert(np.array(stops, np.int64), 0, 0)
    lost = np.stack([ends, begins], axis=1)[begins > ends]
    return Report(
        path, offsets, lost, tuple(_problems(offsets, lost, np.array(wrong), known, indexed))
    )


def _agree(
    offsets: NDArray[np.int64], payloads: list[memoryview], known: _Known
) -> NDArray[np.bool_]:
    """For each record whether its checksum is the one known; true for all where none are."""
    if not len(known.checksums):
        return np.ones(len(offsets), np.bool_)
    rows, listed = known.find(offsets)
    found = np.fromiter(map(zlib.crc32, payloads), np.uint32, len(payloads))
    right: NDArray[np.bool_] = listed & (known.checksums[rows] == found)
    return right


def _problems(
    offsets: NDArray[np.int64],
    lost: NDArray[np.int64],
    wrong: NDArray[np.int64],
    known: _Known,
    indexed: bool,
) -> Iterator[str]:
    if len(lost):
        total = int((lost[:, 1] - lost[:, 0]).sum())
        (first, after) = lost[0].tolist()
        yield f"no sound record: {total:,} bytes, first from byte {first:,} to {after:,}"
    if len(wrong):
        yield f"contradicting their checksum: {len(wrong):,}, first at byte {wrong[0]:,}"
    if not indexed:
        return
    listed = np.unique(known.offsets)
    for what, found in (
        ("in the index without a sound record", np.setdiff1d(listed, offsets)),
        ("sound records missing from the index", np.setdiff1d(offsets, listed)),
        ("in the index more than once", known.offsets[1:][np.diff(known.offsets) == 0]),
    ):
        if len(found):
            yield f"{what}: {len(found):,}, first at byte {found[0]:,}"


def _sound_batches(reader: RecordReader, known: _Known) -> Iterator[_Batch]:
    """All sound records of the file, in order: a block of them at a time where it can be told at a
    glance.
    """
    at = one_by_one = 0
    size = reader.path.stat().st_size
    while at < size:
        if at >= one_by_one:
            block = reader.pread(READ_SIZE, at)
            offsets, payloads, used = whole_parts(block, at)
            bounds = np.array([*offsets, at + used], np.int64)
            if used and _clean(block[:used], bounds - at) and _at_header(reader, at + used):
                yield bounds, payloads
                at += used
                continue
            one_by_one = at + max(used, 1)
        payload, following = _sound_record(reader, at, known)
        if payload is not None:
            yield np.array([at, following], np.int64), [memoryview(payload)]
        at = following


def _clean(block: bytes, bounds: NDArray[np.int64]) -> bool:
    """Whether one-part records with these bounds have zero padding and no header inside their data."""
    heads = bounds[:-1] // 4
    lasts = bounds[1:] // 4 - 1
    words = np.frombuffer(block, "<u4")
    # of each record's last word
    used_bytes = 4 - -words[heads + 1].astype(np.int64) % 4
    padding = words[lasts].astype(np.int64) >> 8 * used_bytes
    return np.array_equal(aligned_magics(block), bounds[:-1]) and not padding.any()


def _at_header(reader: RecordReader, at: int) -> bool:
    return reader.pread(len(MAGIC_BYTES), at) in (MAGIC_BYTES, b"")


def _sound_record(reader: RecordReader, at: int, known: _Known) -> tuple[bytes | None, int]:
    """The payload of the record at ``at`` and where the next begins; or None and where to try next."""
    try:
        parts = list(reader.parts_at(at))
    except RecordError:
        return None, _next_magic(reader, at + 4)
    for start, stop, following in parts:
        if _next_magic(reader, start, following) < following or any(
            reader.pread(following - stop, stop)
        ):
            return None, _next_magic(reader, at + 4)
    start, stop, following = parts[-1]
    if not len(known.checksums) and not _ends_there(reader, known, start, stop, following):
        return None, _next_magic(reader, at + 4)
    return reader.record_at(at)


def _ends_there(reader: RecordReader, known: _Known, start: int, stop: int, following: int) -> bool:
    """Whether data from ``start`` ends at ``stop``: if no header follows, is that one damaged or
    the length?
    """
    head = reader.pread(PART.size, following)
    alike = sum(found == wanted for found, wanted in zip(head, MAGIC_BYTES, strict=False))
    if alike >= min(2, len(head)) or known.find(np.array([following]))[1].any():
        return True
    later = _next_magic(reader, following)
    if len(head) == PART.size:
        length = PART.unpack(head)[1] & MAX_LENGTH
        if following + PART.size + length + -length % 4 == later:
            # only the magic of that header is gone
            return True
    # the true one, if the length is damaged
    lengths = [later - start - padding for padding in range(4)]
    one_byte_off = any(
        ((stop - start) ^ length).to_bytes(8, "little").count(0) == 7 for length in lengths
    )
    return stop > start and not one_byte_off


def _next_magic(reader: RecordReader, start: int, stop: int | None = None) -> int:
    """The first multiple of 4 from ``start`` on that holds the magic; ``stop``, or the file's end,
    if none.
    """
    while block := reader.pread(READ_SIZE if stop is None else min(READ_SIZE, stop - start), start):
        found = aligned_magics(block)
        if len(found):
            return start + int(found[0])
        start += len(block)
    return start
