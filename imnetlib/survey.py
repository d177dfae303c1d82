"""What lies in the class folders: images per class against what should be there, and strange files (chapter 2)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imnetlib import catalog, organize
from imnetlib.archive import TarIndex
from imnetlib.files import shown_names
from imnetlib.progress import progress

LARGEST = 100 * 10**6  # bytes: ImageNet's largest image has 15 million
NO_NAME = "not called as an image of its class"


@dataclass(frozen=True, slots=True)
class Strange:
    """A file that is not a plain colour JPEG, and what it is."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True)
class Check:
    """Images per class; the classes whose count is not the expected one, as (class, found, expected); odd files.

    ``wrong`` is None where no counts were expected.
    """

    folder: Path
    counts: Mapping[str, int]
    wrong: tuple[tuple[str, int, int], ...] | None
    strange: tuple[Strange, ...]
    bytes: int

    @property
    def kinds(self) -> Counter[str]:
        """How many strange files there are of each kind."""
        return Counter(file.what for file in self.strange)

    @property
    def sound(self) -> bool:
        """Whether nothing is missing or too much, and every file is an image that this library reads."""
        return not self.wrong and not self.kinds.keys() - {"PNG", "CMYK", "grayscale"}


def check(folder: Path, expected: Mapping[str, int] | None = None) -> Check:
    """Count each class of ``folder`` and name the files that are no plain colour JPEG (chapter 2).

    ``expected``: images per wnid. In a folder named after a wnid, only files count that are called as ImageNet calls
    its images. Looks at a JPEG's markers, not into its pixels: damage in there shows when it is packed (chapter 4).
    Reads each file once, several at a time; about 20 µs a file besides the reading.
    """
    folders = sorted(
        Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."
    )
    counts, strange, total = {}, list[Strange](), 0
    with ThreadPoolExecutor() as pool, progress(len(folders), f"check {folder.name}", "classes") as bar:
        for place, (count, size, odd) in zip(folders, pool.map(_check_class, folders), strict=True):
            counts[place.name] = count
            total += size
            strange += odd
            bar.update(1)
    return Check(folder, counts, _wrong(counts, expected), tuple(strange), total)


def _wrong(
    counts: Mapping[str, int], expected: Mapping[str, int] | None
) -> tuple[tuple[str, int, int], ...] | None:
    if expected is None:
        return None
    rows = ((wnid, counts.get(wnid, 0), expected.get(wnid, 0)) for wnid in sorted({*counts, *expected}))
    return tuple(row for row in rows if row[1] != row[2] or row[0] not in expected)


def _check_class(folder: Path) -> tuple[int, int, list[Strange]]:
    """Images, bytes and strange files of one class. What has no image's name is strange, and no image."""
    count, total, strange = 0, 0, []
    for path in sorted(folder / name for name in shown_names(folder)):
        if not _named_as_an_image(folder.name, path.name):
            strange.append(Strange(path, NO_NAME))
            continue
        try:
            if (size := path.stat().st_size) > LARGEST:
                strange.append(Strange(path, "too large to be an image"))
                continue
            data = path.read_bytes()
        except OSError as error:  # a folder, or a disk that fails: one bad file does not stop the rest
            strange.append(Strange(path, f"unreadable: {error.strerror}"))
            continue
        count, total = count + 1, total + size
        if what := kind_of(data):
            strange.append(Strange(path, what))
    return count, total, strange


def _named_as_an_image(folder: str, name: str) -> bool:
    """True also for all names in a folder that is no wnid: another data set has names of its own."""
    if not catalog.WNID.fullmatch(folder):
        return True
    return organize.is_training_name(folder, name) or organize.is_validation_name(name)


def kind_of(data: bytes) -> str:
    """What is odd about an image file: "" for a whole colour JPEG. Looks at markers only (ITU T.81, annex B)."""
    if not data:
        return "empty"
    if data[:2] != b"\xff\xd8":
        return "PNG" if data[:4] == b"\x89PNG" else "not an image that is known here"
    components, at = 0, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a marker may have any number of these before it
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 9 < len(data):
            components = data[at + 9]
        if marker == 0xDA:  # the pixels: inside them FF D9 can only be the end mark
            if data.rfind(b"\xff\xd9", at) < 0:
                return "truncated"
            return {1: "grayscale", 3: "", 4: "CMYK"}.get(components, "damaged")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return "truncated" if at + 4 > len(data) else "damaged"


def train_counts(source: Path) -> dict[str, int]:
    """How many training images each class should have, from any of three files (chapter 2).

    The training archive's ``.npz`` index, the development kit's ``.tar.gz``, or Kaggle's ``train_cls.txt``
    (ILSVRC/ImageSets/CLS-LOC), whose lines begin with ``<wnid>/<name>``. ValueError for another file.
    """
    if source.suffix == ".npz":
        index = TarIndex.load(source)
        if not index.class_names:
            raise ValueError(
                f"{source} is the index of a tar without class tars: it is not the training archive's"
            )
        counted = np.bincount(index.classes[index.classes >= 0], minlength=len(index.class_names))
        return dict(zip(index.class_names, counted.tolist(), strict=True))
    if source.suffix not in (".npz", ".txt", ".gz", ".tgz"):
        raise ValueError(
            f"{source} gives no counts: name the training archive's .npz (imnet index makes it), the development kit "
            ".tar.gz or Kaggle's train_cls.txt"
        )
    if source.suffix == ".txt":
        counts = Counter(line.partition("/")[0] for line in source.read_text(encoding="utf-8").splitlines())
        if not counts:
            raise ValueError(f"{source} is empty: is it Kaggle's train_cls.txt?")
        if odd := [wnid for wnid in counts if not catalog.WNID.fullmatch(wnid)]:
            raise ValueError(
                f"{source}: not all lines begin with <wnid>/ ({odd[0][:80]!r}): is it train_cls.txt?"
            )
        return dict(counts)
    return organize.train_counts_from_devkit(source)


def report(found: Check, most: int | None = 10) -> str:
    """The check on one page of Markdown, with at most so many names of a kind; None names all (chapter 2)."""
    files, counts = sum(found.counts.values()), found.counts.values()
    lines = [f"# {found.folder}", "", f"{len(counts):,} classes, {files:,} files, {found.bytes:,} bytes."]
    if counts:
        fewest, largest = min(counts), max(counts)
        lines += [
            f"{largest:,} files a class."
            if fewest == largest
            else f"{fewest:,} to {largest:,} files a class."
        ]
    if found.wrong is None:
        lines += ["Nothing to compare the counts with."]
    elif not found.wrong:
        lines += ["Every class has as many files as expected."]
    else:
        rows = [_difference(*row) for row in found.wrong]
        lines += ["", f"## {len(rows):,} classes with another count than expected", "", *_items(rows, most)]
    for kind, count in found.kinds.most_common():
        paths = [str(file.path.relative_to(found.folder)) for file in found.strange if file.what == kind]
        lines += ["", f"## {count:,} {kind}", "", *_items(paths, most)]
    if not found.strange:
        lines += ["Every file is a whole colour JPEG."]
    return "\n".join(lines) + "\n"


def _difference(wnid: str, there: int, wanted: int) -> str:
    return (
        f"{wnid} has {there:,}, not {wanted:,}"
        if wanted
        else f"{wnid} is no expected class, and has {there:,}"
    )


def _items(texts: list[str], most: int | None) -> Iterable[str]:
    shown = texts if most is None else texts[:most]
    yield from (f"- {text}" for text in shown)
    if len(shown) < len(texts):
        yield f"- … and {len(texts) - len(shown):,} more"
