"""Names that no two nodes share, and classes that stand above others."""

from __future__ import annotations

import pytest

from imnetlib import catalog, wordnet
from imnetlib.wordnet import Hierarchy


@pytest.fixture(scope="module")
def full() -> Hierarchy:
    return wordnet.load()


def test_no_two_of_all_nodes_have_one_name(full: Hierarchy):
    names = wordnet.unique_names(full)
    assert len(names) == len(set(names)) == len(full)
    for wnid, name in zip(full.wnids, names, strict=True):
        assert name.startswith(wordnet.name(wnid))


@pytest.mark.parametrize(
    ("wnid", "name"),
    [
        # Alone, with its parent, with its gloss.
        ("n11620673", "fir"),
        ("n02012849", "crane (wading bird)"),
        ("n03126707", "crane (lifting device)"),
        ("n02898711", "bridge (structure)"),
        ("n06362953", "writing (the work of a writer)"),
    ],
)
def test_a_name_gets_what_sets_it_apart(full: Hierarchy, wnid: str, name: str):
    assert wordnet.unique_names(full)[full.nodes([wnid])[0]] == name


def test_few_classes_need_no_addition():
    tree = wordnet.load(["n02012849", "n11620673", "n11621281"])
    assert wordnet.class_names(tree) == ["crane", "fir, unspecified", "amabilis fir"]


def test_a_class_above_others_is_unspecified(full: Hierarchy):
    names = wordnet.class_names(full)
    assert len(set(names)) == len(names)
    unspecified = [name for name in names if name.endswith(", unspecified")]
    assert len(unspecified) == 4_588
    assert names[catalog.wnids_21k().index("n11620673")] == "fir, unspecified"


def test_nodes_that_are_no_nouns_keep_their_ids():
    tree = wordnet.build(["a", "b"], [("a", "root"), ("b", "root")])
    assert wordnet.unique_names(tree) == ["root", "a", "b"]
