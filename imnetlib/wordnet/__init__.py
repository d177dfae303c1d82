"""WordNet's hierarchy above ImageNet's classes, and readings of predictions with it (chapter 9)."""

from imnetlib.wordnet.hierarchy import RELATIONS, Hierarchy, build, contract, gloss, load, name
from imnetlib.wordnet.measures import coverage, relation_shares, under_parent
from imnetlib.wordnet.reading import (
    accuracy_and_information,
    climb,
    diverse,
    expected_information,
    prune,
)

__all__ = [
    "RELATIONS", "Hierarchy", "accuracy_and_information", "build", "climb", "contract",
    "coverage", "diverse", "expected_information", "gloss", "load", "name", "prune",
    "relation_shares", "under_parent",
]  # fmt: skip
