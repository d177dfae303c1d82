"""The tar index against the standard library's tarfile, and what it must refuse."""

import gzip
import io
import itertools
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imnetlib.archive import (
    TarIndex,
    TarReader,
    TarScanner,
    TarTruncatedError,
    gunzip_tar,
    index,
    index_path,
    index_tar,
    open_index,
)

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def entry(name: str, size: int = 0, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def make_tar(members: dict[str, bytes], form: str = "gnu") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=FORMATS[form]) as tar:
        for name, data in members.items():
            tar.addfile(entry(name, len(data)), io.BytesIO(data))
    return out.getvalue()


def of_entries(*entries: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info in entries:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


def written(folder: Path, data: bytes, name: str = "a.tar") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def by_tarfile(path: Path) -> list[tuple[str, int, int]]:
    """Name, offset and size of each file, one level of inner tars opened: the oracle."""
    found = []
    with tarfile.open(path) as outer:
        for member in outer:
            if member.name.endswith(".tar"):
                inner_tar = tarfile.open(fileobj=outer.extractfile(member))  # noqa: SIM115
                prefix = member.name.removesuffix(".tar") + "/"
                found += [
                    (prefix + m.name, member.offset_data + m.offset_data, m.size)
                    for m in inner_tar
                    if m.isreg()
                ]
            elif member.isreg():
                found.append((member.name, member.offset_data, member.size))
    return found


def as_rows(index: TarIndex) -> list[tuple[str, int, int]]:
    names = [name.decode() for name in index.names.tolist()]
    return list(zip(names, index.offsets.tolist(), index.sizes.tolist(), strict=True))


CLASSES = {
    "n02": {"n02_7.JPEG": b"seven" * 300, "n02_1.JPEG": b"one"},
    "n01": {"n01_9.JPEG": b"", "n01_3.JPEG": b"three" * 103},
    "n03": {"n03_5.JPEG": b"five"},
}


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    return written(
        tmp_path, make_tar({f"{wnid}.tar": make_tar(files) for wnid, files in CLASSES.items()})
    )


part = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1
)
safe_part = part.filter(lambda p: p not in {".", ".."} and not p.endswith(".tar"))
safe_name = (
    st.lists(safe_part, min_size=1, max_size=4)
    .map("/".join)
    .filter(lambda n: len(n.encode()) < 900)
)


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(["gnu", "pax"]),
    members=st.dictionaries(safe_name, st.binary(max_size=1500), min_size=1, max_size=8),
)
def test_a_flat_tar_reads_as_tarfile_reads_it(
    tmp_path_factory: pytest.TempPathFactory, form: str, members: dict[str, bytes]
):
    path = written(tmp_path_factory.mktemp("flat"), make_tar(members, form))
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
    assert [blob[o : o + s] for o, s in zip(index.offsets, index.sizes, strict=True)] == expected


@pytest.mark.parametrize("form", FORMATS)
def test_long_names(tmp_path: Path, form: str):
    name = "d" * 90 + "/" + "e" * 50 + "/" + "f" * 80 + ".JPEG"
    path = written(tmp_path, make_tar({"a": b"1", name: b"23", "z": b"456"}, form))
    assert as_rows(index_tar(path)) == by_tarfile(path)
    assert as_rows(index_tar(path))[1][0] == name


def test_thousands_of_members_cross_the_batches(tmp_path: Path):
    flat = {f"x_{i}.JPEG": bytes(i % 3) for i in range(9000)}
    path = written(
        tmp_path, make_tar({"n1.tar": make_tar(flat), "loose.txt": b"!", "n0.tar": make_tar(flat)})
    )
    index = index_tar(path)
    assert as_rows(index) == by_tarfile(path)
    assert np.bincount(index.classes + 1).tolist() == [1, 9000, 9000]


def test_folders_and_dots_in_front_are_left_out(tmp_path: Path):
    data = of_entries(
        entry("./", type=tarfile.DIRTYPE),
        entry("./n01/", type=tarfile.DIRTYPE),
        entry("./n01/a", 5),
    )
    assert [row[0] for row in as_rows(index_tar(written(tmp_path, data)))] == ["n01/a"]


