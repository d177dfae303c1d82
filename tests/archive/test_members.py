"""The walk over whole archives against the standard library's tarfile, and damaged archives."""

import gzip
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import tar_of
from tars import (
    BYPRODUCTS,
    CLASSES,
    MEMBER_NAMES,
    as_rows,
    by_tarfile,
    class_folders,
    classes_of,
    index_by_scanner,
    write_archive,
)

from imnetlib.archive import TarReader, TarTruncatedError, index_tar
from imnetlib.archive import index as archive_index


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    members=st.dictionaries(MEMBER_NAMES, st.binary(max_size=1500), min_size=1, max_size=8),
)
def test_a_flat_tar_reads_as_tarfile_reads_it(
    tmp_path_factory: pytest.TempPathFactory, form: int, members: dict[str, bytes]
):
    path = write_archive(tmp_path_factory.getbasetemp(), tar_of(members, form), "flat.tar")
    index = index_tar(path)
    assert as_rows(index) == by_tarfile(path)
    assert classes_of(index) == class_folders(list(members))
    with TarReader(index) as reader:
        assert [reader.read(i) for i in range(len(index))] == list(members.values())


def test_a_tar_of_tars_gives_classes_and_absolute_offsets(nested: Path):
    index = index_tar(nested)
    assert as_rows(index) == by_tarfile(nested)
    assert index.class_names == ("n01", "n02", "n03")
    assert index.classes.tolist() == [1, 1, 0, 0, 2]
    assert index.classes.dtype == np.int32
    assert index.archive_bytes == nested.stat().st_size
    blob = nested.read_bytes()
    expected = [data for files in CLASSES.values() for data in files.values()]
    spans = zip(index.offsets, index.sizes, strict=True)
    assert [blob[offset : offset + size] for offset, size in spans] == expected


def test_thousands_of_members_cross_the_batches(tmp_path: Path):
    flat = {f"x_{i}.JPEG": bytes(i % 3) for i in range(9000)}
    path = write_archive(
        tmp_path, tar_of({"n1.tar": tar_of(flat), "loose.txt": b"!", "n0.tar": tar_of(flat)})
    )
    index = index_tar(path)
    assert as_rows(index) == by_tarfile(path)
    assert np.bincount(index.classes + 1).tolist() == [1, 9000, 9000]


def test_a_hole_does_not_pass_for_the_end(tmp_path: Path, nested: Path):
    blob = bytearray(nested.read_bytes())
    header = index_tar(nested).offsets[1] - 512
    blob[header : header + 512] = bytes(512)
    message = rf"in n02.tar, goes on after an empty header at byte {header:,}"
    with pytest.raises(ValueError, match=message):
        index_tar(write_archive(tmp_path, bytes(blob)))


@pytest.mark.parametrize("flat", [True, False])
def test_a_cut_anywhere_says_how_much_is_whole(tmp_path: Path, nested: Path, flat: bool):
    data = tar_of({"a": b"x" * 700, "b": b"", "c": b"y" * 512}) if flat else nested.read_bytes()
    rows = as_rows(index_tar(write_archive(tmp_path, data)))
    ends = [offset + size for _, offset, size in rows]
    cuts = range(0, -(-ends[-1] // 512) * 512, 61 if flat else 307)
    assert len(cuts) > 20
    for cut in cuts:
        with pytest.raises(TarTruncatedError) as caught:
            index_tar(write_archive(tmp_path, data[:cut], "cut.tar"))
        whole = [end for end in ends if end <= cut]
        assert caught.value.members == len(whole)
        assert caught.value.whole_bytes == max(whole, default=0)
        if whole:
            message = f"is cut short: {len(whole)} members are whole, up to"
        else:
            message = "is no tar, or cut short: no member"
        assert message in str(caught.value)


def test_what_is_no_tar(tmp_path: Path):
    with pytest.raises(ValueError, match="gzip-compressed"):
        index_tar(write_archive(tmp_path, gzip.compress(tar_of({"a": b""}))))
    with pytest.raises(ValueError, match=r"a\.tar has no valid tar header at byte 0"):
        index_tar(write_archive(tmp_path, b"<!DOCTYPE html><title>Please log in</title>" * 40))
    with pytest.raises(ValueError, match="holds no file"):
        index_tar(write_archive(tmp_path, tar_of({})))
    with pytest.raises(ValueError, match="holds no file at all but 6 of macOS or Windows"):
        index_tar(write_archive(tmp_path, tar_of(BYPRODUCTS)))


def test_progress_adds_up(nested: Path):
    steps: list[int] = []
    index = index_tar(nested, steps.append)
    assert sum(steps) == index.archive_bytes == nested.stat().st_size


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT], ids=["ustar", "pax"])
def test_what_programs_leave_among_the_files_is_counted_and_left_out(tmp_path: Path, form: int):
    """In the class tars, beside them, and called like them."""
    inner = tar_of({"a.JPEG": b"1", **BYPRODUCTS, "b.JPEG": b"2"}, form)
    beside = {f"d/{name}": data for name, data in BYPRODUCTS.items()}
    data = tar_of({"._n1.tar": b"\0\5", "n1.tar": inner, **beside, "n2.tar": inner}, form)
    path = write_archive(tmp_path, data)
    index = index_tar(path)
    assert [name for name, _, _ in as_rows(index)] == [
        f"{wnid}/{name}.JPEG" for wnid in ("n1", "n2") for name in "ab"
    ]
    assert index.class_names == ("n1", "n2")
    assert index.left_out == 1 + 3 * len(BYPRODUCTS)
    by_scanner = index_by_scanner(data, path, [700])
    assert (as_rows(by_scanner), by_scanner.left_out) == (as_rows(index), index.left_out)
    with TarReader(index) as reader:
        assert [reader.read(position) for position in range(4)] == [b"1", b"2"] * 2


