"""How each peer of imnetlib.pack writes the photos of a list, with two processes.

    python tests/benchmarks/pack_peers.py WRITER LIST ROOT OUT EDGE

WRITER is a key of WRITERS, LIST a .lst of im2rec.py with paths below ROOT. The photos are stored
with the short edge EDGE as JPEGs of quality 90, made by Pillow as the libraries' examples do, or by
FFCV itself.
"""

from __future__ import annotations

import functools
import io
import multiprocessing
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

PROCESSES = 2
QUALITY = 90
Sample = tuple[Path, int]


def read_list(path: Path, root: Path) -> list[Sample]:
    """File and label of each row."""
    rows = (line.split("\t") for line in path.read_text("utf-8").splitlines())
    return [(root / row[-1], int(float(row[1]))) for row in rows]


def stored(path: Path, edge: int) -> bytes:
    """What goes into the shard."""
    image = Image.open(path).convert("RGB")
    share = edge / min(image.size)
    size = round(image.width * share), round(image.height * share)
    out = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def in_two_processes(write: Callable[..., None], samples: list[Sample], *arguments: object) -> None:
    """``write`` half of the samples in each."""
    with multiprocessing.Pool(PROCESSES) as pool:
        parts = [(samples[part::PROCESSES], part, *arguments) for part in range(PROCESSES)]
        pool.starmap(write, parts)


def webdataset_part(samples: list[Sample], part: int, out: Path, edge: int) -> None:
    """Tars of one process."""
    import webdataset

    with webdataset.ShardWriter(str(out / f"{part}-%06d.tar"), verbose=0) as writer:
        for number, (path, label) in enumerate(samples):
            key = f"{part}{number:08d}"
            writer.write({"__key__": key, "jpg": stored(path, edge), "cls": label})


def webdataset(samples: list[Sample], out: Path, edge: int) -> None:
    """ShardWriter."""
    in_two_processes(webdataset_part, samples, out, edge)


def streaming_part(samples: list[Sample], part: int, out: Path, edge: int) -> None:
    """Shards of one process, in a folder of their own."""
    import streaming

    columns = {"image": "bytes", "label": "int"}
    with streaming.MDSWriter(out=str(out / str(part)), columns=columns) as writer:
        for path, label in samples:
            writer.write({"image": stored(path, edge), "label": label})


def streaming(samples: list[Sample], out: Path, edge: int) -> None:
    """MosaicML's MDSWriter and merge_index, as its guide to parallel conversion has it."""
    from streaming.base.util import merge_index

    in_two_processes(streaming_part, samples, out, edge)
    merge_index(str(out), keep_local=True)


def litdata_sample(sample: Sample, edge: int) -> dict[str, Any]:
    """What optimize stores for one."""
    path, label = sample
    return {"image": stored(path, edge), "label": label}


def litdata(samples: list[Sample], out: Path, edge: int) -> None:
    """optimize, chunks of 64 MB."""
    import litdata

    litdata.optimize(
        functools.partial(litdata_sample, edge=edge),
        samples,
        str(out),
        chunk_bytes="64MB",
        num_workers=PROCESSES,
        start_method="fork",
        verbose=False,
    )


class Photos:
    """Samples as FFCV's writer wants them: indexed, and decoded."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, at: int) -> tuple[Image.Image, int]:
        path, label = self.samples[at]
        return Image.open(path).convert("RGB"), label


def ffcv_field(path: Path, edge: int) -> Any:
    """JPEG, with the long edge that belongs to the short one: it knows the long one only."""
    from ffcv.fields import RGBImageField

    with Image.open(path) as image:
        long_edge = round(max(image.size) * edge / min(image.size))
    return RGBImageField(write_mode="jpg", max_resolution=long_edge, jpeg_quality=QUALITY)


def ffcv(samples: list[Sample], out: Path, edge: int) -> None:
    """DatasetWriter."""
    from ffcv.fields import IntField
    from ffcv.writer import DatasetWriter

    fields = {"image": ffcv_field(samples[0][0], edge), "label": IntField()}
    writer = DatasetWriter(str(out / "set.beton"), fields, num_workers=PROCESSES)
    writer.from_indexed_dataset(Photos(samples))


def stored_by_ffcv(path: Path, edge: int) -> bytes:
    """What its writer makes of a file."""
    kept = SimpleNamespace(data=np.empty(0, np.uint8))

    def malloc(size: int) -> tuple[int, np.ndarray]:
        kept.data = np.empty(size, np.uint8)
        return 0, kept.data

    ffcv_field(path, edge).encode({}, Image.open(path).convert("RGB"), malloc)
    return kept.data.tobytes()


# A writer's name, how it writes, and what it stores of a file.
WRITERS: dict[str, tuple[Callable[..., None], Callable[[Path, int], bytes]]] = {
    "WebDataset": (webdataset, stored),
    "Streaming": (streaming, stored),
    "litdata": (litdata, stored),
    "FFCV": (ffcv, stored_by_ffcv),
}


def main() -> None:
    """Write what the command line says."""
    name, listed, root, out, edge = sys.argv[1:]
    Path(out).mkdir()
    WRITERS[name][0](read_list(Path(listed), Path(root)), Path(out), int(edge))


if __name__ == "__main__":
    main()
