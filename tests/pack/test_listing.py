"""Lists made from folders and archives: which images, under which labels, and what is left out."""

from __future__ import annotations

import os
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packing import put, rows

from imnetlib import catalog, pack
from imnetlib.archive import TarIndex, index_tar

FOLDERS = ("9", "10", "1", "01", "a2", "a10")


def labels_by_class(images: pack.ImageList) -> dict[str, float]:
    """The label of each class that has images, by the folder of their paths."""
    return {path.split("/")[0]: label for _, (label,), path in rows(images)}


def heard(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(warning.message) for warning in caught]


# Lists made from folders.


def test_images_and_classes_come_in_natural_order(tmp_path: Path):
    put(tmp_path, ["n2/a_10.JPEG", "n2/a_9.JPEG", "n2/a_009.JPEG", "n10/c.jpg"])
    (tmp_path / "n10" / "gone.png").symlink_to("nowhere")
    images = pack.list_folder(str(tmp_path))
    names = ["n2/a_009.JPEG", "n2/a_9.JPEG", "n2/a_10.JPEG", "n10/c.jpg", "n10/gone.png"]
    assert [path for _, _, path in rows(images)] == names
    assert images.classes == ("n2", "n10")
    assert images.labels[:, 0].tolist() == [0, 0, 0, 1, 1]


def test_folders_called_by_numbers_have_them_as_labels(tmp_path: Path):
    put(tmp_path, [f"{number}/a.jpg" for number in range(1000)])
    images = pack.list_folder(tmp_path)
    assert images.classes == tuple(map(str, range(1000)))
    assert labels_by_class(images) == {str(number): number for number in range(1000)}


def test_equal_numbers_written_differently_have_one_order(tmp_path: Path):
    put(tmp_path, [f"{name}/a.jpg" for name in FOLDERS])
    assert pack.list_folder(tmp_path).classes == ("01", "1", "9", "10", "a2", "a10")


