"""The loader's batches as an MXNet ``DataIter``, for ``Module.fit`` and its like (chapter 4)."""

from __future__ import annotations

from typing import Any

from imnetlib.engines.mxnet import mx
from imnetlib.loader import Loader


class BatchIter(mx.io.DataIter):  # type: ignore[misc]
    """Batches on the CPU, of the loader's type and layout; ``Module.fit`` mostly needs NCHW floats.

    ``pad`` is the number of last rows not to count: ``Module.predict`` leaves them out, metrics
    count them. It begins where the loader does, in the middle of an epoch too. ``Module.fit`` asks
    for a batch while it trains on the one before: in its ``batch_end_callback`` the loader's
    ``state_dict`` is one batch ahead, in ``epoch_end_callback`` it is right. An error is raised
    again until ``reset``.
    """

    def __init__(
        self, loader: Loader, data_name: str = "data", label_name: str = "softmax_label"
    ) -> None:
        count = loader.batch_size
        transform = loader.transform
        super().__init__(count)
        shape = (count, *transform.shape)
        labels = (count,) if loader.label_width == 1 else (count, loader.label_width)
        self.provide_data = [
            mx.io.DataDesc(data_name, shape, transform.dtype.name, transform.layout)
        ]
        self.provide_label = [mx.io.DataDesc(label_name, labels)]
        self._loader = loader
        self._start()

    def _start(self) -> None:
        self._batches = iter(self._loader)
        self._begun = False
        self._failure: ValueError | OSError | None = None

    def reset(self) -> None:
        """Begin the next epoch, unless this one has not begun."""
        self._batches.close()
        # At position 0 the loader has begun the next epoch by itself.
        if self._begun and self._loader.position:
            self._loader.start_epoch(self._loader.epoch + 1)
        self._start()

    def next(self) -> Any:
        """The next batch; StopIteration after the epoch's last."""
        if self._failure is not None:
            raise self._failure
        try:
            batch = next(self._batches)
        except (ValueError, OSError) as error:
            self._failure = error
            raise
        self._begun = True
        images = mx.nd.array(batch.images, dtype=batch.images.dtype)
        return mx.io.DataBatch(
            [images],
            [mx.nd.array(batch.labels)],
            batch.padding,
            batch.ids,
            provide_data=self.provide_data,
            provide_label=self.provide_label,
        )
