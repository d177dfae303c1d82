"""Networks in the files of 2015: what they predict, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from making import encoded, photo, write_shard
from publishing import SIZE, WNIDS, as_of_2015, publish, random_arrays, save_as_of_2015, tiny

from imnetlib import engines
from imnetlib.engines import load_published, network
from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.checkpoint import set_parameters
from imnetlib.engines.mxnet.network import symbol
from imnetlib.engines.published import CENTER_2015
from imnetlib.engines.training import PredictedBatch
from imnetlib.image import Transform
from imnetlib.loader import Loader

SMALL = Transform(SIZE, share=1.0, layout="NCHW", mean=(117.0, 117.0, 117.0))
N = 9


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine pictures, no multiple of a batch, with labels 0, 1, 2."""
    path = tmp_path_factory.mktemp("shards") / "a.rec"
    ids = [100 * i + i % 3 for i in range(N)]
    return write_shard(path, ids, [encoded(photo(80, 72, i)) for i in range(N)])


def defined(pixels: np.ndarray, arrays: dict, *, ceil: bool, gamma: bool) -> np.ndarray:
    """What ``tiny`` means, in NumPy."""
    values = {name.partition(":")[2]: array.asnumpy() for name, array in arrays.items()}
    scale = values["bn_data_gamma"] if gamma else np.ones(3)
    scale = scale / np.sqrt(values["bn_data_moving_var"] + 1e-10)
    shift = values["bn_data_beta"] - scale * values["bn_data_moving_mean"]
    x = pixels * scale[:, None, None] + shift[:, None, None]
    starts = range(0, SIZE - 1 if ceil else SIZE - 2, 2)
    x = np.stack(
        [x[..., i : i + 3, j : j + 3].max(axis=(2, 3)) for i in starts for j in starts], axis=2
    )
    scores = x.reshape(len(x), -1) @ values["fc1_weight"].T + values["fc1_bias"]
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def settings_named(graph: dict, convention: str, fix_gamma: str) -> dict:
    named = {"Pooling": {"pooling_convention": convention}, "BatchNorm": {"fix_gamma": fix_gamma}}
    for node in graph["nodes"]:
        node["param"] |= named.get(node["op"], {})
    return graph


def as_of_2017(net) -> dict:
    """The graph with the key of MXNet 0.9 to 0.12."""
    graph = json.loads(net.tojson())
    for node in graph["nodes"]:
        node["attr"] = node.pop("attrs", {})
    return graph


@pytest.mark.parametrize(
    ("graph", "ceil", "gamma"),
    [
        (as_of_2015(tiny(pooling_convention="full")), True, True),
        (settings_named(as_of_2015(tiny(pooling_convention="full")), "full", "True"), True, False),
        (settings_named(as_of_2015(tiny()), "valid", "False"), False, True),
        (json.loads(tiny().tojson()), False, True),
        (as_of_2017(tiny()), False, True),
        (json.loads(tiny(pooling_convention="full").tojson()), True, True),
    ],
    ids=["2015", "2016 with full", "2016 with valid", "1.9", "0.9", "1.9 with full"],
)
def test_each_version_of_mxnet_is_understood_as_it_was(
    engine: SimpleNamespace, graph: dict, ceil: bool, gamma: bool, shard: Path, tmp_path: Path
):
    net = tiny(pooling_convention="full" if ceil else "valid")
    arrays = random_arrays(net)
    publish(tmp_path, graph, arrays)
    loaded = load_published(tmp_path, transform=SMALL)
    (batch,) = Loader([shard], N, SMALL, shuffle=False)
    expected = defined(batch.images, arrays, ceil=ceil, gamma=gamma)
    ((probabilities, labels, ids),) = engine.checkpoint.predict(loaded, [shard])
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4)
    assert labels.tolist() == batch.labels.tolist()
    assert ids.tolist() == batch.ids.tolist()
    assert loaded.wnids == WNIDS