def test_a_member_beyond_8_gib(tmp_path: Path):
    """Its size does not fit the octal field; the file is a hole, so the test costs no disk."""
    path = tmp_path / "big.tar"
    size = 9 << 30
    with path.open("wb") as out:
        out.write(entry("big.bin", size).tobuf(tarfile.GNU_FORMAT))
        out.seek(size, 1)
        out.write(make_tar({"after": b"it"}))
    assert as_rows(index_tar(path)) == [("big.bin", 512, size), ("after", size + 1024, 2)]


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (entry("evil", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "evil, a symbolic link"),
        (entry("evil", type=tarfile.LNKTYPE, linkname="x"), "evil, a hard link"),
        (entry("evil", type=tarfile.CHRTYPE), "evil, a device"),
        (entry("evil", type=tarfile.BLKTYPE), "evil, a device"),
        (entry("evil", type=tarfile.FIFOTYPE), "evil, a member of type '6'"),
        (entry("evil", type=tarfile.GNUTYPE_SPARSE), "evil, a sparse file"),
        (entry("evil", pax_headers={"GNU.sparse.major": "1"}), "evil, a sparse file"),
        (entry("/etc/passwd"), "'/etc/passwd'"),
        (entry("../up"), r"'\.\./up'"),
        (entry("a/../../up"), r"'a/\.\./\.\./up'"),
        (entry("a/.."), r"'a/\.\.'"),
        (entry("", pax_headers={"path": "/abs" * 40}), "'/abs/abs"),
        (entry("x" * 120 + "/../../up"), r"\.\./up'"),
        (entry("first"), "holds first more than once"),
    ],
)
@pytest.mark.parametrize("inside", [False, True], ids=["flat", "nested"])
def test_refused_members_are_named(tmp_path: Path, info: tarfile.TarInfo, said: str, inside: bool):
    data = of_entries(entry("first"), info)
    if inside:
        data = make_tar({"n01.tar": data})
        said = said.replace("holds first", "holds n01/first")
    with pytest.raises(ValueError, match=said):
        index_tar(written(tmp_path, data))


def with_checksum(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (0, b"a\0b", r"'a\\x00bdef'"),
        (0, b"\xff\xfe", "no safe file name"),
        (124, b"-0000001000\0", "no valid tar header at byte 0"),
        (124, b"\xff" * 12, "no valid tar header at byte 0"),
        (124, b"12 4567890a\0", "no valid tar header at byte 0"),
        (156, b"Z", "a member of type 'Z'"),
    ],
)
def test_crafted_headers(tmp_path: Path, field: int, value: bytes, said: str):
    blob = bytearray(make_tar({"abcdef": b"data"}))
    blob[field : field + len(value)] = value
    blob[:512] = with_checksum(blob[:512])
    with pytest.raises(ValueError, match=said):
        index_tar(written(tmp_path, bytes(blob)))


def test_a_flipped_byte_in_a_header_never_passes(tmp_path: Path, nested: Path):
    """Of 512 places in an inner header, only the padding of the checksum itself may change nothing."""
    good = nested.read_bytes()
    before = as_rows(index_tar(nested))
    at = before[1][1] - 512
    passed = 0
    for place in range(512):
        blob = bytearray(good)
        blob[at + place] ^= 0x15
        try:
            assert as_rows(index_tar(written(tmp_path, bytes(blob), "b.tar"))) == before
            passed += 1
        except ValueError as error:
            assert "no valid tar header" in str(error)  # noqa: PT017
    assert passed <= 2


def test_a_hole_does_not_pass_for_the_end(tmp_path: Path, nested: Path):
    blob = bytearray(nested.read_bytes())
    at = index_tar(nested).offsets[1] - 512
    blob[at : at + 512] = bytes(512)
    with pytest.raises(
        ValueError, match=rf"in n02.tar, goes on after an empty header at byte {at:,}"
    ):
        index_tar(written(tmp_path, bytes(blob)))


