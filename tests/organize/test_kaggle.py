"""Kaggle's copy of the set, as it is unpacked, brought into the course's folders."""

from __future__ import annotations

import csv
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from making import put
from small_set import FLAT, LABELS, SORTED, WNIDS, images_in

from imnetlib import catalog, files, organize, pack
from imnetlib.cli import main
from imnetlib.course.root import Root

TRAIN = {
    f"{wnid}/{wnid}_{number}.JPEG": b"%s %d" % (wnid.encode(), number)
    for wnid in WNIDS
    for number in (7, 12, 30)
}


@pytest.fixture
def download(tmp_path: Path) -> Path:
    folder = tmp_path / "kaggle"
    put(folder / organize.KAGGLE_IMAGES / "train", TRAIN)
    put(folder / organize.KAGGLE_IMAGES / "val", FLAT)
    put(folder / organize.KAGGLE_IMAGES / "test", {"ILSVRC2012_test_00000001.JPEG": b"test"})
    classes = "".join(f"{wnid} a name, another\n" for wnid in WNIDS)
    (folder / organize.KAGGLE_CLASSES).write_text(classes)
    lines = [f"{name.removesuffix('.JPEG')} {number}\n" for number, name in enumerate(TRAIN, 1)]
    put(folder, {organize.KAGGLE_TRAIN_LIST: "".join(lines).encode()})
    rows = []
    for name, wnid in zip(FLAT, LABELS, strict=True):
        rows.append([name.removesuffix(".JPEG"), f"{wnid} 1 2 3 4 "])
    random.Random(1).shuffle(rows)
    with (folder / organize.KAGGLE_LABELS).open("w", newline="") as out:
        csv.writer(out).writerows([["ImageId", "PredictionString"], *rows])
    return folder


@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
def test_the_download_comes_into_the_courses_folders(download: Path, tmp_path: Path, link: bool):
    before = images_in(download)
    layout = Root(tmp_path / "root", catalog.ILSVRC2012)
    # The second run changes nothing.
    for moved in (9, 0):
        train, validation = organize.adopt_kaggle(
            download, layout.train, layout.validation, link=link
        )
        assert (train.classes, train.moved, train.in_place) == (3, moved, 9 - moved)
        assert (validation.moved, validation.in_place) == ((12, 0) if moved else (0, 12))
        assert images_in(layout.train) == TRAIN
        assert images_in(layout.validation) == SORTED
    if link:
        assert images_in(download) == before
    organize.undo_validation(layout.validation)
    assert images_in(download / organize.KAGGLE_IMAGES / "val") == FLAT


@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
@pytest.mark.parametrize("steps", range(4))
def test_stopped_between_two_classes(
    download: Path, tmp_path: Path, link: bool, steps: int, monkeypatch: pytest.MonkeyPatch
):
    train = tmp_path / "train"
    left = iter(range(steps))
    rename = Path.rename

    def stopping(self: Path, target: Path) -> Path:
        if target.parent == train and next(left, None) is None:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", stopping)
        if steps < len(WNIDS):
            with pytest.raises(KeyboardInterrupt):
                organize.adopt_kaggle(download, train, tmp_path / "val", link=link)
    organize.adopt_kaggle(download, train, tmp_path / "val", link=link)
    assert images_in(train) == TRAIN
    assert images_in(tmp_path / "val") == SORTED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda images: (images / "train" / WNIDS[1]).rename(images / "train" / "n01443537"),
            r"of 3 classes, 1 missing \(n02012849\) and 1 unexpected \(n01443537\): nothing was",
        ),
        (
            lambda images: (images / "train" / WNIDS[1] / "readme").touch(),
            r"n02012849: 1 of 4 entries are not plain files called n02012849_<number>\.JPEG "
            r"\(readme\): nothing was done",
        ),
        (
            lambda images: (images / f"train/{WNIDS[1]}/{WNIDS[1]}_1.JPEG").symlink_to(
                "/etc/hosts"
            ),
            r"1 of 4 entries are not plain files called .* \(n02012849_1\.JPEG\)",
        ),
        (
            lambda images: [path.unlink() for path in (images / "train" / WNIDS[0]).iterdir()],
            r"n01440764 is empty: nothing was done",
        ),
        (
            lambda images: (images / "val" / organize.validation_name(3)).unlink(),
            r"of 12 validation images, 1 missing \(ILSVRC2012_val_00000003\.JPEG\): nothing was",
        ),
        (
            lambda images: (images.parents[2] / organize.KAGGLE_CLASSES).write_text(
                "n01440764 a\nn02012849 b\n"
            ),
            r"LOC_synset_mapping\.txt and LOC_val_solution\.csv differ in 1 classes: n03126707",
        ),
    ],
)
def test_nothing_moves_unless_everything_fits(
    download: Path, tmp_path: Path, change: Callable[[Path], object], message: str
):
    change(download / organize.KAGGLE_IMAGES)
    before = sorted(download.rglob("*"))
    with pytest.raises(ValueError, match=message):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")
    assert sorted(download.rglob("*")) == before


