"""The class folders counted, and their strange files named."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imnetlib import catalog, sample, survey
from imnetlib.archive import TarIndex, index_tar


def jpeg(mode: str = "RGB", seed: int = 0, **options: object) -> bytes:
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 11, bands), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(out, "JPEG", quality=30, **options)
    return out.getvalue()


THUMBNAIL = b"Exif\0\0" + jpeg(seed=9)  # a whole JPEG inside the header of another
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
    assert survey.kind_of(data) == kind


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": THUMBNAIL}])
def test_every_cut_of_a_jpeg_is_seen(options: dict[str, object]):
    whole = jpeg(**options)
    assert [cut for cut in range(2, len(whole)) if survey.kind_of(whole[:cut]) != "truncated"] == []


def test_check_counts_and_names(tmp_path: Path):
    files = {
        "n01440764/a.JPEG": jpeg(),
        "n01440764/b.JPEG": jpeg()[:-40],
        "n02012849/c.JPEG": png.getvalue(),
        "n02012849/d.JPEG": jpeg(seed=1),
        ".n03126707.tmp/e.JPEG": b"",
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "n02012849" / "folder").mkdir()
    report = survey.check(tmp_path, {"n01440764": 2, "n02012849": 2, "n03126707": 1})
    assert report.counts == {"n01440764": 2, "n02012849": 3}
    assert report.wrong == (("n02012849", 3, 2), ("n03126707", 0, 1))
    assert {file.path.name: file.what for file in report.strange} == {
        "b.JPEG": "truncated",
        "c.JPEG": "PNG",
        "folder": "unreadable: Is a directory",
    }
    assert report.kinds == {"truncated": 1, "PNG": 1, "unreadable: Is a directory": 1}
    assert report.bytes == sum(len(data) for name, data in files.items() if name[0] != ".")
    assert survey.check(tmp_path).wrong is None
    assert not report.sound
    text = survey.report(report)
    assert "2 classes, 5 files" in text
    assert "2 to 3 files a class." in text
    assert "## 2 classes with another count than expected" in text
    assert "- n03126707 has 0, not 1\n" in text
    assert "## 1 truncated\n\n- n01440764/b.JPEG\n" in text
    assert "Nothing to compare the counts with." in survey.report(survey.check(tmp_path))


def test_a_report_of_sound_folders_and_one_of_many_strange_files(tmp_path: Path):
    (tmp_path / "n01440764").mkdir()
    for number in range(12):
        (tmp_path / "n01440764" / f"{number:02}.JPEG").write_bytes(jpeg("L"))
    found = survey.check(tmp_path, Counter({"n01440764": 12}))
    assert found.sound  # gray is no fault
    assert "12 files a class.\nEvery class has as many files as expected." in survey.report(found)
    assert "- n01440764/09.JPEG\n- … and 2 more\n" in survey.report(found)
    assert survey.report(found, most=None).count("- n01440764/") == 12
    (tmp_path / "n01440764" / "12.JPEG").write_bytes(b"")
    assert not survey.check(tmp_path).sound


def test_what_should_be_there_from_three_files(tmp_path: Path):
    """Archive index, development kit and Kaggle's list say the same of one small sample."""
    sample.draw(tmp_path / "mirror", train_per_class=2, validation_per_class=1, classes=3)
    index_tar(tmp_path / "mirror" / catalog.TRAIN_TAR).save(tmp_path / "train.npz")
    index = TarIndex.load(tmp_path / "train.npz")
    lines = [f"{name.decode().removesuffix('.JPEG')} {n}" for n, name in enumerate(index.names.tolist(), 1)]
    (tmp_path / "train_cls.txt").write_text("\n".join(lines) + "\n")
    sources = (tmp_path / "train.npz", tmp_path / "mirror" / catalog.DEVKIT, tmp_path / "train_cls.txt")
    counts = [survey.train_counts(source) for source in sources]
    assert counts[0] == counts[1] == counts[2] == dict.fromkeys(index.class_names, 2)
    index_tar(tmp_path / "mirror" / catalog.VALIDATION_TAR).save(tmp_path / "val.npz")
    with pytest.raises(ValueError, match=r"val\.npz is the index of a tar without class tars"):
        survey.train_counts(tmp_path / "val.npz")
    (tmp_path / "synset.txt").write_text("n01440764 tench\n")
    with pytest.raises(
        ValueError, match=r"synset\.txt: not all lines begin with <wnid>/ .* is it train_cls\.txt"
    ):
        survey.train_counts(tmp_path / "synset.txt")
