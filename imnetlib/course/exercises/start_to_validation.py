"""The exercises of chapters 0 to 2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from imnetlib import catalog
from imnetlib import throughput as t
from imnetlib.catalog import ILSVRC2012, IMAGENET21K
from imnetlib.course.exercises.kinds import Case, Choice, Exercise, Function, Number, Slip

# Bytes of a record of the note: 250 GB for all its images.
NOTE_BYTES = t.bytes_per_image(250 * t.GB, IMAGENET21K.train)


def shared_names(classes: Sequence[Sequence[str]]) -> list[str]:
    """The first names that several classes have, in the order of the alphabet (0.2)."""
    counts = Counter(names[0] for names in classes)
    return sorted(name for name, count in counts.items() if count > 1)


def _classes_with_names() -> Iterator[Case]:
    yield Case(([("fir",), ("crane", "grus"), ("crane", "lifting device"), ("alp",)],))
    yield Case(([("a", "x"), ("b", "x"), ("c", "a")],))
    yield Case(([("b",), ("a",), ("b",), ("a",), ("a",), ("c",)],))
    yield Case(([],))
    known = catalog.classes()
    names = [known[wnid].names for wnid in catalog.wnids_1k()]
    yield Case((names,), "the names of the 1,000 classes")


def _any_shared_name(classes: Sequence[Sequence[str]]) -> list[str]:
    counts = Counter(name for names in classes for name in names)
    return sorted(name for name, count in counts.items() if count > 1)


def images_by_class(wnids: Sequence[str]) -> dict[str, int]:
    """How many images each class has, by wnid (0.3)."""
    return dict(Counter(wnids))


def _wnids_of_images() -> Iterator[Case]:
    bird, machine = (one.wnid for one in catalog.named("crane") if one.in_1k)
    fir, alp = "n11620673", "n09193705"
    yield Case(([alp, fir, alp],))
    yield Case(([bird, machine, bird],))
    yield Case(([fir, machine, bird, machine, machine],))


def may_append(held: int, etag: str, status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer goes on exactly where a file of ``held`` bytes ends (1.2)."""
    is_same_file = headers.get("ETag") == etag
    goes_on = headers.get("Content-Range", "").startswith(f"bytes {held}-")
    return status == 206 and is_same_file and goes_on


def _answers_of_servers() -> Iterator[Case]:
    etag = '"v1"'
    whole = {"ETag": etag, "Content-Range": "bytes 3000-7999/8000"}
    yield Case((3000, etag, 206, whole))
    yield Case((3000, etag, 200, {"ETag": etag}))
    yield Case((3000, etag, 200, whole))
    yield Case((3000, etag, 206, {"ETag": etag, "Content-Range": "bytes 0-7999/8000"}))
    yield Case((300, etag, 206, whole))
    yield Case((3000, etag, 206, {**whole, "ETag": '"v2"'}))
    yield Case((3000, etag, 206, {"ETag": etag}))
    yield Case((3000, etag, 206, {"Content-Range": "bytes 3000-7999/8000"}))
    yield Case((3000, etag, 416, {"ETag": etag, "Content-Range": "bytes */8000"}))


def _wasted_gb() -> float:
    return IMAGENET21K.train * 4096 / 1e9


def _way_for_the_full_set() -> str:
    """The way that needs least of a disk; with the other one it overflows."""
    budget = t.disk_budget(
        IMAGENET21K.train, IMAGENET21K.bytes, 2_000 * t.GB, record_bytes=NOTE_BYTES
    )
    _, folders, records, _ = budget
    return "folders" if folders.fits and records.fits else "straight"


def labels_of(names: Sequence[str], wnids: Sequence[str]) -> list[str]:
    """The label of each validation file, by the number in its name (2.2)."""
    numbers = [int(name.removesuffix(".JPEG").rpartition("_")[2]) for name in names]
    return [wnids[number - 1] for number in numbers]


def _names_of_files() -> Iterator[Case]:
    def called(*numbers: int) -> list[str]:
        return [f"ILSVRC2012_val_{number:08}.JPEG" for number in numbers]

    yield Case((called(1, 2, 3), ["fir", "alp", "barn"]), "the files 1, 2, 3")
    yield Case((called(3, 1, 2), ["fir", "alp", "barn"]), "the files 3, 1, 2")
    yield Case((called(2), ["fir", "alp", "barn"]), "the file 2 alone, of three labels")
    wnids = [f"class {number}" for number in range(1, 51)]
    yield Case((called(50, 9, 10, 1), wnids), "the files 50, 9, 10, 1 of fifty labels")


