"""Networks as layers: shapes, parameters and operations are MXNet's and the paper's."""

from __future__ import annotations

import json
import math

import pytest
from publishing import parameter_count

from imnetlib import engines
from imnetlib.engines import Layer
from imnetlib.engines.mxnet import mx, network
from imnetlib.engines.mxnet.network import symbol

NETWORKS = {"inception-bn": (1000, 224), "inception-21k": (21_841, 224), "inception-64px": (36, 64)}


def built(name: str) -> tuple[list[Layer], int]:
    classes, size = NETWORKS[name]
    return engines.layers(engines.network(name, classes)), size


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_parameters_are_mxnets(name: str):
    layers, size = built(name)
    net = symbol(engines.network(name, NETWORKS[name][0]))
    shapes = engines.infer_shapes(layers, size)
    internals = net.get_internals()
    _, theirs, _ = network.infer_shapes(internals, (1, 3, size, size))
    named = dict(zip(internals.list_outputs(), theirs, strict=True))
    assert all(shapes[layer.name] == named[f"{layer.name}_output"][1:] for layer in layers)
    counted = sum(engines.layer_parameters(layer, shapes) for layer in layers)
    assert counted == parameter_count(net, size)
    # What MXNet saves is read back as it was.
    assert engines.read_layers(net.tojson()) == layers


@pytest.mark.parametrize(
    ("name", "count"), [("inception-bn", 2_032_600_064), ("inception-21k", 3_422_893_056)]
)
def test_multiply_adds_of_both_networks(name: str, count: int):
    layers, size = built(name)
    shapes = engines.infer_shapes(layers, size)
    assert sum(engines.multiply_adds(layer, shapes) for layer in layers) == count


@pytest.mark.parametrize("convention", ["valid", "full"])
@pytest.mark.parametrize("side", [7, 8, 9, 12])
@pytest.mark.parametrize(("kernel", "stride", "pad", "dilate"), [(3, 2, 0, 1), (2, 2, 1, 2)])
def test_sides_behind_filters_and_pools(convention, side, kernel, stride, pad, dilate):
    x = mx.sym.Variable("data")
    options = {"kernel": (kernel,) * 2, "stride": (stride,) * 2, "pad": (pad,) * 2}
    pool = mx.sym.Pooling(x, pooling_convention=convention, pool_type="avg", **options)
    conv = mx.sym.Convolution(pool, num_filter=5, num_group=1, dilate=(dilate,) * 2, **options)
    layers = engines.read_layers(conv.tojson())
    _, (theirs,), _ = conv.infer_shape(data=(1, 3, side, side))
    assert engines.infer_shapes(layers, side)[layers[-1].name] == theirs[1:]


def test_groups_biases_and_flattened_layers():
    x = mx.sym.Convolution(
        mx.sym.Variable("data"), num_filter=6, num_group=3, kernel=(3, 3), no_bias=True, name="c"
    )
    x = mx.sym.FullyConnected(mx.sym.Flatten(x, name="flat"), num_hidden=4, name="fc")
    layers = engines.read_layers(x.tojson())
    shapes = engines.infer_shapes(layers, 5)
    assert [shapes[name] for name in ("c", "flat", "fc")] == [(6, 3, 3), (54,), (4,)]
    assert [engines.layer_parameters(layer, shapes) for layer in layers] == [54, 0, 220]
    assert [engines.multiply_adds(layer, shapes) for layer in layers] == [486, 0, 216]
    assert [engines.numbers_moved(layer, shapes) for layer in layers] == [129, 108, 58]


def test_a_graph_of_2015_pools_with_what_is_left_at_the_edge():
    pool = {"op": "Pooling", "name": "pool", "param": {"kernel": "(3, 3)", "stride": "(2, 2)"}}
    nodes = [{"op": "null", "name": "data", "param": {}, "inputs": []}, pool | {"inputs": [[0, 0]]}]
    old = {"nodes": nodes, "arg_nodes": [0], "heads": [[1, 0]]}
    new = old | {"attrs": {"mxnet_version": ["int", 10901]}}
    sides = [
        engines.infer_shapes(engines.read_layers(json.dumps(graph)), 112)["pool"]
        for graph in (old, new)
    ]
    assert sides == [(3, 56, 56), (3, 55, 55)]