@pytest.mark.parametrize(
    "name", ["DS_Store", "a._b", "_MACOSX/a", "xThumbs.db", "PaxHeader", "7:30"]
)
def test_names_that_look_alike_are_members(tmp_path: Path, name: str):
    index = index_tar(write_archive(tmp_path, tar_of({name: b"1", f"d/{name}z.zipper": b"2"})))
    assert (len(index), index.left_out) == (2, 0)


WNIDS = ("n01440764", "n02012849")
IN_FOLDERS = [f"{wnid}/{wnid}_{i}.JPEG" for wnid in WNIDS for i in range(3)]
FLAT = [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 4)]


@pytest.mark.parametrize(
    ("names", "classes", "loose"),
    [
        (IN_FOLDERS, WNIDS, []),
        ([f"./{name}" for name in IN_FOLDERS], WNIDS, []),
        ([f"train/{name}" for name in IN_FOLDERS], WNIDS, []),
        ([f"./a/b/train/{name}" for name in IN_FOLDERS], WNIDS, []),
        # Interleaved, and a class of one file.
        ([*IN_FOLDERS[::2], "cat/1.png", *IN_FOLDERS[1::2]], ("cat", *WNIDS), []),
        (IN_FOLDERS[:3], WNIDS[:1], []),
        ([f"train/{name}" for name in IN_FOLDERS[:3]], WNIDS[:1], []),
        (FLAT, (), []),
        ([f"val/{name}" for name in FLAT], (), []),
        ([f"./a/val/{name}" for name in FLAT], (), []),
        (["README.txt", *(f"train/{name}" for name in IN_FOLDERS)], WNIDS, ["README.txt"]),
        ([*IN_FOLDERS, "n01440764/more/a.JPEG"], WNIDS, ["n01440764/more/a.JPEG"]),
        # The two parts of a set in one tar: a validation image must not become a training image.
        (
            [f"val/{IN_FOLDERS[0]}", *(f"train/{name}" for name in IN_FOLDERS)],
            WNIDS,
            [f"val/{IN_FOLDERS[0]}"],
        ),
        ([f"{wnid}/images/{i}.JPEG" for wnid in WNIDS for i in range(3)], (), []),
    ],
)
def test_class_folders_in_one_tar(
    tmp_path: Path, names: list[str], classes: tuple[str, ...], loose: list[str]
):
    index = index_tar(write_archive(tmp_path, tar_of({name: name.encode() for name in names})))
    assert index.class_names == classes
    stored = [name.removeprefix("./") for name in names]
    assert [name for name, _, _ in as_rows(index)] == stored
    of_class = [name for name in stored if classes and name not in loose]
    found = dict(zip(stored, classes_of(index), strict=True))
    assert {name: found[name] for name in of_class} == {
        name: name.split("/")[-2] for name in of_class
    }
    assert {name for name, wnid in found.items() if not wnid} == set(stored) - set(of_class)


def test_class_folders_of_many_files_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive_index, "_BYTES_PER_BLOCK", 100)
    names = [f"train/{i % 7 // 3}/{i}" for i in range(300)]
    index = index_tar(write_archive(tmp_path, tar_of(dict.fromkeys(names, b""))))
    assert classes_of(index) == [name.split("/")[1] for name in names]
