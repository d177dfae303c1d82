"""Schematics of files and of their ways: archives, a download, records (chapters 1 to 4)."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from imnetlib import order, recordio
from imnetlib.archive import TarIndex
from imnetlib.course import plots
from imnetlib.course.plots import Drawing
from imnetlib.course.schematics.sketch import EDGE, SMALL, WIDTH, Box, Sketch

BYTES_A_ROW = 24
ROW = 1.05
LENGTH_BITS = 29
# Of a part of a record, by its cflag: whether another part follows.
FOLLOWS = ("", "\nmore follows", "\nmore follows", "\nthe last part")
SHARDS = (plots.BLUE, plots.ORANGE, plots.GREEN)


def tar_of_tars(index: TarIndex) -> Drawing:
    """An archive, a class in it, images in that, and what the index says of them (chapter 2)."""
    in_class = np.flatnonzero(index.classes >= 0)
    first = index.classes[in_class[0]]
    images = np.flatnonzero(index.classes == first)
    others = index.classes[in_class[index.classes[in_class] != first]]
    kind, ending = ("tars", ".tar") if _holds_tars(index) else ("class folders", "/")
    classes = [f"{index.class_names[number]}{ending}" for number in (first, *others[:1])]
    names = [index.names[row].decode().rpartition("/")[2] for row in images[:2]]

    sketch = Sketch(4.1, f"A tar of {kind}: an image lies deep, but is one read away")
    sketch.strip(Box(WIDTH - 0.85, 0.1, 0.16, 0.16), [1], [plots.ORANGE])
    sketch.words((WIDTH - EDGE, 0.18), "header", "right", SMALL)
    text = f"{index.path.name}: {index.archive_bytes:,} bytes, {len(index.class_names):,} classes"
    outer = sketch.frame(Box(EDGE, 0.42, WIDTH - 2 * EDGE, 0.9), text)
    opened = _draw_members(sketch, outer, classes, headers=kind == "tars")[0]
    text = f"{classes[0]}: {len(images):,} images"
    inner = sketch.frame(Box(EDGE, 1.72, WIDTH - 2 * EDGE, 0.9), text)
    for side in (0, 1):
        sketch.line(opened.at(side, 1), inner.at(side, 0), style=":")
    members = _draw_members(sketch, inner, names, headers=True)
    text = "the index: at which byte of the outer file an image begins, and how many bytes it has"
    sketch.frame(Box(EDGE, 3.02, WIDTH - 2 * EDGE, 1.0), text, below=True)
    for row, member in zip(images[:2].tolist(), members, strict=True):
        text = f"offset {index.offsets[row]:,}\nsize {index.sizes[row]:,}"
        entry = sketch.box(Box(member.left, 3.14, 1.6, 0.52), text)
        begin = member.left + 0.1
        sketch.arrow((begin, entry.top), (begin, member.bottom))
    alt = (
        f"{index.path.name} holds {len(index.class_names):,} {kind}. The first one, {classes[0]}, "
        f"holds {len(images):,} images, each after its header. Below, the index: arrows lead from "
        "the offset and the size of an image to where it begins."
    )
    return Drawing(sketch.figure, alt)


def _holds_tars(index: TarIndex) -> bool:
    """Whether the classes are tars inside of the archive, not folders in it."""
    with tarfile.open(index.path) as outer:
        return next(member for member in outer if member.isfile()).name.endswith(".tar")


def _draw_members(sketch: Sketch, frame: Box, names: Sequence[str], *, headers: bool) -> list[Box]:
    """The first members of the tar in a frame, one behind the other, perhaps with headers."""
    members = []
    left = frame.left + 0.12
    for name in names:
        head = Box(left, frame.top + 0.34, 0.16, 0.42)
        if headers:
            sketch.strip(head, [1], [plots.ORANGE])
        members += sketch.cells(Box(head.right, head.top, 3.3, head.height), [name], [plots.BLUE])
        left = members[-1].right
    sketch.words((left + 0.3, frame.top + 0.55), "…")
    return members


def broken_download(name: str, size: int, held: int) -> Drawing:
    """How ``size`` bytes come over when the line breaks after ``held`` of them (chapter 1)."""
    sketch = Sketch(4.15, "A broken transfer goes on where it stopped")
    here = 3.0
    there = WIDTH - 0.7
    sketch.words((EDGE + 1, 0.57), "on the disk")
    for lane, across in {"this program": here, "the server": there}.items():
        sketch.line((across, 0.72), (across, 4.05))
        sketch.box(Box(across - 0.6, 0.42, 1.2, 0.3), lane)
    shares = (held / size, 1 - held / size)
    _say(sketch, here, there, 1.2, f"GET {name}")
    _say(sketch, there, here, 1.65, f"200 OK: the first {held:,} bytes arrive")
    part = _keep(sketch, here, 1.65, f"{name}.part\n{held:,} bytes")
    sketch.strip(part, shares, (plots.BLUE, ""))
    middle = (here + there) / 2
    sketch.line((there, 2.1), (middle, 2.1), style="--")
    sketch.cross((middle, 2.1))
    sketch.words((middle - 0.2, 2.1), "the line breaks", "right", SMALL)
    asked = f"GET {name}, Range: bytes={held}-\nIf-Range: the ETag of the first answer"
    _say(sketch, here, there, 2.9, asked)
    sent = f"206 Partial Content\nContent-Range: bytes {held}-{size - 1}/{size}"
    _say(sketch, there, here, 3.5, sent)
    whole = _keep(sketch, here, 3.5, f"{name}\n{size:,} bytes")
    sketch.strip(whole, shares, (plots.BLUE, plots.ORANGE))
    alt = (
        f"The program asks the server for {name}. {held:,} bytes arrive and are kept on the disk "
        f"as {name}.part; then the line breaks. It asks again, for the bytes from there on, if it "
        "is the same file. The server answers 206 with exactly these. They are appended, and the "
        f"file, {size:,} bytes now, gets its name."
    )
    return Drawing(sketch.figure, alt)


def _say(sketch: Sketch, start: float, end: float, down: float, text: str) -> None:
    """A message from one lane to another, and what it says above its arrow."""
    sketch.arrow((start, down), (end, down))
    sketch.words(((start + end) / 2, down - 0.13 - 0.085 * text.count("\n")), text, size=SMALL)


def _keep(sketch: Sketch, lane: float, down: float, text: str) -> Box:
    """An arrow from a lane to the disk; where the file is, with its name under it."""
    file = Box(EDGE, down - 0.14, 2.0, 0.28)
    sketch.arrow((lane, down), file.at(1, 0.5))
    sketch.words((file.at(0.5, 1)[0], file.bottom + 0.24), text, size=SMALL)
    return file


def record_bytes(payload: bytes, *, image: bool = False) -> Drawing:
    """The record of ``payload`` as it is in a file, byte by byte (chapter 4).

    ``image``: the payload begins with an image header of one label, whose fields are shown, and
    holds no magic number.
    """
    fields = _fields(payload, image=image)
    rows = _rows(fields)
    parts = sum(field.meaning.startswith("magic") for field in fields)
    title = f"{'An image record' if image else 'A record'} of {len(recordio.frame(payload))} bytes"
    title += f", in {parts} parts" if parts > 1 else ""
    sketch = Sketch(0.32 + ROW * len(rows), title)
    width = (WIDTH - 2 * EDGE) / BYTES_A_ROW
    offset = 0
    told = []
    for number, row in enumerate(rows):
        box = Box(EDGE, 0.6 + ROW * number, 0, 0.28)
        for field in row:
            box = Box(box.right, box.top, width * len(field.data), box.height)
            texts = [f"{byte:02x}" for byte in field.data]
            sketch.cells(box, texts, [field.fill] * len(texts))
            sketch.words((box.left + 0.02, box.top - 0.1), str(offset), "left", SMALL)
            sketch.brace(box.left, box.right, box.bottom + 0.04, field.meaning)
            told.append(f"from byte {offset} on {' '.join(field.meaning.split())}")
            offset += len(field.data)
    return Drawing(sketch.figure, f"{title}, each byte in a cell: {', '.join(told)}.")


class _Field(NamedTuple):
    """Neighbouring bytes of a record with one meaning."""

    data: bytes
    meaning: str
    fill: str


def _fields(payload: bytes, *, image: bool) -> list[_Field]:
    """What the bytes of a record mean, part by part."""
    framed = recordio.frame(payload)
    fields = []
    at = 0
    while at < len(framed):
        magic, word = struct.unpack_from("<II", framed, at)
        cflag, length = divmod(word, 1 << LENGTH_BITS)
        fields.append(_Field(framed[at : at + 4], f"magic\n0x{magic:08x}", plots.ORANGE))
        told = f"length {length}{FOLLOWS[cflag]}"
        fields.append(_Field(framed[at + 4 : at + 8], told, plots.BLUE))
        at += 8
        data = framed[at : at + length]
        fields += _image_fields(data) if image else [_Field(data, f"data\n{_told(data)}", "")]
        at += length
        if padding := framed[at : at + -length % 4]:
            fields.append(_Field(padding, "padding", plots.GRAY))
        at += len(padding)
    return fields


def _image_fields(payload: bytes) -> list[_Field]:
    """The image header, field by field, and what is behind it."""
    header, jpeg = recordio.unpack(payload)
    fields = []
    at = 0
    for (name, value), code in zip(header._asdict().items(), "IfQQ", strict=True):
        size = struct.calcsize(f"<{code}")
        fields.append(_Field(payload[at : at + size], f"{name}\n{value}", plots.GREEN))
        at += size
    return [*fields, _Field(jpeg, f"JPEG\n{len(jpeg)} bytes", "")]


def _told(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    return f"“{text}”" if text.isascii() and text.isprintable() else f"{len(data)} bytes"


def _rows(fields: Iterable[_Field]) -> list[list[_Field]]:
    """The fields in rows; one that reaches over the end of a row goes on in the next."""
    rows: list[list[_Field]] = [[]]
    room = BYTES_A_ROW
    for data, meaning, fill in fields:
        while data:
            if not room:
                rows.append([])
                room = BYTES_A_ROW
            piece = data[:room]
            rows[-1].append(_Field(piece, meaning, fill))
            meaning = "goes on"
            data = data[room:]
            room -= len(piece)
    return rows


def epoch_order(records: Sequence[int], batch_size: int, readers: int, seed: int) -> Drawing:
    """Two epochs over small shards of so many records, and whose batch is whose (chapter 4)."""
    count = sum(records)
    sketch = Sketch(3.3, "Each epoch takes the records of all shards in a new order")
    left = 1.0
    width = (WIDTH - EDGE - left) / count
    shard_of = np.repeat(np.arange(len(records)), records)
    fills = [SHARDS[shard % len(SHARDS)] for shard in shard_of]
    begin = 0
    for shard, held in enumerate(records):
        box = Box(left + begin * width, 0.45, held * width, 0.28)
        sketch.cells(box, [str(begin + n) for n in range(held)], fills[begin : begin + held])
        sketch.brace(box.left, box.right, box.bottom + 0.04, f"shard {shard}")
        begin += held
    sketch.words((EDGE, 0.59), "in the files", "left")
    orders = [order.order_of(records, True, seed, epoch).tolist() for epoch in range(2)]
    for epoch, taken in enumerate(orders):
        top = 1.35 + ROW * epoch
        row = Box(left, top, count * width, 0.28)
        sketch.words((EDGE, top + 0.14), f"epoch {epoch}", "left")
        sketch.cells(row, [str(record) for record in taken], [fills[record] for record in taken])
        for reader in range(readers):
            for start in order.batch_starts(count, batch_size, 0, reader, readers):
                stop = min(start + batch_size, count)
                text = f"batch {start // batch_size}\nreader {reader}"
                # Padding has no records to bracket.
                if start < stop:
                    sketch.brace(left + start * width, left + stop * width, row.bottom + 0.04, text)
    alt = (
        f"{count} numbered records in {len(records)} shards, a colour for each. In the files the "
        f"numbers ascend. Epoch 0 takes them as {_listed(orders[0])}, epoch 1 as "
        f"{_listed(orders[1])}; each batch of {batch_size} goes to the next of {readers} readers."
    )
    return Drawing(sketch.figure, alt)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
