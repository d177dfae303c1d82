"""The .json beside a shard: what was packed, and the checksums that prove it (chapter 4)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imnetlib.arguments import PathLike, list_of_paths
from imnetlib.files import file_crc32


def fingerprint(shards: Sequence[PathLike]) -> int:
    """A checksum of what the shards hold, quickly read: from the .json beside each, or its .idx."""
    checksum = 0
    for shard in list_of_paths("shards", shards):
        crc = sidecar_of(shard).get("rec_crc32")
        text = shard.with_suffix(".idx").read_bytes() if crc is None else str(crc).encode()
        checksum = zlib.crc32(text, checksum)
    return checksum


def read_sidecar(path: PathLike) -> dict[str, Any]:
    """The content of a .json beside a shard; ValueError when it cannot be one."""
    try:
        content = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): remove it, and pack again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no sidecar of a shard: remove it, and pack again")
    return content


def sidecar_of(shard: PathLike) -> dict[str, Any]:
    """What the .json beside a shard holds, empty where there is none; see :func:`read_sidecar`."""
    path = Path(shard).with_suffix(".json")
    return read_sidecar(path) if path.exists() else {}


def verify_sidecar(rec: PathLike) -> list[str]:
    """What contradicts the .json beside a .rec, a sentence for each of .rec and .idx (chapter 4).

    Empty when both have the checksums that the .json names, and when there is no .json. Reads both
    files whole. ValueError for a .json that cannot be parsed.
    """
    rec = Path(rec)
    sidecar = rec.with_suffix(".json")
    content = sidecar_of(rec)
    if not content:
        return []
    problems = []
    for path in (rec, rec.with_suffix(".idx")):
        expected = content.get(f"{path.suffix[1:]}_crc32")
        actual = file_crc32(path) if path.exists() else None
        if actual is None:
            problems.append(f"{path} is missing, though {sidecar} names it")
        elif actual != expected:
            problems.append(
                f"{path} is not as it was packed: its CRC-32 is {actual}, {sidecar} says {expected}"
            )
    return problems
