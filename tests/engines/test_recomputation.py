"""The best choice of what to compute again, proved against all choices on small networks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from imnetlib import engines
from imnetlib.engines import Layer, Recomputation

COSTLY = ("Convolution", "FullyConnected")


def conv(x: str, name: str, filters: int, kernel: int = 3) -> list[Layer]:
    options = {"num_filter": filters, "kernel": (kernel,) * 2, "pad": (kernel // 2,) * 2}
    return [
        Layer(name, "Convolution", (x,), options),
        Layer(f"{name}_bn", "BatchNorm", (name,)),
        Layer(f"{name}_relu", "Activation", (f"{name}_bn",), {"act_type": "relu"}),
    ]


def ending(x: str) -> list[Layer]:
    return [
        Layer("fc", "FullyConnected", (x,), {"num_hidden": 7}),
        Layer("softmax", "SoftmaxOutput", ("fc",)),
    ]


def chain(*filters: int) -> list[Layer]:
    """Convolutions one behind the other; every result is a cut."""
    layers: list[Layer] = []
    for n, count in enumerate(filters):
        layers += conv(layers[-1].name if layers else "data", f"c{n}", count)
    return layers + ending(layers[-1].name)


def pooled() -> list[Layer]:
    options = {"kernel": (2, 2), "stride": (2, 2)}
    pool = Layer("pool", "Pooling", ("a_relu",), options | {"pool_type": "max"})
    drop = Layer("drop", "Dropout", ("b_relu",))
    return [*conv("data", "a", 16), pool, *conv("pool", "b", 8), drop, *ending("drop")]


def branches() -> list[Layer]:
    """A block of two branches and a shortcut between two convolutions."""
    join = Layer("join", "Concat", ("l_relu", "r_relu", "a_relu"))
    block = [*conv("a_relu", "l", 6, 1), *conv("a_relu", "r", 4), join]
    return [*conv("data", "a", 8), *block, *conv("join", "b", 5), *ending("b_relu")]


def subsets(names: list[str]) -> Iterator[tuple[str, ...]]:
    for count in range(len(names) + 1):
        yield from itertools.combinations(names, count)


def by_stretches(parts: list[list[Layer]]) -> Iterator[frozenset[str]]:
    """All ways to cut ``parts`` into stretches and to treat each in one of the three ways."""
    if not parts:
        yield frozenset()
    for stop in range(1, len(parts) + 1):
        *inner, _ = itertools.chain(*parts[:stop])
        again = [layer for layer in inner if layer.kind not in ("Dropout", "SoftmaxOutput")]
        cheap = [layer.name for layer in again if layer.kind not in COSTLY]
        ways = {frozenset(layer.name for layer in again), frozenset(cheap)}
        for rest in by_stretches(parts[stop:]):
            yield from (way | rest for way in (ways | {frozenset()} if stop == 1 else ways))


def best(choices: Iterable[engines.Choice]) -> list[engines.Choice]:
    """Those that no other beats in both memory and cost, the least memory first."""
    ordered = sorted(choices, key=lambda choice: (choice.peak, choice.cost))
    kept: list[engines.Choice] = []
    for choice in ordered:
        if not kept or choice.cost < kept[-1].cost:
            kept.append(choice)
    return kept


def assert_solved(made: Recomputation, expected: list[engines.Choice]) -> None:
    """For each budget at which something changes, and for a byte less."""
    assert len(expected) > 1
    for before, choice in itertools.pairwise([expected[0], *expected]):
        found = made.least_time(choice.peak)
        assert (found.cost, found.peak <= choice.peak) == (choice.cost, True)
        if choice is not before:
            assert made.least_time(choice.peak - 1).cost == before.cost
    assert made.least_memory()[1:] == expected[0][1:]


@pytest.mark.parametrize("per_number", [0, 1, 41])
@pytest.mark.parametrize(
    "layers", [chain(8, 4), chain(2, 9, 3), pooled()], ids=["narrowing", "wide", "pooled"]
)
def test_a_chain_against_every_set_of_layers(layers: list[Layer], per_number: int):
    made = Recomputation(layers, 2, 8, per_number)
    names = [layer.name for layer in layers if layer.kind not in ("Dropout", "SoftmaxOutput")]
    inner = names[:9]
    assert_solved(made, best(made.evaluate(again) for again in subsets(inner)))


def test_a_network_of_branches_against_every_choice_of_stretches():
    layers = branches()
    made = Recomputation(layers, 2, 8)
    parts = [*([layer] for layer in layers[:3]), layers[3:10], *([x] for x in layers[10:])]
    assert_solved(made, best(made.evaluate(again) for again in set(by_stretches(parts))))


def flattened(*behind: Layer) -> list[Layer]:
    """A convolution whose result is flattened, and what follows."""
    return [*conv("data", "a", 8), Layer("flat", "Flatten", ("a_relu",)), *behind]


@pytest.mark.parametrize(
    "layers",
    [
        flattened(*ending("flat")),
        flattened(Layer("again", "Flatten", ("flat",)), *ending("again")),
        flattened(),
        flattened(Layer("again", "Flatten", ("flat",))),
        [Layer("flat", "Flatten", ("data",)), *ending("flat")],
        [*conv("data", "a", 8), *conv("a_relu", "b", 4), *flattened()[-1:], *ending("flat")],
    ],
    ids=["in the middle", "twice", "at the end", "twice at the end", "first", "of an earlier one"],
)
def test_a_flattened_result_is_the_one_before_it(layers: list[Layer]):
    made = Recomputation(layers, 2, 8)
    names = [layer.name for layer in layers if layer.kind != "SoftmaxOutput"]
    expected = best(made.evaluate(again) for again in subsets(names))
    assert made.least_memory()[1:] == expected[0][1:]
    for choice in expected:
        assert made.least_time(choice.peak).cost == choice.cost


def test_a_frontier_never_rises_and_keeps_its_budgets():
    layers = engines.layers(engines.network("inception-64px", 36))
    made = Recomputation(layers, 8, 64)
    points = made.frontier(6)
    assert [point.peak for point in points] == sorted(point.peak for point in points)
    costs = [point.cost for point in points]
    assert costs == sorted(costs, reverse=True)
    assert (points[-1].recomputed, points[-1].cost) == (frozenset(), 0)
    for point in points:
        assert point == made.evaluate(point.recomputed)
        steps = engines.training_steps(layers, 8, 64, recomputed=point.recomputed, like_mxnet=False)
        assert engines.in_use(steps).max() == point.peak


def test_segments_chosen_by_hand_are_beaten():
    layers = engines.layers(engines.network("inception-bn", 1000))
    made = Recomputation(layers, 32, 224)
    kept = ("conv2_pool", "3c", "4c", "4e", "fc1", "softmax")
    hand = [layer.name for layer in layers if layer.name not in kept]
    by_hand = made.evaluate(hand, like_mxnet=True)
    assert by_hand.peak >> 20 == 514
    # As much time and less memory, as much memory and less time.
    assert made.least_memory().cost < by_hand.cost
    assert made.least_memory().peak < 0.75 * by_hand.peak
    assert made.least_time(by_hand.peak).cost < 0.3 * by_hand.cost
    # So are even divisions.
    for count in (5, 1000):
        even = made.evenly(count)
        assert made.least_time(even.peak).cost <= even.cost


def test_a_deep_network_is_cut_where_it_parts_evenly():
    made = Recomputation(chain(*[4] * 12), 1, 8)
    assert len(made._parts) == 24
    assert sum(len(part) for part in made._parts) == 38
    all_kept = made.evaluate(())
    assert made.least_memory().peak < 0.5 * all_kept.peak
    # The last layers cost nothing here.
    cheap_end = [*chain(*[4] * 12)[:-2], Layer("softmax", "SoftmaxOutput", ("c11_relu",))]
    for per_number in (0, 41):
        parts = Recomputation(cheap_end, 1, 8, per_number)._parts
        assert list(itertools.chain(*parts)) == cheap_end


def test_layers_and_choices_may_come_one_by_one():
    layers = chain(2, 3)
    made = Recomputation(iter(layers), 2, 8)
    names = [layer.name for layer in layers]
    kept = Recomputation(layers, 2, 8)
    assert made.evaluate(iter(names)) == kept.evaluate(names)
    assert kept.evaluate(names).cost > 0
    with pytest.raises(TypeError, match="recomputed are several, in a list or a tuple, not 'x'"):
        made.evaluate("x")


def test_what_no_choice_keeps_is_refused():
    made = Recomputation(chain(2, 3), np.int64(2), 8)
    least = made.least_memory().peak
    with pytest.raises(
        ValueError, match=f"2 pictures do not fit 1,000 bytes, .*: the least is {least:,}"
    ):
        made.least_time(1000)
    assert made.least_time(least).peak == least
    with pytest.raises(TypeError, match=r"budget is a whole number, not 1000\.5 \(float\)"):
        made.least_time(1000.5)
    with pytest.raises(ValueError, match="points are 2 or more, not 1"):
        made.frontier(1)
    with pytest.raises(ValueError, match="count is 1 or more, not 0"):
        made.evenly(0)
    with pytest.raises(ValueError, match="per_number is 0 or more, not -1"):
        Recomputation(chain(2, 3), 2, 8, per_number=-1)
    with pytest.raises(ValueError, match="the network has no layer x"):
        made.evaluate(["x"])
    with pytest.raises(ValueError, match=r"layers are one or more, not \[\]"):
        Recomputation([], 2, 8)


@pytest.mark.parametrize("batch", [8, 32])
def test_no_choice_is_above_its_budget(batch: int):
    """Asked for some bytes less than a choice takes: the solver's tolerance is no excuse."""
    found = Recomputation(engines.layers(engines.network("inception-64px", 4)), batch, 64)
    for choice in found.frontier(6)[1:]:
        for less in (1, 3, 10):
            assert found.least_time(choice.peak - less).peak <= choice.peak - less
