"""Images from folders and archives; those that cannot be packed are named, the others packed."""

from __future__ import annotations

import csv
import os
import re
import stat
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from making import photo
from packing import SMALL, contents, listed, records, write

from imnetlib.archive import TarIndex, index_tar
from imnetlib.image import Settings
from imnetlib.pack import Folder, ImageList, PackError, Tar, list_archive, list_folder, pack


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
    source = Tar(TarIndex.load(tmp_path / "train.npz"))
    pack(images, source, tmp_path / "a", "t", shards=2, settings=SMALL)
    pack(images, Folder(photos), tmp_path / "b", "t", shards=2, settings=SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    paths = np.char.replace(images.paths, b"photo_1", b"no_such_1")
    strangers = ImageList(images.ids, images.labels, paths)
    with pytest.raises(ValueError, match=r"no_such_1\.JPEG"):
        pack(strangers, source, tmp_path / "c", "t", shards=2, settings=SMALL)


def test_a_path_is_no_index(tmp_path: Path):
    with pytest.raises(
        TypeError, match=r"index is a TarIndex \(archive\.open_index gives one\), not"
    ):
        Tar(tmp_path / "train.tar")


def test_absolute_paths_in_a_list_are_taken_as_they_are(photos: Path, tmp_path: Path):
    images = listed(photos)
    absolute = np.array([f"{photos}/{path.decode()}".encode() for path in images.paths])
    for name, paths in (("relative", images.paths), ("absolute", absolute)):
        same = ImageList(images.ids, images.labels, paths)
        pack(same, Folder(photos), tmp_path / name, "set", shards=1)
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
            images = list_folder(root / "in")
            source = Folder(root / "in")
            summary = pack(images, source, root / "out", "set", shards=1, settings=SMALL)
        finally:
            os.seteuid(was)
    assert [(failure.path, failure.reason) for failure in summary.failures] == [
        ("n00/photo_1.JPEG", "Permission denied")
    ]
    assert summary.images == 2


ENLARGED = {"upscale": True}


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((3, 70_000), {}, "it would get 70,000 x 3 pixels; a JPEG has at most 65,500 a side"),
        ((1, 300), ENLARGED | {"resize": 256}, "it would get 76,800 x 256 pixels; a JPEG has"),
        (
            (1, 40),
            ENLARGED | {"resize": 1600},
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
    strict = pack(images, Folder(root), out, "set", shards=2, settings=SMALL, on_error="stop")
    assert not strict.failures
    assert contents(out) == contents(calm)


@pytest.mark.parametrize("special", ["pipe", "device", "socket"])
def test_what_is_no_regular_file_is_reported_at_once(photos: Path, tmp_path: Path, special: str):
    images = listed(photos)
    images = ImageList([0, 1], [[0], [0]], [images.paths[0], b"n00/special.JPEG"])
    first = images.paths[0].decode()
    (tmp_path / "root" / first).parent.mkdir(parents=True)
    (tmp_path / "root" / first).symlink_to(photos / first)
    path = tmp_path / "root" / "n00" / "special.JPEG"
    path.parent.mkdir(exist_ok=True)
    if special == "pipe":
        os.mkfifo(path)
    elif special == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mknod(path, stat.S_IFSOCK | 0o600)
    done = pack(images, Folder(tmp_path / "root"), tmp_path / "out", "a", shards=1, settings=SMALL)
    assert (done.images, len(done.failures)) == (1, 1)
    expected = "No such device or address" if special == "socket" else "not a regular file"
    assert done.failures[0].reason == expected
