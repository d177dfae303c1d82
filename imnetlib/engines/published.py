"""Networks as others published them, from 2015 on (chapter 8).

``inception-21k.tar.gz`` of *Training Deep Net on 14 Million Images by Using A Single Machine* holds
three files: the graph ``Inception-symbol.json``, the weights after nine rounds
``Inception-0009.params``, and ``synset.txt``, the class of each output. Layers have other names and
another order there than in ``engines.inception``, so the graph itself is read: each engine builds
its network from that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from imnetlib import catalog
from imnetlib.arguments import PathLike, require, require_type, whole_number
from imnetlib.engines.checkpoint import Checkpoint
from imnetlib.engines.graph import Shape, name_old_settings
from imnetlib.engines.params import Arrays, read_params
from imnetlib.files import file_crc32, listed_names
from imnetlib.image import Transform

CLASSES = "synset.txt"
CENTER_2015 = Transform(size=224, share=0.875, layout="NCHW", mean=(117.0, 117.0, 117.0))
"""The middle 224 of 256 pixels, 117 subtracted in each channel, nothing divided."""

WAY_OUT = "take all files from one archive"
# Operations that make probabilities; the first two have a label among their inputs.
SOFTMAX = ("SoftmaxOutput", "Softmax", "SoftmaxActivation", "softmax")


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A published network, for ``checkpoint.predict`` of either engine, which verifies it.

    ``graph``: that of MXNet's JSON, every setting named. ``parameters`` as in ``Checkpoint``.
    ``wnids``: the class of each output, in the publisher's order. ``source``: the name of the
    weights and their checksum, to know predictions by. ``path``: of the graph.
    """

    graph: dict[str, Any]
    parameters: Arrays
    wnids: tuple[str, ...]
    source: str
    transform: Transform
    path: Path
    images_per_device: int = 32


Trained: TypeAlias = Checkpoint | Published


def require_trained(network: Trained) -> None:
    """TypeError for what neither ``load_checkpoint`` nor ``load_published`` gives."""
    kinds = (Checkpoint, Published)
    require_type(network, kinds, "a network is an engines.Checkpoint or an engines.Published")


def load_published(
    folder: PathLike,
    name: str = "Inception",
    epoch: int | None = None,
    transform: Transform = CENTER_2015,
) -> Published:
    """NAME-symbol.json, NAME-0009.params and synset.txt in ``folder`` as a network (chapter 8).

    ``epoch``: the newest that is there unless given. ``transform``: NCHW, of the size that the
    network takes. FileNotFoundError says what is missing; ValueError names a file that is damaged.
    Whether the files fit together is known when an engine builds the network: ValueError then.
    Memory: the weights, 135 MB for 21,841 classes.
    """
    folder = Path(folder)
    require_type(transform, Transform, "transform is a Transform(…)")
    require(transform.layout == "NCHW", "the layout of the transform is NCHW", transform.layout)
    path = folder / f"{name}-symbol.json"
    others = [found.name for found in folder.glob("*-symbol.json")]
    _require_file(path, f"networks there: {listed_names(others) or 'none'}")
    weights = _weights(folder, name, epoch)
    classes = folder / CLASSES
    _require_file(classes, "it names the class of each output, a line each")
    graph = _read_graph(path)
    try:
        parameters = read_params(weights)
    except ValueError as error:
        raise ValueError(f"{error}: take it anew from its archive") from error
    source = f"{weights.stem} {file_crc32(weights):08x}"
    return Published(graph, parameters, catalog.read_classes(classes), source, transform, path)


def _require_file(path: Path, hint: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing ({hint}): unpack the published archive there")


def _weights(folder: Path, name: str, epoch: int | None) -> Path:
    """The file of an epoch, or of the newest: MXNet writes four digits, or as many as it takes."""
    pattern = re.compile(re.escape(name) + r"-(\d{4,})\.params")
    found = {int(m[1]): path for path in folder.iterdir() if (m := pattern.fullmatch(path.name))}
    wanted = max(found, default=0) if epoch is None else whole_number("epoch", epoch)
    path = found.get(wanted, folder / f"{name}-{wanted:04}.params")
    _require_file(path, f"epochs there: {', '.join(map(str, sorted(found))) or 'none'}")
    return path


def _read_graph(path: Path) -> dict[str, Any]:
    """The graph as the MXNet of its day understood it; ValueError where it does not predict."""
    try:
        graph: dict[str, Any] = json.loads(path.read_bytes())
        name_old_settings(graph)
        heads = [graph["nodes"][head[0]] for head in graph["heads"]]
        if [head["op"] in SOFTMAX for head in heads] != [True]:
            outputs = [f"{head['name']} ({head['op']})" for head in heads[:5]]
            raise ValueError(f"its outputs are {outputs}, not one probability a class")
        if "data" not in (node["name"] for node in graph["nodes"] if node["op"] == "null"):
            raise ValueError("it has no input called data")
    except KeyError as error:
        raise ValueError(no_network(path, f"it has no {error}")) from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise ValueError(no_network(path, str(error))) from error
    return graph


def no_network(path: PathLike, reason: str) -> str:
    """What to say of a graph that an engine cannot build."""
    return (
        f"{path} is no network that predicts ({reason}): take it anew from its archive, or name "
        "the size of its pictures in transform"
    )


def verify_published(
    network: Published, shapes: Mapping[str, Shape], outputs: Sequence[int]
) -> None:
    """ValueError where weights or classes are not those of the graph.

    ``shapes``: of each array that the graph needs, by its name. ``outputs``: the shape of what it
    gives for one picture, (1, classes).
    """
    graph = network.path.name
    weights = network.path.with_name(f"{network.source.split()[0]}.params")
    if len(outputs) != 2:
        reason = f"its outputs are {tuple(outputs)}, not one probability a class"
        raise ValueError(no_network(network.path, reason))
    lacking = shapes.keys() - network.parameters.keys()
    surplus = network.parameters.keys() - shapes.keys()
    if lacking or surplus:
        raise ValueError(
            f"{weights} does not fit {graph}: it lacks {listed_names(lacking) or 'nothing'}, and "
            f"has besides {listed_names(surplus) or 'nothing'}: {WAY_OUT}"
        )
    for name, shape in shapes.items():
        found = network.parameters[name].shape
        if found != shape:
            raise ValueError(
                f"{weights}: {name} is {found}, in {graph} it is {shape}: {WAY_OUT}, or name the "
                "size of its pictures in transform"
            )
    if len(network.wnids) != outputs[1]:
        raise ValueError(
            f"{network.path.with_name(CLASSES)} names {len(network.wnids):,} classes, {graph} has "
            f"{outputs[1]:,} outputs: {WAY_OUT}"
        )
