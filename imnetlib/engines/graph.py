"""A network's forward pass as a list of layers, free of any framework (chapter 6).

Operations and options have MXNet's names, so a network that MXNet saved is read as it is, also
where MXNet is not installed.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imnetlib.arguments import in_order, require, require_several, require_type, whole_number

# Of one picture: (channels, height, width), or (numbers,) behind a fully connected layer.
Shape = tuple[int, ...]

# The variable that holds the pictures.
PICTURES = "data"
KNOWN = frozenset(
    {"Activation", "BatchNorm", "Concat", "Convolution", "Dropout", "Flatten", "FullyConnected"}
    | {"Pooling", "SoftmaxOutput", "elemwise_add"}
)
# Before MXNet 0.9 a graph named every setting of a layer. One that is not there did not exist yet:
# pools kept what is left at the edge, BatchNorm used the gamma that it had learned. Later versions
# take other values where none is named.
UNNAMED_BEFORE_0_9 = {
    "Pooling": {"pooling_convention": "full"},
    "BatchNorm": {"fix_gamma": "False"},
}
# What is added, element by element, has other names in old files.
OLD_NAMES = {"_Plus": "elemwise_add", "_plus": "elemwise_add"}


@dataclass(frozen=True, slots=True)
class Layer:
    """One operation: ``kind`` and ``options`` as MXNet calls them, the layers that it reads.

    ``inputs`` leaves out weights; "data" stands for the pictures.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keeps_place(self) -> bool:
        """Whether it is a max pool, which also writes where in each window the maximum is."""
        return self.kind == "Pooling" and self.options.get("pool_type", "max") == "max"


def read_layers(symbol: str) -> list[Layer]:
    """The layers of a network that MXNet saved: ``symbol`` is the text of its JSON (chapter 6).

    ``net.tojson()`` of an MXNet symbol, or what stands in a file like Inception-symbol.json.
    ValueError for a text that is none, for an operation that is not in ``KNOWN``, for a layer that
    reads another's second result, and for outputs that other layers read.
    """
    require_type(symbol, str, "symbol is the text of a network's JSON (net.tojson())")
    try:
        graph = json.loads(symbol)
        nodes = graph["nodes"]
        name_old_settings(graph)
        entries = [(node, [nodes[source] for source, *_ in node["inputs"]]) for node in nodes]
        layers = [_read_layer(node, sources) for node, sources in entries if node["op"] != "null"]
        read = {name for layer in layers for name in layer.inputs}
        heads = {nodes[head[0]]["name"] for head in graph.get("heads", [])}
    except (json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"symbol is not the JSON of an MXNet network: {error!r}") from error
    if not layers:
        raise ValueError("symbol has no operation: nothing is computed")
    if inner := read & heads:
        raise ValueError(f"outputs that other layers read cannot be planned: {min(inner)}")
    return layers


def name_old_settings(graph: Mapping[str, Any]) -> None:
    """Name in a graph of MXNet's what it left unnamed before 0.9, in place."""
    # Written from 0.9 on.
    if "mxnet_version" not in graph.get("attrs", {}):
        for node in graph["nodes"]:
            key = _settings_key(node)
            node[key] = UNNAMED_BEFORE_0_9.get(node["op"], {}) | node.get(key, {})


def _settings_key(node: Mapping[str, Any]) -> str:
    # Its name changed twice.
    return next((key for key in ("attrs", "attr") if key in node), "param")


def _read_layer(node: Mapping[str, Any], sources: Sequence[Mapping[str, Any]]) -> Layer:
    kind = OLD_NAMES.get(node["op"], node["op"])
    require_type(node["name"], str, "a layer has a name")
    _require_known(node["name"], kind)
    options = {}
    for option, text in node.get(_settings_key(node), {}).items():
        # How many inputs there are, one sees.
        if not option.startswith("__") and option != "num_args":
            options[option] = _value(text)
    inputs = [
        source["name"] for source in sources if source["op"] != "null" or source["name"] == PICTURES
    ]
    if any(number for _, number, *_ in node["inputs"]):
        raise ValueError(f"cannot plan {node['name']}: it reads the second result of another")
    if not inputs:
        raise ValueError(
            f"cannot plan {node['name']}: it reads neither a layer nor the pictures, which are "
            f"called {PICTURES!r}"
        )
    return Layer(node["name"], kind, tuple(inputs), options)


def _require_known(name: str, kind: str) -> None:
    if kind not in KNOWN:
        raise ValueError(f"cannot plan {name}: nothing is known here about {kind}")


