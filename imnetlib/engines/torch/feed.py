"""The loader's batches as a torch ``IterableDataset``, and for a GPU (chapters 4 and 10)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info
from torch.utils.data._utils.collate import default_collate_fn_map

from imnetlib.arguments import PathLike
from imnetlib.engines import Recipe
from imnetlib.loader import Batch, Loader, ProcessLoader

# Threads of each process of a loader that feeds a GPU: more of them wait for one another.
_THREADS = 4


class TensorBatch(dict[str, Any]):
    """The tensors of a batch by name; DataLoader refuses to make a batch of such batches."""


def _refuse(batches: list[TensorBatch], **_: object) -> None:
    raise ValueError("give batch_size=None: the batches are made already")


# The default collation would add a dimension to each tensor without a word.
default_collate_fn_map.update({TensorBatch: _refuse})


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


class DeviceFeed:
    """Batches of uint8 pictures (n, height, width, 3), on ``device`` where that is a GPU.

    For a GPU the loader has processes of its own, in whose memory the GPU reads: threads in this
    one would hold up what starts the GPU's work. A training on the CPU shares its cores with the
    loader either way, so there the threads are in this process and nothing is copied.

    Args:
        shards: .rec files.
        recipe: Of the training; it normalises on the device.
        device: Where the batches are wanted.
        training: Random crops in a random order, or the centre, in order.
        threads: That decode.
        classes: How many there are: labels of other classes are refused in training.
        rank: Of this process, which gets its share of each batch.
        world: How many processes train together.
    """

    def __init__(
        self,
        shards: Sequence[PathLike],
        recipe: Recipe,
        device: torch.device,
        *,
        training: bool,
        threads: int,
        classes: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.device = device
        transform = recipe.transform(training=training)
        settings: dict[str, Any] = {
            "shards": [str(shard) for shard in shards],
            "batch_size": recipe.batch_size // world if training else recipe.images_per_device,
            "transform": dataclasses.replace(transform, layout="NHWC", mean=None, std=(1, 1, 1)),
            "shuffle": training,
            "seed": recipe.seed,
            "threads": threads,
            "classes": classes if training else None,
            "shard_index": rank,
            "shard_count": world,
        }
        self.loader: Loader | ProcessLoader
        if device.type == "cuda":
            processes = -(-threads // _THREADS)
            self.loader = ProcessLoader(processes=processes, **settings)
            self._pin(self.loader.memory)
            self._stream = torch.cuda.Stream(device)
        else:
            self.loader = Loader(**settings)

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.loader)

    def state_dict(self) -> dict[str, Any]:
        """The position behind the batch that came last."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a position."""
        self.loader.load_state_dict(state)

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.loader:
            yield self._on_gpu(batch) if self.device.type == "cuda" else batch

    def _on_gpu(self, batch: Batch) -> Batch:
        """Copy a batch while the GPU computes what it was given before."""
        with torch.cuda.stream(self._stream):
            images = torch.from_numpy(batch.images).to(self.device, non_blocking=True)
            labels = torch.from_numpy(batch.labels).to(self.device, non_blocking=True)
        # Behind this the loader may use the memory again.
        self._stream.synchronize()
        for copied in (images, labels):
            copied.record_stream(torch.cuda.current_stream(self.device))
        return dataclasses.replace(batch, images=images, labels=labels)

    def _pin(self, memory: NDArray[Any]) -> None:
        """Let the GPU read the shared memory itself; else each copy would hold up the program."""
        runtime = torch.cuda.cudart()
        status = int(runtime.cudaHostRegister(memory.ctypes.data, memory.nbytes, 0))
        if status:
            raise RuntimeError(f"the loader's memory can't be pinned (CUDA error {status})")
        self._unpin = partial(runtime.cudaHostUnregister, memory.ctypes.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.device.type == "cuda":
            self._stream.synchronize()
            self._unpin()
        self.loader.close()
