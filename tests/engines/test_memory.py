"""The memory of training steps as MXNet plans it, and what it computes again."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from imnetlib import engines
from imnetlib.engines import network
from imnetlib.engines.mxnet import memory, mx
from imnetlib.engines.mxnet.network import symbol

NETWORKS = {"inception-bn": 1000, "inception-21k": 21_841, "inception-64px": 36}
KEPT = ("conv2_pool", "3c", "4c", "4e", "fc1", "softmax")


def built(name: str):
    return symbol(network(name, NETWORKS[name]))


@pytest.mark.parametrize(
    ("name", "figures"),
    [("inception-bn", [4057, 2982, 1610, 1438]), ("inception-21k", [5461, 4000, 2219, 1972])],
)
def test_each_saving_alone_and_both(name: str, figures: list[int]):
    layers = engines.layers(network(name, NETWORKS[name]))
    steps = engines.training_steps(layers, 32, 224)
    savings = [(False, False), (True, False), (False, True), (True, True)]
    plans = [engines.plan(steps, in_place=one, sharing=other) for one, other in savings]
    assert [sum(plan.buffers) >> 20 for plan in plans] == figures


def test_computing_again_leaves_the_gradients_as_they_are():
    x = mx.sym.Variable("data")
    for name in ("conv1", "conv2", "conv3"):
        x = mx.sym.Activation(
            mx.sym.Convolution(x, kernel=(3, 3), num_filter=16, name=name), act_type="relu"
        )
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(x, num_hidden=4, name="fc1"), name="softmax")
    data = np.random.default_rng(0).normal(size=(4, 3, 12, 12))
    gradients = []
    for graph in (net, memory.recomputing(net, ("conv2", "fc1", "softmax"))):
        random = np.random.default_rng(1)
        bound = graph.simple_bind(mx.cpu(), data=data.shape)
        for name in net.list_arguments():
            array = bound.arg_dict[name]
            array[:] = random.normal(0, 0.1, array.shape)
        bound.forward(
            is_train=True, data=mx.nd.array(data), softmax_label=mx.nd.array([0, 1, 2, 3])
        )
        bound.backward()
        gradients.append(bound.grad_dict["conv1_weight"].asnumpy())
    assert abs(gradients[0]).max() > 0
    assert gradients[1] == pytest.approx(gradients[0], rel=1e-4, abs=1e-6)


def test_steps_are_timed():
    net = built("inception-64px")
    assert 0 < memory.step_seconds(net, 2, 64, repeat=np.int64(1)) < 60
    with pytest.raises(ValueError, match="takes no pictures of 5 pixels"):
        memory.step_seconds(net, 2, 5)
    with pytest.raises(ValueError, match="repeat is 1 or more, not 0"):
        memory.step_seconds(net, 2, 64, repeat=0)


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch):
    net = built("inception-64px")
    monkeypatch.setenv("NNVM_EXEC_MATCH_RANGE", "4")
    monkeypatch.delenv("MXNET_BACKWARD_DO_MIRROR", raising=False)
    memory.planned_bytes(net, np.int32(2), np.int64(64), sharing=False, mirror=True)
    assert os.environ["NNVM_EXEC_MATCH_RANGE"] == "4"
    assert "MXNET_BACKWARD_DO_MIRROR" not in os.environ


def test_a_plan_writes_nothing_to_the_terminal():
    program = """
from imnetlib.engines.inception import network
from imnetlib.engines.mxnet import memory
from imnetlib.engines.mxnet.network import symbol
print(memory.planned_bytes(symbol(network("inception-64px", 36)), 32, 64) >> 20)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("68\n", "")


def test_what_cannot_be_planned_is_refused():
    net = built("inception-64px")
    with pytest.raises(ValueError, match="no layer 3b, pool9"):
        memory.recomputing(net, ["3a", "pool9", "3b"])
    kept = ["fc1", "softmax"]
    copies = [memory.recomputing(net, given).tojson() for given in (kept, iter(kept))]
    assert copies[0] == copies[1]
    with pytest.raises(TypeError, match="kept are several, in a list or a tuple, not '3a'"):
        memory.recomputing(net, "3a")
    with pytest.raises(TypeError, match=r"batch is a whole number, not 2\.0 \(float\)"):
        memory.planned_bytes(net, 2.0, 64)
    with pytest.raises(ValueError, match=r"takes no pictures of 5 pixels .*kernel size"):
        memory.planned_bytes(net, 2, 5)
