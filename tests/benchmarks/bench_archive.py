"""Index a tar and read its members shuffled: ours, tarfile and extracted files, in one run.

    python tests/benchmarks/bench_archive.py [--quick] [--to FOLDER] [--members 14197087]

20 class tars of 1,000 members of 60 KB (--files), and one flat tar of them, the files in the page
cache. With --members, also the time and the peak memory of indexing so many empty members in 21,841
class tars (one of 14 million takes 7.5 GB of disk).
"""

from __future__ import annotations

import functools
import random
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from results import Report, Table, apart, in_turns, options, work_folder

from imnetlib.archive import TarReader, TarScanner, index_tar

CLASSES = 20
SIZE = 60_000
# Those of the full ImageNet.
ALL_CLASSES = 21_841
ROUNDS = 5
END = bytes(1024)


def header(name: str, size: int) -> bytes:
    """The header of a tar member."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def class_tar(wnid: str, data: bytes, files: int) -> bytes:
    """A tar of ``files`` copies of ``data``, named as those of a class."""
    padded = data + bytes(-len(data) % 512)
    return b"".join(header(f"{wnid}_{i}.JPEG", len(data)) + padded for i in range(files)) + END


def write_nested(path: Path, data: bytes, classes: int, members: int) -> None:
    """A tar of ``classes`` class tars that hold ``members`` copies of ``data`` between them."""
    with path.open("wb") as out:
        for number in range(classes):
            wnid = f"n{number:08d}"
            first = number * members // classes
            last = (number + 1) * members // classes
            inner = class_tar(wnid, data, last - first)
            out.write(header(f"{wnid}.tar", len(inner)) + inner + bytes(-len(inner) % 512))
        out.write(END)


def walk_tarfile(outer: tarfile.TarFile) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Each member of a tar or of a tar of tars, and the tar that it is read from."""
    for member in outer:
        if member.name.endswith(".tar"):
            # It is read from as long as ``outer`` is, so nothing closes it here.
            inner = tarfile.open(fileobj=outer.extractfile(member))  # noqa: SIM115
            yield from ((inner, each) for each in inner)
        else:
            yield outer, member


def by_tarfile(path: Path) -> int:
    """Count the members with the standard library."""
    with tarfile.open(path) as outer:
        return sum(1 for _ in walk_tarfile(outer))


def by_scanner(path: Path) -> int:
    """Index a tar as in a download, where every byte passes by."""
    scanner = TarScanner(path)
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            scanner.update(block)
    return len(scanner.index())


def indexing(path: Path, kind: str, members: int) -> Table:
    """How fast a tar is indexed."""
    ways: dict[str, Callable[[], object]] = {
        "tarfile": lambda: by_tarfile(path),
        "our index_tar": lambda: index_tar(path),
        "our TarScanner, all bytes read": lambda: by_scanner(path),
    }
    found = in_turns(ways, ROUNDS, members)
    title = f"index a tar of {members:,} members"
    return Table(title, "members/s", found, peer="tarfile", what=kind)


def shuffled_reading(path: Path, folder: Path, outer: tarfile.TarFile) -> Table:
    """How fast every member is read once, in one shuffled order for all ways."""
    index = index_tar(path)
    order = list(range(len(index)))
    random.Random(1).shuffle(order)
    files = []
    members = []
    for number, (tar, member) in enumerate(walk_tarfile(outer)):
        extracted = folder / "extracted" / index.names[number].decode()
        extracted.parent.mkdir(parents=True, exist_ok=True)
        extracted.write_bytes(tar.extractfile(member).read())
        files.append(str(extracted))
        members.append((tar, member))

    def read_file(number: int) -> bytes:
        # Path.open would take longer.
        with open(files[number], "rb", buffering=0) as file:  # noqa: PTH123
            return file.read()

    def read_tarfile() -> None:
        for number in order:
            tar, member = members[number]
            tar.extractfile(member).read()

    def all_of(read: Callable[[int], bytes], threads: int) -> None:
        if threads == 1:
            for number in order:
                read(number)
            return
        with ThreadPoolExecutor(threads) as pool:
            parts = [order[start::threads] for start in range(threads)]
            list(pool.map(lambda part: [len(read(number)) for number in part], parts))

    with TarReader(index) as reader:
        ways: dict[str, Callable[[], object]] = {
            f"{name}, {threads} thread{'s' * (threads > 1)}": lambda r=read, t=threads: all_of(r, t)
            for threads in (1, 2)
            for name, read in (("extracted files", read_file), ("our TarReader", reader.read))
        }
        found = in_turns({"tarfile": read_tarfile, **ways}, ROUNDS, len(order))
    title = f"read the {len(order):,} members of a tar of class tars, shuffled"
    return Table(title, "files/s", found, peer="extracted files, 1 thread")


def index_and_save(path: Path) -> None:
    """What a download leaves behind, of an archive that came in another way."""
    index_tar(path).save(path.with_suffix(".npz"))


def main() -> None:
    """Measure all tables."""
    chosen = options(__doc__ or "", members=(0, 0), files=(1000, 100))
    members = CLASSES * chosen.files
    report = Report("archive")
    data = np.random.default_rng(1).bytes(SIZE)
    with work_folder() as name:
        folder = Path(name)
        write_nested(folder / "nested.tar", data, CLASSES, members)
        (folder / "flat.tar").write_bytes(class_tar("ILSVRC2012_val", data, members))
        report.add(indexing(folder / "nested.tar", "in class tars", members))
        report.add(indexing(folder / "flat.tar", "flat", members))
        with tarfile.open(folder / "nested.tar") as outer:
            report.add(shuffled_reading(folder / "nested.tar", folder, outer))
    if chosen.members:
        with work_folder() as name:
            path = Path(name) / "many.tar"
            write_nested(path, b"", ALL_CLASSES, chosen.members)
            job = functools.partial(index_and_save, path)
            title = f"index {chosen.members:,} members, and save the index"
            for table in apart(title, {"imnetlib": job}):
                report.add(table)
    report.save(chosen.to)


if __name__ == "__main__":
    main()
