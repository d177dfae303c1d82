"""SIGKILL at random moments, and disks that are really full: nothing finished is lost, and the end
is the same.

Each job runs in a process of its own, is killed up to three times, and is then run to its end.
``make test`` does five rounds of each, ``make test-long`` fifty more.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import multiprocessing
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from making import tar_of
from PIL import Image

from imnetlib import archive, download, organize
from imnetlib.course.server import serve
from imnetlib.image import Settings
from imnetlib.pack import Folder, list_folder, pack, shuffle

# A server that forks: a process is under way in 10 ms, with everything imported.
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    ["imnetlib.download", "imnetlib.organize", "imnetlib.pack", "scipy.io"]
)

WNIDS = [f"n{number:08d}" for number in range(12)]
LABELS = [WNIDS[number * 7 % 12] for number in range(240)]
DATA = random.Random(1).randbytes(400_000)


def piece(number: int) -> bytes:
    return DATA[number * 1_000 : number * 1_000 + 800 + number]


TRAIN = {f"{wnid}/{wnid}_{n}.JPEG": piece(n) for wnid in WNIDS for n in range(20)}
FLAT = {organize.validation_name(number): piece(number) for number in range(1, len(LABELS) + 1)}
SORTED = {f"{LABELS[int(name[15:23]) - 1]}/{name}": data for name, data in FLAT.items()}


def photo(number: int) -> bytes:
    """A JPEG of 120 x 90 pixels."""
    out = io.BytesIO()
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(coarse).resize((120, 90), Image.Resampling.BICUBIC).save(
        out, "JPEG", quality=92
    )
    return out.getvalue()


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@dataclass
class Job:
    """What is called for a folder; ``start`` puts things there; ``end`` is what must lie in
    ``folder/out`` then.
    """

    call: Callable[..., object]
    arguments: Callable[[Path], tuple[object, ...]]
    options: dict[str, object]
    start: Callable[[Path], None]
    end: Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with the archives, and the address under which it is served."""
    folder = tmp_path_factory.mktemp("site")
    of_class = {
        wnid: {n.partition("/")[2]: d for n, d in TRAIN.items() if n.startswith(wnid)}
        for wnid in WNIDS
    }
    train = tar_of({f"{wnid}.tar": tar_of(files) for wnid, files in of_class.items()})
    put(
        folder,
        {"train.tar": train, "val.tar": tar_of(FLAT), "val.tar.gz": gzip.compress(tar_of(FLAT))},
    )
    put(folder / "photos", {name: photo(number) for number, name in enumerate(TRAIN)})
    pack(*packed(folder, folder / "packed"), **PACKING)
    # starts the server, whose imports take longer than any job here
    first = FORKING.Process(target=int)
    first.start()
    first.join()
    with serve(folder) as url:
        yield folder, url


PACKING = {"shards": 4, "settings": Settings(resize=64, quality=90), "threads": 2}


def packed(folder: Path, out: Path) -> tuple[object, ...]:
    """The arguments to pack the site's photos."""
    return shuffle(list_folder(folder / "photos"), 1), Folder(folder / "photos"), out, "set"