def labels_from_ids(ids: Sequence[int], synsets: Sequence[tuple[int, str, int]]) -> list[str]:
    """The wnid of each id, by the table of the development kit (2.3)."""
    by_id = {number: wnid for number, wnid, _ in synsets}
    return [by_id[number] for number in ids]


def _development_kits() -> Iterator[Case]:
    in_order = [(1, "n01", 0), (2, "n02", 0), (3, "n03", 0)]
    yield Case(([1, 3, 2, 3], in_order))
    yield Case(([1, 2, 3], [(1, "n03", 0), (2, "n01", 0), (3, "n02", 0)]))
    yield Case(([2, 1], [(1, "n02", 0), (2, "n05", 0), (1001, "n01", 2)]))
    yield Case(([1, 2], [(1001, "n01", 2), (2, "n05", 0), (1, "n02", 0)]))


EXERCISES: dict[str, Exercise] = {
    "0.1": Number(
        "divide the images by the classes",
        digits=2,
        slips=(Slip(lambda: ILSVRC2012.train / 1000, "That is the mean of ILSVRC2012"),),
        why="The full set has more images, but fewer for each class.",
    ),
    "0.2": Function(
        shared_names,
        _classes_with_names,
        "count the first names, and keep those that come more than once",
        (Slip(_any_shared_name, "Only the first name of a class counts here"),),
        "So a name won't do to tell classes apart.",
    ),
    "0.3": Function(
        images_by_class,
        _wnids_of_images,
        "what becomes of two classes that share a name?",
        why="What identifies a class is its wnid, never its name.",
    ),
    "1.1": Number(
        "a byte has 8 bits; seconds, then hours",
        unit="hours",
        slips=(
            Slip(
                lambda: ILSVRC2012.bytes / 12.5e6 / t.HOUR,
                "That is the time for all three archives",
            ),
        ),
    ),
    "1.2": Function(
        may_append,
        _answers_of_servers,
        "three things must hold: the status, the first byte of the range, and the ETag; and a "
        "header may be missing",
        (
            Slip(
                lambda held, etag, status, headers: status == 206,
                "The status alone says neither which bytes come, nor of which file",
            ),
            Slip(
                lambda held, etag, status, headers: status in (200, 206),
                "200 means that the whole file comes once more",
            ),
            Slip(
                lambda held, etag, status, headers: (
                    status == 206
                    and headers.get("ETag") == etag
                    and f"bytes {held}" in headers.get("Content-Range", "")
                ),
                '"bytes 3000-" begins with "bytes 300", too: what comes behind the number?',
            ),
        ),
    ),
    "1.3": Number(
        "a file fills all of its blocks but the last one, which is half empty on average",
        unit="GB",
        slips=(Slip(_wasted_gb, "That would be a whole block for each file"),),
    ),
    "1.4": Choice(
        ("folders", "straight"),
        _way_for_the_full_set,
        "Archive and class folders alone take more than 2,600 GB; packed straight from the "
        "archive the set and its records take less than 1,600.",
        "add up what lies on the disk at the same time",
        {"folders": "The class folders take as much room as the archive, which is still there"},
    ),
    "2.1": Number(
        "how many of the 1,000 classes does a label taken at random hit?",
        unit="%",
        within=0.5,
        why="Hardly a label is right, and nothing says so.",
    ),
    "2.2": Function(
        labels_of,
        _names_of_files,
        "the number in a name counts from 1, and says which label is meant",
        (
            Slip(
                lambda names, wnids: [wnid for _, wnid in zip(names, wnids, strict=False)],
                "Those are the labels in the order of the list, whatever the files are called",
            ),
            Slip(
                lambda names, wnids: [wnids[int(n[-13:-5])] for n in names],
                "That is the label after the right one: the files count from 1",
            ),
        ),
    ),
    "2.3": Function(
        labels_from_ids,
        _development_kits,
        "what does the id say about the place of a wnid among the sorted ones?",
        (
            Slip(
                lambda ids, synsets: [synsets[number - 1][1] for number in ids],
                "Nobody says in which order the rows of the table come",
            ),
        ),
        why="The table says what an id means; its order does not.",
    ),
}
