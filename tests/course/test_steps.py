"""What a chapter finds in its root: built on the sample, verified everywhere, strangers named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from making import put, tree

from imnetlib import course, evaluate
from imnetlib.course import steps
from imnetlib.course.root import Root
from imnetlib.course.steps import networks, preparing, records
from imnetlib.engines import Checkpoint, Epoch, Recipe, load_checkpoint, save_checkpoint


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A root of the real set, with empty shards: nothing here reads them."""
    opened = course.open_root(str(tmp_path / "root"), "ILSVRC2012")
    add_shards(opened, "256px", opened.wnids)
    return opened


def add_shards(root: Root, name: str, wnids: tuple[str, ...]) -> Path:
    """A folder of empty shards of these classes."""
    folder = root.records / name
    folder.mkdir(parents=True)
    for part in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        (folder / f"{part}.rec").touch()
        (folder / f"{part}.idx").touch()
        (folder / f"{part}.json").write_text('{"rec_crc32": 0}')
    (folder / "synset.txt").write_text("".join(f"{wnid}\n" for wnid in wnids))
    return folder


class TestShards:
    def test_the_only_folder_needs_no_name(self, root: Root):
        names = [path.name for path in course.shards(root, "train")]
        assert names == ["train-00000-of-00002.rec", "train-00001-of-00002.rec"]
        assert course.shards(root, "train", "256px") == course.shards(root, "train")

    def test_of_several_folders_one_must_be_named(self, root: Root):
        add_shards(root, "480px", root.wnids)
        with pytest.raises(
            ValueError, match="has 256px, 480px: choose one with the parameter records"
        ):
            course.shards(root, "train")
        assert course.shards(root, "train", "480px")[0].parent.name == "480px"

    def test_an_unknown_folder_is_named(self, root: Root):
        with pytest.raises(
            FileNotFoundError, match=r"128px holds no shards: run chapter 4 .*there are 256px"
        ):
            course.shards(root, "train", "128px")

    def test_shards_of_other_classes_are_refused_by_name(self, root: Root):
        synset = root.records / "256px" / "synset.txt"
        synset.write_text("n02690373\nn02692877\n")
        with pytest.raises(ValueError, match=r"256px/synset\.txt has 2 classes, not 1,000"):
            course.shards(root, "train")

    def test_shards_of_another_order_are_refused_by_name(self, root: Root):
        swapped = [root.wnids[1], root.wnids[0], *root.wnids[2:]]
        (root.records / "256px" / "synset.txt").write_text("\n".join(swapped))
        with pytest.raises(ValueError, match=r"class 0 is n01443537 there, n01440764 here"):
            course.shards(root, "validation")

    @pytest.mark.parametrize(
        "lost",
        ["train-00001-of-00002.rec", "train-00001-of-00002.idx", "train-00001-of-00002.json"],
    )
    def test_a_missing_or_unfinished_shard_is_noticed(self, root: Root, lost: str):
        (root.records / "256px" / lost).unlink()
        with pytest.raises(ValueError, match=r"lacks shards of train \(there are train-00000"):
            course.shards(root, "train")

    def test_shards_without_the_classes_of_their_labels_are_named(self, root: Root):
        (root.records / "256px" / "synset.txt").unlink()
        with pytest.raises(
            FileNotFoundError, match=r"256px/synset\.txt is missing: run chapter 4 again, or"
        ):
            course.shards(root, "train")


class TestLists:
    def write(self, root: Root, line: str) -> None:
        root.lists.mkdir(exist_ok=True)
        (root.lists / "train.lst").write_text(line)

    def test_a_list_that_fits_is_accepted(self, root: Root):
        self.write(root, f"0\t1\t{root.wnids[1]}/{root.wnids[1]}_7.JPEG\n1\t2\tflat.JPEG\n")
        assert course.prepare(str(root.root), "records") == root

    def test_a_list_with_another_class_count_is_named(self, root: Root):
        self.write(root, "0\t5\ta.JPEG\n3\t1000\tb.JPEG\n")
        with pytest.raises(
            ValueError, match=r"train\.lst: image 3 has the label 1000, classes are 0 to 999"
        ):
            course.prepare(str(root.root), "records")

    def test_a_list_of_another_order_is_named(self, root: Root):
        self.write(root, f"0\t0\t{root.wnids[1]}/x.JPEG\n")
        with pytest.raises(ValueError, match=r"train\.lst: label 0 is n01440764, but n01443537/x"):
            course.prepare(str(root.root), "records")


