"""The root folder, what a chapter finds in it, tables, figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from making import put

from imnetlib import catalog, course, organize
from imnetlib.course import root, sample


class TestOpenRoot:
    def test_a_new_folder_becomes_a_sample_root_and_stays_one(self, tmp_path: Path):
        opened = course.open_root(str(tmp_path / "new"))
        assert opened.dataset.name == "sample"
        assert course.open_root(str(tmp_path / "new"), "sample") == opened

    def test_a_relative_path_starts_at_the_checkout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(root, "CHECKOUT", tmp_path)
        assert course.open_root("here").root == tmp_path / "here"

    def test_a_folder_with_something_else_is_refused_and_left_alone(self, tmp_path: Path):
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(
            ValueError, match=r"holds other things \(thesis\.tex\): choose an empty or a new folder"
        ):
            course.open_root(str(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    def test_a_file_is_refused(self, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(ValueError, match="is a file: the root must be a folder"):
            course.open_root(str(tmp_path / "file"))

    def test_another_data_set_is_refused_once_there_is_something(self, tmp_path: Path):
        course.open_root(str(tmp_path), "ILSVRC2012")
        (tmp_path / "archives").mkdir()
        with pytest.raises(ValueError, match="holds the data set ILSVRC2012, not sample"):
            course.open_root(str(tmp_path), "sample")

    def test_an_unknown_data_set_is_refused(self, tmp_path: Path):
        with pytest.raises(
            ValueError, match="There is no data set 'CIFAR'; known are sample, ILSVRC2012"
        ):
            course.open_root(str(tmp_path / "new"), "CIFAR")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize(
        ("archive", "name"),
        [
            ("", "ILSVRC2012"),
            ("ILSVRC2012_img_train.tar", "ILSVRC2012"),
            ("fall11_whole.tar", "fall11"),
            ("winter21_whole.tar.gz", "winter21"),
        ],
    )
    def test_a_folder_with_archives_is_taken_for_their_set(
        self, tmp_path: Path, archive: str, name: str
    ):
        (tmp_path / "archives").mkdir()
        if archive:
            (tmp_path / "archives" / archive).touch()
        assert course.open_root(str(tmp_path)).dataset == root.DATASETS[name]


class TestSourcesOfRoots:
    """Which sources make a root, and what a refusal leaves."""

    def photos(self, folder: Path) -> Path:
        put(folder, {"cats/1.jpg": b"a cat", "dogs/1.jpg": b"a dog"})
        return folder

    def kaggle(self, folder: Path) -> Path:
        (folder / organize.KAGGLE_IMAGES).mkdir(parents=True)
        return folder

    @pytest.mark.parametrize("dataset", ["", "folders"])
    @pytest.mark.parametrize(
        ("files", "error", "message"),
        [
            (None, FileNotFoundError, "source is not there: name the folder of your images"),
            (["imagenet.zip"], ValueError, "imagenet.zip is packed: unzip it, and name the folder"),
            (["a.tar", "b.tar.gz"], ValueError, "a.tar, b.tar.gz is packed: unzip it"),
            (
                ["winter21_whole.tar.gz", "readme.txt"],
                ValueError,
                "winter21_whole.tar.gz belongs to winter21's archives: put them into .* archives "
                "of the root, and give dataset winter21 in place",
            ),
            (["fall11_whole.tar"], ValueError, "give dataset fall11 in place of a source"),
            (["ILSVRC2012_img_train.tar"], ValueError, "give dataset ILSVRC2012 in place"),
            (
                ["ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_val.tar"],
                ValueError,
                "give dataset ILSVRC2012 in place",
            ),
            (
                [f"{organize.KAGGLE_IMAGES}/train/n1/x.JPEG", "data/train-0.parquet"],
                ValueError,
                "holds Kaggle's download and parquet files: name the folder of one of them",
            ),
        ],
    )
    def test_what_is_no_source_is_refused_and_leaves_no_mark(
        self, tmp_path: Path, files: list[str] | None, error: type, message: str, dataset: str
    ):
        source = tmp_path / "source"
        put(source, dict.fromkeys(files or [], b""))
        with pytest.raises(error, match=message):
            course.open_root(str(tmp_path / "root"), dataset, str(source))
        assert not (tmp_path / "root").exists()
        if files and len(files) == 1:
            with pytest.raises(ValueError, match=message):
                course.open_root(str(tmp_path / "root"), dataset, str(source / files[0]))

    @pytest.mark.parametrize(
        ("dataset", "kind", "message"),
        [
            ("winter21", "kaggle", "kaggle is Kaggle's download, which is ILSVRC2012, not winter2"),
            ("fall11", "kaggle", "Kaggle's download, which is ILSVRC2012, not fall11: leave out"),
            ("folders", "kaggle", "Kaggle's download, which is ILSVRC2012, not folders: leave"),
            ("sample", "photos", "the sample is painted, so .*photos is none: leave out the data"),
            ("sample", "kaggle", "the sample is painted, so .*kaggle is none: leave out the data"),
            ("folders", "", "folders is images that you have: give their folder or .lst as source"),
        ],
    )
    def test_a_source_of_another_set_is_refused_and_leaves_no_mark(
        self, tmp_path: Path, dataset: str, kind: str, message: str
    ):
        source = getattr(self, kind)(tmp_path / kind) if kind else ""
        with pytest.raises(ValueError, match=message):
            course.open_root(str(tmp_path / "root"), dataset, str(source))
        assert not (tmp_path / "root").exists()

    @pytest.mark.parametrize("first", ["photos", "ILSVRC2012"])
    @pytest.mark.parametrize("second", ["kaggle", "winter21"])
    def test_a_root_that_holds_nothing_yet_is_marked_anew(
        self, tmp_path: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]
    ):
        """A wrong first parameter costs no root."""
        where = str(tmp_path / "root")
        source = {"photos": self.photos, "kaggle": self.kaggle}
        for name in (first, second):
            if name in source:
                opened = course.open_root(where, source=str(source[name](tmp_path / name)))
                assert opened.source == tmp_path / name
            else:
                opened = course.open_root(where, name)
                assert (opened.source, opened.dataset) == (None, root.DATASETS[name])
        assert "held nothing of" in capsys.readouterr().out
        assert course.open_root(where) == opened

    def test_a_root_that_holds_something_keeps_its_source(self, tmp_path: Path):
        where = str(tmp_path / "root")
        course.open_root(where, source=str(self.photos(tmp_path / "photos")))
        (tmp_path / "root" / "lists").mkdir()
        other = str(self.kaggle(tmp_path / "kaggle"))
        with pytest.raises(ValueError, match=r"holds the source .*photos, not .*kaggle: choose"):
            course.open_root(where, source=other)
        with pytest.raises(ValueError, match="holds the data set folders, not winter21: choose"):
            course.open_root(where, "winter21")

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "Expecting value: .*"),
            ("dataset: sample", "Expecting value: .*"),
            ("{}", "it names no dataset"),
            ("[1]", "it names no dataset"),
            ('"sample"', "it names no dataset"),
            ('{"dataset": "CIFAR"}', "there is no data set 'CIFAR'"),
            ('{"dataset": ["sample"]}', r"there is no data set \['sample'\]"),
            ('{"dataset": "folders", "source": 7}', "7 is the path of no source"),
            ('{"dataset": "folders", "source": null}', "None is the path of no source"),
            ('{"dataset": "folders", "source": ""}', "images of your own have a source"),
            ('{"dataset": "folders"}', "images of your own have a source"),
        ],
    )
    def test_a_damaged_mark_is_named_with_what_to_do(self, tmp_path: Path, text: str, problem: str):
        (tmp_path / root.MARKER).write_text(text)
        remedy = "remove it, and run chapter 1 with the dataset or the source of this root"
        said = rf"{root.MARKER} does not say what this root holds \({problem}\): {remedy}"
        with pytest.raises(ValueError, match=said):
            course.open_root(str(tmp_path))

    def test_a_mark_in_another_encoding_is_named(self, tmp_path: Path):
        (tmp_path / root.MARKER).write_bytes(b'\xff\xfe{"dataset": "sample"}')
        with pytest.raises(ValueError, match="does not say what this root holds"):
            course.open_root(str(tmp_path))

    @pytest.mark.parametrize(("drawn", "asked"), [("winter21", "ILSVRC2012"), ("fall11", "sample")])
    def test_a_miniature_of_another_set_is_named(
        self, tmp_path: Path, mirror: Path, drawn: str, asked: str
    ):
        sample.lay_out(mirror, drawn, tmp_path / "mirror")
        with pytest.raises(
            ValueError, match=rf"mirror holds archives of {drawn}, and this root is one of {asked}:"
        ):
            course.open_root(str(tmp_path), asked)
        assert course.open_root(str(tmp_path)).dataset.name == drawn

    def test_archives_of_another_set_leave_no_mark(self, tmp_path: Path):
        put(tmp_path / "archives", {"winter21_whole.tar": b""})
        with pytest.raises(ValueError, match="archives of winter21, and this root is one of ILSVR"):
            course.open_root(str(tmp_path), "ILSVRC2012")
        assert course.open_root(str(tmp_path)).dataset == root.DATASETS["winter21"]


def test_a_small_sample_in_the_mirror_is_taken_as_it_is(tmp_path: Path):
    """As the help of imnet sample says."""
    sample.draw(tmp_path / "mirror", classes=3, train_per_class=2, validation_per_class=1)
    opened = course.prepare(str(tmp_path), "archives")
    assert opened.is_sample
    assert (opened.dataset.classes, opened.dataset.train, opened.dataset.validation) == (3, 6, 3)
    assert course.publication(opened) == opened.dataset
    train, _ = course.training_and_validation(opened)
    assert train.images.classes == opened.wnids
    assert len(opened.wnids) == 3


def test_a_real_root_is_never_filled_with_the_sample(tmp_path: Path):
    course.open_root(str(tmp_path), "ILSVRC2012")
    with pytest.raises(
        FileNotFoundError, match=r"ILSVRC2012_img_train\.tar is missing: run chapter 1"
    ):
        course.prepare(str(tmp_path), "archives")
    assert [path.name for path in tmp_path.iterdir()] == [root.MARKER]


def test_layout_is_the_articles():
    opened = root.Root(Path("/data"), catalog.ILSVRC2012)
    assert opened.train == Path("/data/imagenet/train")
    assert opened.validation == Path("/data/imagenet/validation")


def test_a_table_without_rows_says_so():
    assert course.table([]).data == "(nothing to show)"


def test_a_table_keeps_whole_numbers_whole_and_bars_harmless():
    rows = [{"name": "a|b", "n": 1281167, "x": 0.12345}, {"name": "c", "n": 2, "x": 12345.6}]
    assert course.table(rows).data.splitlines() == [
        "| name | n | x |",
        "| :--- | ---: | ---: |",
        "| a\\|b | 1,281,167 | 0.123 |",
        "| c | 2 | 12,346 |",
    ]


def test_the_marker_of_a_root_is_readable_json(tmp_path: Path):
    course.open_root(str(tmp_path), "ILSVRC2012")
    marked = json.loads((tmp_path / root.MARKER).read_text())
    assert marked == {"dataset": "ILSVRC2012", "source": ""}
    # Of an earlier version.
    (tmp_path / root.MARKER).write_text('{"dataset": "ILSVRC2012"}')
    assert course.open_root(str(tmp_path)).way == "archives"
