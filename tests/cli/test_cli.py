"""The verbs of imnet: the whole way from archives to shards in a terminal, and what each says when
it cannot.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from imnetlib import catalog, recordio
from imnetlib.cli import main
from imnetlib.course import aws, server


def imnet(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sample: all classes, three training images and two for validation each."""
    folder = tmp_path_factory.mktemp("cli") / "mirror"
    done = imnet("sample", folder, "--train", 3, "--validation", 2)
    assert done.exit_code == 0, done.output
    assert "36 classes, 108 + 72 images" in done.output
    return folder


def test_from_the_archives_to_shards_and_back(mirror: Path, tmp_path: Path):
    assert "108 files in 36 classes" in imnet("index", mirror / catalog.TRAIN_TAR).output
    index = mirror / f"{catalog.TRAIN_TAR}.npz"
    assert "108 images" in imnet("list", index, tmp_path / "train.lst", "--seed", 1).output
    packed = imnet("pack", tmp_path / "train.lst", index, tmp_path, "--shards", 2, "--resize", 64)
    # the truncated file was left out
    assert packed.exit_code == 3
    assert "107 images" in packed.output
    assert f"left out: 1 images, see {tmp_path}/train-failures.tsv" in packed.output
    # a head line and the failure
    assert (tmp_path / "train-failures.tsv").read_text().count("\n") == 2
    shard = tmp_path / "train-00000-of-00002.rec"
    assert imnet("verify", shard).exit_code == 0
    again = imnet("pack", tmp_path / "train.lst", index, tmp_path, "--shards", 2, "--resize", 64)
    assert "2 of 2 shards were there from an earlier run" in again.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shards", 0), "'--shards': 0 is not in the range"),
        (("--resize", 0), "'--resize': 0 is not in the range"),
        (("--quality", 101), "quality is 1 to 100 for .jpg, not 101"),
        (("--name", "a/b"), "--name is the beginning of a file name, not a/b"),
        (("--only", "2::2"), "--only is I::N, machine I of N, from 0 to N - 1, not 2::2"),
    ],
)
def test_asked_wrongly(tmp_path: Path, arguments: tuple[object, ...], message: str):
    (tmp_path / "a.lst").write_text("0\t0\ta.jpg\n")
    done = imnet("pack", tmp_path / "a.lst", tmp_path, tmp_path, *arguments)
    assert (done.exit_code, message in done.output) == (2, True), done.output


@pytest.mark.parametrize("verb", ["verify", "salvage"])
def test_what_is_named_otherwise_is_no_shard(tmp_path: Path, verb: str):
    (tmp_path / "a.lst").write_text("0\t0\ta.jpg\n")
    done = imnet(verb, tmp_path / "a.lst", *([tmp_path / "b.rec"] if verb == "salvage" else []))
    assert (done.exit_code, f"{tmp_path}/a.lst is no .rec file" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("option", "value"), [("--train-ratio", 1), ("--train-ratio", 0), ("--seed", -1)]
)
def test_a_list_asked_for_wrongly(tmp_path: Path, option: str, value: int):
    done = imnet("list", tmp_path, tmp_path / "a.lst", option, value)
    assert (done.exit_code, f"'{option}': {value}" in done.output) == (2, True), done.output


@pytest.fixture
def shard(mirror: Path, tmp_path: Path) -> Path:
    """The validation set in one shard, packed as it is."""
    tar = mirror / catalog.VALIDATION_TAR
    imnet("index", tar)
    assert (
        "72 images"
        in imnet(
            "list", f"{tar}.npz", tmp_path / "v.lst", "--labels", mirror / catalog.DEVKIT
        ).output
    )
    assert (
        imnet("pack", tmp_path / "v.lst", f"{tar}.npz", tmp_path, "--pass-through").exit_code == 0
    )
    return tmp_path / "v-00000-of-00001.rec"


