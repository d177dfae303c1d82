"""What fits a card: all plans in one call, everything counted, the largest batch that fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from imnetlib import engines
from imnetlib.engines.mxnet import memory, mx
from imnetlib.engines.mxnet.network import symbol

MIB = 2**20


def both(layers: list[engines.Layer], size: int, bytes_a_number: int) -> Callable[[int], int]:
    return lambda batch: sum(
        engines.plan(
            engines.training_steps(layers, batch, size, bytes_a_number=bytes_a_number)
        ).buffers
    )


def test_a_network_of_a_readers_own_in_one_call():
    x = mx.sym.Convolution(mx.sym.Variable("data"), num_filter=64, kernel=(3, 3), name="conv")
    x = mx.sym.Activation(mx.sym.BatchNorm(x, name="bn"), act_type="relu", name="relu")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(x, num_hidden=9, name="fc"), name="softmax")
    plans = engines.compare_plans(net.tojson(), 512, 32)
    assert list(plans) == [
        *("neither", "in place", "sharing", "both", "mirror", "by offsets", "at least")
    ]
    assert plans["both"] // MIB * MIB == memory.planned_bytes(net, 512, 32)
    assert plans["in place"] // MIB * MIB == memory.planned_bytes(net, 512, 32, sharing=False)
    assert plans["mirror"] // MIB * MIB == memory.planned_bytes(net, 512, 32, mirror=True)
    assert plans["at least"] <= plans["by offsets"] <= plans["both"] <= plans["neither"]
    assert engines.compare_plans(engines.read_layers(net.tojson()), 512, 32) == plans
    # What each value weighs, the smallest first.
    half = engines.compare_plans(net.tojson(), 512, 32, bytes_a_number=2)
    assert {name: 2 * size for name, size in half.items()} == plans


def test_whole_figures_of_the_wider_network():
    plans = engines.compare_plans(engines.layers(engines.network("inception-21k", 21_841)), 32, 224)
    assert {name: size // MIB for name, size in plans.items()} == {
        "neither": 5461,
        "in place": 4000,
        "sharing": 2219,
        "both": 1972,
        "mirror": 1851,
        "by offsets": 1747,
        "at least": 1746,
    }


def test_everything_that_stands_on_a_card_is_counted():
    layers = engines.layers(engines.network("inception-bn", 1000))
    net = symbol(engines.network("inception-bn", 1000))
    bound = net.simple_bind(mx.cpu(), data=(2, 3, 224, 224))
    learned = sum(
        array.size
        for name, array in bound.arg_dict.items()
        if name not in ("data", "softmax_label")
    )
    statistics = sum(array.size for array in bound.aux_arrays)
    assert engines.standing_bytes(layers, 224) == 16 * learned + 4 * statistics
    fed = bound.arg_dict["data"].size + bound.arg_dict["softmax_label"].size
    assert engines.picture_bytes(2, 224) == 2 * 4 * fed


@pytest.mark.parametrize("bytes_a_number", [2, 4])
@pytest.mark.parametrize("room", [0, 5_900_000, 6_800_000, 30_000_000, np.int64(300_000_000)])
def test_the_largest_batch_fits_and_one_more_does_not(room: int, bytes_a_number: int):
    layers = engines.layers(engines.network("inception-64px", 36))
    results = both(layers, 64, bytes_a_number)
    largest = engines.largest_batch(layers, 64, room, results, bytes_a_number)

    def taken(batch: int) -> int:
        pictures = 2 * batch * (3 * 64 * 64 + 1) * bytes_a_number
        return engines.standing_bytes(layers, 64) + pictures + (results(batch) if batch else 0)

    assert largest == 0 or taken(largest) <= room
    assert taken(largest + 1) > room


def test_the_card_of_the_note_holds_fewer_than_results_alone_would():
    layers = engines.layers(engines.network("inception-21k", 21_841))
    room = int(3.6 * 2**30)

    def mirrored(batch: int) -> int:
        cheap = [layer.name for layer in layers if layer.kind in engines.CHEAP]
        steps = engines.training_steps(layers, batch, 224, recomputed=cheap)
        return sum(engines.plan(steps).buffers)

    weights_gradients_momentum = 3 * 4 * 33_619_969
    assert weights_gradients_momentum + mirrored(57) <= room
    assert engines.largest_batch(layers, 224, room, mirrored) == 53


@pytest.mark.parametrize("value", [0, -4, "4", 2.5, None, True])
def test_bytes_that_no_number_has_are_refused(value: object):
    layers = engines.layers(engines.network("inception-64px", 36))
    kind = TypeError if not isinstance(value, int) or value is True else ValueError
    with pytest.raises(
        kind, match=f"bytes_a_number (is a whole number|is 1 or more), not {value!r}"
    ):
        engines.compare_plans(layers, 2, 64, bytes_a_number=value)
    with pytest.raises(kind, match=r"bytes_a_number (is a whole number|are 1 or more), not"):
        engines.picture_bytes(2, 64, value)
    for name, given in (("batch", (value, 64)), ("size", (2, value))):
        with pytest.raises(kind, match=f"({name} is a whole|batch, size and bytes_a_number are 1)"):
            engines.picture_bytes(*given)


def test_what_cannot_be_planned_is_refused():
    wave = mx.sym.sin(mx.sym.Variable("data"), name="wave")
    with pytest.raises(ValueError, match="cannot plan wave: nothing is known here about sin"):
        engines.compare_plans(wave.tojson(), 2, 8)
    with pytest.raises(TypeError, match=r"symbol is the text of a network's JSON \(net\.tojson"):
        engines.compare_plans(wave, 2, 8)
    layers = engines.layers(engines.network("inception-64px", 36))
    with pytest.raises(ValueError, match="batch is 1 or more, not 0"):
        engines.compare_plans(layers, 0, 64)
    with pytest.raises(ValueError, match="takes no pictures of 5 pixels"):
        engines.compare_plans(layers, 2, 5)
    with pytest.raises(ValueError, match="room is not negative, not -1"):
        engines.largest_batch(layers, 64, -1, both(layers, 64, 4))
