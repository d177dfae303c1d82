"""The verbs of lists and records: list, pack, index, merge-index, verify, salvage."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import imnet

from imnetlib import catalog, recordio


def test_from_the_archives_to_shards_and_back(mirror: Path, tmp_path: Path):
    assert "108 files in 36 classes" in imnet("index", mirror / catalog.TRAIN_TAR).output
    index = mirror / f"{catalog.TRAIN_TAR}.npz"
    assert "108 images" in imnet("list", index, tmp_path / "train.lst", "--seed", 1).output
    packed = imnet("pack", tmp_path / "train.lst", index, tmp_path, "--shards", 2, "--resize", 64)
    # The truncated file was left out.
    assert packed.exit_code == 3
    assert "107 images" in packed.output
    assert f"left out: 1 images, see {tmp_path}/train-failures.tsv" in packed.output
    # A header and the failure.
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
