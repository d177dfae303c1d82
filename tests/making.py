"""Small archives and images that several test files make."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from imnetlib import recordio
from imnetlib.cli import main

MAGIC = recordio.MAGIC.to_bytes(4, "little")
SEVERAL_PARTS = [
    MAGIC,
    MAGIC * 3,
    b"abcd" + MAGIC,
    b"abcd" + MAGIC + b"efg",
    MAGIC + b"a" + MAGIC,
    MAGIC + b"12345678" + MAGIC + b"x",
]
ONE_PART = [
    b"a" + MAGIC,
    b"abc" + MAGIC + b"de",
    MAGIC[:3],
    b"\0" * 17,
    *(b"0123456789"[:n] for n in range(10)),
]
PAYLOADS = [*ONE_PART, *SEVERAL_PARTS, random.Random(1).randbytes(5000)]


def write_records(path: Path, payloads: list[bytes]) -> np.ndarray:
    """A file of records and its index, keys from 100; their offsets, and the length of the file."""
    framed = [recordio.frame(payload) for payload in payloads]
    path.write_bytes(b"".join(framed))
    offsets = np.cumsum([0, *map(len, framed)])
    recordio.write_index(path.with_suffix(".idx"), np.arange(len(payloads)) + 100, offsets[:-1])
    return offsets


def tar_of(members: dict[str, bytes], form: int = tarfile.DEFAULT_FORMAT) -> bytes:
    """A tar of these files, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def jpeg(mode: str = "RGB", seed: int = 0, **options: object) -> bytes:
    """A JPEG of 11 x 9 pixels of noise."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 11, bands), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(out, "JPEG", quality=30, **options)
    return out.getvalue()


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """A smooth picture with a little noise, RGB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(smooth + rng.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)


def detailed_photo(width: int, height: int, seed: int) -> np.ndarray:
    """Noise at every scale, RGB: as hard to decode, to resize and to compress as a photo."""
    rng = np.random.default_rng(seed)
    canvas = np.full((height, width, 3), 128.0, np.float32)
    cells = 2
    while cells < max(width, height):
        shape = (max(2, cells * height // width), cells, 3)
        noise = rng.normal(0, 110 / cells**0.7, shape).astype(np.float32)
        canvas += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cells *= 2
    return np.clip(canvas + rng.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, form: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    """The pixels as a file of this format and mode; a JPEG has quality 92."""
    out = io.BytesIO()
    quality = {"quality": 92} if form == "JPEG" else {}
    Image.fromarray(pixels).convert(mode).save(out, form, **quality | options)
    return out.getvalue()


def write_shard(
    path: Path, ids: Iterable[int], images: Iterable[bytes], label: object = None
) -> Path:
    """A shard whose labels are id mod 10, unless one is given."""
    ids = list(ids)
    offsets = []
    data = b""
    for key, image in zip(ids, images, strict=True):
        header = recordio.IRHeader(0, float(key % 10) if label is None else label, key, 0)
        offsets.append(len(data))
        data += recordio.frame(recordio.pack(header, image))
    path.write_bytes(data)
    recordio.write_index(path.with_suffix(".idx"), ids, offsets)
    return path


def imnet(*arguments: object) -> Result:
    """The outcome of one call of ``imnet``."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def psnr(pixels: np.ndarray, reference: np.ndarray) -> float:
    """How near two pictures are, in dB."""
    return float(10 * np.log10(255**2 / np.mean((pixels.astype(float) - reference) ** 2)))


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write these files, by their names below the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def tree(folder: Path, *without: str) -> dict[str, bytes]:
    """Every file below a folder, by its name there; those called like one of ``without`` aside."""
    files = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in without:
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return files
