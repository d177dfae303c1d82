"""Plans by offsets: nothing that lives overlaps, and little is lost against the best possible."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imnetlib import engines
from imnetlib.engines import Chain, Step


def steps_of(chains: Sequence[Chain], length: int) -> list[Step]:
    """Steps whose results live as ``chains`` do."""
    return [
        Step(
            str(position),
            [chain.results[0] for chain in chains if chain.last == position > chain.first],
            {chain.results[0]: chain.size for chain in chains if chain.first == position},
        )
        for position in range(length)
    ]


def best_size(chains: Sequence[Chain]) -> int:
    """The least block: some order in which each goes to the lowest place where it fits gives it."""
    sizes = []
    for order in itertools.permutations(chains):
        places: list[tuple[Chain, int]] = []
        for chain in order:
            end = 0
            for start, stop in sorted(
                (at, at + other.size) for other, at in places if meet(chain, other)
            ):
                if start - end >= chain.size:
                    break
                end = max(end, stop)
            places.append((chain, end))
        sizes.append(max(at + chain.size for chain, at in places))
    return min(sizes)


def meet(one: Chain, other: Chain) -> bool:
    return one.first <= other.last and other.first <= one.last


@given(st.data())
def test_no_two_that_live_overlap(data: st.DataObject):
    span = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)
    drawn = data.draw(st.lists(st.tuples(st.integers(1, 9), span), min_size=1, max_size=14))
    chains = [Chain((n,), size, *ends) for n, (size, ends) in enumerate(drawn)]
    steps = steps_of(chains, 13)
    layout = engines.plan_offsets(steps)
    assert sorted(chain.results[0] for chain, _ in layout.places) == list(range(len(chains)))
    for (one, at), (other, there) in itertools.combinations(layout.places, 2):
        assert not meet(one, other) or at + one.size <= there or there + other.size <= at
    assert engines.in_use(steps).max() <= layout.size
    assert layout.size == max(at + chain.size for chain, at in layout.places)


def test_small_graphs_against_all_orders():
    random = np.random.default_rng(0)
    best = 0
    for _ in range(200):
        chains = []
        for n in range(5):
            first, last = sorted(random.integers(0, 8, 2).tolist())
            chains.append(Chain((n,), int(random.choice([1, 2, 3, 4, 6])), first, last))
        steps = steps_of(chains, 8)
        least = best_size(chains)
        ours = engines.plan_offsets(steps).size
        assert engines.in_use(steps).max() <= least <= ours
        best += least == ours
    assert best >= 196


def test_what_is_written_in_place_has_one_place():
    steps = [
        Step("a", [], {"a": 8}),
        Step("b", ["a"], {"b": 8}, {"b": "a"}),
        Step("c", ["b"], {"c": 2}),
        Step("outputs", ["c"], {}),
    ]
    (both, first), (small, second) = engines.plan_offsets(steps).places
    assert (both.results, both.first, both.last, first) == (("a", "b"), 0, 2, 0)
    assert (small.results, second) == (("c",), 8)


@pytest.mark.parametrize(
    ("name", "classes", "bound"), [("inception-bn", 1000, 1292), ("inception-21k", 21_841, 1746)]
)
def test_both_networks_within_half_a_percent_of_the_bound(name: str, classes: int, bound: int):
    steps = engines.training_steps(engines.layers(engines.network(name, classes)), 32, 224)
    least = engines.in_use(steps).max()
    assert least >> 20 == bound
    assert engines.plan_offsets(steps).size <= 1.005 * least


def test_a_resnet_of_152_layers_within_half_a_percent_of_the_bound():
    from mxnet.gluon.model_zoo import vision

    from imnetlib.engines.mxnet import mx

    net = vision.resnet152_v1()(mx.sym.Variable("data"))
    layers = engines.read_layers(mx.sym.SoftmaxOutput(net, name="softmax").tojson())
    steps = engines.training_steps(layers, 32, 224)
    assert sum(engines.plan(steps).buffers) >> 20 == 5565
    assert engines.plan_offsets(steps).size <= 1.005 * engines.in_use(steps).max()


def test_no_steps_take_nothing():
    assert engines.plan_offsets([]) == (0, [])
