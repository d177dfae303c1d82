"""Predictions of any network are judged by wnid; what is left out or odd is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from making import imnet

from imnetlib import catalog, course, evaluate, wordnet

# Five classes of ILSVRC and three others, in no order.
WNIDS = (
    "n02510455", "n13108841", "n01440764", "n11620673", "n02084071", "n02110185", "n02109961",
    "n01443537",
)  # fmt: skip
SMALL = [0, 2, 5, 6, 7]
N = 240


def lines(names: list[str]) -> str:
    return "".join(f"{name}\n" for name in names)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Predictions for 240 images of five classes, right for the most part, and the class list."""
    rng = np.random.default_rng(0)
    truth = np.array(SMALL)[np.arange(N) % 5]
    logits = rng.normal(size=(N, 8))
    logits[np.arange(N), truth] += 3
    (tmp_path / "synset.txt").write_text(lines(list(WNIDS)))
    np.save(tmp_path / "truth.npy", truth)
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "p.npy", softmax(logits))
    rows = [f"{i}\t0\t{WNIDS[t]}/{i}.JPEG" for i, t in enumerate(truth)]
    (tmp_path / "folders.lst").write_text(lines(rows))
    return tmp_path


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits)
    return raised / raised.sum(axis=1, keepdims=True)


def judged(folder: Path, name: str = "p.npy", *options: object, classes: str = "synset.txt"):
    return imnet("evaluate", folder / name, "--classes", folder / classes, *options)


def shares(output: str) -> list[str]:
    return re.findall(r"top-\d+ [\d.]+%", output)


def test_figures_of_both_label_spaces(folder: Path):
    done = judged(folder, "p.npy", "--labels", folder / "folders.lst")
    assert done.exit_code == 0, done.output
    p = np.load(folder / "p.npy")
    truth = np.load(folder / "truth.npy")
    own = p[np.arange(N), truth][:, None]
    expected = []
    for columns in (range(8), SMALL):
        rank = (p[:, columns] >= own).sum(axis=1) - 1
        expected += [f"top-{k} {np.mean(rank < k):.1%}" for k in (1, 5) if k < len(columns)]
    assert shares(done.output) == expected
    assert f"among 8 classes of the network, {N} images: " in done.output
    assert f"among 5 classes of ILSVRC, {N} images: " in done.output
    assert "of ILSVRC's 1,000 classes the network lacks 995: " in done.output
    wrong = int(np.sum(p.argmax(axis=1) != truth))
    assert re.search(
        rf"relation of {wrong} wrong answers to the truth: ancestor .*sibling .*other", done.output
    )
    line = (
        r"over all .*: precision [\d.]+%, recall [\d.]+%, F [\d.]+%, severity of a wrong .* [\d.]+"
    )
    assert re.search(line, done.output)
    confidence = f"confidence {p.max(axis=1).mean():.1%}, right {np.mean(p.argmax(1) == truth):.1%}"
    assert f"{confidence}: expected calibration error " in done.output
    assert "Warning" not in done.output


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_logits_and_probabilities_give_the_same(folder: Path, dtype):
    labels = ("--labels", folder / "folders.lst")
    logits = np.load(folder / "logits.npy").astype(dtype)
    np.save(folder / "l.npy", logits)
    np.save(folder / "p.npy", softmax(logits.astype(np.float64)))
    expected = judged(folder, "p.npy", *labels).stdout.splitlines()[:-1]
    assert judged(folder, "l.npy", "--logits", *labels).stdout.splitlines()[:-1] == expected
    np.savez(folder / "l.npz", logits=logits)
    assert judged(folder, "l.npz", *labels).stdout.splitlines()[:-1] == expected
    refused = judged(folder, "l.npy", *labels)
    assert refused.exit_code == 1
    assert "l.npy, row 0: the outputs sum to" in refused.output
    assert "(evaluate.softmax; --logits, in a chapter -p logits True)" in refused.output


def test_labels_in_the_npz_are_columns_or_wnids(folder: Path):
    p = np.load(folder / "p.npy")
    truth = np.load(folder / "truth.npy")
    truth[:3] = -1
    names = np.array([*WNIDS, "n07695965"])[truth]
    results = []
    for labels in (truth, names):
        np.savez(folder / "p.npz", probabilities=p, labels=labels)
        done = judged(folder, "p.npz")
        assert done.exit_code == 0, done.output
        results.append(shares(done.output))
    assert results[0][:2] == results[1][:2]
    assert "images without a column of their class, counted as wrong: 3 (" in done.output
    np.savez(folder / "p.npz", probabilities=p, labels=truth)
    done = judged(folder, "p.npz")
    assert f"labels: those of {folder}/p.npz, taken for columns of the network" in done.output
    assert "images of no class of the list (label -1), counted as wrong: 3" in done.output
    assert f"among 8 classes of the network, {N} images" in done.output
    assert f"among 5 classes of ILSVRC, {N - 3} images" in done.output