@pytest.mark.parametrize(
    "save", [save_as_of_2015, lambda path, arrays: mx.nd.save(str(path), arrays)]
)
def test_an_inception_of_2015_predicts_what_its_graph_says(
    engine: SimpleNamespace, save, shard: Path, tmp_path: Path
):
    wnids = tuple(f"n{n:08}" for n in range(36))
    as_today = symbol(network("inception-64px", 36)).tojson()
    original = mx.sym.load_json(as_today.replace('"fix_gamma": "True"', '"fix_gamma": "False"'))
    arrays = random_arrays(original, 64)
    publish(tmp_path, as_of_2015(original), arrays, wnids, save)
    crop = Transform(64, layout="NCHW", mean=(117.0, 117.0, 117.0))
    loaded = load_published(str(tmp_path), transform=crop)
    bound = original.simple_bind(mx.cpu(), data=(32, 3, 64, 64), grad_req="null")
    set_parameters(bound, arrays)
    (batch,) = Loader([shard], 32, crop, shuffle=False)
    expected = bound.forward(is_train=False, data=mx.nd.array(batch.images))[0].asnumpy()[:N]
    ((probabilities, _, _),) = engine.checkpoint.predict(loaded, [shard])
    assert np.abs(probabilities - expected).max() <= {"mxnet": 0, "torch": 1e-5}[engine.name]
    assert len(np.unique(probabilities.round(4), axis=0)) == N


def test_the_newest_epoch_is_taken_or_the_one_asked_for(tmp_path: Path):
    net = tiny(pooling_convention="full")
    arrays = random_arrays(net)
    publish(tmp_path, as_of_2015(net), arrays)
    for epoch in (2, 12, 10_001):
        arrays["arg:fc1_bias"][:] = epoch
        mx.nd.save(str(tmp_path / f"Inception-{epoch:04}.params"), arrays)
    (tmp_path / "Inception-more-0300.params").write_bytes(b"of another network")

    def bias(**options: object) -> float:
        loaded = load_published(tmp_path, transform=SMALL, **options)
        return float(loaded.parameters["arg:fc1_bias"][0])

    assert [bias(), bias(epoch=2), bias(epoch=np.int64(12))] == [10_001, 2, 12]
    assert load_published(tmp_path, epoch=2, transform=SMALL).source.startswith("Inception-0002 ")
    with pytest.raises(
        FileNotFoundError, match=r"0003\.params is missing \(epochs there: 2, 9, 12, 10001\)"
    ):
        load_published(tmp_path, epoch=3, transform=SMALL)
    with pytest.raises(TypeError, match=r"epoch is a whole number, not '3' \(str\)"):
        load_published(tmp_path, epoch="3", transform=SMALL)


def test_what_is_published_of_2015_is_the_default():
    center = CENTER_2015
    assert (center.size, center.share, center.mean, center.std) == (
        224,
        0.875,
        (117,) * 3,
        (1,) * 3,
    )
    assert (center.crop, center.mirror, center.layout) == ("center", False, "NCHW")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Inception-symbol.json", r"symbol\.json is missing \(networks there: VGG-symbol\.json\)"),
        (
            "Inception-0009.params",
            r"0000\.params is missing \(epochs there: none\): unpack the pub",
        ),
        ("synset.txt", r"synset\.txt is missing \(it names the class of each output"),
    ],
)
def test_a_missing_file_is_named(name: str, message: str, tmp_path: Path):
    publish(tmp_path, as_of_2015(tiny()), random_arrays(tiny(pooling_convention="full")))
    (tmp_path / name).rename(tmp_path / "VGG-symbol.json")
    with pytest.raises(FileNotFoundError, match=message):
        load_published(tmp_path, transform=SMALL)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value: line 1 column 1"),
        (b"\x1f\x8b\x08", "can't decode byte 0x8b"),
        (b"[]", "'list' object has no attribute 'get'"),
        (b'{"nodes": []}', "it has no 'heads'"),
        (b'{"nodes": [], "heads": [[3, 0]]}', "list index out of range"),
        (tiny().get_internals().tojson().encode(), r"its outputs are \[.*\], not one probability"),
        (mx.sym.Variable("image").tojson().encode(), r"are \['image \(null\)'\], not one prob"),
        (mx.sym.softmax(mx.sym.Variable("image")).tojson().encode(), "it has no input called data"),
    ],
)
def test_a_damaged_graph_is_named(content: bytes, reason: str, tmp_path: Path):
    publish(tmp_path, {}, random_arrays(tiny(pooling_convention="full")))
    (tmp_path / "Inception-symbol.json").write_bytes(content)
    with pytest.raises(
        ValueError,
        match=rf"-symbol\.json is no network that predicts \(.*{reason}.*\): take it anew",
    ):
        load_published(tmp_path, transform=SMALL)


