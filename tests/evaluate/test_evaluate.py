"""Predictions come back as written; metrics are right by brute force, by MXNet and by SciPy."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest

from imnetlib import evaluate
from imnetlib.course import steps
from imnetlib.evaluate import NEVER, Predictions, metrics, save_predictions
from imnetlib.pack import ImageList

WNIDS = ("n00000003", "n00000001", "n00000002")


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def outputs(n: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return softmax(rng.normal(size=(n, classes)) * 2), rng.integers(0, classes, n), np.arange(n) * 7


def in_batches(arrays: tuple[np.ndarray, ...], size: int) -> list[tuple[np.ndarray, ...]]:
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[0]), size)]


class TestStored:
    def test_they_come_back_memory_mapped_whatever_the_batches(self, tmp_path: Path):
        made = outputs(10)
        for size in (1, 4, 10):
            saved = save_predictions(tmp_path / str(size), WNIDS, in_batches(made, size), 10)
            assert isinstance(saved.probabilities, np.memmap)
            assert saved.wnids == WNIDS
            for found, given_ in zip(
                (saved.probabilities, saved.labels, saved.ids), made, strict=True
            ):
                assert np.array_equal(found, given_)
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

    def test_memory_is_a_batch(self, tmp_path: Path):
        # 0.4 MB a batch, 40 MB altogether
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
        # what the killed one left is gone
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
            (lambda p, y, i: ([(np.log(p), y, i)], 4), "image 0 sum to -.* is the softmax missing"),
            (
                lambda p, y, i: ([(p * [[1], [1], [np.nan], [1]], y, i)], 4),
                "image 14 sum to nan, not 1",
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
            ("synset.txt", b"n00000003\nn00000001\nn00000003\n", "3 wnids, of which 2 differ"),
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


# ties are the rule
tied = hnp.arrays(np.float32, (6, 5), elements=st.sampled_from([0, 0.125, 0.25, 0.5]))
anywhere = hnp.arrays(np.int64, 6, elements=st.integers(-1, 4))


def rank_by_hand(row: np.ndarray, label: int, columns: list[int]) -> int:
    if label not in columns:
        return NEVER
    return sum(row[other] >= row[label] for other in columns if other != label)


class TestRanks:
    @given(tied, anywhere, st.sets(st.integers(0, 4), min_size=1))
    def test_by_brute_force(self, probabilities, labels, columns):
        found = evaluate.ranks(probabilities, labels, sorted(columns))
        assert found.tolist() == [
            rank_by_hand(row, label, sorted(columns))
            for row, label in zip(probabilities, labels, strict=True)
        ]

    @given(tied, anywhere, st.permutations(range(5)))
    def test_the_order_of_columns_and_the_blocks_play_no_part(self, probabilities, labels, order):
        where = np.argsort(order)
        moved = np.where(labels < 0, -1, where[labels])
        found = evaluate.ranks(probabilities, labels)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metrics, "ROWS_A_BLOCK", 2)
            assert np.array_equal(evaluate.ranks(probabilities[:, order], moved), found)

    @given(tied, anywhere, st.sets(st.integers(0, 4), min_size=1))
    def test_fewer_rivals_never_make_it_harder(self, probabilities, labels, columns):
        inside = np.isin(labels, list(columns))
        fewer = evaluate.ranks(probabilities, labels, sorted(columns))[inside]
        assert (fewer <= evaluate.ranks(probabilities, labels)[inside]).all()
        assert (evaluate.ranks(probabilities, labels, sorted(columns))[~inside] == NEVER).all()

    def test_a_tie_is_no_hit(self):
        same = np.full((2, 4), 0.25, np.float32)
        assert evaluate.ranks(same, [0, 3]).tolist() == [3, 3]
        assert evaluate.ranks(same, [0, 3], [0]).tolist() == [0, NEVER]

    @pytest.mark.parametrize("k", [1, 5, 20])
    def test_mxnet_counts_the_same_where_nothing_ties(self, k: int):
        from imnetlib.engines.mxnet import mx

        probabilities, labels, _ = outputs(300, classes=40)
        theirs = mx.metric.Accuracy() if k == 1 else mx.metric.TopKAccuracy(top_k=k)
        theirs.update([mx.nd.array(labels)], [mx.nd.array(probabilities)])
        (ours,) = evaluate.top_k(evaluate.ranks(probabilities, labels), [k])
        assert ours.accuracy == pytest.approx(theirs.get()[1], abs=1e-9)

    def test_what_cannot_be_ranked_is_named(self):
        probabilities, labels, _ = outputs(4)
        with pytest.raises(ValueError, match=r"labels \(4,\) up to 3 for \(4, 3\) outputs"):
            evaluate.ranks(probabilities, np.full(4, 3))
        with pytest.raises(ValueError, match=r"labels \(3,\)"):
            evaluate.ranks(probabilities, labels[:3])
        for unfit in (np.nan, np.inf):
            probabilities[2, 1] = unfit
            with pytest.raises(
                ValueError, match="row 2 of the probabilities holds NaN or infinity"
            ):
                evaluate.ranks(probabilities, labels)
            with pytest.raises(ValueError, match="row 2"):
                evaluate.top(probabilities, 1)


@given(tied, st.integers(1, 5))
def test_top_is_a_stable_sort(probabilities, k: int):
    columns, values = evaluate.top(probabilities, k)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    assert np.array_equal(columns, order)
    assert np.array_equal(values, np.take_along_axis(probabilities, order, axis=1))


def test_top_of_more_than_there_are_is_all():
    columns, _ = evaluate.top(outputs(2)[0], 20)
    assert np.sort(columns).tolist() == [[0, 1, 2], [0, 1, 2]]


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_as_scipy(case: tuple[int, int]):
    theirs = binomtest(*case).proportion_ci(0.95, method="wilson")
    assert evaluate.wilson(*case) == pytest.approx((theirs.low, theirs.high), abs=1e-7)


def test_top_k_with_images_that_can_never_be_right():
    one, three, all_ = evaluate.top_k(np.array([0, 2, 4, NEVER]), [1, 3, 99])
    assert (one.accuracy, three.accuracy, all_.accuracy) == (0.25, 0.5, 0.75)
    assert (one.k, one.images) == (1, 4)
    assert one.low < 0.25 < one.high
    with pytest.raises(ValueError, match="no images"):
        evaluate.top_k(np.array([], np.int64))


def test_the_notes_figures_are_fixed_to_less_than_half_a_point():
    # 68.3 %
    low, high = evaluate.wilson(34_150, 50_000)
    assert (round(100 * low, 1), round(100 * high, 1)) == (67.9, 68.7)


@given(anywhere, hnp.arrays(np.int64, 6, elements=st.integers(0, 4)))
def test_confusions_by_brute_force(labels, chosen):
    found = evaluate.confusions(labels, chosen).tolist()
    wrong = [
        pair
        for pair in zip(labels.tolist(), chosen.tolist(), strict=True)
        if pair[0] not in (-1, pair[1])
    ]
    assert found == sorted(
        ([*pair, wrong.count(pair)] for pair in set(wrong)), key=lambda row: (-row[2], row[:2])
    )


def test_calibration_of_an_honest_and_of_a_boastful_network():
    confidence = np.array([0.05, 0.5, 0.55, 0.6, 1.0, 1.0], np.float32)
    correct = np.array([False, True, True, False, True, True])
    table = evaluate.calibration(confidence, correct, bins=2)
    # 0.5 belongs to the lower half
    assert table[:, 0].tolist() == [2, 4]
    assert table[:, 1] == pytest.approx([0.275, 0.7875])
    assert table[:, 2].tolist() == [0.5, 0.75]
    empty = evaluate.calibration(np.ones(2, np.float32), np.array([True, False]), bins=4)
    assert np.isnan(empty[:3, 1:]).all()
    assert empty[:, 0].tolist() == [0, 0, 0, 2]


def test_it_needs_numpy_and_the_standard_library_only():
    program = (
        "import sys; from imnetlib import evaluate;"
        "print(sorted({'scipy', 'cv2', 'mxnet'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
