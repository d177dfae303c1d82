"""What an image file holds beside the pixels: a JPEG's segments, a PNG's chunks, the orientation.

Each function passes over a file once, so its cost grows with the length alone, whatever the bytes.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from typing import Literal

JPEG_START = b"\xff\xd8"
END_OF_IMAGE = b"\xff\xd9"
PNG_START = b"\x89PNG\r\n\x1a\n"
# The tag of EXIF and of TIFF.
ORIENTATION = 0x0112

# Any number of FF may come before the one of a marker (ITU T.81, B.1.1.2).
_MARKER = re.compile(rb"\xff[^\x00\xff]")
# Within a scan there are RST0 to RST7 as well; the next other marker ends it.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN = 0xDA
_APP1 = 0xE1
# TEM, RST0 to RST7, SOI and EOI: markers without a segment.
_ALONE = frozenset((0x01, *range(0xD0, 0xDA)))
# Applications' segments and comments; JFIF's and Adobe's are all that a decoder reads of them.
_BESIDE = frozenset((*range(0xE0, 0xF0), 0xFE))
# What may stand between two scans: tables and the number of lines (ITU T.81, figure B.2).
_BETWEEN_SCANS = frozenset((0xC4, 0xCC, _SCAN, 0xDB, 0xDC, 0xDD, *_BESIDE))
_MOST_SEGMENTS = 1000
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
# The first four bytes of EXIF and TIFF: the order of bytes, and 42 in it or in the other one.
_ORDERS = {b"II*\0": "<", b"MM\0*": ">", b"II\0*": "<", b"MM*\0": ">", b"MM\0+": ">"}
# EXIF's types by number, as struct has them; a rational is two integers, and text is bytes.
_TYPES = {1: "s", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii"}
_TYPES |= {11: "f", 12: "d", 13: "I", 16: "Q"}
_SIZES = {kind: struct.calcsize(f"<{form}") for kind, form in _TYPES.items()}
# Type and keyword of the chunks that may tell the orientation.
_PNG_ORIENTATION = re.compile(
    rb"eXIf|(?:tEX|zTX|iTX)t(?:Raw profile type exif|XML:com\.adobe\.xmp)\0"
)


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a JPEG's header; last the scan, to the file's end.

    What lies between two segments is passed over, as libjpeg does. The end of a segment that was
    cut is beyond the file's.
    """
    at = 2
    # The file may end anywhere.
    with contextlib.suppress(IndexError):
        while True:
            start = at
            marker = data[at + 1]
            if data[at] != 0xFF or marker in (0x00, 0xFF):
                found = _MARKER.search(data, at)
                if found is None:
                    return
                start = found.start()
                marker = data[start + 1]
            if marker == _SCAN:
                yield marker, start, len(data)
                return
            at = start + 2
            if marker not in _ALONE:
                at += data[at] << 8 | data[at + 1]
            yield marker, start, at


def is_regular(data: bytes) -> bool:
    """Whether nothing but fill bytes lies between the segments of a JPEG's header.

    libjpeg passes over what lies there; other decoders, Pillow among them, may refuse the file.
    """
    at = 2
    for _, start, end in segments(data):
        if data[at:start].strip(b"\xff"):
            return False
        at = end
    return True


def scan_start(data: bytes) -> int:
    """Where the scan of a JPEG begins; the file's length where there is none."""
    return next((start for marker, start, _ in segments(data) if marker == _SCAN), len(data))


def is_complete(data: bytes) -> bool:
    """Whether a JPEG, a PNG or a GIF goes on to its own end mark; True for another format.

    Steps from part to part, so neither a part of another file nor what stands behind the end counts
    as the end. Of a JPEG's scans it sees the markers only.
    """
    # The file may end anywhere.
    with contextlib.suppress(IndexError):
        if data.startswith(JPEG_START):
            return _is_complete_jpeg(data)
        if data.startswith(PNG_START):
            return _is_complete_png(data)
        return not data.startswith(b"GIF8") or _is_complete_gif(data)
    return False


def _is_complete_jpeg(data: bytes) -> bool:
    at = scan_start(data)
    while data[at + 1] in _BETWEEN_SCANS:
        found = _AFTER_SCAN.search(data, at + 2 + (data[at + 2] << 8 | data[at + 3]))
        if found is None:
            return False
        at = found.start()
    return data.startswith(END_OF_IMAGE, at)


def _is_complete_png(data: bytes) -> bool:
    at = len(PNG_START)
    while data[at + 4 : at + 8] != b"IEND":
        if at >= len(data):
            return False
        at += 12 + int.from_bytes(data[at : at + 4])
    return at + 12 <= len(data)


def _is_complete_gif(data: bytes) -> bool:
    """Passes over the colour tables and blocks of GIF89a to the trailer."""
    at = 13 + _color_table(data[10])
    # An extension, or a picture.
    while data[at] in b"!,":
        at += 2 if data[at] == 0x21 else 11 + _color_table(data[at + 9])
        while data[at]:
            at += 1 + data[at]
        at += 1
    return data[at] == 0x3B


