"""SIGKILL at random moments, and disks that are really full: nothing finished is lost.

Each job runs in a process of its own, is killed up to three times, and is then run to its end.
The end is always the same. ``make test`` does five rounds of each, ``make test-long`` fifty more.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from forking import FORKING
from making import encoded, photo, tar_of

from imnetlib import archive, download, organize
from imnetlib.course.server import serve
from imnetlib.image import Settings
from imnetlib.pack import Folder, list_folder, pack, shuffle

WNIDS = [f"n{number:08d}" for number in range(12)]
PER_CLASS = 8
LABELS = [WNIDS[number * 7 % len(WNIDS)] for number in range(len(WNIDS) * PER_CLASS)]
DATA = random.Random(1).randbytes(400_000)
PACKING = {"shards": 4, "settings": Settings(resize=64, quality=90), "threads": 2}


def piece(number: int) -> bytes:
    return DATA[number * 1_000 : number * 1_000 + 800 + number]


TRAIN = {f"{wnid}/{wnid}_{n}.JPEG": piece(n) for wnid in WNIDS for n in range(PER_CLASS)}
FLAT = {organize.validation_name(number): piece(number) for number in range(1, len(LABELS) + 1)}
SORTED = {f"{LABELS[int(name[15:23]) - 1]}/{name}": data for name, data in FLAT.items()}


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


def nothing(work: Path) -> None:
    """No files are needed to begin with."""


@dataclass
class Job:
    """A call, the files put into its folder beforehand, and those of ``folder/out`` at its end."""

    call: Callable[..., object]
    arguments: Callable[[Path], tuple[object, ...]]
    end: Callable[[Path], dict[str, bytes]]
    start: Callable[[Path], None] = nothing
    options: dict[str, object] = field(default_factory=dict)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder with the archives, and the address under which it is served."""
    folder = tmp_path_factory.mktemp("site")
    class_tars = {}
    for wnid in WNIDS:
        members = {n.partition("/")[2]: data for n, data in TRAIN.items() if n.startswith(wnid)}
        class_tars[f"{wnid}.tar"] = tar_of(members)
    put(folder, {"train.tar": tar_of(class_tars), "val.tar": tar_of(FLAT)})
    put(folder, {"val.tar.gz": gzip.compress(tar_of(FLAT))})
    photos = {name: encoded(photo(120, 90, number)) for number, name in enumerate(TRAIN)}
    put(folder / "photos", photos)
    pack(*pack_arguments(folder, folder / "packed"), **PACKING)
    # Starts the fork server, whose imports take longer than any job here.
    first = FORKING.Process(target=int)
    first.start()
    first.join()
    with serve(folder) as url:
        yield folder, url


def pack_arguments(folder: Path, out: Path) -> tuple[object, ...]:
    """The arguments to pack the site's photos."""
    return shuffle(list_folder(folder / "photos"), 1), Folder(folder / "photos"), out, "set"


def put_flat(work: Path) -> None:
    put(work / "out", FLAT)


def put_kaggle(work: Path) -> None:
    kaggle = work / "kaggle"
    put(kaggle / organize.KAGGLE_IMAGES / "train", TRAIN)
    put(kaggle / organize.KAGGLE_IMAGES / "val", FLAT)
    rows = [f"{name[:-5]},{LABELS[number]} 1 2 3 4\n" for number, name in enumerate(FLAT)]
    labels = "ImageId,PredictionString\n" + "".join(rows)
    classes = "".join(f"{wnid} a\n" for wnid in WNIDS)
    put(kaggle, {organize.KAGGLE_LABELS: labels.encode()})
    put(kaggle, {organize.KAGGLE_CLASSES: classes.encode()})


def with_journal(files: dict[str, bytes]) -> Callable[[Path], dict[str, bytes]]:
    """The files at the end of a sort; its journal is whatever it has become."""
    return lambda work: files | {organize.JOURNAL: (work / "out" / organize.JOURNAL).read_bytes()}


