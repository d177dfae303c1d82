"""Fields of a tar header as tar(5) has them: ustar, pax (POSIX.1-2001) and GNU (chapter 2).

A parser of our own: ``tarfile.next`` of the standard library ends quietly at a damaged header, as
if the archive ended there.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imnetlib.arguments import Integers, Names
from imnetlib.files import BYPRODUCTS

TAR_BLOCK = 512
SIZE_FIELD = slice(124, 136)
TYPE_OFFSET = 156
LARGEST_SIZE = 1 << 60
_CHECKSUM = slice(148, 156)
# One long name makes the whole array of names as wide.
_LONGEST_NAME = 1024
_DRIVE = re.compile(r"(?:.*/)?[A-Za-z]:", re.DOTALL)
_BYPRODUCTS = {name.encode() for name in BYPRODUCTS}
# Of macOS, and of programs that do not know pax.
_BYPRODUCT_FOLDER = re.compile(rb"(?:.*/)?(?:__MACOSX|PaxHeaders?(?:\.\d+)?)/", re.DOTALL)
_PACKED_TAR = re.compile(
    rb"\.(?:tgz|tbz2?|txz|tzst|zip|7z|tar\.(?:gz|bz2?|xz|lzma|zstd?|lz4?|lzo|br|Z|rar))\Z"
)
# A letter that few names have, and the words with it for which a name needs a look: a search for a
# letter takes a fiftieth of that for a word.
_NEEDS_A_LOOK = {
    b"\\": (b"\\",),
    b":": (b":",),
    b"X": (b"__MACOSX/",),
    b"H": (b"PaxHeader",),
    b"b": (b"humbs.db",),
    b"k": (b"esktop.ini",),
    b"z": (b".tgz", b".tbz", b".txz", b".tzst", b".zip", b".7z"),
}


class TarTruncatedError(ValueError):
    """An archive ends too early: ``members`` are whole, the last of them up to ``whole_bytes``."""

    def __init__(self, path: Path, members: int, whole_bytes: int, length: int) -> None:
        self.members = members
        self.whole_bytes = whole_bytes
        problem = (
            f"is cut short: {members:,} members are whole, up to byte {whole_bytes:,} of {length:,}"
            if members
            else f"is no tar, or cut short: no member is whole in its {length:,} bytes"
        )
        super().__init__(
            f"{path} {problem}, and no end-of-archive mark follows; "
            "fetch the rest, or all of it again"
        )


def parse_number(field: bytes) -> int:
    """The number in a field: octal, or GNU's base 256 from 8 GiB on; negative if neither."""
    digits = field.rstrip(b"\0 ")
    try:
        if digits.isdigit():
            return int(digits, 8)
    except ValueError:
        return -1
    if field[:1] == b"\x80":
        number = int.from_bytes(field[1:], "big")
        return number if number <= LARGEST_SIZE else -1
    digits = field.partition(b"\0")[0].strip(b" ")
    return int(digits or b"0", 8) if set(digits) <= set(b"01234567") else -1


def has_valid_checksum(header: bytes) -> bool:
    """Whether the bytes add up to the checksum, whose own field counts as spaces."""
    total = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    return total == parse_number(header[_CHECKSUM])


def invalid_checksums(headers: list[bytes], block: npt.NDArray[np.uint8]) -> Integers:
    """The rows of ``block`` (n, 512), which holds ``headers``, whose checksum is wrong."""
    own = block[:, _CHECKSUM].sum(1, dtype=np.uint32)
    totals = block.sum(1, dtype=np.uint32) - own + 8 * ord(" ")
    return np.flatnonzero(totals != [parse_number(header[_CHECKSUM]) for header in headers])


def ustar_name(header: bytes) -> bytes:
    """The name in a header, with the prefix that ustar puts in front of a long one."""
    name = header[:100].rstrip(b"\0")
    if header[345] and header[257:263] == b"ustar\0":
        # star(1) keeps times behind the prefix.
        return header[345:500].partition(b"\0")[0] + b"/" + name
    return name


