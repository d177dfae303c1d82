"""A published network among a root's checkpoints, and a stranger's outputs: judged by wnid."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from making import encoded, photo, tree
from trainings import ENGINES

from imnetlib import course, evaluate, pack
from imnetlib.course.root import Root
from imnetlib.course.steps.records import pack_sample
from imnetlib.engines.mxnet import mx

CLASSES = ("n01440764", "n01443537", "n02510455")
# In another order, one lacking and one more.
COLUMNS = ("n02510455", "n00004475", "n01440764")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root of class folders, packed."""
    folder = tmp_path_factory.mktemp("published")
    for part, images in (("train", 2), ("val", 4)):
        for place, wnid in enumerate(CLASSES):
            (folder / "photos" / part / wnid).mkdir(parents=True)
            for number in range(images):
                path = folder / "photos" / part / wnid / f"{wnid}_{number}.JPEG"
                path.write_bytes(encoded(photo(70, 60, 10 * place + number)))
    opened = course.open_root(str(folder / "root"), source=str(folder / "photos"))
    pack_sample(opened)
    return opened


def publish(root: Root) -> None:
    """The three files of a network that looks at the mean colour alone."""
    x = mx.sym.Pooling(
        mx.sym.Variable("data"), global_pool=True, kernel=(1, 1), pool_type="avg", name="pool"
    )
    x = mx.sym.FullyConnected(x, num_hidden=len(COLUMNS), name="fc1")
    net = mx.sym.SoftmaxOutput(x, name="softmax")
    random = np.random.default_rng(3)
    arrays = {
        "arg:fc1_weight": mx.nd.array(random.normal(0, 0.01, (len(COLUMNS), 3))),
        "arg:fc1_bias": mx.nd.array(random.normal(0, 0.01, len(COLUMNS))),
    }
    root.checkpoints.mkdir(exist_ok=True)
    (root.checkpoints / "Inception-symbol.json").write_text(net.tojson())
    mx.nd.save(str(root.checkpoints / "Inception-0009.params"), arrays)
    lines = (f"{wnid} a thing\n" for wnid in COLUMNS)
    (root.checkpoints / "synset.txt").write_text("".join(lines))


@pytest.mark.parametrize("engine", ["", *ENGINES])
def test_a_published_network_is_found_and_its_labels_are_its_columns(root: Root, engine: str):
    publish(root)
    shutil.rmtree(root.predictions, ignore_errors=True)
    made = course.predict(root, "Inception", engine=engine)
    assert made.wnids == COLUMNS
    # Four of each class: the second has no column.
    assert np.bincount(made.labels + 1).tolist() == [4, 4, 0, 4]
    assert np.array_equal(course.predicted(root).labels, made.labels)
    assert (evaluate.ranks(made.probabilities, made.labels) == evaluate.NEVER).sum() == 4


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    """A stranger's logits for twelve images, and the file of their columns."""
    scores = np.random.default_rng(4).normal(0, 3, (12, len(COLUMNS))).astype(np.float16)
    np.save(tmp_path / "theirs.npy", scores)
    (tmp_path / "columns.txt").write_text("".join(f"{wnid}\n" for wnid in COLUMNS))
    return tmp_path / "theirs.npy", tmp_path / "columns.txt"


def test_outputs_of_another_network_are_kept_beside_those_of_the_root(
    root: Root, given: tuple[Path, Path]
):
    publish(root)
    own = course.predict(root, "Inception")
    made = course.adopt(root, *given, logits=True)
    scores = np.load(given[0])
    assert np.allclose(made.probabilities, evaluate.softmax(scores), atol=1e-6)
    assert made.labels.tolist() == [2] * 4 + [-1] * 4 + [0] * 4
    folder = root.predictions / "outputs-theirs.npy"
    assert {path.name for path in root.predictions.iterdir()} == {"Inception", folder.name}
    kept = tree(root.predictions)
    # Both may be asked for again, and nothing is made anew.
    again = course.adopt(root, *given, logits=True)
    assert np.array_equal(again.probabilities, made.probabilities)
    assert np.array_equal(course.predict(root, "Inception").probabilities, own.probabilities)
    found = course.predicted(root, "Inception", str(given[0]))
    assert np.array_equal(found.probabilities, made.probabilities)
    assert np.array_equal(course.predicted(root, "Inception").probabilities, own.probabilities)
    with pytest.raises(
        ValueError, match=r"has those of Inception, outputs-theirs\.npy: choose one"
    ):
        course.predicted(root)
    assert tree(root.predictions) == kept
    shutil.rmtree(root.predictions)