def gate(x):
    return mx.sym.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg")


def leaky(kind: str, **settings: float):
    return lambda x: mx.sym.LeakyReLU(x, act_type=kind, name="leaky", **settings)


OPERATIONS = {
    "leaky": leaky("leaky"),
    "leaky 0.01": leaky("leaky", slope=0.01),
    "elu": leaky("elu", slope=0.7),
    "prelu": leaky("prelu"),
    "selu": leaky("selu"),
    "gelu": leaky("gelu"),
    "rrelu": lambda x: leaky("rrelu", lower_bound=0.2)(x)[0],
    "LRN": lambda x: mx.sym.LRN(x, nsize=3, name="norm"),
    "LRN of 2012": lambda x: mx.sym.LRN(x, nsize=5, alpha=0.01, beta=0.5, knorm=1, name="norm"),
    **{
        kind: lambda x, kind=kind: mx.sym.Activation(x, act_type=kind)
        for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")
    },
    "clip": lambda x: mx.sym.clip(x, a_min=-0.5, a_max=1),
    "broadcast_mul": lambda x: mx.sym.broadcast_mul(x, gate(x)),
    "broadcast_add": lambda x: mx.sym.broadcast_add(x, gate(x)),
    "elemwise_mul": lambda x: x * mx.sym.Activation(x, act_type="sigmoid"),
    "add_n": lambda x: mx.sym.add_n(x, x, x),
}


def with_one(operation, end=mx.sym.SoftmaxOutput, **settings: float):
    """A network with an operation behind BatchNorm."""
    x = mx.sym.BatchNorm(mx.sym.Variable("data"), eps=1e-3, fix_gamma=False, name="bn_data")
    x = mx.sym.FullyConnected(mx.sym.Flatten(operation(x)), num_hidden=3, name="fc1")
    return end(x, name="softmax", **settings)


@pytest.mark.parametrize(
    "net",
    [
        *map(with_one, OPERATIONS.values()),
        with_one(leaky("leaky"), mx.sym.softmax, temperature=3.0),
    ],
    ids=[*OPERATIONS, "temperature"],
)
def test_operations_of_published_networks_compute_what_mxnet_does(
    engine: SimpleNamespace, net, shard: Path, tmp_path: Path
):
    arrays = random_arrays(net)
    for name, factor in (("arg:fc1_weight", 100), ("aux:bn_data_moving_mean", 0.1)):
        arrays[name] *= factor
    publish(tmp_path, json.loads(net.tojson()), arrays)
    crop = Transform(SIZE, share=1.0, layout="NCHW", mean=(117.0,) * 3, std=(58.0,) * 3)
    (batch,) = Loader([shard], N, crop, shuffle=False)
    shape = batch.images.shape
    bound = net.simple_bind(mx.cpu(), data=shape, grad_req="null")
    set_parameters(bound, arrays)
    expected = bound.forward(is_train=False, data=mx.nd.array(batch.images))[0].asnumpy()
    loaded = load_published(tmp_path, transform=crop)
    ((probabilities, _, _),) = engine.checkpoint.predict(loaded, [shard])
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(probabilities, expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        (lambda x: mx.sym.L2Normalization(x, name="op"), "op: the operation L2Normalization is"),
        (lambda x: mx.sym.SoftmaxActivation(x, name="op"), "op: the operation SoftmaxActivation"),
        (
            lambda x: mx.sym.Pooling(x, pool_type="lp", p_value=2, kernel=(2, 2), name="op"),
            "op: of Pooling 'lp' is not known",
        ),
    ],
)
def test_an_operation_that_only_mxnet_knows_is_named_with_the_way_out(
    engine: SimpleNamespace, operation, problem: str, tmp_path: Path
):
    net = with_one(operation)
    publish(tmp_path, json.loads(net.tojson()), random_arrays(net))
    if engine.name == "mxnet":
        build(engine, tmp_path)
        return
    with pytest.raises(
        ValueError, match=rf"symbol\.json, {problem}.*: -p engine mxnet in .*, --engine mxnet for"
    ):
        build(engine, tmp_path)


