"""WordNet's words for a noun: its names and its gloss (chapter 9)."""

from __future__ import annotations

import functools

from imnetlib import catalog


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
