"""torchvision and timm find the same images, labels and classes in folders and archives.

Run by ``make peers``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from making import encoded, photo, put, tree
from torchvision_import import use_torchvision

from imnetlib import organize
from imnetlib.archive import TarReader, index_tar
from imnetlib.catalog import DEVKIT, TRAIN_TAR, VALIDATION_TAR
from imnetlib.course import sample
from imnetlib.pack import ImageList, list_archive, list_folder

torchvision = use_torchvision()
# It imports torchvision.
from timm.data.readers import create_reader  # noqa: E402

WNIDS = ("n02007558", "n01440764", "n03126707", "n02012849")


def rows(images: ImageList) -> list[tuple[str, int]]:
    """Path and label of each image of a list."""
    paths = [os.fsdecode(path) for path in images.paths.tolist()]
    return list(zip(paths, images.labels[:, 0].astype(int).tolist(), strict=True))


def by_torchvision(dataset: object, folder: Path) -> list[tuple[str, int]]:
    """Path and label of each image of a dataset of torchvision."""
    return [(str(Path(path).relative_to(folder)), label) for path, label in dataset.samples]


def by_timm(place: Path) -> tuple[list[tuple[str, int]], list[bytes]]:
    """Path and label of each image that timm finds, and the bytes of each."""
    reader = create_reader("", root=str(place))
    found = []
    data = []
    for number in range(len(reader)):
        file, label = reader[number]
        with file:
            data.append(file.read())
        found.append((reader.filename(number), label))
    return found, data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of photos whose numbers have one, two and three digits."""
    place = tmp_path_factory.mktemp("photos")
    for wnid in WNIDS:
        names = [f"{wnid}_{number}.JPEG" for number in (1, 2, 9, 10, 11, 100)]
        names += [f"{wnid}_{number}.{kind}" for number, kind in ((12, "jpg"), (13, "jpeg"))]
        put(place, {f"{wnid}/{name}": encoded(photo(20, 16, len(name))) for name in names})
        put(place, {f"{wnid}/{wnid}_14.png": encoded(photo(20, 16, 1), "PNG")})
        put(place, {f"{wnid}/notes.txt": b"no image"})
    return place


def test_class_folders_as_timm_reads_them(folder: Path):
    """Names, labels and order."""
    assert by_timm(folder)[0] == rows(list_folder(folder))


def test_class_folders_as_torchvision_reads_them(folder: Path):
    """Names and labels; within a class it sorts 10 before 9."""
    dataset = torchvision.datasets.ImageFolder(folder)
    images = list_folder(folder)
    found = by_torchvision(dataset, folder)
    assert sorted(rows(images)) == found
    assert list(images.classes) == dataset.classes
    assert [label for _, label in rows(images)] == dataset.targets


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's three archives of a small sample."""
    place = tmp_path_factory.mktemp("archives")
    sample.draw(place, classes=6, train_per_class=5, validation_per_class=4, workers=1)
    return place


@pytest.fixture(scope="module")
def unpacked(archives: Path) -> Path:
    """What torchvision's ImageNet makes of the archives: train and val."""
    place = archives.with_name("unpacked")
    shutil.copytree(archives, place)
    stated = torchvision.datasets.imagenet.ARCHIVE_META
    for part, name in (("train", TRAIN_TAR), ("val", VALIDATION_TAR), ("devkit", DEVKIT)):
        stated[part] = (name, hashlib.md5((place / name).read_bytes()).hexdigest())
    for part in ("train", "val"):
        torchvision.datasets.ImageNet(place, part)
    return place


def test_unpacked_and_sorted_as_by_torchvision(archives: Path, unpacked: Path, tmp_path: Path):
    """Every validation image in the folder of its class, every byte."""
    organize.extract_train(archives / TRAIN_TAR, tmp_path / "train")
    assert tree(tmp_path / "train") == tree(unpacked / "train")
    organize.extract_validation(archives / VALIDATION_TAR, tmp_path / "val")
    organize.sort_validation(tmp_path / "val", organize.read_labels(archives / DEVKIT))
    assert tree(tmp_path / "val", organize.JOURNAL) == tree(unpacked / "val")


@pytest.mark.parametrize("part", ["train", "val"])
def test_labels_as_in_torchvisions_imagenet(unpacked: Path, part: str):
    dataset = torchvision.datasets.ImageNet(unpacked, part)
    images = list_folder(unpacked / part)
    assert sorted(rows(images)) == sorted(by_torchvision(dataset, unpacked / part))
    assert list(images.classes) == dataset.wnids


def test_a_tar_of_tars_as_timm_reads_it(archives: Path):
    """Labels and bytes of each file; timm sorts what lies in the order of the archive."""
    index = index_tar(archives / TRAIN_TAR)
    images = list_archive(index)
    with TarReader(index) as reader:
        data = [reader.read(number) for number in range(len(index))]
    ours = zip(rows(images), data, strict=True)
    # timm names a member without its class.
    ours_by_name = {(Path(path).name, label): image for (path, label), image in ours}
    assert dict(zip(*by_timm(archives / TRAIN_TAR), strict=True)) == ours_by_name
    assert len(ours_by_name) == len(images)
