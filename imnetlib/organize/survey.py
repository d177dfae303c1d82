"""What is in the class folders: the images of each class, and its strange files (chapter 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from imnetlib import catalog
from imnetlib.arguments import PathLike
from imnetlib.files import visible_names
from imnetlib.organize.names import is_training_name, is_validation_name
from imnetlib.progress import progress

# Bytes. ImageNet's largest image has 15 million.
_LARGEST = 100 * 10**6
# Strange, yet the codec makes a colour JPEG of it.
_READABLE = {"PNG", "CMYK", "grayscale"}


@dataclass(frozen=True, slots=True)
class StrangeFile:
    """A file that is not a plain colour JPEG, and what it is."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True)
class FolderSurvey:
    """Images per class, how many were expected, the strange files, and the bytes of all images."""

    folder: Path
    counts: Mapping[str, int]
    expected: Mapping[str, int] | None
    strange: tuple[StrangeFile, ...]
    bytes: int

    @property
    def wrong(self) -> tuple[tuple[str, int, int], ...] | None:
        """(class, count, expected count) where the two differ; None where nothing was expected."""
        if self.expected is None:
            return None
        wrong = []
        for wnid in sorted({*self.counts, *self.expected}):
            row = (wnid, self.counts.get(wnid, 0), self.expected.get(wnid, 0))
            if row[1] != row[2] or wnid not in self.expected:
                wrong.append(row)
        return tuple(wrong)

    @property
    def sound(self) -> bool:
        """Whether no count is wrong, and every file is an image that this library reads."""
        return not self.wrong and {file.what for file in self.strange} <= _READABLE


def survey_folders(folder: PathLike, expected: Mapping[str, int] | None = None) -> FolderSurvey:
    """Count each class of ``folder`` and name the files that are no plain colour JPEG (chapter 2).

    ``expected``: images per wnid. In a folder named after a wnid, only files with ImageNet's names
    count. Looks at a JPEG's markers, not into its pixels: damage there shows when it is packed
    (chapter 4). Reads each file once, several at a time, and takes about 20 µs a file besides.
    """
    folder = Path(folder)
    folders = [folder / name for name in sorted(visible_names(folder)) if (folder / name).is_dir()]
    counts = {}
    strange: list[StrangeFile] = []
    total = 0
    with (
        ThreadPoolExecutor() as pool,
        progress(len(folders), f"survey {folder.name}", "classes") as bar,
    ):
        surveys = pool.map(_survey_class, folders)
        for class_folder, (count, n_bytes, others) in zip(folders, surveys, strict=True):
            counts[class_folder.name] = count
            total += n_bytes
            strange += others
            bar.update(1)
    return FolderSurvey(folder, counts, expected, tuple(strange), total)


def _survey_class(folder: Path) -> tuple[int, int, list[StrangeFile]]:
    """Images, bytes and strange files of one class; unreadable or misnamed files are no images."""
    count = 0
    n_bytes = 0
    strange = []
    for name in sorted(visible_names(folder)):
        path = folder / name
        try:
            data = _read_image(path)
        except ValueError as reason:
            strange.append(StrangeFile(path, str(reason)))
            continue
        count += 1
        n_bytes += len(data)
        kind = kind_of(data)
        if kind:
            strange.append(StrangeFile(path, kind))
    return count, n_bytes, strange


def _read_image(path: Path) -> bytes:
    """A file's bytes; ValueError that says why it cannot be an image of its class."""
    wnid = path.parent.name
    named = is_training_name(wnid, path.name) or is_validation_name(wnid, path.name)
    # A folder that is not named after a wnid holds another data set, with names of its own.
    if not named and catalog.WNID.fullmatch(wnid):
        raise ValueError("not called as an image of its class")
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("too large to be an image")
        return path.read_bytes()
    except OSError as error:
        # A folder, or a failing disk: one bad file does not stop the survey.
        raise ValueError(f"unreadable: {error.strerror}") from error


def kind_of(data: bytes) -> str:
    """What is strange about an image file: "" for a whole colour JPEG.

    Reads the markers alone (ITU T.81, annex B): Pillow opens a cut file without an error, and
    decoding the pixels costs far more than reading the file.
    """
    if not data:
        return "empty"
    if data[:2] != b"\xff\xd8":
        return "PNG" if data[:4] == b"\x89PNG" else "not an image that is known here"
    components = 0
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        # Any number of fill bytes may come before a marker.
        if marker == 0xFF:
            at += 1
            continue
        # A frame header has the number of colour components.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and at + 9 < len(data):
            components = data[at + 9]
        # The scan: among its bytes FF D9 can only be the end mark.
        if marker == 0xDA:
            if data.rfind(b"\xff\xd9", at) < 0:
                return "truncated"
            return {1: "grayscale", 3: "", 4: "CMYK"}.get(components, "damaged")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return "truncated" if at + 4 > len(data) else "damaged"


def survey_report(survey: FolderSurvey, most: int | None = 10) -> str:
    """One page of Markdown with ``most`` names of a kind, or all for None (chapter 2)."""
    counts = survey.counts.values()
    lines = [f"# {survey.folder}", ""]
    lines += [f"{len(counts):,} classes, {sum(counts):,} files, {survey.bytes:,} bytes."]
    if counts:
        fewest = f"{min(counts):,} to " if min(counts) < max(counts) else ""
        lines += [f"{fewest}{max(counts):,} files a class."]
    if survey.wrong is None:
        lines += ["Nothing to compare the counts with."]
    elif not survey.wrong:
        lines += ["Every class has as many files as expected."]
    else:
        rows = [_difference(*row) for row in survey.wrong]
        lines += _section("classes with another count than expected", rows, most)
    for kind, _ in Counter(file.what for file in survey.strange).most_common():
        paths = [file.path for file in survey.strange if file.what == kind]
        names = [str(path.relative_to(survey.folder)) for path in paths]
        lines += _section(kind, names, most)
    if not survey.strange:
        lines += ["Every file is a whole colour JPEG."]
    return "\n".join(lines) + "\n"


def _difference(wnid: str, count: int, expected: int) -> str:
    if expected:
        return f"{wnid} has {count:,}, not {expected:,}"
    return f"{wnid} is no expected class, and has {count:,}"


def _section(title: str, items: list[str], most: int | None) -> list[str]:
    lines = ["", f"## {len(items):,} {title}", ""]
    lines += [f"- {item}" for item in items[:most]]
    if most is not None and most < len(items):
        lines += [f"- … and {len(items) - most:,} more"]
    return lines
