"""Members of an indexed archive, read in place, from many threads (chapters 2 and 4)."""

from __future__ import annotations

import numpy as np

from imnetlib.archive.index import TarIndex
from imnetlib.arguments import Integers, require_type
from imnetlib.files import read_all_at


class TarReader:
    """Reads members of an indexed archive in any order, from any number of threads (chapter 4).

    A context manager. It keeps one file open and nothing else.
    """

    def __init__(self, index: TarIndex) -> None:
        rule = "a TarReader reads by a TarIndex, as archive.open_index gives it"
        require_type(index, TarIndex, rule)
        self.index = index
        self._file = index.path.open("rb", buffering=0)
        self._order: Integers | None = None

    def read(self, position: int) -> bytes:
        """The bytes of the member at ``position``; OSError if the archive got shorter."""
        size = int(self.index.sizes[position])
        data = read_all_at(self._file.fileno(), size, int(self.index.offsets[position]))
        if len(data) != size:
            name = self.index.names[position].decode()
            raise OSError(
                f"{self.index.path} ends inside {name}: it has changed since it was indexed"
            )
        return data

    def read_name(self, name: str) -> bytes:
        """The bytes of the member called ``name``; ValueError if there is none."""
        # Sorted once, at the first call.
        if self._order is None:
            self._order = np.argsort(self.index.names, kind="stable")
        return self.read(int(self.index.positions([name], self._order)[0]))

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def __enter__(self) -> TarReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
