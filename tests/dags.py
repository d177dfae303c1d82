"""Directed acyclic graphs for the tests of the hierarchy: a little one, and random ones."""

from __future__ import annotations

from hypothesis import strategies as st

# Edges (node, parent): y has two parents, and y1 is under y.
LITTLE = [("A", "R"), ("B", "R"), ("x", "A"), ("y", "A"), ("y", "B"), ("z", "B"), ("y1", "y")]


@st.composite
def dags(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Some classes, in any order, of a DAG with the root n0."""
    size = draw(st.integers(1, 9))
    edges = []
    for node in range(1, size):
        parents = draw(st.sets(st.integers(0, node - 1), min_size=1, max_size=3))
        edges += [(f"n{node}", f"n{parent}") for parent in sorted(parents)]
    names = draw(st.permutations([f"n{node}" for node in range(size)]))
    return names[: draw(st.integers(1, size))], draw(st.permutations(edges))
