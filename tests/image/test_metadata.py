"""What files hold beside the pixels: found where Pillow finds it, at a bounded cost."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from making import detailed_photo, encoded
from PIL import Image, ImageOps

from imnetlib.image import (
    ImageError,
    Settings,
    convert_image,
    decode,
    sniff,
    verify_ends,
    verify_image,
)
from imnetlib.image.metadata import essence

PHOTO = detailed_photo(120, 90, 0)
JPEG = encoded(PHOTO, quality=95)
PNG = encoded(PHOTO, "PNG")
IMAGE_DATA = PNG.index(b"IDAT") - 4
END = -12
PHOTO_SCAN = JPEG[JPEG.index(b"\xff\xda") :][:400]


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def exif(orientation: int, order: str, kind: int, others: int = 0) -> bytes:
    """EXIF with the orientation as SHORT (3) or LONG (4), behind so many other entries."""
    value = struct.pack(f"{order}{'HH' if kind == 3 else 'I'}", orientation, *[0][: 4 - kind])
    entries = [struct.pack(f"{order}HHII", 0x0101, 4, 1, 7)] * others
    entries.append(struct.pack(f"{order}HHI", 0x0112, kind, 1) + value)
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return start + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)


def xmp(orientation: int) -> bytes:
    return b'<rdf:Description tiff:Orientation="%d"/>' % orientation


def app1(content: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + content)


def raw_profile(content: bytes) -> bytes:
    """EXIF as ImageMagick writes it into a PNG's text."""
    digits = (b"Exif\0\0" + content).hex().encode()
    return b"\nexif\n%8d\n" % (len(digits) // 2) + digits + b"\n"


def webp(content: bytes) -> bytes:
    """A WebP whose EXIF chunk keeps the prefix that Pillow would leave out."""
    data = encoded(PHOTO, "WEBP", exif=b"12345678", lossless=True)
    body = content + bytes(len(content) % 2)
    data = data[: data.index(b"EXIF")] + b"EXIF" + struct.pack("<I", len(content)) + body
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def several_pictures(content: bytes) -> bytes:
    picture = Image.fromarray(PHOTO)
    out = io.BytesIO()
    options = {"exif": b"Exif\0\0" + content, "quality": 95}
    picture.save(out, "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))], **options)
    return out.getvalue()


XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
PROFILE = b"Raw profile type exif\0"
# Where a file may keep its EXIF.
PLACES: dict[str, Callable[[bytes], bytes]] = {
    "JPEG, first": lambda e: JPEG[:2] + app1(e) + JPEG[2:],
    "JPEG, after JFIF": lambda e: JPEG[:20] + app1(e) + JPEG[20:],
    "JPEG, after XMP": lambda e: (
        JPEG[:20] + segment(0xE1, XMP_START + bytes(6000)) + app1(e) + JPEG[20:]
    ),
    "JPEG, after ICC": lambda e: (
        JPEG[:20] + segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(20_000)) + app1(e) + JPEG[20:]
    ),
    "JPEG, after comments": lambda e: (
        JPEG[:20] + segment(0xFE, b"\xff\xda" * 1500) * 3 + app1(e) + JPEG[20:]
    ),
    "JPEG, after ten applications": lambda e: (
        JPEG[:20]
        + b"".join(segment(i, bytes(999)) for i in range(0xE2, 0xEC))
        + app1(e)
        + JPEG[20:]
    ),
    "JPEG, before the scan": lambda e: JPEG.replace(b"\xff\xda", app1(e) + b"\xff\xda", 1),
    "JPEG, in two segments": lambda e: JPEG[:2] + app1(e[:20]) + app1(e[20:]) + JPEG[2:],
    "JPEG, after fill bytes": lambda e: JPEG[:2] + b"\xff" * 99 + app1(e) + JPEG[2:],
    "CMYK": lambda e: encoded(PHOTO, mode="CMYK", quality=95, exif=b"Exif\0\0" + e),
    "several pictures": several_pictures,
    "PNG, before the image": lambda e: PNG[:IMAGE_DATA] + chunk(b"eXIf", e) + PNG[IMAGE_DATA:],
    "PNG, behind the image": lambda e: PNG[:END] + chunk(b"eXIf", e) + PNG[END:],
    "PNG, text": lambda e: (
        PNG[:IMAGE_DATA] + chunk(b"tEXt", PROFILE + raw_profile(e)) + PNG[IMAGE_DATA:]
    ),
    "PNG, compressed text behind": lambda e: (
        PNG[:END] + chunk(b"zTXt", PROFILE + b"\0" + zlib.compress(raw_profile(e))) + PNG[END:]
    ),
    "WebP": webp,
    "WebP, prefixed": lambda e: webp(b"Exif\0\0" + e),
}


def turned(data: bytes) -> np.ndarray:
    """The file as Pillow shows it upright."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def assert_upright(data: bytes, orientation: int) -> None:
    header = sniff(data)
    expected = turned(data)
    assert header.orientation == orientation
    assert header.size == expected.shape[:2]
    for pixels in (decode(data), decode(data, header=header)):
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("order", "<>")
def test_the_orientation_is_found_wherever_pillow_finds_it(place: str, kind: int, order: str):
    for orientation in range(1, 9):
        assert_upright(PLACES[place](exif(orientation, order, kind)), orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_once(orientation: int):
    for compression in (None, "tiff_lzw"):
        options = {"tiffinfo": {0x0112: orientation}, "compression": compression}
        assert_upright(encoded(PHOTO, "TIFF", **options), orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_without_exif_xmp_tells_the_orientation(orientation: int):
    text = xmp(orientation)
    itxt = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text)
    files = [
        JPEG[:20] + segment(0xE1, XMP_START + text) + JPEG[20:],
        PNG[:IMAGE_DATA] + itxt + PNG[IMAGE_DATA:],
        PNG[:END] + itxt + PNG[END:],
        encoded(PHOTO, "WEBP", xmp=text, lossless=True),
    ]
    for data in files:
        assert_upright(data, orientation)


def test_exif_counts_before_xmp():
    both = app1(exif(6, "<", 3)) + segment(0xE1, XMP_START + xmp(3))
    assert_upright(JPEG[:20] + both + JPEG[20:], 6)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_passed_over(value: int):
    for place in PLACES.values():
        assert sniff(place(exif(value, "<", 3))).orientation == 1


def entry(kind: int, number: int, value: bytes, tag: int = 0x0112) -> bytes:
    return struct.pack("<HHI", tag, kind, number) + value.ljust(4, b"\0")


SIX = entry(3, 1, b"\6")
BEHIND = struct.pack("<I", 8 + 2 + 12 + 4)
OUTSIDE = struct.pack("<I", 9999)
# Entries of a directory, what stands behind it, and the orientation that Pillow finds.
ODD: dict[str, tuple[list[bytes], bytes, int]] = {
    "BYTE": ([entry(1, 1, b"\6")], b"", 1),
    "ASCII": ([entry(2, 2, b"6")], b"", 1),
    "RATIONAL": ([entry(5, 1, BEHIND)], struct.pack("<II", 12, 2), 6),
    "RATIONAL, broken": ([entry(5, 1, BEHIND)], struct.pack("<II", 13, 2), 1),
    "RATIONAL, by zero": ([entry(5, 1, BEHIND)], struct.pack("<II", 6, 0), 1),
    "SBYTE": ([entry(6, 1, b"\6")], b"", 6),
    "UNDEFINED": ([entry(7, 1, b"\6")], b"", 1),
    "SSHORT": ([entry(8, 1, b"\6")], b"", 6),
    "SLONG": ([entry(9, 1, b"\6")], b"", 6),
    "SRATIONAL": ([entry(10, 1, BEHIND)], struct.pack("<ii", -6, -1), 6),
    "FLOAT": ([entry(11, 1, struct.pack("<f", 6))], b"", 6),
    "FLOAT, no number": ([entry(11, 1, struct.pack("<f", float("nan")))], b"", 1),
    "DOUBLE": ([entry(12, 1, BEHIND)], struct.pack("<d", 6), 6),
    "IFD": ([entry(13, 1, b"\6")], b"", 6),
    "LONG8": ([entry(16, 1, BEHIND)], struct.pack("<Q", 6), 6),
    "two values": ([entry(3, 2, b"\6\0\3")], b"", 6),
    "three values": ([entry(3, 3, BEHIND)], struct.pack("<HHH", 6, 3, 3), 6),
    "unknown type": ([entry(99, 1, b"\3"), SIX], b"", 6),
    "no value": ([entry(3, 0, b"\3"), SIX], b"", 6),
    "twice": ([SIX, entry(3, 1, b"\3")], b"", 6),
    "more than there is": ([entry(2, 9999, OUTSIDE, tag=0x010F), SIX], b"", 6),
    "outside": ([entry(2, 9, OUTSIDE, tag=0x010F), SIX], b"", 1),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.filterwarnings("ignore:Truncated File Read|Tag data larger|Metadata Warning")
def test_of_odd_entries_those_count_that_pillow_reads(kind: str):
    entries, behind, orientation = ODD[kind]
    count = struct.pack("<H", len(entries))
    block = b"II*\0\x08\0\0\0" + count + b"".join(entries) + bytes(4) + behind
    for place in ("JPEG, first", "PNG, before the image", "WebP"):
        assert_upright(PLACES[place](block), orientation)


@pytest.mark.parametrize("hides", [b"", entry(99, 1, b"\6"), entry(3, 0, b"\6")])
def test_an_entry_without_a_value_does_not_hide_what_xmp_says(hides: bytes):
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", len(hides) // 12) + hides + bytes(4)
    both = app1(block) + segment(0xE1, XMP_START + xmp(3))
    assert_upright(JPEG[:20] + both + JPEG[20:], 3)


def test_the_last_of_many_entries_is_found():
    assert sniff(JPEG[:2] + app1(exif(8, ">", 3, others=5000)) + JPEG[2:]).orientation == 8


THUMBNAIL = encoded(detailed_photo(80, 60, 3), quality=60)
SMALL = encoded(detailed_photo(90, 60, 2), quality=60)


@pytest.mark.parametrize(
    "holds",
    [
        app1(exif(1, "<", 3) + THUMBNAIL),
        segment(0xED, b"Photoshop 3.0\0" + THUMBNAIL),
        segment(0xFE, b"\xff\xd9"),
    ],
    ids=["EXIF", "Photoshop", "comment"],
)
def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(holds: bytes):
    data = SMALL[:2] + holds + SMALL[2:]
    scan = data.rindex(b"\xff\xda")
    verify_ends(data)
    assert convert_image(data, Settings(pass_through=True)) == (data, "kept")
    for cut in (*range(scan + 20, len(data) - 1, 97), len(data) - 1):
        with pytest.raises(ImageError, match="its JPEG data is damaged"):
            verify_ends(data[:cut])
        with pytest.raises(ImageError, match="its JPEG data is damaged"):
            convert_image(data[:cut], Settings(pass_through=True))


def test_of_several_pictures_the_first_has_to_be_whole():
    data = several_pictures(exif(1, "<", 3) + THUMBNAIL)
    second = data.index(b"\xff\xd9\xff\xd8", data.index(PHOTO_SCAN)) + 2
    for cut in (second, second + 100, len(data) - 2):
        verify_ends(data[:cut])
        assert np.array_equal(decode(data[:cut]), decode(data))
    for cut in (second - 1, second - 2000):
        with pytest.raises(ImageError, match="its JPEG data is damaged"):
            verify_ends(data[:cut])


def test_a_decoder_gets_a_png_without_its_texts():
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20), 9))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20), 9))
    orientation = chunk(b"eXIf", exif(6, "<", 3))
    crowded = PNG[:IMAGE_DATA] + bomb + profile + PNG[IMAGE_DATA:END] + bomb + orientation
    expected = PNG[:IMAGE_DATA] + orientation + PNG[IMAGE_DATA:]
    assert essence(crowded + PNG[END:]) == expected
    assert np.array_equal(decode(crowded + PNG[END:]), turned(expected))


def test_a_tiff_of_too_many_entries_is_refused():
    entries = b"".join(struct.pack("<HHII", 1000 + i, 7, 60_000, 8) for i in range(501))
    for start in (
        b"II*\0" + struct.pack("<IH", 8, 501),
        b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 501),
    ):
        for read in (sniff, decode, verify_image):
            with pytest.raises(
                ImageError, match="its TIFF directory has 501 entries; the limit is 500"
            ):
                read(start + entries)


def looks(data: bytes) -> Iterator[float]:
    """The time of the processor that each way to look at these bytes takes."""
    for look in (sniff, verify_ends, decode, lambda data: convert_image(data, Settings(resize=8))):
        began = time.process_time()
        with contextlib.suppress(ImageError):
            look(data)
        yield time.process_time() - began


LENGTH = 1 << 16
STARTS = [
    b"",
    b"\xff\xd8",
    JPEG[:2] + JPEG[2:20],
    JPEG[: JPEG.index(b"\xff\xda")],
    PNG[:IMAGE_DATA],
]
STARTS += [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"GIF89a\x40\0\x40\0\0\0\0", b"BM", b"RIFF"]
ENDS = [b"", JPEG[2:], JPEG[JPEG.index(b"\xff\xda") :], PNG[IMAGE_DATA:]]
BYTES = [
    0x00,
    0x01,
    0x02,
    0x03,
    0x7F,
    0xC0,
    0xC4,
    0xD0,
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xE0,
    0xE1,
    0xFE,
    0xFF,
]


# A single byte, markers with and without a length, fill bytes, surplus: 64 KB of each take a few
# milliseconds, and took fifteen seconds where the cost grew by the square.
@given(
    start=st.sampled_from(STARTS),
    unit=st.lists(st.sampled_from(BYTES), min_size=1, max_size=6).map(bytes),
    end=st.sampled_from(ENDS),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_bytes_are_to_look_at_them_takes_no_time(
    start: bytes, unit: bytes, end: bytes
):
    data = (start + unit * (LENGTH // len(unit)))[:LENGTH] + end
    assert max(looks(data)) < 0.5


@pytest.mark.parametrize("byte", [0x00, 0xD8, 0xE1, 0xFF])
@pytest.mark.parametrize("start", STARTS, ids=range(len(STARTS)))
def test_a_run_of_one_byte_takes_no_time(start: bytes, byte: int):
    for end in ENDS:
        assert max(looks(start + bytes([byte]) * LENGTH + end)) < 0.5
