"""The verb that tells in a few nodes what a network sees: explain."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imnetlib.cli.common import EXISTING, EXISTING_FILE, EXISTING_FOLDER, LEFT_OUT, POSITIVE
from imnetlib.cli.predictions import verify_columns

if TYPE_CHECKING:
    from imnetlib.arguments import Floats
    from imnetlib.wordnet import Hierarchy

_ARRAYS = (".npy", ".npz")
ENGINE = click.Choice(["mxnet", "torch"])
_WIDTH = 30
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
@click.option("--theta", type=click.FloatRange(0, 1), help="Give also one answer of this mass.")
@click.option("--first", type=POSITIVE, default=10, help="Rows of predictions that are told.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each image.")
def explain(files: Sequence[Path], network: Path | None, classes: Path | None, **how: Any) -> None:
    """Tell what is in each image of FILES by WordNet's hierarchy.

    FILES are images, and --network says where the network is that looks at them; or predictions: a
    .npy or .npz as for imnet evaluate, with --classes, or a folder that chapter 8 wrote.
    """
    failed = 0
    teller = _Teller(how["k"], how["theta"], as_json=how["as_json"])
    predictions = [path for path in files if path.is_dir() or path.suffix in _ARRAYS]
    for path in predictions:
        wnids, rows, more = _rows(path, classes, how["first"], logits=how["logits"])
        teller.load(wnids)
        for row, probabilities in enumerate(rows):
            teller.tell(f"{path} row {row}", probabilities)
        if more and not how["as_json"]:
            click.echo(f"{path}: {more:,} more rows (--first)")
    images = [path for path in files if path not in predictions]
    if images and network is None:
        raise click.UsageError(f"{images[0]}: for images give --network, the folder of a network")
    if images and network is not None:
        failed = _tell_images(teller, images, network, how["engine"] or "")
    if failed:
        click.echo(f"{failed:,} of {len(images):,} images cannot be read", err=True)
        sys.exit(LEFT_OUT)


def _rows(
    path: Path, classes: Path | None, first: int, *, logits: bool
) -> tuple[Sequence[str], Any, int]:
    """The classes of predictions, their ``first`` rows of probabilities, and how many follow."""
    from imnetlib import catalog, evaluate

    if path.is_dir():
        predictions = evaluate.Predictions.load(path)
        rows = predictions.probabilities[:first]
        return predictions.wnids, rows, len(predictions.probabilities) - len(rows)
    if classes is None:
        raise click.UsageError(f"{path}: give --classes, the wnid of each column")
    outputs = evaluate.read_outputs(path)
    wnids = catalog.read_classes(classes)
    verify_columns(path, outputs, wnids, classes)
    rows = outputs.scores[:first]
    more = len(outputs.scores) - len(rows)
    return wnids, evaluate.softmax(rows) if logits or outputs.logits else rows, more


def _tell_images(teller: _Teller, images: Sequence[Path], folder: Path, engine: str) -> int:
    """Tell each image by the network in ``folder``; the number of those that cannot be read."""
    from imnetlib import course, engines
    from imnetlib.image import ImageError

    network = engines.load_network(folder)
    teller.load(network.wnids)
    predict = course.engine(engine).checkpoint.image_predictor(network)
    failed = 0
    for path in images:
        try:
            probabilities = predict(path.read_bytes())
        except (ImageError, OSError) as error:
            failed += 1
            click.echo(f"{path}: {error}", err=True)
        else:
            teller.tell(str(path), probabilities)
    return failed


class _Teller:
    """Tells images, as trees or as JSON."""

    hierarchy: Hierarchy

    def __init__(self, k: int, theta: float | None, *, as_json: bool) -> None:
        self.k = k
        self.theta = theta
        self.as_json = as_json

    def load(self, wnids: Sequence[str]) -> None:
        """Take up the classes of the images that follow."""
        from imnetlib import wordnet

        try:
            self.hierarchy = wordnet.load(wnids)
        except KeyError as error:
            raise ValueError(error.args[0]) from error
        self.names = wordnet.unique_names(self.hierarchy)
        self.class_names = wordnet.class_names(self.hierarchy)

    def tell(self, what: str, probabilities: Any) -> None:
        """Tell one image."""
        try:
            told = self._told(probabilities)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from error
        if self.as_json:
            click.echo(json.dumps({"image": what, **told}, ensure_ascii=False))
        else:
            click.echo("\n".join([what, *_tree(told)]))

    def _told(self, probabilities: Any) -> dict[str, Any]:
        from imnetlib import wordnet

        reading = wordnet.explain(self.hierarchy, probabilities, self.k)
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
        if self.theta is not None:
            answer = int(wordnet.climb(self.hierarchy, probabilities[None], self.theta)[0])
            mass = float(self.hierarchy.mass(probabilities)[answer])
            found["answer"] = {**self._node(answer), "mass": mass, "theta": self.theta}
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


def _line(name: str, share: float, after: str = "") -> str:
    bar = "█" * round(_WIDTH * share)
    return f"{name[:44]:44} {share:4.2f} {bar:{_WIDTH}} {after}".rstrip()
