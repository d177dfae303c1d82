"""Names for the nodes of a hierarchy that no two nodes share (chapter 9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from imnetlib.wordnet.hierarchy import Hierarchy
from imnetlib.wordnet.nouns import gloss, name


def unique_names(hierarchy: Hierarchy) -> list[str]:
    """A name for each node that no other node has: ``crane (wading bird)`` (chapter 9).

    The first name; where nodes share it the name of the most specific parent goes with it, where
    they share that too the gloss, to its first semicolon, and at last the wnid.
    A node is called by its wnid where that is no noun of WordNet 3.0. 0.1 s for the 21,841 classes,
    and as much to read the nouns once.
    """
    wnids = hierarchy.wnids
    first = [_word(wnid) for wnid in wnids]
    starts = hierarchy.parents.indptr.tolist()
    parents = hierarchy.parents.indices
    found = list(first)
    for node in _shared(found, range(len(wnids))):
        above = parents[starts[node] : starts[node + 1]]
        found[node] = f"{first[node]} ({first[above.max()]})" if len(above) else first[node]
    for node in _shared(found, range(len(wnids))):
        found[node] = f"{first[node]} ({_gloss(wnids[node])})"
    for node in _shared(found, range(len(wnids))):
        found[node] = f"{first[node]} ({wnids[node]})"
    return found


def class_names(hierarchy: Hierarchy) -> list[str]:
    """The unique name of each class, ``fir, unspecified`` where other classes are under it.

    A picture of the class fir is one of some fir of which no more was said: the node fir stands for
    its kinds too (chapter 9).
    """
    names = unique_names(hierarchy)
    inner = hierarchy.counts > 1
    return [
        f"{names[node]}, unspecified" if inner[node] else names[node]
        for node in hierarchy.classes.tolist()
    ]


def _word(wnid: str) -> str:
    try:
        return name(wnid)
    except KeyError:
        return wnid


def _gloss(wnid: str) -> str:
    try:
        return gloss(wnid).partition(";")[0]
    except KeyError:
        return wnid


def _shared(names: list[str], nodes: Iterable[int]) -> list[int]:
    """Those of ``nodes`` whose name is another's too."""
    times = Counter(names)
    return [node for node in nodes if times[names[node]] > 1]
