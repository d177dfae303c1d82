"""The sample's files as ImageNet's publisher would have made them: images, tars, development kit.

Everything here gives the same bytes at every call: times, owners and dates are constants.
"""

from __future__ import annotations

import gzip
import io
import itertools
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from imnetlib import catalog
from imnetlib.files import write_atomically

QUALITY = 88
# Quirk to Pillow's mode and format.
ODD_ENCODINGS = {"png": ("RGB", "PNG"), "cmyk": ("CMYK", "JPEG"), "grayscale": ("L", "JPEG")}
# An EXIF block whose first directory lies far behind its end: readers warn, the pixels are fine.
BROKEN_EXIF = b"\xff\xe1\x00\x10Exif\x00\x00MM\x00*\x7f\xff\xff\xf0"
DEVKIT_FOLDER = "ILSVRC2012_devkit_t12"
DEVKIT_README = (
    "The sample's development kit, in the layout of ILSVRC2012_devkit_t12.\n\n"
    "data/meta.mat: one row per synset; the rows without children are the classes, "
    "in the order of their ids.\n"
    "data/ILSVRC2012_validation_ground_truth.txt: one id per validation image, "
    "in the order of the file names.\n"
)
MATLAB_HEADER = b"MATLAB 5.0 MAT-file, Platform: posix, written by imnetlib"
SYNSET_FIELDS = (
    "ILSVRC2012_ID", "WNID", "words", "gloss",
    "num_children", "children", "wordnet_height", "num_train_images",
)  # fmt: skip


def encode(pixels: npt.NDArray[np.uint8], quirk: str = "") -> bytes:
    """The file of an RGB picture: a JPEG, or what ``quirk`` makes of it.

    ``png``, ``cmyk`` and ``grayscale`` name another encoding, ``truncated`` cuts the file short and
    ``broken-exif`` adds a damaged EXIF block.
    """
    if quirk in ODD_ENCODINGS:
        mode, kind = ODD_ENCODINGS[quirk]
        out = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(out, kind, quality=QUALITY)
        return out.getvalue()
    data: bytes = simplejpeg.encode_jpeg(pixels, QUALITY, "RGB", "420")
    if quirk == "truncated":
        return data[: len(data) * 3 // 5]
    if quirk == "broken-exif":
        return data[:2] + BROKEN_EXIF + data[2:]
    return data


def _open_tar(out: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    # A new TarInfo has a constant time, owner and mode.
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def write_flat(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar of (name, bytes) in the order given, as the validation set comes."""
    with write_atomically(path) as out, _open_tar(out) as tar:
        for name, data in files:
            _add(tar, name, data)


def write_by_class(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar of one ``<wnid>.tar`` per class, as the training set comes.

    ``files`` arrive class by class; memory holds one class at a time.
    """
    with write_atomically(path) as out, _open_tar(out) as tar:
        for wnid, of_class in itertools.groupby(files, key=lambda file: file[0].split("_")[0]):
            inner = io.BytesIO()
            with _open_tar(inner) as class_tar:
                for name, data in of_class:
                    _add(class_tar, name, data)
            _add(tar, f"{wnid}.tar", inner.getvalue())


def write_devkit(
    path: Path, groups: Mapping[str, str], truth: Sequence[str], images: Mapping[str, int]
) -> None:
    """Write the development kit: a class table and the validation labels.

    ``groups`` gives for each class, in the order of the ids 1, 2, …, the inner synset it counts to;
    ``truth`` the class of each validation image in file-name order; ``images`` the number of
    training images of each class.
    """
    ids = {wnid: number for number, wnid in enumerate(groups, start=1)}
    labels = "".join(f"{ids[wnid]}\n" for wnid in truth)
    with (
        write_atomically(path) as out,
        gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed,
        _open_tar(cast(IO[bytes], packed)) as tar,
    ):
        _add(tar, f"{DEVKIT_FOLDER}/readme.txt", DEVKIT_README.encode())
        _add(tar, f"{DEVKIT_FOLDER}/data/ILSVRC2012_validation_ground_truth.txt", labels.encode())
        _add(tar, f"{DEVKIT_FOLDER}/data/meta.mat", _class_table(ids, groups, images))


def _class_table(
    ids: dict[str, int], groups: Mapping[str, str], images: Mapping[str, int]
) -> bytes:
    """meta.mat: a struct array ``synsets`` with the official fields, classes first, then groups."""
    # A worker, which paints only, need not wait for it.
    from scipy.io import savemat

    children_of: dict[str, list[int]] = {}
    for wnid, group in groups.items():
        children_of.setdefault(group, []).append(ids[wnid])
    rows: list[tuple[str, list[int]]] = [(wnid, []) for wnid in ids]
    rows += sorted(children_of.items())

    synsets = np.empty((len(rows), 1), dtype=[(field, object) for field in SYNSET_FIELDS])
    for row, (wnid, children) in enumerate(rows):
        synset = catalog.classes()[wnid]
        synsets[row, 0] = (
            float(row + 1),
            wnid,
            ", ".join(synset.names),
            synset.gloss,
            float(len(children)),
            np.array(children, np.float64).reshape(1, -1),
            float(bool(children)),
            0.0 if children else float(images[wnid]),
        )
    out = io.BytesIO()
    # SciPy's stubs differ in what they call a file.
    savemat(cast(Any, out), {"synsets": synsets}, do_compression=True)
    # SciPy writes the date into the header's text.
    return MATLAB_HEADER.ljust(116) + out.getvalue()[116:]