def test_what_is_left_out_is_told_kind_by_kind(tmp_path: Path):
    put(tmp_path, ["n1/a.jpg", "n1/b.webp", "n1/c.WEBP", "n1/d.tif", "n1/Thumbs.db", "n1/e"])
    put(tmp_path, ["n1/.DS_Store", ".hidden/f.jpg", "n1/sub/g.jpg", "n1/h.jpg/i.jpg", "loose.jpg"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        images = pack.list_folder(tmp_path)
    takes = "; the argument extensions takes them (imnet list: --extensions)"
    assert heard(caught) == [
        f"{tmp_path}: {kind}"
        for kind in (
            f".tif files are left out: 1, such as n1/d.tif{takes}",
            f".webp files are left out: 2, such as n1/b.webp{takes}",
            "files beside the class folders are left out: 1, such as loose.jpg",
            "folders within class folders are left out: 2, such as n1/h.jpg",
            "names that begin with a dot are left out: 2, such as .hidden",
            "other files are left out: 2, such as n1/Thumbs.db",
        )
    ]
    assert images.paths.tolist() == [b"n1/a.jpg"]


def test_other_extensions_may_be_taken(tmp_path: Path):
    put(tmp_path, ["n1/a.webp", "n1/b.WebP", "n1/c.tif"])
    images = pack.list_folder(tmp_path, extensions=(".WEBP", ".tif"))
    assert images.paths.tolist() == [b"n1/a.webp", b"n1/b.WebP", b"n1/c.tif"]
    flat = pack.list_flat_folder(
        put(tmp_path / "flat", ["v_1.webp", "v_2.webp"]), ["x", "y"], extensions=[".webp"]
    )
    assert rows(flat) == [(0, [0.0], "v_1.webp"), (1, [1.0], "v_2.webp")]


@pytest.mark.parametrize("extensions", [["jpg"], [".jpg", ""], ["."], []])
def test_extensions_that_are_none_are_refused(tmp_path: Path, extensions: list[str]):
    with pytest.raises(ValueError, match=r"extensions are a sequence such as \('.jpg', '.webp'\)"):
        pack.list_folder(tmp_path, extensions=extensions)
    with pytest.raises(
        TypeError, match=r"extensions are several, in a list or a tuple, not '\.jpg'"
    ):
        pack.list_folder(tmp_path, extensions=".jpg")


def test_a_flat_folder_leaves_out_what_is_no_image(tmp_path: Path):
    put(tmp_path, ["v_1.JPEG", "v_2.JPEG", "README.txt", "v_3.webp", ".v_4.JPEG", "sub/v_5.JPEG"])
    with pytest.warns(UserWarning, match=f"{tmp_path}: ") as caught:
        images = pack.list_flat_folder(str(tmp_path), np.array(["y", "x"]))
    assert rows(images) == [(0, [1.0], "v_1.JPEG"), (1, [0.0], "v_2.JPEG")]
    assert [message.split(": ")[1] for message in heard(caught)] == [
        *(".webp files are left out", "folders are left out"),
        *("names that begin with a dot are left out", "other files are left out"),
    ]


@pytest.mark.parametrize("name", ["v_99999999999999999999.JPEG", "v_3.JPEG", "v_1.JPG", "v.JPEG"])
def test_a_flat_folder_with_another_number_is_refused(tmp_path: Path, name: str):
    put(tmp_path, ["v_1.JPEG", name])
    with pytest.raises(
        ValueError, match=r"should hold 2 images numbered from 1, .* it holds 2, fr"
    ):
        pack.list_flat_folder(tmp_path, ["x", "y"])


def test_names_that_are_no_utf8_stay_what_they_are(tmp_path: Path):
    put(tmp_path, ["a/1.jpg"])
    (tmp_path / "a" / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    assert pack.list_folder(tmp_path).paths.tolist() == [b"a/1.jpg", b"a/\xff.jpg"]


def test_folders_without_images_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pack.list_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no folders: put the images of each class in one"):
        pack.list_folder(tmp_path)
    put(tmp_path, ["a/1.jpg"])
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match=r"1 of 2 class folders hold no image \(b\)"):
        pack.list_folder(tmp_path)
    # Where the order is given, nothing is shifted.
    given = pack.list_folder(tmp_path, ["c", "b", "a"])
    assert rows(given) == [(0, [2.0], "a/1.jpg")]
    assert pack.list_folder(tmp_path, ["a"]).labels.tolist() == [[0.0]]
    (tmp_path / "a" / "1.jpg").unlink()
    with pytest.raises(ValueError, match=r"2 of 2 class folders hold no image \(a, b\)"):
        pack.list_folder(tmp_path, ["a", "b"])


# Lists made from archives.


def tar(path: Path, folder: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.add(folder / name, name)
    return path


def test_a_tar_of_tars_gives_classes(tmp_path: Path):
    put(tmp_path, ["2.jpg", "1.jpg", "3.jpg"])
    for wnid, name in (("n3", ["1.jpg"]), ("n1", ["3.jpg", "2.jpg"])):
        tar(tmp_path / f"{wnid}.tar", tmp_path, name)
    index = index_tar(tar(tmp_path / "train.tar", tmp_path, ["n3.tar", "n1.tar"]))
    images = pack.list_archive(index)
    assert rows(images) == [(0, [1], "n3/1.jpg"), (1, [0], "n1/3.jpg"), (2, [0], "n1/2.jpg")]
    assert images.classes == ("n1", "n3")
    given_order = pack.list_archive(index, classes=["n3", "n2", "n1"])
    assert given_order.labels[:, 0].tolist() == [0, 2, 2]
    assert given_order.classes == ("n3", "n2", "n1")
    with pytest.raises(ValueError, match=r"train\.tar holds 1 classes that have no label: n3"):
        pack.list_archive(index, classes=["n1", "n2"])
    with pytest.raises(ValueError, match=r"of these 4 only 2 differ"):
        pack.list_archive(index, classes=["n3", "n1", "n3", "n1"])
    with pytest.raises(ValueError, match=r"the labels of validation images do not belong to it"):
        pack.list_archive(index, ["n3", "n1", "n3"])


def test_a_flat_tar_is_labelled_by_number_whatever_its_order(tmp_path: Path):
    files = [f"ILSVRC2012_val_{n:08d}.JPEG" for n in (3, 1, 4, 2)]
    index = index_tar(tar(tmp_path / "val.tar", put(tmp_path, files), files))
    images = pack.list_archive(index, ["n7", "n5", "n7", "n6"])
    assert rows(images) == [
        (n, [label], f"ILSVRC2012_val_{n + 1:08d}.JPEG") for n, label in enumerate([2, 0, 2, 1])
    ]
    assert images.classes == ("n5", "n6", "n7")
    for wnids in (["n7"] * 3, ["n7"] * 5):
        with pytest.raises(
            ValueError, match=rf"val\.tar should hold {len(wnids)} images .*it holds 4, from"
        ):
            pack.list_archive(index, wnids)
    with pytest.raises(ValueError, match=r"give the class of each image \(imnet list: --labels\)"):
        pack.list_archive(index)


@pytest.mark.parametrize("listed", [pack.list_folder, lambda path: pack.list_archive(tarred(path))])
def test_images_called_by_the_class_of_another_folder_are_named(
    tmp_path: Path, listed: Callable[[Path], pack.ImageList]
):
    """A folder that is no wnid has no images of other classes by their names."""
    names = ["n00000001/n00000001_1.jpg", "n00000001/n00000002_10.jpg", "n00000001/n00000002.jpg"]
    names += ["dogs/n00000002_3.jpg", "n00000002/a.jpg", "n00000002/n000000012_1.jpg"]
    put(tmp_path / "images", names)
    with pytest.warns(UserWarning, match="another class") as caught:
        images = listed(tmp_path / "images")
    where = "images.tar" if listed is not pack.list_folder else "images"
    assert heard(caught) == [
        f"{tmp_path}/{where}: 1 images are called by another class than their folder, such as "
        "n00000001/n00000002_10.jpg; they get the label of the folder"
    ]
    assert len(images) == 6


def tarred(folder: Path) -> TarIndex:
    """The index of a tar of all files of ``folder``, class folders and loose ones."""
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    return index_tar(tar(folder.with_suffix(".tar"), folder, names))


@pytest.mark.parametrize("from_tar", [False, True])
def test_names_that_end_in_another_class_than_their_label_are_refused(
    tmp_path: Path, from_tar: bool
):
    """As ImageNet's parquet release names them."""
    wnids = ["n00000001", "n00000002", "n00000002"]
    images = put(tmp_path / "val", [f"v_{n}_{wnid}.JPEG" for n, wnid in enumerate(wnids, 1)])
    index = tarred(images)

    def listed(labels: list[str]) -> pack.ImageList:
        if from_tar:
            return pack.list_archive(index, labels)
        return pack.list_flat_folder(images, labels)

    assert listed(wnids).labels[:, 0].tolist() == [0, 1, 1]
    message = (
        r"2 of 3 names end in another class than the labels give them, first v_1_n00000001\.JPEG "
        "of n00000002: the labels are those of other images"
    )
    with pytest.raises(ValueError, match=message):
        listed(["n00000002", "n00000002", "n00000001"])


@pytest.mark.parametrize("flat", [False, True])
def test_an_archive_leaves_out_what_a_folder_does(tmp_path: Path, flat: bool):
    names = ["1.JPEG", "2.jpg", "3.webp", ".4.jpg", "notes.txt", "g", "5.jpg.part"]
    folder = put(tmp_path / "images", names if flat else [f"n1/{name}" for name in names])
    if not flat:
        put(folder, ["n2/6.PNG", "README.txt", "synset.txt", "labels.csv"])
    with pytest.warns(UserWarning, match="are left out") as caught:
        images = pack.list_archive(tarred(folder), ["x", "y"] if flat else None)
    expected = ["1.JPEG", "2.jpg"] if flat else ["n1/1.JPEG", "n1/2.jpg", "n2/6.PNG"]
    assert images.paths.tolist() == [name.encode() for name in expected]
    first = "5.jpg.part" if flat else "README.txt"
    prefix = "" if flat else "n1/"
    assert heard(caught) == [
        f"{tmp_path}/images.tar: {kind}"
        for kind in (
            f".webp files are left out: 1, such as {prefix}3.webp; the argument extensions takes "
            "them (imnet list: --extensions)",
            f"names that begin with a dot are left out: 1, such as {prefix}.4.jpg",
            f"other files are left out: {3 if flat else 6}, such as {first}",
        )
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["train/n1/1.jpg", "train/n2/2.jpg", "val/v_1.jpg"],
            "holds 1 images of no class, first val/v_1.jpg: unpack it, then list each folder of "
            r"class folders \(train/ and val/, say\) by itself",
        ),
        (["n1/1.jpg", "n2/2.txt"], r"1 of 2 class folders hold no image \(n2\)"),
        (["n1/1.webp", "n2/2.txt"], r"2 of 2 class folders hold no image \(n1, n2\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:.* are left out")
def test_an_archive_with_images_of_no_class_or_classes_of_no_image_is_refused(
    tmp_path: Path, names: list[str], message: str
):
    index = tarred(put(tmp_path / "images", names))
    with pytest.raises(ValueError, match=message):
        pack.list_archive(index)


def test_what_is_no_file_is_left_out(tmp_path: Path):
    """Packing would wait for the other end of a pipe."""
    put(tmp_path, ["n1/a.jpg"])
    os.mkfifo(tmp_path / "n1" / "b.jpg")
    (tmp_path / "n1" / "c.jpg").symlink_to("b.jpg")
    (tmp_path / "n1" / "d.jpg").symlink_to("/dev/zero")
    (tmp_path / "n1" / "e.jpg").symlink_to("a.jpg")
    with pytest.warns(
        UserWarning, match="pipes, sockets and devices are left out: 3, such as n1/b.jpg$"
    ):
        images = pack.list_folder(tmp_path)
    assert images.paths.tolist() == [b"n1/a.jpg", b"n1/e.jpg"]


def test_a_link_to_itself_is_a_file_that_packing_will_name(tmp_path: Path):
    (tmp_path / "n1").mkdir()
    (tmp_path / "n1" / "a.JPEG").touch()
    for loop in (tmp_path / "n1" / "loop.JPEG", tmp_path / "loop"):
        loop.symlink_to(loop)
    with pytest.warns(
        UserWarning, match="files beside the class folders are left out: 1, such as loop"
    ):
        images = pack.list_folder(tmp_path)
    assert images.paths.tolist() == [b"n1/a.JPEG", b"n1/loop.JPEG"]


def test_the_classes_of_an_archive_come_in_natural_order():
    index = an_index(dict.fromkeys(sorted(FOLDERS), 2))
    images = pack.list_archive(index)
    assert images.classes == ("01", "1", "9", "10", "a2", "a10")
    expected = {name: float(images.classes.index(name)) for name in FOLDERS}
    assert labels_by_class(images) == expected
    flat = an_index({"": 3})
    assert pack.list_archive(flat, ["10", "9", "9"]).classes == ("9", "10")


# Classes at hand that have no label.


def an_index(counts: dict[str, int]) -> TarIndex:
    """Of an archive that is nowhere: so many members of each class, or of none."""
    names = [
        f"{name}/v_{n}.JPEG".lstrip("/").encode()
        for name, count in counts.items()
        for n in range(1, count + 1)
    ]
    of_none = list(counts) == [""]
    positions = (
        np.full(len(names), -1)
        if of_none
        else np.repeat(np.arange(len(counts)), list(counts.values()))
    )
    zeros = np.zeros(len(names), np.int64)
    class_names = () if of_none else tuple(counts)
    return TarIndex(
        Path("val.tar"), np.array(names), zeros, zeros, positions.astype(np.int32), class_names, 0
    )


def test_the_validation_images_over_the_21841_classes():
    """The teddy, n04399382, is one of the 1,000 and none of the 21,841."""
    wnids = catalog.validation_wnids()
    classes = catalog.wnids_21k()
    index = an_index({"": 50_000})
    with pytest.raises(
        ValueError, match=r"1 classes that have no label: n04399382: name them"
    ) as refused:
        pack.list_archive(index, wnids, classes)
    assert "keep their images with label -1, or omit them (imnet list: --unknown)" in str(
        refused.value
    )
    named = r"val\.tar: 50 images of 1 classes that have no label \(n04399382\)"
    with pytest.warns(UserWarning, match=rf"{named} get label -1"):
        kept = pack.list_archive(index, wnids, classes, unknown="keep")
    with pytest.warns(UserWarning, match=rf"{named} are left out"):
        omitted = pack.list_archive(index, wnids, classes, unknown="omit")
    teddies = [number for number, wnid in enumerate(wnids) if wnid == "n04399382"]
    assert np.flatnonzero(kept.labels[:, 0] == -1).tolist() == teddies
    assert kept.classes == omitted.classes == classes
    assert rows(omitted) == [row for row in rows(kept) if row[1] != [-1.0]]
    assert all(classes[int(label)] == wnids[number] for number, (label,), _ in rows(omitted))


def from_class_folders(folder: Path, **options: Any) -> pack.ImageList:
    put(folder, ["x/1.jpg", "w/1.jpg", "w/2.jpg", "y/1.jpg"])
    return pack.list_folder(folder, **options)


def from_flat_folder(folder: Path, wnids: list[str], **options: Any) -> pack.ImageList:
    put(folder, [f"v_{number}.jpg" for number in range(1, 5)])
    return pack.list_flat_folder(folder, ["w", "w", "x", "y"], wnids, **options)


def from_archive(_: Path, wnids: list[str], **options: Any) -> pack.ImageList:
    return pack.list_archive(an_index({"w": 2, "x": 1, "y": 1}), classes=wnids, **options)


@pytest.mark.parametrize(
    ("unknown", "labels"), [("keep", {0: -1, 1: -1, 2: 2, 3: 0}), ("omit", {2: 2, 3: 0})]
)
@pytest.mark.parametrize("listed", [from_class_folders, from_flat_folder, from_archive])
def test_images_of_no_class_are_kept_or_omitted(
    tmp_path: Path, listed: Callable[..., pack.ImageList], unknown: str, labels: dict[int, int]
):
    fate = "get label -1" if unknown == "keep" else "are left out"
    message = rf": 2 images of 1 classes that have no label \(w\) {fate}"
    with pytest.warns(UserWarning, match=message):
        images = listed(tmp_path, wnids=["y", "z", "x"], unknown=unknown)
    assert {number: label for number, (label,), _ in rows(images)} == labels
    assert images.classes == ("y", "z", "x")


def test_what_leaves_no_image_or_is_no_choice_is_refused(tmp_path: Path):
    put(tmp_path, ["x/1.jpg", "w/1.jpg"])
    for unknown in ("keep", "omit"):
        with pytest.raises(ValueError, match=r"none of the classes of .* \(w, x\) is .* \(A, B\)"):
            pack.list_folder(tmp_path, ["A", "B"], unknown=unknown)
    with pytest.raises(ValueError, match="unknown is refuse, keep or omit, not 'skip'"):
        pack.list_folder(tmp_path, ["x"], unknown="skip")


def test_types_that_would_be_misread_are_refused(tmp_path: Path):
    put(tmp_path, ["x/1.jpg"])
    with pytest.raises(TypeError, match="classes are several, in a list or a tuple, not 'synset"):
        pack.list_folder(tmp_path, "synset.txt")
    with pytest.raises(
        TypeError, match=r"index is a TarIndex \(archive\.open_index gives one\), not"
    ):
        pack.list_archive(tmp_path / "train.tar")
