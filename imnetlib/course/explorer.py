"""Pictures and words chosen by hand: what is read of them, what may be said of them (chapter 9).

In JupyterLab controls of ipywidgets stand above the figure, which follows them. Elsewhere, and on a
page that nobody computes, there is the figure of the first choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from imnetlib import wordnet
from imnetlib.arguments import Integers, require
from imnetlib.course import charts, plots
from imnetlib.evaluate import Predictions
from imnetlib.progress import watched
from imnetlib.wordnet import Hierarchy

# Shares of wrong answers that can be chosen.
ERRORS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
# The largest k that can be chosen.
MOST = 10
LISTED = 5
# Among how many pictures the first one is looked for.
LOOKED_AT = 100


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A ``word``, a node; which ``picture`` of it, from 1, or 0 for all; ``k``; ``error``."""

    word: int
    picture: int
    k: int
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Explorer:
    """What can be chosen, and what is shown of it.

    ``rows``: the pictures, rows of ``predictions`` with a label. ``theta_of``: the theta with which
    an answer is wrong in that share of the pictures, at most. ``image_of``: the image of an id.
    ValueError where there is no picture.
    """

    hierarchy: Hierarchy
    predictions: Predictions
    rows: Integers
    theta_of: Callable[[float], float]
    image_of: Callable[[int], plots.Pixels]

    def __post_init__(self) -> None:
        require(len(self.rows) > 0, "an explorer needs pictures with a label", len(self.rows))

    def words(self) -> dict[str, int]:
        """The nodes that some picture's label is, or is under, by their names in order."""
        names = wordnet.unique_names(self.hierarchy)
        labels = np.unique(self.predictions.labels[self.rows])
        nodes = np.unique(self.hierarchy.ancestors[self.hierarchy.classes[labels]].indices)
        return dict(sorted((names[node], node) for node in nodes.tolist()))

    def pictures(self, word: int) -> Integers:
        """The rows of the pictures of a word, those first of which the network is least sure."""
        truths = self.hierarchy.classes[self.predictions.labels[self.rows]]
        rows = self.rows[self.hierarchy.above(np.full(len(truths), word), truths)]
        return rows[np.argsort(self.predictions.probabilities[rows].max(axis=1), kind="stable")]

    def first(self, k: int, error: float) -> Choice:
        """The choice to begin with: a picture that shows what a reading is for.

        Of those of which the network is least sure the one whose nodes, two at least if there is
        such a reading, gain most probability over as many classes.
        """
        rows = self.pictures(0)[:LOOKED_AT]
        worth = []
        for probabilities in self.predictions.probabilities[rows]:
            read = wordnet.explain(self.hierarchy, probabilities, k)
            named = len(read.nodes)
            as_many = float(np.sort(probabilities)[-named:].sum())
            worth.append((min(named, 2), read.covered - as_many))
        return Choice(0, 1 + worth.index(max(worth)), k, error)

    def look(self, choice: Choice) -> tuple[Figure, str]:
        """The figure of a choice, and a few sentences about it."""
        rows = self.pictures(choice.word)
        return self._one(rows, choice) if choice.picture else self._all(rows, choice)

    def _one(self, rows: Integers, choice: Choice) -> tuple[Figure, str]:
        row = int(rows[choice.picture - 1])
        probabilities = self.predictions.probabilities[row]
        label = int(self.predictions.labels[row])
        (answer,) = self._answers(rows[[choice.picture - 1]], choice.error)
        right = self.hierarchy.above(answer, self.hierarchy.classes[label])
        name = wordnet.class_names(self.hierarchy)[label]
        figure = charts.reading(
            self.hierarchy,
            probabilities,
            wordnet.explain(self.hierarchy, probabilities, choice.k),
            plots.thumbnail(self.image_of(int(self.predictions.ids[row]))),
            f"Label: {name}",
            listed=min(LISTED, len(probabilities)),
        )
        told = f"{self.hierarchy.information[answer]:.1f} bits"
        return figure, (
            f"Picture {choice.picture:,} of {len(rows):,}. Label: {name}.\n"
            f"{_promise(choice.error)}: {wordnet.unique_names(self.hierarchy)[answer]}, "
            f"{told}, {'right' if right else 'wrong'}."
        )

    def _all(self, rows: Integers, choice: Choice) -> tuple[Figure, str]:
        hierarchy = self.hierarchy
        names = wordnet.unique_names(hierarchy)
        mean = self.predictions.probabilities[rows].mean(axis=0)
        read = wordnet.explain(hierarchy, mean, choice.k)
        answers = self._answers(rows, choice.error)
        truths = hierarchy.classes[self.predictions.labels[rows]]
        right = int(np.count_nonzero(hierarchy.above(answers, truths)))
        (most, times), *_ = Counter(answers.tolist()).most_common(1)
        under = f"{hierarchy.counts[choice.word]:,} of {len(hierarchy.classes):,} classes"
        above = [names[node] for node in hierarchy.parents[[choice.word]].indices.tolist()]
        kind = f"a kind of {' and of '.join(above)}; " if above else ""
        told = f"{self._mean(rows, choice.word)} of the probability in its {len(rows):,} pictures"
        others = np.setdiff1d(self.rows, rows)
        beside = f", {self._mean(others, choice.word)} in the others" if len(others) else ""
        return charts.icicle(hierarchy, mean, read), (
            f"{names[choice.word]}: {wordnet.gloss(hierarchy.wnids[choice.word])}\n"
            f"In the hierarchy: {kind}{under} at or under it.\n"
            f"It has {told}{beside}, on average.\n"
            f"{_promise(choice.error)}: right for {right:,}, most often {names[most]} ({times:,})."
        )

    def _answers(self, rows: Integers, error: float) -> Integers:
        probabilities = self.predictions.probabilities[rows]
        return wordnet.climb(self.hierarchy, probabilities, self.theta_of(error))

    def _mean(self, rows: Integers, word: int) -> str:
        """The mean probability of a word in pictures."""
        mean = self.predictions.probabilities[rows].mean(axis=0)
        return f"{self.hierarchy.mass(mean)[word]:.2f}"


