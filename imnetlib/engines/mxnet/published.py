"""Networks as others published them, from 2015 on, made ready to predict (chapter 8).

``inception-21k.tar.gz`` of *Training Deep Net on 14 Million Images by Using A Single Machine* holds
three files: the graph ``Inception-symbol.json``, the weights after nine rounds
``Inception-0009.params``, and ``synset.txt``, the class of each output. Layers have other names and
another order there than in ``engines.inception``, so the graph itself is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imnetlib import catalog
from imnetlib.arguments import PathLike, require, require_several, whole_number
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.checkpoint import Arrays
from imnetlib.engines.mxnet.network import Shape, Symbol, infer_shapes, parameter_shapes, reason
from imnetlib.engines.training import PredictedBatch
from imnetlib.files import file_crc32, listed_names
from imnetlib.image import Transform

CLASSES = "synset.txt"
CENTER_2015 = Transform(size=224, share=0.875, layout="NCHW", mean=(117.0, 117.0, 117.0))
"""The middle 224 of 256 pixels, 117 subtracted in each channel, nothing divided."""

# Before MXNet 0.9 a graph named every setting of a layer. One that is not there did not exist yet:
# pools kept what is left at the edge, BatchNorm used the gamma that it had learned. Later versions
# take other values where none is named.
UNNAMED_BEFORE_0_9 = {
    "Pooling": {"pooling_convention": "full"},
    "BatchNorm": {"fix_gamma": "False"},
}
WAY_OUT = "take all files from one archive"


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A published network, for ``checkpoint.predict``.

    ``parameters`` as in ``Checkpoint``. ``wnids``: the class of each output, in the publisher's
    order. ``source``: the name of the weights and their checksum, to know predictions by.
    """

    symbol: Symbol
    parameters: Arrays
    wnids: tuple[str, ...]
    source: str
    transform: Transform
    images_per_device: int = 32


def load(
    folder: PathLike,
    name: str = "Inception",
    epoch: int | None = None,
    transform: Transform = CENTER_2015,
) -> Published:
    """NAME-symbol.json, NAME-0009.params and synset.txt in ``folder`` as a network (chapter 8).

    ``epoch``: the newest that is there unless given. ``transform``: NCHW, of the size that the
    network takes. FileNotFoundError says what is missing; ValueError names a file that is damaged
    or does not fit the others. Memory: the weights, 135 MB for 21,841 classes.
    """
    folder = Path(folder)
    require(transform.layout == "NCHW", "the layout of the transform is NCHW", transform.layout)
    graph = folder / f"{name}-symbol.json"
    others = [path.name for path in folder.glob("*-symbol.json")]
    _require_file(graph, f"networks there: {listed_names(others) or 'none'}")
    weights = _weights(folder, name, epoch)
    classes = folder / CLASSES
    _require_file(classes, "it names the class of each output, a line each")
    shape = (1, *transform.shape)
    symbol = _load_symbol(graph, shape)
    parameters = _load_parameters(weights, parameter_shapes(symbol, shape), graph)
    wnids = catalog.read_classes(classes)
    _, [(_, outputs)], _ = infer_shapes(symbol, shape)
    if len(wnids) != outputs:
        raise ValueError(
            f"{classes} names {len(wnids):,} classes, {graph.name} has {outputs:,} outputs: "
            f"{WAY_OUT}"
        )
    source = f"{weights.stem} {file_crc32(weights):08x}"
    return Published(symbol, parameters, wnids, source, transform)


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


def _load_symbol(path: Path, shape: Shape) -> Symbol:
    """The graph as its MXNet understood it; ValueError where it does not take ``shape``."""
    try:
        graph = json.loads(path.read_bytes())
        # Written from 0.9 on.
        if "mxnet_version" not in graph.get("attrs", {}):
            for node in graph["nodes"]:
                node["param"] = UNNAMED_BEFORE_0_9.get(node["op"], {}) | node.get("param", {})
        symbol = mx.sym.load_json(json.dumps(graph))
        _, outputs, _ = infer_shapes(symbol, shape)
        if [len(output) for output in outputs] != [2]:
            raise ValueError(f"its outputs are {outputs}, not one probability a class")
    except (AttributeError, KeyError, TypeError, ValueError, mx.base.MXNetError) as error:
        raise ValueError(
            f"{path} is no network that predicts ({reason(error)}): take it anew from its archive, "
            "or name the size of its pictures in transform"
        ) from error
    return symbol


def _load_parameters(path: Path, expected: dict[str, Shape], graph: Path) -> Arrays:
    """The arrays of a file, which must be those that the graph needs."""
    try:
        parameters = mx.nd.load(str(path))
        if not isinstance(parameters, dict):
            raise ValueError("its arrays have no names")
    except (ValueError, mx.base.MXNetError) as error:
        raise ValueError(
            f"{path} holds no weights ({reason(error)}): take it anew from its archive"
        ) from error
    lacking = expected.keys() - parameters.keys()
    surplus = parameters.keys() - expected.keys()
    if lacking or surplus:
        raise ValueError(
            f"{path} does not fit {graph.name}: it lacks {listed_names(lacking) or 'nothing'}, and "
            f"has besides {listed_names(surplus) or 'nothing'}: {WAY_OUT}"
        )
    for name, shape in expected.items():
        if parameters[name].shape != shape:
            raise ValueError(
                f"{path}: {name} is {parameters[name].shape}, in {graph.name} it is {shape}: "
                f"{WAY_OUT}, or name the size of its pictures in transform"
            )
    return parameters


def relabel(
    batches: Iterable[PredictedBatch], wnids: Sequence[str], columns: Sequence[str]
) -> Iterator[PredictedBatch]:
    """The batches with labels that are positions in ``columns``, not in ``wnids`` (chapter 8).

    A class without a column, and an image without a class (-1), get -1. ``wnids``: the classes of
    the shards; ``columns``: those of the network. ValueError where no class has a column, and for a
    label that is none of the classes.
    """
    require_several("wnids", wnids)
    require_several("columns", columns)
    # The last item is that of label -1.
    table = np.array([*catalog.positions(wnids, among=columns), -1])
    if table.max() < 0:
        raise ValueError(f"none of the {len(wnids):,} classes is among those of the network")
    for probabilities, labels, ids in batches:
        if labels.min(initial=-1) < -1 or labels.max(initial=-1) >= len(wnids):
            raise ValueError(
                f"labels go from -1 to {len(wnids) - 1:,}, not from {labels.min()} to "
                f"{labels.max()}: the shards have other classes"
            )
        yield probabilities, table[labels], ids
