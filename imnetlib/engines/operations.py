"""A training step as the operations that MXNet makes of a network, in its order (chapter 6).

MXNet starts from what is asked for, the outputs and then the gradients, and places each operation
behind all that it reads (nnvm's Gradient pass and depth-first order, as in MXNet 1.9.1).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from imnetlib.arguments import in_order, require, require_several, whole_number
from imnetlib.engines.graph import PICTURES, Layer, Shape, infer_shapes
from imnetlib.engines.planner import Step

# What MXNet computes again where MXNET_BACKWARD_DO_MIRROR is set.
CHEAP = ("Activation", "BatchNorm", "Flatten", "Pooling", "elemwise_add")
# An operation of these kinds may write over what it reads, if nobody else waits for that.
IN_PLACE = ("Activation", "Dropout", "SoftmaxOutput", "elemwise_add")
# The backward pass of these hands its gradient on as it is.
HANDED_ON = ("Flatten", "elemwise_add")
# What is written beside a result.
BESIDE = {"BatchNorm": ("/mean", "/variance"), "Dropout": ("/mask",)}
# From nine gradients on MXNet adds them up in another way.
MOST_READERS = 8


def training_steps(
    layers: Sequence[Layer],
    batch: int,
    size: int,
    *,
    recomputed: Collection[str] = (),
    like_mxnet: bool = True,
    bytes_a_number: int = 4,
) -> list[Step]:
    """One step of training on ``batch`` pictures; a last step reads the outputs (chapter 6).

    The gradients of parameters and pictures are left out, since they outlive the step. Results
    are called after their layer, with an apostrophe where computed again (``conv1'``), with a
    suffix where there are several (``conv1_bn/mean``); gradients begin with ∂. Takes 5 ms for 230
    layers.

    Args:
        layers: a network in order, from ``engines.layers`` or ``engines.read_layers``.
        batch: pictures, 1 or more.
        size: pixels a side; ValueError for one that the network does not take.
        recomputed: layers whose results the backward pass computes again; ValueError for others.
        like_mxnet: where a result is computed again, the layers that are not still wait for the
            first one, and the backward pass of a concatenation waits for what it joined. Without
            it every result is given up as soon as its copy can take its place.
        bytes_a_number: MXNet plans with 4, whatever the type.
    """
    batch = whole_number("batch", batch)
    require(batch >= 1, "batch is 1 or more", batch)
    layers = in_order("layers", layers)
    require_several("recomputed", recomputed)
    again = frozenset(recomputed)
    bytes_a_number = whole_number("bytes_a_number", bytes_a_number)
    require(bytes_a_number >= 1, "bytes_a_number is 1 or more", bytes_a_number)
    shapes = infer_shapes(layers, size)
    unknown = again - {layer.name for layer in layers}
    if unknown:
        raise ValueError(f"the network has no layer {', '.join(sorted(map(str, unknown)))}")
    sizes = _sizes(layers, shapes, batch, bytes_a_number)
    return _Graph(layers, sizes, again, like_mxnet).steps()


def _sizes(
    layers: Sequence[Layer], shapes: Mapping[str, Shape], batch: int, bytes_a_number: int
) -> dict[str, int]:
    """Bytes of the pictures and of each result of the forward pass."""
    sizes = {name: batch * math.prod(shape) * bytes_a_number for name, shape in shapes.items()}
    for layer in layers:
        for suffix in _beside(layer):
            channels = shapes[layer.name][0] * bytes_a_number
            size = channels if layer.kind == "BatchNorm" else sizes[layer.name]
            sizes[layer.name + suffix] = size
    return sizes


def _beside(layer: Layer) -> tuple[str, ...]:
    return ("/where",) if layer.keeps_place else BESIDE.get(layer.kind, ())


class _Operation(NamedTuple):
    """What it reads, what it writes with the bytes, and operations that come before all the same.

    Its first result may take the place of one of ``may_overwrite``.
    """

    reads: Sequence[str]
    writes: dict[Hashable, int]
    may_overwrite: Sequence[str]
    after: Sequence[str]


class _Graph:
    """The operations of a training step, by name."""

    def __init__(
        self,
        layers: Sequence[Layer],
        sizes: Mapping[str, int],
        recomputed: frozenset[str],
        like_mxnet: bool,
    ) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._sizes = dict(sizes)
        self._recomputed = recomputed
        self._like_mxnet = like_mxnet
        self._operations: dict[str, _Operation] = {}
        self._writer: dict[str, str] = {}
        # A flattened result is the one before it, under a new name.
        self._same: dict[str, str] = {}

    def steps(self) -> list[Step]:
        """All operations in MXNet's order, and a last one that reads the outputs."""
        for layer in self._layers.values():
            self._add_forward(layer, layer.name, layer.inputs)
            if layer.name in self._recomputed:
                copies = [self._copy(read) for read in layer.inputs]
                self._add_forward(layer, self._copy(layer.name), copies)
        read = {name for layer in self._layers.values() for name in layer.inputs}
        ends = [name for name in self._layers if name not in read]
        gradients = self._add_backward(ends)
        outputs = self._stored(ends)
        heads = [self._writer[result] for result in outputs]
        order = _depth_first([*heads, *gradients], self._before)
        last = {result: name for name in order for result in self._operations[name].reads}
        last |= dict.fromkeys(outputs, "outputs")
        return [*(self._step(name, last) for name in order), Step("outputs", outputs, {})]

    def _step(self, name: str, last: Mapping[str, str]) -> Step:
        """An operation as a step, with the first result that it may overwrite and nobody awaits."""
        operation = self._operations[name]
        overwrites: dict[Hashable, Hashable] = {}
        for first, size in list(operation.writes.items())[:1]:
            for read in operation.may_overwrite:
                if last[read] == name and self._sizes[read] == size:
                    overwrites.setdefault(first, read)
        return Step(name, operation.reads, operation.writes, overwrites)

    def _before(self, name: str) -> list[str]:
        """The operations that come before one, as MXNet looks at them."""
        operation = self._operations[name]
        return [*(self._writer[result] for result in operation.reads), *operation.after]

    def _copy(self, name: str) -> str:
        """The result that takes the place of a layer's in the backward pass."""
        return f"{name}'" if name in self._recomputed else name

    def _stored(self, results: Iterable[str]) -> list[str]:
        """What is stored here: neither the pictures nor a gradient that is not asked for ("")."""
        return [self._same.get(name, name) for name in results if name not in ("", PICTURES)]

    def _add(
        self,
        name: str,
        reads: Iterable[str],
        writes: Mapping[str, int],
        may_overwrite: Iterable[str] = (),
        after: Sequence[str] = (),
    ) -> None:
        self._sizes |= writes
        self._writer |= dict.fromkeys(writes, name)
        overwritten = self._stored(may_overwrite)
        self._operations[name] = _Operation(
            self._stored(reads), dict(writes.items()), overwritten, after
        )

    def _add_forward(self, layer: Layer, name: str, inputs: Sequence[str]) -> None:
        if layer.kind == "Flatten" and inputs[0] != PICTURES:
            (self._same[name],) = self._stored(inputs)
            return
        writes = {name + end: self._sizes[layer.name + end] for end in ("", *_beside(layer))}
        self._add(name, inputs, writes, inputs if layer.kind in IN_PLACE else ())

    def _add_backward(self, ends: Sequence[str]) -> list[str]:
        """Add the backward pass; its operations, that which ends at the pictures first."""
        gradients: defaultdict[str, list[str]] = defaultdict(list)
        inputs_of = {name: layer.inputs for name, layer in self._layers.items()}
        # The gradient of the pictures is the caller's. One that is a sum is added up first.
        readers = sum(inputs.count(PICTURES) for inputs in inputs_of.values())
        forward = _depth_first(ends, lambda name: inputs_of.get(name, ()))
        added = []
        for name in reversed(forward):
            if name == PICTURES:
                continue
            layer = self._layers[name]
            gradient = self._add_sum(name, gradients[name])
            given = [gradient for _ in layer.inputs]
            if layer.kind not in HANDED_ON:
                given = [
                    "" if read == PICTURES and readers == 1 else f"∂{read}:{name}:{number}"
                    for number, read in enumerate(layer.inputs)
                ]
                added.append(self._add_backward_of(layer, gradient, given))
            for read, result in zip(layer.inputs, given, strict=True):
                gradients[read].append(result)
        if any(gradients[PICTURES]):
            added.append(f"∂{PICTURES}")
            self._add(added[-1], gradients[PICTURES], {})
        return added[::-1]

    def _add_sum(self, name: str, gradients: Sequence[str]) -> str:
        """The gradient of a result, added up over its readers; of an output, a copy of the given.

        A loss makes its gradient itself: nobody reads the copy, so it is never made.
        """
        result = f"∂{name}"
        if not gradients:
            self._add(result, [name], {result: self._sizes[name]})
        if len(gradients) < 2:
            return "".join(gradients) or result
        if len(gradients) > MOST_READERS:
            raise ValueError(f"cannot plan {name}: more than {MOST_READERS} layers read it")
        self._add(result, gradients, {result: self._sizes[name]}, gradients[:1])
        return result

    def _add_backward_of(self, layer: Layer, gradient: str, given: Sequence[str]) -> str:
        """Add the operation that makes of a layer's ``gradient`` that of each of its inputs."""
        name = self._copy(layer.name)
        kept = self._like_mxnet and name == layer.name
        inputs = [read if kept else self._copy(read) for read in layer.inputs]
        if layer.kind == "Concat" and not self._like_mxnet:
            inputs = []
        zeros = f"∂{name}/where"
        if layer.keeps_place:
            self._add(zeros, [], {zeros: self._sizes[layer.name]})
        reads, may_overwrite = _backward_reads(layer, name, inputs, gradient, zeros)
        named = zip(layer.inputs, given, strict=True)
        writes = {result: self._sizes[read] for read, result in named if result}
        after = [name] if self._like_mxnet and name in self._operations else []
        self._add(f"{name}_backward", reads, writes, may_overwrite, after)
        return f"{name}_backward"


def _backward_reads(
    layer: Layer, name: str, inputs: Sequence[str], gradient: str, zeros: str
) -> tuple[list[str], Sequence[str]]:
    """What the backward pass of a layer reads in MXNet, and which of it it may overwrite."""
    match layer.kind:
        case "Activation":
            # Others than ReLU look at what they were given, too.
            given = [] if layer.options["act_type"] == "relu" else inputs
            return [gradient, name, *given], [gradient]
        case "BatchNorm":
            return [gradient, f"{name}/mean", f"{name}/variance", *inputs], []
        case "Dropout":
            return [gradient, f"{name}/mask"], [gradient]
        case "FullyConnected":
            return [gradient, *inputs], inputs
        case "Pooling" if layer.keeps_place:
            return [gradient, zeros, *inputs, name, f"{name}/where"], [zeros]
        case "Pooling":
            return [gradient, *inputs, name], []
        case "SoftmaxOutput":
            return [name], [name]
    return [gradient, *inputs], []


def _depth_first(heads: Iterable[str], before: Callable[[str], Iterable[str]]) -> list[str]:
    """The names that lead to ``heads``, each behind all that come before it."""
    order: dict[str, None] = {}
    waiting = list(heads)[::-1]
    opened = set()
    while waiting:
        name = waiting[-1]
        if name in opened or name in order:
            order.setdefault(waiting.pop())
            continue
        opened.add(name)
        waiting += [other for other in before(name) if other not in order][::-1]
    return list(order)
