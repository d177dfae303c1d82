"""A published graph of MXNet as a PyTorch module, which runs its nodes in order (chapter 10)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from imnetlib import engines
from imnetlib.engines import Published
from imnetlib.engines.inception import ENGINE

# Gives the array of a name in the graph, which has to be of this shape there.
Arrays: TypeAlias = Callable[[str, tuple[int, ...]], Tensor]


class Node(NamedTuple):
    """A layer of the graph: where its inputs come from, and the names of its arrays in order."""

    kind: str
    name: str
    settings: Mapping[str, str]
    inputs: list[int]
    arrays: list[str]

    def numbers(self, key: str, unnamed: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A setting such as "(3, 3)", in Python 2 "(3L, 3L)"."""
        return tuple(map(int, re.findall(r"-?\d+", self.settings.get(key, "")))) or unnamed

    def real(self, key: str, unnamed: float) -> float:
        """A setting such as "0.25"."""
        return float(self.settings.get(key, unnamed))

    def is_set(self, key: str, unnamed: bool = False) -> bool:
        """A setting such as "True" or "1"."""
        return self.settings.get(key, str(unnamed)).lower() in ("true", "1")


def _convolution(node: Node, arrays: Arrays, x: Tensor) -> Tensor:
    kernel = node.numbers("kernel")
    (filters,) = node.numbers("num_filter")
    (groups,) = node.numbers("num_group", (1,))
    weight = arrays(node.arrays[0], (filters, x.shape[1] // groups, *kernel))
    bias = None if node.is_set("no_bias") else arrays(node.arrays[1], (filters,))
    stride, dilation = (node.numbers(key, (1,) * len(kernel)) for key in ("stride", "dilate"))
    pad = node.numbers("pad", (0,) * len(kernel))
    return functional.conv2d(x, weight, bias, stride, pad, dilation, groups)


def _batch_norm(node: Node, arrays: Arrays, x: Tensor) -> Tensor:
    width = (x.shape[1],)
    gamma, beta, mean, variance = (arrays(name, width) for name in node.arrays)
    if node.is_set("fix_gamma", True):
        gamma = torch.ones_like(gamma)
    return functional.batch_norm(x, mean, variance, gamma, beta, eps=node.real("eps", 1e-3))


def _activation(node: Node, arrays: Arrays, x: Tensor) -> Tensor:
    kinds = {
        **{"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh},
        **{"softrelu": functional.softplus, "softsign": functional.softsign},
    }
    result: Tensor = kinds[node.settings["act_type"]](x)
    return result


def _leaky(node: Node, arrays: Arrays, x: Tensor) -> Tensor:
    kind = node.settings.get("act_type", "leaky")
    slope = node.real("slope", 0.25)
    if kind == "prelu":
        return functional.prelu(x, arrays(node.arrays[0], (x.shape[1],)))
    if kind == "rrelu":
        # At rest it takes the mean of the slopes that it draws in training.
        slope = (node.real("lower_bound", 0.125) + node.real("upper_bound", 0.334)) / 2
    leaky = partial(functional.leaky_relu, negative_slope=slope)
    kinds: dict[str, Callable[[Tensor], Tensor]] = {
        **{"leaky": leaky, "rrelu": leaky, "elu": partial(functional.elu, alpha=slope)},
        **{"selu": functional.selu, "gelu": functional.gelu},
    }
    result: Tensor = kinds[kind](x)
    return result


def _response_norm(node: Node, arrays: Arrays, x: Tensor) -> Tensor:
    """Krizhevsky et al. 2012: each number by the squares of those beside it in other channels."""
    (width,) = node.numbers("nsize")
    alpha, beta = node.real("alpha", 1e-4), node.real("beta", 0.75)
    return functional.local_response_norm(x, width, alpha, beta, node.real("knorm", 2))


def _pooling(node: Node, arrays: Arrays, x: Tensor) -> Tensor:
    kind = node.settings.get("pool_type", "max")
    if node.is_set("global_pool"):
        kinds = {"max": torch.amax, "avg": torch.mean}
        pooled: Tensor = kinds[kind](x, (2, 3), keepdim=True)
        return pooled
    kernel = node.numbers("kernel")
    stride = node.numbers("stride", (1,) * len(kernel))
    pad = node.numbers("pad", (0,) * len(kernel))
    ceil = {"valid": False, "full": True}[node.settings.get("pooling_convention", "valid")]
    if kind == "max":
        return functional.max_pool2d(x, kernel, stride, pad, ceil_mode=ceil)
    padded = node.is_set("count_include_pad", True)
    average = {"avg": functional.avg_pool2d}[kind]
    return average(x, kernel, stride, pad, ceil_mode=ceil, count_include_pad=padded)


def _fully_connected(node: Node, arrays: Arrays, x: Tensor) -> Tensor:
    (width,) = node.numbers("num_hidden")
    x = x.flatten(1) if node.is_set("flatten", True) else x
    weight = arrays(node.arrays[0], (width, x.shape[-1]))
    bias = None if node.is_set("no_bias") else arrays(node.arrays[1], (width,))
    return functional.linear(x, weight, bias)


def _last(node: Node, x: Tensor) -> Tensor:
    """The logits: who predicts takes the softmax of them."""
    temperature = node.settings.get("temperature", "None")
    return x if temperature == "None" else x / float(temperature)


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "Activation": _activation,
    "BatchNorm": _batch_norm,
    "LRN": _response_norm,
    "LeakyReLU": _leaky,
    "Concat": lambda node, _, *parts: torch.cat(parts, *node.numbers("dim", (1,))),
    "Convolution": _convolution,
    # At rest.
    "Dropout": lambda node, _, x: x,
    "Flatten": lambda node, _, x: x.flatten(1),
    "FullyConnected": _fully_connected,
    "Pooling": _pooling,
    "clip": lambda node, _, x: x.clamp(
        float(node.settings["a_min"]), float(node.settings["a_max"])
    ),
    **dict.fromkeys(("broadcast_mul", "elemwise_mul"), lambda node, _, x, y: x * y),
    **dict.fromkeys(
        ("_Plus", "_plus", "broadcast_add", "elemwise_add", "ElementWiseSum", "add_n"),
        lambda node, _, *parts: sum(parts),
    ),
}


class _OnlyMXNetError(ValueError):
    """An operation, or a kind of one, that is not in ``_OPERATIONS``."""


class Graph(nn.Module):  # type: ignore[misc]
    """A published network: pictures (n, 3, height, width) to logits (n, classes), to predict only.

    ValueError for an operation that only MXNet knows, and where the network's files do not fit.
    """

    def __init__(self, network: Published) -> None:
        super().__init__()
        nodes = network.graph["nodes"]
        try:
            self.nodes = [_node(nodes, number) for number in range(len(nodes))]
        except (IndexError, KeyError, TypeError) as error:
            raise ValueError(engines.no_network(network.path, repr(error))) from error
        self.head = network.graph["heads"][0][0]
        self._last_use = {n: reader for reader, node in enumerate(self.nodes) for n in node.inputs}
        shapes: dict[str, tuple[int, ...]] = {}

        def noted(name: str, shape: tuple[int, ...]) -> Tensor:
            shapes[name] = shape
            return torch.empty(shape, device="meta")

        try:
            picture = torch.empty((1, *network.transform.shape), device="meta")
            outputs = self._run(picture, noted).shape
        except _OnlyMXNetError as error:
            way_out = f"MXNet may run it: {ENGINE.format('mxnet')}"
            raise ValueError(f"{network.path}, {error}: {way_out}") from error
        except ValueError as error:
            raise ValueError(engines.no_network(network.path, str(error)[:200])) from error
        engines.verify_published(network, shapes, outputs)
        self._number = {name: number for number, name in enumerate(shapes)}
        self.arrays = nn.ParameterList(
            nn.Parameter(torch.tensor(network.parameters[name]).float(), requires_grad=False)
            for name in shapes
        )

    def forward(self, x: Tensor) -> Tensor:
        """The logits; their softmax is the probabilities."""
        return self._run(x, lambda name, shape: self.arrays[self._number[name]])

    def _run(self, x: Tensor, arrays: Arrays) -> Tensor:
        values: dict[int, Tensor] = {}
        for number, node in enumerate(self.nodes[: self.head]):
            if node.kind == "null":
                if node.name == "data":
                    values[number] = x
                continue
            if not values.keys() >= set(node.inputs):
                raise ValueError(f"{node.name} reads what no node before it makes")
            try:
                inputs = [values[n] for n in node.inputs]
                values[number] = _OPERATIONS[node.kind](node, arrays, *inputs)
            except KeyError as error:
                raise _OnlyMXNetError(_unknown(node, error)) from error
            except (IndexError, RuntimeError, TypeError, ValueError) as error:
                raise ValueError(f"{node.name} ({node.kind}): {error}") from error
            for n in node.inputs:
                if self._last_use[n] == number:
                    values.pop(n, None)
        (scores,) = (values[n] for n in self.nodes[self.head].inputs)
        return _last(self.nodes[self.head], scores)


def _unknown(node: Node, error: KeyError) -> str:
    if node.kind not in _OPERATIONS:
        return f"{node.name}: the operation {node.kind} is not known to PyTorch's engine"
    return f"{node.name}: of {node.kind} {error} is not known to PyTorch's engine"


def _node(nodes: list[dict[str, Any]], number: int) -> Node:
    """A node with its settings, whatever key its version of MXNet gave them."""
    node = nodes[number]
    settings = node.get("attr", {}) | node.get("attrs", {}) | node.get("param", {})
    inputs = []
    arrays = []
    for n, *_ in node["inputs"]:
        name = nodes[n]["name"]
        if nodes[n]["op"] != "null" or name == "data":
            inputs.append(n)
        elif not name.endswith("label"):
            arrays.append(f"arg:{name}")
    if node["op"] == "BatchNorm":
        # The graphs of 2015 do not have the statistics.
        statistics = [name.removeprefix("arg:") for name in arrays[2:]]
        statistics = statistics or [f"{node['name']}_moving_{kind}" for kind in ("mean", "var")]
        arrays = [*arrays[:2], *(f"aux:{name}" for name in statistics)]
    return Node(node["op"], node["name"], settings, inputs, arrays)
