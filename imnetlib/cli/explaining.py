"""The verb that tells in a few nodes what a network sees: explain."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imnetlib.cli.common import (
    EXISTING,
    EXISTING_FILE,
    EXISTING_FOLDER,
    LEFT_OUT,
    POSITIVE,
    FiniteRange,
    sentence,
)
from imnetlib.cli.predictions import read_predictions

if TYPE_CHECKING:
    from imnetlib.arguments import Floats

_ARRAYS = (".npy", ".npz")
ENGINE = click.Choice(["mxnet", "torch"])
_WIDTH = 30
_LONGEST = 44
_FIRST = 10
# For what a file on Windows, for one, does not hold.
_PLAIN = str.maketrans("█├└…", "#|`~")
# Classes under a node that are shown, and the least probability of one.
_PARTS = 3
_LEAST = 0.005


@click.command(short_help="Tell in a few words what a network sees.")
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.option("--classes", type=EXISTING_FILE, help="The wnid of each column of the predictions.")
@click.option("--network", type=EXISTING_FOLDER, help="A trained or published network, for images.")
@click.option("--engine", type=ENGINE, help="What runs it, where both are installed.")
@click.option("--logits", is_flag=True, help="Take the softmax of the predictions first.")
@click.option("-k", "--k", type=POSITIVE, default=5, help="Nodes at most for each image.")
@click.option("--theta", type=FiniteRange(0, 1), help="Give also one answer of this mass.")
@click.option("--first", type=POSITIVE, help=f"Rows of predictions to tell ({_FIRST}).")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each image.")
def explain(files: Sequence[Path], network: Path | None, classes: Path | None, **how: Any) -> None:
    """Tell what is in each image of FILES by WordNet's hierarchy.

    FILES are images, and --network says where the network is that looks at them; or predictions: a
    .npy or .npz as for imnet evaluate, with --classes, or a folder that chapter 8 wrote.
    """
    predictions = [path for path in files if path.is_dir() or path.suffix.lower() in _ARRAYS]
    images = [path for path in files if path not in predictions]
    _require_uses(predictions, images, network, classes, how)
    tell_image = None
    failed = 0
    for path in files:
        if path in predictions:
            _tell_rows(path, classes, how)
            continue
        if tell_image is None and network is not None:
            tell_image = _by_network(network, how)
        failed += tell_image is not None and not tell_image(path)
    if failed:
        click.echo(f"{failed:,} of {len(images):,} images cannot be read", err=True)
        sys.exit(LEFT_OUT)


def _require_uses(
    predictions: Sequence[Path],
    images: Sequence[Path],
    network: Path | None,
    classes: Path | None,
    how: dict[str, Any],
) -> None:
    """UsageError where something is missing, and where an option would be of no effect."""
    if images and network is None:
        raise click.UsageError(f"{images[0]}: for images give --network, the folder of a network")
    if not images and (network is not None or how["engine"] is not None):
        what = "--network and --engine are for images"
        raise click.UsageError(f"{predictions[0]}: {what}, and this is none")
    if not predictions and (classes is not None or how["logits"] or how["first"] is not None):
        what = "--classes, --logits and --first are for predictions"
        raise click.UsageError(f"{images[0]}: {what}, and this is none")


def _tell_rows(path: Path, classes: Path | None, how: dict[str, Any]) -> None:
    """Tell the first rows of predictions, and how many follow."""
    from imnetlib import evaluate

    if path.is_dir() and not (path / "probabilities.npy").exists():
        raise ValueError(
            f"{path} holds no predictions of chapter 8: give images as files, {path}/*.jpg"
        )
    outputs, wnids, source = read_predictions(path, classes, logits=how["logits"])
    rows = outputs.scores[: how["first"] or _FIRST]
    if how["logits"] or outputs.logits:
        try:
            rows = evaluate.with_temperature(rows, 1, logits=True)
        except ValueError as error:
            raise ValueError(f"{path}, {error}") from error
    teller = _Teller(wnids, source, how)
    for row, probabilities in enumerate(rows):
        known: dict[str, Any] = {"file": str(path), "row": row}
        if outputs.ids is not None:
            known["id"] = int(outputs.ids[row])
        if outputs.labels is not None:
            known["label"] = _label(outputs.labels[row], wnids)
        teller.tell(known, probabilities)
    more = len(outputs.scores) - len(rows)
    if more and not how["as_json"]:
        click.echo(f"{path}: {more:,} more rows (--first)")


def _label(label: Any, wnids: Sequence[str]) -> str | None:
    """The wnid that a label is, or that of its column."""
    if isinstance(label, str):
        return label
    return wnids[label] if 0 <= label < len(wnids) else None


def _by_network(folder: Path, how: dict[str, Any]) -> Callable[[Path], bool]:
    """What tells an image by the network in ``folder``; False for one that cannot be read."""
    from imnetlib import course, engines
    from imnetlib.image import ImageError

    network = engines.load_network(folder)
    teller = _Teller(network.wnids, folder, how)
    predict = course.engine(how["engine"] or "").checkpoint.image_predictor(network)

    def tell(path: Path) -> bool:
        try:
            probabilities = predict(path.read_bytes())
        except (ImageError, OSError) as error:
            click.echo(f"{path}: {sentence(error)}", err=True)
            return False
        teller.tell({"file": str(path)}, probabilities)
        return True

    return tell


class _Teller:
    """Tells images, as trees or as JSON."""

    def __init__(self, wnids: Sequence[str], source: Path, how: dict[str, Any]) -> None:
        """``source``: the file or folder that names the classes ``wnids``."""
        from imnetlib import wordnet

        try:
            self.hierarchy = wordnet.load(wnids)
        except KeyError as error:
            remedy = "explain takes classes by wnid: name there the noun that each of yours is"
            raise ValueError(f"{source}: {error.args[0]} ({remedy})") from error
        self.names = wordnet.unique_names(self.hierarchy)
        self.class_names = wordnet.class_names(self.hierarchy)
        self.how = how

    def tell(self, known: dict[str, Any], probabilities: Any) -> None:
        """Tell one image, of which some things are ``known``, such as its file."""
        what = known["file"] + (f" row {known['row']}" if "row" in known else "")
        try:
            told = self._told(probabilities)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from error
        if self.how["as_json"]:
            click.echo(json.dumps({**known, **told}))
        else:
            also = [
                f", {key} {known[key]}" for key in ("id", "label") if known.get(key) is not None
            ]
            click.echo("".join([what, *also]))
            click.echo(_drawn("\n".join(_tree(told))))

    def _told(self, probabilities: Any) -> dict[str, Any]:
        from imnetlib import wordnet

        reading = wordnet.explain(self.hierarchy, probabilities, self.how["k"])
        told = zip(
            reading.nodes.tolist(),
            reading.unspecified.tolist(),
            reading.mass.tolist(),
            reading.information.tolist(),
            strict=True,
        )
        found: dict[str, Any] = {
            "nodes": [
                {
                    **(self._class(node) if unspecified else self._node(node)),
                    "unspecified": unspecified,
                    "mass": mass,
                    "bits": bits,
                    "of": [] if unspecified else self._parts(node, probabilities),
                }
                for node, unspecified, mass, bits in told
            ],
            "rest": max(0.0, 1 - reading.covered),
        }
        theta = self.how["theta"]
        if theta is not None:
            answer = int(wordnet.climb(self.hierarchy, probabilities[None], theta)[0])
            mass = float(self.hierarchy.mass(probabilities)[answer])
            found["answer"] = {**self._node(answer), "mass": mass, "theta": theta}
        return found

    def _node(self, node: int) -> dict[str, str]:
        return {"wnid": self.hierarchy.wnids[node], "name": self.names[node]}

    def _class(self, node: int) -> dict[str, str]:
        (column,) = (self.hierarchy.classes == node).nonzero()[0].tolist()
        return {"wnid": self.hierarchy.wnids[node], "name": self.class_names[column]}

    def _parts(self, node: int, probabilities: Floats) -> list[dict[str, Any]]:
        """The likeliest classes under a node of several."""
        under = self.hierarchy.members[[node]].indices
        likeliest = sorted(under.tolist(), key=lambda column: -probabilities[column])[:_PARTS]
        return [
            {
                **self._class(self.hierarchy.classes[column]),
                "probability": float(probabilities[column]),
            }
            for column in likeliest
            if len(under) > 1 and probabilities[column] >= _LEAST
        ]


def _tree(told: dict[str, Any]) -> Iterator[str]:
    """The lines of one image: its nodes with bars, under each its likeliest classes."""
    for node in told["nodes"]:
        yield _line(f"  {node['name']}", node["mass"], f"{node['bits']:.1f} bits")
        for number, part in enumerate(node["of"], 1):
            branch = "└" if number == len(node["of"]) else "├"
            yield _line(f"   {branch} {part['name']}", part["probability"])
    if not told["nodes"]:
        yield "  nothing stands out"
    yield _line("  anything else", told["rest"])
    if "answer" in told:
        answer = told["answer"]
        yield f"  one answer of mass {answer['theta']}: {answer['name']} ({answer['mass']:.2f})"


def _drawn(tree: str) -> str:
    """The tree, in signs that the terminal or the file has."""
    try:
        tree.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return tree.translate(_PLAIN)
    return tree


def _line(name: str, share: float, after: str = "") -> str:
    bar = "█" * round(_WIDTH * share)
    if len(name) > _LONGEST:
        # What sets it apart may stand at its end: ", unspecified", the last words of a gloss.
        name = f"{name[: _LONGEST - 16]}…{name[-15:]}"
    return f"{name:{_LONGEST}} {share:4.2f} {bar:{_WIDTH}} {after}".rstrip()
