"""The index of an archive: saved, loaded, kept beside it, asked for names."""

from pathlib import Path

import numpy as np
import pytest
from making import tar_of
from tars import BYPRODUCTS, CLASSES, as_rows, by_tarfile, write_archive

from imnetlib.archive import TarIndex, TarReader, index, index_path, index_tar, open_index


def test_save_and_load(tmp_path: Path, nested: Path):
    index = index_tar(nested)
    index.save(tmp_path / "lists" / "index.npz")
    tmp_path = tmp_path.rename(tmp_path.with_name("moved"))
    again = TarIndex.load(tmp_path / "lists" / "index.npz")
    assert as_rows(again) == as_rows(index)
    assert again.classes.tolist() == index.classes.tolist()
    assert again.class_names == index.class_names
    assert TarReader(again).read(0) == CLASSES["n02"]["n02_7.JPEG"]
    with again.path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match="index it again"):
        TarIndex.load(tmp_path / "lists" / "index.npz")


@pytest.mark.parametrize("kind", ["tar", "bad zip", "other npz", "npy", "text", "empty"])
def test_another_file_is_no_index(tmp_path: Path, nested: Path, kind: str):
    path = tmp_path / "other.npz"
    if kind == "npy":
        with path.open("wb") as out:
            np.save(out, np.arange(3))
    elif kind == "other npz":
        np.savez(path, names=np.array([b"a"]))
    else:
        data = {
            "tar": nested.read_bytes(),
            "bad zip": b"PK\3\4 and no more",
            "text": b"names",
            "empty": b"",
        }
        path.write_bytes(data[kind])
    with pytest.raises(ValueError, match=r"other\.npz is no index: make one with imnet index TAR$"):
        TarIndex.load(path)


def test_a_damaged_index_is_no_index_whatever_byte_is_wrong(nested: Path):
    index_tar(nested).save(index_path(nested))
    intact = index_path(nested).read_bytes()
    rng = np.random.default_rng(1)
    places = rng.integers(0, len(intact), 1500)
    values = rng.integers(1, 256, 1500)
    for place, value in zip(places, values, strict=True):
        blob = bytearray(intact)
        blob[place] ^= value
        index_path(nested).write_bytes(blob)
        # Still right, or no index, or another archive's, or that of one that is gone.
        try:
            TarIndex.load(index_path(nested))
        except (ValueError, FileNotFoundError) as error:
            assert "npz is" in str(error)  # noqa: PT017


@pytest.mark.parametrize("byproducts", [[], [".DS_Store", "train/b/._0.JPEG"]], ids=len)
def test_an_index_of_an_earlier_version(tmp_path: Path, byproducts: list[str]):
    """It had by-products among the members, and no class folders."""
    names = [f"train/{wnid}/{i}.JPEG" for wnid in ("b", "a") for i in range(2)]
    path = write_archive(tmp_path, tar_of(dict.fromkeys([*byproducts, *names], b"")))
    rows = by_tarfile(path)
    columns = dict(zip(("names", "offsets", "sizes"), zip(*rows, strict=True), strict=True))
    columns["names"] = np.array([name.encode() for name in columns["names"]])
    columns |= {"classes": np.full(len(rows), -1, np.int32), "class_names": np.array([])}
    columns |= {"archive": np.array("a.tar"), "archive_bytes": np.array(path.stat().st_size)}
    np.savez(index_path(path), **columns)
    again = TarIndex.load(index_path(path))
    assert as_rows(again) == rows[len(byproducts) :]
    assert again.class_names == ("a", "b")
    assert again.classes.tolist() == [1, 1, 0, 0]
    assert again.left_out == len(byproducts)


def test_the_count_of_what_is_left_out_is_kept(tmp_path: Path):
    path = write_archive(tmp_path, tar_of({"a": b"1", **BYPRODUCTS}))
    assert open_index(path).left_out == len(BYPRODUCTS)
    assert TarIndex.load(index_path(path)).left_out == len(BYPRODUCTS)