def test_a_lost_index_is_written_anew(shard: Path):
    index = shard.with_suffix(".idx")
    before = index.read_bytes()
    refused = imnet("index", shard)
    assert (refused.exit_code, f"{index} is there" in refused.output) == (2, True)
    index.unlink()
    refused = imnet("merge-index", shard.with_name("all.idx"), shard)
    assert f"a shard needs its index; imnet index {shard} writes it" in refused.output
    assert f"72 records: {index}\n" in imnet("index", shard).output
    assert index.read_bytes() == before


def test_a_machine_without_a_shard_is_told(shard: Path, mirror: Path):
    lst = shard.with_name("v.lst")
    done = imnet(
        "pack", lst, f"{mirror / catalog.VALIDATION_TAR}.npz", shard.parent / "o", "--only", "3::8"
    )
    assert "--only 3::8: of 1 shards none is this machine's part" in done.output


def test_a_changed_bit_is_found_by_the_sidecar(shard: Path):
    assert imnet("verify", shard).exit_code == 0
    content = bytearray(shard.read_bytes())
    content[5000] ^= 1
    shard.write_bytes(content)
    verified = imnet("verify", shard)
    assert verified.exit_code == 1
    assert "72 records of sound structure" in verified.output


@pytest.mark.parametrize("end", [-100, "a record's end"])
def test_salvage_of_a_cut_shard_says_what_is_missing(shard: Path, tmp_path: Path, end: int | str):
    cut = (
        int(recordio.read_index(shard.with_suffix(".idx"))[1][-1]) if isinstance(end, str) else end
    )
    shard.write_bytes(shard.read_bytes()[:cut])
    assert imnet("verify", shard).exit_code == 1
    saved = imnet("salvage", shard, tmp_path / "saved.rec")
    assert saved.exit_code == 3, saved.output
    assert len(recordio.scan(tmp_path / "saved.rec")) == 71


def test_salvage_says_that_an_image_may_be_damaged_inside(shard: Path, tmp_path: Path):
    content = bytearray(shard.read_bytes())
    content[3000:3200] = bytes(200)
    shard.write_bytes(content)
    saved = imnet("salvage", shard, tmp_path / "saved.rec")
    assert saved.exit_code == 3
    assert "is not as it was packed" in saved.output
    assert f"imnet verify --decode {tmp_path}/saved.rec names those" in saved.output


def test_what_is_asked_of_list_and_pack_wrongly(mirror: Path, tmp_path: Path):
    imnet("index", mirror / catalog.TRAIN_TAR)
    index = mirror / f"{catalog.TRAIN_TAR}.npz"
    (tmp_path / "a.rec").write_bytes(b"a shard")
    assert "it ends in .lst" in imnet("list", index, tmp_path / "a.rec").output
    assert (tmp_path / "a.rec").read_bytes() == b"a shard"
    imnet("list", index, tmp_path / "a.lst")
    pack = ("pack", tmp_path / "a.lst", index, tmp_path / "out")
    assert "it goes without --resize" in imnet(*pack, "--pass-through", "--resize", 64).output
    assert "--upscale needs a --resize" in imnet(*pack, "--upscale").output
    assert imnet(*pack, "--num-thread", 0).exit_code == 2
    assert "107 images" in imnet(*pack, "--encoding", ".png", "--resize", 32).output


def test_labels_that_do_not_belong_to_the_source_are_refused(mirror: Path, tmp_path: Path):
    imnet("index", mirror / catalog.TRAIN_TAR)
    devkit = mirror / catalog.DEVKIT
    for source in (f"{mirror / catalog.TRAIN_TAR}.npz", tmp_path):
        done = imnet("list", source, tmp_path / "wrong.lst", "--labels", devkit)
        assert done.exit_code in (1, 2)
        assert not (tmp_path / "wrong.lst").exists()


