"""The shards that a loader reads: their index and the open files (chapter 4)."""

from __future__ import annotations

import errno
import logging
import warnings
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from imnetlib import catalog
from imnetlib.loader.index import load_index
from imnetlib.pack import CLASSES
from imnetlib.recordio import RecordError, RecordReader

_log = logging.getLogger(__name__)


class LoadError(ValueError):
    """A record that cannot be read or decoded; the message names shard, record id and offset."""


def _require_one_label_space(paths: Sequence[Path]) -> None:
    beside = {path.parent / CLASSES for path in paths}
    if len(beside) > 1:
        kept = {path: catalog.read_classes(path) for path in sorted(beside) if path.exists()}
        remedy = "the shards of one Loader have the same classes"
        for path, classes in kept.items():
            catalog.verify_classes(classes, next(iter(kept.values())), path, remedy)


class Shards:
    """The ``index`` of shards, its ``checksum``, and the open ``files``: none once closed.

    Raises what ``load_index`` raises, OSError where a file cannot be opened, and with ``whole``
    LoadError where the last record that the index names is cut, as in a copy that broke off.
    ValueError where shards of several folders have other classes in their synset.txt.
    """

    def __init__(
        self, paths: Sequence[Path], merged: Path | None, images_only: bool, whole: bool
    ) -> None:
        _require_one_label_space(paths)
        self.index = load_index(paths, merged, images_only)
        if self.index.left_out:
            _log.warning(
                "left out: %s records without an image (insightface's layout)",
                f"{self.index.left_out:,}",
            )
        self.checksum = zlib.crc32(self.index.counts.data, zlib.crc32(self.index.ids.data))
        self.files: list[RecordReader] = []
        with ExitStack() as on_error:
            on_error.callback(self.close)
            self._open()
            if whole:
                self._require_whole(warn=not images_only)
            on_error.pop_all()

    def close(self) -> None:
        """Close the files; a second time does nothing."""
        while self.files:
            self.files.pop().close()

    def _open(self) -> None:
        paths = self.index.shards
        try:
            for path in paths:
                self.files.append(RecordReader(path))
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
            remedy = f"{len(paths):,} shards want as many open files: raise the limit (ulimit -n)"
            raise OSError(error.errno, remedy, str(path)) from error

    def _require_whole(self, warn: bool) -> None:
        index = self.index
        last = (np.cumsum(index.counts) - 1)[index.counts > 0]
        shards, starts, _ = index.locate(last)
        for key, shard, start in zip(index.ids[last], shards, starts.tolist(), strict=True):
            try:
                *_, (_, _, end) = self.files[shard].parts_at(start)
            except RecordError as error:
                raise LoadError(f"record {key}, the last: {error}") from error
            behind = index.ends[shard]
            if warn and end < behind:
                warnings.warn(
                    f"{index.shards[shard]}: the last record that the index names ends at byte "
                    f"{end:,} of {behind:,}; what follows is left out",
                    stacklevel=5,
                )