def test_an_index_kept_elsewhere_is_opened_by_its_own_path(tmp_path: Path, nested: Path):
    index_tar(nested).save(tmp_path / "elsewhere" / "my.npz")
    assert open_index(str(tmp_path / "elsewhere" / "my.npz")).path == nested
    assert not index_path(nested).exists()


def test_an_index_without_its_archive(tmp_path: Path, nested: Path):
    index_tar(nested).save(tmp_path / "index.npz")
    nested.unlink()
    message = r"index\.npz is the index of .*a\.tar, which is gone: put it"
    with pytest.raises(FileNotFoundError, match=message):
        TarIndex.load(tmp_path / "index.npz")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        TarIndex.load(tmp_path / "nowhere.npz")


def test_an_index_of_another_archive_of_the_same_length(tmp_path: Path):
    path = write_archive(tmp_path, tar_of({"n1.tar": tar_of({"a": b"1" * 100, "b": b"2" * 200})}))
    index_tar(path).save(index_path(path))
    for members in ({"a": b"3" * 300, "b": b""}, {"c": b"1", "d": b"2"}):
        data = tar_of({"n1.tar": tar_of(members)})
        assert len(data) == path.stat().st_size
        path.write_bytes(data)
        message = r"is of another archive than .*a\.tar is now: index it again"
        with pytest.raises(ValueError, match=message):
            TarIndex.load(index_path(path))
        assert as_rows(open_index(path)) == by_tarfile(path)


def test_the_index_kept_beside_an_archive_is_used_while_it_fits(
    nested: Path, monkeypatch: pytest.MonkeyPatch
):
    index_tar(nested).save(index_path(nested))
    with monkeypatch.context() as patched:
        # It must not be called.
        patched.setattr(index, "index_tar", None)
        assert len(open_index(nested)) == 5
    nested.write_bytes(tar_of({"a": b"1"}))
    assert as_rows(open_index(nested)) == [("a", 512, 1)]
    index_path(nested).write_bytes(b"damaged")
    assert as_rows(open_index(nested)) == [("a", 512, 1)]


def test_an_index_that_cannot_be_kept_is_made_all_the_same(
    nested: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def read_only(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a.tar.npz")

    monkeypatch.setattr(TarIndex, "save", read_only)
    assert len(open_index(nested)) == 5
    assert "cannot be kept: [Errno 13] Permission denied" in caplog.text


def test_a_renamed_archive_gets_an_index_of_its_own(tmp_path: Path):
    first = write_archive(tmp_path, tar_of({"a": b"1"}), "first.tar")
    open_index(first)
    index_path(first).rename(index_path(tmp_path / "second.tar"))
    second = write_archive(tmp_path, tar_of({"b": b"2"}), "second.tar")
    assert as_rows(open_index(second)) == [("b", 512, 1)]
    first.unlink()
    assert open_index(second).path == second


def test_a_linked_archive_and_its_index_move_together(tmp_path: Path):
    (tmp_path / "store").mkdir()
    write_archive(tmp_path / "store", tar_of({"a": b"1"}))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.tar").symlink_to("../store/a.tar")
    open_index(tmp_path / "here" / "a.tar")
    moved = (tmp_path / "here").rename(tmp_path / "there")
    assert TarIndex.load(moved / "a.tar.npz").path == moved / "a.tar"


def test_positions(nested: Path):
    index = index_tar(nested)
    wanted = ["n03/n03_5.JPEG", "n02/n02_7.JPEG", "n03/n03_5.JPEG"]
    assert index.positions(wanted).tolist() == [4, 0, 4]
    assert index.positions(index.names).tolist() == [0, 1, 2, 3, 4]
    assert index.positions([]).tolist() == []
    with pytest.raises(ValueError, match=r"12 of 13 names are not in .*a\.tar: é, q0, .*, q8$"):
        index.positions([wanted[0], "é", *(f"q{i}" for i in range(11))])
