"""The verbs of the archives: download, verify-archives, index, organize."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
from making import imnet

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
