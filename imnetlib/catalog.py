"""What ImageNet is: archives, classes, validation labels and known oddities (chapter 1).

Facts come from the tables in ``data/``, whose README gives the origin and licence of each. A class
is named by its wnid everywhere (``n02510455``: a WordNet 3.0 noun offset), never by its English
name: names repeat (two classes are called "crane").
"""

from __future__ import annotations

import codecs
import functools
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

# It needs NumPy, which this table of facts does without.
if TYPE_CHECKING:
    from imnetlib.arguments import PathLike

WNID = re.compile(r"n\d{8}")
# Of the files that hold an image, in small letters: all of these can be packed.
IMAGE_EXTENSIONS = frozenset(
    (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
)
# A spreadsheet puts a line with commas into quotes, or commas and semicolons between its words.
_FIRST_WNID = re.compile(rf'"?({WNID.pattern})(?="?(?:[\s,;]|$))')
_CLASSES_EXPECTED = (
    "give a synset.txt, Kaggle's LOC_synset_mapping.txt, or one name a line in the labels' order"
)


@dataclass(frozen=True, slots=True)
class Archive:
    """One file as its publisher offers it; ``size`` in bytes, None where it is not known."""

    name: str
    size: int | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """The counts a data set must show, and the archives it comes in.

    ``url``: where its archives are offered; empty where nobody offers them any more. ``others``:
    archives that the course does not need. ``about_bytes``: the quoted size, together, of those
    ``archives`` whose exact size is not known.
    """

    name: str
    classes: int
    train: int
    validation: int
    archives: tuple[Archive, ...]
    url: str = ""
    others: tuple[Archive, ...] = ()
    about_bytes: int = 0

    @property
    def bytes(self) -> int:
        """The bytes of the archives together."""
        return self.about_bytes + sum(archive.size or 0 for archive in self.archives)

    def archive(self, name: str) -> Archive:
        """The archive called ``name``; ValueError lists the names."""
        archives = {archive.name: archive for archive in (*self.archives, *self.others)}
        if name not in archives:
            raise ValueError(f"{self.name} has no archive {name!r}; it has {', '.join(archives)}")
        return archives[name]


TRAIN_TAR = "ILSVRC2012_img_train.tar"
VALIDATION_TAR = "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"

ILSVRC2012 = Dataset(
    name="ILSVRC2012",
    classes=1_000,
    train=1_281_167,
    validation=50_000,
    archives=(
        Archive(TRAIN_TAR, 147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e"),
        Archive(VALIDATION_TAR, 6_744_924_160, "29b22e2961454d5413ddabcf34fc5622"),
        Archive(DEVKIT, md5="fa75699e90414af021442c21a62c3abf"),
    ),
    about_bytes=2_600_000,
    url="https://image-net.org/data/ILSVRC/2012/",
    others=(
        Archive("ILSVRC2012_img_test_v10102019.tar", md5="e1b8681fff3d63731c599df9b4b6fc02"),
        Archive("ILSVRC2012_img_train_t3.tar", md5="ccaf1013018ac1037801578038d370da"),
    ),
)
# Most of the classes of people are no longer in it.
WINTER21 = Dataset(
    name="ImageNet 21k (winter 2021)",
    classes=19_167,
    train=13_153_500,
    validation=0,
    archives=(Archive("winter21_whole.tar.gz", md5="ab313ce03179fd803a401b02c651c0a2"),),
    url="https://image-net.org/data/",
    about_bytes=1_100 * 10**9,
)
IMAGENET21K = Dataset(
    name="ImageNet 21k (fall 2011)",
    classes=21_841,
    train=14_197_087,
    validation=0,
    archives=(Archive("fall11_whole.tar"),),
    about_bytes=1_310 * 10**9,
)
SAMPLE = Dataset(
    name="sample",
    classes=36,
    train=2_520,
    validation=1_800,
    archives=(Archive(TRAIN_TAR), Archive(VALIDATION_TAR), Archive(DEVKIT)),
)


def published(name: str) -> tuple[str, Archive]:
    """URL and facts of an archive that image-net.org offers; ValueError lists the names."""
    offered = {
        archive.name: (dataset.url + archive.name, archive)
        for dataset in (ILSVRC2012, WINTER21)
        for archive in (*dataset.archives, *dataset.others)
    }
    if name not in offered:
        raise ValueError(f"ImageNet has no archive {name!r}; it has {', '.join(offered)}")
    return offered[name]


PNG_CALLED_JPEG = frozenset({"n02105855_2933.JPEG"})
"""Training files of ILSVRC2012 that are PNG inside."""

_CMYK = """
n01739381_1309 n02077923_14822 n02447366_23489 n02492035_15739 n02747177_10752 n03018349_4028
n03062245_4620 n03347037_9675 n03467068_12171 n03529860_11437 n03544143_17228 n03633091_5218
n03710637_5125 n03961711_5286 n04033995_2932 n04258138_17003 n04264628_27969 n04336792_7448
n04371774_5854 n04596742_4225 n07583066_647 n13037406_4650 ILSVRC2012_val_00019877
"""
CMYK = frozenset(f"{stem}.JPEG" for stem in _CMYK.split())
"""ILSVRC2012's JPEG files in printer's colours, CMYK: 22 for training and one for validation."""


def data_file(name: str) -> Path:
    """The path of a table in ``data/``: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "data" / name
    return installed if installed.exists() else package.parent / "data" / name


@dataclass(frozen=True, slots=True)
class ImageNetClass:
    """One of the 21,841 classes (or n04399382, which only the 1,000 have)."""

    wnid: str
    names: tuple[str, ...]
    gloss: str
    in_1k: bool
    in_21k: bool


@functools.cache
def classes() -> dict[str, ImageNetClass]:
    """All 21,842 classes by wnid, in sorted order. Read once, 0.1 s."""
    table = {}
    with data_file("classes.tsv").open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            wnid, in_1k, in_21k, text, gloss = line.rstrip("\n").split("\t")
            names = tuple(text.split(", "))
            table[wnid] = ImageNetClass(wnid, names, gloss, in_1k == "1", in_21k == "1")
    return table


def describe(wnid: str) -> str:
    """A class's name and, since names repeat, its wnid: ``valley (n09468604)``; or KeyError."""
    if wnid not in classes():
        raise KeyError(f"{wnid!r} is not one of ImageNet's classes; ids look like n09468604")
    return f"{classes()[wnid].names[0]} ({wnid})"


def named(name: str) -> tuple[ImageNetClass, ...]:
    """The classes with ``name`` among their names, in any case of letters: none, one or several."""
    wanted = name.casefold()
    return tuple(c for c in classes().values() if wanted in map(str.casefold, c.names))


@functools.cache
def wnids_1k() -> tuple[str, ...]:
    """The 1,000 ILSVRC classes, sorted: the position is the usual label 0..999."""
    return tuple(c.wnid for c in classes().values() if c.in_1k)


@functools.cache
def wnids_21k() -> tuple[str, ...]:
    """The 21,841 classes of the full set, sorted."""
    return tuple(c.wnid for c in classes().values() if c.in_21k)


def read_classes(path: PathLike) -> tuple[str, ...]:
    """The class of label 0, 1, …: one a line of the text file ``path`` (chapter 2).

    Where the lines begin with wnids, as in a ``synset.txt`` or Kaggle's LOC_synset_mapping.txt, the
    wnids are the classes, also in the quotes or before the comma or semicolon of a spreadsheet;
    where none does, the whole lines are, without spaces at their ends. Empty lines at the end and a
    byte order mark are passed over. ValueError names the first line that differs from line 1 in
    this, is empty, or has the class of an earlier one; and a file that is empty, JSON or no text in
    UTF-8.
    """
    return _parse_classes(Path(path).read_bytes(), path)


def wide_encoding(data: bytes) -> str:
    """UTF-16 or UTF-32 where a text begins so, with a byte order mark or without; else empty."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) or data[:4].count(0) == 3:
        return "UTF-32"
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "UTF-16" if data.startswith(marks) or data[:2].count(0) == 1 else ""


def _parse_classes(data: bytes, path: PathLike) -> tuple[str, ...]:
    wide = wide_encoding(data)
    if wide:
        raise ValueError(f"{path} is in {wide}: save it as text in UTF-8, or {_CLASSES_EXPECTED}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{path} is no text: {_CLASSES_EXPECTED}")
    if not text.strip():
        raise ValueError(f"{path} names no class: it is empty")
    if _is_json(text):
        raise ValueError(f"{path} is JSON: {_CLASSES_EXPECTED}")
    lines = text.rstrip().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    has_wnids = bool(_FIRST_WNID.match(lines[0].strip()))
    line_of: dict[str, int] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        where = f"{path}, line {number}"
        if not line:
            raise ValueError(f"{where} is empty: {_CLASSES_EXPECTED}")
        wnid = _FIRST_WNID.match(line)
        if bool(wnid) != has_wnids:
            begins = "a wnid, and line 1 with none" if wnid else "no wnid, like n02510455"
            raise ValueError(f"{where}: {line[:40]!r} begins with {begins}")
        name = wnid[1] if wnid else line
        if name in line_of:
            raise ValueError(f"{where}: {name} stands in line {line_of[name]} too")
        line_of[name] = number
    return tuple(line_of)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def encode_classes(classes: Sequence[str], path: PathLike) -> bytes:
    """What ``path`` must hold for ``read_classes`` to give ``classes``, a line each (chapter 4).

    ValueError for what it would not give back: a name with a line break or with a space at an end,
    a wnid with more behind it, wnids beside other names, and a name twice.
    """
    _require_several("classes", classes)
    data = "".join(f"{name}\n" for name in classes).encode("utf-8", "surrogateescape")
    try:
        kept = _parse_classes(data, path)
    except ValueError as error:
        raise ValueError(f"these classes cannot be kept: {error}: rename them") from error
    for name, there in zip_longest(classes, kept):
        if name != there:
            raise ValueError(f"the class {name!r} cannot stand in {path}: rename it")
    return data


def verify_classes(
    actual: Sequence[str],
    expected: Sequence[str],
    path: PathLike,
    remedy: str = "make it again, or take the one that belongs here",
) -> None:
    """ValueError unless the file ``path`` has the ``expected`` classes, in order (chapter 8).

    A label is a position: the same number would mean another class, and nothing else would show it.
    ``remedy`` ends the sentence.
    """
    _require_several("classes", actual)
    _require_several("classes", expected)
    if len(actual) != len(expected):
        raise ValueError(f"{path} has {len(actual):,} classes, not {len(expected):,}: {remedy}")
    for position, (there, here) in enumerate(zip(actual, expected, strict=True)):
        if there != here:
            raise ValueError(f"{path}: class {position} is {there} there, {here} here: {remedy}")


def positions(wnids: Iterable[str], among: Iterable[str]) -> tuple[int, ...]:
    """Where each of ``wnids`` stands in another list of classes; -1 where it does not (chapter 8).

    A label of one list becomes that of another: ``positions(one, among=other)[label]``.
    """
    _require_several("wnids", wnids)
    _require_several("classes", among)
    position_of = {wnid: position for position, wnid in enumerate(among)}
    return tuple(position_of.get(wnid, -1) for wnid in wnids)


def _require_several(name: str, values: object) -> None:
    # With NumPy, which the facts of this table do without.
    from imnetlib.arguments import require_several

    require_several(name, values)


@functools.cache
def validation_wnids() -> tuple[str, ...]:
    """The class of validation image 1, 2, … 50,000 (``ILSVRC2012_val_00000001.JPEG`` is item 0)."""
    labels = data_file("ilsvrc2012_validation.txt").read_text(encoding="ascii").split()
    return tuple(wnids_1k()[int(label)] for label in labels)
