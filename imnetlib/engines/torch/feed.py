"""The loader's batches as a torch ``IterableDataset`` (chapter 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

from imnetlib.loader import Loader


class TensorBatch(dict[str, Any]):
    """The tensors of a batch by name; DataLoader refuses to make a batch of such batches."""


def _refuse(batches: list[TensorBatch], **_: object) -> None:
    raise ValueError("give batch_size=None: the batches are made already")


# The default collation would add a dimension to each tensor without a word.
default_collate_fn_map[TensorBatch] = _refuse


class Batches(IterableDataset):  # type: ignore[misc]
    """Whole batches of tensors on the CPU, for ``DataLoader(Batches(loader), batch_size=None)``.

    Each is a dict of ``images`` and ``labels`` as in ``loader.Batch``, ``ids`` int64 (n,) and
    ``padding``, the number of last rows not to count. No pixel is copied. RuntimeError in a worker
    process of DataLoader: the loader decodes in threads, and every worker would give all images.
    ValueError from a DataLoader that makes batches of its own.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self.loader = loader

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[TensorBatch]:
        if get_worker_info() is not None:
            raise RuntimeError(
                "the loader decodes in threads of its own: give DataLoader num_workers=0 and "
                "batch_size=None"
            )
        for batch in self.loader:
            yield TensorBatch(
                images=torch.from_numpy(batch.images),
                labels=torch.from_numpy(batch.labels),
                ids=torch.from_numpy(batch.ids),
                padding=batch.padding,
            )
