"""Packing: MXNet reads the shards, bytes depend on list, files and settings only, no image is lost
unseen.
"""

import csv
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from imnetlib import pack as packing
from imnetlib import recordio
from imnetlib.archive import TarIndex, index_tar
from imnetlib.cli import main
from imnetlib.engines.mxnet import mx
from imnetlib.image import Settings, convert_image
from imnetlib.pack import (
    Folder,
    ImageList,
    PackError,
    Tar,
    estimate_shards,
    list_archive,
    list_folder,
    pack,
    read_lst,
    write_lst,
)
from imnetlib.recordio import verify_sidecar

SMALL = Settings(resize=64, quality=90)


def photo(width: int, height: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(smooth + rng.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)


def write(
    path: Path, pixels: np.ndarray, form: str = "JPEG", mode: str = "RGB", **options: object
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    quality = {"quality": 92} if form == "JPEG" else {}
    Image.fromarray(pixels).convert(mode).save(path, form, **quality | options)


def listed(root: Path) -> ImageList:
    """All files under root in shuffled order, ids not in this order either, the label by folder."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.JPEG"))
    order = np.random.default_rng(5).permutation(len(names))
    paths = np.array([os.fsencode(names[i]) for i in order])
    classes = sorted({name.split("/")[0] for name in names})
    labels = np.array([[classes.index(names[i].split("/")[0])] for i in order], np.float32)
    return ImageList((order * 7 + 3).astype(np.int64), labels, paths, tuple(classes))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 ordinary photos of two classes: some larger than 64 pixels at the short edge, some not."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(60):
        width, height = [(160, 120), (90, 130), (64, 80), (50, 40)][i % 4]
        write(root / f"n0{i % 2}" / f"photo_{i}.JPEG", photo(width, height, i))
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def records(folder: Path) -> list[tuple[recordio.IRHeader, bytes]]:
    """All records of a folder's shards, as MXNet's own reader finds them by their index."""
    found = []
    for shard in sorted(folder.glob("*.rec")):
        reader = mx.recordio.MXIndexedRecordIO(str(shard.with_suffix(".idx")), str(shard), "r")
        found += [mx.recordio.unpack(reader.read_idx(key)) for key in reader.keys]
        reader.close()
    return found


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_mxnet_reads_every_image_in_list_order_with_its_label(photos: Path, tmp_path: Path):
    images = listed(photos)
    summary = pack(images, Folder(photos), tmp_path, "train", shards=4, settings=SMALL)
    assert [path.name for path in sorted(tmp_path.glob("*.rec"))][1] == "train-00001-of-00004.rec"
    found = records(tmp_path)
    assert [header.id for header, _ in found] == images.ids.tolist()
    assert [header.label for header, _ in found] == images.labels[:, 0].tolist()
    kept = 0
    for (_, data), path in zip(found, images.paths.tolist(), strict=True):
        original = (photos / path.decode()).read_bytes()
        source = pixels(original)
        short = min(source.shape[:2])
        # never enlarged, and the very bytes kept
        if short <= 64:
            assert data == original
            kept += 1
        else:
            assert pixels(data).shape[:2] == (
                source.shape[0] * 64 // short,
                source.shape[1] * 64 // short,
            )
            reduced = cv2.resize(source, pixels(data).shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(pixels(data).astype(int) - reduced).mean() < 6
    assert (summary.images, summary.kept, summary.reencoded, summary.converted) == (
        60,
        kept,
        60 - kept,
        0,
    )
    assert summary.bytes_in == sum(path.stat().st_size for path in photos.rglob("*.JPEG"))
    assert summary.bytes_out == sum(path.stat().st_size for path in tmp_path.glob("*.rec"))
    assert not summary.failures
    assert not (tmp_path / "train-failures.tsv").exists()


@pytest.mark.parametrize(
    ("executor", "threads"),
    [
        (None, 1),
        (None, 2),
        (None, 4),
        (ThreadPoolExecutor, 1),
        (ThreadPoolExecutor, 3),
        (ProcessPoolExecutor, 2),
    ],
)
def test_the_bytes_do_not_depend_on_who_packs(
    photos: Path, tmp_path: Path, executor: type[Executor] | None, threads: int
):
    images = listed(photos)
    pack(images, Folder(photos), tmp_path / "one", "set", shards=3, settings=SMALL, threads=1)
    options = {"shards": 3, "settings": SMALL, "threads": threads}
    if executor is None:
        pack(images, Folder(photos), tmp_path / "other", "set", **options)
    else:
        with executor(2) as pool:
            pack(images, Folder(photos), tmp_path / "other", "set", executor=pool, **options)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_from_the_archive_as_from_the_folder(photos: Path, tmp_path: Path):
    with tarfile.open(tmp_path / "train.tar", "w") as outer:
        for name in ("n00", "n01"):
            inner = tmp_path / f"{name}.tar"
            with tarfile.open(inner, "w") as tar:
                for path in sorted((photos / name).iterdir()):
                    tar.add(path, path.name)
            outer.add(inner, inner.name)
    index = index_tar(tmp_path / "train.tar")
    index.save(tmp_path / "train.npz")
    images = list_archive(index)
    pack(
        images,
        Tar(TarIndex.load(tmp_path / "train.npz")),
        tmp_path / "a",
        "t",
        shards=2,
        settings=SMALL,
    )
    pack(images, Folder(photos), tmp_path / "b", "t", shards=2, settings=SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    strangers = ImageList(
        images.ids, images.labels, np.char.replace(images.paths, b"photo_1", b"no_such_1")
    )
    with pytest.raises(ValueError, match=r"no_such_1\.JPEG"):
        pack(
            strangers,
            Tar(TarIndex.load(tmp_path / "train.npz")),
            tmp_path / "c",
            "t",
            shards=2,
            settings=SMALL,
        )


CHILD = """
import sys
from pathlib import Path
from imnetlib.image import Settings
from imnetlib.pack import Folder, Job, pack_shard, read_lst, shard_tasks

root, lst, out, last = sys.argv[1:]
done = 0

def advance(images, _):
    global done
    done += images
    if done >= int(last):
        print("here", flush=True)
        sys.stdin.read()  # until the kill

job = Job(Path(out), "set", 3, Settings(resize=64, quality=90), threads=2)
for task in shard_tasks(read_lst(Path(lst)), Folder(Path(root)), job):
    pack_shard(task, advance)
"""


def test_killed_in_mid_shard_it_goes_on_and_ends_the_same(photos: Path, tmp_path: Path):
    images = listed(photos)
    calm = tmp_path / "calm"
    out = tmp_path / "killed"
    pack(images, Folder(photos), calm, "set", shards=3, settings=SMALL)
    write_lst(images, tmp_path / "set.lst")
    for killed_after, finished in ((7, 0), (27, 1), (45, 2)):
        arguments = [str(photos), str(tmp_path / "set.lst"), str(out), str(killed_after)]
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"here\n"
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert len(list(out.glob("*.json"))) == len(list(out.glob("*.rec"))) == finished
    summary = pack(images, Folder(photos), out, "set", shards=3, settings=SMALL)
    assert (summary.shards_skipped, summary.images) == (2, 60)
    assert contents(out) == contents(calm)


def test_finished_shards_are_skipped_and_damaged_ones_made_again(photos: Path, tmp_path: Path):
    def again() -> packing.Summary:
        return pack(listed(photos), Folder(photos), tmp_path, "set", shards=3, settings=SMALL)

    first = again()
    before = contents(tmp_path)
    assert again().shards_skipped == 3
    for damage in ("set-00001-of-00003.rec", "set-00002-of-00003.idx"):
        data = bytearray(before[damage])
        data[len(data) // 2] ^= 1
        (tmp_path / damage).write_bytes(data)
    (tmp_path / "set-00000-of-00003.json").unlink()
    summary = again()
    assert summary.shards_skipped == 0
    assert contents(tmp_path) == before
    assert summary.failures == first.failures
    assert (summary.images, summary.bytes_in, summary.bytes_out) == (
        60,
        first.bytes_in,
        first.bytes_out,
    )


def test_the_bar_shows_images_and_megabytes_a_second(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pack(listed(photos), Folder(photos), tmp_path, "set", shards=3, settings=SMALL)
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"pack set: 100%\|#+\| 60/60 \[00:\d\d<00:00, +[\d.]+ images/s, \d+ MB/s\]", last
    )


def test_another_setting_is_refused_not_mixed(photos: Path, tmp_path: Path):
    images = listed(photos)
    pack(images, Folder(photos), tmp_path, "set", shards=3, settings=SMALL)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="quality=90, not 80"):
        pack(
            images,
            Folder(photos),
            tmp_path,
            "set",
            shards=3,
            settings=Settings(resize=64, quality=80),
        )
    with pytest.raises(ValueError, match="shards=3, not 4"):
        pack(images, Folder(photos), tmp_path, "set", shards=4, settings=SMALL)
    other = ImageList(images.ids, images.labels + 1, images.paths)
    with pytest.raises(
        ValueError, match=r"set-00000-of-00003.json was packed with list_crc32=\d+, not"
    ):
        pack(other, Folder(photos), tmp_path, "set", shards=3, settings=SMALL)
    swapped = ImageList(images.ids, images.labels, images.paths[[1, 0, *range(2, 60)]])
    with pytest.raises(
        ValueError, match=r"set-00000-of-00003.json was packed with list_crc32=\d+, not"
    ):
        pack(swapped, Folder(photos), tmp_path, "set", shards=3, settings=SMALL)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("archive", [False, True])
def test_shards_of_other_images_are_refused_not_skipped(
    photos: Path, tmp_path: Path, archive: bool
):
    """The same list, another folder or archive: what the sizes of the images tell."""
    others = tmp_path / "others"
    out = tmp_path / "out"
    shutil.copytree(photos, others)
    with (others / "n01" / "photo_7.JPEG").open("ab") as image:
        image.write(b"\0\0")
    sources = [Folder(photos), Folder(others)]
    images = listed(photos)
    if archive:
        for i, folder in enumerate((photos, others)):
            with tarfile.open(tmp_path / f"{i}.tar", "w") as tar:
                tar.add(folder, ".")
            index_tar(tmp_path / f"{i}.tar").save(tmp_path / f"{i}.npz")
        sources = [Tar(TarIndex.load(tmp_path / f"{i}.npz")) for i in range(2)]
        names = TarIndex.load(tmp_path / "0.npz").names
        images = ImageList(np.arange(len(names)), np.zeros((len(names), 1), np.float32), names)
    pack(images, sources[0], out, "set", shards=3, settings=SMALL)
    before = contents(out)
    with pytest.raises(ValueError, match="was packed from other images: their sizes differ"):
        pack(images, sources[1], out, "set", shards=3, settings=SMALL)
    assert contents(out) == before
    assert pack(images, sources[0], out, "set", shards=3, settings=SMALL).shards_skipped == 3


def test_what_is_packed_may_be_removed_and_stays(photos: Path, tmp_path: Path):
    source = tmp_path / "source"
    shutil.copytree(photos, source)
    images = listed(photos)
    pack(images, Folder(source), tmp_path / "out", "set", shards=3, settings=SMALL)
    (source / images.paths[0].decode()).unlink()
    with pytest.warns(UserWarning, match="1 of the list's 60 files are not under"):
        again = pack(images, Folder(source), tmp_path / "out", "set", shards=3, settings=SMALL)
    assert again.shards_skipped == 3


def test_absolute_paths_in_a_list_are_taken_as_they_are(photos: Path, tmp_path: Path):
    images = listed(photos)
    absolute = np.array([f"{photos}/{path.decode()}".encode() for path in images.paths])
    for name, paths in (("relative", images.paths), ("absolute", absolute)):
        pack(
            ImageList(images.ids, images.labels, paths),
            Folder(photos),
            tmp_path / name,
            "set",
            shards=1,
        )
    rec = "set-00000-of-00001.rec"
    assert (tmp_path / "relative" / rec).read_bytes() == (tmp_path / "absolute" / rec).read_bytes()


def test_bad_images_are_named_and_their_neighbours_packed(tmp_path: Path):
    root = tmp_path / "in"
    for i in range(20):
        write(root / "n00" / f"good_{i}.JPEG", photo(100, 80, i))
    whole = (root / "n00" / "good_0.JPEG").read_bytes()
    (root / "n00" / "bad_truncated.JPEG").write_bytes(whole[: len(whole) // 2])
    (root / "n00" / "bad_empty.JPEG").write_bytes(b"")
    (root / "n00" / "bad_text.JPEG").write_bytes(b"404 not found")
    (root / "n00" / "bad_folder.JPEG").mkdir()
    (root / "n00" / "bad_missing.JPEG").write_bytes(whole)
    images = listed(root)
    (root / "n00" / "bad_missing.JPEG").unlink()
    with pytest.warns(
        UserWarning, match=r"1 of the list's 25 files are not under .*: n00/bad_missing.JPEG"
    ):
        summary = pack(images, Folder(root), tmp_path / "out", "set", shards=2, settings=SMALL)
    assert (summary.images, len(records(tmp_path / "out"))) == (20, 20)
    reasons = {Path(failure.path).stem: failure.reason for failure in summary.failures}
    assert reasons == {
        "bad_truncated": "its JPEG data is damaged (Premature end of JPEG file)",
        "bad_empty": "it is empty",
        "bad_text": "it is no image",
        "bad_folder": "Is a directory",
        "bad_missing": "No such file or directory",
    }
    assert "its JPEG data is damaged" in reasons["bad_truncated"]
    with (tmp_path / "out" / "set-failures.tsv").open(newline="") as report:
        rows = list(csv.DictReader(report, delimiter="\t"))
    assert [(int(row["id"]), row["path"], row["reason"]) for row in rows] == [
        (failure.id, failure.path, failure.reason) for failure in summary.failures
    ]
    ids = dict(zip(images.paths.tolist(), images.ids.tolist(), strict=True))
    assert all(ids[failure.path.encode()] == failure.id for failure in summary.failures)
    with pytest.warns(UserWarning, match="bad_missing"):
        again = pack(images, Folder(root), tmp_path / "out", "set", shards=2, settings=SMALL)
    assert (again.shards_skipped, again.failures) == (2, summary.failures)


def test_a_file_that_may_not_be_read_is_named():
    """Root may read everything, so under root this is done as another user."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for i in range(3):
            write(root / "in" / "n00" / f"photo_{i}.JPEG", photo(100, 80, i))
        (root / "in" / "n00" / "photo_1.JPEG").chmod(0)
        root.chmod(0o777)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            summary = pack(
                list_folder(root / "in"),
                Folder(root / "in"),
                root / "out",
                "set",
                shards=1,
                settings=SMALL,
            )
        finally:
            os.seteuid(was)
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("n00/photo_1.JPEG", "Permission denied")
    ]
    assert summary.images == 2


def test_stop_means_stop(tmp_path: Path):
    root = tmp_path / "in"
    out = tmp_path / "out"
    for i in range(12):
        write(root / "n00" / f"good_{i}.JPEG", photo(100, 80, i))
    (root / "n00" / "bad.JPEG").write_bytes(b"no image")
    images = listed(root)
    with pytest.raises(
        PackError, match=r"n00/bad.JPEG \(id \d+\) cannot be packed: it is no image"
    ):
        pack(images, Folder(root), out, "set", shards=1, settings=SMALL, on_error="stop")
    assert contents(out) == {}
    (root / "n00" / "bad.JPEG").unlink()
    with pytest.raises(FileNotFoundError, match=r"n00/bad\.JPEG"):
        pack(images, Folder(root), out, "set", shards=1, settings=SMALL, on_error="stop")
    with pytest.raises(FileNotFoundError, match="13 of the list's 13 files are not under"):
        pack(images, Folder(tmp_path / "elsewhere"), out, "set", shards=1, settings=SMALL)


def test_stop_stops_at_what_an_earlier_run_left_out(tmp_path: Path):
    root = tmp_path / "in"
    out = tmp_path / "out"
    for i in range(4):
        write(root / "n00" / f"good_{i}.JPEG", photo(100, 80, i))
    (root / "n00" / "bad.JPEG").write_bytes(b"no image")
    images = listed(root)
    pack(images, Folder(root), out, "set", shards=2, settings=SMALL)
    before = contents(out)
    with pytest.raises(
        PackError, match=r"n00/bad.JPEG \(id \d+\) cannot be packed: it is no image"
    ):
        pack(images, Folder(root), out, "set", shards=2, settings=SMALL, on_error="stop")
    assert contents(out) == before


def test_a_repaired_file_gets_in(tmp_path: Path):
    root = tmp_path / "in"
    out = tmp_path / "out"
    calm = tmp_path / "calm"
    for i in range(8):
        write(root / "n00" / f"photo_{i}.JPEG", photo(100, 80, i))
    images = listed(root)
    pack(images, Folder(root), calm, "set", shards=2, settings=SMALL)
    broken = [root / "n00" / f"photo_{i}.JPEG" for i in range(8)]
    whole = [path.read_bytes() for path in broken]
    for path in broken:
        path.write_bytes(b"no image")
    assert pack(images, Folder(root), out, "set", shards=2, settings=SMALL).images == 0
    assert pack(images, Folder(root), out, "set", shards=2, settings=SMALL).shards_skipped == 2
    repaired = root / os.fsdecode(images.paths[1])
    repaired.write_bytes(whole[broken.index(repaired)])
    summary = pack(images, Folder(root), out, "set", shards=2, settings=SMALL)
    assert (summary.images, summary.shards_skipped, len(summary.failures)) == (1, 1, 7)
    for path, data in zip(broken, whole, strict=True):
        path.write_bytes(data)
    assert not pack(
        images, Folder(root), out, "set", shards=2, settings=SMALL, on_error="stop"
    ).failures
    assert contents(out) == contents(calm)


def many(photos: Path, count: int) -> ImageList:
    """A list of ``count`` images, over and over those of ``photos``."""
    images = listed(photos)
    return ImageList(
        np.arange(count), np.resize(images.labels, (count, 1)), np.resize(images.paths, count)
    )


def test_the_parts_of_two_machines_are_the_whole(photos: Path, tmp_path: Path):
    images = many(photos, 50)
    root = Folder(photos)
    pack(images, root, tmp_path / "one", "set", shards=5, settings=SMALL)
    first = pack(images, root, tmp_path / "two", "set", shards=5, settings=SMALL, only=(0, 2))
    assert sorted(path.name[4:9] for path in (tmp_path / "two").glob("*.rec")) == [
        "00000",
        "00002",
        "00004",
    ]
    second = pack(images, root, tmp_path / "two", "set", shards=5, settings=SMALL, only=(1, 2))
    assert first.images + second.images == 50
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    with pytest.raises(
        ValueError, match=r"only is \(i, n\), machine i of n, with i from 0 to n - 1, not \(2, 2\)"
    ):
        pack(images, root, tmp_path / "two", "set", shards=5, settings=SMALL, only=(2, 2))


def test_a_part_reports_its_own_failures(tmp_path: Path):
    root = tmp_path / "in"
    for i in range(4):
        write(root / "n00" / f"photo_{i}.JPEG", photo(100, 80, i))
    (root / "n00" / "photo_1.JPEG").write_bytes(b"")
    images = list_folder(root)
    for part in (0, 1):
        pack(images, Folder(root), tmp_path, "set", shards=4, settings=SMALL, only=(part, 2))
    assert [path.name for path in tmp_path.glob("*.tsv")] == ["set-failures-1-of-2.tsv"]
    assert packing.failures_path(tmp_path, "set", (1, 2)).exists()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Dask cluster of two worker processes on this machine."""
    from distributed import LocalCluster

    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "silence_logs": 50,
    }
    with LocalCluster(host="127.0.0.1", **options) as started:
        yield started


def test_a_dask_worker_killed_in_mid_shard_changes_no_byte(
    photos: Path, tmp_path: Path, cluster: Any
):
    """The scheduler gives its shard to another; the pid in the name of the half-written file is its
    own.
    """
    from distributed import Client

    images = many(photos, 1500)
    calm = tmp_path / "calm"
    out = tmp_path / "out"
    pack(images, Folder(photos), calm, "set", shards=3, settings=SMALL)
    killed: list[int] = []

    def kill_one() -> None:
        while not killed:
            for half in out.glob(".set-*.rec.*.tmp"):
                killed.append(int(half.name.rsplit("~", 2)[1]))
                os.kill(killed[0], signal.SIGKILL)
                return
            time.sleep(0.001)

    watcher = threading.Thread(target=kill_one)
    watcher.start()
    with Client(cluster) as client, client.get_executor(pure=False) as executor:
        summary = pack(
            images, Folder(photos), out, "set", shards=3, settings=SMALL, executor=executor
        )
    watcher.join()
    assert killed[0] != os.getpid()
    assert (summary.images, summary.shards_skipped) == (1500, 0)
    assert contents(out) == contents(calm)
    assert list(out.glob(".*")) == []


def test_imnet_pack_takes_a_cluster_by_its_address(photos: Path, tmp_path: Path, cluster: Any):
    write_lst(listed(photos), tmp_path / "set.lst")
    arguments = [
        "pack",
        str(tmp_path / "set.lst"),
        str(photos),
        str(tmp_path / "out"),
        "--shards",
        "3",
    ]
    arguments += ["--resize", "64", "--quality", "90"]
    done = CliRunner().invoke(main, [*arguments, "--dask", cluster.scheduler_address])
    assert done.exit_code == 0, done.output
    images = read_lst(tmp_path / "set.lst")
    pack(images, Folder(photos), tmp_path / "calm", "set", shards=3, settings=SMALL)
    assert contents(tmp_path / "out") == contents(tmp_path / "calm")
    part = CliRunner().invoke(main, [*arguments, "--only", "1::3"])
    assert "1 of 3 shards were there" in part.output
    assert CliRunner().invoke(main, [*arguments, "--only", "1/3"]).exit_code == 2


def _dies_at_the_second_shard(task: packing.ShardTask) -> packing.Summary:
    if task.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return packing.pack_shard(task)


class _OneProcessATask(Executor):
    """Each task in a process of its own, as on a cluster whose workers are started anew."""

    def submit(self, _: object, task: packing.ShardTask) -> Future[packing.Summary]:  # type: ignore[override]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            return pool.submit(_dies_at_the_second_shard, task)


def test_a_worker_that_dies_takes_no_other_shard_along(photos: Path, tmp_path: Path):
    with pytest.raises(
        PackError,
        match=r"^1 of 3 shards were lost, first set-00001-of-00003\.rec \(BrokenProcessPool",
    ):
        pack(
            listed(photos),
            Folder(photos),
            tmp_path,
            "set",
            shards=3,
            settings=SMALL,
            executor=_OneProcessATask(),
        )
    assert [path.name[4:9] for path in sorted(tmp_path.glob("*.json"))] == ["00000", "00002"]
    assert (
        pack(
            listed(photos), Folder(photos), tmp_path, "set", shards=3, settings=SMALL
        ).shards_skipped
        == 2
    )


class _HeldBack(Executor):
    """The first task fails, the others never begin."""

    def __init__(self) -> None:
        self.futures: list[Future[packing.Summary]] = []

    def submit(self, *_: object) -> Future[packing.Summary]:
        self.futures.append(Future())
        if len(self.futures) == 1:
            self.futures[0].set_exception(OSError("no space left"))
        return self.futures[-1]


def test_after_an_error_no_further_shard_is_begun(photos: Path, tmp_path: Path):
    pool = _HeldBack()
    with pytest.raises(OSError, match="no space left"):
        pack(listed(photos), Folder(photos), tmp_path, "set", shards=4, executor=pool)
    assert [future.cancelled() for future in pool.futures] == [False, True, True, True]


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((3, 70_000), {}, "it would get 70,000 x 3 pixels; the limits are 65,500 a side"),
        (
            (1, 300),
            {"resize": 256, "upscale": True},
            "it would get 76,800 x 256 pixels; the limits",
        ),
        (
            (1, 40),
            {"resize": 1600, "upscale": True},
            "it would get 64,000 x 1,600 pixels; .* 89,478,485 in all",
        ),
    ],
)
def test_a_picture_too_long_to_encode_is_left_out_and_its_neighbours_packed(
    tmp_path: Path, shape: tuple[int, int], options: dict[str, object], text: str
):
    root = tmp_path / "in"
    write(root / "n00" / "good.JPEG", photo(300, 300, 1))
    write(root / "n00" / "long.JPEG", np.zeros((*shape, 3), np.uint8), "PNG")
    summary = pack(
        listed(root), Folder(root), tmp_path / "out", "set", shards=1, settings=Settings(**options)
    )
    ((name, reason),) = [(failure.path, failure.reason) for failure in summary.failures]
    assert (name, summary.images) == ("n00/long.JPEG", 1)
    assert re.match(text, reason)


def test_a_sidecar_contradicted_by_its_files(photos: Path, tmp_path: Path):
    pack(listed(photos), Folder(photos), tmp_path, "set", shards=1, settings=SMALL)
    rec = tmp_path / "set-00000-of-00001.rec"
    assert verify_sidecar(rec) == []
    said = json.loads(rec.with_suffix(".json").read_bytes())
    assert said["rec_crc32"] == zlib.crc32(rec.read_bytes())
    spoilt = bytearray(rec.read_bytes())
    spoilt[100] ^= 1
    rec.write_bytes(spoilt)
    rec.with_suffix(".idx").unlink()
    assert verify_sidecar(rec) == [
        f"{rec} is not as it was packed: its CRC-32 is {zlib.crc32(spoilt)}, "
        f"{rec.with_suffix('.json')} says {said['rec_crc32']}",
        f"{rec.with_suffix('.idx')} is missing, though {rec.with_suffix('.json')} tells of it",
    ]
    rec.with_suffix(".json").unlink()
    assert verify_sidecar(rec) == []


@pytest.mark.parametrize("encoding", [".jpg", ".png"])
def test_odd_files_become_ordinary_ones_of_the_right_colours(tmp_path: Path, encoding: str):
    picture = photo(60, 44, 1)
    root = tmp_path / "in" / "n00"
    sideways = Image.Exif()
    sideways[0x0112] = 6
    write(root / "a.JPEG", picture, "PNG")
    write(root / "b.JPEG", picture, mode="CMYK")
    write(root / "c.JPEG", picture, mode="L")
    write(root / "d.JPEG", np.rot90(picture), exif=sideways)
    images = listed(tmp_path / "in")
    settings = Settings(resize=64, encoding=encoding, quality=95 if encoding == ".jpg" else 3)
    summary = pack(
        images, Folder(tmp_path / "in"), tmp_path / "out", "set", shards=1, settings=settings
    )
    assert (summary.converted, summary.kept, summary.reencoded) == (4, 0, 0)
    gray = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)
    for (_, data), path in zip(records(tmp_path / "out"), images.paths.tolist(), strict=True):
        assert data.startswith(b"\xff\xd8" if encoding == ".jpg" else b"\x89PNG")
        image = Image.open(io.BytesIO(data))
        assert image.mode == "RGB"
        assert not image.getexif()
        expected = gray if path.endswith(b"c.JPEG") else picture
        # inverted inks: 100
        assert np.abs(np.asarray(image).astype(int) - expected).mean() < 8


def only(
    folder: Path, settings: Settings, picture: np.ndarray, out: str, **options: object
) -> bytes:
    write(folder / "in" / "n00" / "x.JPEG", picture, **options)
    pack(
        listed(folder / "in"),
        Folder(folder / "in"),
        folder / out,
        "set",
        shards=1,
        settings=settings,
    )
    return records(folder / out)[0][1]


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        (Settings(), (90, 120)),
        (Settings(resize=60), (60, 80)),
        (Settings(resize=100), (90, 120)),
        (Settings(resize=100, upscale=True), (100, 133)),
        (Settings(center_crop=True), (90, 90)),
        (Settings(center_crop=True, resize=40), (40, 40)),
        (Settings(resize=7), (7, 9)),
        (Settings(resize=60, pass_through=True), (90, 120)),
    ],
)
def test_sizes(tmp_path: Path, settings: Settings, shape: tuple[int, int]):
    assert pixels(only(tmp_path, settings, photo(120, 90, 2), "out")).shape[:2] == shape


@pytest.mark.parametrize(("width", "height"), [(500, 375), (1037, 777), (512, 683), (2001, 1333)])
@pytest.mark.parametrize("center_crop", [False, True])
def test_a_picture_made_small_is_neither_stretched_nor_shifted(
    width: int, height: int, center_crop: bool
):
    """Decoded at n/8 of its size, 375 rows are 187.5: to take them for 188 costs 3 dB and more."""
    out = io.BytesIO()
    Image.fromarray(cv2.GaussianBlur(photo(width, height, 1), (0, 0), 3)).save(
        out, "JPEG", quality=95
    )
    stored, _ = convert_image(
        out.getvalue(), Settings(resize=128, quality=100, center_crop=center_crop)
    )
    found = Image.open(io.BytesIO(stored))
    side = min(width, height)
    left = (width - side) / 2
    top = (height - side) / 2
    box = (left, top, left + side, top + side) if center_crop else (0, 0, width, height)
    expected = Image.open(out).resize(found.size, Image.Resampling.LANCZOS, box)
    error = np.mean((np.asarray(found, float) - np.asarray(expected)) ** 2)
    assert 10 * np.log10(255**2 / error) > 42


def test_the_centre_is_cropped(tmp_path: Path):
    picture = photo(120, 90, 2)
    cropped = pixels(only(tmp_path, Settings(center_crop=True), picture, "out"))
    assert np.abs(cropped.astype(int) - picture[:, 15:105]).mean() < 4


def test_colour_and_reencoding_settings(tmp_path: Path):
    picture = photo(120, 90, 2)
    assert Image.open(io.BytesIO(only(tmp_path, Settings(color=0), picture, "gray"))).mode == "L"
    assert (
        Image.open(io.BytesIO(only(tmp_path, Settings(color=-1), picture, "same", mode="L"))).mode
        == "L"
    )
    kept = only(tmp_path, Settings(quality=30), picture, "kept")
    assert kept == (tmp_path / "in" / "n00" / "x.JPEG").read_bytes()
    assert (
        len(only(tmp_path, Settings(quality=30, reencode=True), picture, "smaller")) < len(kept) / 2
    )


def test_several_labels(tmp_path: Path, photos: Path):
    images = listed(photos)
    labels = np.arange(180, dtype=np.float32).reshape(60, 3) / 7
    several = ImageList(images.ids, labels, images.paths)
    with pytest.raises(ValueError, match="3 labels an image"):
        pack(several, Folder(photos), tmp_path, "set", shards=1, settings=SMALL)
    pack(
        several,
        Folder(photos),
        tmp_path,
        "set",
        shards=1,
        settings=Settings(resize=64, pack_label=True),
    )
    assert np.array_equal([header.label for header, _ in records(tmp_path)], labels)


def test_lists_and_settings_that_cannot_be_packed(tmp_path: Path, photos: Path):
    images = listed(photos)
    twice = ImageList(np.zeros(60, np.int64), images.labels, images.paths)
    with pytest.raises(ValueError, match=r"distinct and not negative, .*: 0 appears twice"):
        pack(twice, Folder(photos), tmp_path, "set", shards=1)
    below = ImageList(images.ids - 4, images.labels, images.paths)
    with pytest.raises(ValueError, match=r"distinct and not negative, .*: -1 is negative"):
        pack(below, Folder(photos), tmp_path, "set", shards=1)
    for name in ("", "a/b"):
        with pytest.raises(ValueError, match=f"beginning of a file name, not '{name}'"):
            pack(images, Folder(photos), tmp_path, name, shards=1)
    for shards in (0, 61):
        with pytest.raises(ValueError, match=f"1 to 60 shards, not {shards}"):
            pack(images, Folder(photos), tmp_path, "set", shards=shards)
    for wrong in (
        {"resize": 0},
        {"quality": 101},
        {"encoding": ".gif"},
        {"color": 2},
        {"encoding": ".png"},
    ):
        with pytest.raises(ValueError, match="not "):
            Settings(**wrong)
    assert not list(tmp_path.iterdir())


def test_the_json_says_what_the_shard_holds(tmp_path: Path, photos: Path):
    pack(listed(photos), Folder(photos), tmp_path, "set", shards=2, settings=SMALL)
    said = json.loads((tmp_path / "set-00001-of-00002.json").read_bytes())
    assert (said["images"], said["number"], said["shards"], said["resize"]) == (30, 1, 2, 64)
    assert said["bytes_out"] == (tmp_path / "set-00001-of-00002.rec").stat().st_size
    assert said["images"] == said["kept"] + said["reencoded"] + said["converted"]
    assert set(said["versions"]) == {"imnetlib", "numpy", "opencv", "pillow", "simplejpeg"}
    pack(
        listed(photos),
        Folder(photos),
        tmp_path,
        "as-is",
        shards=1,
        settings=Settings(pass_through=True),
    )
    said = json.loads((tmp_path / "as-is-00000-of-00001.json").read_bytes())
    assert set(said["versions"]) == {"imnetlib"}


def test_a_task_holds_its_part_of_the_list_only(photos: Path):
    tasks = packing.shard_tasks(listed(photos), Folder(photos), packing.Job(Path("out"), "set", 7))
    assert (
        [len(task.ids) for task in tasks]
        == [len(task.files.paths) for task in tasks]
        == [8, 9, 8, 9, 8, 9, 9]
    )


def test_estimated_shards():
    assert estimate_shards(10**12, 10**9) == 1000
    assert estimate_shards(5, 10**9) == 1