@pytest.mark.parametrize("flat", [True, False])
def test_a_cut_anywhere_says_how_much_is_whole(tmp_path: Path, nested: Path, flat: bool):
    data = make_tar({"a": b"x" * 700, "b": b"", "c": b"y" * 512}) if flat else nested.read_bytes()
    rows = as_rows(index_tar(written(tmp_path, data)))
    ends = [offset + size for _, offset, size in rows]
    cuts = range(0, -(-ends[-1] // 512) * 512, 61 if flat else 307)
    assert len(cuts) > 20
    for cut in cuts:
        with pytest.raises(TarTruncatedError) as caught:
            index_tar(written(tmp_path, data[:cut], "cut.tar"))
        whole = [end for end in ends if end <= cut]
        assert caught.value.members == len(whole)
        assert caught.value.whole_bytes == max(whole, default=0)
        said = (
            f"is cut short: {len(whole)} members are whole, up to"
            if whole
            else "is no tar, or cut short: no member"
        )
        assert said in str(caught.value)


def test_what_is_no_tar(tmp_path: Path):
    with pytest.raises(ValueError, match="gzip-compressed"):
        index_tar(written(tmp_path, gzip.compress(make_tar({"a": b""}))))
    with pytest.raises(ValueError, match=r"a\.tar has no valid tar header at byte 0"):
        index_tar(written(tmp_path, b"<!DOCTYPE html><title>Please log in</title>" * 40))
    with pytest.raises(ValueError, match="holds no file"):
        index_tar(written(tmp_path, make_tar({})))


def scanned(data: bytes, path: Path, sizes: list[int]) -> TarIndex:
    """The index by a scanner to which the bytes come in pieces of ``sizes``, over and over."""
    scanner = TarScanner(path)
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(data):
            return scanner.index()
        scanner.update(data[at : at + size])
        at += size
    raise AssertionError


def same(one: TarIndex, other: TarIndex) -> bool:
    return (
        as_rows(one) == as_rows(other)
        and one.classes.tolist() == other.classes.tolist()
        and (one.class_names, one.archive_bytes) == (other.class_names, other.archive_bytes)
    )


@settings(max_examples=100, deadline=None)
@given(
    form=st.sampled_from(["gnu", "pax"]),
    classes=st.dictionaries(
        st.sampled_from(["n1", "n2", "n3"]),
        st.dictionaries(safe_name, st.binary(max_size=1500), max_size=4),
        min_size=1,
    ),
    loose=st.dictionaries(safe_name, st.binary(max_size=1500), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=6),
)
def test_bytes_that_pass_by_give_the_same_index(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    classes: dict[str, dict[str, bytes]],
    loose: dict[str, bytes],
    sizes: list[int],
):
    data = make_tar(
        {f"{wnid}.tar": make_tar(files, form) for wnid, files in classes.items()} | loose, form
    )
    path = written(tmp_path_factory.mktemp("scan"), data)
    index = index_tar(path)
    assert as_rows(index) == by_tarfile(path)
    assert same(scanned(data, path, sizes), index)


@pytest.mark.parametrize("size", [1, 512, 700, 1 << 20])
def test_a_scanner_says_of_a_cut_or_damaged_archive_what_the_index_says(
    tmp_path: Path, nested: Path, size: int
):
    whole = nested.read_bytes()
    index = index_tar(nested)
    end = int(index.offsets[-1] + index.sizes[-1])
    at = int(index.offsets[1]) - 512
    hole = bytearray(whole)
    link = of_entries(entry("a"), entry("b", type=tarfile.SYMTYPE, linkname="/etc"))
    hole[at : at + 512] = bytes(512)
    cases = [whole[:cut] for cut in range(0, end, 1709 if size > 1 else 7717)]
    for data in [
        *cases,
        bytes(hole),
        link,
        b"<html>" * 100,
        make_tar({}),
        make_tar({"n1.tar": link}),
    ]:
        path = written(tmp_path, data)
        with pytest.raises(ValueError) as said:
            index_tar(path)
        with pytest.raises(ValueError) as scanner_said:
            scanned(data, path, [size])
        assert (str(scanner_said.value), scanner_said.type) == (str(said.value), said.type)


def test_a_gzip_compressed_archive_is_unpacked_and_indexed_in_one_pass(
    tmp_path: Path, nested: Path
):
    data = nested.read_bytes()
    steps = list[int]()
    packed = written(tmp_path, gzip.compress(data), "whole.tar.gz")
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
    link = of_entries(entry("b", type=tarfile.SYMTYPE, linkname="/etc"))
    for data, said in [
        (packed[:-20], "cut short or damaged"),
        (bytes(flipped), "cut short or damaged"),
        # its own checksum
        (packed[:-8] + bytes(8), "cut short or damaged"),
        (
            gzip.compress(nested.read_bytes()[:3000]),
            r"c\.tar\.gz is cut short: 1 members are whole",
        ),
        (gzip.compress(link), r"c\.tar\.gz holds b, a symbolic link"),
    ]:
        with pytest.raises(ValueError, match=said):
            gunzip_tar(written(tmp_path, data, "c.tar.gz"), tmp_path / "c.tar")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "c.tar.gz"]


def member(name: bytes, data: bytes = b"", kind: bytes = b"0") -> bytes:
    """A member with any name."""
    header = bytearray(entry("x", len(data)).tobuf(tarfile.GNU_FORMAT))
    header[:100] = name.ljust(100, b"\0")
    header[156:157] = kind
    return with_checksum(header) + data + bytes(-len(data) % 512)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    data = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        length += len(str(length + len(str(length))))
        data += b"%d %s=%s\n" % (length, key, value)
    return member(b"pax", data, kind)


END = bytes(1024)
ONE = member(b"a", b"1")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            member(b"...tar", ONE + END) + END,
            "holds a class tar called '...tar': that names no class",
        ),
        (member(b".tar", ONE + END) + END, "holds a class tar called '.tar': that names no class"),
        (member(b"q/.tar", ONE + END) + END, "holds a class tar called 'q/.tar'"),
        (
            member(b"n1.tar", ONE) + END,
            "in n1.tar, ends without an end-of-archive mark: it is damaged",
        ),
        (member(b"n1.tar", b"") + END, "in n1.tar, ends without an end-of-archive mark"),
        (
            member(b"n1.tar", ONE + bytes(100)) + END,
            "in n1.tar, ends without an end-of-archive mark",
        ),
        (
            member(b"n1.tar", member(b"a", bytes(3000))[:1024] + END) + END,
            "in n1.tar, ends before its last member",
        ),
        (member(b"n1.tar", ONE + END) * 2 + END, "holds n1.tar, a second tar of its class"),
        (
            member(b"q/n1.tar", ONE + END) + member(b"n1.tar", ONE + END) + END,
            "holds n1.tar, a second tar of its class",
        ),
        (
            member(b"n1.tar", ONE + END) + member(b"n1/b") + END,
            "holds n1/b outside of the tar of that class",
        ),
        (member(b"a//b") + END, "called 'a//b': that is no safe file name"),
        (member(b"a/./b") + END, "called 'a/./b': that is no safe file name"),
        (member(b"././z") + END, "called './z': that is no safe file name"),
        (
            pax((b"comment", bytes(70_000)), (b"path", b"real")) + ONE + END,
            "an extended header of 70,028 bytes",
        ),
        (pax((b"path", b"n" * 1025)) + ONE + END, "that is no safe file name"),
        (member(b"long", b"n" * 2000, b"L") + ONE + END, "that is no safe file name"),
        (member(b"pax", b"999 path=abc\n", b"x") + ONE + END, "has a broken pax header"),
        (member(b"pax", b"12 path=abcd", b"x") + ONE + END, "has a broken pax header"),
        (pax((b"size", b"9" * 5000)) + ONE + END, "has a broken pax header"),
        (pax((b"size", b"9223372036854774271")) + ONE + END, "no valid tar header"),
        (
            pax((b"path", b"other"), kind=b"g") + ONE + END,
            "a global pax header that renames members",
        ),
        (
            gzip.compress(ONE + END),
            "is gzip-compressed: imnet index unpacks and indexes it; then give the .tar",
        ),
    ],
)
def test_what_no_honest_program_writes(tmp_path: Path, data: bytes, said: str):
    """Refused in the same words by both ways of reading."""
    path = written(tmp_path, data)
    with pytest.raises(ValueError) as caught:
        index_tar(path)
    assert said in str(caught.value)
    with pytest.raises(ValueError) as scanned_so:
        scanned(data, path, [700])
    assert str(scanned_so.value) == str(caught.value)


