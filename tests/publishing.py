"""Networks in the files of 2015, for tests: a tiny graph, its weights, and the files."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np

from imnetlib.engines.mxnet import mx
from imnetlib.engines.mxnet.network import parameter_shapes, pictures

SIZE = 10
WNIDS = ("n00000003", "n00000001", "n00000004")


def parameter_count(net, size: int) -> int:
    """How many numbers MXNet has a network learn from pictures of ``size`` pixels a side."""
    shapes = parameter_shapes(net, pictures(1, size))
    return sum(math.prod(shape) for name, shape in shapes.items() if name.startswith("arg:"))


def tiny(**pooling: str):
    """BatchNorm, a 3x3 maximum at stride 2, which leaves a row of the 10 over, three classes."""
    x = mx.sym.Variable("data")
    x = mx.sym.BatchNorm(x, eps=1e-10, fix_gamma=False, name="bn_data")
    x = mx.sym.Pooling(x, kernel=(3, 3), stride=(2, 2), pool_type="max", name="pool1", **pooling)
    x = mx.sym.FullyConnected(mx.sym.Flatten(x), num_hidden=len(WNIDS), name="fc1")
    return mx.sym.SoftmaxOutput(x, name="softmax")


def as_of_2015(net) -> dict:
    """The graph as MXNet 0.5 wrote it: no statistics, no versions, fewer settings, other keys."""
    nodes = json.loads(net.tojson())["nodes"]
    statistics = {
        node for layer in nodes if layer["op"] == "BatchNorm" for node, *_ in layer["inputs"][3:]
    }
    kept = [node for node in range(len(nodes)) if node not in statistics]
    old = []
    for node in map(nodes.__getitem__, kept):
        settings = {} if node["op"] == "null" else node.get("attrs", {})
        inputs = [[kept.index(n), output] for n, output, _ in node["inputs"] if n in kept]
        param = {
            key: value
            for key, value in settings.items()
            if key not in ("pooling_convention", "fix_gamma")
        }
        common = {"op": node["op"], "name": node["name"]}
        old.append({**common, "param": param, "inputs": inputs, "backward_source_id": -1})
    arguments = [n for n, node in enumerate(old) if node["op"] == "null"]
    return {"nodes": old, "arg_nodes": arguments, "heads": [[len(old) - 1, 0]]}


def random_arrays(net, size: int = SIZE) -> dict:
    """Weights, gammas and statistics that all make a difference."""
    random = np.random.default_rng(1)
    arrays = {}
    for name, shape in parameter_shapes(net, (1, 3, size, size)).items():
        if name.endswith(("gamma", "var")):
            values = random.uniform(0.5, 1.5, shape)
        else:
            values = random.normal(0, 0.001 if name == "arg:fc1_weight" else 0.1, shape)
        arrays[name] = mx.nd.array(values)
    return arrays


def save_as_of_2015(path: Path, arrays: dict) -> None:
    """The arrays in MXNet's first format, from a GPU: no versions, sizes of 32 bits."""
    data = bytearray(struct.pack("<3Q", 0x112, 0, len(arrays)))
    for array in arrays.values():
        values = array.asnumpy()
        data += struct.pack(f"<{1 + values.ndim}I", values.ndim, *values.shape)
        data += struct.pack("<3i", 2, 0, 0) + values.tobytes()
    data += struct.pack("<Q", len(arrays))
    for name in arrays:
        data += struct.pack("<Q", len(name)) + name.encode()
    path.write_bytes(data)


def publish(
    folder: Path, graph: dict, arrays: dict, wnids: tuple[str, ...] = WNIDS, save=save_as_of_2015
) -> None:
    (folder / "Inception-symbol.json").write_text(json.dumps(graph))
    save(folder / "Inception-0009.params", arrays)
    lines = (f"{wnid} a thing, or another\n" for wnid in wnids)
    (folder / "synset.txt").write_text("".join(lines))