def safe_name(name: bytes, tar: str) -> bytes:
    """``name`` without a leading ``./``; ValueError unless it is a safe name in UTF-8.

    What would be unsafe on Windows is refused everywhere: backslashes, and the letter of a drive.
    """
    name = name.removeprefix(b"./")
    text = name.decode("utf-8", "replace")
    is_utf8 = text.encode() == name
    unsafe_part = "\0" in text or not {"", ".", ".."}.isdisjoint(text.split("/"))
    unsafe_part |= "\\" in text or (":" in text and _DRIVE.match(text) is not None)
    if unsafe_part or not is_utf8 or len(name) > _LONGEST_NAME:
        shown = text if len(text) < 200 else f"{text[:200]}…"
        problem = f"{tar} holds a member called {shown!r}: that is no safe file name"
        if "\\" in text:
            problem += "; make the tar again with / between the folders, as tar -cf does"
        raise ValueError(problem)
    return name


def is_byproduct(name: bytes) -> bool:
    """Whether a file is a program's, not the user's: ``._NAME``, ``__MACOSX/…``, ``Thumbs.db``."""
    file_name = name[name.rfind(b"/") + 1 :]
    if file_name.startswith(b"._") or file_name in _BYPRODUCTS:
        return True
    return _BYPRODUCT_FOLDER.match(name) is not None


def is_packed_tar(name: bytes) -> bool:
    """Whether a member is called like a packed class tar: ``NAME.tar.gz``, .tgz, .zip or so."""
    return _PACKED_TAR.search(name) is not None


def plain_names(block: npt.NDArray[np.uint8]) -> Names | None:
    """The names in a batch of headers (n, 512); None where one of them needs a look by itself."""
    width = int(np.flatnonzero(block[:, :100].any(0)).max(initial=0)) + 1
    field = np.ascontiguousarray(block[:, :width])
    mark = (field == ord("/")) | (field == ord("."))
    end = field == 0
    suspect = (block[:, 345] != 0) | (field >= 128).any(1)
    suspect |= end[:, 0] | mark[:, 0] | mark[:, -1]
    # "..", "//", "/.", and a slash or a dot at the end of the name
    suspect |= (mark[:, :-1] & (mark | end)[:, 1:]).any(1)
    # bytes after the end of the name
    suspect |= (end[:, :-1] & ~end[:, 1:]).any(1)
    if suspect.any() or _has_word(field.tobytes()):
        return None
    return field.view(f"S{width}").ravel()


def _has_word(text: bytes) -> bool:
    for letter, words in _NEEDS_A_LOOK.items():
        if letter in text and any(word in text for word in words):
            return True
    return False


def with_prefix(prefix: bytes, names: Names) -> Names:
    """Each name with ``prefix`` before it; five times as fast as np.char.add."""
    start = len(prefix)
    width = start + names.itemsize
    joined = np.empty((len(names), width), np.uint8)
    joined[:, :start] = np.frombuffer(prefix, np.uint8)
    joined[:, start:] = names.view(np.uint8).reshape(len(names), -1)
    return joined.view(f"S{width}").ravel()


def parse_extended(kind: str, data: bytes, tar: str) -> dict[bytes, bytes]:
    """The records of an extended header for the next member.

    ``kind`` is the header's type: pax (x; X on Solaris), global pax (g), GNU long name (L), GNU
    long link (K). x, X and L describe the next member; K is ignored; g must not rename or resize
    members.
    """
    if kind == "L":
        return {b"path": data.rstrip(b"\0")}
    if kind == "K":
        return {}
    records = dict[bytes, bytes]()
    start = 0
    # Each record is its own length in digits, a space, key=value and a newline.
    while start < len(data):
        digits = data[start : start + 20].partition(b" ")[0]
        end = start + int(digits) if digits.isdigit() else start
        key, equals, value = data[start + len(digits) + 1 : end].partition(b"=")
        intact = equals and end <= len(data) and value.endswith(b"\n")
        if key == b"size":
            intact = intact and value[:-1].isdigit() and len(value) <= 20
        if not intact:
            raise ValueError(f"{tar} has a broken pax header: {data[start : start + 40]!r}")
        records[key] = value[:-1]
        start = end
    if kind in "xX":
        return records
    if records.keys() & {b"path", b"size"}:
        raise ValueError(
            f"{tar} has a global pax header that renames members, which is not accepted"
        )
    return {}
