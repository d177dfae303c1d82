"""Small archives and images that several test files make."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from imnetlib import recordio


def tar_of(members: dict[str, bytes]) -> bytes:
    """A tar of these files, in this order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
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


def outputs(n: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (n, classes), labels and distinct ids, as of a network for n images."""
    rng = np.random.default_rng(seed)
    raised = np.exp(2 * rng.normal(size=(n, classes)))
    probabilities = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities, rng.integers(0, classes, n), np.arange(n) * 7


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """A smooth picture with a little noise, RGB."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    pixels += 4 * rng.standard_normal((height, width, 1), np.float32)
    return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)


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


def psnr(pixels: np.ndarray, reference: np.ndarray) -> float:
    """How near two pictures are, in dB."""
    return float(10 * np.log10(255**2 / np.mean((pixels.astype(float) - reference) ** 2)))
