"""WordNet's words for nodes: names, glosses, and names that no two nodes share (chapter 9)."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from imnetlib import catalog

if TYPE_CHECKING:
    from imnetlib.wordnet.hierarchy import Hierarchy


@functools.cache
def _other_nouns() -> dict[str, str]:
    """The row of each noun that is none of ImageNet's classes, by its wnid. Read once, 0.1 s."""
    lines = catalog.data_file("nouns.tsv").read_text(encoding="ascii").splitlines()[1:]
    return {wnid: row for wnid, _, row in (line.partition("\t") for line in lines)}


def other_noun(wnid: str) -> list[str]:
    """Hypernyms, names and gloss of a noun that is none of ImageNet's classes."""
    if wnid not in _other_nouns():
        raise KeyError(
            f"{wnid!r} is no noun of WordNet 3.0, whose ids look like n09468604: is it an offset "
            "of WordNet 3.1?"
        )
    return _other_nouns()[wnid].split("\t")


def name(wnid: str) -> str:
    """The first name of a noun of WordNet 3.0: ``conifer``; KeyError if none (chapter 9)."""
    if wnid in catalog.classes():
        return catalog.classes()[wnid].names[0]
    return other_noun(wnid)[1].split(", ")[0]


def gloss(wnid: str) -> str:
    """What WordNet 3.0 says that a noun is; KeyError if it is none (chapter 9)."""
    if wnid in catalog.classes():
        return catalog.classes()[wnid].gloss
    return other_noun(wnid)[2]


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
