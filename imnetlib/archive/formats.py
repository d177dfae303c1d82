"""What a file is by its first bytes: a tar, or packed, and then how to unpack it (chapter 2)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from imnetlib.archive.headers import TAR_BLOCK, has_valid_checksum
from imnetlib.arguments import PathLike


class Packing(NamedTuple):
    """How a file is packed: what it says of itself, and the command that unpacks it."""

    name: str
    described: str
    command: str


GZIP = Packing("gzip", "gzip-compressed", "gunzip")
ZIP = Packing("zip", "a zip archive", "unzip")
_PACKINGS = {
    b"\x1f\x8b": GZIP,
    b"BZh": Packing("bzip2", "compressed by bzip2", "bunzip2"),
    b"\xfd7zXZ\0": Packing("xz", "compressed by xz", "xz -d"),
    b"\x5d\0\0": Packing("lzma", "compressed by lzma", "unlzma"),
    b"\x28\xb5\x2f\xfd": Packing("zstd", "compressed by Zstandard", "zstd -d"),
    b"\x04\x22\x4d\x18": Packing("lz4", "compressed by lz4", "lz4 -d"),
    b"LZIP": Packing("lzip", "compressed by lzip", "lzip -d"),
    b"\x1f\x9d": Packing("compress", "compressed by compress", "uncompress"),
    b"PK\3\4": ZIP,
    b"PK\5\6": ZIP,
    b"7z\xbc\xaf\x27\x1c": Packing("7z", "a 7z archive", "7z x"),
    b"Rar!\x1a\x07": Packing("rar", "a RAR archive", "unrar x"),
}


def is_tar(head: bytes) -> bool:
    """Whether ``head``, the first 512 bytes of a file, is the header of a tar's member."""
    return len(head) == TAR_BLOCK and has_valid_checksum(head)


def packing_of(head: bytes) -> Packing | None:
    """How the file that begins with ``head`` is packed; None for a tar, and for anything else."""
    # A name that begins like a packed file is a name all the same.
    if is_tar(head[:TAR_BLOCK]):
        return None
    return next((found for magic, found in _PACKINGS.items() if head.startswith(magic)), None)


def refuse_packed(head: bytes, path: PathLike) -> None:
    """ValueError that says how ``path``, which begins with ``head``, is to be unpacked."""
    packing = packing_of(head)
    if packing is None:
        return
    if packing is not GZIP:
        remedy = f"unpack it first ({packing.command} {path})"
    elif Path(path).suffix == ".tar":
        remedy = "call it .tar.gz, then imnet index unpacks and indexes it"
    else:
        remedy = "imnet index unpacks and indexes it; then give the .tar"
    raise ValueError(f"{path} is {packing.described}: {remedy}")


def read_head(path: PathLike) -> bytes:
    """The first 512 bytes of a file, or all of a shorter one."""
    with Path(path).open("rb") as file:
        return file.read(TAR_BLOCK)


def is_gzip(path: PathLike) -> bool:
    """Whether a file is compressed by gzip, whatever it is called."""
    return packing_of(read_head(path)) is GZIP