def job_of(name: str, site: tuple[Path, str]) -> Job:
    folder, url = site

    def nothing(_: Path) -> None:
        pass

    def flat(work: Path) -> None:
        put(work / "out", FLAT)

    def unpacked(work: Path) -> None:
        put(work / "kaggle" / organize.KAGGLE_IMAGES / "train", TRAIN)
        put(work / "kaggle" / organize.KAGGLE_IMAGES / "val", FLAT)
        rows = [f"{name[:-5]},{LABELS[number]} 1 2 3 4\n" for number, name in enumerate(FLAT)]
        put(
            work / "kaggle",
            {organize.KAGGLE_LABELS: ("ImageId,PredictionString\n" + "".join(rows)).encode()},
        )
        put(
            work / "kaggle",
            {organize.KAGGLE_CLASSES: "".join(f"{wnid} a\n" for wnid in WNIDS).encode()},
        )

    def with_journal(files: dict[str, bytes]) -> Callable[[Path], dict[str, bytes]]:
        return lambda work: (
            files | {organize.JOURNAL: (work / "out" / organize.JOURNAL).read_bytes()}
        )

    def adopted(work: Path) -> dict[str, bytes]:
        journal = work / "out" / "validation" / organize.JOURNAL
        files = {f"train/{n}": d for n, d in TRAIN.items()} | {
            f"validation/{n}": d for n, d in SORTED.items()
        }
        return files | {f"validation/{organize.JOURNAL}": journal.read_bytes()}

    def fetched(work: Path) -> dict[str, bytes]:
        archive.index_tar(work / "out" / "train.tar").save(work / "train.tar.npz")
        arrays = [
            np.load(path) for path in (work / "train.tar.npz", work / "out" / "train.tar.npz")
        ]
        for key in ("names", "offsets", "sizes", "classes"):
            assert arrays[0][key].tolist() == arrays[1][key].tolist()
        kept = (work / "out" / "train.tar.npz").read_bytes()
        return {"train.tar": (folder / "train.tar").read_bytes(), "train.tar.npz": kept}

    md5 = hashlib.md5((folder / "train.tar").read_bytes()).hexdigest()
    jobs = {
        "download": Job(
            download.download,
            lambda work: (f"{url}train.tar", work / "out" / "train.tar"),
            {"md5": md5, "bandwidth": 4_000_000, "index": True},
            nothing,
            fetched,
        ),
        "extract training": Job(
            organize.extract_train,
            lambda work: (folder / "train.tar", work / "out"),
            {},
            nothing,
            lambda _: TRAIN,
        ),
        "extract validation": Job(
            organize.extract_validation,
            lambda work: (folder / "val.tar", work / "out"),
            {},
            nothing,
            lambda _: FLAT,
        ),
        "sort": Job(
            organize.sort_validation,
            lambda work: (work / "out", LABELS),
            {},
            flat,
            with_journal(SORTED),
        ),
        "sort by links": Job(
            organize.sort_validation,
            lambda work: (work / "out", LABELS),
            {"link": True},
            flat,
            with_journal(FLAT | SORTED),
        ),
        "kaggle": Job(
            organize.adopt_kaggle,
            lambda work: (work / "kaggle", work / "out" / "train", work / "out" / "validation"),
            {},
            unpacked,
            adopted,
        ),
        "kaggle by links": Job(
            organize.adopt_kaggle,
            lambda work: (work / "kaggle", work / "out" / "train", work / "out" / "validation"),
            {"link": True},
            unpacked,
            adopted,
        ),
        "unpack": Job(
            archive.gunzip_tar,
            lambda work: (folder / "val.tar.gz", work / "out" / "val.tar"),
            {},
            nothing,
            lambda _: {"val.tar": tar_of(FLAT)},
        ),
        "pack": Job(
            pack,
            lambda work: packed(folder, work / "out"),
            PACKING,
            nothing,
            lambda _: tree(folder / "packed"),
        ),
    }
    return jobs[name]


def run(job: Job, work: Path, limit: float | None) -> float:
    """Seconds that the job took; after ``limit`` seconds, if given, it is killed."""
    process = FORKING.Process(target=job.call, args=job.arguments(work), kwargs=job.options)
    began = time.perf_counter()
    process.start()
    process.join(limit)
    took = time.perf_counter() - began
    assert process.exitcode in (
        (0,) if limit is None else (0, None)
        # done, or in the midst of it; never failed
    )
    process.kill()
    process.join()
    return took


JOBS = [
    *("download", "unpack", "extract training", "extract validation", "pack"),
    *("sort", "sort by links", "kaggle", "kaggle by links"),
]


