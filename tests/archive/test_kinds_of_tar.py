"""Tars of every kind: read as the standard library reads them, or refused in words that say why."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from making import tar_of
from tars import END, as_rows, by_tarfile, index_by_scanner, member, pax, refusal, write_archive

from imnetlib.archive import TarTruncatedError, index_tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
NAMES = {
    "1 letter": "a",
    "99 letters": "n" * 99,
    "100 letters": "n" * 100,
    "100 letters with a folder": "folder/" + "n" * 93,
    "100 letters below 155": "p" * 155 + "/" + "n" * 100,
    "several folders": "a/b c/d.e/f.JPEG",
    "any script": "日本/ö é.JPEG",
    "a dot in front": "./a/b",
}
# More than the 100 and 155 bytes that ustar has for a name.
LONG_NAMES = {
    "101 letters": "n" * 101,
    "600 letters": "/".join(["n" * 99] * 6),
    "long, any script": "ö" * 200,
}
SIZES = (0, 1, 511, 512, 513, 10_240, 70_000)

OLD = bytes(8)
USTAR = b"ustar\x0000"
HELLO = member(b"a", b"hello")
FIVE_IN_BASE_256 = b"\x80" + (5).to_bytes(11, "big")


def long_name(text: bytes, kind: bytes = b"L") -> bytes:
    """GNU's header of a long name or, of kind K, of a long target."""
    return member(b"././@LongLink", text + b"\0", kind)


WRITTEN_BY_TARFILE = {
    f"{form}, {kind}": tar_of({name: b"hello", "z": b"!"}, FORMATS[form])
    for form in FORMATS
    for kind, name in (NAMES if form == "ustar" else NAMES | LONG_NAMES).items()
}
WRITTEN_BY_TARFILE |= {
    f"{form}, sizes": tar_of({str(size): b"x" * size for size in SIZES}, FORMATS[form])
    for form in FORMATS
}
WRITTEN_BY_HAND = {
    "v7": member(b"a", b"hello", magic=OLD),
    "v7, old type": member(b"a", b"hello", b"\0", magic=OLD),
    "v7, 100 letters": member(b"n" * 100, b"hello", b"\0", magic=OLD),
    "v7, a folder by its slash": member(b"d/", kind=b"\0", magic=OLD) + HELLO,
    "ustar, old type": member(b"a", b"hello", b"\0", magic=USTAR),
    "ustar, contiguous": member(b"a", b"hello", b"7", magic=USTAR),
    "ustar, name and prefix full": member(b"n" * 100, b"x", magic=USTAR, prefix=b"p" * 155),
    "size in base 256": member(b"a", b"hello", size=FIVE_IN_BASE_256),
    "size behind spaces": member(b"a", b"hello", size=b"          5 "),
    "size without zeros in front": member(b"a", b"hello", size=b"5" + bytes(11)),
    "size of 12 digits": member(b"a", b"hello", size=b"000000000005"),
    "a folder": member(b"d/", kind=b"5") + member(b"d/a", b"x"),
    "a folder with a size": member(b"d/", kind=b"5", size=b"00000000005\0") + HELLO,
    "pax, path": pax((b"path", b"real")) + HELLO,
    "pax, size": pax((b"size", b"5")) + member(b"a", b"hello", size=b"00000000000\0"),
    "pax, path and size": pax((b"size", b"5"), (b"path", b"real")) + HELLO,
    "pax, twice": pax((b"path", b"real")) + pax((b"mtime", b"3.5")) + HELLO,
    "pax, owner below 0": pax((b"uid", b"-1")) + HELLO,
    "pax, attributes in bytes": pax((b"SCHILY.xattr.user.a", b"x\n5 y=\0\xff")) + HELLO,
    "pax of a folder": pax((b"path", b"d2")) + member(b"d/", kind=b"5") + HELLO,
    "global pax, a comment": pax((b"comment", b"0123abcd"), kind=b"g") + HELLO,
    "global pax between two": HELLO + pax((b"mtime", b"1"), kind=b"g") + member(b"b"),
    "GNU, a long name": long_name(b"n" * 300) + HELLO,
    "GNU, a long target before a file": long_name(b"t" * 300, b"K") + HELLO,
    "GNU, both": long_name(b"t" * 300, b"K") + long_name(b"n" * 300) + HELLO,
    "a name in spaces": member(b" a ", b"hello"),
    "a line break in a name": member(b"a\nb", b"hello"),
}
ENDS = {
    "one block of zeros": HELLO + bytes(512),
    "one and a half": HELLO + bytes(768),
    "blocking 20": HELLO + bytes(20 * 512 - len(HELLO)),
    "blocking 2048": HELLO + bytes(2048 * 512 - len(HELLO)),
}
READ = WRITTEN_BY_TARFILE | {kind: data + END for kind, data in WRITTEN_BY_HAND.items()} | ENDS

