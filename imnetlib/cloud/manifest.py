"""The manifest of a backup: a table of its files, from which it is restored (chapter 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from imnetlib.arguments import require_type

MANIFEST = "MANIFEST.tsv"
_COLUMNS = ["crc32", "bytes", "name", "key", "etag"]
# Earlier backups have no more: each object's key was its file's name.
_FIRST_COLUMNS = _COLUMNS[:3]
# What XML, in which S3 answers, cannot hold, and what ends a field or a line of the manifest.
_UNSAFE = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")
# The bytes of a key that S3 allows, less what is added to a changed file's.
_LONGEST_KEY = 1024 - len("~01234567")


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A line of the manifest: a file, and the object that holds its bytes.

    Args:
        name: The file's name below the folder.
        size: Its bytes.
        crc32: Its CRC32 in eight hexadecimal digits.
        key: The object's key below the prefix: the name, or NAME~CRC32 of a file that has changed
            since an earlier backup.
        etag: The object's ETag when the backup was finished; "" in a manifest of before.
    """

    name: str
    size: int
    crc32: str
    key: str
    etag: str = ""

    def mismatch(self, size: int, crc32: str = "") -> str:
        """How bytes of this size, and CRC32 if known, differ from the file's; "" if they do not."""
        if size != self.size:
            return f"has {size:,} bytes, not {self.size:,}"
        if crc32 not in ("", self.crc32):
            return f"has CRC32 {crc32}, not {self.crc32}"
        return ""


def require_prefix(prefix: str) -> None:
    """Raise TypeError or ValueError for what is no prefix of keys."""
    require_type(prefix, str, "the prefix is text, without the bucket")
    unsafe = _UNSAFE.search(prefix)
    if unsafe:
        raise ValueError(f"the prefix {prefix!r} has the character {unsafe[0]!r}")
    if "://" in prefix:
        raise ValueError(f"the prefix {prefix!r} is an address: leave s3://BUCKET/ out")
    if {".", ".."} & set(prefix.split("/")):
        raise ValueError(f"the prefix {prefix!r} has a part . or .., which S3 does not resolve")


def unsafe_name(name: str, prefix: str) -> str:
    """Why S3, XML, or a line of the manifest cannot hold a file's name; "" if they can."""
    if name == MANIFEST:
        return "has the manifest's own name"
    unsafe = _UNSAFE.search(name)
    if unsafe:
        return f"has the character {unsafe[0]!r} in its name"
    if len(f"{prefix}/{name}".encode()) > _LONGEST_KEY:
        return f"would have a key of more than {_LONGEST_KEY} bytes"
    return ""


def encode_manifest(entries: Iterable[ManifestEntry]) -> bytes:
    """The table as text in UTF-8, in order of the names."""
    lines = ["\t".join(_COLUMNS)]
    for entry in sorted(entries, key=lambda entry: entry.name):
        row = (entry.crc32, str(entry.size), entry.name, entry.key, entry.etag)
        lines.append("\t".join(row))
    return "".join(f"{line}\n" for line in lines).encode()


def decode_manifest(data: bytes) -> list[ManifestEntry]:
    """The lines of a manifest, of this form or of the first; ValueError for anything else."""
    text = data.decode()
    if not text.endswith("\n"):
        raise ValueError("the last line is cut")
    columns, *rows = (line.split("\t") for line in text[:-1].split("\n"))
    if columns == _FIRST_COLUMNS:
        rows = [[crc32, size, name, name, ""] for crc32, size, name in rows]
    elif columns != _COLUMNS:
        raise ValueError("the first line does not name the columns")
    return [
        ManifestEntry(name, int(size), crc32, key, etag) for crc32, size, name, key, etag in rows
    ]
