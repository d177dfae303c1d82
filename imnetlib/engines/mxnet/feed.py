"""The loader's batches as an MXNet ``DataIter``, for ``Module.fit`` and its like (chapter 4)."""

from __future__ import annotations

from typing import Any

from imnetlib.engines.mxnet import mx
from imnetlib.loader import Loader


class BatchIter(mx.io.DataIter):  # type: ignore[misc]  # MXNet has no types
    """Batches on the CPU, of the loader's type and layout; ``pad`` is the number of last rows not to count.

    ``reset`` begins the next epoch. Where the loader begins in the middle of one, so does this.
    """

    def __init__(self, loader: Loader, data_name: str = "data", label_name: str = "softmax_label") -> None:
        super().__init__(loader.batch_size)
        size, width = loader.transform.size, loader.label_width
        layout = loader.transform.layout
        shape = (size, size, 3) if layout == "NHWC" else (3, size, size)
        kind = "uint8" if loader.transform.mean is None else "float32"
        labels = (loader.batch_size,) if width == 1 else (loader.batch_size, width)
        self.provide_data = [mx.io.DataDesc(data_name, (loader.batch_size, *shape), kind, layout)]
        self.provide_label = [mx.io.DataDesc(label_name, labels)]
        self._loader, self._batches, self._begun = loader, iter(loader), False

    def reset(self) -> None:
        """Begin the next epoch, unless this one has not begun."""
        self._batches.close()
        if self._begun:
            self._loader.epoch, self._loader.position = self._loader.epoch + 1, 0
        self._batches, self._begun = iter(self._loader), False

    def next(self) -> Any:
        """The next batch; StopIteration after the epoch's last."""
        batch = next(self._batches, None)
        self._begun = batch is not None  # at its end the loader has gone to the next epoch by itself
        if batch is None:
            raise StopIteration
        return mx.io.DataBatch(
            [mx.nd.array(batch.images, dtype=batch.images.dtype)],
            [mx.nd.array(batch.labels)],
            batch.padding,
            batch.ids,
            provide_data=self.provide_data,
            provide_label=self.provide_label,
        )
