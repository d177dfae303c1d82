"""Image lists against im2rec's own, and what a user relies on when splitting and shuffling."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from im2rec_tool import im2rec

from imnetlib import order, pack, recordio
from imnetlib.archive import index_tar
from imnetlib.pack import ImageList, lst

FILES = [
    "fir tree/a_01.JPEG",
    "fir tree/a_02.jpg",
    "fir tree/ä 3.png",
    "lake/x.Jpg",
    "lake/y.PNG",
    "valley/a.JPG",
]


def a_list(*rows: tuple[int, list[float], str]) -> ImageList:
    ids, labels, paths = zip(*rows, strict=True)
    return ImageList(
        np.array(ids), np.array(labels, np.float32), np.array([path.encode() for path in paths])
    )


def numbered(n: int, classes: int = 3) -> ImageList:
    """Images whose first label follows a skewed distribution and whose second is the position."""
    labels = np.random.default_rng(1).geometric(1 / classes, n)
    return ImageList(
        np.arange(n) + 1000,
        np.stack([labels, np.arange(n)], 1).astype(np.float32),
        np.arange(n).astype("S"),
    )


def rows(images: ImageList) -> list[tuple[int, list[float], str]]:
    columns = images.ids.tolist(), images.labels.tolist(), images.paths.tolist()
    return [(number, labels, path.decode()) for number, labels, path in zip(*columns, strict=True)]


def put(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("images"), [*FILES, "lake/notes.txt"])


# Lists are exchanged with im2rec in both directions.


def test_the_list_of_a_folder_has_the_bytes_of_im2recs(folder: Path, tmp_path: Path) -> None:
    im2rec("--list", "--recursive", "--no-shuffle", tmp_path / "theirs", folder)
    images = pack.list_folder(folder)
    pack.write_lst(images, tmp_path / "ours.lst")
    theirs = (tmp_path / "theirs.lst").read_bytes()
    assert (tmp_path / "ours.lst").read_bytes() == theirs
    assert theirs.startswith(b"0\t0.000000\tfir tree/a_01.JPEG\n")
    read = pack.read_lst(tmp_path / "theirs.lst", images.classes)
    assert (
        rows(read)
        == rows(images)
        == [(n, [float("flv".index(name[0]))], name) for n, name in enumerate(FILES)]
    )
    assert read.classes == ("fir tree", "lake", "valley")


def test_im2rec_packs_from_our_list(folder: Path, tmp_path: Path) -> None:
    images = a_list(*[(7 * n + 3, [n, 0.1, -2.5], name) for n, name in enumerate(FILES)])
    pack.write_lst(images, tmp_path / "a.lst")
    im2rec("--pass-through", "--pack-label", tmp_path / "a", folder)
    reader = recordio.MXIndexedRecordIO(tmp_path / "a.idx", tmp_path / "a.rec", "r")
    packed = [recordio.unpack(reader.read_idx(key)) for key in reader.keys]
    assert [(header.id, header.label.tolist(), data.decode()) for header, data in packed] == rows(
        images
    )


# The .lst format.


def test_both_spellings_and_spaces_around_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.lst"
    path.write_text("0\t0.000000\ta b.jpg\n1\t0\tc.jpg\r\n 2 \t 1.5e1 \t d\t\n".replace("d\t", "d"))
    assert rows(pack.read_lst(path)) == [(0, [0], "a b.jpg"), (1, [0], "c.jpg"), (2, [15], "d")]


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(
    st.integers(1, 3).flatmap(
        lambda k: st.lists(
            st.tuples(
                st.integers(-(2**63), 2**63 - 1), st.lists(floats, min_size=k, max_size=k), names
            ),
            min_size=1,
        )
    )
)
def test_any_list_comes_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, lines: list
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.lst"
    images = a_list(*lines)
    pack.write_lst(images, path)
    again = pack.read_lst(path)
    assert (again.ids.dtype, again.labels.dtype) == (np.int64, np.float32)
    assert rows(again) == rows(images)


def test_long_lists_cross_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lst, "LINES_PER_BLOCK", 7)
    monkeypatch.setattr(lst, "READ_SIZE", 100)
    pack.write_lst(numbered(1000), tmp_path / "a.lst")
    assert rows(pack.read_lst(tmp_path / "a.lst")) == rows(numbered(1000))
    (tmp_path / "a.lst").write_bytes((tmp_path / "a.lst").read_bytes() + b"1\t2\tone label only\n")
    with pytest.raises(
        ValueError, match=r"a\.lst, line 1001: .* 2 label\(s\).*found '1\\t2\\tone label only'"
    ):
        pack.read_lst(tmp_path / "a.lst")


BAD_LINES = [
    *("1\t2", "1", "1\t0\t", "1\t0\t  ", "1\t0\t1\ta.jpg"),
    *("x\t0\ta.jpg", "1.5\t0\ta.jpg", f"{2**63}\t0\ta.jpg"),
    *("1\tcat\ta.jpg", "1\t\ta.jpg", "1\tnan\ta.jpg", "1\t1e39\ta.jpg"),
]


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, bad: str) -> None:
    (tmp_path / "a.lst").write_text(f"0\t1\ta.jpg\n5\t1\tb.jpg\n{bad}\n7\t1\tc.jpg\n")
    with pytest.raises(
        ValueError, match=r"a\.lst, line 3: expected an integer, 1 label\(s\) and a path"
    ) as caught:
        pack.read_lst(tmp_path / "a.lst")
    assert repr(bad) in str(caught.value)


def test_blank_lines_and_an_editors_mark_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.lst"
    path.write_bytes(b"\xef\xbb\xbf0\t1\ta.jpg\r\n\r\n5\t1\tb.jpg\r\n  \r\n")
    images = pack.read_lst(path)
    assert (images.ids.tolist(), images.paths.tolist()) == ([0, 5], [b"a.jpg", b"b.jpg"])
    path.write_bytes(b"0\t1\ta.jpg\n\n\nx\t1\tb.jpg\n")
    with pytest.raises(ValueError, match=r"a\.lst, line 4: .*found 'x\\t1\\tb\.jpg'"):
        pack.read_lst(path)
    path.write_bytes(b"\n \n")
    with pytest.raises(ValueError, match=r"a\.lst names no image"):
        pack.read_lst(path)


def test_a_link_to_itself_is_a_file_that_packing_will_name(tmp_path: Path) -> None:
    (tmp_path / "n1").mkdir()
    (tmp_path / "n1" / "a.JPEG").touch()
    for loop in (tmp_path / "n1" / "loop.JPEG", tmp_path / "loop"):
        loop.symlink_to(loop)
    assert pack.list_folder(tmp_path).paths.tolist() == [b"n1/a.JPEG", b"n1/loop.JPEG"]


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.lst").touch()
    with pytest.raises(ValueError, match=r"a\.lst names no image"):
        pack.read_lst(tmp_path / "a.lst")


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\rb", "a ", " a", "", "a\x0bb", "a\n"])
def test_a_name_the_format_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.lst"
    with pytest.raises(
        ValueError, match=r"a\.lst: .* cannot stand in a \.lst file: rename it"
    ) as caught:
        pack.write_lst(a_list((0, [1], "good"), (1, [1], name), (2, [1], "good, too")), path)
    assert repr(name.encode()) in str(caught.value)
    assert not path.exists()


def test_arrays_that_disagree_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"\(n,\), \(n, k\) and \(n,\), not \(2,\), \(2,\) and \(2,\)"
    ):
        ImageList(np.arange(2), np.zeros(2, np.float32), np.array([b"a", b"b"]))


# Lists made from folders.


def test_scan_takes_images_in_natural_order(tmp_path: Path) -> None:
    put(
        tmp_path,
        ["n2/a_10.JPEG", "n2/a_9.JPEG", "n2/a_009.JPEG", "n2/b.txt", "n2/._a_9.JPEG", "n10/c.jpg"],
    )
    put(tmp_path, ["n2/folder.JPEG/d.jpg", ".hidden/e.jpg", "loose.jpg"])
    (tmp_path / "n10" / "gone.png").symlink_to("nowhere")
    images = pack.list_folder(tmp_path)
    assert [path for _, _, path in rows(images)] == [
        "n10/c.jpg",
        "n10/gone.png",
        "n2/a_009.JPEG",
        "n2/a_9.JPEG",
        "n2/a_10.JPEG",
    ]
    assert images.classes == ("n10", "n2")
    assert images.labels[:, 0].tolist() == [0, 0, 1, 1, 1]


def test_names_that_are_no_utf8_stay_what_they_are(tmp_path: Path) -> None:
    put(tmp_path, ["a/1.jpg"])
    (tmp_path / "a" / os.fsdecode(b"\xff.jpg")).write_bytes(b"")
    assert pack.list_folder(tmp_path).paths.tolist() == [b"a/1.jpg", b"a/\xff.jpg"]


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pack.list_folder(tmp_path / "nowhere")
    put(tmp_path, ["loose.jpg"])
    with pytest.raises(ValueError, match="holds no folders: put the images of each class in one"):
        pack.list_folder(tmp_path)
    put(tmp_path, ["a/1.jpg", "b/notes.txt"])
    with pytest.raises(ValueError, match=r"1 of 2 class folders hold no image \(b\)"):
        pack.list_folder(tmp_path)


# Lists made from archives.


def tar(path: Path, folder: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.add(folder / name, name)
    return path


def test_a_tar_of_tars_gives_classes(tmp_path: Path) -> None:
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


def test_a_flat_tar_is_labelled_by_number_whatever_its_order(tmp_path: Path) -> None:
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


# Shuffling and splitting.


def test_the_shuffle_is_one_fixed_function() -> None:
    assert order.shuffled_positions(10, 7).tolist() == [6, 3, 4, 9, 0, 2, 8, 7, 5, 1]
    images = pack.shuffle(numbered(1000), 5)
    assert sorted(rows(images)) == rows(numbered(1000))
    assert rows(images) == rows(pack.shuffle(numbered(1000), 5))
    assert rows(images) != rows(pack.shuffle(numbered(1000), 6))


def test_every_order_is_as_likely() -> None:
    orders = [tuple(order.shuffled_positions(3, seed).tolist()) for seed in range(6000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    # The chi-square test with 5 degrees of freedom, p = 0.001.
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 20.5


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 997])
@pytest.mark.parametrize("fractions", [(1.0,), (0.9, 0.1), (0.5, 0.25, 0.25), (0.0, 1.0)])
def test_a_split_gives_each_part_its_share(
    stratified: bool, n: int, fractions: tuple[float, ...]
) -> None:
    images = numbered(n)
    parts = pack.split(images, fractions, 3, stratified=stratified)
    assert sorted(row for part in parts for row in rows(part)) == rows(images)
    for part, fraction in zip(parts, fractions, strict=True):
        assert rows(part) == sorted(rows(part))
        assert stratified or abs(len(part) - fraction * n) <= 1
        for label in np.unique(images.labels[:, 0]) if stratified else []:
            share = fraction * (images.labels[:, 0] == label).sum()
            assert abs((part.labels[:, 0] == label).sum() - share) <= 1
    again, other = (pack.split(images, fractions, seed, stratified=stratified) for seed in (3, 4))
    assert [rows(part) for part in again] == [rows(part) for part in parts]
    assert n < 10 or fractions[0] in (0, 1) or rows(parts[0]) != rows(other[0])


def test_a_stratified_split_of_small_classes_has_the_right_size_as_a_whole() -> None:
    images = ImageList(
        np.arange(400),
        np.repeat(np.arange(100), 4)[:, None].astype(np.float32),
        np.arange(400).astype("S"),
    )
    train, validation = pack.split(images, (0.9, 0.1), 3, stratified=True)
    assert len(train) + len(validation) == 400
    assert 38 <= len(validation) <= 42
    assert np.unique(validation.labels, return_counts=True)[1].max() == 1


@pytest.mark.parametrize(
    "fractions", [(), (0.5, 0.6), (1.5, -0.5), (0.9,), (np.nan, 0.5), (0.5, np.nan), (np.inf,)]
)
def test_fractions_that_are_none_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must be positive and sum to 1"):
        pack.split(numbered(5), fractions, 1)
