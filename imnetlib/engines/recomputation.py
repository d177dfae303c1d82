"""Which results the backward pass computes again, so that a budget of memory is kept (chapter 6).

A network is cut wherever a single result leads on. Between two cuts everything is kept, or what is
cheap is computed again, or all of it. Which cuts and which of the three is an integer program, and
HiGHS finds its optimum. No result is computed more than twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from imnetlib.arguments import Integers, in_order, require, require_several, whole_number
from imnetlib.engines.graph import PICTURES, Layer, infer_shapes, multiply_adds, numbers_moved
from imnetlib.engines.operations import training_steps
from imnetlib.engines.planner import in_use

# Multiply-adds in the time that one number takes to or from memory: a GTX 980 does 2.3 T a second
# and moves 224 GB, 56 G numbers of four bytes.
PER_NUMBER = 41
COSTLY = ("Convolution", "FullyConnected")
# Another draw would differ from the first; an output is asked for anyway.
NEVER_AGAIN = ("Dropout", "SoftmaxOutput")
MOST_CUTS = 24
# Bytes are counted in these, so that a millionth, HiGHS's tolerance, is less than one byte.
UNIT = 2**16
COST_UNIT = 1e6
# How steps are called after a layer.
STEP_NAMES = ("{}", "{}'", "{}_backward", "{}'_backward", "∂{}", "∂{}/where", "∂{}'/where")


class Choice(NamedTuple):
    """Layers that are computed again, the most bytes in use, and what that costs for a picture."""

    recomputed: frozenset[str]
    peak: int
    cost: int


class _Stretch(NamedTuple):
    """The parts from ``start`` to ``stop``, and what of them is computed again.

    ``peak``: the most bytes in use by steps of these parts, with all that comes before kept.
    ``saved``: so much less than with all of it kept is held for them while others run.
    """

    start: int
    stop: int
    recomputed: frozenset[str]
    peak: int
    saved: int
    cost: int


class Recomputation:
    """The choices of what to compute again in a training step, the best one for each budget.

    ``layers``, ``batch`` and ``size`` as for ``training_steps``, with the same errors. A layer
    costs its multiply-adds and ``per_number`` for each number that it reads or writes. Each stretch
    between two cuts is tried: 4 s for the 230 layers of an Inception-BN. Of more than 24 cuts only
    those count that part the cost most evenly.
    """

    def __init__(
        self, layers: Sequence[Layer], batch: int, size: int, per_number: int = PER_NUMBER
    ) -> None:
        per_number = whole_number("per_number", per_number)
        require(per_number >= 0, "per_number is 0 or more", per_number)
        layers = in_order("layers", layers)
        shapes = infer_shapes(layers, size)
        self._layers = layers
        self._batch = batch
        self._size = size
        self._costs = {
            layer.name: multiply_adds(layer, shapes) + per_number * numbers_moved(layer, shapes)
            for layer in layers
        }
        self._parts = _parts(layers, self._costs)
        self._stretches = self._try_stretches()

    @property
    def forward_cost(self) -> int:
        """What the forward pass costs for one picture; the backward pass costs about twice that."""
        return sum(self._costs.values())

    def evaluate(self, recomputed: Collection[str], *, like_mxnet: bool = False) -> Choice:
        """A choice of one's own; ``like_mxnet`` as for ``training_steps``."""
        require_several("recomputed", recomputed)
        again = frozenset(recomputed)
        names, used = self._run(again, like_mxnet=like_mxnet)
        return Choice(self._made_again(again, names), int(used.max()), self._cost(names))

    def least_time(self, budget: int) -> Choice:
        """The choice that costs least of those with at most ``budget`` bytes in use.

        ValueError for a budget that none keeps; it names the least that one keeps.
        """
        budget = whole_number("budget", budget)
        least, of_least = _of_least_peak(self._stretches)
        if budget < least:
            raise ValueError(
                f"{self._batch} pictures do not fit {budget:,} bytes, whatever is computed again: "
                f"the least is {least:,}"
            )
        aim = budget
        while True:
            recomputed = _cheapest(self._stretches, aim)
            if recomputed is None:
                return self.evaluate(of_least)
            found = self.evaluate(recomputed)
            if found.peak <= budget:
                return found
            # The solver's own tolerance: some bytes where there are gigabytes.
            aim -= found.peak - budget

    def least_memory(self) -> Choice:
        """The choice with the fewest bytes in use, and of several the one that costs least."""
        return self.least_time(_of_least_peak(self._stretches)[0])

    def evenly(self, count: int) -> Choice:
        """``count`` stretches of equally many parts, all computed again but their last results.

        Chen et al. 2016, *Training Deep Nets with Sublinear Memory Cost*, take the square root of
        the number of parts. ValueError unless 1 or more.
        """
        count = whole_number("count", count)
        require(count >= 1, "count is 1 or more", count)
        most = len(self._parts)
        ends = np.linspace(0, most, min(count, most) + 1).round().astype(int).tolist()
        inner = [self._inner(start, stop, COSTLY) for start, stop in itertools.pairwise(ends)]
        return self.evaluate(list(itertools.chain(*inner)))

    def frontier(self, points: int) -> list[Choice]:
        """``least_time`` for ``points`` budgets, from the least memory to everything kept.

        A choice for a budget is one for every larger budget, so costs never rise. Two or more
        points; some 0.5 s each.
        """
        points = whole_number("points", points)
        require(points >= 2, "points are 2 or more", points)
        least = self.least_memory()
        budgets = np.linspace(least.peak, self.evaluate(()).peak, points).astype(np.int64)
        return [least, *(self.least_time(budget) for budget in budgets[1:])]

    def _run(
        self, recomputed: Collection[str], *, like_mxnet: bool = False
    ) -> tuple[list[str], Integers]:
        """The names of the steps, and the bytes in use at each."""
        steps = training_steps(
            self._layers, self._batch, self._size, recomputed=recomputed, like_mxnet=like_mxnet
        )
        return [step.name for step in steps[:-1]], in_use(steps)[:-1]

    def _inner(self, start: int, stop: int, also: Collection[str] = ()) -> list[str]:
        """Layers between two cuts but the last: cheap ones, and those of the kinds ``also``."""
        *inner, _ = [layer for part in self._parts[start:stop] for layer in part]
        without = {*COSTLY, *NEVER_AGAIN} - set(also)
        return [layer.name for layer in inner if layer.kind not in without]

    def _try_stretches(self) -> list[_Stretch]:
        count = len(self._parts)
        tried = [(n, n + 1, frozenset[str]()) for n in range(count)]
        for start, stop in itertools.combinations(range(count + 1), 2):
            sets = {frozenset(self._inner(start, stop, also)) for also in ((), COSTLY)}
            tried += [(start, stop, inner) for inner in sorted(sets, key=len) if inner]
        part_of = {layer.name: n for n, part in enumerate(self._parts) for layer in part}
        places = {form.format(name): n for name, n in part_of.items() for form in STEP_NAMES}
        kept = self._run(())
        turn = max(n for n, name in enumerate(kept[0]) if name in part_of)
        stretches = []
        for start, stop, inner in tried:
            names, used = self._run(inner) if inner else kept
            again = self._made_again(inner, names)
            if inner and not again:
                # Nobody reads them in the backward pass.
                continue
            place = np.array([places.get(name, 0) for name in names])
            # Nothing is computed where a network ends with Flatten.
            peak = int(used[(start <= place) & (place < stop)].max(initial=0))
            saved = int(kept[1][turn] - used[turn])
            stretches.append(_Stretch(start, stop, again, peak, saved, self._cost(names)))
        return stretches

    def _made_again(self, recomputed: Collection[str], names: Sequence[str]) -> frozenset[str]:
        """Those of ``recomputed`` that the steps of these names make, or flatten, again."""
        made = {name[:-1] for name in names if name.endswith("'")}
        made |= {layer.name for layer in self._layers if layer.kind == "Flatten"}
        return frozenset(recomputed) & made

    def _cost(self, names: Sequence[str]) -> int:
        """What the steps of these names that compute something again cost."""
        return sum(self._costs[name[:-1]] for name in names if name.endswith("'"))


