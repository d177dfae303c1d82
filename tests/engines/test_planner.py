"""The planner's rules: savings save, and nothing is overwritten that is still to be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imnetlib import engines
from imnetlib.engines import Step

X = Step("a", [], {"x": 3})


class TestPlanner:
    """The rules, on steps made by hand and at random."""

    def test_a_chain_in_place_needs_one_buffer(self):
        chain = [
            Step(f"s{n}", [n - 1] if n else [], {n: 8}, {n: n - 1} if n else {}) for n in range(5)
        ]
        steps = [*chain, Step("outputs", [4], {})]
        assert engines.plan(steps, sharing=False).buffers == [8]
        assert engines.plan(steps, in_place=False, sharing=False).buffers == [8] * 5
        assert engines.plan(steps, in_place=False).buffers == [8, 8]
        assert engines.lifetimes(steps) == {0: (0, 1), 1: (1, 2), 2: (2, 3), 3: (3, 4), 4: (4, 5)}

    def test_what_somebody_waits_for_is_not_overwritten(self):
        steps = [
            Step("a", [], {"a": 8}),
            Step("b", ["a"], {"b": 8}, {"b": "a"}),
            Step("outputs", ["a", "b"], {}),
        ]
        assert engines.plan(steps).buffers == [8, 8]

    def test_a_free_buffer_serves_within_a_factor_of_sixteen(self):
        def pair(first: int, second: int) -> list[int]:
            steps = [
                Step("a", [], {"a": first}),
                Step("b", ["a"], {"b": 1000}),
                Step("c", ["b"], {"c": second}),
                Step("outputs", ["c"], {}),
            ]
            return engines.plan(steps).buffers

        # The buffer grows.
        assert pair(100, 160) == [160, 1000]
        assert pair(100, 1700) == [100, 1000, 1700]
        assert pair(1600, 100) == [1600, 1000]
        assert pair(1601, 100) == [1601, 1000, 100]

    @given(st.data())
    def test_no_two_live_results_share_a_buffer(self, data: st.DataObject):
        sizes = data.draw(st.lists(st.sampled_from([64, 128, 192]), min_size=1, max_size=20))
        steps: list[Step] = []
        for n, size in enumerate(sizes):
            reads = data.draw(st.lists(st.integers(0, n - 1), unique=True)) if n else []
            may = reads and sizes[reads[0]] == size
            steps.append(
                Step(str(n), reads, {n: size}, dict(zip([n], reads, strict=False)) if may else {})
            )
        read = {result for step in steps for result in step.reads}
        steps.append(Step("outputs", [n for n in range(len(sizes)) if n not in read], {}))
        in_place = data.draw(st.booleans())
        sharing = data.draw(st.booleans())
        made = engines.plan(steps, in_place=in_place, sharing=sharing)
        spans = engines.lifetimes(steps)
        for one, size in enumerate(sizes):
            assert made.buffers[made.buffer_of[one]] >= size
            for other in range(one + 1, len(sizes)):
                if made.buffer_of[one] == made.buffer_of[other]:
                    handed_over = in_place and steps[other].overwrites.get(other) == one
                    assert spans[one][1] < other or (handed_over and spans[one][1] == other)
        assert sum(made.buffers) <= sum(sizes)


@pytest.mark.parametrize(
    "function", [engines.plan, engines.lifetimes, engines.plan_offsets, engines.in_use]
)
@pytest.mark.parametrize(
    ("steps", "error", "problem"),
    [
        ([Step("a", ["x"], {})], ValueError, "a reads x, which no step before it writes"),
        ([Step("a", ["x"], {}), Step("b", [], {"x": 3})], ValueError, "a reads x, which no step"),
        ([Step("a", [], {"x": 3}), Step("b", ["x"], {"x": 3})], ValueError, "b writes x, and a st"),
        ([Step("a", [], {"x": -3})], ValueError, "the size of x is 0 or more, not -3"),
        ([Step("a", [], {"x": "3"})], TypeError, r"the size of x is a whole number, not '3'"),
        *(
            ([X, Step("b", reads, {"y": size}, {"y": over})], ValueError, "b can't overwrite")
            for reads, size, over in ((["x"], 3, "z"), ([], 3, "x"), (["x"], 9, "x"))
        ),
        ([1], TypeError, r"a step is an engines\.Step, not 1 \(int\)"),
        (None, TypeError, "steps are several, in a list or a tuple, not None"),
        ("ab", TypeError, "steps are several, in a list or a tuple, not 'ab'"),
    ],
)
def test_steps_that_cannot_be_done_are_refused(
    function: Callable[..., object], steps: object, error: type[Exception], problem: str
):
    with pytest.raises(error, match=problem):
        function(steps)
