"""The verb of predictions: evaluate."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from imnetlib.cli.common import EXISTING, EXISTING_FILE, LEFT_OUT

if TYPE_CHECKING:
    from imnetlib.arguments import Integers
    from imnetlib.evaluate import Judgement, Outputs
    from imnetlib.wordnet import Hierarchy

KS = (1, 5, 20)
_NO_CLASS = "no class of the list (label -1)"


class _Truth(NamedTuple):
    """The true class of each row, "" where it has none; and the labelled images without a row.

    ``numbered``: the file whose labels are taken for columns of the network, if so.
    """

    wnids: list[str]
    left_out: int = 0
    numbered: Path | None = None


@click.command(short_help="Judge the predictions of any network.")
@click.argument("predictions", type=EXISTING)
@click.option("--classes", type=EXISTING_FILE, help="The wnid of each column, in their order.")
@click.option(
    "--labels", "source", type=EXISTING_FILE, help="True classes: devkit, Kaggle's .csv, a .lst."
)
@click.option("--logits", is_flag=True, help="Take the softmax of each row first.")
def evaluate(predictions: Path, classes: Path | None, source: Path | None, logits: bool) -> None:
    """Judge PREDICTIONS, the outputs of any network.

    PREDICTIONS is a .npy with a row of probabilities for each image, or a .npz that holds
    "probabilities" or "logits", and perhaps "labels" (columns or wnids) and "ids"; --classes is a
    synset.txt or Kaggle's LOC_synset_mapping.txt. Or it is a folder that chapter 8 wrote, which has
    all that. Labels are compared by wnid.

    Rows are the validation images 1, 2, ... or those of the .lst, in order; with "ids", the images
    of those numbers. For rows in the order of class folders give the .lst that imnet list makes of
    these. The labels of a flat .lst are named by the synset.txt beside it. Without labels, 50,000
    rows are taken for the validation images of ILSVRC2012. Relations and severity are, as in
    chapter 8, those among the nodes of WordNet that tell the network's classes apart.
    """
    from imnetlib import evaluate

    outputs, wnids, classes = read_predictions(predictions, classes, logits=logits)
    _require_wnids(wnids, classes)
    truth = _truth(predictions, outputs, source, wnids)
    labels = evaluate.align(truth.wnids, wnids)
    if labels.max() < 0:
        raise ValueError(f"none of the images' classes is in {classes}: {_some(truth.wnids)}")
    small = _columns_of_ilsvrc(wnids)
    judged = _judge(predictions, outputs, labels, small, logits or bool(outputs.logits))
    _echo_accuracies(judged, truth.wnids, wnids, small)
    _echo_errors(judged, labels, wnids)
    _warn_of_order(judged, labels, truth, wnids, classes)
    if truth.left_out:
        click.echo(f"left out: {truth.left_out:,} images that have labels and no predictions")
        sys.exit(LEFT_OUT)


def read_predictions(
    path: Path, classes: Path | None, *, logits: bool
) -> tuple[Outputs, tuple[str, ...], Path]:
    """The outputs in a file or in a folder of chapter 8, the class of each column, and its source.

    UsageError where options lack, or contradict what the files say.
    """
    from imnetlib import catalog, evaluate

    if path.is_dir():
        if classes is not None or logits:
            raise click.UsageError(
                f"{path} is a folder: --classes and --logits are for a .npy or .npz; chapter 8 "
                "writes probabilities, with their classes"
            )
        found = evaluate.Predictions.load(path)
        outputs = evaluate.Outputs(found.probabilities, False, found.labels, found.ids)
        return outputs, found.wnids, path
    if classes is None:
        raise click.UsageError(f"{path}: give --classes, the wnid of each column")
    outputs = evaluate.read_outputs(path)
    _verify_logits(path, outputs, logits=logits)
    wnids = catalog.read_classes(classes)
    columns = outputs.scores.shape[1]
    if len(wnids) != columns:
        raise ValueError(
            f"{path} has {columns:,} columns and {classes} {len(wnids):,} classes: "
            "give the list that came with the network"
        )
    return outputs, wnids, classes


def _verify_logits(predictions: Path, outputs: Outputs, *, logits: bool) -> None:
    """UsageError where probabilities are called logits; a warning where they seem to be."""
    if logits and outputs.logits is False:
        raise click.UsageError(f"{predictions} holds probabilities: leave out --logits")
    if logits and outputs.are_probabilities():
        click.echo(
            f"Warning: the rows of {predictions} sum to 1, as probabilities do: leave out "
            "--logits, or the confidence is wrong",
            err=True,
        )


def _require_wnids(wnids: Sequence[str], classes: Path) -> None:
    from imnetlib import catalog
    from imnetlib.files import listed_names

    others = [name for name in wnids if not catalog.WNID.fullmatch(name)]
    if others:
        raise ValueError(
            f"{classes}: classes are compared by wnid, like n02510455, and these are none: "
            f"{listed_names(others)}"
        )


def _truth(
    predictions: Path, outputs: Outputs, source: Path | None, wnids: Sequence[str]
) -> _Truth:
    from imnetlib import catalog, organize

    images = len(outputs.scores)
    if source is None and outputs.labels is not None:
        return _stored(predictions, outputs.labels.tolist(), wnids)
    numbered = None
    if source is None:
        if images != catalog.ILSVRC2012.validation:
            raise ValueError(
                f"{predictions} holds no labels: give --labels, the devkit .tar.gz, Kaggle's "
                "LOC_val_solution.csv or a .lst"
            )
        click.echo(f"labels: those of ILSVRC2012's {images:,} validation images, in order")
        truth: Sequence[str] = catalog.validation_wnids()
        ids: Sequence[int] = range(1, images + 1)
    elif source.suffix == ".lst":
        (truth, _, numbered), ids = _read_list(source, wnids)
    else:
        truth = organize.read_labels(source)
        ids = range(1, len(truth) + 1)
    if outputs.ids is not None:
        by_id = dict(zip(ids, truth, strict=True))
        if len(by_id) != len(truth):
            raise ValueError(f"{source}: of {len(truth):,} ids only {len(by_id):,} differ")
        own, left_out = _of_ids(predictions, outputs.ids.tolist(), by_id)
        return _Truth(own, left_out, numbered)
    if len(truth) != images:
        raise ValueError(
            f"{predictions} has {images:,} rows and {source} {len(truth):,} labels: give the list "
            "of these rows, or their ids in a .npz"
        )
    return _Truth(list(truth), 0, numbered)


def _stored(where: Path, labels: list[Any], wnids: Sequence[str]) -> _Truth:
    """The labels beside the predictions: wnids, or columns."""
    named = isinstance(labels[0], str)
    # Chapter 8 compared the labels with the classes beside them.
    if named or where.is_dir():
        click.echo(f"labels: those in {where}")
        return _Truth(labels if named else _named(labels, wnids))
    return _taken_for_columns(where, labels, wnids)


def _taken_for_columns(where: Path, labels: list[int], wnids: Sequence[str]) -> _Truth:
    if min(labels) < -1 or max(labels) >= len(wnids):
        raise ValueError(
            f"{where}: labels are columns, 0 to {len(wnids) - 1}, or -1; these go from "
            f"{min(labels)} to {max(labels)}"
        )
    click.echo(
        f"labels: those of {where}, taken for columns of the network: which class each is hangs "
        "on the order of the class list alone"
    )
    return _Truth(_named(labels, wnids), numbered=where)


def _named(labels: list[int], classes: Sequence[str]) -> list[str]:
    return [classes[label] if label >= 0 else "" for label in labels]


def _read_list(lst: Path, wnids: Sequence[str]) -> tuple[_Truth, list[int]]:
    """The wnid and the id of each image of a .lst: by its folder, or by its label."""
    from imnetlib import pack

    images = pack.read_lst(lst)
    folders = [re.search(rb"(?:^|/)(n\d{8})/[^/]+$", path) for path in images.paths.tolist()]
    named = [folder[1].decode() for folder in folders if folder]
    ids: list[int] = images.ids.tolist()
    if len(named) == len(ids):
        click.echo(f"labels: the folders of {lst}")
        return _Truth(named), ids
    has_class = images.labels[:, 0] >= 0
    pack.verify_labels(pack.select(images, has_class), images.classes or wnids, lst)
    labels = images.labels[:, 0].astype(int).tolist()
    if images.classes:
        click.echo(f"labels: those of {lst}, named by {lst.with_name(pack.CLASSES)}")
        return _Truth(_named(labels, images.classes)), ids
    if max(labels) != len(wnids) - 1:
        raise ValueError(
            f"{lst}: labels go to {max(labels)}, the network's columns to {len(wnids) - 1}: put "
            f"the {pack.CLASSES} that names them beside the list, or give the devkit or Kaggle's "
            ".csv"
        )
    return _taken_for_columns(lst, labels, wnids), ids


def _of_ids(where: Path, ids: list[int], truth: dict[int, str]) -> tuple[list[str], int]:
    """The wnid of each of the ``ids``, and how many of ``truth`` are none of them."""
    unknown = [number for number in ids if number not in truth]
    if unknown or len(set(ids)) != len(ids):
        what = f"{unknown[0]} has no label" if unknown else "some are repeated"
        raise ValueError(f"{where}: each id is that of another labelled image, but {what}")
    return [truth[number] for number in ids], len(truth) - len(ids)


def _columns_of_ilsvrc(wnids: Sequence[str]) -> list[int]:
    """The columns of the 1,000 classes, where the network has others too."""
    from imnetlib import catalog

    small = set(catalog.wnids_1k())
    columns = [column for column, wnid in enumerate(wnids) if wnid in small]
    return columns if len(columns) < len(wnids) else []


def _judge(
    where: Path, outputs: Outputs, labels: Integers, small: list[int], logits: bool
) -> Judgement:
    from imnetlib import evaluate
    from imnetlib.progress import progress

    spaces = [None, small] if small else [None]
    with progress(len(labels), f"judge {where.name}", "images") as bar:
        try:
            return evaluate.judge(outputs.scores, labels, spaces, logits=logits, advance=bar.update)
        except ValueError as error:
            raise ValueError(f"{where}, {error}") from error


def _echo_accuracies(
    judged: Judgement, truth: list[str], wnids: Sequence[str], small: list[int]
) -> None:
    import numpy as np

    from imnetlib import catalog

    own = {*wnids, ""}
    strangers = Counter(wnid for wnid in truth if wnid not in own)
    if strangers:
        without = "images without a column of their class, counted as wrong"
        click.echo(f"{without}: {strangers.total():,} ({_some(strangers)})")
    if "" in truth:
        click.echo(f"images of {_NO_CLASS}, counted as wrong: {truth.count(''):,}")
    _echo_top_k(f"{len(wnids):,} classes of the network", judged.ranks[0], len(wnids))
    if small:
        ilsvrc = set(catalog.wnids_1k())
        lacking = ilsvrc - own
        if lacking:
            lacks = f"of ILSVRC's {len(ilsvrc):,} classes the network lacks"
            click.echo(f"{lacks} {len(lacking):,}: {_some(lacking)}")
        of_them = np.array([wnid in ilsvrc for wnid in truth])
        if of_them.any():
            _echo_top_k(f"{len(small):,} classes of ILSVRC", judged.ranks[1][of_them], len(small))


def _echo_top_k(space: str, rank: Integers, classes: int) -> None:
    from imnetlib import evaluate

    figures = [
        f"top-{top.k} {top.accuracy:.1%} ({top.low:.1%} to {top.high:.1%})"
        for top in evaluate.top_k_accuracy(rank, [k for k in KS if k < classes or k == 1])
    ]
    click.echo(f"among {space}, {len(rank):,} images: {', '.join(figures)}")


def _echo_errors(judged: Judgement, labels: Integers, wnids: Sequence[str]) -> None:
    """How wrong answers are related to the truth, and whether the confidence is honest."""
    import numpy as np

    from imnetlib import evaluate, wordnet

    wrong = (labels >= 0) & (judged.chosen != labels)
    try:
        # As in chapter 8, only nodes that tell the classes apart: relatives are nearer there.
        hierarchy = wordnet.contract(wordnet.load(wnids))
    except KeyError as error:
        click.echo(f"no relations of wrong answers: {error.args[0]}")
    else:
        if wrong.any():
            predicted = hierarchy.classes[judged.chosen[wrong]]
            shares = wordnet.relation_shares(hierarchy, predicted, hierarchy.classes[labels[wrong]])
            related = [f"{kind} {shares[kind]:.1%}" for kind in wordnet.RELATIONS[1:]]
            click.echo(
                f"relation of {len(predicted):,} wrong answers to the truth: {', '.join(related)}"
            )
        if (labels >= 0).any():
            _echo_hierarchical(hierarchy, judged, labels)
    right = judged.ranks[0] == 0
    table = evaluate.calibration(judged.confidence, right)
    gap = np.nansum(table[:, 0] * np.abs(table[:, 1] - table[:, 2])) / len(labels)
    click.echo(
        f"confidence {judged.confidence.mean():.1%}, right {right.mean():.1%}: expected "
        f"calibration error {gap:.1%} in {len(table)} bins"
    )


def _echo_hierarchical(hierarchy: Hierarchy, judged: Judgement, labels: Integers) -> None:
    """How much of what is said holds, and how far off wrong answers are."""
    from imnetlib import wordnet

    known = labels >= 0
    predicted = hierarchy.classes[judged.chosen[known]]
    truth = hierarchy.classes[labels[known]]
    scores = wordnet.hierarchical_scores(hierarchy, predicted, truth)
    off = wordnet.severity(hierarchy, predicted, truth)
    wrong = predicted != truth
    severity = f", severity of a wrong answer {off[wrong].mean():.2f}" if wrong.any() else ""
    click.echo(
        f"over all that is above the classes: precision {scores.precision:.1%}, recall "
        f"{scores.recall:.1%}, F {scores.f:.1%}{severity}"
    )


def _warn_of_order(
    judged: Judgement, labels: Integers, truth: _Truth, wnids: Sequence[str], classes: Path
) -> None:
    """Say so where another order of the columns, or of the rows, fits far better.

    Labels that are taken for columns are not compared with the class list: it is not to blame.
    """
    import numpy as np

    from imnetlib import evaluate

    top1 = np.mean(judged.ranks[0] == 0)
    permuted = evaluate.permutation_suspected(labels, judged.chosen)
    if permuted is not None:
        doubt = f"is {classes} in another order (sorted?) than the columns?"
        if truth.numbered:
            doubt = f"do the labels of {truth.numbered} number the classes in another order?"
        click.echo(
            f"Warning: top-1 is {top1:.1%}, but {permuted:.1%} if the columns were permuted: "
            f"{doubt}",
            err=True,
        )
    by_class = np.mean(evaluate.align(sorted(truth.wnids), wnids) == judged.chosen)
    if by_class > 2 * top1 + 0.1:
        click.echo(
            f"Warning: top-1 is {top1:.1%}, but {by_class:.1%} if the rows were sorted by class: "
            "are they in the order of class folders? Give the .lst of these as --labels",
            err=True,
        )


def _some(wnids: Iterable[str]) -> str:
    """Up to ten of the classes by name and wnid; "" is none."""
    from imnetlib import wordnet
    from imnetlib.files import listed_names

    named = []
    for wnid in {*wnids} - {""}:
        try:
            named.append(f"{wordnet.name(wnid)} ({wnid})")
        except KeyError:
            named.append(wnid)
    return listed_names(named) or f"all are of {_NO_CLASS}"