def _parts(layers: Sequence[Layer], costs: Mapping[str, int]) -> list[Sequence[Layer]]:
    """The layers, cut behind those whose result is all that the following ones read.

    A flattened result is the one before it under a new name, so Flatten begins what follows.
    """
    last_read = {name: n for n, layer in enumerate(layers) for name in layer.inputs}
    cuts: list[int] = []
    open_until = last_read[PICTURES]
    for n, layer in enumerate(layers):
        if n >= open_until and (layer.kind != "Flatten" or n + 1 == len(layers)):
            cuts.append(n + 1)
        open_until = max(open_until, last_read.get(layer.name, n))
    if len(cuts) > MOST_CUTS:
        done = np.cumsum([costs[layer.name] for layer in layers])[np.array(cuts) - 1]
        even = np.linspace(0, done[-1], MOST_CUTS + 1)[1:]
        # Where the last layers cost nothing, the nearest to the end is not the end.
        nearest = {cuts[int(np.abs(done - share).argmin())] for share in even[:-1]}
        cuts = sorted({*nearest, cuts[-1]})
    return [layers[start:stop] for start, stop in itertools.pairwise([0, *cuts])]


def _of_least_peak(stretches: Sequence[_Stretch]) -> tuple[int, frozenset[str]]:
    """The fewest bytes that any way from the first cut to the last has in use, and such a way."""
    count = max(stretch.stop for stretch in stretches)
    # From each cut on, with all before it kept: what a stretch saves, all behind it have less.
    least: list[tuple[int, frozenset[str]]] = [(0, frozenset())] * (count + 1)
    for start in reversed(range(count)):
        ways = []
        for stretch in stretches:
            if stretch.start == start:
                behind, recomputed = least[stretch.stop]
                peak = max(stretch.peak, behind - stretch.saved)
                ways.append((peak, recomputed | stretch.recomputed))
        least[start] = min(ways, key=lambda way: way[0])
    return least[0]