def adopted(work: Path) -> dict[str, bytes]:
    """The files at the end of a job of Kaggle."""
    journal = f"validation/{organize.JOURNAL}"
    files = {f"train/{name}": data for name, data in TRAIN.items()}
    files |= {f"validation/{name}": data for name, data in SORTED.items()}
    return files | {journal: (work / "out" / journal).read_bytes()}


def fetched(folder: Path, work: Path) -> dict[str, bytes]:
    """The files at the end of a download, whose index must be that of the archive."""
    kept = work / "out" / "train.tar.npz"
    made = work / "train.tar.npz"
    archive.index_tar(work / "out" / "train.tar").save(made)
    with np.load(kept) as kept_arrays, np.load(made) as made_arrays:
        for key in ("names", "offsets", "sizes", "classes"):
            assert kept_arrays[key].tolist() == made_arrays[key].tolist()
    return {"train.tar": (folder / "train.tar").read_bytes(), kept.name: kept.read_bytes()}


def kaggle_arguments(work: Path) -> tuple[Path, Path, Path]:
    return work / "kaggle", work / "out" / "train", work / "out" / "validation"


def job_of(name: str, site: tuple[Path, str]) -> Job:
    folder, url = site
    md5 = hashlib.md5((folder / "train.tar").read_bytes()).hexdigest()
    train = folder / "train.tar"
    jobs = {
        "download": Job(
            download.download,
            lambda work: (f"{url}train.tar", work / "out" / "train.tar"),
            lambda work: fetched(folder, work),
            options={"md5": md5, "bandwidth": 4_000_000, "index": True},
        ),
        "extract training": Job(
            organize.extract_train, lambda work: (train, work / "out"), lambda _: TRAIN
        ),
        "extract validation": Job(
            organize.extract_validation,
            lambda work: (folder / "val.tar", work / "out"),
            lambda _: FLAT,
        ),
        "sort": Job(
            organize.sort_validation,
            lambda work: (work / "out", LABELS),
            with_journal(SORTED),
            put_flat,
        ),
        "sort by links": Job(
            organize.sort_validation,
            lambda work: (work / "out", LABELS),
            with_journal(FLAT | SORTED),
            put_flat,
            {"link": True},
        ),
        "kaggle": Job(organize.adopt_kaggle, kaggle_arguments, adopted, put_kaggle),
        "kaggle by links": Job(
            organize.adopt_kaggle, kaggle_arguments, adopted, put_kaggle, {"link": True}
        ),
        "unpack": Job(
            archive.gunzip_tar,
            lambda work: (folder / "val.tar.gz", work / "out" / "val.tar"),
            lambda _: {"val.tar": tar_of(FLAT)},
        ),
        "pack": Job(
            pack,
            lambda work: pack_arguments(folder, work / "out"),
            lambda _: tree(folder / "packed"),
            options=PACKING,
        ),
    }
    return jobs[name]


def run(job: Job, work: Path, limit: float | None) -> float:
    """Run a job, killed after ``limit`` seconds if given; returns the seconds it took."""
    process = FORKING.Process(target=job.call, args=job.arguments(work), kwargs=job.options)
    began = time.perf_counter()
    process.start()
    process.join(limit)
    took = time.perf_counter() - began
    # Done, or still at work; never failed.
    assert process.exitcode in ((0,) if limit is None else (0, None))
    process.kill()
    process.join()
    return took


UNFINISHED = (".part", ".part.json", ".part.lock")
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
            # What has its final name is whole, or it is a flat image that waits to be sorted.
            for name, data in tree(work / "out").items():
                if "/." not in f"/{name}" and not name.endswith(UNFINISHED):
                    assert data == (end | FLAT)[name]
        run(job, work, None)
        files = tree(work / "out")
        assert files.keys() == end.keys()
        assert files == job.end(work)
        shutil.rmtree(work)


