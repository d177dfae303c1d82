"""A second run goes on where the first one stopped, and refuses what it would have to mix."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tarfile
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from packing import SMALL, contents, listed

from imnetlib import pack as packing
from imnetlib.archive import TarIndex, index_tar
from imnetlib.image import Settings
from imnetlib.pack import Folder, ImageList, Tar, pack, write_lst

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
        # Wait for the kill.
        sys.stdin.read()

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
    assert summary.images == 60
    assert (summary.bytes_in, summary.bytes_out) == (first.bytes_in, first.bytes_out)


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor(1)], ids=["here", "elsewhere"])
def test_what_was_there_is_no_part_of_the_rates(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, executor: Executor | None
):
    def again() -> str:
        pack(
            listed(photos), Folder(photos), tmp_path, "set", shards=3, settings=SMALL,
            executor=executor,
        )  # fmt: skip
        return capsys.readouterr().err.splitlines()[-1]

    assert re.search(r"60/60 \[\S+, +[\d.]+ images/s, \d+ MB/s\]", again())
    assert re.search(r"60/60 \[\S+, \? images/s\]", again())
    (tmp_path / "set-00001-of-00003.json").unlink()
    assert re.search(r"60/60 \[\S+, +[\d.]+ images/s, \d+ MB/s\]", again())


def test_another_setting_is_refused_not_mixed(photos: Path, tmp_path: Path):
    images = listed(photos)
    pack(images, Folder(photos), tmp_path, "set", shards=3, settings=SMALL)
    before = contents(tmp_path)
    worse = Settings(resize=64, quality=80)
    with pytest.raises(ValueError, match="quality=90, not 80"):
        pack(images, Folder(photos), tmp_path, "set", shards=3, settings=worse)
    with pytest.raises(ValueError, match="shards=3, not 4"):
        pack(images, Folder(photos), tmp_path, "set", shards=4, settings=SMALL)
    other = ImageList(images.ids, 1 - images.labels, images.paths)
    another_list = r"set-00000-of-00003.json was packed with list_crc32=\d+, not"
    with pytest.raises(ValueError, match=another_list):
        pack(other, Folder(photos), tmp_path, "set", shards=3, settings=SMALL)
    swapped = ImageList(images.ids, images.labels, images.paths[[1, 0, *range(2, 60)]])
    with pytest.raises(ValueError, match=another_list):
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
