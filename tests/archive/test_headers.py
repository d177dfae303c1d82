"""Headers in every format and spelling, and those that are refused."""

import bz2
import gzip
import lzma
import tarfile
from pathlib import Path

import pytest
from making import tar_of
from tars import (
    END,
    as_rows,
    by_tarfile,
    entry,
    index_by_scanner,
    member,
    pax,
    refusal,
    tar_of_entries,
    with_checksum,
    write_archive,
)

from imnetlib.archive import TarIndex, index_tar


@pytest.mark.parametrize(
    "form",
    [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT],
    ids=["ustar", "gnu", "pax"],
)
def test_long_names(tmp_path: Path, form: int):
    name = "d" * 90 + "/" + "e" * 50 + "/" + "f" * 80 + ".JPEG"
    path = write_archive(tmp_path, tar_of({"a": b"1", name: b"23", "z": b"456"}, form))
    assert as_rows(index_tar(path)) == by_tarfile(path)
    assert as_rows(index_tar(path))[1][0] == name


def test_a_member_beyond_8_gib(tmp_path: Path):
    """Its size does not fit the octal field; the file is a hole, so the test costs no disk."""
    path = tmp_path / "big.tar"
    size = 9 << 30
    with path.open("wb") as out:
        out.write(entry("big.bin", size).tobuf(tarfile.GNU_FORMAT))
        out.seek(size, 1)
        out.write(tar_of({"after": b"it"}))
    assert as_rows(index_tar(path)) == [("big.bin", 512, size), ("after", size + 1024, 2)]


def test_folders_and_dots_in_front_are_left_out(tmp_path: Path):
    data = tar_of_entries(
        entry("./", type=tarfile.DIRTYPE),
        entry("./n01/", type=tarfile.DIRTYPE),
        entry("./n01/a", 5),
    )
    assert [row[0] for row in as_rows(index_tar(write_archive(tmp_path, data)))] == ["n01/a"]


@pytest.mark.parametrize(
    ("info", "message"),
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
def test_refused_members_are_named(
    tmp_path: Path, info: tarfile.TarInfo, message: str, inside: bool
):
    data = tar_of_entries(entry("first"), info)
    if inside:
        data = tar_of({"n01.tar": data})
        message = message.replace("holds first", "holds n01/first")
    with pytest.raises(ValueError, match=message):
        index_tar(write_archive(tmp_path, data))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (0, b"a\0b", r"'a\\x00bdef'"),
        (0, b"\xff\xfe", "no safe file name"),
        (124, b"-0000001000\0", "no valid tar header at byte 0"),
        (124, b"\xff" * 12, "no valid tar header at byte 0"),
        (124, b"12 4567890a\0", "no valid tar header at byte 0"),
        (124, b"\x80\1" + bytes(9) + b"\4", "no valid tar header at byte 0"),
        (124, b"0_4".ljust(12, b"\0"), "no valid tar header at byte 0"),
        (124, b"+4".ljust(12, b"\0"), "no valid tar header at byte 0"),
        (156, b"Z", "a member of type 'Z'"),
    ],
)
def test_crafted_headers(tmp_path: Path, field: int, value: bytes, message: str):
    blob = bytearray(tar_of({"abcdef": b"data"}))
    blob[field : field + len(value)] = value
    blob[:512] = with_checksum(blob[:512])
    with pytest.raises(ValueError, match=message):
        index_tar(write_archive(tmp_path, bytes(blob)))


def test_a_flipped_byte_in_a_header_never_passes(tmp_path: Path, nested: Path):
    """Of 512 bytes of an inner header, only the padding of its checksum may change nothing."""
    intact = nested.read_bytes()
    before = as_rows(index_tar(nested))
    header = before[1][1] - 512
    passed = 0
    for place in range(512):
        blob = bytearray(intact)
        blob[header + place] ^= 0x15
        try:
            assert as_rows(index_tar(write_archive(tmp_path, bytes(blob), "b.tar"))) == before
            passed += 1
        except ValueError as error:
            assert "no valid tar header" in str(error)  # noqa: PT017
    assert passed <= 2


ONE = member(b"a", b"1")


