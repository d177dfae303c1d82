"""A root by the way its images came: the same two lists, whatever that way is."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from making import put

from imnetlib import catalog, course, organize, pack
from imnetlib.course import sample
from imnetlib.course.root import DATASETS, Root

WAYS = ("kaggle", "parquet", "folders")
# The archive of each.
LARGE_SETS = {"winter21": "winter21_whole.tar.gz", "fall11": "fall11_whole.tar"}


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve classes of the sample, some images each, as archives."""
    folder = tmp_path_factory.mktemp("painted") / "mirror"
    sample.draw(folder, train_per_class=4, validation_per_class=3, classes=12, workers=1)
    return folder


@pytest.fixture(scope="module")
def laid_out(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in every layout, a folder each."""
    folder = tmp_path_factory.mktemp("layouts")
    for like in (*WAYS, *LARGE_SETS):
        sample.lay_out(painted, like, folder / like)
    return folder


@pytest.fixture
def archives(painted: Path, tmp_path: Path) -> Root:
    """A root with the archives of the painted sample."""
    shutil.copytree(painted, tmp_path / "sample" / "archives")
    opened = course.open_root(str(tmp_path / "sample"), "sample")
    return Root(opened.root, sample.load(opened.archives))


def contents(part: course.Part) -> dict[tuple[str, bytes], int]:
    """How often each file stands under each class."""
    images = part.images
    found: dict[tuple[str, bytes], int] = {}
    for label, data in zip(images.labels[:, 0], part.read(range(len(images))), strict=True):
        key = images.classes[int(label)], data
        found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.filterwarnings("ignore:.*has images of 12 classes; ILSVRC2012 has 1,000")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_images_under_the_same_classes(
    way: str, laid_out: Path, archives: Root, tmp_path: Path
):
    opened = course.open_root(str(tmp_path / "root"), source=str(laid_out / way))
    assert opened.way == way
    assert opened.dataset.name == ("your own images" if way == "folders" else "ILSVRC2012")
    expected = course.training_and_validation(archives)
    for part, other in zip(course.training_and_validation(opened), expected, strict=True):
        assert part.images.classes == other.images.classes
        assert contents(part) == contents(other)
    # The mark alone says it the next time.
    assert course.open_root(str(tmp_path / "root")) == opened


@pytest.fixture
def large(request: pytest.FixtureRequest, laid_out: Path, tmp_path: Path) -> Root:
    """A root that has fetched the archives of a large set's miniature."""
    shutil.copytree(laid_out / request.param, tmp_path / "mirror")
    opened = course.open_root(str(tmp_path))
    opened.archives.mkdir()
    for archive in course.to_fetch(opened):
        shutil.copy(opened.mirror / archive.name, opened.archives)
    return opened


@pytest.mark.parametrize("large", LARGE_SETS, indirect=True)
def test_a_large_set_is_judged_on_ilsvrc_whose_missing_class_is_named(large: Root):
    assert large.dataset.classes == 11
    own, *_ = large.dataset.archives
    assert own.name == LARGE_SETS[large.dataset.name]
    (index,) = course.index_training(large)
    assert len(index.class_names) == 11
    assert course.index_training(large) == []
    with pytest.warns(UserWarning, match=r"3 images of 1 classes .* get label -1"):
        train, validation = course.training_and_validation(large)
    assert set(train.images.classes) == set(index.class_names) == set(large.wnids)
    labels = validation.images.labels[:, 0]
    assert np.count_nonzero(labels == -1) == 3
    judged = {validation.images.classes[int(label)] for label in labels[labels >= 0]}
    assert judged <= set(catalog.wnids_1k())


@pytest.mark.filterwarnings("ignore:.*get label -1")
def test_the_large_sets_hold_the_same_images(laid_out: Path, tmp_path: Path):
    parts = []
    for like in LARGE_SETS:
        shutil.copytree(laid_out / like, tmp_path / like / "mirror")
        shutil.copytree(laid_out / like, tmp_path / like / "archives")
        opened = course.open_root(str(tmp_path / like))
        course.index_training(opened)
        parts.append(course.training_and_validation(opened))
    for one, other in zip(*parts, strict=True):
        assert one.images.classes == other.images.classes
        assert one.images.paths.tolist() == other.images.paths.tolist()
        assert one.read(range(len(one.images))) == other.read(range(len(other.images)))


@pytest.mark.parametrize("large", LARGE_SETS, indirect=True)
def test_an_archive_that_stays_packed_is_surveyed_in_place(
    large: Root, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    course.index_training(large)
    assert course.lesson_archives(large, most_gb=1) == large
    monkeypatch.setattr(sample, "draw", lambda *_, **settings: settings)
    lesson = course.lesson_archives(large, most_gb=0)
    assert lesson.root == large.root / ".lesson"
    said = f"{large.training_archive.name} stays packed: 0.0 GB, more than 0."
    assert said in capsys.readouterr().out
    in_place = course.surveys(large, unpacked=False)
    assert not large.train.parent.exists()

    organize.extract_train(large.training_archive, large.train)
    organize.extract_validation(large.archives / catalog.VALIDATION_TAR, large.validation)
    wnids = organize.labels_from_devkit(large.archives / catalog.DEVKIT)
    organize.sort_validation(large.validation, wnids)
    for packed, folders in zip(in_place, course.surveys(large), strict=True):
        assert packed.counts == folders.counts
        assert packed.bytes == folders.bytes
        names = [{(file.path.name, file.what) for file in s.strange} for s in (packed, folders)]
        assert names[0] == names[1]


def test_an_archive_of_another_set_is_refused(archives: Root):
    other = Root(archives.root, catalog.ILSVRC2012)
    with pytest.raises(ValueError, match=r"has images of 12 classes; ILSVRC2012 has 1,000: is it"):
        course.training_and_validation(other)


def test_class_folders_without_a_validation_set_hold_a_tenth_of_each_class_out(
    tmp_path: Path, laid_out: Path
):
    for number in range(3):
        folder = tmp_path / "photos" / f"kind {number}"
        folder.mkdir(parents=True)
        for image in range(20):
            (folder / f"{image}.jpg").write_bytes(b"%d" % image)
    opened = course.open_root(str(tmp_path / "root"), source=str(tmp_path / "photos"))
    train, validation = course.training_and_validation(opened)
    assert (len(train.images), len(validation.images)) == (54, 6)
    assert np.bincount(validation.images.labels[:, 0].astype(int)).tolist() == [2, 2, 2]
    assert train.images.classes == ("kind 0", "kind 1", "kind 2")
    lists = tmp_path / "lists"
    pack.write_lst(train.images, lists / "own.lst")
    shutil.copytree(tmp_path / "photos", lists, dirs_exist_ok=True)
    listed = course.open_root(str(tmp_path / "other"), source=str(lists / "own.lst"))
    assert (listed.way, listed.dataset.name) == ("list", "your own images")
    train, validation = course.training_and_validation(listed)
    assert (len(train.images), len(validation.images)) == (48, 6)
    assert train.images.classes == ("kind 0", "kind 1", "kind 2")


@pytest.mark.filterwarnings("ignore:.*has images of 12 classes; ILSVRC2012 has 1,000")
def test_a_half_unzipped_kaggle_download_is_refused(laid_out: Path, tmp_path: Path):
    shutil.copytree(laid_out / "kaggle", tmp_path / "kaggle")
    opened = course.open_root(str(tmp_path / "root"), source=str(tmp_path / "kaggle"))
    train = opened.class_folders
    folder = min(train.iterdir())
    min(folder.iterdir()).unlink()
    with pytest.raises(ValueError, match=rf"for 1 of 12 classes \({folder.name}\): unzip"):
        course.training_and_validation(opened)
    shutil.rmtree(train)
    with pytest.raises(FileNotFoundError, match="lacks ILSVRC/Data/CLS-LOC/train: name the folder"):
        course.training_and_validation(opened)


@pytest.mark.filterwarnings("ignore:.*has images of 12 classes; ILSVRC2012 has 1,000")
@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize(
    ("others", "error", "message"),
    [
        (
            ["{}-00000-of-00003.parquet", "{}-00002-of-00003.parquet"],
            FileNotFoundError,
            "2 of 3 {0} files are here; missing: {0}-00001-of-00003.parquet: fetch",
        ),
        (
            ["{}-00000-of-00002-0abc.parquet"],
            FileNotFoundError,
            "1 of 2 {0} files are here; missing: {0}-00001-of-00002.parquet: fetch",
        ),
        (
            ["{}-00000-of-00001.parquet", "small/{}-00000-of-00001.parquet"],
            ValueError,
            "several sets of {0} files .*/data/small/{0}-.*, .*/data/{0}-.*: name the folder",
        ),
        (
            ["{}-00000-of-00001.parquet", "{}-00000-of-00002.parquet"],
            ValueError,
            "several sets of {0} files .*-of-00001.parquet, .*-of-00002.parquet.: name the folder",
        ),
        ([], FileNotFoundError, "has no {0}-….parquet: fetch ILSVRC/imagenet-1k whole"),
    ],
)
def test_parquet_files_are_one_whole_set(
    part: str, others: list[str], error: type, message: str, laid_out: Path, tmp_path: Path
):
    source = tmp_path / "parquet"
    shutil.copytree(laid_out / "parquet", source)
    opened = course.open_root(str(tmp_path / "root"), source=str(source))
    (whole,) = (source / "data").glob(f"{part}-*.parquet")
    data = whole.read_bytes()
    whole.unlink()
    put(source / "data", {name.format(part): data for name in others})
    with pytest.raises(error, match=message.format(part)):
        course.training_and_validation(opened)


@pytest.mark.filterwarnings("ignore:.*has images of 12 classes; ILSVRC2012 has 1,000")
@pytest.mark.parametrize(
    "name", [organize.KAGGLE_CLASSES, organize.KAGGLE_LABELS, f"{organize.KAGGLE_IMAGES}/val"]
)
def test_what_kaggles_download_lacks_is_named(name: str, laid_out: Path, tmp_path: Path):
    shutil.copytree(laid_out / "kaggle", tmp_path / "kaggle")
    opened = course.open_root(str(tmp_path / "root"), source=str(tmp_path / "kaggle"))
    lost = tmp_path / "kaggle" / name
    lost.rename(tmp_path / "lost")
    with pytest.raises(FileNotFoundError, match=rf"kaggle lacks {name}: name the folder .*unzip"):
        course.training_and_validation(opened)


def test_two_validation_sets_of_class_folders_are_refused(laid_out: Path, tmp_path: Path):
    shutil.copytree(laid_out / "folders", tmp_path / "photos")
    (tmp_path / "photos" / "validation").mkdir()
    opened = course.open_root(str(tmp_path / "root"), source=str(tmp_path / "photos"))
    several = "has several validation sets .*/val, .*/validation.: move one away"
    with pytest.raises(ValueError, match=several):
        course.training_and_validation(opened)


@pytest.mark.parametrize("there", ["", "photos/a.jpg"])
def test_a_list_whose_images_lie_elsewhere_is_refused(there: str, tmp_path: Path):
    put(tmp_path, {there: b"an image"} if there else {})
    names = [f"photos/{name}.jpg" for name in "abc"]
    lst = tmp_path / "own.lst"
    lst.write_text("".join(f"{i}\t0\t{name}\n" for i, name in enumerate(names)))
    opened = course.open_root(str(tmp_path / "root"), source=str(lst))
    missing = "2 of the list's 3" if there else "3 of the list's 3"
    with pytest.raises(FileNotFoundError, match=f"{missing} .*own.lst start at its own folder"):
        course.disk_budgets(opened, 10**9)


@pytest.mark.filterwarnings("ignore:.*has images of 12 classes; ILSVRC2012 has 1,000")
@pytest.mark.parametrize("way", WAYS)
def test_images_that_are_here_already_need_room_for_records_alone(
    way: str, laid_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    opened = course.open_root(str(tmp_path / "root"), source=str(laid_out / way))
    budgets = course.disk_budgets(opened, 10**9)
    assert list(budgets) == ["yours", "ILSVRC2012", "full"]
    archives, folders, records, _ = budgets["yours"]
    assert (archives.needs, folders.needs) == (0, 0)
    parts = course.training_and_validation(opened)
    size = sum(len(data) for part in parts for data in part.read(range(len(part.images))))
    assert records.needs == pytest.approx(size + 84 * 32, rel=0.02)
    words = {"kaggle": "Kaggle's download", "parquet": "parquet files", "folders": "class folders"}
    said = f"48 training and 36 validation images in {laid_out / way} ({words[way]})\n"
    assert capsys.readouterr().out == said
    assert course.to_fetch(opened) == ()
    assert "nothing to fetch: the images are in " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["winter21", "ILSVRC2012"])
def test_budgets_begin_with_the_root_and_name_each_set_once(name: str, tmp_path: Path):
    budgets = course.disk_budgets(Root(tmp_path, DATASETS[name]), 0)
    needs = {budget: steps[0].needs for budget, steps in budgets.items()}
    assert next(iter(needs)) == DATASETS[name].name
    of_real = {"ILSVRC2012": catalog.ILSVRC2012.bytes, "full": catalog.IMAGENET21K.bytes}
    assert needs == {DATASETS[name].name: DATASETS[name].bytes} | of_real


@pytest.mark.parametrize("name", [name for name, data in DATASETS.items() if data.archives])
def test_an_archive_that_nobody_offers_must_be_there(name: str, tmp_path: Path):
    held = DATASETS[name]
    opened = Root(tmp_path, dataclasses.replace(held, name="renamed"))
    if held.url:
        assert course.to_fetch(opened) == held.archives
        return
    own, *others = held.archives
    with pytest.raises(FileNotFoundError, match=rf"{own.name} is no longer offered: put yours in"):
        course.to_fetch(opened)
    opened.archives.mkdir()
    (opened.archives / own.name).touch()
    assert course.to_fetch(opened) == tuple(others)


@pytest.mark.parametrize(
    ("held", "there", "found"),
    [
        ("ILSVRC2012", "winter21_whole.tar", "winter21"),
        ("winter21", "fall11_whole.tar", "fall11"),
        ("winter21", "ILSVRC2012_img_train.tar", "ILSVRC2012"),
        ("fall11", "winter21_whole.tar.gz", "winter21"),
    ],
)
def test_archives_of_another_set_are_named_before_the_network_is_asked(
    held: str, there: str, found: str, tmp_path: Path
):
    opened = Root(tmp_path, DATASETS[held])
    put(opened.archives, {there: b""})
    with pytest.raises(ValueError, match=rf"archives holds archives of {found}, and this root is"):
        course.to_fetch(opened)


@pytest.mark.filterwarnings("ignore:.*has images of 12 classes; ILSVRC2012 has 1,000")
@pytest.mark.parametrize("way", WAYS)
def test_what_there_is_is_surveyed_in_every_way(way: str, laid_out: Path, tmp_path: Path):
    opened = course.open_root(str(tmp_path / "root"), source=str(laid_out / way))
    train, *others = course.surveys(opened)
    assert sum(train.counts.values()) == 48
    assert not train.wrong
    assert [sum(survey.counts.values()) for survey in others] == [36]
    assert {file.what for file in train.strange} >= {"PNG", "truncated"}


def test_a_source_that_was_there_once_is_gone(laid_out: Path, tmp_path: Path):
    shutil.copytree(laid_out / "folders", tmp_path / "photos")
    opened = course.open_root(str(tmp_path / "root"), source=str(tmp_path / "photos"))
    (tmp_path / "photos").rename(tmp_path / "moved")
    with pytest.raises(
        FileNotFoundError, match="photos, where the images of this root lay, is gone"
    ):
        course.training_and_validation(opened)


def test_a_lesson_without_archives_takes_painted_ones(
    laid_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    opened = course.open_root(str(tmp_path / "root"), source=str(laid_out / "folders"))
    lesson = course.lesson_archives(opened, most_gb=200)
    assert lesson.root == opened.root / ".lesson"
    assert lesson.training_archive.exists()
    assert "a small painted sample" in capsys.readouterr().out
