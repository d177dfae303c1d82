"""The same index from bytes that pass by, and from a .tar.gz while it is unpacked."""

import gzip
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import tar_of
from tars import (
    MEMBER_NAMES,
    as_rows,
    by_tarfile,
    entry,
    index_by_scanner,
    tar_of_entries,
    write_archive,
)

from imnetlib.archive import TarIndex, TarScanner, gunzip_tar, index_tar


def same(one: TarIndex, other: TarIndex) -> bool:
    return (
        as_rows(one) == as_rows(other)
        and one.classes.tolist() == other.classes.tolist()
        and one.class_names == other.class_names
        and one.archive_bytes == other.archive_bytes
        and one.left_out == other.left_out
    )


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    classes=st.dictionaries(
        st.sampled_from(["n1", "n2", "n3"]),
        st.dictionaries(MEMBER_NAMES, st.binary(max_size=1500), max_size=4),
        min_size=1,
    ),
    loose=st.dictionaries(MEMBER_NAMES, st.binary(max_size=1500), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=6),
)
def test_bytes_that_pass_by_give_the_same_index(
    tmp_path_factory: pytest.TempPathFactory,
    form: int,
    classes: dict[str, dict[str, bytes]],
    loose: dict[str, bytes],
    sizes: list[int],
):
    class_tars = {f"{wnid}.tar": tar_of(files, form) for wnid, files in classes.items()}
    data = tar_of(class_tars | loose, form)
    path = write_archive(tmp_path_factory.getbasetemp(), data, "scan.tar")
    index = index_tar(path)
    assert as_rows(index) == by_tarfile(path)
    assert same(index_by_scanner(data, path, sizes), index)


@pytest.mark.parametrize("size", [1, 512, 700, 1 << 20])
def test_a_scanner_says_of_a_cut_or_damaged_archive_what_the_index_says(
    tmp_path: Path, nested: Path, size: int
):
    whole = nested.read_bytes()
    index = index_tar(nested)
    end = int(index.offsets[-1] + index.sizes[-1])
    cut = [whole[:length] for length in range(0, end, 1709 if size > 1 else 7717)]
    hole = bytearray(whole)
    header = int(index.offsets[1]) - 512
    hole[header : header + 512] = bytes(512)
    link = tar_of_entries(entry("a"), entry("b", type=tarfile.SYMTYPE, linkname="/etc"))
    others = [link, b"<html>" * 100, tar_of({}), tar_of({"n1.tar": link})]
    for data in [*cut, bytes(hole), *others]:
        path = write_archive(tmp_path, data)
        with pytest.raises(ValueError) as caught:
            index_tar(path)
        with pytest.raises(ValueError) as caught_by_scanner:
            index_by_scanner(data, path, [size])
        assert str(caught_by_scanner.value) == str(caught.value)
        assert caught_by_scanner.type == caught.type


def test_a_scanner_gives_its_index_twice(nested: Path):
    scanner = TarScanner(nested)
    scanner.update(nested.read_bytes())
    assert same(scanner.index(), scanner.index())


def test_a_gzip_compressed_archive_is_unpacked_and_indexed_in_one_pass(
    tmp_path: Path, nested: Path
):
    data = nested.read_bytes()
    steps = list[int]()
    packed = write_archive(tmp_path, gzip.compress(data), "whole.tar.gz")
    with pytest.raises(
        ValueError, match=r"whole\.tar\.gz is gzip-compressed: imnet index unpacks and indexes"
    ):
        index_tar(packed)
    index = gunzip_tar(packed, tmp_path / "new" / "whole.tar", steps.append)
    assert same(index, index_tar(tmp_path / "new" / "whole.tar"))
    assert index.path.read_bytes() == data
    assert sum(steps) == packed.stat().st_size


def test_a_gzip_file_that_is_cut_or_damaged_leaves_nothing(tmp_path: Path, nested: Path):
    packed = gzip.compress(nested.read_bytes())
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    link = tar_of_entries(entry("b", type=tarfile.SYMTYPE, linkname="/etc"))
    for data, message in [
        (packed[:-20], "cut short or damaged"),
        (bytes(flipped), "cut short or damaged"),
        # The checksum of the gzip file itself.
        (packed[:-8] + bytes(8), "cut short or damaged"),
        (
            gzip.compress(nested.read_bytes()[:3000], mtime=0),
            r"c\.tar\.gz is cut short: 1 members are whole",
        ),
        (gzip.compress(link, mtime=0), r"c\.tar\.gz holds b, a symbolic link"),
        (
            gzip.compress(packed, mtime=0),
            r"c\.tar\.gz is gzip-compressed twice: gunzip it once first",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            gunzip_tar(write_archive(tmp_path, data, "c.tar.gz"), tmp_path / "c.tar")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "c.tar.gz"]