def test_an_undo_killed_at_random_moments_is_finished_by_the_next(tmp_path: Path):
    moments = random.Random(3)
    undo = Job(organize.undo_validation, lambda work: (work / "out",), lambda _: FLAT)
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
    """Skip where no mount is allowed, not even in a user namespace, as in some containers."""
    place = tmp_path_factory.mktemp("mount")
    command = [*OWN_MOUNTS, f"mount -t tmpfs none {place}"]
    if shutil.which("unshare") is None or subprocess.run(command).returncode:
        pytest.skip("no mount of one's own is allowed here, so no small disk can be made")


def on_small_disk(tmp_path: Path, job: str, source: str, size: str) -> list[str]:
    """Run a job on a disk of ``size``, and again when room was made; returns what it printed.

    The lines are the error, the files that had their final name then, and each file at the end.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    script = tmp_path / "job.py"
    script.write_text(ON_SMALL_DISK)
    mount = f"mount -t tmpfs -o size={size} none {disk}"
    command = f"{mount} && exec {sys.executable} {script} {job} {disk} {source}"
    done = subprocess.run([*OWN_MOUNTS, command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.usefixtures("small_disks")
class TestFullDisk:
    """The error names the file and what to do; then the job goes on to the same end."""

    def test_download(self, tmp_path: Path, site: tuple[Path, str]):
        folder, url = site
        error, named, *files = on_small_disk(tmp_path, "download", f"{url}train.tar", "1500k")
        assert error == (
            f"[Errno {errno.ENOSPC}] the disk of {tmp_path}/disk/out/train.tar.part is full: "
            "make room and run this again"
        )
        assert named == "train.tar.part train.tar.part.json"
        assert files == [f"train.tar {(folder / 'train.tar').stat().st_size}"]

    @pytest.mark.parametrize("job", ["training", "validation"])
    def test_extraction(self, tmp_path: Path, job: str):
        """Files of 10 bytes take a whole block each: more than can be computed beforehand."""
        files = [organize.validation_name(number) for number in range(1, 241)]
        if job == "training":
            files = [f"{wnid}/{wnid}_{n}.JPEG" for wnid in WNIDS for n in range(20)]
        (tmp_path / "small.tar").write_bytes(tar_of(dict.fromkeys(files, b"0123456789")))
        error, *after = on_small_disk(tmp_path, job, str(tmp_path / "small.tar"), "1800k")
        assert f"the disk of {tmp_path}/disk/out" in error
        assert error.endswith("is full: make room and run this again")
        assert after[-len(files) :] == [f"{name} 10" for name in sorted(files)]

    def test_unpacking(self, tmp_path: Path):
        """A tar of zeros is a hundred times as large as its .gz."""
        (tmp_path / "zeros.tar.gz").write_bytes(gzip.compress(tar_of({"a": bytes(1_500_000)})))
        error, *after = on_small_disk(tmp_path, "unpack", str(tmp_path / "zeros.tar.gz"), "2200k")
        assert error.endswith("zeros.tar is full: make room and run this again")
        # Nothing was left of the first attempt.
        assert after == ["zeros.tar 1505280"]

    def test_packing(self, tmp_path: Path, site: tuple[Path, str]):
        """Finished shards stay, the unfinished one leaves nothing; the end is the usual one."""
        photos = site[0] / "photos"
        size = sum(path.stat().st_size for path in photos.rglob("*.JPEG"))
        room = (1 << 20) + size * 6 // 10
        error, named, *after = on_small_disk(tmp_path, "pack", str(photos), str(room))
        assert "disk/out/set-0000" in error
        assert error.endswith(".rec is full: make room and run this again")
        assert "set-00000-of-00004.json" in named.split()
        assert not any(name.endswith("00003-of-00004.rec") for name in named.split())
        undisturbed = tmp_path / "undisturbed"
        settings = Settings(pass_through=True)
        pack(list_folder(photos), Folder(photos), undisturbed, "set", shards=4, settings=settings)
        files = sorted(tree(undisturbed).items())
        assert after == [f"{name} {len(data)}" for name, data in files]
