"""Anybody's arrays are read from .npy and .npz; what they are is said, not guessed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from making import outputs

from imnetlib import evaluate

P, LABELS, IDS = outputs(5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_npy_is_memory_mapped(tmp_path: Path, dtype, order: str):
    path = tmp_path / "p.npy"
    np.save(path, P.astype(dtype, order=order))
    found = evaluate.read_outputs(str(path))
    assert found[1:] == (None, None, None)
    assert isinstance(found.scores.base, np.memmap)
    assert found.scores.dtype == dtype
    assert np.array_equal(found.scores, P.astype(dtype))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    ("name", "logits"), [("probabilities", False), ("logits", True), ("arr_0", None)]
)
def test_a_npz_says_what_it_holds(tmp_path: Path, save, name: str, logits: bool | None):
    path = tmp_path / "p.npz"
    save(path, **{name: P, "labels": LABELS.astype(np.int16), "ids": IDS.astype(float)})
    found = evaluate.read_outputs(path)
    assert found.logits is logits
    assert np.array_equal(found.scores, P)
    assert found.labels.dtype == found.ids.dtype == np.int64
    assert np.array_equal(found.labels, LABELS)
    assert np.array_equal(found.ids, IDS)


@pytest.mark.parametrize("dtype", ["U9", "S9"])
def test_labels_may_be_wnids(tmp_path: Path, dtype: str):
    np.savez(tmp_path / "p.npz", probabilities=P, labels=np.array(["n02510455"] * 5, dtype))
    assert evaluate.read_outputs(tmp_path / "p.npz").labels.tolist() == ["n02510455"] * 5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": P, "b": P}, r"there are a \(5, 3\), b \(5, 3\): call the network's outputs"),
        ({"logits": P, "probabilities": P}, r"there are logits \(5, 3\), probabilities \(5, 3\): "),
        ({"labels": LABELS}, r"there are labels \(5,\): call the network's outputs"),
        ({}, "there are no arrays: "),
        ({"logits": P[0]}, r"give a row for each image, \(n, classes\), not \(3,\)"),
        ({"logits": P[:0]}, r"give one image at least, not \(0, 3\)"),
        ({"logits": P, "labels": LABELS[:4]}, r"labels have shape \(4,\), the scores \(5, 3\)"),
        ({"logits": P, "ids": IDS[:, None]}, r"ids have shape \(5, 1\), the scores \(5, 3\)"),
        ({"logits": P, "labels": LABELS + 0.5}, "labels are whole numbers of 64 bits"),
        ({"logits": P, "labels": np.array([{}] * 5)}, "cannot be read .*Object arrays"),
    ],
)
def test_a_npz_that_is_not_clear_is_named(tmp_path: Path, arrays: dict, message: str):
    path = tmp_path / "p.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        evaluate.read_outputs(path)
    assert str(caught.value).startswith(str(path))


def test_other_and_damaged_files_are_named(tmp_path: Path):
    np.save(tmp_path / "cut.npy", P)
    np.savez(tmp_path / "bad.npz", logits=P)
    cut = (tmp_path / "cut.npy").read_bytes()
    bad = bytearray((tmp_path / "bad.npz").read_bytes())
    bad[200] ^= 255
    files = {"cut.npy": cut[:-9], "bad.npz": bytes(bad), "empty.npy": b"", "text.npy": b"0.1,0.9\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} cannot be read .*write it by numpy.save"):
            evaluate.read_outputs(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "weights.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(ValueError, match=r"weights.pt: there are no arrays"):
        evaluate.read_outputs(tmp_path / "weights.pt")
    with pytest.raises(FileNotFoundError):
        evaluate.read_outputs(tmp_path / "none.npy")
