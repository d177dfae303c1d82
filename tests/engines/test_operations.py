"""Training steps derived from a network's layers are those of MXNet's own report."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pytest

from imnetlib import engines
from imnetlib.engines import Layer, Step
from imnetlib.engines.mxnet import memory, mx
from imnetlib.engines.mxnet.network import symbol

KEPT = ("conv2_pool", "3c", "4c", "4e", "fc1", "softmax")
NETWORKS = {"inception-bn": 1000, "inception-21k": 21_841, "inception-64px": 36}


def cheap(layers: Sequence[Layer]) -> list[str]:
    return [layer.name for layer in layers if layer.kind in engines.CHEAP]


def not_kept(layers: Sequence[Layer]) -> list[str]:
    return [layer.name for layer in layers if layer.name not in KEPT]


def operations(report: str) -> list[tuple[str, list[str]]]:
    """The operations of MXNet's report in our names, each with those whose results it reads."""
    found: list[tuple[str, list[str]]] = []
    for line in report.splitlines():
        if head := re.match(r"Op:(\S+), Name=(.+)", line):
            kind, name = head.groups()
            found.append((kind if kind in ("add_n", "_zeros_without_dtype") else name, []))
        elif argument := re.match(r"\targ\[\d+\]=(.+)\(\d+\)$", line):
            found[-1][1].append(argument[1])
    return [
        (name.replace("_mirror", "'"), [read.replace("_mirror", "'") for read in reads])
        for name, reads in found
    ]


def in_mxnets_words(step: Step) -> tuple[str, int]:
    if step.name.endswith("/where"):
        return "_zeros_without_dtype", len(step.reads)
    return "add_n" if step.name.startswith("∂") else step.name, len(step.reads)


@pytest.mark.parametrize("way", ["all kept", "mirror", "segments"])
@pytest.mark.parametrize("name", NETWORKS)
def test_operations_stand_in_mxnets_order(name: str, way: str):
    layers = engines.layers(engines.network(name, NETWORKS[name]))
    net = symbol(engines.network(name, NETWORKS[name]))
    recomputed: Collection[str] = ()
    if way == "segments":
        recomputed = not_kept(layers)
        net = memory.recomputing(net, [layer.name for layer in layers if layer.name in KEPT])
    elif way == "mirror":
        recomputed = cheap(layers)
    size = 64 if name == "inception-64px" else 224
    theirs = operations(memory._report(net, (2, 3, size, size), mirror=way == "mirror"))
    ours = engines.training_steps(layers, 2, size, recomputed=recomputed)[:-1]
    weights = ("_weight", "_bias", "_gamma", "_beta", "_moving_mean", "_moving_var", "data")
    counted = [
        (name, sum(not read.endswith((*weights, "_label")) for read in reads))
        for name, reads in theirs
    ]
    assert [in_mxnets_words(step) for step in ours] == counted


@pytest.mark.parametrize("batch", [1, 57, 80, 128])
@pytest.mark.parametrize("name", ["inception-bn", "inception-21k"])
def test_totals_are_mxnets_whatever_is_saved(name: str, batch: int):
    layers = engines.layers(engines.network(name, NETWORKS[name]))
    net = symbol(engines.network(name, NETWORKS[name]))
    segments = memory.recomputing(net, KEPT)

    def ours(recomputed: Collection[str] = (), *, sharing: bool = True) -> int:
        steps = engines.training_steps(layers, batch, 224, recomputed=recomputed)
        return sum(engines.plan(steps, sharing=sharing).buffers) >> 20

    assert [
        ours(sharing=False),
        ours(),
        ours(cheap(layers)),
        ours(not_kept(layers)),
        ours(not_kept(layers), sharing=False),
    ] == [
        planned >> 20
        for planned in (
            memory.planned_bytes(net, batch, 224, sharing=False),
            memory.planned_bytes(net, batch, 224),
            memory.planned_bytes(net, batch, 224, mirror=True),
            memory.planned_bytes(segments, batch, 224),
            memory.planned_bytes(segments, batch, 224, sharing=False),
        )
    ]


def residual(x: Any) -> Any:
    """Two blocks that add, flattened, and a dropout."""
    for name in ("a", "b"):
        y = mx.sym.Convolution(x, num_filter=8, kernel=(3, 3), pad=(1, 1), name=name)
        y = mx.sym.BatchNorm(y, name=f"{name}_bn")
        shortcut = mx.sym.Convolution(x, num_filter=8, kernel=(1, 1), name=f"{name}_short")
        x = mx.sym.Activation(shortcut + y, act_type="relu", name=f"{name}_relu")
    return mx.sym.Dropout(mx.sym.Flatten(x), p=0.5, name="drop")