def changed(name: str, **settings: str) -> dict:
    """The tiny graph with another operation or other settings in one node."""
    graph = as_of_2015(tiny())
    (node,) = (node for node in graph["nodes"] if node["name"] == name)
    node["op"] = settings.pop("op", node["op"])
    node["param"] |= settings
    return graph


@pytest.mark.parametrize(
    ("graph", "reasons"),
    [
        (changed("pool1", kernel="(30, 30)"), "kernel size .* exceeds input|pool1 .*too small"),
        (changed("fc1", num_hidden="x"), "num_hidden|fc1"),
    ],
)
def test_a_graph_that_cannot_be_built_is_named(
    engine: SimpleNamespace,
    graph: dict,
    reasons: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
):
    publish(tmp_path, graph, random_arrays(tiny(pooling_convention="full")))
    with pytest.raises(ValueError, match=rf"-symbol\.json is no network .*({reasons}).*take it a"):
        build(engine, tmp_path)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("graph", "by_mxnet", "by_torch"),
    [
        (
            changed("pool1", op="Convoluted"),
            "Operator Convoluted is not",
            "operation Convoluted is",
        ),
        (
            changed("pool1", pool_type="least"),
            "Invalid Input: 'least'",
            "of Pooling 'least' is not",
        ),
    ],
)
def test_what_no_engine_knows_is_named_by_each(
    engine: SimpleNamespace, graph: dict, by_mxnet: str, by_torch: str, tmp_path: Path
):
    publish(tmp_path, graph, random_arrays(tiny(pooling_convention="full")))
    messages = {
        "mxnet": rf"-symbol\.json is no network .*{by_mxnet}.*take it anew",
        "torch": rf"-symbol\.json, pool1: .*{by_torch}.*--engine mxnet",
    }
    with pytest.raises(ValueError, match=messages[engine.name]):
        build(engine, tmp_path)


def build(engine: SimpleNamespace, folder: Path, transform: Transform = SMALL) -> object:
    return engine.checkpoint.image_predictor(load_published(folder, transform=transform))


def test_pictures_of_another_size_are_refused(engine: SimpleNamespace, tmp_path: Path):
    net = tiny(pooling_convention="full")
    publish(tmp_path, as_of_2015(net), random_arrays(net))
    with pytest.raises(
        ValueError, match=r"arg:fc1_weight is \(3, 75\), .* name the size of its pictures"
    ):
        build(engine, tmp_path, CENTER_2015)
    with pytest.raises(ValueError, match="the layout of the transform is NCHW, not 'NHWC'"):
        load_published(tmp_path, transform=Transform(SIZE))


@pytest.mark.parametrize("length", [0, 12, 100, -1])
def test_cut_weights_are_named(length: int, tmp_path: Path):
    net = tiny(pooling_convention="full")
    publish(tmp_path, as_of_2015(net), random_arrays(net))
    path = tmp_path / "Inception-0009.params"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"0009\.params is no sound file of arrays: .*anew"):
        load_published(tmp_path, transform=SMALL)


