"""The walk over whole archives against the standard library's tarfile, and damaged archives."""

import gzip
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import tar_of
from tars import CLASSES, MEMBER_NAMES, as_rows, by_tarfile, write_archive

from imnetlib.archive import TarReader, TarTruncatedError, index_tar


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
    assert index.class_names == ()
    assert index.classes.tolist() == [-1] * len(members)
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


def test_progress_adds_up(nested: Path):
    steps: list[int] = []
    index = index_tar(nested, steps.append)
    assert sum(steps) == index.archive_bytes == nested.stat().st_size
