"""The classes of labels go along: from a list to its file, back, and into the shards' folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packing import SMALL, contents, listed

from imnetlib.pack import CLASSES, Folder, ImageList, classes, pack, read_lst, write_lst

NAMES = ("golden retriever", "pug", "Ähre")


def of_labels(labels: list[float], names: tuple[str, ...] = NAMES) -> ImageList:
    paths = [f"{number}.jpg" for number in range(len(labels))]
    return ImageList(range(len(labels)), [[label] for label in labels], paths, names)


def test_they_are_kept_beside_the_list_and_found_there(tmp_path: Path):
    write_lst(of_labels([2, 0, -1]), tmp_path / "a.lst")
    assert (tmp_path / CLASSES).read_text(encoding="utf-8") == "golden retriever\npug\nÄhre\n"
    again = read_lst(tmp_path / "a.lst")
    assert (again.classes, again.labels.tolist()) == (NAMES, [[2.0], [0.0], [-1.0]])
    assert read_lst(tmp_path / "a.lst", ()).classes == ()
    assert read_lst(tmp_path / "a.lst", ["x", "y", "z"]).classes == ("x", "y", "z")


def test_lists_of_a_folder_share_them_in_any_writing(tmp_path: Path):
    (tmp_path / CLASSES).write_text("n01440764 tench\r\nn02510455 giant panda\r\n\r\n")
    before = (tmp_path / CLASSES).read_bytes()
    wnids = ("n01440764", "n02510455")
    for name in ("a.lst", "b.lst"):
        write_lst(of_labels([1], wnids), tmp_path / name)
        assert read_lst(tmp_path / name).classes == wnids
    assert (tmp_path / CLASSES).read_bytes() == before


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (NAMES[:2], " has 3 classes, not 2"),
        ((NAMES[1], NAMES[0], NAMES[2]), ": class 0 is golden retriever there, pug here"),
    ],
)
def test_a_list_of_other_classes_is_refused_and_changes_nothing(
    tmp_path: Path, names: tuple[str, ...], message: str
):
    write_lst(of_labels([2]), tmp_path / "a.lst")
    before = contents(tmp_path)
    remedy = ": take another folder, or remove this file if nothing beside it needs it"
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path / CLASSES}{message}{remedy}")):
        write_lst(of_labels([1], names), tmp_path / "a.lst")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("label", [3, -2, 0.5, 1e9])
def test_a_label_of_no_class_is_refused_with_list_and_classes(tmp_path: Path, label: float):
    no_position = (
        f"image 1 has the label {label:g}; the 3 classes are 0 to 2, and -1 is none of them"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(no_position)}$"):
        of_labels([0, label])
    write_lst(of_labels([0, label], ()), tmp_path / "a.lst")
    assert read_lst(tmp_path / "a.lst").classes == ()
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.lst: {no_position}')}$"):
        read_lst(tmp_path / "a.lst", NAMES)
    (tmp_path / CLASSES).write_text("\n".join(NAMES))
    for_file = f"{no_position} (those of {tmp_path / CLASSES}): take another folder"
    with pytest.raises(ValueError, match=f"^{re.escape(f'{tmp_path}/a.lst: {for_file}')}"):
        read_lst(tmp_path / "a.lst")
    with pytest.raises(ValueError, match=f"^{re.escape(for_file)}"):
        write_lst(of_labels([0, label], ()), tmp_path / "b.lst")
    assert not (tmp_path / "b.lst").exists()


@pytest.mark.parametrize("name", ["a\nb", " a", "", "\udcff"])
def test_a_name_that_cannot_be_kept_is_refused_before_the_list_is_written(
    tmp_path: Path, name: str
):
    with pytest.raises(ValueError, match=f"{CLASSES}.*: rename "):
        write_lst(of_labels([0], (name, "b")), tmp_path / "a.lst")
    assert contents(tmp_path) == {}


def test_a_stop_leaves_no_list_beside_classes_that_are_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before the classes are written, those of the old list and of the new one are unknown."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    write_lst(of_labels([0], ()), tmp_path / "a.lst")
    with monkeypatch.context() as patch:
        patch.setattr(classes, "write_bytes_atomically", stop)
        with pytest.raises(KeyboardInterrupt):
            write_lst(of_labels([2]), tmp_path / "a.lst")
    left = read_lst(tmp_path / "a.lst")
    assert (left.labels.tolist(), left.classes) == ([[2.0]], ())
    write_lst(of_labels([2]), tmp_path / "a.lst")
    assert read_lst(tmp_path / "a.lst").classes == NAMES


def test_shards_take_the_classes_of_the_list_or_those_that_are_there(photos: Path, tmp_path: Path):
    images = listed(photos)
    unnamed = ImageList(images.ids, images.labels, images.paths)
    pack(unnamed, Folder(photos), tmp_path, "a", shards=1, settings=SMALL)
    assert not (tmp_path / CLASSES).exists()
    pack(images, Folder(photos), tmp_path, "b", shards=1, settings=SMALL)
    assert (tmp_path / CLASSES).read_text() == "n00\nn01\n"
    pack(unnamed, Folder(photos), tmp_path, "c", shards=1, settings=SMALL)
    before = contents(tmp_path)
    for labels, names, message in (
        (images.labels, ("n01", "n00"), "class 0 is n00 there, n01 here: take another folder"),
        (
            images.labels + 1,
            (),
            r"has the label 2; the 2 classes are .*synset\.txt\): take another",
        ),
    ):
        other = ImageList(images.ids, labels, images.paths, names)
        with pytest.raises(ValueError, match=message):
            pack(other, Folder(photos), tmp_path, "d", shards=1, settings=SMALL)
    assert contents(tmp_path) == before
