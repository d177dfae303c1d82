"""What chapter 6 plans: filters that differ, a small chain, results by each plan and by MXNet."""

from __future__ import annotations

import importlib.util

import pytest

from imnetlib import engines
from imnetlib.course import planning
from imnetlib.engines import Step
from imnetlib.throughput import MIB

SIZE = 64
NET = engines.network("inception-64px", 10)
LAYERS = engines.layers(NET)
HAS_MXNET = importlib.util.find_spec("mxnet") is not None
INNER = [layer.name for layer in LAYERS if layer.kind in engines.CHEAP]


def without_mxnet(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mxnet" else found(name)
    )


def test_the_wider_network_has_other_filters_in_twenty_places():
    ordinary, wider = engines.network("inception-bn", 10), engines.network("inception-21k", 10)
    changed = planning.changed_filters(ordinary, wider)
    assert len(changed) == 20
    assert changed[0] == ("conv1", "filters", 64, 96, 1.5)
    assert [one for one in changed if one.times != 1.5] == [
        ("conv2", "reduce", 64, 128, 2.0),
        ("4d", "double", 192, 96, 0.5),
    ]
    assert planning.changed_filters(wider, wider) == []
    rows = planning.changed_table(changed[:3])
    assert rows == [
        {"layer": "conv1", "filters": "64 → 96", "reduce": ""},
        {"layer": "conv2", "filters": "192 → 288", "reduce": "64 → 128"},
    ]


def test_parameters_by_stage_are_all_of_the_network():
    found = planning.parameters_by_stage(LAYERS, SIZE)
    assert sum(found.values()) == engines.parameter_count(NET)
    assert list(found) == [stage.name for stage in (*NET.stem, *NET.blocks)] + ["fc1"]


def test_a_chain_of_convolutions_goes_forward_and_back():
    assert planning.convolution_chain(1) == [
        Step("conv1", [], {"c1": MIB}),
        Step("relu1", ["c1"], {"r1": MIB}, {"r1": "c1"}),
        Step("loss", ["r1"], {"∂r1": MIB}),
        Step("∂relu1", ["∂r1", "r1"], {"∂c1": MIB}, {"∂c1": "∂r1"}),
        Step("∂conv1", ["∂c1"], {}),
    ]
    longer = planning.convolution_chain(11)
    assert len({step.name for step in longer}) == 4 * 11 + 1
    assert longer[2] == Step("conv2", ["r1"], {"c2": MIB})
    assert longer[-3] == Step("∂conv2", ["∂c2", "r1"], {"∂r1": MIB})
    assert planning.step_table(longer[1:3]) == [
        {"step": "relu1", "reads": "c1", "writes": "r1", "may write over": "c1"},
        {"step": "conv2", "reads": "r1", "writes": "c2", "may write over": ""},
    ]


@pytest.mark.parametrize("saving", [*planning.SAVINGS, "by offsets"])
def test_planned_bytes_are_those_that_compare_plans_tells(saving: str):
    told = engines.compare_plans(LAYERS, 4, SIZE)
    assert planning.planned_bytes(LAYERS, 4, SIZE, saving) == told[saving]


def test_what_is_computed_again_by_offsets_gives_up_the_first_result():
    steps = engines.training_steps(LAYERS, 4, SIZE, recomputed=INNER, like_mxnet=False)
    found = planning.planned_bytes(LAYERS, 4, SIZE, "by offsets", INNER)
    assert found == engines.plan_offsets(steps).size
    mirrored = engines.compare_plans(LAYERS, 4, SIZE)["mirror"]
    assert planning.planned_bytes(LAYERS, 4, SIZE, "both", INNER) == mirrored
    assert found < mirrored


def test_planners_agree_with_mxnet_where_it_is_installed():
    again = {"mirror": INNER, "segments": INNER[:20]}
    found = planning.compare_planners({"small": NET}, (2, 2), SIZE, again)
    assert [(row["network"], row["batch"]) for row in found.rows] == [("small", 2)]
    assert (found.agreed, found.compared) == ((4, 4) if HAS_MXNET else (0, 0))
    assert all((" / " in str(row["both"])) is HAS_MXNET for row in found.rows)


def test_without_mxnet_there_are_our_plans_alone(monkeypatch: pytest.MonkeyPatch):
    without_mxnet(monkeypatch)
    again = {"mirror": INNER, "segments": INNER[:20]}
    found = planning.compare_planners({"small": NET}, (4,), SIZE, again)
    ours = {"both": "both", "in place": "in place", "mirror": "mirror"}
    told = engines.compare_plans(LAYERS, 4, SIZE)
    assert {way: found.rows[0][way] for way in ours} == {way: told[way] // MIB for way in ours}
    assert (found.agreed, found.compared) == (0, 0)
    assert planning.growth_of_step(NET, 2, SIZE) is None
    assert planning.seconds_of_step(NET, 2, SIZE) is None


def test_a_step_of_mxnet_is_measured_where_it_is_installed():
    seconds = planning.seconds_of_step(NET, 2, SIZE, INNER)
    growth = planning.growth_of_step(NET, 2, SIZE)
    if HAS_MXNET:
        assert seconds > 0
        assert isinstance(growth, int)
    else:
        assert (seconds, growth) == (None, None)
