"""Predictions come back as they were written, whole or not at all; damage is named."""

from __future__ import annotations

import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from making import outputs, tree

from imnetlib import evaluate
from imnetlib.course import steps
from imnetlib.evaluate import Predictions, save_predictions
from imnetlib.pack import ImageList

WNIDS = ("n00000003", "n00000001", "n00000002")


def in_batches(arrays: tuple[np.ndarray, ...], size: int) -> list[tuple[np.ndarray, ...]]:
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[0]), size)]


class TestStored:
    def test_they_come_back_memory_mapped_whatever_the_batches(self, tmp_path: Path):
        made = outputs(10)
        for size in (1, 4, 10):
            saved = save_predictions(tmp_path / str(size), WNIDS, in_batches(made, size), 10)
            assert isinstance(saved.probabilities, np.memmap)
            assert saved.wnids == WNIDS
            loaded = (saved.probabilities, saved.labels, saved.ids)
            for array, expected in zip(loaded, made, strict=True):
                assert np.array_equal(array, expected)
        names = sorted(path.name for path in (tmp_path / "4").iterdir())
        assert names == ["ids.npy", "labels.npy", "probabilities.npy", "source.txt", "synset.txt"]
        for name in names:
            assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "10" / name).read_bytes()

    def test_float_labels_of_the_loader_and_labels_without_a_column_are_taken(self, tmp_path: Path):
        probabilities, _, ids = outputs(2)
        saved = save_predictions(
            tmp_path, WNIDS, [(probabilities, np.array([2, -1], np.float32), ids)], 2
        )
        assert saved.labels.tolist() == [2, -1]

    def test_labels_and_ids_that_are_no_whole_numbers_are_refused(self, tmp_path: Path):
        probabilities, labels, ids = outputs(2)
        for name, batch in {
            "labels": (probabilities, labels + 0.5, ids),
            "ids": (probabilities, labels, ids + 0.5),
        }.items():
            with pytest.raises(ValueError, match=f"{name} are whole numbers of 64 bits, not "):
                save_predictions(str(tmp_path), WNIDS, [batch], 2)

    def test_a_string_is_not_taken_for_its_letters(self, tmp_path: Path):
        with pytest.raises(TypeError, match="wnids are several, in a list or a tuple, not 'abc'"):
            save_predictions(tmp_path, "abc", [outputs(2)], 2)

    def test_memory_is_a_batch(self, tmp_path: Path):
        # 0.4 MB a batch, 40 MB altogether.
        row = np.full((50, 2000), 1 / 2000, np.float32)
        wnids = [f"n{i:08}" for i in range(2000)]
        batches = ((row, np.zeros(50), np.arange(50) + 50 * i) for i in range(100))
        tracemalloc.start()
        saved = save_predictions(tmp_path, wnids, batches, 5000)
        evaluate.ranks(saved.probabilities[:2500], saved.labels[:2500])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 30e6

    def test_a_failure_leaves_the_earlier_predictions(self, tmp_path: Path):
        made = outputs(4)
        save_predictions(tmp_path, WNIDS, [made], 4)

        def broken():
            yield outputs(2, seed=1)
            raise OSError("the disk has gone")

        with pytest.raises(OSError, match="gone"):
            save_predictions(tmp_path, WNIDS, broken(), 4)
        assert np.array_equal(Predictions.load(tmp_path).probabilities, made[0])
        assert len(list(tmp_path.iterdir())) == 5

    def test_a_kill_leaves_nothing_that_looks_finished(self, tmp_path: Path):
        program = (
            "import os, signal, sys, numpy as np\n"
            "from pathlib import Path\n"
            "from imnetlib import evaluate\n"
            "def batches():\n"
            "    yield np.full((2, 2), .5), np.zeros(2), np.arange(2)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            "evaluate.save_predictions(Path(sys.argv[1]), ('a', 'b'), batches(), 4)\n"
        )
        assert (
            subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False).returncode
            == -9
        )
        with pytest.raises(
            FileNotFoundError, match="holds no finished predictions: chapter 8 makes them"
        ):
            Predictions.load(tmp_path)
        save_predictions(tmp_path, WNIDS, [outputs(4)], 4)
        # What the killed process left is gone.
        assert len(list(tmp_path.iterdir())) == 5

    def test_a_stop_between_the_files_is_not_taken_for_finished(self, tmp_path: Path, monkeypatch):
        save_predictions(tmp_path, WNIDS, [outputs(4)], 4)

        def full(*_, **__):
            raise OSError("the disk is full")

        monkeypatch.setattr(np, "save", full)
        with pytest.raises(OSError, match="full"):
            save_predictions(tmp_path, WNIDS, [outputs(4, seed=1)], 4)
        monkeypatch.undo()
        with pytest.raises(FileNotFoundError, match="no finished predictions"):
            Predictions.load(tmp_path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda p, y, i: ([(p, y, i)], 3),
                r"a batch \(4, 3\) that ends at image 4 of \(3, 3\)",
            ),
            (lambda p, y, i: ([(p, y, i)], 5), "the batches hold 4 images, not 5"),
            (
                lambda p, y, i: ([(p[:, :2], y, i)], 4),
                r"a batch \(4, 2\) that ends at image 4 of \(4, 3\)",
            ),
            (
                lambda p, y, i: ([(p, y, i // 14)], 4),
                "4 images with 2 ids: was the padding of a batch counted",
            ),
            (lambda p, y, i: ([(p, y + 3, i)], 4), "labels go from -1 to 2, not from"),
            (
                lambda p, y, i: ([(np.log(p), y, i)], 4),
                "image 0: the outputs sum to -.* is the softmax missing",
            ),
            (
                lambda p, y, i: ([(p * [[1], [1], [np.nan], [1]], y, i)], 4),
                "image 14: the outputs sum to nan, not 1",
            ),
        ],
    )
    def test_unfit_batches_are_named(self, tmp_path: Path, change, message: str):
        batches, count = change(*outputs(4))
        with pytest.raises(ValueError, match=message):
            save_predictions(tmp_path / "new", WNIDS, batches, count)
        assert list((tmp_path / "new").iterdir()) == []

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("synset.txt", b"n00000003\nn00000001\n", "3 columns, but 2 wnids"),
            (
                "synset.txt",
                b"n00000003\nn00000001\nn00000003\n",
                "line 3: n00000003 stands in line 1",
            ),
            ("probabilities.npy", None, "probabilities.npy: "),
            ("labels.npy", b"", "labels.npy: "),
            ("ids.npy", b"not an array at all", "ids.npy: "),
        ],
    )
    def test_damage_is_named_with_the_way_out(
        self, tmp_path: Path, name: str, content, message: str
    ):
        save_predictions(tmp_path, WNIDS, [outputs(4)], 4)
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-5] if content is None else content)
        with pytest.raises(ValueError, match=message) as caught:
            Predictions.load(tmp_path)
        assert f"remove {tmp_path} and make the predictions again (chapter 8)" in str(caught.value)

    def test_no_pickle_is_ever_read(self, tmp_path: Path):
        save_predictions(tmp_path, WNIDS, [outputs(4)], 4)
        np.save(tmp_path / "labels.npy", np.array([{}, 1, 2, 3], object), allow_pickle=True)
        with pytest.raises(ValueError, match=r"labels\.npy: .*[Pp]ython objects"):
            Predictions.load(tmp_path)

    def test_other_types_are_refused(self):
        p, y, i = outputs(4)
        for unfit in (
            (p.astype(np.float64), y, i),
            (p, y.astype(np.int32), i),
            (p, y, i.astype(np.float32)),
        ):
            with pytest.raises(ValueError, match="float32, labels and ids int64"):
                Predictions(*unfit, WNIDS)
        with pytest.raises(ValueError, match=r"shapes \(4, 3\), \(3,\), \(4,\) are not"):
            Predictions(p, y[:3], i, WNIDS)

    def test_columns_of_classes_the_network_has(self):
        found = Predictions(*outputs(4), WNIDS)
        assert found.columns(["n00000002", "n04399382", "n00000003"]).tolist() == [0, 2]
        assert found.columns(np.array(WNIDS[1:])).tolist() == [1, 2]
        for positions in ([0, 2], np.array([True, False, True])):
            with pytest.raises(TypeError, match="a wnid is a string, like 'n02510455', not "):
                found.columns(positions)

    def test_what_another_has_made_is_not_replaced(self, tmp_path: Path):
        made = outputs(4)
        save_predictions(tmp_path, WNIDS, [made], 4, "resnet50 of somebody")
        before = tree(tmp_path)
        never = iter(())
        for source in ("inception 12345678", ""):
            with pytest.raises(
                FileExistsError,
                match=re.escape(
                    f"{tmp_path} holds predictions of "
                    "resnet50 of somebody, which would be lost: choose another folder"
                ),
            ):
                save_predictions(tmp_path, WNIDS, never, 4, source)
        assert tree(tmp_path) == before
        saved = save_predictions(tmp_path, WNIDS, [made], 4, "resnet50 again")
        assert saved.source == "resnet50 again"

    def test_arrays_that_nobody_signed_are_not_replaced(self, tmp_path: Path):
        np.save(tmp_path / "probabilities.npy", np.eye(3))
        with pytest.raises(FileExistsError, match="predictions of an unknown maker"):
            save_predictions(tmp_path, WNIDS, [outputs(4)], 4)

    def test_what_was_stopped_between_the_files_is_its_makers(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr(np, "save", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_predictions(tmp_path, WNIDS, [outputs(4)], 4, "resnet50")
        monkeypatch.undo()
        with pytest.raises(FileExistsError, match="predictions of resnet50"):
            save_predictions(tmp_path, WNIDS, [outputs(4)], 4, "inception")
        assert save_predictions(tmp_path, WNIDS, [outputs(4)], 4, "resnet50").source == "resnet50"


def test_rows_in_the_list_and_images_of_another_list():
    made = Predictions(*outputs(4), WNIDS)
    order = np.array([2, 0, 3, 1])
    paths = np.array([b"a.JPEG", b"b.JPEG", b"c.JPEG", b"d.JPEG"])
    listed = ImageList(made.ids[order], made.labels[order, None].astype(np.float32), paths)
    rows = steps.rows_in(made, listed, Path("/data/predictions"))
    assert np.array_equal(listed.ids[rows], made.ids)
    for unfit in (
        ImageList(listed.ids + 1, listed.labels, paths),
        ImageList(listed.ids, 2 - listed.labels, paths),
    ):
        with pytest.raises(
            ValueError, match=r"^/data/predictions has image \d+ with label \d, the list has not"
        ):
            steps.rows_in(made, unfit, Path("/data/predictions"))
