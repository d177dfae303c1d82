"""The loader's batches as a torch ``IterableDataset`` (chapter 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from imnetlib.loader import Loader


class Batches(IterableDataset):  # type: ignore[misc]
    """Whole batches of tensors on the CPU, for ``DataLoader(Batches(loader), batch_size=None)``.

    Each is a dict of ``images`` and ``labels`` as in ``loader.Batch``, ``ids`` int64 (n,) and
    ``padding``, the number of last rows not to count. No pixel is copied. RuntimeError in a worker
    process of DataLoader: the loader decodes in threads, and every worker would give all images.
    """

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self.loader = loader

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if get_worker_info() is not None:
            raise RuntimeError(
                "the loader decodes in threads of its own: give DataLoader num_workers=0"
            )
        for batch in self.loader:
            yield {
                "images": torch.from_numpy(batch.images),
                "labels": torch.from_numpy(batch.labels),
                "ids": torch.from_numpy(batch.ids),
                "padding": batch.padding,
            }
