"""The .json beside a shard: what was packed, and the checksums that prove it (chapter 4)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imnetlib.files import file_crc32


def fingerprint(shards: Sequence[Path]) -> int:
    """A checksum of what the shards hold, from the .json beside each, or its .idx: small files,
    quickly read.
    """
    checksum = 0
    for shard in shards:
        said = sidecar_of(shard).get("rec_crc32")
        text = shard.with_suffix(".idx").read_bytes() if said is None else str(said).encode()
        checksum = zlib.crc32(text, checksum)
    return checksum


def read_sidecar(path: Path) -> dict[str, Any]:
    """What a .json beside a shard says; ValueError if it is none."""
    try:
        said = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it, and pack again") from error
    if not isinstance(said, dict):
        raise ValueError(f"{path} is no sidecar of a shard: remove it, and pack again")
    return said


def sidecar_of(shard: Path) -> dict[str, Any]:
    """What the .json beside a shard says; nothing where there is none. ValueError for one that is
    damaged.
    """
    path = shard.with_suffix(".json")
    return read_sidecar(path) if path.exists() else {}


def verify_sidecar(rec: Path) -> list[str]:
    """What contradicts the .json beside a .rec, a sentence for each of .rec and .idx (chapter 4).

    Empty when both have the checksums that the .json names, and when there is no .json. Reads both
    files whole. ValueError for a .json that cannot be parsed.
    """
    sidecar = rec.with_suffix(".json")
    problems = []
    said = sidecar_of(rec)
    for path in (rec, rec.with_suffix(".idx")) if said else ():
        expected = said.get(f"{path.suffix[1:]}_crc32")
        if not path.exists():
            problems.append(f"{path} is missing, though {sidecar} tells of it")
        elif (found := file_crc32(path)) != expected:
            problems.append(
                f"{path} is not as it was packed: its CRC-32 is {found}, {sidecar} says {expected}"
            )
    return problems
