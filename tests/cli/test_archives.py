"""The verbs of the archives: download, verify-archives, index, organize."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import tempfile
from pathlib import Path

import pytest
from making import imnet, tar_of
from tars import BYPRODUCTS

from imnetlib import catalog
from imnetlib.cli import archives
from imnetlib.course import server


def test_organize_check_says_by_its_status_that_a_file_is_broken(mirror: Path, tmp_path: Path):
    imnet("organize", "train", mirror / catalog.TRAIN_TAR, tmp_path / "train")
    done = imnet("organize", "check", tmp_path / "train", "--report", tmp_path / "report.md")
    assert "## 1 truncated\n" in done.output
    assert done.exit_code == 3
    # The files are so few that the page names all of them.
    assert (tmp_path / "report.md").read_text() in done.output


def test_organize_check_says_by_its_status_that_an_image_is_missing(mirror: Path, tmp_path: Path):
    devkit = mirror / catalog.DEVKIT
    folder = tmp_path / "validation"
    imnet("organize", "validation", mirror / catalog.VALIDATION_TAR, devkit, folder)
    check = ("organize", "check", folder, "--labels", devkit)
    assert "Every class has as many files as expected." in imnet(*check).output
    assert imnet(*check).exit_code == 0
    lost = next(folder.glob("n*/*.JPEG"))
    lost.unlink()
    done = imnet(*check)
    assert done.exit_code == 3
    assert f"- {lost.parent.name} has 1, not 2\n" in done.output
    assert imnet(*check, "--counts", devkit).exit_code == 2
    # The devkit counts three training images a class.
    wrong = imnet("organize", "check", folder, "--counts", devkit)
    assert "36 classes with another count" in wrong.output
    undone = imnet("organize", "undo", folder)
    assert undone.exit_code == 3
    assert f"71 images taken back\n{lost.name} is gone\n" in undone.output


def test_link_leaves_the_flat_files(mirror: Path, tmp_path: Path):
    imnet(
        "organize",
        "validation",
        mirror / catalog.VALIDATION_TAR,
        mirror / catalog.DEVKIT,
        tmp_path,
        "--link",
    )
    assert len(list(tmp_path.glob("*.JPEG"))) == 72
    assert len(list(tmp_path.glob("n*/*.JPEG"))) == 72


def test_validation_is_unpacked_sorted_listed_and_made_flat_again(mirror: Path, tmp_path: Path):
    tar = mirror / catalog.VALIDATION_TAR
    devkit = mirror / catalog.DEVKIT
    folder = tmp_path / "validation"
    assert "72 images put in place" in imnet("organize", "validation", tar, devkit, folder).output
    assert "36 classes, 72 files" in imnet("organize", "check", folder).output
    assert "72 images" in imnet("list", folder, tmp_path / "val.lst").output
    split = imnet("list", folder, tmp_path / "half.lst", "--train-ratio", 0.5)
    assert "36 images" in split.output
    assert {path.name for path in tmp_path.glob("half*")} == {"half_train.lst", "half_val.lst"}
    assert "72 images taken back" in imnet("organize", "undo", folder).output
    assert len(list(folder.glob("*.JPEG"))) == 72


def test_training_is_unpacked(mirror: Path, tmp_path: Path):
    done = imnet("organize", "train", mirror / catalog.TRAIN_TAR, tmp_path / "train")
    assert "36 classes, 108 files written, 0 were there" in done.output


def test_verify_archives_tells_wrong_from_missing(mirror: Path, tmp_path: Path):
    (tmp_path / catalog.VALIDATION_TAR).write_bytes(b"<html>")
    done = imnet("verify-archives", tmp_path)
    assert done.exit_code == 1
    assert f"{catalog.VALIDATION_TAR}: wrong size (6 bytes, not 6,744,924,160)" in done.output
    assert f"{catalog.TRAIN_TAR}: missing (0 bytes)" in done.output


@pytest.mark.parametrize(
    ("md5", "left", "code"), [(True, 36, 0), (False, 36, 3), (False, 35, 1), (True, 35, 1)]
)
def test_verify_archives_says_by_its_status_what_it_could_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, md5: bool, left: int, code: int
):
    data = bytes(range(36))
    stated = catalog.Archive("a.tar", 36, hashlib.md5(data).hexdigest() if md5 else None)
    dataset = catalog.Dataset("test", 1, 1, 1, (stated,))
    monkeypatch.setattr(archives, "ILSVRC2012", dataset)
    (tmp_path / "a.tar").write_bytes(data[:left])
    done = imnet("verify-archives", tmp_path)
    assert done.exit_code == code
    states = {0: "whole (36 bytes)", 3: "unverified (36 bytes, no MD5 is stated)"}
    assert done.stdout == f"a.tar: {states.get(code, 'wrong size (35 bytes, not 36)')}\n"


def test_download_says_whether_a_file_came_or_was_there(mirror: Path, tmp_path: Path):
    kit = (mirror / catalog.DEVKIT).read_bytes()
    md5 = hashlib.md5(kit).hexdigest()
    unknown = f"MD5 {md5}, which nobody has stated: compare it"
    with server.serve(mirror) as url:
        command = ("download", f"{url}{catalog.DEVKIT}", "--to", tmp_path)
        for options, said in (
            ((), f"fetched, {unknown}"),
            ((), f"there, of the right size, {unknown}"),
            (("--size", len(kit)), f"there, of the right size, {unknown}"),
            (("--md5", md5), f"there, MD5 {md5}, as stated"),
        ):
            done = imnet(*command, *options)
            assert done.exit_code == 0
            assert done.stdout.startswith(f"{catalog.DEVKIT}: {said}\n")
    done = imnet(*command)
    assert done.exit_code == 3
    why = "not compared with the file on the server: the server takes no connection"
    assert done.stdout.startswith(f"{catalog.DEVKIT}: there, unverified ({why}), {unknown}\n")
    (tmp_path / catalog.DEVKIT).write_bytes(kit[:-1])
    with server.serve(mirror) as url:
        done = imnet("download", f"{url}{catalog.DEVKIT}", "--to", tmp_path)
    assert done.exit_code == 1
    assert f"has {len(kit) - 1:,} bytes, not {len(kit):,}: move it away" in done.output


def test_download_of_an_unknown_archive_names_those_there_are(tmp_path: Path):
    done = imnet("download", "train.tar", "--to", tmp_path)
    assert done.exit_code == 1
    assert "ImageNet has no archive 'train.tar'; it has ILSVRC2012_img_train.tar" in done.output
    assert "winter21_whole.tar.gz" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://h/a", "--md5", "xyz"], "--md5 has 32 digits of 0 to 9 and a to f"),
        (["http://h/a", "--md5", ""], "--md5 has 32 digits"),
        (["http://h/a", "--size", -1], "-1 is not in the range x>=0"),
        (["http://h/a", "--bandwidth", "nan"], "nan is no finite number"),
        (["http://h/a", "--bandwidth", 0], "0.0 is not in the range x>0"),
        ([catalog.DEVKIT, "--size", 0], "--size and --md5 are of one file"),
        (["http://h/."], "http://h/. names no file"),
        (["http://h/.."], "http://h/.. names no file"),
    ],
)
def test_download_refuses_a_wrong_use(tmp_path: Path, arguments: list[object], message: str):
    done = imnet("download", "--to", tmp_path, *arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_any_file_is_downloaded_by_its_address_and_a_tar_is_indexed(mirror: Path, tmp_path: Path):
    data = (mirror / catalog.VALIDATION_TAR).read_bytes()
    stated = ("--size", len(data), "--md5", hashlib.md5(data).hexdigest())
    with server.serve(mirror) as url:
        done = imnet(
            "download", f"{url}{catalog.VALIDATION_TAR}?a=b", "--to", tmp_path / "a", *stated
        )
        assert done.exit_code == 0, done.output
        wrong = imnet("download", f"{url}{catalog.DEVKIT}", "--to", tmp_path / "a", *stated)
        named = imnet("download", catalog.VALIDATION_TAR, "--to", tmp_path / "b", "--url", url)
        nameless = imnet("download", url, "--to", tmp_path / "a")
        no_tar = imnet("download", f"{url}{catalog.DEVKIT}", "--to", tmp_path / "c")
        (mirror / "page.tar").write_text("<html>")
        page = imnet("download", f"{url}page.tar", "--to", tmp_path / "c")
        (mirror / "page.tar").unlink()
        refused = imnet("download", catalog.DEVKIT, "--to", tmp_path / "a", *stated)
    assert f"fetched, MD5 {stated[-1]}, as stated\n{len(data):,} bytes fetched" in done.output
    assert (
        "72 images"
        in imnet(
            *("list", tmp_path / "a" / f"{catalog.VALIDATION_TAR}.npz", tmp_path / "v.lst"),
            *("--labels", mirror / catalog.DEVKIT),
        ).output
    )
    assert "it is another file" in wrong.output
    # The size that belongs to the name, at another address.
    assert "not 6,744,924,160: it is another file" in named.output
    assert nameless.exit_code == 2
    assert "names no file" in nameless.output
    # A tar without an index is not what was asked for.
    assert (no_tar.exit_code, page.exit_code) == (0, 3)
    assert "which nobody has stated: compare it" in no_tar.output
    assert refused.exit_code == 2
    assert "--size and --md5 are of one file that is given by its address" in refused.output


def test_a_compressed_tar_is_unpacked_and_indexed(mirror: Path, tmp_path: Path):
    data = (mirror / catalog.VALIDATION_TAR).read_bytes()
    for name in ("w.tgz", "v.tar.gz"):
        (tmp_path / name).write_bytes(gzip.compress(data, 1))
        assert "72 files" in imnet("index", tmp_path / name).output
        assert (tmp_path / f"{name[0]}.tar").read_bytes() == data
    # Some call it so.
    (tmp_path / "plain.tar.gz").write_bytes(data)
    assert "72 files" in imnet("index", tmp_path / "plain.tar.gz").output
    (tmp_path / "packed.tar").write_bytes(gzip.compress(data, 1))
    assert "packed.tar is gzip-compressed" in imnet("index", tmp_path / "packed.tar").output
    again = imnet("index", tmp_path / "v.tar.gz")
    assert again.exit_code == 0
    assert "v.tar is there already\n" in again.output
    assert "72 files" in again.output


def test_what_is_left_out_and_what_has_no_class_is_said(tmp_path: Path):
    tar = tmp_path / "a.tar"
    names = [f"train/n0144076{i}/n0144076{i}_1.JPEG" for i in range(2)]
    tar.write_bytes(tar_of({**dict.fromkeys(names, b"1"), **BYPRODUCTS, "README": b""}))
    done = imnet("index", tar)
    assert f"\n3 files in 2 classes: {tar}.npz\n" in f"\n{done.output}"
    assert "left out: 6 files of macOS or Windows (._NAME and the like)\n" in done.output
    assert "1 file of no class, the first README\n" in done.output
    tar.write_bytes(tar_of({names[0]: b"1", "._README": b""}))
    done = imnet("organize", "train", tar, tmp_path / "train")
    assert "1 class, 1 file written, 0 were there\n" in done.output
    assert "left out: 1 file of macOS or Windows" in done.output
    tar.write_bytes(tar_of({"a.JPEG": b"1"}))
    assert f"1 file: {tar}.npz" in imnet("index", tar).output


def test_a_tar_of_class_folders_becomes_records(mirror: Path, tmp_path: Path):
    """The labels are those by the tar of class tars; one image is damaged in either."""
    imnet("index", mirror / catalog.TRAIN_TAR, "--to", tmp_path / "tars.npz")
    imnet("organize", "train", mirror / catalog.TRAIN_TAR, tmp_path / "train")
    with tarfile.open(tmp_path / "folders.tar", "w") as tar:
        tar.add(tmp_path / "train", "./train")
    assert "108 files in 36 classes" in imnet("index", tmp_path / "folders.tar").output
    labels = {}
    for name, npz in (("tars", "tars.npz"), ("folders", "folders.tar.npz")):
        lst = tmp_path / name / f"{name}.lst"
        lst.parent.mkdir()
        assert "108 images" in imnet("list", tmp_path / npz, lst).output
        rows = [line.split("\t") for line in lst.read_text().splitlines()]
        labels[name] = {Path(path).name: label for _, label, path in rows}
        done = imnet("pack", lst, tmp_path / npz, tmp_path / name, "--pass-through")
        assert "107 images: 107 kept" in done.output
    assert labels["tars"] == labels["folders"]


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in which no file can be made, though the tests may run as root."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    make = tempfile.TemporaryFile

    def refusing(*, dir: Path) -> object:
        if dir == folder:
            raise OSError(30, "Read-only file system", str(dir))
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)
    return folder


def test_the_index_of_a_tar_in_a_folder_that_cannot_be_written(read_only: Path, tmp_path: Path):
    tar = read_only / "a.tar"
    tar.write_bytes(tar_of({f"{wnid}/{wnid}_1.JPEG": b"1" for wnid in ("n01440764", "n02012849")}))
    done = imnet("index", tar)
    assert done.exit_code == 1
    assert done.output == (
        f"Error: {tar}.npz cannot be written (Read-only file system): name another place with "
        "--to FILE.npz\n"
    )
    kept = tmp_path / "new" / "my.npz"
    assert f"2 files in 2 classes: {kept}" in imnet("index", tar, "--to", kept).output
    assert not (read_only / "a.tar.npz").exists()
    assert "2 images" in imnet("list", kept, tmp_path / "a.lst").output
    done = imnet("organize", "train", kept, tmp_path / "train")
    assert "2 classes, 2 files written" in done.output
    packed = read_only / "b.tar.gz"
    packed.write_bytes(gzip.compress(tar.read_bytes()))
    done = imnet("index", packed, "--to", kept)
    assert done.exit_code == 1
    assert (
        f"{read_only / 'b.tar'} cannot be written (Read-only file system): unpack it elsewhere: "
        f"gunzip -c {packed} > /ELSEWHERE/b.tar\n"
    ) in done.output


@pytest.mark.parametrize("kept", ["my.txt", "a.tar"])
def test_an_index_is_kept_as_npz(tmp_path: Path, kept: str):
    (tmp_path / "a.tar").write_bytes(tar_of({"a": b""}))
    before = (tmp_path / "a.tar").read_bytes()
    done = imnet("index", tmp_path / "a.tar", "--to", tmp_path / kept)
    assert done.exit_code == 2
    assert "--to is a FILE.npz for the index of a TAR" in done.output
    assert (tmp_path / "a.tar").read_bytes() == before


def test_a_devkit_that_a_browser_has_unpacked(mirror: Path, tmp_path: Path):
    (tmp_path / "kit.tar").write_bytes(gzip.decompress((mirror / catalog.DEVKIT).read_bytes()))
    done = imnet(
        *("organize", "validation", mirror / catalog.VALIDATION_TAR),
        *(tmp_path / "kit.tar", tmp_path / "out"),
    )
    assert "36 classes, 72 images put in place" in done.output


@pytest.mark.parametrize("verb", ["check", "undo"])
def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path, verb: str):
    done = imnet("organize", verb, tmp_path / "nowhere")
    assert (done.exit_code, "nowhere' does not exist" in done.output) == (2, True), done.output