def save_network(
    root: Root, wnids: tuple[str, ...], recipe: Recipe, epochs: int, bias: float = 0.0
) -> None:
    """A checkpoint after so many epochs, with next to nothing in it."""
    history = (Epoch(1.0, 0.5, 0.5, 0.9, 1.0),) * epochs
    parameters = {"arg:fc1_bias": np.full(len(wnids), bias, np.float32)}
    save_checkpoint(Checkpoint(recipe, wnids, 0, history, {}, parameters, {}), root.checkpoints)


class TestNetwork:
    def save(self, root: Root, wnids: tuple[str, ...], epochs: int) -> None:
        save_network(root, wnids, Recipe(epochs=2), epochs)

    def test_a_finished_one_with_the_classes_of_the_root(self, root: Root):
        self.save(root, root.wnids, epochs=2)
        assert course.trained(root).wnids == root.wnids

    def test_one_with_fewer_classes_is_named(self, root: Root):
        self.save(root, root.wnids[:36], epochs=2)
        with pytest.raises(ValueError, match="inception-64px has 36 classes, not 1,000"):
            course.trained(root)

    def test_a_damaged_one_is_named(self, root: Root):
        self.save(root, root.wnids, epochs=2)
        path = root.checkpoints / "inception-64px-0002.json"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ValueError, match=r"64px-0002\.json is no sound checkpoint \("):
            course.trained(root)
        with pytest.raises(ValueError, match=r"64px-0002\.json is no sound checkpoint \("):
            networks.network_source(root, "inception-64px")

    def test_one_that_is_not_finished_is_named(self, root: Root):
        self.save(root, root.wnids, epochs=1)
        with pytest.raises(ValueError, match=r"has had 1 of 2 epochs: run chapter 7 again"):
            course.trained(root)


