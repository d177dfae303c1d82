"""What S3 tells of an object, in a listing and when it is asked for its checksums."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imnetlib.cloud.manifest import ManifestEntry

# In the metadata of an object: the CRC32 of its bytes, and how many folders deep its name is, which
# tells a backup's objects from those of another one whose prefix lies below its own.
CRC32 = "imnetlib-crc32"
DEPTH = "imnetlib-depth"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing says of an object."""

    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Head:
    """What S3 says of an object: its bytes, and its CRC32 by S3's reckoning and by its metadata.

    ``whole`` is "" where the store keeps no checksum of the whole object, ``noted`` and ``depth``
    are "" where no backup made it.
    """

    size: int
    etag: str
    whole: str
    noted: str
    depth: str

    def is_of(self, key: str) -> bool:
        """Whether a backup made the object under this key, to this prefix, not to one below it."""
        return self.noted != "" and self.depth == str(key.count("/"))

    def proves(self, entry: ManifestEntry) -> bool:
        """Whether the object holds the entry's bytes, as far as can be told without reading it."""
        return (self.size, self.whole or self.noted) == (entry.size, entry.crc32)


def head_of(answer: Any) -> Head:
    """The answer to HeadObject; KeyError where it is no answer of S3."""
    crc32 = answer.get("ChecksumCRC32", "")
    # A composite one is a checksum of the parts' checksums.
    if answer.get("ChecksumType") == "COMPOSITE" or "-" in crc32:
        crc32 = ""
    noted = metadata(answer)
    return Head(
        answer["ContentLength"],
        answer["ETag"].strip('"'),
        base64.b64decode(crc32).hex(),
        noted.get(CRC32, ""),
        noted.get(DEPTH, ""),
    )


def metadata(answer: Any) -> dict[str, str]:
    """An object's own notes, by their names in small letters."""
    # Some stores begin each word with a capital.
    return {name.lower(): text for name, text in answer.get("Metadata", {}).items()}