@pytest.mark.parametrize(
    "field", [b"\x80\1" + bytes(9) + b"\5", b"0_5".ljust(12, b"\0"), b"+5".ljust(12, b"\0")]
)
def test_sizes_in_other_spellings_are_refused(tmp_path: Path, field: bytes):
    header = bytearray(ONE[:512])
    header[124:136] = field
    with pytest.raises(ValueError, match="no valid tar header at byte 0"):
        index_tar(written(tmp_path, with_checksum(header) + bytes(512) + END))


def test_folders_as_the_first_tars_had_them(tmp_path: Path):
    data = member(b"d/", kind=b"\0") + member(b"d/a", b"1", b"\0") + END
    assert [row[0] for row in as_rows(index_tar(written(tmp_path, data)))] == ["d/a"]
    assert as_rows(index_tar(tmp_path / "a.tar")) == by_tarfile(tmp_path / "a.tar")


def test_a_member_larger_than_one_system_call_can_read(tmp_path: Path):
    path = tmp_path / "big.tar"
    size = (2 << 30) + 5000
    with path.open("wb") as out:
        out.write(entry("big", size).tobuf(tarfile.GNU_FORMAT))
        out.seek(size - 1, 1)
        out.write(b"!" + bytes(-size % 512) + END)
    with TarReader(index_tar(path)) as reader:
        data = reader.read(0)
    assert len(data) == size
    assert data[-1:] == b"!"