class TestOnTheSample:
    """What is begun is finished; what the reader trained otherwise is left alone."""

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Root:
        opened = course.open_root(str(tmp_path / "sample"), "sample")
        add_shards(opened, records.RECORDS, opened.wnids)
        return opened

    def prepare(self, root: Root, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        done: list[str] = []
        monkeypatch.setattr(preparing, "train_sample", lambda root, engine: done.append("trained"))
        course.prepare(str(root.root), "checkpoint")
        return done

    @pytest.mark.parametrize(("epochs", "done"), [(3, ["trained"]), (steps.RECIPE.epochs, [])])
    def test_without_a_shipped_network_a_stopped_training_is_gone_on_with(
        self, sample: Root, monkeypatch: pytest.MonkeyPatch, epochs: int, done: list[str]
    ):
        monkeypatch.setattr(networks, "SHIPPED", sample.root / "nothing")
        save_network(sample, sample.wnids, steps.RECIPE, epochs)
        assert self.prepare(sample, monkeypatch) == done

    @pytest.mark.parametrize("epochs", [0, 3])
    def test_the_shipped_network_serves_until_there_is_one_of_its_own(
        self,
        sample: Root,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        epochs: int,
    ):
        if epochs:
            save_network(sample, sample.wnids, steps.RECIPE, epochs)
        before = tree(sample.root)
        assert self.prepare(sample, monkeypatch) == []
        assert capsys.readouterr().out == (
            "The network is data/network/inception-64px: chapter 7 trains one of this root's own\n"
        )
        assert course.trained(sample).history[-1].validation_top1 >= 0.85
        assert tree(sample.root) == before
        save_network(sample, sample.wnids, steps.RECIPE, steps.RECIPE.epochs)
        assert self.prepare(sample, monkeypatch) == []
        assert capsys.readouterr().out == ""
        assert course.trained(sample).history[-1].validation_top1 == 0.5

    def test_a_sample_of_other_classes_trains_its_own(
        self, sample: Root, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(Root, "wnids", sample.wnids[:10])
        with pytest.raises(FileNotFoundError, match="checkpoints is missing"):
            self.prepare(sample, monkeypatch)

    def test_the_reader_s_own_recipe_is_left_to_the_reader(
        self, sample: Root, monkeypatch: pytest.MonkeyPatch
    ):
        save_network(sample, sample.wnids, Recipe(epochs=40), 3)
        assert self.prepare(sample, monkeypatch) == []
        with pytest.raises(ValueError, match=r"has had 3 of 40 epochs: run chapter 7 again"):
            course.trained(sample)

    def test_other_folders_of_shards_do_not_stand_in_the_way(
        self, sample: Root, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(networks, "SHIPPED", sample.root / "nothing")
        add_shards(sample, "128px", sample.wnids)
        used: list[list[Path]] = []
        monkeypatch.setattr(
            "imnetlib.engines.mxnet.train.train", lambda *arguments: used.extend(arguments[2:4])
        )
        with pytest.raises(FileNotFoundError, match="checkpoints is missing"):
            course.prepare(str(sample.root), "checkpoint")
        assert {path.parent.name for paths in used for path in paths} == {records.RECORDS}

    def test_predictions_of_an_earlier_network_are_named(self, sample: Root):
        save_network(sample, sample.wnids, steps.RECIPE, steps.RECIPE.epochs)
        source = f"{networks.network_source(sample, steps.RECIPE.network)} 00000000"
        shares = np.full((1, 36), 1 / 36, np.float32)
        folder = sample.predictions / steps.RECIPE.network
        evaluate.save_predictions(folder, sample.wnids, [(shares, [0], [0])], 1, source)
        assert steps.predicted(sample).source == source
        save_network(sample, sample.wnids, steps.RECIPE, steps.RECIPE.epochs, bias=1.0)
        with pytest.raises(
            ValueError, match="is of an earlier inception-64px: run chapter 8 again"
        ):
            steps.predicted(sample)


def test_predictions_of_other_classes_are_compared_by_wnid(root: Root):
    shares = np.full((2, 3), 1 / 3, np.float32)
    wnids = ("n00004475", root.wnids[7], root.wnids[3])
    folder = root.predictions / "one"
    evaluate.save_predictions(folder, wnids, [(shares, [2, -1], [0, 1])], 2)
    root.lists.mkdir()
    lst = root.lists / "validation.lst"
    lst.write_text("0\t3\ta.JPEG\n1\t9\tb.JPEG\n")
    assert steps.predicted(root).labels.tolist() == [2, -1]
    lst.write_text("0\t7\ta.JPEG\n1\t9\tb.JPEG\n")
    with pytest.raises(ValueError, match=r"has image 0 with label 2, the list has not"):
        steps.predicted(root)
    shutil.rmtree(root.predictions)
    evaluate.save_predictions(folder, ["n00004475"], [(shares[:, :1] * 3, [0, 0], [0, 1])], 2)
    with pytest.raises(ValueError, match="predictions/one has no class of this root: make the"):
        steps.predicted(root)


@pytest.mark.parametrize(
    ("kept", "own", "asked", "chosen"),
    [
        ((), (), {}, "inception-64px"),
        (("inception-64px", "a"), ("inception-64px", "a"), {}, "inception-64px"),
        (("a", "outputs-b.npy"), ("a",), {}, "a"),
        (("timm:a", "outputs-b.npy"), ("timm-a",), {}, "timm:a"),
        (("outputs-b.npy",), ("a",), {}, "outputs-b.npy"),
        (("Inception",), (), {}, "Inception"),
        (("a", "b"), ("a",), {"network": "b"}, "b"),
        (("a",), ("a",), {"outputs": "/elsewhere/b.npy"}, "outputs-b.npy"),
        # The parameter network has a default in chapter 8.
        (("a",), ("a",), {"outputs": "b.npz", "network": "a"}, "outputs-b.npz"),
        (("a", "b", "outputs-c.npy"), ("a", "b"), {}, "has those of a, b: choose one with the"),
        (("Inception", "outputs-b.npy"), (), {}, "has those of Inception, outputs-b.npy: choose"),
    ],
)
def test_whose_predictions_are_chosen(
    root: Root, kept: tuple[str, ...], own: tuple[str, ...], asked: dict[str, str], chosen: str
):
    for name in kept:
        put(root.predictions / name, {"synset.txt": b"n01440764\n"})
    for name in own:
        put(root.checkpoints, {f"{name}-0001.json": b"{}"})
    if " " in chosen:
        with pytest.raises(ValueError, match=chosen):
            steps.prediction_folder(root, **asked)
    else:
        assert steps.prediction_folder(root, **asked) == root.predictions / chosen


@pytest.mark.parametrize("network", ["inception-bn", "../elsewhere", "Inception"])
def test_a_network_that_is_not_there_is_named_before_anything_is_painted(
    tmp_path: Path, network: str
):
    opened = course.open_root(str(tmp_path / "root"), "sample")
    with pytest.raises(FileNotFoundError, match="checkpoints is missing: run chapter 7"):
        course.prepare(str(opened.root), "checkpoint", network)
    put(opened.checkpoints, {"inception-64px-0002.json": b"{}"})
    there = rf"has no network '{network}' \(there are inception-64px\): train it by chapter 7, or"
    with pytest.raises(FileNotFoundError, match=there):
        course.prepare(str(opened.root), "checkpoint", network)
    with pytest.raises(FileNotFoundError, match=r"synset.txt is missing: run chapter 8"):
        course.prepare(str(opened.root), "predictions", network)
    assert not opened.mirror.exists()


@pytest.mark.parametrize(("needs", "chapter"), [("archives", 1), ("records", 4), ("checkpoint", 7)])
def test_a_real_root_is_never_filled(root: Root, needs: steps.Step, chapter: int):
    if needs == "records":
        shutil.rmtree(root.records)
    before = sorted(root.root.rglob("*"))
    with pytest.raises(
        FileNotFoundError, match=f"is missing: run chapter {chapter} with this root first"
    ):
        course.prepare(str(root.root), needs)
    assert sorted(root.root.rglob("*")) == before


def parameters_of(notebook: Path) -> str:
    """The source of a chapter's parameters cell."""
    for cell in json.loads(notebook.read_text())["cells"]:
        if "parameters" in cell["metadata"].get("tags", ()):
            return "".join(cell["source"])
    raise AssertionError(f"{notebook} has no parameters cell")


def test_what_prepare_packs_is_what_chapter_4_packs(checkout: Path):
    """Its constants are the defaults of the chapter's parameters."""
    source = parameters_of(checkout / "notebooks" / "04_recordio_packing.ipynb")
    assert f"resize: int = {records.RESIZE} " in source
    assert f"quality: int = {records.QUALITY} " in source
    assert f"shards: int = {records.SHARDS} " in source
    assert f"seed: int = {records.SEED} " in source


def test_the_shipped_network_is_what_chapter_7_trains_on_the_sample(tmp_path: Path):
    """After a change of the chapter's recipe it has to be made anew: tools/ship_network.py."""
    shipped = load_checkpoint(steps.SHIPPED, steps.RECIPE.network)
    sample = course.open_root(str(tmp_path / "sample"), "sample")
    assert (shipped.recipe, shipped.finished) == (steps.RECIPE, True)
    assert shipped.wnids == sample.wnids
    assert shipped.state == {}
    assert sum(path.stat().st_size for path in steps.SHIPPED.iterdir()) < 1_600_000


def test_what_prepare_trains_is_what_chapter_7_trains(checkout: Path):
    source = parameters_of(checkout / "notebooks" / "07_multi_gpu_training.ipynb")
    given: dict = {}
    exec(source, given)
    of_recipe = {name: given[name] for name in Recipe.__dataclass_fields__ if name in given}
    assert len(of_recipe) == 13
    assert Recipe(**of_recipe) == steps.RECIPE