def test_ids_say_which_images_the_rows_are(folder: Path):
    p = np.load(folder / "p.npy")
    rows = np.random.default_rng(1).permutation(N)
    np.savez(folder / "all.npz", probabilities=p[rows], ids=rows)
    np.savez(folder / "some.npz", probabilities=p[rows[:200]], ids=rows[:200])
    np.savez(folder / "others.npz", probabilities=p, ids=np.arange(N) + 1)
    np.savez(folder / "twice.npz", probabilities=p, ids=np.arange(N) // 2)
    labels = ("--labels", folder / "folders.lst")
    plain = judged(folder, "p.npy", *labels)
    whole = judged(folder, "all.npz", *labels)
    assert shares(whole.output) == shares(plain.output)
    part = judged(folder, "some.npz", *labels)
    assert part.exit_code == 3
    assert part.output.endswith("left out: 40 images that have labels and no predictions\n")
    for name, message in (("others", "240 has no label"), ("twice", "some are repeated")):
        done = judged(folder, f"{name}.npz", *labels)
        assert done.exit_code == 1
        assert (
            f"{name}.npz: each id is that of another labelled image, but {message}" in done.output
        )


def test_ids_that_a_list_repeats_are_refused(folder: Path):
    (folder / "twice.lst").write_text((folder / "folders.lst").read_text() * 2)
    np.savez(folder / "p.npz", probabilities=np.load(folder / "p.npy"), ids=np.arange(N))
    done = judged(folder, "p.npz", "--labels", folder / "twice.lst")
    assert done.exit_code == 1
    assert f"twice.lst: of {2 * N} ids only {N} differ" in done.output


def test_no_label_at_all_is_said(folder: Path):
    p = np.load(folder / "p.npy")
    np.savez(folder / "p.npz", probabilities=p, labels=np.full(N, -1))
    done = judged(folder, "p.npz")
    assert done.exit_code == 1
    assert "synset.txt: all are of no class of the list (label -1)" in done.output


def flat_list(folder: Path, labels: list[int]) -> Path:
    """A list of images that lie flat, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    rows = [f"{i}\t{label}\tval/val_{i}.JPEG" for i, label in enumerate(labels)]
    (folder / "flat.lst").write_text(lines(rows))
    return folder / "flat.lst"


def test_a_flat_list_gives_columns_only_if_it_is_of_these_classes(folder: Path):
    truth = np.load(folder / "truth.npy").tolist()
    lst = flat_list(folder / "lists", truth)
    done = judged(folder, "p.npy", "--labels", lst)
    assert "flat.lst, taken for columns of the network" in done.output
    assert done.exit_code == 0
    flat_list(folder / "lists", [SMALL.index(label) for label in truth])
    done = judged(folder, "p.npy", "--labels", lst)
    assert done.exit_code == 1
    assert (
        "flat.lst: labels go to 4, the network's columns to 7: put the synset.txt that names them "
        "beside the list, or give"
    ) in done.output


@pytest.mark.parametrize("order", ["as the columns", "sorted", "fewer"])
def test_the_labels_of_a_flat_list_mean_the_classes_beside_it(folder: Path, order: str):
    truth = np.load(folder / "truth.npy")
    own = {"as the columns": WNIDS, "sorted": sorted(WNIDS), "fewer": [WNIDS[s] for s in SMALL]}
    classes = list(own[order])
    lst = flat_list(folder / "lists", [classes.index(WNIDS[label]) for label in truth])
    (folder / "lists" / "synset.txt").write_text(lines(classes))
    done = judged(folder, "p.npy", "--labels", lst)
    assert done.exit_code == 0, done.output
    assert f"flat.lst, named by {folder}/lists/synset.txt" in done.output
    assert "Warning" not in done.output
    expected = judged(folder, "p.npy", "--labels", folder / "folders.lst")
    assert done.stdout.splitlines()[1:] == expected.stdout.splitlines()[1:]
    # Images that imnet list --unknown keep leaves without a class.
    flat_list(folder / "lists", [-1, -1, *(classes.index(WNIDS[label]) for label in truth[2:])])
    done = judged(folder, "p.npy", "--labels", lst)
    assert "images of no class of the list (label -1), counted as wrong: 2" in done.output


@pytest.mark.parametrize("kind", [".lst", ".npz"])
def test_labels_that_number_the_classes_in_another_order_are_not_the_lists_fault(
    folder: Path, kind: str
):
    order = WNIDS[::-1]
    labels = [order.index(WNIDS[label]) for label in np.load(folder / "truth.npy")]
    name, options = "p.npy", ("--labels", flat_list(folder / "lists", labels))
    if kind == ".npz":
        np.savez(folder / "p.npz", probabilities=np.load(folder / "p.npy"), labels=labels)
        name, options = "p.npz", ()
    done = judged(folder, name, *options)
    assert done.exit_code == 0, done.output
    where = folder / "p.npz" if kind == ".npz" else folder / "lists" / "flat.lst"
    assert f"do the labels of {where} number the classes in another order?" in done.output
    assert "synset.txt in another order" not in done.output


def test_a_tie_is_wrong_in_every_line_of_the_report(folder: Path):
    truth = np.load(folder / "truth.npy")
    p = np.full((N, 8), 1 / 8)
    # The first three are right, without a doubt.
    p[:3] = np.eye(8)[truth[:3]]
    np.save(folder / "p.npy", p)
    done = judged(folder, "p.npy", "--labels", folder / "folders.lst")
    assert shares(done.output)[0] == f"top-1 {3 / N:.1%}"
    found = re.search(rf"relation of {N - 3} wrong answers to the truth: (.*)", done.output)
    assert sum(map(float, re.findall(r"([\d.]+)%", found[1]))) == pytest.approx(100, abs=0.3)
    np.save(folder / "p.npy", np.eye(8)[truth])
    done = judged(folder, "p.npy", "--labels", folder / "folders.lst")
    assert "wrong answers" not in done.output


def test_the_validation_set_by_devkit_and_what_has_no_column(mirror: Path, tmp_path: Path):
    """A network of two more classes and one less than the sample; the devkit's 36, 72 images."""
    from imnetlib import organize

    truth = organize.read_labels(mirror / catalog.DEVKIT)
    own = sorted(set(truth))
    wnids = [*own[1:], "n03931044", "n09859684"]
    p = np.full((len(truth), len(wnids)), 0.5 / 36, np.float32)
    for row, wnid in enumerate(truth):
        p[row, wnids.index(wnid) if wnid in wnids else 0] += 0.5
    np.save(tmp_path / "p.npy", p / p.sum(axis=1, keepdims=True))
    (tmp_path / "synset.txt").write_text(lines(wnids))
    done = judged(tmp_path, "p.npy", "--labels", mirror / catalog.DEVKIT)
    assert done.exit_code == 0, done.output
    absent = catalog.describe(own[0])
    assert f"without a column of their class, counted as wrong: 2 ({absent})" in done.output
    assert shares(done.output)[0] == f"top-1 {70 / 72:.1%}"
    np.save(tmp_path / "p.npy", p[:-1])
    done = judged(tmp_path, "p.npy", "--labels", mirror / catalog.DEVKIT)
    assert done.exit_code == 1
    assert re.search(r"has 71 rows and \S+ 72 labels: give the list of these rows", done.output)


def test_fifty_thousand_rows_are_the_validation_images(tmp_path: Path):
    wnids = ["n01440764", "n01443537"]
    (tmp_path / "synset.txt").write_text(lines(wnids))
    truth = np.array([wnids.index(w) if w in wnids else 0 for w in catalog.validation_wnids()])
    np.save(tmp_path / "p.npy", np.eye(2, dtype=np.float16)[truth])
    done = judged(tmp_path)
    assert "labels: those of ILSVRC2012's 50,000 validation images, in order" in done.output
    assert "without a column of their class, counted as wrong: 49,900 (" in done.output
    assert shares(done.output) == [f"top-1 {100 / 50_000:.1%}"]


def test_columns_and_rows_in_another_order_are_noticed(folder: Path):
    (folder / "sorted.txt").write_text(lines(sorted(WNIDS)))
    labels = ("--labels", folder / "folders.lst")
    done = judged(folder, "p.npy", *labels, classes="sorted.txt")
    assert done.exit_code == 0
    found = re.search(r"Warning: top-1 is ([\d.]+)%, but ([\d.]+)% if the columns", done.output)
    assert float(found[1]) < 25
    assert float(found[2]) > 70
    assert "sorted.txt in another order (sorted?) than the columns?" in done.output
    truth = np.load(folder / "truth.npy")
    by_class = np.argsort(np.array(WNIDS)[truth], kind="stable")
    np.save(folder / "rows.npy", np.load(folder / "p.npy")[by_class])
    done = judged(folder, "rows.npy", *labels)
    assert (
        "if the rows were sorted by class: are they in the order of class folders?" in done.output
    )
    assert "columns were permuted" not in done.output


@pytest.mark.parametrize(
    ("name", "classes", "options", "message"),
    [
        ("p.npy", lines(list("abcdefgh")), (), "these are none: a, b, c, d, e, f, g and h|none: a"),
        ("p.npy", lines(list(WNIDS[:7])), (), "has 8 columns and .* 7 classes: give the list"),
        ("p.npy", lines(list(WNIDS)), (), "holds no labels: give --labels, the devkit"),
        ("p.npz", lines(list(WNIDS)), ("--logits",), "holds probabilities: leave out --logits"),
        ("p.npz", lines(list(WNIDS)), (), r"labels are columns, 0 to 7, or -1; these go from 8"),
        ("text.npy", lines(list(WNIDS)), (), "text.npy cannot be read"),
        ("p.npy", lines([f"n9{i:07}" for i in range(8)]), ("--labels",), "none of the images' cl"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(
    folder: Path, name: str, classes: str, options: tuple, message: str
):
    (folder / "text.npy").write_text("0.1,0.9\n")
    np.savez(folder / "p.npz", probabilities=np.load(folder / "p.npy"), labels=np.full(N, 8))
    (folder / "other.txt").write_text(classes)
    if options == ("--labels",):
        options = ("--labels", folder / "folders.lst")
    done = judged(folder, name, *options, classes="other.txt")
    assert done.exit_code in (1, 2)
    assert re.search(message, done.output), done.output
    assert "Traceback" not in done.output
    assert not done.exception or isinstance(done.exception, SystemExit)


def test_relations_are_those_that_chapter_8_shows(folder: Path):
    tree = wordnet.contract(wordnet.load(WNIDS))
    truth = np.load(folder / "truth.npy")
    answers = np.load(folder / "p.npy").argmax(axis=1)[:, None]
    rows = course.hierarchical_table(tree, {"network": answers}, truth)
    shown = {row["measure"].split(": ")[-1]: row["network"] for row in rows}
    output = judged(folder, "p.npy", "--labels", folder / "folders.lst").stdout
    for measure in wordnet.RELATIONS[1:]:
        assert f"{measure} {shown[measure]}" in output
    assert f"severity of a wrong answer {shown['severity of an error']}" in output
    for measure in ("precision", "recall"):
        assert f"{measure} {shown[f'hierarchical {measure}']}, " in output


def test_what_chapter_8_wrote_is_judged_as_it_is(folder: Path):
    batch = (np.load(folder / "p.npy"), np.load(folder / "truth.npy"), range(1, N + 1))
    evaluate.save_predictions(folder / "kept", WNIDS, [batch], N)
    done = imnet("evaluate", folder / "kept")
    assert done.exit_code == 0, done.output
    expected = judged(folder, "p.npy", "--labels", folder / "folders.lst")
    assert done.stdout.splitlines()[1:] == expected.stdout.splitlines()[1:]
    for option in (("--logits",), ("--classes", folder / "synset.txt")):
        done = imnet("evaluate", folder / "kept", *option)
        assert done.exit_code == 2
        assert "kept is a folder: --classes and --logits are for a .npy" in done.output
    assert "p.npy: give --classes, the wnid" in imnet("evaluate", folder / "p.npy").output


def test_ids_that_are_no_nouns_are_judged_without_relations(folder: Path):
    others = [*WNIDS[:7], "n99999999"]
    (folder / "other.txt").write_text(lines(others))
    done = judged(folder, "p.npy", "--labels", folder / "folders.lst", classes="other.txt")
    assert done.exit_code == 0, done.output
    assert "no relations of wrong answers: 'n99999999' is no noun of WordNet 3.0" in done.output
    assert "goldfish (n01443537)" in done.output


def test_rows_of_probabilities_are_not_taken_for_logits_in_silence(folder: Path):
    asked = ("--labels", folder / "folders.lst", "--logits")
    assert f"the rows of {folder}/p.npy sum to 1" in judged(folder, "p.npy", *asked).output
    assert "sum to 1" not in judged(folder, "logits.npy", *asked).output


def test_a_flat_list_is_taken_by_its_labels_whatever_its_folder_is_called(folder: Path):
    truth = np.append(np.load(folder / "truth.npy")[:-1], 7)
    done = judged(folder, "p.npy", "--labels", flat_list(folder / "lists", truth.tolist()))
    assert done.exit_code == 0, done.output
    assert "flat.lst, taken for columns of the network" in done.output