def test_an_index_of_another_archive_of_the_same_length(tmp_path: Path):
    path = written(tmp_path, make_tar({"n1.tar": make_tar({"a": b"1" * 100, "b": b"2" * 200})}))
    index_tar(path).save(index_path(path))
    for other in (
        {"n1.tar": make_tar({"a": b"3" * 300, "b": b""})},
        {"n1.tar": make_tar({"c": b"1", "d": b"2"})},
    ):
        data = make_tar(other)
        assert len(data) == path.stat().st_size
        path.write_bytes(data)
        with pytest.raises(
            ValueError, match=r"is of another archive than .*a\.tar is now: index it again"
        ):
            TarIndex.load(index_path(path))
        assert as_rows(open_index(path)) == by_tarfile(path)


def test_a_renamed_archive_gets_an_index_of_its_own(tmp_path: Path):
    first = written(tmp_path, make_tar({"a": b"1"}), "first.tar")
    open_index(first)
    index_path(first).rename(index_path(tmp_path / "second.tar"))
    second = written(tmp_path, make_tar({"b": b"2"}), "second.tar")
    assert as_rows(open_index(second)) == [("b", 512, 1)]
    first.unlink()
    assert open_index(second).path == second


def test_a_linked_archive_and_its_index_move_together(tmp_path: Path):
    (tmp_path / "store").mkdir()
    written(tmp_path / "store", make_tar({"a": b"1"}))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.tar").symlink_to("../store/a.tar")
    open_index(tmp_path / "here" / "a.tar")
    moved = (tmp_path / "here").rename(tmp_path / "there")
    assert TarIndex.load(moved / "a.tar.npz").path == moved / "a.tar"


