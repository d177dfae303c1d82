"""What each step of the course needs on the disk, before the first byte is fetched (chapter 1)."""

from __future__ import annotations

from dataclasses import dataclass

from imnetlib.files import HALF_BLOCK


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """``needs``: bytes for one step; ``total``: with the steps before it, and whether that fits."""

    step: str
    needs: int
    total: int
    fits: bool


def disk_budget(
    images: int,
    archive_bytes: int,
    free: int,
    *,
    record_bytes: float | None = None,
    keep_backup: bool = True,
    in_place: bool = False,
) -> tuple[BudgetRow, ...]:
    """What each step of the course adds to a disk with ``free`` bytes of room (chapter 1).

    A tar member costs its data and on average 768 bytes of header and padding, a file half a
    4,096-byte block, a record 32 bytes of header.

    Args:
        images: Of training and validation.
        archive_bytes: Of the archives; with ``in_place`` of the images themselves.
        free: The bytes of room.
        record_bytes: The mean image in a shard, if the images are made smaller.
        keep_backup: Count a copy of the records too.
        in_place: The images are here already, and are packed from where they are.
    """
    pixels = archive_bytes - (0 if in_place else 768 * images)
    records = pixels if record_bytes is None else round(images * record_bytes)
    steps = {
        "archives": 0 if in_place else archive_bytes,
        "class folders": 0 if in_place else pixels + HALF_BLOCK * images,
        "records": records + 32 * images,
    }
    if keep_backup:
        steps["backup of the records"] = steps["records"]
    rows = []
    total = 0
    for step, needs in steps.items():
        total += needs
        rows.append(BudgetRow(step, needs, total, total <= free))
    return tuple(rows)
