"""MXNet's RecordIO: records, indexes, image headers, verification, salvage (chapter 4).

``MXRecordIO``, ``MXIndexedRecordIO``, ``IRHeader``, ``pack``, ``unpack``, ``pack_img`` and
``unpack_img`` mean what they mean in ``mxnet.recordio``: a program changes its import and goes on.
Needs NumPy and the standard library only, but for ``pack_img`` and ``unpack_img``: OpenCV.
"""

from imnetlib.recordio.format import (
    MAGIC,
    Buffer,
    RecordError,
    RecordReader,
    frame,
    frame_pieces,
    scan,
)
from imnetlib.recordio.identities import Identities, read_identities
from imnetlib.recordio.images import IMAGE_HEADER, IRHeader, pack, pack_img, unpack, unpack_img
from imnetlib.recordio.index import (
    merge_indexes,
    read_index,
    read_index_of,
    rebuild_index,
    write_index,
)
from imnetlib.recordio.insightface import image_rows
from imnetlib.recordio.integrity import Report, checksums, salvage, verify
from imnetlib.recordio.mxnet import MXIndexedRecordIO, MXRecordIO
from imnetlib.recordio.sidecar import fingerprint, read_sidecar, sidecar_of, verify_sidecar

__all__ = [
    "IMAGE_HEADER", "MAGIC", "Buffer", "IRHeader", "Identities", "MXIndexedRecordIO",
    "MXRecordIO", "RecordError", "RecordReader", "Report", "checksums", "fingerprint", "frame",
    "frame_pieces", "image_rows", "merge_indexes", "pack", "pack_img", "read_identities",
    "read_index", "read_index_of", "read_sidecar", "rebuild_index", "salvage", "scan",
    "sidecar_of", "unpack", "unpack_img", "verify", "verify_sidecar", "write_index",
]  # fmt: skip