def test_images_that_an_unzipping_left_out_are_missed(download: Path, tmp_path: Path):
    images = download / organize.KAGGLE_IMAGES / "train"
    for name in list(TRAIN)[1::3]:
        (images / name).rename(tmp_path / Path(name).name)
    before = sorted(download.rglob("*"))
    message = (
        r"kaggle: 3 of the training images in train_cls\.txt are missing \(n01440764/"
        r"n01440764_12\.JPEG, .*\): unzip again \(unzip -n .*\); nothing was done"
    )
    with pytest.raises(ValueError, match=message):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")
    assert sorted(download.rglob("*")) == before
    assert list((tmp_path / "train").iterdir()) == []
    for name in list(TRAIN)[1::3]:
        (tmp_path / Path(name).name).rename(images / name)
    (images / WNIDS[0] / f"{WNIDS[0]}_8.JPEG").touch()
    message = (
        r"kaggle: 1 training images are not in train_cls\.txt \(n01440764/n01440764_8\.JPEG\): "
        "move them away; nothing was done"
    )
    with pytest.raises(ValueError, match=message):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")


def test_without_the_list_a_warning_says_that_nothing_was_compared(download: Path, tmp_path: Path):
    (download / organize.KAGGLE_TRAIN_LIST).unlink()
    with pytest.warns(UserWarning, match=r"kaggle has no ILSVRC/.*/train_cls\.txt: whether train"):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")
    # Nothing is left to compare.
    with warnings.catch_warnings(action="error"):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")


@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
def test_names_that_end_in_the_class(download: Path, tmp_path: Path, link: bool):
    images = download / organize.KAGGLE_IMAGES
    for path in (images / "train").rglob("*.JPEG"):
        path.rename(path.with_stem(f"{path.stem}_{path.parent.name}"))
    for number, wnid in enumerate(LABELS, 1):
        name = organize.validation_name(number)
        (images / "val" / name).rename(images / "val" / organize.validation_name(number, wnid))
    train, validation = organize.adopt_kaggle(
        download, tmp_path / "train", tmp_path / "val", link=link
    )
    assert (train.moved, validation.moved) == (9, 12)
    assert f"{WNIDS[0]}/{WNIDS[0]}_7_{WNIDS[0]}.JPEG" in images_in(tmp_path / "train")


def test_another_disk_is_refused_in_one_sentence(
    download: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "_disk_of", lambda path: path.name)
    message = r"CLS-LOC and .*train are on different disks: choose a folder on that of"
    with pytest.raises(OSError, match=message):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")


@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
@pytest.mark.parametrize("images", [{}, {"n02012849_7.JPEG": b"other"}], ids=["empty", "another"])
def test_a_class_folder_that_was_there_before(
    download: Path, tmp_path: Path, link: bool, images: dict[str, bytes]
):
    (tmp_path / "train" / WNIDS[1]).mkdir(parents=True)
    put(tmp_path / "train" / WNIDS[1], images)
    before = images_in(tmp_path)
    message = r"train/n02012849 was not adopted from .*: move it away; nothing was done"
    with pytest.raises(ValueError, match=message):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val", link=link)
    assert images_in(tmp_path) == before


def test_another_folder_is_refused(download: Path, tmp_path: Path):
    message = r"ILSVRC lacks LOC_synset_mapping\.txt, .*: name the folder into"
    with pytest.raises(FileNotFoundError, match=message):
        organize.adopt_kaggle(download / "ILSVRC", tmp_path / "train", tmp_path / "val")


