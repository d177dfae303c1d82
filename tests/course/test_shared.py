"""What several chapters share: scratch folders, names, measurements, the drawing of figures."""

from __future__ import annotations

import io
import time
from pathlib import Path

import making
import numpy as np
import pytest
from making import jpeg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from imnetlib import catalog, course, engines, throughput, wordnet
from imnetlib.course import charts, plots
from imnetlib.course.measure import psnr
from imnetlib.image import Settings, convert_image
from imnetlib.order import Blocks


def drawn(figure: Figure) -> bytes:
    """``figure`` as a PNG: what cannot be drawn raises here."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def test_a_scratch_folder_is_empty_whatever_a_killed_run_has_left(tmp_path: Path):
    opened = course.open_root(str(tmp_path))
    folder = course.scratch_folder(opened, chapter=4)
    (folder / "left").mkdir()
    assert course.scratch_folder(opened, chapter=4) == folder
    assert list(folder.iterdir()) == []
    # It does not make the root a folder with other things.
    assert course.open_root(str(tmp_path)) == opened


def test_names_are_the_first_ones():
    assert course.class_names(["n02012849", "n03126707"]) == ["crane", "crane"]


def test_a_better_jpeg_has_the_higher_psnr():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    picture = Image.fromarray(pixels)

    def encoded(kind: str, **options: int) -> bytes:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return file.getvalue()

    original = encoded("PNG")
    assert psnr(original, original) == pytest.approx(10 * np.log10(255**2 / 1e-3))
    better = psnr(encoded("JPEG", quality=95), original)
    assert better > psnr(encoded("JPEG", quality=30), original)


def test_a_smaller_image_is_compared_at_the_size_of_the_original():
    picture = making.detailed_photo(64, 48, seed=0)
    small = np.asarray(Image.fromarray(picture).resize((32, 24), Image.Resampling.BOX))
    again = np.asarray(Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC))
    found = psnr(making.encoded(small, "PNG"), making.encoded(picture, "PNG"))
    assert found == pytest.approx(making.psnr(again, picture))


def test_sizes_and_psnr_are_means_over_the_images():
    originals = [jpeg(seed=seed) for seed in range(3)]
    setting = Settings(resize=8, quality=60)
    stored = [convert_image(data, setting)[0] for data in originals]
    fidelity = [psnr(*pair) for pair in zip(stored, originals, strict=True)]
    kilobytes = sum(map(len, stored)) / 3_000
    assert course.size_and_psnr(originals, setting) == pytest.approx((kilobytes, sum(fidelity) / 3))


def test_what_a_shuffle_costs_a_disk_that_seeks_slowly():
    """The hard disk of the note does 110 reads a second."""
    shuffles = (False, Blocks(10, 4), True)
    stored, blocks, full = (course.shuffle_cost(1000, one, 50, 20_000) for one in shuffles)
    names = ["as stored", "blocks of 10, 4 mixed", "full shuffle"]
    assert [row["order"] for row in (stored, blocks, full)] == names
    assert [row["seeks"] for row in (stored, blocks, full)] == [0, 100, 1000]
    assert full["hours of seeks"] == pytest.approx(1000 / 110 / 3600)
    assert [row["held to be mixed, MB"] for row in (stored, blocks, full)] == [0, 0.8, 0]
    together = [row["side by side, same batch"] for row in (stored, blocks, full)]
    assert together == sorted(together, reverse=True)
    assert together[-1] == pytest.approx(1, abs=0.5)


def test_a_last_block_of_fewer_records_is_a_seek_too():
    assert course.shuffle_cost(1001, Blocks(10, 4), 50, 20_000)["seeks"] == 101


def test_repeat_counts_calls_and_busy_cores():
    rate, busy = course.repeat(lambda: time.sleep(0.01), seconds=0.1)
    assert 0 < rate <= 100
    assert 0 <= busy < 1


def test_without_mxnet_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert course.mxnet() is None
    assert capsys.readouterr().out == (
        "MXNet is not installed here: it has a wheel for Linux on x86-64 only\n"
    )


class TestNouns:
    """Chapter 9 reads classes that are, or are said to be, nouns of WordNet 3.0."""

    def nouns(self, folder: Path, classes: list[str], lines: str = "") -> tuple[str, ...]:
        opened = course.open_root(str(folder / "root"))
        opened.lists.mkdir()
        (opened.lists / "synset.txt").write_text("".join(f"{name}\n" for name in classes))
        (folder / "meanings").write_text(lines)
        return course.nouns(opened, str(folder / "meanings") if lines else "")

    def test_wnids_need_no_file(self, tmp_path: Path):
        assert self.nouns(tmp_path, ["n02084071", "n02121620"]) == ("n02084071", "n02121620")

    @pytest.mark.parametrize("lines", ["n02121620 my cats\nn02084071\tdogs \n\nn01503061 birds\n"])
    def test_names_are_looked_up_whatever_their_order(self, tmp_path: Path, lines: str):
        assert self.nouns(tmp_path, ["dogs", "my cats"], lines) == ("n02084071", "n02121620")

    @pytest.mark.parametrize(
        ("classes", "lines", "problem"),
        [
            (
                ["dogs", "cats"],
                "",
                r"2 of 2 classes are called by no wnid \(cats, dogs\), but .*'n0",
            ),
            (["dogs", "cats"], "n02084071 dogs", r"1 of 2 classes are called by no wnid \(cats\)"),
            (["dogs", "cats"], "dogs n02084071", r"meanings, line 1: 'dogs n02084071' is not like"),
            (["dogs", "cats"], "\nn02084071", r"meanings, line 2: 'n02084071' is not like 'n02121"),
            (
                ["dogs", "cats"],
                "n02084071 dogs\nn02084071 cats",
                r"meanings: several classes are n02084071: give each one",
            ),
        ],
    )
    def test_what_stays_without_a_noun_of_its_own_is_refused(
        self, tmp_path: Path, classes: list[str], lines: str, problem: str
    ):
        with pytest.raises(ValueError, match=problem):
            self.nouns(tmp_path, classes, lines)

    @pytest.mark.parametrize(
        ("name", "lines", "where"),
        [
            ("dogs", "n00000001 dogs", "/meanings, dogs: "),
            ("n00000001", "", "^class n00000001: "),
            ("n00000001", "n02121620 cats", "^class n00000001: "),
        ],
    )
    def test_an_offset_of_another_wordnet_is_refused(
        self, tmp_path: Path, name: str, lines: str, where: str
    ):
        with pytest.raises(ValueError, match=rf"{where}'n00000001' is no noun of WordNet 3\.0"):
            self.nouns(tmp_path, [name], lines)


class TestCharts:
    """Figures hold where there is little to show."""

    def test_two_classes_of_one_name_are_two_bars_and_long_names_stay_in_their_panel(self):
        longest = max(catalog.wnids_21k(), key=lambda wnid: len(wordnet.name(wnid)))
        own = wordnet.load(["n02012849", "n03126707", longest])
        shares = np.array([0.5, 0.3, 0.2])
        read = wordnet.Reading(own.classes, shares, own.information[own.classes], 1.0, shares < 0)
        figure = charts.reading(
            own, shares, read, np.zeros((9, 9, 3), np.uint8), "a title", listed=5
        )
        assert drawn(figure)
        _, five, tree = figure.axes
        assert [bar.get_width() for bar in five.patches] == [0.5, 0.3, 0.2]
        labels = [text.get_text() for text in five.get_yticklabels()][:2]
        assert labels == ["crane (wading bird)", "crane (lifting\ndevice)"]
        left = tree.transData.transform((0, 0))[0]
        names = [text for text in tree.texts if text.xy[0] < 0]
        assert len(names) == 4
        assert max(Text.get_window_extent(text).x1 for text in names) < left

    def test_long_titles_of_pictures_are_wrapped(self):
        pixels = [np.zeros((9, 9, 3), np.uint8)] * 2
        figure = plots.pictures(pixels, ["short\nlines", "a word " * 9], columns=2, width=4)
        titles = [axis.get_title() for axis in figure.axes]
        assert titles[0] == "short\nlines"
        assert titles[1].split() == ["a", "word"] * 9
        assert 1 < len(titles[1].splitlines()) < 5

    def test_a_training_of_one_epoch(self):
        names = ("epoch", "loss", "train_top1", "validation_top1", "validation_top5")
        assert drawn(charts.learning_curve([dict.fromkeys(names, 1)]).figure)

    def test_one_label_space(self):
        ranks = np.arange(36)
        assert drawn(charts.top_k({36: ranks}, {1000: (0.5, 0.7, 0.9)}))

    def test_a_disk_that_holds_a_single_set(self):
        rows = throughput.disk_budget(10, 10**6, 10**9)
        assert drawn(charts.disk_steps({"one": rows}))

    def test_plans_of_one_network(self):
        steps = [engines.Step("a", [], {"∂a": 8}), engines.Step("outputs", ["∂a"], {})]
        made = dict.fromkeys(("neither", "in place", "sharing", "both"), engines.plan(steps))
        assert drawn(charts.buffers(steps, made))