def _promise(error: float) -> str:
    return f"An answer, wrong in {100 * error:g} % of the pictures at most"


class Controls:
    """Widgets that make a choice; ``box`` holds them. ``changed`` gets each new choice."""

    def __init__(
        self, explorer: Explorer, first: Choice, changed: Callable[[Choice], None]
    ) -> None:
        import ipywidgets

        self._explorer = explorer
        self._changed = changed
        self._setting = False
        pictures = len(explorer.pictures(first.word))
        errors = [(f"{100 * each:g} %", each) for each in sorted({*ERRORS, first.error})]
        self.word = ipywidgets.Dropdown(
            options=explorer.words(), value=first.word, description="word"
        )
        self.picture = ipywidgets.IntSlider(
            first.picture, 0, pictures, description="picture", continuous_update=False
        )
        self.k = ipywidgets.IntSlider(
            first.k, 1, max(MOST, first.k), description="k", continuous_update=False
        )
        self.error = ipywidgets.SelectionSlider(
            options=errors, value=first.error, description="error", continuous_update=False
        )
        controls = [self.word, self.picture, self.k, self.error]
        for control in controls:
            control.observe(self._moved, "value")
        self.box = ipywidgets.VBox(controls)

    def _moved(self, change: Mapping[str, Any]) -> None:
        if self._setting:
            return
        if change["owner"] is self.word:
            # All pictures of the new word, before any single one.
            self._setting = True
            self.picture.value = 0
            self.picture.max = len(self._explorer.pictures(self.word.value))
            self._setting = False
        chosen = (self.word.value, self.picture.value, self.k.value, self.error.value)
        self._changed(Choice(*chosen))


def show(explorer: Explorer, name: str, k: int, error: float) -> None:
    """Show a picture that says what a reading is for, and what chooses others.

    ``name``: of the figure, as in ``plots.show``.
    """
    from IPython.display import display

    first = explorer.first(k, error)
    shown: list[Callable[[Figure, str], None]] = []

    def changed(choice: Choice) -> None:
        shown[0](*explorer.look(choice))

    if watched():
        display(Controls(explorer, first, changed).box)
    figure, told = explorer.look(first)
    shown.append(plots.show_anew(figure, name, told))
