"""A run over all shards: the bytes do not depend on who packs, nor a shard on the others."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from making import photo
from packing import SMALL, contents, listed, many, write

from imnetlib import pack as packing
from imnetlib.cli import main
from imnetlib.image import Settings
from imnetlib.pack import (
    Folder,
    ImageList,
    PackError,
    estimate_shards,
    list_folder,
    pack,
    read_lst,
    write_lst,
)


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


def test_the_parts_of_two_machines_are_the_whole(photos: Path, tmp_path: Path):
    images = many(photos, 50)
    root = Folder(photos)
    pack(images, root, tmp_path / "one", "set", shards=5, settings=SMALL)
    first = pack(images, root, tmp_path / "two", "set", shards=5, settings=SMALL, only=(0, 2))
    numbers = sorted(path.name[4:9] for path in (tmp_path / "two").glob("*.rec"))
    assert numbers == ["00000", "00002", "00004"]
    second = pack(images, root, tmp_path / "two", "set", shards=5, settings=SMALL, only=(1, 2))
    assert first.images + second.images == 50
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    with pytest.raises(ValueError, match=r"machine i of n, with i from 0 to n - 1, not \(2, 2\)"):
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


def test_the_bar_shows_images_and_megabytes_a_second(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pack(listed(photos), Folder(photos), tmp_path, "set", shards=3, settings=SMALL)
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"pack set: 100%\|#+\| 60/60 \[00:\d\d<00:00, +[\d.]+ images/s, \d+ MB/s\]", last
    )


def test_lists_and_settings_that_cannot_be_packed(tmp_path: Path, photos: Path):
    images = listed(photos)
    twice = ImageList(np.zeros(60, np.int64), images.labels, images.paths)
    with pytest.raises(ValueError, match=r"distinct and not negative, .*: 0 appears twice"):
        pack(twice, Folder(photos), tmp_path, "set", shards=1)
    below = ImageList(images.ids - 4, images.labels, images.paths)
    with pytest.raises(ValueError, match=r"distinct and not negative, .*: -1 is negative"):
        pack(below, Folder(photos), tmp_path, "set", shards=1)
    largest = ImageList([2**63 - 2, 2**63 - 1], images.labels[:2], images.paths[:2])
    with pytest.raises(
        ValueError, match=r"index, and at most 9223372036854775806: 9223372036854775807 is"
    ):
        pack(largest, Folder(photos), tmp_path, "set", shards=1)
    for name in ("", "a/b"):
        with pytest.raises(ValueError, match=f"beginning of a file name, not '{name}'"):
            pack(images, Folder(photos), tmp_path, name, shards=1)
    for shards in (0, 61):
        with pytest.raises(ValueError, match=f"1 to 60 shards, not {shards}"):
            pack(images, Folder(photos), tmp_path, "set", shards=shards)
    png_of_quality_95 = {"encoding": ".png"}
    for wrong in (
        *({"resize": 0}, {"quality": 101}, {"encoding": ".gif"}, {"color": 2}),
        png_of_quality_95,
    ):
        with pytest.raises(ValueError, match="not "):
            Settings(**wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            {"images": "set.lst"},
            r"images are an ImageList \(read_lst reads one\), not 'set.lst' \(str",
        ),
        (
            {"source": Path("photos")},
            r"source is a Folder, a Tar or a Parquet, not PosixPath\('photos'\)",
        ),
        ({"settings": {}}, r"settings are image\.Settings, not {} \(dict\)"),
        ({"shards": 2.0}, r"shards is a whole number, not 2\.0 \(float\)"),
        ({"shards": True}, r"shards is a whole number, not True \(bool\)"),
        ({"threads": "2"}, r"threads is a whole number, not '2' \(str\)"),
        ({"only": 1}, r"only is \(i, n\), machine i of n, .*, not 1 \(int\)"),
        ({"only": (0, 2.0)}, r"a number of only is a whole number, not 2\.0 \(float\)"),
    ],
)
def test_an_argument_of_another_type_is_named(
    photos: Path, tmp_path: Path, argument: dict[str, object], message: str
):
    sound = {"images": listed(photos), "source": Folder(photos), "shards": 2}
    with pytest.raises(TypeError, match=message):
        pack(folder=tmp_path, name="set", **sound | argument)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"threads": 0}, "threads are 1 or more, not 0"),
        ({"threads": -1}, "threads are 1 or more, not -1"),
        ({"only": (1,)}, r"only is \(i, n\), machine i of n, .*, not \(1,\)"),
        ({"only": (-1, 2)}, r"only is \(i, n\), machine i of n, .*, not \(-1, 2\)"),
    ],
)
def test_an_argument_of_no_sense_is_named(
    photos: Path, tmp_path: Path, argument: dict[str, object], message: str
):
    with pytest.raises(ValueError, match=message):
        pack(listed(photos), Folder(photos), tmp_path, "set", shards=2, **argument)


def test_numbers_of_numpy_and_text_paths_are_taken(photos: Path, tmp_path: Path):
    pack(listed(photos), Folder(photos), tmp_path / "one", "set", shards=3, settings=SMALL)
    numbers = {"shards": np.int64(3), "threads": np.int32(2), "settings": SMALL}
    out = str(tmp_path / "other")
    for part in (0, 1):
        only = (np.int64(part), np.uint8(2))
        pack(listed(photos), Folder(str(photos)), out, "set", only=only, **numbers)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    report = packing.failures_path(out, "set", (np.int64(1), 2))
    assert report == tmp_path / "other" / "set-failures-1-of-2.tsv"


def test_estimated_shards():
    assert estimate_shards(10**12, 10**9) == 1000
    assert estimate_shards(5, 10**9) == 1


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
    """The scheduler gives its shard to another; its half-written file has its pid in the name."""
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
    arguments = ["pack", str(tmp_path / "set.lst"), str(photos), str(tmp_path / "out")]
    arguments += ["--shards", "3", "--resize", "64", "--quality", "90"]
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
    images = listed(photos)
    options = {"shards": 3, "settings": SMALL}
    lost = r"^1 of 3 shards were lost, first set-00001-of-00003\.rec \(BrokenProcessPool"
    with pytest.raises(PackError, match=lost):
        pack(images, Folder(photos), tmp_path, "set", executor=_OneProcessATask(), **options)
    assert [path.name[4:9] for path in sorted(tmp_path.glob("*.json"))] == ["00000", "00002"]
    assert pack(images, Folder(photos), tmp_path, "set", **options).shards_skipped == 2


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


def test_another_way_with_bad_images_is_refused(photos: Path, tmp_path: Path):
    """The loader's word, for one: a typing error would otherwise pass for "report"."""
    with pytest.raises(ValueError, match="on_error is report or stop, not 'raise'"):
        pack(listed(photos), Folder(photos), tmp_path, "set", shards=2, on_error="raise")
