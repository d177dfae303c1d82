"""The verbs of lists and records: list, pack, index, merge-index, verify, salvage."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from making import imnet, jpeg, put, tar_of

from imnetlib import archive, catalog, course, evaluate, pack, recordio
from imnetlib.image import Transform
from imnetlib.loader import Loader


def test_from_the_archives_to_shards_and_back(mirror: Path, tmp_path: Path):
    assert "108 files in 36 classes" in imnet("index", mirror / catalog.TRAIN_TAR).output
    index = mirror / f"{catalog.TRAIN_TAR}.npz"
    assert "108 images" in imnet("list", index, tmp_path / "train.lst", "--seed", 1).output
    packed = imnet("pack", tmp_path / "train.lst", index, tmp_path, "--shards", 2, "--resize", 64)
    # The truncated file was left out.
    assert packed.exit_code == 3
    assert "107 images" in packed.output
    assert f"left out: 1 images, see {tmp_path}/train-failures.tsv" in packed.output
    # A header and the failure.
    assert (tmp_path / "train-failures.tsv").read_text().count("\n") == 2
    shard = tmp_path / "train-00000-of-00002.rec"
    assert imnet("verify", shard).exit_code == 0
    again = imnet("pack", tmp_path / "train.lst", index, tmp_path, "--shards", 2, "--resize", 64)
    assert "2 of 2 shards were there from an earlier run" in again.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shards", 0), "'--shards': 0 is not in the range"),
        (("--resize", 0), "'--resize': 0 is not in the range"),
        (("--quality", 101), "quality is 1 to 100 for .jpg, not 101"),
        (("--name", "a/b"), "--name is the beginning of a file name, not a/b"),
        (("--only", "2::2"), "--only is I::N, machine I of N, from 0 to N - 1, not 2::2"),
        (("--only", "²::3"), "--only is I::N, machine I of N, from 0 to N - 1, not ²::3"),
    ],
)
def test_asked_wrongly(tmp_path: Path, arguments: tuple[object, ...], message: str):
    (tmp_path / "a.lst").write_text("0\t0\ta.jpg\n")
    done = imnet("pack", tmp_path / "a.lst", tmp_path, tmp_path, *arguments)
    assert (done.exit_code, message in done.output) == (2, True), done.output


@pytest.mark.parametrize("verb", ["verify", "salvage"])
def test_what_is_named_otherwise_is_no_shard(tmp_path: Path, verb: str):
    (tmp_path / "a.lst").write_text("0\t0\ta.jpg\n")
    done = imnet(verb, tmp_path / "a.lst", *([tmp_path / "b.rec"] if verb == "salvage" else []))
    assert (done.exit_code, f"{tmp_path}/a.lst is no .rec file" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("option", "value"), [("--train-ratio", 1), ("--train-ratio", 0), ("--seed", -1)]
)
def test_a_list_asked_for_wrongly(tmp_path: Path, option: str, value: int):
    done = imnet("list", tmp_path, tmp_path / "a.lst", option, value)
    assert (done.exit_code, f"'{option}': {value}" in done.output) == (2, True), done.output


def test_a_lost_index_is_written_anew(shard: Path):
    index = shard.with_suffix(".idx")
    before = index.read_bytes()
    refused = imnet("index", shard)
    assert (refused.exit_code, f"{index} is there" in refused.output) == (2, True)
    index.unlink()
    refused = imnet("merge-index", shard.with_name("all.idx"), shard)
    assert f"a shard needs its index; imnet index {shard} writes it" in refused.output
    assert f"72 records: {index}\n" in imnet("index", shard).output
    assert index.read_bytes() == before


@pytest.mark.parametrize("options", [("--only", "0::2"), ("--only", "3::8", "--shards", 7)])
def test_a_command_that_leaves_machines_without_a_part_is_wrong(
    shard: Path, tmp_path: Path, options: tuple[object, ...]
):
    done = imnet("pack", shard.with_name("v.lst"), tmp_path, tmp_path / "out", *options)
    assert done.exit_code == 2
    assert f"--only {options[1]} leaves machines without a part: --shards, the nu" in done.output
    assert not (tmp_path / "out").exists()


def test_a_changed_bit_is_found_by_the_sidecar(shard: Path):
    assert imnet("verify", shard).exit_code == 0
    content = bytearray(shard.read_bytes())
    content[5000] ^= 1
    shard.write_bytes(content)
    verified = imnet("verify", shard)
    assert verified.exit_code == 1
    assert "72 records of sound structure" in verified.output


@pytest.mark.parametrize("end", [-100, "a record's end"])
def test_salvage_of_a_cut_shard_says_what_is_missing(shard: Path, tmp_path: Path, end: int | str):
    cut = (
        int(recordio.read_index(shard.with_suffix(".idx"))[1][-1]) if isinstance(end, str) else end
    )
    shard.write_bytes(shard.read_bytes()[:cut])
    assert imnet("verify", shard).exit_code == 1
    saved = imnet("salvage", shard, tmp_path / "saved.rec")
    assert saved.exit_code == 3, saved.output
    assert len(recordio.scan(tmp_path / "saved.rec")) == 71


def test_salvage_says_that_an_image_may_be_damaged_inside(shard: Path, tmp_path: Path):
    content = bytearray(shard.read_bytes())
    content[3000:3200] = bytes(200)
    shard.write_bytes(content)
    saved = imnet("salvage", shard, tmp_path / "saved.rec")
    assert saved.exit_code == 3
    assert "is not as it was packed" in saved.output
    assert f"imnet verify --decode {tmp_path}/saved.rec names those" in saved.output


def test_what_is_asked_of_list_and_pack_wrongly(mirror: Path, tmp_path: Path):
    imnet("index", mirror / catalog.TRAIN_TAR)
    index = mirror / f"{catalog.TRAIN_TAR}.npz"
    (tmp_path / "a.rec").write_bytes(b"a shard")
    assert "it ends in .lst" in imnet("list", index, tmp_path / "a.rec").output
    assert (tmp_path / "a.rec").read_bytes() == b"a shard"
    imnet("list", index, tmp_path / "a.lst")
    pack = ("pack", tmp_path / "a.lst", index, tmp_path / "out")
    assert "it goes without --resize" in imnet(*pack, "--pass-through", "--resize", 64).output
    assert "--upscale needs a --resize" in imnet(*pack, "--upscale").output
    assert imnet(*pack, "--num-thread", 0).exit_code == 2
    assert "107 images" in imnet(*pack, "--encoding", ".png", "--resize", 32).output


def test_labels_that_do_not_belong_to_the_source_are_refused(mirror: Path, tmp_path: Path):
    imnet("index", mirror / catalog.TRAIN_TAR)
    devkit = mirror / catalog.DEVKIT
    for source in (f"{mirror / catalog.TRAIN_TAR}.npz", tmp_path):
        done = imnet("list", source, tmp_path / "wrong.lst", "--labels", devkit)
        assert done.exit_code in (1, 2)
        assert not (tmp_path / "wrong.lst").exists()


# The classes of the labels, on every way from the images to the shards.


@pytest.fixture(scope="module")
def indexes(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The indexes of the training archive and of the validation archive, each in another folder."""
    folder = tmp_path_factory.mktemp("indexes")
    for name in (catalog.TRAIN_TAR, catalog.VALIDATION_TAR):
        archive.index_tar(mirror / name).save(folder / f"{name}.npz")
    return folder / f"{catalog.TRAIN_TAR}.npz", folder / f"{catalog.VALIDATION_TAR}.npz"


