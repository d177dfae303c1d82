"""Scores come in blocks as they are, whatever their type; what is unfit is refused."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special

from imnetlib import evaluate

FLOATS = [np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", [*FLOATS, ">f2", ">f4", np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_hold_the_same_numbers(dtype, order: str):
    # More than two blocks.
    given_ = np.random.default_rng(0).normal(size=(500, 7)).astype(dtype, order=order)
    given_[::2] = given_[::2] * given_.dtype.type(1e-7)
    blocks = list(evaluate.row_blocks(given_))
    assert len(blocks) == 3
    assert {block.dtype.name for _, block in blocks} <= {"float32", "float64"}
    for rows, block in blocks:
        assert np.array_equal(block, given_[rows].astype(np.float64))


def test_every_half_is_converted_as_numpy_does():
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = bits[np.isfinite(bits)][:, None]
    blocks = [block for _, block in evaluate.row_blocks(finite)]
    assert np.array_equal(np.concatenate(blocks), finite.astype(np.float32))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.5, 0.5], r"give a row for each image, \(n, classes\), not \(2,\)"),
        (np.zeros((2, 3, 4)), r"give a row for each image, \(n, classes\), not \(2, 3, 4\)"),
        (np.zeros((2, 0)), r"a row holds one class at least, not \(2, 0\)"),
        ([["a", "b"]], "scores are numbers, not 'str"),
        ([[1j, 0]], "scores are numbers, not 'complex128'"),
        ([[0.5, 0.5], [np.nan, 1]], "row 1 of the scores holds NaN or infinity"),
        ([[0.5, 0.5], [np.inf, 1]], "row 1 of the scores holds NaN or infinity"),
        ([[0.5, 0.5], [-np.inf, -np.inf]], "row 1 of the scores holds NaN or infinity"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(scores, message: str):
    with pytest.raises(ValueError, match=message):
        list(evaluate.row_blocks(scores))
    with pytest.raises(ValueError, match=message):
        evaluate.ranks(scores, [0, 0])
    with pytest.raises(ValueError, match=message):
        evaluate.best_columns(scores, 1)


def resident(path: Path) -> int:
    """The bytes of a mapped file that count as memory of this process."""
    text = Path("/proc/self/smaps").read_text()
    sizes = re.findall(rf"{re.escape(str(path))}\n(?:.*\n)*?Rss:\s+(\d+) kB", text)
    return 1024 * sum(map(int, sizes))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_file_is_let_go_of_and_nothing_is_lost(tmp_path: Path, mode: str):
    path = tmp_path / "scores.npy"
    np.save(path, np.ones((100_000, 40), np.float32))
    scores = np.load(path, mmap_mode=mode)
    if mode != "r":
        # In memory alone where the map is private.
        scores[7] = 3
    assert sum(float(block.sum()) for _, block in evaluate.row_blocks(scores[:, 4:])) == (
        36 * (100_000 if mode == "r" else 100_002)
    )
    assert scores[7, 0] == (1 if mode == "r" else 3)
    if sys.platform == "linux" and mode != "c":
        assert resident(path) < 2e6


def test_a_private_map_that_is_no_files_loses_nothing(tmp_path: Path):
    path = tmp_path / "scores"
    path.write_bytes(bytes(1 << 20))
    with path.open("rb") as file:
        private = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    scores = np.frombuffer(private, np.float32).reshape(-1, 16)
    scores[:] = 1
    assert sum(float(block.sum()) for _, block in evaluate.row_blocks(scores)) == scores.size
    assert scores.sum() == scores.size


@given(hnp.arrays(np.float16, (3, 4), elements=st.floats(-1000, 1000, width=16)))
@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_as_scipy(dtype, logits):
    found = evaluate.softmax(logits.astype(dtype))
    assert found.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(found, special.softmax(logits.astype(float), axis=1), atol=1e-6)
    evaluate.require_probabilities(found)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [1, 1000, 21_841])
def test_probabilities_of_any_precision_are_those(dtype, classes: int):
    for spread in (0, 1, 8):
        logits = spread * np.random.default_rng(spread).normal(size=(5, classes))
        rows = evaluate.softmax(logits).astype(dtype)
        assert sum(len(block) for _, block in evaluate.probability_blocks(rows)) == 5


def test_the_row_that_is_no_probabilities_is_named():
    rows = np.full((400, 4), 0.25)
    rows[300, 0] = 0.5
    fault = "row 300: the outputs sum to 1.25, not 1: .* is the softmax missing"
    with pytest.raises(ValueError, match=fault):
        list(evaluate.probability_blocks(rows))


@pytest.mark.parametrize("logits", [[], [[]], 1.0, np.zeros((3, 0))])
def test_a_softmax_of_nothing_is_refused(logits):
    with pytest.raises(ValueError, match=r"^give logits of one class at least"):
        evaluate.softmax(logits)


def test_probabilities_may_be_lists():
    evaluate.require_probabilities([[0.5, 0.5]])
    with pytest.raises(ValueError, match=r"^give a row for each image, .*, not \(2,\)"):
        evaluate.require_probabilities(np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match=r"^an output is negative, -0\.5: has"):
        evaluate.require_probabilities([[1.5, -0.5]])