def _color_table(flags: int) -> int:
    """The bytes of the table that a GIF's flags promise."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def essence(data: bytes) -> bytes:
    """A JPEG or a PNG without what its pixels do not need, but a decoder may stop at or be slow in.

    A strict decoder stops at some oddities although the picture is whole. Surplus bytes between the
    segments of a JPEG's header and zeros before the end mark are removed, invalid numbers in the
    JFIF and Adobe segments corrected. Other surplus after the scan stays: after a flipped bit, the
    rest of a scan looks like that. Of a PNG the transparency stays, and of the chunks that tell the
    orientation the last of each, before the image: behind it Pillow finds them by decoding it.
    Other formats stay as they are.
    """
    if data.startswith(JPEG_START):
        return _jpeg_essence(data)
    return _png_essence(data) if data.startswith(PNG_START) else data


def _jpeg_essence(data: bytes) -> bytes:
    pieces = [JPEG_START]
    scan = b""
    for marker, start, end in segments(data):
        segment = data[start:end]
        # So many are rubbish, over which Pillow would take its time.
        if len(pieces) > _MOST_SEGMENTS:
            break
        if marker == _SCAN:
            scan = segment
        elif segment[4:9] == b"JFIF\0":
            # The major version.
            pieces += (segment[:9], b"\1", segment[10:])
        elif segment[4:9] == b"Adobe":
            # The colour transform: libjpeg, too, takes an unknown one for YCbCr.
            pieces += (segment[:15], min(segment[15:16], b"\1"), segment[16:])
        elif marker not in _BESIDE:
            pieces.append(segment)

    scan, end_mark, _ = scan.partition(END_OF_IMAGE)
    scan = scan.rstrip(b"\0")
    # After FF, one zero belongs to the scan.
    stuffing = b"\0" if scan.endswith(b"\xff") else b""
    return b"".join((*pieces, scan, stuffing, end_mark))


def _png_essence(data: bytes) -> bytes:
    before = [PNG_START]
    orientation: dict[bytes, bytes] = {}
    image: list[bytes] = []
    at = len(PNG_START)
    while at + 8 <= len(data):
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4])
        found = _PNG_ORIENTATION.match(data, at + 4)
        if found:
            orientation[found[0][4:]] = data[at:end]
        # A capital letter: no decoder can do without the chunk (PNG, 5.4).
        elif kind == b"tRNS" or not kind[0] & 0x20:
            (image if image or kind == b"IDAT" else before).append(data[at:end])
        at = end
    return b"".join((*before, *orientation.values(), *image))


def jpeg_orientation(data: bytes) -> int:
    """The orientation that the segments of a JPEG tell, 1 to 8."""
    exif: list[bytes] = []
    xmp = b""
    for marker, start, end in segments(data):
        if marker == _APP1:
            content = data[start + 4 : end]
            if content.startswith(_EXIF):
                # What is too long for one segment goes on in the next.
                exif.append(content.removeprefix(_EXIF) if exif else content)
            elif content.startswith(_XMP):
                xmp = content
    return orientation(b"".join(exif), xmp) if exif or xmp else 1


def orientation(exif: bytes, xmp: bytes) -> int:
    """EXIF's orientation, 1 to 8, or XMP's where EXIF has none; 1 where neither has a valid one."""
    value = _exif_orientation(exif)
    if value is None:
        found = _XMP_ORIENTATION.search(xmp)
        value = int(found[1]) if found else 1
    return int(value) if value in range(1, 9) else 1


def _exif_orientation(block: bytes) -> float | None:
    """What EXIF's first directory says (EXIF 2.3, 4.6.2): None where nothing, 0 if it is no number.

    Of a broken directory it reads what Pillow reads: an entry of an unknown type, of no values or
    of more than the block can hold is passed over; one that lies outside the block is the last.
    """
    block = block.removeprefix(_EXIF).removeprefix(_EXIF)
    order = _ORDERS.get(block[:4])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, directory)
    except struct.error:
        # The offset in a broken block points outside of it.
        return None
    first = directory + 2
    last = first + 12 * min(count, (len(block) - first) // 12)
    held = 0
    entries = struct.iter_unpack(f"{order}HHII", block[first:last])
    for field, (tag, kind, number, place) in zip(range(first + 8, last, 12), entries, strict=True):
        size = _SIZES.get(kind, 0) * number
        if size > 4:
            held += size
            if held > len(block):
                continue
            if place + size > len(block):
                return None
        if tag == ORIENTATION and size:
            return _first_number(block, place if size > 4 else field, order + _TYPES[kind])
    return None


def _first_number(block: bytes, at: int, form: str) -> float:
    """The first value of an entry; 0 where it is text or has no value."""
    first, *divisor = struct.unpack_from(form, block, at)
    if isinstance(first, bytes) or divisor == [0]:
        return 0
    return float(first / divisor[0] if divisor else first)


def tiff_entries(data: bytes) -> int:
    """How many entries the first directory of a TIFF or a BigTIFF has; 0 for another format."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    version = data[2:4].strip(b"\0")
    if data[:2] not in (b"II", b"MM") or version not in (b"*", b"+"):
        return 0
    offset = data[4:8] if version == b"*" else data[8:16]
    directory = int.from_bytes(offset, order)
    size = 2 if version == b"*" else 8
    return int.from_bytes(data[directory : directory + size], order)