def test_both_sets_are_listed_where_they_lie(download: Path, tmp_path: Path):
    """The labels follow Kaggle's table of classes, and nothing needs to move."""
    images = download / organize.KAGGLE_IMAGES
    labels = organize.labels_from_kaggle(download / organize.KAGGLE_LABELS)
    classes = "".join(f"{wnid} a\n" for wnid in ("n00000001", *reversed(WNIDS)))
    (download / organize.KAGGLE_CLASSES).write_text(classes)
    wnids = catalog.read_classes(download / organize.KAGGLE_CLASSES)
    train = pack.list_folder(images / "train", wnids)
    assert train.paths.tolist() == [name.encode() for name in TRAIN]
    assert train.labels[:, 0].tolist() == [3, 3, 3, 2, 2, 2, 1, 1, 1]
    assert train.classes == wnids
    flat = pack.list_flat_folder(images / "val", labels)
    assert flat.paths.tolist() == [name.encode() for name in FLAT]
    assert [WNIDS[int(label)] for label in flat.labels[:, 0]] == list(LABELS)
    same_order = pack.list_flat_folder(images / "val", labels, wnids)
    assert [wnids[int(label)] for label in same_order.labels[:, 0]] == list(LABELS)
    with pytest.raises(ValueError, match=r"train holds 1 classes that have no label: n03126707"):
        pack.list_folder(images / "train", wnids[2:])
    message = r"val should hold 11 images numbered from 1, .* it holds 12, from"
    with pytest.raises(ValueError, match=message):
        pack.list_flat_folder(images / "val", LABELS[:-1])


def test_the_verbs(download: Path, tmp_path: Path):
    def imnet(*arguments: object) -> str:
        done = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done.output

    images = download / organize.KAGGLE_IMAGES
    root = tmp_path / "root"
    lst = tmp_path / "a.lst"
    classes = download / organize.KAGGLE_CLASSES
    assert "9 images" in imnet("list", images / "train", lst, "--classes", classes)
    table = download / organize.KAGGLE_LABELS
    labels = ("--labels", table)
    assert "3 of 3 classes have images\n12 images" in imnet("list", images / "val", lst, *labels)
    lines = "".join(f"{wnid}\n" for wnid in ("n00000001", *reversed(WNIDS)))
    (tmp_path / "synset.txt").write_text(lines)
    both = imnet("list", images / "val", lst, *labels, "--classes", tmp_path / "synset.txt")
    assert "3 of 4 classes have images\n12 images" in both
    first = lst.read_text().splitlines()[0].split("\t")
    assert first == ["0", "3.000000", "ILSVRC2012_val_00000001.JPEG"]
    output = imnet("organize", "kaggle", download, root, "--link")
    place = f"{root}/imagenet"
    assert f"{place}/train: 3 classes, 9 images put in place, 0 were there\n" in output
    assert f"{place}/validation: 3 classes, 12 images put in place, 0 were there\n" in output
    output = imnet("organize", "validation", images / "val", table, images / "val")
    assert "12 images put in place" in output
    assert images_in(images / "val") == SORTED


@pytest.mark.parametrize("lacking", ["train", "val"])
def test_a_download_without_its_images_is_named(download: Path, tmp_path: Path, lacking: str):
    folder = download / organize.KAGGLE_IMAGES / lacking
    folder.rename(tmp_path / "away")
    message = (
        rf"kaggle lacks {organize.KAGGLE_IMAGES}/{lacking}: name .*, or unzip it again \(unzip"
    )
    with pytest.raises(FileNotFoundError, match=message):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")


def test_a_list_of_training_images_that_is_none_is_to_be_unzipped(download: Path, tmp_path: Path):
    (download / organize.KAGGLE_TRAIN_LIST).write_text("404 not found\n")
    with pytest.raises(ValueError, match=r"train_cls\.txt gives no counts, .*: unzip it again$"):
        organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", ".DS_Store"])
def test_what_finder_or_windows_leaves_behind_is_passed_over(
    download: Path, tmp_path: Path, name: str
):
    for folder in ("train", f"train/{WNIDS[0]}", "val"):
        (download / organize.KAGGLE_IMAGES / folder / name).write_bytes(b"")
    train, validation = organize.adopt_kaggle(download, tmp_path / "train", tmp_path / "val")
    assert (train.moved, validation.moved) == (9, 12)
    assert organize.survey_folders(tmp_path / "train").counts == dict.fromkeys(WNIDS, 3)
