"""The class folders counted, and their strange files named."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from making import jpeg, put
from PIL import Image

from imnetlib import organize

# A whole JPEG inside the header of another.
THUMBNAIL = b"Exif\0\0" + jpeg(seed=9)
_out = io.BytesIO()
Image.new("RGB", (3, 3)).save(_out, "PNG")
PNG = _out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (jpeg(), ""),
        (jpeg(progressive=True), ""),
        (jpeg(exif=THUMBNAIL), ""),
        (jpeg() + b"\0" * 300, ""),
        (jpeg("L"), "grayscale"),
        (jpeg("CMYK"), "CMYK"),
        (b"", "empty"),
        (PNG, "PNG"),
        (b"<html>", "not an image that is known here"),
        (jpeg()[:2] + b"\0" * 50, "damaged"),
    ],
)
def test_kinds_of_files(data: bytes, kind: str):
    assert organize.kind_of(data) == kind


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": THUMBNAIL}])
def test_every_cut_of_a_jpeg_is_seen(options: dict[str, object]):
    whole = jpeg(**options)
    kinds = {organize.kind_of(whole[:cut]) for cut in range(2, len(whole))}
    assert kinds == {"truncated"}


def name(wnid: str, number: int) -> str:
    return f"{wnid}/{wnid}_{number}.JPEG"


def test_check_counts_and_names(tmp_path: Path):
    files = {
        name("n01440764", 1): jpeg(),
        name("n01440764", 2): jpeg()[:-40],
        name("n02012849", 3): PNG,
        "n02012849/ILSVRC2012_val_00000004.JPEG": jpeg(seed=1),
        "n02012849/n02012849_3 (1).JPEG": jpeg(),
        "n02012849/.hidden": b"",
        ".n03126707.tmp/n03126707_1.JPEG": b"",
    }
    put(tmp_path, files)
    (tmp_path / "n02012849" / "n02012849_9.JPEG").mkdir()
    (tmp_path / "n02012849" / "n02012849_8.JPEG").symlink_to("nowhere")
    (tmp_path / "n09999999").mkdir()
    survey = organize.survey_folders(tmp_path, {"n01440764": 2, "n02012849": 3, "n03126707": 1})
    assert survey.counts == {"n01440764": 2, "n02012849": 2, "n09999999": 0}
    assert survey.wrong == (("n02012849", 2, 3), ("n03126707", 0, 1), ("n09999999", 0, 0))
    assert {file.path.name: file.what for file in survey.strange} == {
        "n01440764_2.JPEG": "truncated",
        "n02012849_3.JPEG": "PNG",
        "n02012849_3 (1).JPEG": "not called as an image of its class",
        "n02012849_9.JPEG": "unreadable: Is a directory",
        "n02012849_8.JPEG": "unreadable: No such file or directory",
    }
    assert survey.bytes == sum(len(files[path]) for path in list(files)[:4])
    assert organize.survey_folders(tmp_path).wrong is None
    assert not survey.sound
    text = organize.survey_report(survey)
    assert "3 classes, 4 files" in text
    assert "0 to 2 files a class." in text
    assert "## 3 classes with another count than expected" in text
    assert "- n03126707 has 0, not 1\n- n09999999 is no expected class, and has 0\n" in text
    assert "## 1 truncated\n\n- n01440764/n01440764_2.JPEG\n" in text
    text = organize.survey_report(organize.survey_folders(tmp_path))
    assert "Nothing to compare the counts with." in text


@pytest.mark.parametrize("name", ["n01440764_9{}.JPEG", "ILSVRC2012_val_00000007{}.JPEG"])
@pytest.mark.parametrize(("end", "sound"), [("_n01440764", True), ("_n02012849", False)])
def test_names_that_end_in_a_class(tmp_path: Path, name: str, end: str, sound: bool):
    put(tmp_path, {f"n01440764/{name.format(end)}": jpeg()})
    survey = organize.survey_folders(str(tmp_path))
    assert [file.what for file in survey.strange] == ["not called as an image of its class"] * (
        not sound
    )


def test_another_set_has_names_of_its_own(tmp_path: Path):
    (tmp_path / "tench").mkdir()
    (tmp_path / "tench" / "my photo.jpg").write_bytes(jpeg())
    assert organize.survey_folders(tmp_path, {"tench": 1}).sound


def test_a_report_of_sound_folders_and_one_of_many_strange_files(tmp_path: Path):
    (tmp_path / "n01440764").mkdir()
    for number in range(12):
        (tmp_path / name("n01440764", number)).write_bytes(jpeg("L"))
    survey = organize.survey_folders(tmp_path, Counter({"n01440764": 12}))
    # A grayscale image is strange, and sound.
    assert survey.sound
    report = organize.survey_report(survey)
    assert "12 files a class.\nEvery class has as many files as expected." in report
    assert "- … and 2 more\n" in report
    assert organize.survey_report(survey, most=None).count("- n01440764/") == 12
    (tmp_path / name("n01440764", 12)).write_bytes(b"")
    assert not organize.survey_folders(tmp_path).sound