def named(text: str, **changed: object) -> str:
    nodes = json.loads(mx.sym.sin(mx.sym.Variable(text), name="wave").tojson())["nodes"]
    nodes[1] |= changed
    return json.dumps({"nodes": nodes})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "symbol is not the JSON of an MXNet network"),
        ('{"layers": []}', "symbol is not the JSON of an MXNet network: KeyError"),
        ('{"nodes": []}', "symbol has no operation"),
        (named("data"), "cannot plan wave: nothing is known here about sin"),
        (named("x", op="Flatten"), "cannot plan wave: it reads neither a layer nor the pictures"),
    ],
)
def test_what_is_no_known_network_is_refused(text: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        engines.read_layers(text)


def test_results_that_no_plan_here_knows_are_refused():
    x = mx.sym.Pooling(mx.sym.Variable("data"), kernel=(2, 2), name="pool")
    conv = mx.sym.Convolution(x, kernel=(2, 2), num_filter=2, name="conv")
    with pytest.raises(ValueError, match="outputs that other layers read cannot be planned: pool"):
        engines.read_layers(mx.sym.Group([conv, x]).tojson())
    assert [layer.name for layer in engines.read_layers(conv.tojson())] == ["pool", "conv"]
    second = json.loads(conv.tojson())
    second["nodes"][-1]["inputs"][0][1] = 1
    with pytest.raises(ValueError, match="cannot plan conv: it reads the second result of another"):
        engines.read_layers(json.dumps(second))


def conv(**changed: object) -> list[Layer]:
    return [Layer("a", "Convolution", ("data",), {"kernel": (3, 3), "num_filter": 4} | changed)]


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        ([Layer("a", "Flatten", ("b",))], "layer a lacks 'b': a layer before it, or an option"),
        ([Layer("a", "Convolution", ("data",), {"kernel": (3, 3)})], "layer a lacks 'num_filter'"),
        ([Layer("a", "Flatten", ("data",))] * 2, "two layers are called a"),
        ([], r"layers are one or more, not \[\]"),
        ([Layer("a", "Flatten", ())], "layer a lacks 'input'"),
        ([Layer("a", "Activation", ("data",))], "layer a lacks 'act_type'"),
        ([Layer("a", "LRN", ("data",))], "cannot plan a: nothing is known here about LRN"),
        (conv(num_filter="x"), r"be a Convolution of .*\(num_filter is a whole number, not 'x'"),
        (conv(num_filter=0), "num_filter is 1 or more"),
        (conv(kernel=3), "'kernel': 3"),
        (conv(kernel=(0, 3)), "kernel is 1 or more"),
        (conv(stride=(0, 0)), "stride is 1 or more"),
        (conv(stride=(1,)), "out of range"),
        (conv(pad=(-1, 0)), "pad is 0 or more"),
        (conv(num_group=0), "num_group is 1 or more"),
        (conv(num_group=2), "3 channels are not of equal groups"),
        ([Layer("a", "FullyConnected", ("data",), {"num_hidden": 2.5})], "num_hidden is a whole"),
    ],
)
def test_layers_that_do_not_fit_together_are_refused(layers: list[Layer], problem: str):
    with pytest.raises(ValueError, match=problem):
        engines.infer_shapes(layers, 8)


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        (None, "layers are several, in a list or a tuple, not None"),
        ("inception-bn", "layers are several, in a list or a tuple, not 'inception-bn'"),
        (conv()[0], "layers are several, in a list or a tuple, not Layer"),
        (set(conv()[0].inputs), "layers have an order"),
        ([1], r"a layer is an engines\.Layer, not 1 \(int\)"),
        ([Layer("a", "Flatten", "data")], "inputs of a are several, in a list or a tuple, not 'da"),
    ],
)
def test_what_is_no_list_of_layers_is_refused(layers: object, problem: str):
    with pytest.raises(TypeError, match=problem):
        engines.infer_shapes(layers, 8)


@pytest.mark.parametrize(
    "changed",
    [
        *({"heads": heads} for heads in (3, None, [3], [[9]], [[]])),
        *({"attrs": attrs} for attrs in (3, None)),
        *({"nodes": nodes} for nodes in (3, None, [3], "x")),
        *({"name": name} for name in (3, None, [], {})),
        *({"inputs": inputs} for inputs in (3, None, "x", [["a", 0]])),
        *({"param": settings} for settings in (3, None, [1])),
    ],
)
def test_a_graph_of_other_types_is_refused(changed: dict):
    flat = {"op": "Flatten", "name": "f", "inputs": [[0, 0]]}
    graph = {"nodes": [{"op": "null", "name": "data", "inputs": []}, flat], "heads": [[1, 0]]}
    assert [layer.name for layer in engines.read_layers(json.dumps(graph))] == ["f"]
    (key,) = changed
    (graph if key in ("heads", "attrs", "nodes") else flat).update(changed)
    with pytest.raises(ValueError, match="symbol is not the JSON of an MXNet network: "):
        engines.read_layers(json.dumps(graph))


def test_a_symbol_in_place_of_its_text_is_refused():
    with pytest.raises(TypeError, match=r"symbol is the text of a network's JSON \(net.tojson"):
        engines.read_layers(mx.sym.Variable("data"))


def test_sizes_that_a_network_cannot_take_are_refused():
    layers, _ = built("inception-64px")
    with pytest.raises(ValueError, match=r"takes no pictures of 5 pixels \(3c_pool: 3 pixels wide"):
        engines.infer_shapes(layers, 5)
    with pytest.raises(ValueError, match="size is 1 or more, not 0"):
        engines.infer_shapes(layers, 0)
    joined = [
        Layer("a", "Pooling", ("data",), {"kernel": (2, 2), "stride": (2, 2)}),
        Layer("b", "elemwise_add", ("data", "a")),
    ]
    with pytest.raises(ValueError, match=r"\(b: it joins shapes that differ, \(3, 8, 8\), \(3, 4"):
        engines.infer_shapes(joined, 8)
    flat = [Layer("f", "Flatten", ("data",)), Layer("p", "Pooling", ("f",), {"kernel": (2, 2)})]
    with pytest.raises(ValueError, match=r"p: its filters do not fit the shape \(192,\)"):
        engines.infer_shapes(flat, 8)
    assert math.prod(engines.infer_shapes(flat[:1], 8)["f"]) == 192
