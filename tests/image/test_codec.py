"""Image bytes to pixels and back, held against Pillow, OpenCV and the pictures before encoding."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from making import detailed_photo, encoded, psnr
from PIL import Image, ImageCms

from imnetlib.image import (
    MAX_PIXELS,
    MAX_SIDE,
    Header,
    ImageError,
    Settings,
    convert_image,
    decode,
    encode,
    resize,
    sniff,
    verify_ends,
    verify_image,
)

PHOTO = detailed_photo(120, 90, 0)
JPEG = encoded(PHOTO, quality=95)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif[0x0112] = orientation
    return encoded(PHOTO, quality=95, exif=exif)


def test_an_ordinary_jpeg_decodes_as_pillow_decodes_it():
    assert sniff(JPEG) == Header(90, 120, "YCbCr")
    expected = np.asarray(Image.open(io.BytesIO(JPEG)))
    assert np.abs(decode(JPEG).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_otherwise_gives_an_upright_picture_as_in_opencv(orientation: int):
    data = turned(orientation)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    pixels = decode(data)
    assert pixels.shape == expected.shape == (*sniff(data).size, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


# The cuts damage the byte order, the pointer and the entries.
@pytest.mark.parametrize("cut", [0, 4, 14, 22])
def test_broken_exif_is_passed_over(cut: int):
    data = turned(6)
    start = data.index(b"Exif\0\0") + 6
    broken = data[: start + cut] + b"\xff" * 12 + data[start + cut + 12 :]
    assert sniff(broken).orientation == 1
    assert np.array_equal(decode(broken), decode(JPEG))


def test_cmyk_has_the_colours_it_was_made_from():
    data = encoded(PHOTO, mode="CMYK", quality=95)
    # With this marker the inks are stored inverted.
    assert b"Adobe" in data
    assert np.abs(decode(data).astype(int) - PHOTO).mean() < 2
    gray = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
    assert np.abs(decode(data, color=0)[:, :, 0].astype(int) - gray).mean() < 2


def test_a_grayscale_jpeg_gets_three_equal_channels():
    data = encoded(PHOTO, mode="L")
    expected = np.asarray(Image.open(io.BytesIO(data)))
    for channel in np.moveaxis(decode(data), 2, 0):
        assert np.abs(channel.astype(int) - expected).max() <= 1
    assert decode(data, color=-1).shape == (90, 120, 1)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_another_format_in_disguise_is_read(form: str):
    assert np.array_equal(decode(encoded(PHOTO, form)), PHOTO)


def test_pngs_of_every_kind():
    assert np.array_equal(decode(encoded(PHOTO, "PNG", "RGBA")), PHOTO)
    assert decode(encoded(PHOTO, "PNG", "RGBA"), color=-1).shape == (90, 120, 4)
    palette = Image.fromarray(PHOTO).convert("P", palette=Image.Palette.ADAPTIVE)
    out = io.BytesIO()
    palette.save(out, "PNG")
    assert np.array_equal(decode(out.getvalue()), np.asarray(palette.convert("RGB")))
    deep = PHOTO[:, :, 0].astype(np.uint16) * 257
    deep_png = cv2.imencode(".png", deep)[1].tobytes()
    assert np.array_equal(decode(deep_png), np.repeat(PHOTO[:, :, :1], 3, axis=2))


def in_mode(mode: str) -> Image.Image:
    """The photo in a mode of Pillow."""
    picture = Image.fromarray(PHOTO)
    if mode == "LAB":
        spaces = [ImageCms.createProfile(space) for space in ("sRGB", "LAB")]
        return ImageCms.profileToProfile(picture, *spaces, outputMode="LAB")
    if mode in ("I", "F"):
        return picture.convert("L").convert(mode)
    return picture.convert("P").convert(mode) if mode == "PA" else picture.convert(mode)


def file_of(picture: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "modes"),
    [
        ("PNG", ["1", "L", "LA", "P", "RGB", "RGBA"]),
        ("GIF", ["1", "L", "P"]),
        ("BMP", ["1", "L", "P", "RGB", "RGBA"]),
        ("WEBP", ["L", "P", "RGB", "RGBA"]),
        ("TIFF", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"]),
    ],
)
def test_every_mode_shows_what_was_stored(form: str, modes: list[str]):
    for mode in modes:
        picture = in_mode(mode)
        data = file_of(picture, form, **({"lossless": True} if form == "WEBP" else {}))
        expected = np.asarray(picture.convert("RGB")).astype(int)
        assert np.abs(decode(data) - expected).max() <= (6 if mode == "YCbCr" else 0), mode


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_a_pixel(bits: int):
    picture = Image.fromarray(PHOTO).quantize(2**bits)
    data = file_of(picture, "PNG", bits=bits)
    assert np.array_equal(decode(data), np.asarray(picture.convert("RGB")))


def test_transparency_is_dropped_and_kept_as_stored():
    alpha = np.tile(np.arange(120, dtype=np.uint8)[None, :, None], (90, 1, 1))
    data = file_of(Image.fromarray(np.dstack([PHOTO, alpha])), "PNG")
    assert np.array_equal(decode(data), PHOTO)
    assert np.array_equal(decode(data, color=-1), np.dstack([PHOTO, alpha]))
    palette = Image.fromarray(PHOTO).convert("P")
    for transparency in (7, bytes(range(256))):
        data = file_of(palette, "PNG", transparency=transparency)
        assert np.array_equal(decode(data), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize(
    ("mode", "form", "transparency"),
    [
        ("LA", "PNG", None),
        ("PA", "TIFF", None),
        ("L", "PNG", 7),
        ("RGB", "PNG", (1, 2, 3)),
        ("P", "PNG", 7),
        ("P", "PNG", bytes(range(256))),
        ("P", "GIF", None),
        ("RGBA", "WEBP", None),
    ],
)
def test_every_kind_of_transparency_is_kept_as_stored(mode: str, form: str, transparency: object):
    options = {} if transparency is None else {"transparency": transparency}
    picture = in_mode(mode)
    if form == "GIF":
        options["transparency"] = picture.getpixel((0, 0))
    if mode == "RGB":
        picture.putpixel((0, 0), transparency)
    if form == "WEBP":
        picture.putalpha(in_mode("L"))
    data = file_of(picture, form, **options, **({"lossless": True} if form == "WEBP" else {}))
    stored = decode(data, color=-1)
    assert stored.shape == (90, 120, 4)
    assert np.array_equal(stored, np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")))
    assert np.array_equal(decode(data), stored[:, :, :3])


def test_a_row_as_long_as_the_limit_is_decoded():
    head = struct.pack(">IIBBBBB", MAX_PIXELS, 1, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" + b"\xf0" * (MAX_PIXELS // 8 + 1), 1)
    chunks = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    pixels = decode(data)
    assert pixels.shape == (1, MAX_PIXELS, 3)
    assert pixels[0, -9:, 2].tolist() == [0, 0, 0, 0, 255, 255, 255, 255, 0]


GUESS = "and which are black and white would be a guess; convert it to 8-bit RGB or gray"


@pytest.mark.parametrize(
    ("mode", "what"), [("I", "signed or 32-bit integers"), ("F", "floats"), ("LAB", "LAB colours")]
)
def test_pixels_without_a_known_black_and_white_are_refused(mode: str, what: str):
    data = file_of(in_mode(mode), "TIFF")
    for read in (decode, verify_image):
        with pytest.raises(ImageError) as caught:
            read(data)
        assert str(caught.value) == f"its pixels are {what} (Pillow's mode {mode}), {GUESS}"


def tiff(rows: bytes, width: int, bits: int, photometric: int, order: str = "<") -> bytes:
    """One strip of gray, uncompressed; ``photometric`` 0: white is 0, 1: black is 0."""
    height = len(rows) * 8 // (width * bits)
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(277, 1), (278, height), (279, len(rows))]
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(rows))
    entries = [struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags]
    return start + rows + struct.pack(f"{order}H", len(tags)) + b"".join(entries) + bytes(4)


RAMP = np.arange(256, dtype=np.uint16) * 257


@pytest.mark.parametrize("order", "<>")
def test_gray_of_16_bits_is_scaled_not_clipped(order: str):
    data = tiff(RAMP.astype(f"{order}u2").tobytes(), 256, 16, 1, order)
    assert np.array_equal(decode(data, color=-1).ravel(), range(256))


def test_gray_of_16_bits_whose_0_is_white():
    pixels = decode(tiff(RAMP.tobytes(), 256, 16, 0), color=0)
    assert np.array_equal(pixels.ravel(), range(255, -1, -1))


def test_gray_of_12_bits():
    bits = "".join(f"{value >> 4:012b}" for value in RAMP)
    data = tiff(int(bits, 2).to_bytes(len(bits) // 8), 256, 12, 1)
    assert np.array_equal(decode(data, color=0).ravel(), range(256))


def test_colours_of_16_bits_count_by_their_upper_8():
    for suffix in (".png", ".tiff"):
        deep = PHOTO[:, :, ::-1].astype(np.uint16) * 256 + 255
        assert np.array_equal(decode(cv2.imencode(suffix, deep)[1].tobytes()), PHOTO)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_shown(form: str):
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    data = file_of(frames[0], form, save_all=True, append_images=frames[1:])
    assert np.abs(decode(data).astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (lambda: cv2.imencode(".tiff", PHOTO.astype(np.float64))[1].tobytes(), "TIFF"),
        (lambda: JPEG[:20] + JPEG[JPEG.index(b"\xff\xda") :], "JPEG"),
        (lambda: b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG"),
    ],
)
def test_a_rare_kind_of_a_known_format_is_named(make: Callable[[], bytes], form: str):
    text = f"it begins like a {form}, but its header cannot be read; if it is whole, convert it"
    with pytest.raises(ImageError, match=text):
        sniff(make())


# What a file of a format that is not read begins with, or Pillow writes.
UNREAD = {
    "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0",
    "JPEG 2000": file_of(Image.fromarray(PHOTO), "JPEG2000"),
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n",
    "Photoshop": b"8BPS\0\1" + bytes(20),
    "PPM": file_of(Image.fromarray(PHOTO), "PPM"),
    "OpenEXR": b"\x76\x2f\x31\x01\x02\0\0\0",
    "ICO": file_of(Image.fromarray(PHOTO), "ICO"),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "PDF": b"%PDF-1.7\n",
    "SVG": b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="">',
    "TGA": file_of(Image.fromarray(PHOTO), "TGA"),
}
OTHERS = {
    "JPEG 2000": b"\xff\x4f\xff\x51\0\x2f",
    "JPEG XL": b"\xff\x0a\xfa\x7f",
    "PPM": b"P2\n# by hand\n2 2\n",
    "SVG": b"<svg width='9'/>",
    "TGA": UNREAD["TGA"][:-26],
}


@pytest.mark.parametrize(("form", "data"), [*UNREAD.items(), *OTHERS.items()])
def test_a_format_that_is_not_read_is_named_with_the_way_out(form: str, data: bytes):
    for read in (decode, verify_ends):
        with pytest.raises(ImageError) as caught:
            read(data)
        told = f"its format is {form}, which is not read; convert it to JPEG or PNG"
        assert str(caught.value) == told


@pytest.mark.parametrize(
    ("height", "width"), [(45, 60), (23, 30), (40, 40), (12, 10), (46, 60), (90, 120), (500, 500)]
)
def test_a_scaled_decode_is_as_large_as_asked_and_shows_the_same(height: int, width: int):
    pixels = decode(JPEG, height, width)
    assert pixels.shape[0] >= min(height, 90)
    assert pixels.shape[1] >= min(width, 120)
    if 2 * height <= 90 and 2 * width <= 120:
        assert pixels.shape[0] <= 45
    whole = cv2.resize(PHOTO, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert psnr(pixels, whole) > 26


def test_a_scaled_decode_of_a_turned_picture_keeps_its_sides_apart():
    assert decode(turned(6), 60, 20).shape == (60, 45, 3)


DAMAGED = {
    "empty": (b"", "it is empty"),
    "text": (b"<html>not found</html>", "it is no image"),
    "header only": (JPEG[:400], "it is no image|is damaged|cannot be read"),
    "half": (JPEG[: len(JPEG) // 2], "its JPEG data is damaged"),
    "no end mark": (JPEG[:-2], "its JPEG data is damaged"),
    "half a PNG": (encoded(PHOTO, "PNG")[:4000], "its PNG data is damaged"),
    "a piece missing": (JPEG[:3000] + JPEG[3500:], "its JPEG data is damaged"),
    "RIFF": (b"RIFF\x24\0\0\0WAVEfmt ", "it is no image"),
    "SVG in HTML": (b"<!DOCTYPE html><html><svg></svg></html>", "it is no image"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_refused_and_named(case: str):
    data, text = DAMAGED[case]
    for read in (decode, verify_image):
        with pytest.raises(ImageError, match=text):
            read(data)


def test_bytes_too_many_do_no_harm():
    assert np.array_equal(decode(JPEG[:-2] + bytes(5) + JPEG[-2:]), decode(JPEG))
    assert np.array_equal(decode(JPEG + b"behind the end"), decode(JPEG))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


# No colour transform has the number 7.
ADOBE = JPEG[:2] + segment(0xEE, b"Adobe" + bytes([0, 100, 0, 0, 0, 0, 7])) + JPEG[20:]
HARMLESS = {
    "surplus after the first segment": JPEG[:20] + b"surplus" + JPEG[20:],
    "surplus before the scan": JPEG.replace(b"\xff\xda", b"\0\0\xff\xff\xda", 1),
    "zeros before the end mark": JPEG[:-2] + bytes(600) + JPEG[-2:],
    "zeros, and a file behind the end": JPEG[:-2] + bytes(600) + JPEG[-2:] + JPEG,
    "JFIF 2.01": JPEG.replace(b"JFIF\0\1", b"JFIF\0\2", 1),
    "unknown Adobe transform": ADOBE,
}


@pytest.mark.parametrize("case", HARMLESS)
def test_oddities_beside_the_picture_are_passed_over_and_hide_no_damage(case: str):
    data = HARMLESS[case]
    with pytest.raises(ValueError, match=r"extraneous|JFIF revision|Adobe color"):
        simplejpeg.decode_jpeg(data, strict=True)
    assert np.array_equal(decode(data), decode(JPEG))
    verify_image(data)
    scan = data.index(b"\xff\xda") + 3000
    with pytest.raises(ImageError, match="its JPEG data is damaged"):
        decode(data[:scan] + data[scan + 500 :])


@pytest.mark.parametrize("sampling", [0x31, 0x13, 0x14])
def test_a_jpeg_of_unusual_sampling_is_left_to_pillow(sampling: int):
    data = bytearray(turned(6))
    data[data.index(b"\xff\xc0") + 11] = sampling
    assert sniff(data) == Header(90, 120, "JPEG RGB", 6)


def test_of_flipped_bits_those_that_leave_a_rest_of_the_scan_are_refused():
    scan = JPEG.index(b"\xff\xda") + 14
    refused = 0
    for at in range(scan, len(JPEG) - 2, 97):
        flipped = bytearray(JPEG)
        flipped[at] ^= 16
        try:
            simplejpeg.decode_jpeg(bytes(flipped), strict=True)
        except ValueError:
            refused += 1
            for read in (decode, verify_image):
                with pytest.raises(ImageError, match="its JPEG data is damaged"):
                    read(bytes(flipped))
    assert refused > 10


def test_what_cannot_be_encoded_or_resized_is_an_image_error():
    long = np.zeros((2, MAX_SIDE + 1, 3), np.uint8)
    with pytest.raises(ImageError, match=r"cannot be encoded as \.jpg .*65500"):
        encode(long)
    assert encode(long[:, 1:]).startswith(b"\xff\xd8")
    with pytest.raises(ImageError, match=r"it cannot be resized to 4 x 8 pixels"):
        resize(PHOTO.astype(np.int32), 8, 4)  # type: ignore[arg-type]


WRONG_PIXELS = "pixels are an array of uint8 (height, width, channels), not "
WRONG_DATA = "data is the bytes of an image file (bytes, bytearray or memoryview), not "


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: encode(PHOTO[:, :, 0]), ValueError, WRONG_PIXELS + "of uint8 (90, 120)"),
        (lambda: encode(PHOTO / 255), ValueError, WRONG_PIXELS + "of float64 (90, 120, 3)"),
        (lambda: encode([[1]]), TypeError, WRONG_PIXELS + "[[1]] (list)"),
        (lambda: encode(PHOTO[:, :, :2]), ImageError, "encoded as .jpg (2 channels)"),
        (lambda: encode(PHOTO, ".webp"), ValueError, "encoding is .jpg or .png, not '.webp'"),
        (lambda: encode(PHOTO, ".png"), ValueError, "quality is 0 to 9 for .png, not 95"),
        (lambda: encode(PHOTO, quality=0), ValueError, "quality is 1 to 100 for .jpg, not 0"),
        (lambda: encode(PHOTO, quality=95.5), TypeError, "quality is a whole number, not 95.5"),
        (lambda: decode(JPEG, "45", 60), TypeError, "height is a whole number, not '45' (str)"),
        (lambda: decode(JPEG, color=2), ValueError, "color is 1 (RGB), 0 (gray) or -1"),
        (lambda: resize([[1]], 1, 1), TypeError, WRONG_PIXELS + "[[1]] (list)"),
        (lambda: resize(PHOTO, 0, 5), ValueError, "1 pixel or more, not (0, 5)"),
        (lambda: resize(PHOTO, 4, 4.5), TypeError, "width is a whole number, not 4.5 (float)"),
        (lambda: sniff("a.jpg"), TypeError, WRONG_DATA + "'a.jpg' (str)"),
        (lambda: decode(Path("a.jpg")), TypeError, WRONG_DATA),
        (lambda: verify_ends(None), TypeError, WRONG_DATA + "None (NoneType)"),
        (lambda: verify_image(PHOTO), TypeError, WRONG_DATA),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], kind: type, text: str):
    with pytest.raises(kind, match=re.escape(text)):
        call()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_any_buffer_is_read(form: str, buffer: type):
    data = encoded(PHOTO, form)
    assert sniff(buffer(data)) == sniff(data)
    assert np.array_equal(decode(buffer(data)), decode(data))
    verify_ends(buffer(data))


def test_sizes_may_be_numpys():
    assert decode(JPEG, np.int32(45), np.uint16(60)).shape == (45, 60, 3)
    assert resize(PHOTO, np.int64(9), np.uint8(12)).shape == (9, 12, 3)


PICTURE = Image.fromarray(PHOTO)
WHOLE = {
    "JPEG": file_of(PICTURE, "JPEG"),
    "progressive": file_of(PICTURE, "JPEG", progressive=True),
    "restarted": file_of(PICTURE, "JPEG", restart_marker_blocks=1),
    "CMYK": encoded(PHOTO, mode="CMYK"),
    "progressive CMYK": encoded(PHOTO, mode="CMYK", progressive=True),
    "PNG": file_of(PICTURE, "PNG"),
    "APNG": file_of(PICTURE, "PNG", save_all=True, append_images=[in_mode("RGB")]),
    "GIF": file_of(PICTURE, "GIF"),
    "GIF of frames": file_of(
        PICTURE, "GIF", save_all=True, append_images=[in_mode("L").rotate(9)], comment=b"a comment"
    ),
    "BMP": file_of(PICTURE, "BMP"),
    "TIFF": file_of(PICTURE, "TIFF"),
    "WebP": file_of(PICTURE, "WEBP"),
    "WebP of frames": file_of(PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(9)]),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_the_cheap_check_sees_a_cut_file(kind: str):
    data = WHOLE[kind]
    verify_ends(data)
    assert convert_image(data, Settings(pass_through=True)) == (data, "kept")
    for cut in (1, 2, 3, 9, 20, *range(50, len(data), len(data) // 50)):
        with pytest.raises(ImageError):
            convert_image(data[:-cut], Settings(pass_through=True))


@pytest.mark.parametrize("tail", [JPEG, b"hello" * 2000, b"\0" * 10_000, WHOLE["PNG"], b"\xff"])
@pytest.mark.parametrize("kind", ["JPEG", "progressive", "restarted", "CMYK", "progressive CMYK"])
def test_what_stands_behind_a_jpeg_is_not_its_end(kind: str, tail: bytes):
    data = WHOLE[kind]
    verify_ends(data + tail)
    scan = data.index(b"\xff\xda") + 20
    for cut in range(scan, len(data) - 1, (len(data) - scan) // 20):
        for read in (verify_ends, verify_image, decode):
            with pytest.raises(ImageError, match="its JPEG data is damaged"):
                read(data[:cut] + tail)


@pytest.mark.parametrize("kind", ["PNG", "APNG", "GIF", "GIF of frames"])
def test_what_stands_behind_the_end_does_no_harm(kind: str):
    verify_ends(WHOLE[kind] + b"behind the end")
    with pytest.raises(ImageError, match="data is damaged \\(its end is missing\\)"):
        verify_ends(WHOLE[kind][:-12] + WHOLE[kind])


def bomb(form: str) -> bytes:
    """A small file whose header promises 20,000 x 20,000 pixels."""
    if form == "JPEG":
        at = JPEG.index(b"\xff\xc0") + 5
        return JPEG[:at] + struct.pack(">HH", 20_000, 20_000) + JPEG[at + 4 :]
    head = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    data = encoded(PHOTO, "PNG")
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_pixel_bomb_is_refused_before_it_is_unpacked(form: str):
    with pytest.raises(ImageError, match="pixels"):
        decode(bomb(form))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_mutated_files_decode_or_are_refused(data: st.DataObject):
    files = [JPEG, turned(3), encoded(PHOTO, "PNG"), encoded(PHOTO, mode="CMYK")]
    image = bytearray(data.draw(st.sampled_from(files)))
    for _ in range(data.draw(st.integers(1, 6))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(image))
    except ImageError:
        return
    assert pixels.shape == (*sniff(bytes(image)).size, 3)


def test_encoding_and_decoding_again():
    assert psnr(decode(encode(PHOTO, ".jpg", 95)), PHOTO) > 30
    assert len(encode(PHOTO, ".jpg", 40)) < len(encode(PHOTO, ".jpg", 95))
    for channels in (1, 3):
        part = np.ascontiguousarray(PHOTO[:, :, :channels])
        assert np.array_equal(decode(encode(part, ".png", 6), color=-1), part)
    assert sniff(encode(PHOTO[:, :, :1])).colorspace == "Gray"
