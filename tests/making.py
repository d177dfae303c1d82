"""Small archives and images that several test files make."""

from __future__ import annotations

import io
import tarfile

import numpy as np
from PIL import Image


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
