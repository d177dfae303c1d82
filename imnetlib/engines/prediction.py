"""What predictions by any engine have in common (chapters 8 and 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imnetlib import catalog, image
from imnetlib.arguments import in_order
from imnetlib.engines.training import PredictedBatch
from imnetlib.image import Transform


def picture_reader(transform: Transform) -> Callable[[bytes], NDArray[Any]]:
    """A function from the bytes of an image to a batch of one, the same array each time."""
    table = image.normalization_table(transform)
    pixels = np.empty((transform.size, transform.size, 3), np.uint8)
    batch = np.empty((1, *transform.shape), transform.dtype)

    def read(data: bytes) -> NDArray[Any]:
        image.decode_into(data, transform, (0.5,) * image.RANDOM_COLUMNS, pixels)
        image.write_layout(pixels, table, transform.layout, batch[0])
        return batch

    return read


def relabel(
    batches: Iterable[PredictedBatch], wnids: Sequence[str], columns: Sequence[str]
) -> Iterator[PredictedBatch]:
    """The batches with labels that are positions in ``columns``, not in ``wnids`` (chapter 8).

    A class without a column, and an image without a class (-1), get -1. ``wnids``: the classes of
    the shards; ``columns``: those of the network. ValueError where no class has a column, and for a
    label that is none of the classes.
    """
    wnids = in_order("wnids", wnids)
    columns = in_order("columns", columns)
    # The last item is that of label -1.
    table = np.array([*catalog.positions(wnids, among=columns), -1])
    if table.max() < 0:
        raise ValueError(f"none of the {len(wnids):,} classes is among those of the network")
    for probabilities, labels, ids in batches:
        if labels.min(initial=-1) < -1 or labels.max(initial=-1) >= len(wnids):
            raise ValueError(
                f"labels go from -1 to {len(wnids) - 1:,}, not from {labels.min()} to "
                f"{labels.max()}: the shards have other classes"
            )
        yield probabilities, table[labels], ids