@pytest.mark.parametrize("rounds", [5, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", JOBS)
def test_killed_at_random_moments_the_end_is_the_same(
    tmp_path: Path, site: tuple[Path, str], name: str, rounds: int
):
    job = job_of(name, site)
    moments = random.Random(rounds)
    job.start(tmp_path / "whole")
    longest = run(job, tmp_path / "whole", None)
    end = job.end(tmp_path / "whole")
    assert tree(tmp_path / "whole" / "out") == end
    for number in range(rounds):
        work = tmp_path / str(number)
        job.start(work)
        for _ in range(moments.randint(1, 3)):
            run(job, work, moments.uniform(0, longest))
            named = {
                name: data for name, data in tree(work / "out").items() if "/." not in f"/{name}"
            }
            unfinished = {
                name for name in named if name.endswith((".part", ".part.json", ".part.lock"))
            }
            # What has its own name is whole, or it is a flat image that waits to be sorted.
            assert all(
                data == (end | FLAT)[name] for name, data in named.items() if name not in unfinished
            )
        run(job, work, None)
        found = tree(work / "out")
        assert found.keys() == end.keys()
        assert found == job.end(work)
        shutil.rmtree(work)


def test_an_undo_killed_at_random_moments_is_finished_by_the_next(tmp_path: Path):
    moments = random.Random(3)
    undo = Job(
        organize.undo_validation, lambda work: (work / "out",), {}, lambda _: None, lambda _: FLAT
    )
    for _ in range(5):
        put(tmp_path / "out", FLAT)
        organize.sort_validation(tmp_path / "out", LABELS)
        run(undo, tmp_path, moments.uniform(0, 0.03))
        if (tmp_path / "out" / organize.JOURNAL).exists():
            organize.undo_validation(tmp_path / "out")
        assert tree(tmp_path / "out") == FLAT


# Full disks. The job runs in a mount namespace of its own, on a tmpfs of few megabytes.

OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
ON_SMALL_DISK = """
import errno, sys, threading, time
from pathlib import Path
from imnetlib import archive, download, organize
from imnetlib.image import Settings
from imnetlib.pack import Folder, list_folder, pack
job, disk, source = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
filler, out = disk / "filler", disk / "out"

def fill_later():
    part = out / "train.tar.part"
    while not part.exists() or part.stat().st_size < 100_000:
        time.sleep(0.001)
    try:
        with filler.open("ab") as file:
            file.write(bytes(1 << 24))
    except OSError:
        pass

def run():
    if job == "download":
        download.download(source, out / "train.tar", bandwidth=2_000_000)
    elif job == "training":
        organize.extract_train(Path(source), out)
    elif job == "validation":
        organize.extract_validation(Path(source), out)
    elif job == "pack":
        images, settings = list_folder(Path(source)), Settings(pass_through=True)
        pack(images, Folder(Path(source)), out, "set", shards=4, settings=settings)
    else:
        archive.gunzip_tar(Path(source), out / "zeros.tar")

if job == "download":
    threading.Thread(target=fill_later, daemon=True).start()
else:
    filler.write_bytes(bytes(1 << 20))
try:
    run()
    sys.exit("the disk was not full")
except OSError as error:
    assert error.errno == errno.ENOSPC, error
    print(error)
    print(*sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file() and p.name[0] != "."))
filler.unlink()
run()
for path in sorted(p for p in out.rglob("*") if p.is_file()):
    print(path.relative_to(out), len(path.read_bytes()))
"""


@pytest.fixture(scope="module")
def small_disks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where no mount is allowed, not even in a user namespace, as in some containers: no disk
    can be filled.
    """
    place = tmp_path_factory.mktemp("mount")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*OWN_MOUNTS, f"mount -t tmpfs none {place}"]).returncode
    ):
        pytest.skip("no mount of one's own is allowed here, so no small disk can be made")


def on_small_disk(tmp_path: Path, job: str, source: str, size: str) -> list[str]:
    """The lines that the job printed: the error, what had its own name then, and the files after
    room was made.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "job.py"
    script.write_text(ON_SMALL_DISK)
    command = f"mount -t tmpfs -o size={size} none {disk} && exec {sys.executable} {script} {job} {disk} {source}"
    done = subprocess.run([*OWN_MOUNTS, command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.usefixtures("small_disks")
class TestFullDisk:
    """The error names the disk's file and the way out; after room is made the job goes on to the
    same end.
    """

    def test_download(self, tmp_path: Path, site: tuple[Path, str]):
        folder, url = site
        said, there, *files = on_small_disk(tmp_path, "download", f"{url}train.tar", "1500k")
        assert said == (
            f"[Errno {errno.ENOSPC}] the disk of {tmp_path}/disk/out/train.tar.part is full: "
            "make room and run this again"
        )
        assert there == "train.tar.part train.tar.part.json"
        assert files == [f"train.tar {(folder / 'train.tar').stat().st_size}"]

    @pytest.mark.parametrize("job", ["training", "validation"])
    def test_extraction(self, tmp_path: Path, job: str):
        """Files of 10 bytes take a whole block each: more than one can reckon beforehand."""
        files = (
            [f"{wnid}/{wnid}_{n}.JPEG" for wnid in WNIDS for n in range(20)]
            if job == "training"
            else list(FLAT)
        )
        (tmp_path / "small.tar").write_bytes(tar_of(dict.fromkeys(files, b"0123456789")))
        said, *after = on_small_disk(tmp_path, job, str(tmp_path / "small.tar"), "1800k")
        assert f"the disk of {tmp_path}/disk/out" in said
        assert said.endswith("is full: make room and run this again")
        assert after[-len(files) :] == [f"{name} 10" for name in sorted(files)]

    def test_unpacking(self, tmp_path: Path):
        """A tar of zeros is a hundred times as large as its .gz."""
        (tmp_path / "zeros.tar.gz").write_bytes(gzip.compress(tar_of({"a": bytes(1_500_000)})))
        said, *after = on_small_disk(tmp_path, "unpack", str(tmp_path / "zeros.tar.gz"), "2200k")
        assert said.endswith("zeros.tar is full: make room and run this again")
        # nothing was left of the first attempt
        assert after == ["zeros.tar 1505280"]

    def test_packing(self, tmp_path: Path, site: tuple[Path, str]):
        """Finished shards stay, the one at hand leaves nothing; the end is as without the stop."""
        photos = site[0] / "photos"
        size = sum(path.stat().st_size for path in photos.rglob("*.JPEG"))
        said, there, *after = on_small_disk(
            tmp_path, "pack", str(photos), f"{(1 << 20) + size * 6 // 10}"
        )
        assert "disk/out/set-0000" in said
        assert said.endswith(".rec is full: make room and run this again")
        assert "set-00000-of-00004.json" in there.split()
        assert not any(name.endswith("00003-of-00004.rec") for name in there.split())
        pack(
            list_folder(photos),
            Folder(photos),
            tmp_path / "calm",
            "set",
            shards=4,
            settings=Settings(pass_through=True),
        )
        assert after == [
            f"{name} {len(data)}" for name, data in sorted(tree(tmp_path / "calm").items())
        ]
