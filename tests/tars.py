"""Tars of every kind, made for tests, and what the standard library reads in them."""

from __future__ import annotations

import io
import itertools
import re
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import strategies as st

from imnetlib import files
from imnetlib.archive import TarIndex, TarScanner, index_tar

# The members of each class tar of the fixture ``nested``.
CLASSES = {
    "n02": {"n02_7.JPEG": b"seven" * 300, "n02_1.JPEG": b"one"},
    "n01": {"n01_9.JPEG": b"", "n01_3.JPEG": b"three" * 103},
    "n03": {"n03_5.JPEG": b"five"},
}

# What programs leave among the files of a user: in front of them, behind them, in folders.
BYPRODUCTS = {
    "._n01440764_1.JPEG": b"\0\5\x16\7",
    ".DS_Store": b"\0\0\0\1Bud1",
    "Thumbs.db": b"\xd0\xcf\x11\xe0",
    "Desktop.ini": b"[.ShellClassInfo]",
    "__MACOSX/n01440764/a.JPEG": b"1",
    "PaxHeaders.1234/n01440764_1.JPEG": b"30 mtime=1",
}

# Hypothesis draws strings of the library too, the names that an index leaves out among them.
_NOT_A_PART = {".", "..", *files.BYPRODUCTS}
_OF_A_CLASS_TAR = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz|tzst|zip|7z)$")
_PART = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/\\", exclude_categories=["Cs"]), min_size=1
).filter(
    lambda part: (
        part not in _NOT_A_PART
        and not _OF_A_CLASS_TAR.search(part)
        and not re.search(r"^\._|^PaxHeaders|^[A-Za-z]:", part)
    )
)
# Names that a tar may hold: of several folders, in any script.
MEMBER_NAMES = (
    st.lists(_PART, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda name: len(name.encode()) < 900)
)


def entry(name: str, size: int = 0, **fields: object) -> tarfile.TarInfo:
    """The header of a member."""
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar_of_entries(*entries: tarfile.TarInfo) -> bytes:
    """A tar of these headers, with zeros for data."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info in entries:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


# What every archive ends with.
END = bytes(1024)


def with_checksum(header: bytearray) -> bytes:
    """The header with the checksum that it should have."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def member(
    name: bytes,
    data: bytes = b"",
    kind: bytes = b"0",
    *,
    size: bytes = b"",
    magic: bytes = b"ustar  \0",
    prefix: bytes = b"",
) -> bytes:
    """A member with any name and type; ``size`` is the field as it stands, else that of data."""
    header = bytearray(entry("x", len(data)).tobuf(tarfile.GNU_FORMAT))
    header[:100] = name.ljust(100, b"\0")
    header[124 : 124 + len(size)] = size
    header[156:157] = kind
    header[257:265] = magic
    header[345 : 345 + len(prefix)] = prefix
    return with_checksum(header) + data + bytes(-len(data) % 512)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A pax header with these records."""
    data = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        length += len(str(length + len(str(length))))
        data += b"%d %s=%s\n" % (length, key, value)
    return member(b"pax", data, kind)


def write_archive(folder: Path, data: bytes, name: str = "a.tar") -> Path:
    """Write an archive and return its path."""
    path = folder / name
    path.write_bytes(data)
    return path


def by_tarfile(path: Path) -> list[tuple[str, int, int]]:
    """Name, offset and size of each file, one level of inner tars opened: the oracle."""
    rows = []
    with tarfile.open(path) as outer:
        for member in outer:
            if member.name.endswith(".tar"):
                with tarfile.open(fileobj=outer.extractfile(member)) as inner:
                    files = [file for file in inner if file.isreg()]
                prefix = member.name.removesuffix(".tar") + "/"
                start = member.offset_data
                rows += [
                    (prefix + file.name, start + file.offset_data, file.size) for file in files
                ]
            elif member.isreg():
                rows.append((member.name, member.offset_data, member.size))
    return rows


def class_folders(names: list[str]) -> list[str]:
    """The class of each name of a tar without class tars, by the rule itself: "" for none."""
    folders = [Path(name).parent for name in names]
    below = Counter(folder.parent for folder in folders if folder != Path())
    found = {folder for folder in folders if folder != Path()}
    # The first in order of equals.
    best = min(below, key=lambda parent: (-below[parent], str(parent)), default=None)
    found = {folder for folder in found if folder.parent == best}
    if len(found) == 1 and not re.fullmatch(r"n\d{8}", next(iter(found)).name):
        found = set()
    return [folder.name if folder in found else "" for folder in folders]


def classes_of(index: TarIndex) -> list[str]:
    """The class of each file of an index: "" for none."""
    return [(*index.class_names, "")[position] for position in index.classes.tolist()]


def as_rows(index: TarIndex) -> list[tuple[str, int, int]]:
    """Name, offset and size of each file of an index."""
    names = [name.decode() for name in index.names.tolist()]
    return list(zip(names, index.offsets.tolist(), index.sizes.tolist(), strict=True))


def index_by_scanner(data: bytes, path: Path, sizes: list[int]) -> TarIndex:
    """The index by a scanner to which the bytes come in pieces of ``sizes``, over and over."""
    scanner = TarScanner(path)
    rest = io.BytesIO(data)
    pieces = (rest.read(size) for size in itertools.cycle(sizes))
    for piece in itertools.takewhile(bool, pieces):
        scanner.update(piece)
    return scanner.index()


def refusal(path: Path) -> str:
    """In which words an archive is refused, the same by both ways of reading."""
    with pytest.raises(ValueError) as caught:
        index_tar(path)
    with pytest.raises(ValueError) as caught_by_scanner:
        index_by_scanner(path.read_bytes(), path, [700])
    assert str(caught_by_scanner.value) == str(caught.value)
    return str(caught.value)