def perceptron(x: Any) -> Any:
    x = mx.sym.Flatten(x)
    for kind in ("tanh", "sigmoid", "softsign", "relu"):
        x = mx.sym.Activation(mx.sym.FullyConnected(x, num_hidden=64), act_type=kind)
    return x


def two_readers(x: Any) -> Any:
    left = mx.sym.Convolution(x, num_filter=8, kernel=(3, 3), pad=(1, 1))
    right = mx.sym.Pooling(x, kernel=(3, 3), pad=(1, 1), stride=(1, 1), pool_type="max")
    return mx.sym.Pooling(mx.sym.Concat(left, right), kernel=(2, 2), stride=(2, 2))


@pytest.mark.parametrize("with_loss", [True, False])
@pytest.mark.parametrize("body", [residual, perceptron, two_readers])
def test_networks_of_a_readers_own(body: Any, with_loss: bool):
    net = mx.sym.FullyConnected(body(mx.sym.Variable("data")), num_hidden=16, name="fc")
    net = mx.sym.SoftmaxOutput(net, name="softmax") if with_loss else net
    layers = engines.read_layers(net.tojson())
    for sharing in (True, False):
        theirs = memory.planned_bytes(net, 20_000, 8, sharing=sharing)
        steps = engines.training_steps(layers, 20_000, 8)
        assert sum(engines.plan(steps, sharing=sharing).buffers) >> 20 == theirs >> 20


def test_layers_may_come_one_by_one():
    """A generator can be read once."""
    layers = engines.layers(engines.network("inception-64px", 36))
    again = [layer.name for layer in layers if layer.kind in engines.CHEAP]
    steps = engines.training_steps(layers, 2, 64, recomputed=again)
    assert engines.training_steps(iter(layers), 2, 64, recomputed=iter(again)) == steps
    assert engines.standing_bytes(iter(layers), 64) == engines.standing_bytes(layers, 64)
    assert engines.in_use(iter(steps)).tolist() == engines.in_use(steps).tolist()
    assert engines.plan_offsets(iter(steps)) == engines.plan_offsets(steps)


def test_a_result_has_two_bytes_a_number_where_asked():
    layers = engines.layers(engines.network("inception-64px", 36))
    four = engines.in_use(engines.training_steps(layers, np.int64(8), 64))
    two = engines.in_use(engines.training_steps(layers, 8, 64, bytes_a_number=2))
    assert (four == 2 * two).all()


@pytest.mark.parametrize(("like_mxnet", "reads"), [(True, "relu"), (False, "relu'")])
def test_a_kept_layer_waits_for_the_first_result_or_reads_the_copy(like_mxnet: bool, reads: str):
    x = mx.sym.Activation(mx.sym.Variable("data"), act_type="relu", name="relu")
    net = mx.sym.FullyConnected(x, num_hidden=4, name="fc")
    layers = engines.read_layers(net.tojson())
    steps = engines.training_steps(layers, 1, 8, recomputed=["relu"], like_mxnet=like_mxnet)
    assert steps[-3 - like_mxnet].reads == ["∂fc", reads]
    copy = [step.name for step in steps].index("relu'")
    assert [step.name for step in steps][copy + 1] == (
        "relu'_backward" if like_mxnet else "fc_backward"
    )


def test_what_cannot_be_trained_is_refused():
    layers = engines.layers(engines.network("inception-64px", 36))
    with pytest.raises(ValueError, match="batch is 1 or more, not 0"):
        engines.training_steps(layers, 0, 64)
    with pytest.raises(TypeError, match=r"batch is a whole number, not 2\.0 \(float\)"):
        engines.training_steps(layers, 2.0, 64)
    with pytest.raises(ValueError, match="the network has no layer 3b, pool9"):
        engines.training_steps(layers, 1, 64, recomputed=["3a", "pool9", "3b"])
    with pytest.raises(TypeError, match="recomputed are several, in a list or a tuple, not '3a'"):
        engines.training_steps(layers, 1, 64, recomputed="3a")
    with pytest.raises(TypeError, match="recomputed are several, in a list or a tuple, not None"):
        engines.training_steps(layers, 1, 64, recomputed=None)
    with pytest.raises(ValueError, match="the network has no layer 3, data"):
        engines.training_steps(layers, 1, 64, recomputed=[3, "data"])
    readers = [Layer(f"r{n}", "Flatten", ("a",)) for n in range(9)]
    names = tuple(layer.name for layer in readers)
    wide = [Layer("a", "Activation", ("data",), {"act_type": "relu"}), *readers]
    with pytest.raises(ValueError, match="cannot plan a: more than 8 layers read it"):
        engines.training_steps([*wide, Layer("all", "Concat", names)], 1, 8)