def test_weights_without_names_are_named(tmp_path: Path):
    publish(tmp_path, as_of_2015(tiny()), random_arrays(tiny(pooling_convention="full")))
    mx.nd.save(str(tmp_path / "Inception-0009.params"), [mx.nd.zeros(2)])
    with pytest.raises(ValueError, match=r"0009\.params has 1 arrays and 0 names: take it anew"):
        load_published(tmp_path, transform=SMALL)


@pytest.mark.parametrize(
    ("without", "more", "message"),
    [
        (["arg:fc1_bias"], {}, "lacks arg:fc1_bias, and has besides nothing: take all"),
        ([], {"arg:fc2_bias": mx.nd.zeros(3)}, "lacks nothing, and has besides arg:fc2_bias"),
        (["aux:bn_data_moving_var"], {"bn_data_moving_var": mx.nd.ones(3)}, "besides bn_data_mov"),
        (
            [],
            {"arg:fc1_weight": mx.nd.zeros((7, 75)), "arg:fc1_bias": mx.nd.zeros(7)},
            r"arg:fc1_weight is \(7, 75\), in Inception-symbol\.json it is \(3, 75\): take all",
        ),
    ],
)
def test_weights_of_another_network_are_refused(
    engine: SimpleNamespace, without: list[str], more: dict, message: str, tmp_path: Path
):
    net = tiny(pooling_convention="full")
    arrays = {name: array for name, array in random_arrays(net).items() if name not in without}
    publish(tmp_path, as_of_2015(net), arrays | more)
    with pytest.raises(ValueError, match=rf"Inception-0009\.params.*{message}"):
        build(engine, tmp_path)


@pytest.mark.parametrize(
    ("wnids", "message"),
    [
        (WNIDS[:2], r"synset\.txt names 2 classes, Inception-symbol\.json has 3 outputs: take all"),
        ((*WNIDS[:2], WNIDS[0]), r"synset\.txt, line 3: n00000003 stands in line 1 too"),
        (
            ("organism", *WNIDS[1:]),
            r"synset\.txt, line 2: 'n00000001 a thing.* begins with a wnid, and line 1 with none",
        ),
    ],
)
def test_other_classes_are_refused(
    engine: SimpleNamespace, wnids: tuple[str, ...], message: str, tmp_path: Path
):
    net = tiny(pooling_convention="full")
    publish(tmp_path, as_of_2015(net), random_arrays(net), wnids)
    with pytest.raises(ValueError, match=message):
        build(engine, tmp_path)


def batch(*labels: int) -> PredictedBatch:
    return (
        np.zeros((len(labels), 3), np.float32),
        np.array(labels, np.int64),
        np.arange(len(labels)),
    )


def test_labels_become_the_columns_of_their_classes():
    shards = ("n00000001", "n00000002", "n00000003", "n00000004")
    batches = [batch(0, 1, 2, 3, -1), batch(3, 0)]
    found = list(engines.relabel(batches, shards, WNIDS))
    assert [labels.tolist() for _, labels, _ in found] == [[1, -1, 0, 2, -1], [2, 1]]
    for (probabilities, _, ids), given in zip(found, batches, strict=True):
        assert probabilities is given[0]
        assert ids is given[2]


@pytest.mark.parametrize(
    ("labels", "wnids", "message"),
    [
        ((0, 2), WNIDS[:2], "labels go from -1 to 1, not from 0 to 2: the shards have other"),
        ((-2, 0), WNIDS, "labels go from -1 to 2, not from -2 to 0"),
        ((0,), ["n00000009"], "none of the 1 classes is among those of the network"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels: tuple, wnids: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        list(engines.relabel([batch(*labels)], wnids, WNIDS))
    with pytest.raises(TypeError, match="wnids are several, in a list or a tuple, not 'n00000009'"):
        list(engines.relabel([], "n00000009", WNIDS))