@pytest.mark.parametrize("changed", ["outputs", "columns", "logits"])
def test_other_outputs_of_the_same_name_are_not_overwritten(
    root: Root, given: tuple[Path, Path], changed: str
):
    outputs, columns = given
    course.adopt(root, outputs, columns, logits=True)
    kept = tree(root.predictions)
    if changed == "columns":
        columns.write_text("".join(f"{wnid}\n" for wnid in reversed(COLUMNS)))
    elif changed == "outputs":
        np.save(outputs, np.load(outputs)[::-1])
    else:
        # Of a file that says what it holds.
        scores = evaluate.softmax(np.load(outputs))
        np.save(outputs, scores)
    with pytest.raises(
        FileExistsError, match=r"outputs-theirs\.npy holds other outputs, columns or"
    ):
        course.adopt(root, outputs, columns, logits=changed != "logits")
    assert tree(root.predictions) == kept
    shutil.rmtree(root.predictions)
    course.adopt(root, outputs, columns, logits=changed != "logits")
    shutil.rmtree(root.predictions)


@pytest.mark.parametrize("kind", ["columns", "wnids"])
def test_labels_beside_outputs_say_whether_the_rows_are_in_another_order(
    root: Root, given: tuple[Path, Path], kind: str
):
    outputs, columns = given
    labels = np.array([2] * 4 + [-1] * 4 + [0] * 4)
    if kind == "wnids":
        labels = np.array([*COLUMNS, "n09999999"])[labels]
    rows = {"logits": np.load(outputs), "labels": labels}
    beside = outputs.with_suffix(".npz")
    np.savez(beside, **rows)
    assert course.adopt(root, beside, columns).labels.tolist() == [2] * 4 + [-1] * 4 + [0] * 4
    shutil.rmtree(root.predictions)
    np.savez(beside, **{name: array[::-1] for name, array in rows.items()})
    with pytest.raises(
        ValueError, match=r"theirs\.npz has other labels than .* for 8 of 12 images"
    ):
        course.adopt(root, beside, columns)
    ids = np.sort(pack.read_lst(root.lists / "validation.lst").ids)
    np.savez(beside, **{name: a[::-1] for name, a in {**rows, "ids": ids}.items()})
    assert course.adopt(root, beside, columns).labels.tolist() == [0] * 4 + [-1] * 4 + [2] * 4
    shutil.rmtree(root.predictions)


def test_outputs_that_do_not_fit_are_refused(root: Root, given: tuple[Path, Path]):
    outputs, columns = given
    for lacking in ((outputs, ""), ("", columns)):
        with pytest.raises(ValueError, match="outputs and columns go together: a network's outp"):
            course.adopt(root, *lacking)
    logits = np.load(outputs)
    with pytest.raises(ValueError, match=r"theirs\.npy, row 0: .* in a chapter -p logits True\)"):
        course.adopt(root, *given)
    np.save(outputs, evaluate.softmax(logits))
    np.savez(outputs.with_suffix(".npz"), probabilities=evaluate.softmax(logits))
    for of_probabilities in (outputs, outputs.with_suffix(".npz")):
        with pytest.raises(ValueError, match=r"theirs\.np[yz] holds probabilities: leave out log"):
            course.adopt(root, of_probabilities, columns, logits=True)
    logits[7, 1] = np.nan
    np.save(outputs, logits)
    with pytest.raises(ValueError, match=r"theirs\.npy, row 7 of the scores holds NaN"):
        course.adopt(root, *given, logits=True)
    shutil.rmtree(root.predictions)
    np.save(outputs, logits[:5])
    with pytest.raises(ValueError, match=r"theirs\.npy has 5 rows and .*validation\.lst 12 images"):
        course.adopt(root, *given, logits=True)
    columns.write_text("n02510455\n")
    with pytest.raises(ValueError, match=r"theirs\.npy has 3 columns and .*columns\.txt 1 classes"):
        course.adopt(root, *given, logits=True)
    assert not root.predictions.exists()