@pytest.mark.parametrize(
    ("data", "message"),
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
            pax((b"path", b"/abs"), kind=b"X") + ONE + END,
            "called '/abs': that is no safe file name",
        ),
        (
            pax((b"path", b"other"), kind=b"g") + ONE + END,
            "a global pax header that renames members",
        ),
        (
            gzip.compress(ONE + END, mtime=0),
            "a.tar is gzip-compressed: call it .tar.gz, then imnet index unpacks and indexes it",
        ),
        (
            member(b"n1.tar", gzip.compress(ONE + END, mtime=0)) + END,
            "in n1.tar, is gzip-compressed: class tars must not be packed themselves; unpack the",
        ),
        (
            member(b"n1.tar.gz", gzip.compress(ONE + END, mtime=0)) + END,
            "a.tar holds n1.tar.gz: class tars must not be packed themselves; unpack the archive "
            "and each of them, then tar the class folders",
        ),
        (member(b"t/n1.tgz") + END, "holds t/n1.tgz: class tars must not be packed"),
        (member(b"n1.tar.bz2") + END, "holds n1.tar.bz2: class tars must not be packed"),
        (member(b"n1.zip") + END, "holds n1.zip: class tars must not be packed"),
        (
            member(rb"train\n01440764\x.JPEG") + END,
            r"'train\\n01440764\\x.JPEG': that is no safe file name; make the tar again with / ",
        ),
        (member(rb"..\evil") + END, r"called '..\\evil': that is no safe file name"),
        (member(b"C:evil") + END, "called 'C:evil': that is no safe file name"),
        (member(b"a/c:/evil") + END, "called 'a/c:/evil': that is no safe file name"),
        (pax((b"path", b"D:x")) + ONE + END, "called 'D:x': that is no safe file name"),
    ],
)
def test_what_no_honest_program_writes(tmp_path: Path, data: bytes, message: str):
    assert message in refusal(write_archive(tmp_path, data))


PACKED = {
    "gz": (gzip.compress(ONE), "is gzip-compressed: imnet index unpacks and indexes it; then give"),
    "bz2": (bz2.compress(ONE), r"is compressed by bzip2: unpack it first \(bunzip2 .*a\.bz2\)$"),
    "xz": (lzma.compress(ONE), r"is compressed by xz: unpack it first \(xz -d .*a\.xz\)$"),
    "lzma": (lzma.compress(ONE, lzma.FORMAT_ALONE), "is compressed by lzma: unpack it first"),
    "zst": (b"\x28\xb5\x2f\xfd" + END, "is compressed by Zstandard: unpack it first"),
    "zip": (b"PK\3\4" + END, r"is a zip archive: unpack it first \(unzip .*a\.zip\)$"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + END, r"is a 7z archive: unpack it first \(7z x .*a\.7z\)$"),
    "rar": (b"Rar!\x1a\x07\1\0" + END, "is a RAR archive: unpack it first"),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_archive_is_named_for_what_it_is(tmp_path: Path, kind: str):
    """By its bytes, by whatever way it is opened."""
    data, message = PACKED[kind]
    path = write_archive(tmp_path, data, f"a.{kind}")
    with pytest.raises(ValueError, match=message):
        index_tar(path)
    with pytest.raises(ValueError, match=message):
        index_by_scanner(data, path, [100])
    with pytest.raises(ValueError, match=message):
        TarIndex.load(path)


@pytest.mark.parametrize("name", [b"BZh91AY&SY.JPEG", b"LZIP", b"Rar!"])
def test_a_name_that_begins_like_a_packed_file(tmp_path: Path, name: bytes):
    index = index_tar(write_archive(tmp_path, member(name, b"1") + END))
    assert index.names.tolist() == [name]


def test_folders_as_the_first_tars_had_them(tmp_path: Path):
    data = member(b"d/", kind=b"\0") + member(b"d/a", b"1", b"\0") + END
    assert [row[0] for row in as_rows(index_tar(write_archive(tmp_path, data)))] == ["d/a"]
    assert as_rows(index_tar(tmp_path / "a.tar")) == by_tarfile(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["n1.tar.gz", "a/n1.tar.zst", "n1.tar.bz2", "n1.tbz2", "n1.7z"])
def test_names_that_end_as_packed_tars_do_are_refused(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=f"holds {name}: class tars must not be packed"):
        index_tar(write_archive(tmp_path, member(name.encode()) + END))


@pytest.mark.parametrize("name", ["n1/x.tar.jpg", "n1.tar.gz/x.jpg", "x.tar.gz.jpg", "x.tar.txt"])
def test_names_with_such_an_ending_elsewhere_are_members(tmp_path: Path, name: str):
    index = index_tar(write_archive(tmp_path, member(name.encode()) + END))
    assert index.names.tolist() == [name.encode()]
