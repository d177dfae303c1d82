"""What the tests of packing share: files under a folder, their list, and what shards hold."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from making import encoded
from PIL import Image

from imnetlib import recordio
from imnetlib.engines.mxnet import mx
from imnetlib.image import Settings
from imnetlib.pack import ImageList

SMALL = Settings(resize=64, quality=90)


def write(
    path: Path, pixels: np.ndarray, form: str = "JPEG", mode: str = "RGB", **options: object
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(pixels, form, mode, **options))


def listed(root: Path) -> ImageList:
    """All files under root in shuffled order, ids not in this order either, the label by folder."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.JPEG"))
    order = np.random.default_rng(5).permutation(len(names))
    paths = np.array([os.fsencode(names[i]) for i in order])
    classes = sorted({name.split("/")[0] for name in names})
    labels = np.array([[classes.index(names[i].split("/")[0])] for i in order], np.float32)
    return ImageList((order * 7 + 3).astype(np.int64), labels, paths, tuple(classes))


def many(photos: Path, count: int) -> ImageList:
    """A list of ``count`` images, over and over those of ``photos``."""
    images = listed(photos)
    return ImageList(
        np.arange(count), np.resize(images.labels, (count, 1)), np.resize(images.paths, count)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def records(folder: Path) -> list[tuple[recordio.IRHeader, bytes]]:
    """All records of a folder's shards, as MXNet's own reader finds them by their index."""
    found = []
    for shard in sorted(folder.glob("*.rec")):
        reader = mx.recordio.MXIndexedRecordIO(str(shard.with_suffix(".idx")), str(shard), "r")
        found += [mx.recordio.unpack(reader.read_idx(key)) for key in reader.keys]
        reader.close()
    return found


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