def test_organize_check_says_by_its_status_that_a_file_is_broken(mirror: Path, tmp_path: Path):
    imnet("organize", "train", mirror / catalog.TRAIN_TAR, tmp_path / "train")
    done = imnet("organize", "check", tmp_path / "train", "--report", tmp_path / "report.md")
    assert "## 1 truncated\n" in done.output
    assert done.exit_code == 3
    assert (
        tmp_path / "report.md"
        # so few strange files that all are on the page
    ).read_text() in done.output


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
    # three training images a class
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
    # the name's own size, at another address
    assert "not 6,744,924,160: it is another file" in named.output
    assert nameless.exit_code == 2
    assert "names no file" in nameless.output
    # a tar without an index is not what was asked for
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
    # as some call it
    (tmp_path / "plain.tar.gz").write_bytes(data)
    assert "72 files" in imnet("index", tmp_path / "plain.tar.gz").output
    (tmp_path / "packed.tar").write_bytes(gzip.compress(data, 1))
    assert "packed.tar is gzip-compressed" in imnet("index", tmp_path / "packed.tar").output
    again = imnet("index", tmp_path / "v.tar.gz")
    assert again.exit_code == 0
    assert "v.tar is there already\n" in again.output
    assert "72 files" in again.output


def test_probe_measures_and_leaves_nothing(tmp_path: Path):
    done = imnet("probe", tmp_path, "--seconds", 0.5)
    assert "in order:" in done.output
    assert list(tmp_path.iterdir()) == []


def test_backup_and_restore(shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with aws.local_endpoint() as url:
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(variable, "made-up")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        s3 = aws.local_client("s3", url, "us-east-1")
        s3.create_bucket(Bucket="shards")
        (tmp_path / "packed").mkdir()
        shard.rename(tmp_path / "packed" / shard.name)
        size = f"{(tmp_path / 'packed' / shard.name).stat().st_size:,}"
        for moved in (f"1 files, {size}", "0 files, 0"):
            done = imnet("backup", tmp_path / "packed", "s3://shards/v1")
            assert done.output.endswith(f"1 files, {size} bytes; sent: {moved} bytes\n")
        back = imnet("restore", "s3://shards/v1", tmp_path / "back")
        assert f"fetched: 1 files, {size} bytes" in back.output
        restored, sent = (tmp_path / folder / shard.name for folder in ("back", "packed"))
        assert restored.read_bytes() == sent.read_bytes()
        assert imnet("restore", "s3://shards/v1").exit_code == 0
        s3.delete_object(Bucket="shards", Key=f"v1/{shard.name}")
        checked = imnet("restore", "s3://shards/v1")
        assert checked.exit_code == 1
        assert (
            checked.output == f"{shard.name} is missing\n1 objects do not agree with the manifest\n"
        )
        failed = imnet("restore", "s3://shards/v1", tmp_path / "again")
        assert failed.exit_code == 1
        assert f"1 of 1 files could not be restored: {shard.name} is missing" in failed.output


def test_backup_to_nowhere_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    assert "write s3://BUCKET/PREFIX" in imnet("backup", tmp_path, "bucket/prefix").output
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    done = imnet("backup", tmp_path, "s3://bucket/prefix")
    assert "profile (nobody) could not be found" in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("organize", "train", "{html}", "{folder}"), "html"),
        (("verify", "{rec}"), "page.rec: no sound record: 1,900 bytes"),
        (("organize", "undo", "{folder}"), "it holds no validation images that were sorted here"),
        (("probe", "{folder}/none"), "probe needs a folder"),
    ],
)
def test_bad_input_is_one_sentence_and_no_traceback(
    tmp_path: Path, arguments: tuple[str, ...], message: str
):
    html = tmp_path / "page.html"
    html.write_text("<html>Log in</html>" * 100)
    rec = Path(shutil.copy(html, tmp_path / "page.rec"))
    done = imnet(*(argument.format(html=html, rec=rec, folder=tmp_path) for argument in arguments))
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output
    assert not done.exception or isinstance(done.exception, SystemExit)