def _value(text: str) -> Any:
    """An option is a number, a tuple or True as Python writes them, else a word."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def infer_shapes(layers: Sequence[Layer], size: int) -> dict[str, Shape]:
    """The shape of what each layer makes of a picture of ``size`` pixels a side, by its name.

    Pictures have three channels. ValueError for a size below 1, for one that the network does not
    take, for no layers, for one that lacks an input or an option or has impossible ones, and for
    one name of two layers.
    """
    size = whole_number("size", size)
    require(size >= 1, "size is 1 or more", size)
    layers = in_order("layers", layers)
    require(bool(layers), "layers are one or more", layers)
    shapes: dict[str, Shape] = {PICTURES: (3, size, size)}
    for layer in layers:
        require_type(layer, Layer, "a layer is an engines.Layer")
        require_several(f"inputs of {layer.name}", layer.inputs)
        _require_known(layer.name, layer.kind)
        if layer.name in shapes:
            raise ValueError(f"two layers are called {layer.name}")
        try:
            shapes[layer.name] = _shape(layer, [shapes[name] for name in layer.inputs])
        except KeyError as missing:
            raise ValueError(
                f"layer {layer.name} lacks {missing}: a layer before it, or an option"
            ) from missing
        except ValueError as error:
            raise ValueError(
                f"the network takes no pictures of {size} pixels ({layer.name}: {error}): most "
                "networks take multiples of 32"
            ) from error
        except (IndexError, TypeError) as error:
            raise ValueError(
                f"layer {layer.name} can't be a {layer.kind} of {layer.inputs} with "
                f"{dict(layer.options)} ({error})"
            ) from error
    return shapes


def _shape(layer: Layer, inputs: Sequence[Shape]) -> Shape:
    if not inputs:
        raise KeyError("input")
    first = inputs[0]
    if layer.kind == "Activation" and "act_type" not in layer.options:
        raise KeyError("act_type")
    if layer.kind in ("Concat", "elemwise_add"):
        rest = {shape[1:] if layer.kind == "Concat" else shape for shape in inputs}
        if len(rest) > 1:
            raise ValueError(f"it joins shapes that differ, {', '.join(map(str, inputs))}")
        return (sum(s[0] for s in inputs), *first[1:]) if layer.kind == "Concat" else first
    if layer.kind == "Convolution":
        if first[0] % _number("num_group", layer.options.get("num_group", 1)):
            raise TypeError(f"{first[0]} channels are not of equal groups")
        return (_number("num_filter", layer.options["num_filter"]), *_sides(layer, first))
    if layer.kind == "Pooling":
        whole = layer.options.get("global_pool", False)
        return (first[0], *((1,) * (len(first) - 1) if whole else _sides(layer, first)))
    if layer.kind == "FullyConnected":
        return (_number("num_hidden", layer.options["num_hidden"]),)
    return (math.prod(first),) if layer.kind == "Flatten" else first


def _sides(layer: Layer, shape: Shape) -> list[int]:
    """Height and width behind filters or a pool."""
    if len(shape) != len(layer.options["kernel"]) + 1:
        raise ValueError(f"its filters do not fit the shape {shape}")
    rounded_up = layer.options.get("pooling_convention", "valid") == "full"
    sides = []
    for axis, side in enumerate(shape[1:]):
        kernel = _along(layer, "dilate", axis) * (_along(layer, "kernel", axis) - 1) + 1
        room = side + 2 * _along(layer, "pad", axis) - kernel
        if room < 0:
            raise ValueError(f"{kernel} pixels wide, more than the {room + kernel} that it gets")
        stride = _along(layer, "stride", axis)
        sides.append((-(-room // stride) if rounded_up else room // stride) + 1)
    return sides


def _along(layer: Layer, option: str, axis: int) -> int:
    values = layer.options.get(option, ())
    least = int(option != "pad")
    return _number(option, values[axis], least) if values else least


def _number(option: str, value: Any, least: int = 1) -> int:
    """An option that no size of pictures could make fit raises TypeError."""
    number = whole_number(option, value)
    if number < least:
        raise TypeError(f"{option} is {least} or more")
    return number


def layer_parameters(layer: Layer, shapes: Mapping[str, Shape]) -> int:
    """How many numbers a layer learns; BatchNorm's gammas count, also where they stay 1."""
    if layer.kind == "BatchNorm":
        return 2 * shapes[layer.name][0]
    if layer.kind not in ("Convolution", "FullyConnected"):
        return 0
    outputs = shapes[layer.name][0]
    return outputs * (_filter_size(layer, shapes) + (not layer.options.get("no_bias", False)))


def multiply_adds(layer: Layer, shapes: Mapping[str, Shape]) -> int:
    """Multiply-adds of a layer's filters for one picture; 0 for layers that have none."""
    if layer.kind not in ("Convolution", "FullyConnected"):
        return 0
    return math.prod(shapes[layer.name]) * _filter_size(layer, shapes)


def numbers_moved(layer: Layer, shapes: Mapping[str, Shape]) -> int:
    """How many numbers a layer reads and writes for one picture, its weights left out."""
    return sum(math.prod(shapes[name]) for name in (*layer.inputs, layer.name))


def _filter_size(layer: Layer, shapes: Mapping[str, Shape]) -> int:
    """Numbers that one output of a convolution or a fully connected layer is made of."""
    read = shapes[layer.inputs[0]]
    if layer.kind == "FullyConnected":
        return math.prod(read)
    groups = int(layer.options.get("num_group", 1))
    return read[0] // groups * int(math.prod(layer.options["kernel"]))
