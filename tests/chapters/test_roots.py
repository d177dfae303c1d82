"""Miniatures of other sets and other ways in, through the chapters, as ``imnet run`` takes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from running import run_chapter_on as run

from imnetlib.course import class_names, sample
from imnetlib.course.runner import ChapterFailedError

COUNTS = {"train_per_class": 10, "validation_per_class": 6, "classes": 12}
# Those of chapter 7's training that make it short.
SHORT = {"epochs": 2, "batch_size": 16}


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve classes of the sample, as archives."""
    folder = tmp_path_factory.mktemp("painted") / "drawn"
    sample.draw(folder, **COUNTS)
    return folder


def test_winter21_is_trained_over_all_its_classes_and_judged_on_ilsvrc(
    painted: Path, tmp_path: Path
):
    root = tmp_path / "root"
    drawn = sample.lay_out(painted, "winter21", root / "mirror")
    assert run(root, "1")["whole_archives"] == 3
    organized = run(root, "2")
    assert (organized["train_images"], organized["classes"]) == (110, 11)
    assert organized["validation_images"] == drawn.validation
    packed = run(root, "4")
    assert (packed["train_records"], packed["validation_records"]) == (109, drawn.validation)
    run(root, "7", **SHORT)
    judged = run(root, "8")
    assert judged["images"] == judged["ilsvrc_images"] == drawn.validation
    # The six of the class that has no column are never right, whatever k is.
    assert judged["top20"] == pytest.approx(100 * (1 - 6 / drawn.validation))
    assert run(root, "9")["nodes"] > 20_000


@pytest.mark.parametrize("way", ["kaggle", "parquet"])
def test_images_from_elsewhere_are_packed_as_they_lie(way: str, painted: Path, tmp_path: Path):
    source = tmp_path / way
    sample.lay_out(painted, way, source)
    before = sorted(source.rglob("*"))
    root = tmp_path / "root"
    assert run(root, "1", source=str(source))["whole_archives"] == 0
    assert run(root, "2")["train_images"] == 120
    packed = run(root, "4")
    assert (packed["train_records"], packed["validation_records"]) == (119, 72)
    assert sorted(source.rglob("*")) == before


def test_fall11_is_packed_from_its_archive_in_place(painted: Path, tmp_path: Path):
    root = tmp_path / "root"
    drawn = sample.lay_out(painted, "fall11", root / "mirror")
    assert run(root, "1")["indexed_images"] == drawn.train + drawn.validation
    surveyed = run(root, "2", unpack_gb=0.0)
    assert (surveyed["train_images"], surveyed["validation_images"]) == (110, drawn.validation)
    packed = run(root, "4")
    assert (packed["train_records"], packed["validation_records"]) == (109, drawn.validation)
    assert not (root / "imagenet").exists()


def test_class_folders_of_own_names_go_through_all_chapters(painted: Path, tmp_path: Path):
    photos = tmp_path / "photos"
    sample.lay_out(painted, "folders", photos)
    # No validation set: a tenth of each class is held out.
    shutil.rmtree(photos / "val")
    wnids = [folder.name for folder in (photos / "train").iterdir()]
    own = {wnid: f"my {name}" for wnid, name in zip(wnids, class_names(wnids), strict=True)}
    for wnid, name in own.items():
        (photos / "train" / wnid).rename(photos / "train" / name)
    # The order of labels comes with the folders.
    order = sorted(own.values(), reverse=True)
    (photos / "synset.txt").write_text("".join(f"{name}\n" for name in order))
    root = tmp_path / "root"
    run(root, "1", source=str(photos))
    assert run(root, "2")["train_images"] == 120
    packed = run(root, "4")
    assert packed["train_records"] + packed["validation_records"] + packed["failures"] == 120
    (kept,) = root.glob("records/*/synset.txt")
    assert kept.read_text() == (root / "lists" / "synset.txt").read_text()
    assert kept.read_text().splitlines() == order
    for line in (root / "lists" / "train.lst").read_text().splitlines():
        _, label, path = line.split("\t")
        assert order[int(float(label))] == path.partition("/")[0]
    for chapter in ("0", "3", "6"):
        run(root, chapter)
    run(root, "7", **SHORT)
    judged = run(root, "8")
    assert judged["images"] == packed["validation_records"]
    with pytest.raises(ChapterFailedError, match=r"12 of 12 classes are called by no wnid \(my "):
        run(root, "9")
    meanings = tmp_path / "meanings.txt"
    meanings.write_text("".join(f"{wnid} {name}\n" for wnid, name in own.items()))
    read = run(root, "9", meanings=str(meanings))
    assert read["right_first"] == pytest.approx(judged["top1"] / 100)
