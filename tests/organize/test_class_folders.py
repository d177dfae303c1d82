"""What extraction and sorting share: the lock, and folders that other libraries can read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from making import tar_of
from small_set import FLAT, LABELS, TRAIN, TRAIN_CLASSES, WNIDS, images_in

from imnetlib import files, organize
from imnetlib.organize import sort_validation


def test_two_at_once_in_one_folder(flat: Path, train: Path, tmp_path: Path):
    """The second is refused before it touches anything; the first goes on."""
    (tmp_path / "out").mkdir()
    with (
        files.exclusive_lock(tmp_path / "out"),
        pytest.raises(OSError, match=r"another process is at work in .*out: run this"),
    ):
        organize.extract_train(train, tmp_path / "out")
    (tmp_path / "val.tar").write_bytes(tar_of(FLAT))
    with files.exclusive_lock(flat):
        with pytest.raises(OSError, match="another process is at work"):
            sort_validation(flat, LABELS)
        with pytest.raises(OSError, match="another process is at work"):
            organize.extract_validation(tmp_path / "val.tar", flat)
    assert images_in(tmp_path / "out") == {}
    organize.extract_train(train, tmp_path / "out")
    assert images_in(tmp_path / "out") == TRAIN


def as_torchvision(folder: Path) -> list[tuple[str, int]]:
    """ImageFolder's documented rule: each folder is a class, with the files of all its levels."""
    endings = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    labelled = []
    for label, wnid in enumerate(classes):
        for _, _, names in os.walk(folder / wnid, followlinks=True):
            labelled += [(name, label) for name in names if name.lower().endswith(endings)]
    return labelled


def as_keras(folder: Path) -> list[tuple[str, int]]:
    """image_dataset_from_directory's rule: the same, but without hidden folders."""
    endings = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    labelled = []
    for label, path in enumerate(classes):
        names = [file.name for file in path.rglob("*")]
        labelled += [(name, label) for name in names if name.lower().endswith(endings)]
    return labelled


@pytest.mark.parametrize("read", [as_torchvision, as_keras])
@pytest.mark.parametrize("link", [False, True], ids=["move", "link"])
def test_other_libraries_read_the_result(
    flat: Path,
    tmp_path: Path,
    train: Path,
    link: bool,
    read: Callable[[Path], list[tuple[str, int]]],
):
    """Labels 0, 1, 2 in the order of the wnids; journal and flat originals do not count."""
    sort_validation(flat, LABELS, link=link)
    labels = {wnid: label for label, wnid in enumerate(sorted(WNIDS))}
    expected = [(name, labels[wnid]) for name, wnid in zip(FLAT, LABELS, strict=True)]
    assert sorted(read(flat)) == sorted(expected)
    organize.extract_train(train, tmp_path / "out")
    expected = [(name, labels[wnid]) for wnid in WNIDS for name in TRAIN_CLASSES[wnid]]
    assert sorted(read(tmp_path / "out")) == sorted(expected)
