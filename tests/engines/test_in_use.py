"""What a training step holds at each operation, and a bound that no plan gets below."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imnetlib import engines
from imnetlib.engines import Step


def test_a_result_is_held_from_its_writer_to_its_last_reader():
    steps = [
        Step("a", [], {"a": 8}),
        Step("b", ["a"], {"b": 2}),
        Step("c", ["b"], {"c": 4}),
        Step("outputs", ["a", "c"], {}),
    ]
    assert engines.in_use(steps).tolist() == [8, 10, 14, 12]


def test_a_result_written_in_place_takes_nothing_more():
    steps = [
        Step("a", [], {"a": 8}),
        Step("b", ["a"], {"b": 8}, {"b": "a"}),
        Step("outputs", ["b"], {}),
    ]
    assert engines.in_use(steps).tolist() == [8, 8, 8]


@given(st.data())
def test_no_plan_takes_less_than_the_highest_value(data: st.DataObject):
    sizes = data.draw(st.lists(st.sampled_from([64, 128, 192]), min_size=1, max_size=20))
    steps: list[Step] = []
    for n, size in enumerate(sizes):
        reads = data.draw(st.lists(st.integers(0, n - 1), unique=True)) if n else []
        over = {n: reads[0]} if reads and sizes[reads[0]] == size else {}
        steps.append(Step(str(n), reads, {n: size}, over))
    read = {result for step in steps for result in step.reads}
    steps.append(Step("outputs", [n for n in range(len(sizes)) if n not in read], {}))
    highest = engines.in_use(steps).max()
    for in_place in (False, True):
        for sharing in (False, True):
            made = engines.plan(steps, in_place=in_place, sharing=sharing)
            assert sum(made.buffers) >= highest
