"""Tar archives, and tars of tars, indexed and read in place (chapters 2 and 4).

ImageNet's training set is one tar of 1,000 tars; other releases are one tar of class folders.
``index_tar`` walks the headers once and notes where the bytes of each member lie; ``TarScanner``
does the same while the bytes pass by. ``TarReader`` then reads any member, in any order, from many
threads, and nothing is unpacked. Needs only NumPy and the standard library.
"""

from imnetlib.archive.formats import is_gzip, is_tar, packing_of, read_head, refuse_packed
from imnetlib.archive.headers import TarTruncatedError
from imnetlib.archive.index import TarIndex, index_path, index_tar, open_index
from imnetlib.archive.reader import TarReader
from imnetlib.archive.scan import TarScanner, gunzip_tar

__all__ = [
    "TarIndex", "TarReader", "TarScanner", "TarTruncatedError", "gunzip_tar", "index_path",
    "index_tar", "is_gzip", "is_tar", "open_index", "packing_of", "read_head", "refuse_packed",
]  # fmt: skip