OTHER_TYPES = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"S": "a sparse file",
    **{bytes([kind]): f"a member of type '{chr(kind)}'" for kind in b"689ADEIMNVZaz"},
}
SPARSE = {
    "0.0": (b"GNU.sparse.numblocks", b"1"),
    "0.1": (b"GNU.sparse.map", b"0,5"),
    "1.0": (b"GNU.sparse.major", b"1"),
}
REFUSED = {
    f"type {kind.decode()}": (
        HELLO + member(b"evil", b"abc", kind),
        f"holds evil, {described}: only regular files are accepted",
    )
    for kind, described in OTHER_TYPES.items()
}
REFUSED |= {
    f"sparse, pax {version}": (pax(record) + HELLO, "holds a, a sparse file")
    for version, record in SPARSE.items()
}
REFUSED |= {
    "a link with a long target": (
        long_name(b"t" * 300, b"K") + member(b"b", kind=b"2"),
        "holds b, a symbolic link",
    ),
    "latin-1": (member(b"\xe9", b"hello"), "'\ufffd': that is no safe file name"),
    "latin-1 in pax": (
        pax((b"hdrcharset", b"BINARY"), (b"path", b"\xe9")) + HELLO,
        "'\ufffd': that is no safe file name",
    ),
    "no name": (member(b"", b"hello"), "'': that is no safe file name"),
    "global pax, path": (pax((b"path", b"x"), kind=b"g") + HELLO, "renames members"),
    "global pax, size": (pax((b"size", b"1"), kind=b"g") + HELLO, "renames members"),
    "a letter behind the end": (HELLO + END + b"\n", "goes on after an empty header"),
    "garbage behind the end": (HELLO + END + b"?" * 512, "goes on after an empty header"),
    "two archives in a row": (HELLO + END + member(b"b"), "goes on after an empty header"),
    "two archives, blocking 20": (
        HELLO + bytes(20 * 512 - len(HELLO)) + member(b"b"),
        "goes on after an empty header",
    ),
}


def inside(data: bytes) -> bytes:
    """The tar as that of a class, with another behind it."""
    return tar_of({"n1.tar": data, "n2.tar": tar_of({"z": b"!"})})


@pytest.mark.parametrize("place", [bytes, inside], ids=["alone", "inside"])
@pytest.mark.parametrize("kind", READ)
def test_read_as_tarfile_reads_it(tmp_path: Path, kind: str, place: Callable[[bytes], bytes]):
    data = place(READ[kind])
    path = write_archive(tmp_path, data)
    expected = by_tarfile(path)
    # The oracle leaves what stands in front of a name.
    expected = [(name.replace("./", "", 1), *place_in_file) for name, *place_in_file in expected]
    assert as_rows(index_tar(path)) == expected
    assert as_rows(index_by_scanner(data, path, [700])) == expected


@pytest.mark.parametrize("place", [bytes, inside], ids=["alone", "inside"])
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_in_the_same_words_wherever_it_lies(
    tmp_path: Path, kind: str, place: Callable[[bytes], bytes]
):
    members, said = REFUSED[kind]
    path = write_archive(tmp_path, place(members + END))
    message = refusal(path)
    assert said in message
    assert message.startswith(f"{path}, in n1.tar," if place is inside else f"{path} ")


@pytest.mark.parametrize("data", [b"", HELLO, HELLO[:-100], HELLO + bytes(511)])
def test_an_archive_without_an_end_is_refused_though_tarfile_may_read_it(
    tmp_path: Path, data: bytes
):
    with pytest.raises(TarTruncatedError, match="no end-of-archive mark follows"):
        index_tar(write_archive(tmp_path, data))
    with pytest.raises(ValueError, match=r"in n1\.tar, ends without an end-of-archive mark"):
        index_tar(write_archive(tmp_path, inside(data)))


@pytest.mark.parametrize("data", [bytes(512), END, bytes(10_240)])
def test_an_empty_archive_is_refused_and_an_empty_class_is_none(tmp_path: Path, data: bytes):
    with pytest.raises(ValueError, match=r"a\.tar holds no file at all$"):
        index_tar(write_archive(tmp_path, data))
    path = write_archive(tmp_path, inside(data))
    assert as_rows(index_tar(path)) == by_tarfile(path)
    assert index_tar(path).class_names == ("n1", "n2")


@pytest.mark.parametrize("second", [b"a", b"./a"])
def test_two_members_of_one_name_are_refused(tmp_path: Path, second: bytes):
    path = write_archive(tmp_path, HELLO + member(second, b"other") + END)
    with pytest.raises(ValueError, match=r"a\.tar holds a more than once \(1 names too many\)"):
        index_tar(path)