def _cheapest(stretches: Sequence[_Stretch], budget: int) -> frozenset[str] | None:
    """What the way that costs least computes again, with some ``budget`` bytes in use; or None.

    Each stretch is taken or not. Those taken lead from the first cut to the last; while one is at
    work its peak is in use, less what those before it save.
    """
    count = max(stretch.stop for stretch in stretches)
    leads = np.zeros((count + 1, len(stretches)))
    in_use = np.zeros((count, len(stretches)))
    for column, stretch in enumerate(stretches):
        leads[stretch.start, column] = 1
        leads[stretch.stop, column] = -1
        in_use[stretch.start : stretch.stop, column] = stretch.peak / UNIT
        in_use[stretch.stop :, column] = -stretch.saved / UNIT
    ends = np.zeros(count + 1)
    ends[0] = 1
    ends[-1] = -1
    # Half a byte is room for rounding, and for nothing else.
    room = LinearConstraint(in_use, -np.inf, (budget + 0.5) / UNIT)
    found = milp(
        np.array([stretch.cost / COST_UNIT for stretch in stretches]),
        integrality=np.ones(len(stretches), np.int64),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(leads, ends, ends), room],
        # What it repairs after a presolve, HiGHS would tell on the terminal.
        options={"mip_rel_gap": 0, "presolve": False},
    )
    if found.x is None:
        return None
    chosen = [stretch for stretch, part in zip(stretches, found.x, strict=True) if part > 0.5]
    return frozenset().union(*(stretch.recomputed for stretch in chosen))