@pytest.fixture(scope="module")
def folders(indexes: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of both archives in files."""
    folder = tmp_path_factory.mktemp("folders")
    for path in indexes:
        index = archive.TarIndex.load(path)
        with archive.TarReader(index) as reader:
            names = [name.decode() for name in index.names.tolist()]
            put(folder / path.stem, {name: reader.read(row) for row, name in enumerate(names)})
    return folder


def source_of(way: str, indexes: tuple[Path, Path], folders: Path) -> Path:
    train, validation = indexes
    return {
        "class folders": folders / train.stem,
        "flat folder": folders / validation.stem,
        "train tar": train,
        "validation tar": validation,
    }[way]


@pytest.mark.parametrize(
    ("way", "options", "lists"),
    [
        ("class folders", (), ["train"]),
        ("class folders", ("--train-ratio", 0.6), ["train_train", "train_val"]),
        ("flat folder", ("--labels", catalog.DEVKIT), ["validation"]),
        ("train tar", ("--seed", 1), ["train"]),
        ("train tar", ("--train-ratio", 0.6, "--seed", 1), ["train_train", "train_val"]),
        ("validation tar", ("--labels", catalog.DEVKIT), ["validation"]),
    ],
)
def test_shards_have_their_classes_and_later_chapters_take_them(
    mirror: Path,
    indexes: tuple[Path, Path],
    folders: Path,
    tmp_path: Path,
    way: str,
    options: tuple[object, ...],
    lists: list[str],
):
    source = source_of(way, indexes, folders)
    root = course.open_root(str(tmp_path / "root"))
    shards = root.records / "as-is"
    first = tmp_path / f"{lists[0].partition('_')[0]}.lst"
    options = [mirror / option if option == catalog.DEVKIT else option for option in options]
    done = imnet("list", source, first, *options)
    wnids = root.wnids
    assert f"labels: 0 is {wnids[0]}, 1 is {wnids[1]}, …, 35 is {wnids[35]} (cl" in done.output
    assert "36 of 36 classes have images" in done.output
    for name in lists:
        lst = tmp_path / f"{name}.lst"
        packed = imnet("pack", lst, source, shards, "--pass-through")
        assert packed.exit_code in (0, 3), packed.output
        assert f"35 is {wnids[35]} ({tmp_path}/synset.txt)\n" in packed.output
        assert imnet("verify", *shards.glob(f"{name}-*.rec")).exit_code == 0
    for folder in (tmp_path, shards):
        assert (folder / "synset.txt").read_text().split() == list(wnids)
    (rec,) = [path for path in shards.glob("*.rec") if path.name.startswith(lists[0])]
    if len(lists) == 1:
        assert course.shards(root, lists[0]) == [rec]
    images = pack.read_lst(tmp_path / f"{lists[0]}.lst")
    pack.verify_labels(images, wnids, lists[0])
    crop = Transform(32)
    with Loader([rec], 8, crop, shuffle=False, classes=36, on_error="skip") as batches:
        batch = next(iter(batches))
    label_of = dict(zip(images.ids.tolist(), images.labels[:, 0].tolist(), strict=True))
    whole = [row for row in range(8) if batch.ids[row] in label_of and batch.images[row].any()]
    assert len(whole) >= 7
    assert [label_of[batch.ids[row]] for row in whole] == batch.labels[whole].tolist()


def test_a_list_of_another_tool_says_that_its_classes_are_not_known(folders: Path, tmp_path: Path):
    source = folders / catalog.VALIDATION_TAR
    lst = tmp_path / "theirs.lst"
    lst.write_text("0\t1\tILSVRC2012_val_00000001.JPEG\n1\t0\tILSVRC2012_val_00000002.JPEG\n")
    unknown = f"no class is known by name: list them in the labels' order in {tmp_path}/synset.txt"
    assert unknown in imnet("pack", lst, source, tmp_path / "out").output
    assert not (tmp_path / "out" / "synset.txt").exists()
    (tmp_path / "synset.txt").write_text("lake\nwood\n")
    named = imnet("pack", lst, source, tmp_path / "out").output
    assert f"labels: 0 is lake, 1 is wood ({tmp_path}/synset.txt)\n" in named
    assert "1 of 1 shards were there" in named
    assert (tmp_path / "out" / "synset.txt").read_text() == "lake\nwood\n"


def test_the_verb_says_which_order_the_labels_have(tmp_path: Path):
    put(tmp_path / "images", {f"{number}/a.jpg": b"" for number in range(12)})
    names = tmp_path / "plain.txt"
    names.write_text("".join(f"{name}\n" for name in sorted(map(str, range(12)))))
    natural = imnet("list", tmp_path / "images", tmp_path / "natural" / "a.lst").output
    assert natural == (
        "labels: 0 is 0, 1 is 1, …, 11 is 11 (classes in natural order)\n"
        "in plain order, that of torchvision's ImageFolder, 2 would be 10: for it give a file of "
        "the names in that order as --classes\n"
        "12 of 12 classes have images\n"
        f"12 images: {tmp_path}/natural/a.lst\n"
    )
    lst = tmp_path / "plain" / "a.lst"
    plain = imnet("list", tmp_path / "images", lst, "--classes", names).output
    assert plain == (
        f"labels: 0 is 0, 1 is 1, …, 11 is 9 (the order of {names})\n"
        "12 of 12 classes have images\n"
        f"12 images: {lst}\n"
    )
    assert (lst.parent / "synset.txt").read_bytes() == names.read_bytes()


def test_a_part_without_images_is_no_list(tmp_path: Path):
    put(tmp_path / "images", {"x/1.jpg": b"", "y/1.jpg": b""})
    done = imnet("list", tmp_path / "images", tmp_path / "a.lst", "--train-ratio", 0.99)
    assert (done.exit_code, list(tmp_path.glob("*.lst"))) == (2, [])
    assert "--train-ratio 0.99: one part would have no image" in done.output


@pytest.mark.parametrize(("unknown", "images"), [("keep", 4), ("omit", 3)])
def test_images_of_classes_without_a_label_are_counted(tmp_path: Path, unknown: str, images: int):
    put(tmp_path / "images", {f"{name}/1.jpg": b"" for name in ("red fox", "teddy", "x", "y")})
    names = tmp_path / "names.txt"
    names.write_text("x\nred fox\nold\ny\n")
    verb = ("list", tmp_path / "images", tmp_path / "a" / "a.lst", "--classes", names)
    refused = imnet(*verb)
    assert refused.exit_code == 1
    assert "1 classes that have no label: teddy: name them among the classes" in refused.output
    done = imnet(*verb, "--unknown", unknown)
    fate = {"keep": "get label -1", "omit": "are left out"}[unknown]
    assert (done.exit_code, done.output) == (
        0,
        f"Warning: {tmp_path}/images: 1 images of 1 classes that have no label (teddy) {fate}\n"
        f"labels: 0 is x, 1 is red fox, 2 is old, 3 is y (the order of {names})\n"
        "3 of 4 classes have images\n"
        f"{images} images: {tmp_path}/a/a.lst\n",
    )


def test_an_image_of_no_class_keeps_its_label_up_to_the_batch(folders: Path, tmp_path: Path):
    """And is never right: -1 is not the last column."""
    source = folders / catalog.TRAIN_TAR
    wnids = sorted(path.name for path in source.iterdir())
    (tmp_path / "names.txt").write_text("\n".join(wnids[1:]))
    lst = tmp_path / "a.lst"
    imnet("list", source, lst, "--classes", tmp_path / "names.txt", "--unknown", "keep")
    assert imnet("pack", lst, source, tmp_path / "out", "--pass-through").exit_code in (0, 3)
    with Loader(
        [tmp_path / "out" / "a-00000-of-00001.rec"], 3, Transform(32), shuffle=False
    ) as batches:
        batch = next(iter(batches))
    assert batch.labels.tolist() == [-1, -1, -1]
    last = np.zeros((3, 35), np.float32)
    last[:, -1] = 1
    rank = evaluate.ranks(last, batch.labels)
    assert rank.tolist() == [evaluate.NEVER] * 3
    assert evaluate.top_k_accuracy(rank, [35])[0].accuracy == 0
    assert evaluate.confusions(batch.labels.astype(int), np.array([34, 34, 34])).tolist() == []
    with pytest.raises(ValueError, match="has the label -1, classes are 0 to 34"):
        pack.verify_labels(pack.read_lst(lst), wnids[1:], lst)


@pytest.mark.parametrize("name", ["photos.tar", "photos.tar.gz", "photos"])
def test_an_archive_is_no_index_and_the_way_to_one_is_told(tmp_path: Path, name: str):
    photos = tmp_path / name
    photos.write_bytes(tar_of({"1.jpg": b""}))
    (tmp_path / "a.lst").write_text("0\t0\t1.jpg\n")
    way = f"if it is an archive, give its index, {photos}.npz; imnet index {photos} makes it"
    listed = imnet("list", photos, tmp_path / "b.lst")
    packed = imnet("pack", tmp_path / "a.lst", photos, tmp_path / "out")
    for done in (listed, packed):
        assert (done.exit_code, way in done.output) == (2, True), done.output
    assert not (tmp_path / "b.lst").exists()


def test_other_extensions_of_folders_and_of_archives(tmp_path: Path):
    files = {"x/1.webp": b"", "x/2.BMP": b"", "x/3.jpg": b"", "y/4.jpg": b""}
    put(tmp_path / "images", files)
    (tmp_path / "images.tar").write_bytes(tar_of(files))
    imnet("index", tmp_path / "images.tar")
    for source in (tmp_path / "images", tmp_path / "images.tar.npz"):
        asked = ("list", source, tmp_path / "a.lst", "--extensions")
        assert "4 images: " in imnet(*asked, ".webp, .bmp,.jpg").output
        for wrong in ("jpg", ".jpg,", ".", ""):
            done = imnet(*asked, wrong)
            message = f"--extensions has the form .jpg,.webp, not {wrong}"
            assert (done.exit_code, message in done.output) == (2, True), done.output


def test_verify_holds_labels_against_the_classes_beside_the_shards(tmp_path: Path):
    put(tmp_path / "images", {f"{name}/1.jpg": jpeg() for name in "abc"})
    imnet("list", tmp_path / "images", tmp_path / "a.lst")
    imnet("pack", tmp_path / "a.lst", tmp_path / "images", tmp_path / "out", "--pass-through")
    rec = tmp_path / "out" / "a-00000-of-00001.rec"
    classes = tmp_path / "out" / "synset.txt"
    assert imnet("verify", rec).exit_code == 0
    for text, problem in (
        ("a\nb\n", f"{classes} has 2 classes, 0 to 1, but records have 1 other labels, such as 2:"),
        ("", f"{classes} names no class: it is empty"),
    ):
        classes.write_text(text)
        done = imnet("verify", rec)
        assert (done.exit_code, f"{rec}: {problem}" in done.output) == (1, True), done.output


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("kept", ["cats\nbirds\n", "cats\n", "dogs\ncats\n"])
def test_a_list_beside_other_classes_is_refused_before_it_counts(
    tmp_path: Path, given: bool, kept: str
):
    put(tmp_path, {"photos/cats/1.jpg": b"", "photos/dogs/1.jpg": b"", "synset.txt": kept.encode()})
    put(tmp_path, {"classes.txt": b"cats\ndogs\n"})
    options = ("--classes", tmp_path / "classes.txt") if given else ()
    done = imnet("list", tmp_path / "photos", tmp_path / "a.lst", *options)
    assert done.exit_code == 1
    assert re.search(rf"^Error: {tmp_path}/synset.txt.*take another folder for the", done.output)
    assert (tmp_path / "synset.txt").read_text() == kept
    assert not (tmp_path / "a.lst").exists()


@pytest.mark.parametrize("source", ["", "data", "data/train-0.parquet"])
def test_parquet_files_need_no_list(tmp_path: Path, source: str):
    put(tmp_path / "hub", {"data/train-0.parquet": b""})
    done = imnet("list", tmp_path / "hub" / source, tmp_path / "a.lst")
    assert done.exit_code == 2
    folder = tmp_path / "hub" / ("data" if source else "")
    assert (
        f"is of parquet files, which need no list: imnet run 1 2 4 --root ROOT -p source {folder} "
        in " ".join(done.output.split())
    )
