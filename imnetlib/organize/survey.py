"""What lies in the class folders: images per class against what should be there, and strange files
(chapter 2).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imnetlib import catalog
from imnetlib.files import shown_names
from imnetlib.organize import names
from imnetlib.progress import progress

# bytes: ImageNet's largest image has 15 million
LARGEST = 100 * 10**6
NO_NAME = "not called as an image of its class"


@dataclass(frozen=True, slots=True)
class StrangeFile:
    """A file that is not a plain colour JPEG, and what it is."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True)
class FolderSurvey:
    """Images per class; the classes whose count is not the expected one, as (class, found,
    expected); odd files.

    ``wrong`` is None where no counts were expected.
    """

    folder: Path
    counts: Mapping[str, int]
    wrong: tuple[tuple[str, int, int], ...] | None
    strange: tuple[StrangeFile, ...]
    bytes: int

    @property
    def kinds(self) -> Counter[str]:
        """How many strange files there are of each kind."""
        return Counter(file.what for file in self.strange)

    @property
    def sound(self) -> bool:
        """Whether nothing is missing or too much, and every file is an image that this library
        reads.
        """
        return not self.wrong and not self.kinds.keys() - {"PNG", "CMYK", "grayscale"}


def survey_folders(folder: Path, expected: Mapping[str, int] | None = None) -> FolderSurvey:
    """Count each class of ``folder`` and name the files that are no plain colour JPEG (chapter 2).

    ``expected``: images per wnid. In a folder named after a wnid, only files count that are called
    as ImageNet calls its images. Looks at a JPEG's markers, not into its pixels: damage in there
    shows when it is packed (chapter 4). Reads each file once, several at a time; about 20 µs a file
    besides the reading.
    """
    folders = sorted(
        Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."
    )
    counts = {}
    strange = list[StrangeFile]()
    total = 0
    with (
        ThreadPoolExecutor() as pool,
        progress(len(folders), f"check {folder.name}", "classes") as bar,
    ):
        for place, (count, size, odd) in zip(
            folders, pool.map(_survey_class, folders), strict=True
        ):
            counts[place.name] = count
            total += size
            strange += odd
            bar.update(1)
    return FolderSurvey(folder, counts, _wrong(counts, expected), tuple(strange), total)


def _wrong(
    counts: Mapping[str, int], expected: Mapping[str, int] | None
) -> tuple[tuple[str, int, int], ...] | None:
    if expected is None:
        return None
    rows = (
        (wnid, counts.get(wnid, 0), expected.get(wnid, 0)) for wnid in sorted({*counts, *expected})
    )
    return tuple(row for row in rows if row[1] != row[2] or row[0] not in expected)


def _survey_class(folder: Path) -> tuple[int, int, list[StrangeFile]]:
    """Images, bytes and strange files of one class. What has no image's name is strange, and no
    image.
    """
    count = 0
    total = 0
    strange = []
    for path in sorted(folder / name for name in shown_names(folder)):
        if not _named_as_an_image(folder.name, path.name):
            strange.append(StrangeFile(path, NO_NAME))
            continue
        try:
            if (size := path.stat().st_size) > LARGEST:
                strange.append(StrangeFile(path, "too large to be an image"))
                continue
            data = path.read_bytes()
        except OSError as error:
            # a folder, or a disk that fails: one bad file does not stop the rest
            strange.append(StrangeFile(path, f"unreadable: {error.strerror}"))
            continue
        count = count + 1
        total = total + size
        if what := kind_of(data):
            strange.append(StrangeFile(path, what))
    return count, total, strange


def _named_as_an_image(folder: str, name: str) -> bool:
    """True also for all names in a folder that is no wnid: another data set has names of its own."""
    if not catalog.WNID.fullmatch(folder):
        return True
    return names.is_training_name(folder, name) or names.is_validation_name(name)


def kind_of(data: bytes) -> str:
    """What is odd about an image file: "" for a whole colour JPEG. Looks at markers only (ITU T.81,
    annex B).
    """
    if not data:
        return "empty"
    if data[:2] != b"\xff\xd8":
        return "PNG" if data[:4] == b"\x89PNG" else "not an image that is known here"
    components = 0
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # a marker may have any number of these before it
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 9 < len(data):
            components = data[at + 9]
        # the pixels: inside them FF D9 can only be the end mark
        if marker == 0xDA:
            if data.rfind(b"\xff\xd9", at) < 0:
                return "truncated"
            return {1: "grayscale", 3: "", 4: "CMYK"}.get(components, "damaged")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return "truncated" if at + 4 > len(data) else "damaged"


def survey_report(found: FolderSurvey, most: int | None = 10) -> str:
    """The check on one page of Markdown, with at most so many names of a kind; None names all
    (chapter 2).
    """
    files = sum(found.counts.values())
    counts = found.counts.values()
    lines = [
        f"# {found.folder}",
        "",
        f"{len(counts):,} classes, {files:,} files, {found.bytes:,} bytes.",
    ]
    if counts:
        fewest = min(counts)
        largest = max(counts)
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
        lines += [
            "",
            f"## {len(rows):,} classes with another count than expected",
            "",
            *_items(rows, most),
        ]
    for kind, count in found.kinds.most_common():
        paths = [
            str(file.path.relative_to(found.folder)) for file in found.strange if file.what == kind
        ]
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
