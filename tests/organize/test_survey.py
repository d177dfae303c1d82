"""The class folders counted, and their strange files named."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from making import jpeg
from PIL import Image

from imnetlib import catalog, organize
from imnetlib.archive import TarIndex, index_tar
from imnetlib.course import sample

# a whole JPEG inside the header of another
THUMBNAIL = b"Exif\0\0" + jpeg(seed=9)
png = io.BytesIO()
Image.new("RGB", (3, 3)).save(png, "PNG")


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
        (png.getvalue(), "PNG"),
        (b"<html>", "not an image that is known here"),
        (jpeg()[:2] + b"\0" * 50, "damaged"),
    ],
)
def test_kinds_of_files(data: bytes, kind: str):
    assert organize.kind_of(data) == kind


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": THUMBNAIL}])
def test_every_cut_of_a_jpeg_is_seen(options: dict[str, object]):
    whole = jpeg(**options)
    assert [
        cut for cut in range(2, len(whole)) if organize.kind_of(whole[:cut]) != "truncated"
    ] == []


def name(wnid: str, number: int) -> str:
    return f"{wnid}/{wnid}_{number}.JPEG"


def test_check_counts_and_names(tmp_path: Path):
    files = {
        name("n01440764", 1): jpeg(),
        name("n01440764", 2): jpeg()[:-40],
        name("n02012849", 3): png.getvalue(),
        "n02012849/ILSVRC2012_val_00000004.JPEG": jpeg(seed=1),
        "n02012849/n02012849_3 (1).JPEG": jpeg(),
        "n02012849/.hidden": b"",
        ".n03126707.tmp/n03126707_1.JPEG": b"",
    }
    for path, data in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "n02012849" / "n02012849_9.JPEG").mkdir()
    (tmp_path / "n02012849" / "n02012849_8.JPEG").symlink_to("nowhere")
    (tmp_path / "n09999999").mkdir()
    report = organize.survey_folders(tmp_path, {"n01440764": 2, "n02012849": 3, "n03126707": 1})
    assert report.counts == {"n01440764": 2, "n02012849": 2, "n09999999": 0}
    assert report.wrong == (("n02012849", 2, 3), ("n03126707", 0, 1), ("n09999999", 0, 0))
    assert {file.path.name: file.what for file in report.strange} == {
        "n01440764_2.JPEG": "truncated",
        "n02012849_3.JPEG": "PNG",
        "n02012849_3 (1).JPEG": "not called as an image of its class",
        "n02012849_9.JPEG": "unreadable: Is a directory",
        "n02012849_8.JPEG": "unreadable: No such file or directory",
    }
    assert report.bytes == sum(len(files[path]) for path in list(files)[:4])
    assert organize.survey_folders(tmp_path).wrong is None
    assert not report.sound
    text = organize.survey_report(report)
    assert "3 classes, 4 files" in text
    assert "0 to 2 files a class." in text
    assert "## 3 classes with another count than expected" in text
    assert "- n03126707 has 0, not 1\n- n09999999 is no expected class, and has 0\n" in text
    assert "## 1 truncated\n\n- n01440764/n01440764_2.JPEG\n" in text
    assert "Nothing to compare the counts with." in organize.survey_report(
        organize.survey_folders(tmp_path)
    )


def test_another_set_has_names_of_its_own(tmp_path: Path):
    (tmp_path / "tench").mkdir()
    (tmp_path / "tench" / "my photo.jpg").write_bytes(jpeg())
    assert organize.survey_folders(tmp_path, {"tench": 1}).sound


def test_a_report_of_sound_folders_and_one_of_many_strange_files(tmp_path: Path):
    (tmp_path / "n01440764").mkdir()
    for number in range(12):
        (tmp_path / name("n01440764", number)).write_bytes(jpeg("L"))
    found = organize.survey_folders(tmp_path, Counter({"n01440764": 12}))
    # gray is no fault
    assert found.sound
    assert (
        "12 files a class.\nEvery class has as many files as expected."
        in organize.survey_report(found)
    )
    assert "- … and 2 more\n" in organize.survey_report(found)
    assert organize.survey_report(found, most=None).count("- n01440764/") == 12
    (tmp_path / name("n01440764", 12)).write_bytes(b"")
    assert not organize.survey_folders(tmp_path).sound


def test_what_should_be_there_from_three_files(tmp_path: Path):
    """Archive index, development kit and Kaggle's list say the same of one small sample."""
    sample.draw(tmp_path / "mirror", train_per_class=2, validation_per_class=1, classes=3)
    index_tar(tmp_path / "mirror" / catalog.TRAIN_TAR).save(tmp_path / "train.npz")
    index = TarIndex.load(tmp_path / "train.npz")
    lines = [
        f"{name.decode().removesuffix('.JPEG')} {n}"
        for n, name in enumerate(index.names.tolist(), 1)
    ]
    (tmp_path / "train_cls.txt").write_text("\n".join(lines) + "\n")
    sources = (
        tmp_path / "train.npz",
        tmp_path / "mirror" / catalog.DEVKIT,
        tmp_path / "train_cls.txt",
    )
    counts = [organize.train_counts(source) for source in sources]
    assert counts[0] == counts[1] == counts[2] == dict.fromkeys(index.class_names, 2)
    index_tar(tmp_path / "mirror" / catalog.VALIDATION_TAR).save(tmp_path / "val.npz")
    with pytest.raises(ValueError, match=r"val\.tar is a tar without class tars"):
        organize.train_counts(tmp_path / "val.npz")
    with pytest.raises(
        ValueError, match=r"train\.tar gives no counts: name the training archive's \.npz"
    ):
        organize.train_counts(tmp_path / "train.tar")
    (tmp_path / "synset.txt").write_text("n01440764 tench\n")
    with pytest.raises(
        ValueError, match=r"synset\.txt: not all lines begin with <wnid>/ .* is it train_cls\.txt"
    ):
        organize.train_counts(tmp_path / "synset.txt")
