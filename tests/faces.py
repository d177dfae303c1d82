"""Records in insightface's layout, written by MXNet: images, and an index of their identities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from making import encoded, photo

from imnetlib import recordio
from imnetlib.engines.mxnet import mx

# Images of each identity; its label is 10 times its number.
SIZES = (3, 1, 4, 2)
IMAGES = sum(SIZES)
# The keys of the identities.
FIRST = IMAGES + 1
LAST = FIRST + len(SIZES)
# The order in the file: as face2rec2.py writes it, as dataset_merge.py does, and as others do.
ORDERS = ("images header identities", "images identities header", "header images identities")


def bounds(shift: int = 0) -> list[tuple[int, int]]:
    """The key of each identity's first image, and the one behind its last."""
    ends = [1 + shift + sum(SIZES[: number + 1]) for number in range(len(SIZES))]
    return [(end - size, end) for end, size in zip(ends, SIZES, strict=True)]


def set_flag(rec: Path, key: int, flag: int) -> None:
    """Damage the flag of the record of that key."""
    keys, offsets = recordio.read_index(rec.with_suffix(".idx"))
    with rec.open("r+b") as file:
        file.seek(int(offsets[keys == key][0]) + 8)
        file.write(flag.to_bytes(4, "little"))


def write_faces(
    path: Path,
    order: str = ORDERS[0],
    *,
    aligned: bool = False,
    header: Sequence[float] | None = None,
    ranges: Sequence[tuple[float, float]] | None = None,
    shift: int = 0,
    empty: int | None = None,
) -> Path:
    """The .rec and its .idx, all keys but 0 raised by ``shift``.

    ``aligned``: each image has a second label, 1. ``header`` and ``ranges`` in place of the true
    ones. The image of key ``empty`` has no bytes.
    """
    labels = (FIRST + shift, LAST + shift) if header is None else header
    stored = bounds(shift) if ranges is None else ranges
    records = {
        "header": [(0, labels, b"")],
        "images": [],
        "identities": [(FIRST + shift + n, ends, b"") for n, ends in enumerate(stored)],
    }
    for number, (first, behind) in enumerate(bounds(shift)):
        for key in range(first, behind):
            label = [10.0 * number, 1.0] if aligned else 10.0 * number
            image = b"" if key == empty else encoded(photo(40, 32, key))
            records["images"].append((key, label, image))
    writer = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    for part in order.split():
        for key, label, content in records[part]:
            packed = mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), content)
            writer.write_idx(key, packed)
    writer.close()
    return path