def test_an_index_that_cannot_be_kept_is_made_all_the_same(
    nested: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def read_only(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a.tar.npz")

    monkeypatch.setattr(TarIndex, "save", read_only)
    assert len(open_index(nested)) == 5
    assert "cannot be kept: [Errno 13] Permission denied" in caplog.text


def test_a_damaged_index_is_no_index_whatever_byte_is_wrong(nested: Path):
    index_tar(nested).save(index_path(nested))
    good = index_path(nested).read_bytes()
    rng = np.random.default_rng(1)
    for place, value in zip(
        rng.integers(0, len(good), 1500), rng.integers(1, 256, 1500), strict=True
    ):
        blob = bytearray(good)
        blob[place] ^= value
        index_path(nested).write_bytes(blob)
        try:
            TarIndex.load(index_path(nested))
        except (ValueError, FileNotFoundError) as error:
            assert "npz is" in str(error)  # noqa: PT017  # no index, another archive's, or of one that is gone


def test_a_scanner_gives_its_index_twice(nested: Path):
    scanner = TarScanner(nested)
    scanner.update(nested.read_bytes())
    assert same(scanner.index(), scanner.index())


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


def test_an_index_without_its_archive(tmp_path: Path, nested: Path):
    index_tar(nested).save(tmp_path / "index.npz")
    nested.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"index\.npz is the index of .*a\.tar, which is gone: put it"
    ):
        TarIndex.load(tmp_path / "index.npz")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        TarIndex.load(tmp_path / "nowhere.npz")


def test_the_index_kept_beside_an_archive_is_used_while_it_fits(
    nested: Path, monkeypatch: pytest.MonkeyPatch
):
    index_tar(nested).save(index_path(nested))
    with monkeypatch.context() as patched:
        # not called
        patched.setattr(index, "index_tar", None)
        assert len(open_index(nested)) == 5
    nested.write_bytes(make_tar({"a": b"1"}))
    assert as_rows(open_index(nested)) == [("a", 512, 1)]
    index_path(nested).write_bytes(b"damaged")
    assert as_rows(open_index(nested)) == [("a", 512, 1)]


def test_positions(nested: Path):
    index = index_tar(nested)
    wanted = ["n03/n03_5.JPEG", "n02/n02_7.JPEG", "n03/n03_5.JPEG"]
    assert index.positions(wanted).tolist() == [4, 0, 4]
    assert index.positions(index.names).tolist() == [0, 1, 2, 3, 4]
    assert index.positions([]).tolist() == []
    with pytest.raises(ValueError, match=r"12 of 13 names are not in .*a\.tar: é, q0, .*, q8$"):
        index.positions([wanted[0], "é", *(f"q{i}" for i in range(11))])


def test_reading_from_many_threads(nested: Path):
    index = index_tar(nested)
    expected = [data for files in CLASSES.values() for data in files.values()]
    order = np.random.default_rng(0).integers(0, len(index), 4000).tolist()
    with TarReader(index) as reader, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.read, order)) == [expected[i] for i in order]
        assert reader.read_name("n03/n03_5.JPEG") == b"five"
        with pytest.raises(ValueError, match="1 of 1 names"):
            reader.read_name("n03/none.JPEG")


def test_an_archive_that_shrank_is_noticed(nested: Path):
    index = index_tar(nested)
    with TarReader(index) as reader:
        with nested.open("r+b") as file:
            file.truncate(int(index.offsets[4]))
        with pytest.raises(OSError, match=r"ends inside n03/n03_5\.JPEG"):
            reader.read(4)


def test_progress_adds_up(nested: Path):
    steps: list[int] = []
    index = index_tar(nested, steps.append)
    assert sum(steps) == index.archive_bytes == nested.stat().st_size


def test_imports_numpy_and_the_standard_library_only():
    code = "import sys, imnetlib.archive; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert {"tqdm", "requests", "scipy", "PIL", "cv2", "simplejpeg", "typer"}.isdisjoint(
        loaded.split()
    )
    assert "numpy" in loaded.split()
