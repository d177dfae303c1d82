"""Image lists against im2rec's own, and what a user relies on when splitting and shuffling."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from im2rec_tool import im2rec
from packing import put, rows

from imnetlib import order, pack, recordio
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("images"), [*FILES, "lake/notes.txt"])


# Lists are exchanged with im2rec in both directions.


def test_the_list_of_a_folder_has_the_bytes_of_im2recs(folder: Path, tmp_path: Path) -> None:
    im2rec("--list", "--recursive", "--no-shuffle", tmp_path / "theirs", folder)
    with pytest.warns(UserWarning, match="other files are left out: 1, such as lake/notes.txt"):
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


def test_classes_in_plain_order_give_the_bytes_of_im2recs_too(tmp_path: Path) -> None:
    root = put(tmp_path / "images", [f"{n}/{n}_{image}.jpg" for n in range(12) for image in (1, 2)])
    im2rec("--list", "--recursive", "--no-shuffle", tmp_path / "theirs", root)
    pack.write_lst(pack.list_folder(root, sorted(map(str, range(12)))), tmp_path / "ours.lst")
    assert (tmp_path / "ours.lst").read_bytes() == (tmp_path / "theirs.lst").read_bytes()


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
    *("1\tcat\ta.jpg", "1\t\ta.jpg"),
    *("1_0\t0\ta.jpg", "1\t1_0\ta.jpg", "1\0\t0\ta.jpg", "1\t0\ta.jpg\0"),
]


@pytest.mark.parametrize("bad", BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, bad: str) -> None:
    (tmp_path / "a.lst").write_text(f"0\t1\ta.jpg\n5\t1\tb.jpg\n{bad}\n7\t1\tc.jpg\n")
    with pytest.raises(
        ValueError, match=r"a\.lst, line 3: expected an integer, 1 label\(s\) and a path"
    ) as caught:
        pack.read_lst(tmp_path / "a.lst")
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize("label", ["nan", "-inf", "3.5e38", "1e39"])
def test_a_label_that_is_not_finite_is_named(tmp_path: Path, label: str) -> None:
    (tmp_path / "a.lst").write_text(f"0\t1\ta.jpg\n1\t{label}\ta.jpg\n")
    with pytest.raises(
        ValueError, match=r"a\.lst, line 2: expected labels that are finite in float32, found"
    ):
        pack.read_lst(tmp_path / "a.lst")


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


@pytest.mark.parametrize("shape", [(2,), (2, 0), (3, 1), (2, 1, 1)])
def test_arrays_that_disagree_are_refused(shape: tuple[int, ...]) -> None:
    shapes = f"(2,), {shape} and (2,)"
    with pytest.raises(ValueError, match=re.escape(f"(n,), (n, k) and (n,), not {shapes}")):
        ImageList(np.arange(2), np.zeros(shape, np.float32), np.array([b"a", b"b"]))


# Numbers at the edges of their types.

LAST_EXACT = 2**24
HOLDABLE = ["16777216", "-16777216.000000", "16777218", "16777217.5", "0.1", "1.6777216e7", "1e10"]
HOLDABLE += ["9.99999968e+37"]
CHANGED = [
    "16777217e0",
    "1.6777217e7",
    "1e30",
    "1e38",
    "16777217",
    "16777217.000000",
    "-16777217",
    " 16777219 ",
    "9007199254740993",
    "1" * 30,
]


@pytest.mark.parametrize("text", HOLDABLE)
def test_a_label_is_read_as_float32_has_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.lst").write_text(f"0\t0\ta.jpg\n1\t{text}\tb.jpg\n")
    assert pack.read_lst(tmp_path / "a.lst").labels[1, 0] == np.float32(float(text))


@pytest.mark.parametrize("text", CHANGED)
def test_a_whole_label_that_would_change_is_refused_with_its_line(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "a.lst").write_text(f"0\t0\ta.jpg\n\n1\t{text}\tb.jpg\n")
    with pytest.raises(
        ValueError, match=r"a\.lst, line 3: expected whole labels that float32 has: all up to 16,"
    ):
        pack.read_lst(tmp_path / "a.lst")


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, np.float16, np.float64, list])
def test_labels_of_any_type_become_float32(dtype: type) -> None:
    given = [[1], [120]] if dtype is list else np.array([[1], [120]], dtype)
    images = ImageList([3, 4], given, ["a", "ä"], np.array(["x"] * 121))
    assert rows(images) == [(3, [1.0], "a"), (4, [120.0], "ä")]
    kinds = (images.ids.dtype, images.labels.dtype, images.paths.dtype.kind)
    assert kinds == (np.int64, np.float32, "S")
    assert images.classes == ("x",) * 121


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.int64(LAST_EXACT + 1), "labels are float32, which has no 16777217; it has all whole"),
        (np.int64(2**63 - 1), "labels are float32, which has no 9223372036854775807"),
        (np.uint64(2**64 - 1), "labels are float32, which has no 18446744073709551615"),
        (np.float64(-LAST_EXACT - 1), "labels are float32, which has no -16777217"),
        (np.float64(1e39), r"labels are finite in float32, not 1e\+39"),
        (np.float32("nan"), "labels are finite in float32, not nan"),
        (-np.inf, "labels are finite in float32, not -inf"),
    ],
)
def test_a_label_that_no_record_holds_is_refused(label: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageList(np.arange(2), np.array([[0], [label]], np.asarray(label).dtype), [b"a", b"b"])


def test_a_fraction_is_rounded() -> None:
    images = ImageList([0], np.array([[0.1, LAST_EXACT + 1.5]]), [b"a"])
    assert images.labels.tolist() == [[np.float32(0.1), LAST_EXACT + 2]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0], [["cat"]], [b"a"]), "labels are numbers, float32, not <U3"),
        (([0], [[0]], [Path("a")]), "paths are bytes, UTF-8, not object"),
        (([0], [[0]], [b"a"], "synset.txt"), "classes are several, in a list or a tuple, not 'syn"),
    ],
)
def test_columns_of_another_type_are_refused(columns: tuple, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ImageList(*columns)


@pytest.mark.parametrize("given", [np.array([2**63], np.uint64), [0.5], [2**64], ["1"]])
def test_an_id_that_int64_has_not_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="ids are whole numbers of 64 bits, not "):
        ImageList(given, [[0]], [b"a"])


def test_a_list_without_images_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.lst would name no image: the list is empty"):
        pack.write_lst(pack.select(a_list((0, [1], "a")), slice(0)), tmp_path / "a.lst")
    assert not (tmp_path / "a.lst").exists()


def test_numbers_of_numpy_and_text_paths_are_taken(tmp_path: Path) -> None:
    images = numbered(20)
    assert rows(pack.shuffle(images, np.int64(5))) == rows(pack.shuffle(images, 5))
    parts = pack.split(images, np.array([0.5, 0.5]), np.uint8(5))
    assert [rows(part) for part in parts] == [
        rows(part) for part in pack.split(images, [0.5, 0.5], 5)
    ]
    pack.write_lst(images, str(tmp_path / "a.lst"))
    assert rows(pack.read_lst(str(tmp_path / "a.lst"))) == rows(images)
    for seed in (1.0, True):
        with pytest.raises(TypeError, match="seed is a whole number, not"):
            pack.shuffle(images, seed)


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


@pytest.mark.parametrize("path", ["n01443537/x.jpg", "train/n01443537/x.jpg", "dog/x.jpg"])
def test_a_folder_counts_as_a_class_only_where_it_names_one(path: str):
    fitting = [b"val/a.jpg", b"b.jpg", b"n01440764/x.jpg", b"n01443537/val/y.jpg"]
    wnids = ["n01440764", "dog"]
    images = ImageList(np.arange(4), np.zeros((4, 1), np.float32), np.array(fitting))
    pack.verify_labels(images, wnids, "a.lst")
    wrong = replace(images, paths=np.array([*fitting[:3], path.encode()]))
    with pytest.raises(ValueError, match=rf"a\.lst: label 0 is n01440764, but {path} has it"):
        pack.verify_labels(wrong, wnids, "a.lst")


def test_whole_labels_beyond_64_bits_are_numbers():
    assert pack.ImageList([0], [[2**64]], [b"a"]).labels.tolist() == [[2.0**64]]
    with pytest.raises(ValueError, match=f"labels are float32, which has no {2**64 + 1}; it has"):
        pack.ImageList([0], [[2**64 + 1]], [b"a"])


def test_arguments_that_would_be_misread_are_refused():
    images = pack.ImageList([0, 1], [[0], [0]], [b"a", b"b"])
    with pytest.raises(ValueError, match="seed is 0 or more, not -1"):
        pack.shuffle(images, -1)
    with pytest.raises(ValueError, match="seed is 0 or more, not -1"):
        pack.split(images, [0.5, 0.5], -1)
    with pytest.raises(TypeError, match="a fraction is a number, not 'a'"):
        pack.split(images, ["a", "b"], 0)
    with pytest.raises(TypeError, match="classes are several, in a list or a tuple, not 'n01'"):
        pack.verify_labels(images, "n01", "a.lst")
    with pytest.raises(ValueError, match="target_bytes are more than 0, not 0"):
        pack.estimate_shards(10, 0)
    with pytest.raises(TypeError, match=r"only is \(i, n\), machine i of n, .*, not '0::2'"):
        pack.failures_path("x", "n", "0::2")
    with pytest.raises(TypeError, match="root is the path of the images' folder, not None"):
        pack.Folder(None)
