"""The hierarchy's arrays against NLTK and against sets followed by hand on random DAGs."""

from __future__ import annotations

import math
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from dags import LITTLE, dags
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from imnetlib import catalog, wordnet
from imnetlib.wordnet import RELATIONS, Hierarchy

# The note's conifers.
FIVE = ("n11620673", "n11624531", "n11621281", "n11628456", "n11627908")


NO_NOUN = (
    "is no noun of WordNet 3.0, whose ids look like n09468604: is it an offset of WordNet 3.1?"
)


@pytest.fixture(scope="module")
def full() -> Hierarchy:
    return wordnet.load()


def ancestors(edges: list[tuple[str, str]], node: str) -> set[str]:
    """The node and all above it, one way after the other."""
    return {node}.union(*(ancestors(edges, parent) for child, parent in edges if child == node))


def under(edges: list[tuple[str, str]], classes: list[str], node: str) -> set[str]:
    return {wnid for wnid in classes if node in ancestors(edges, wnid)}


def weights(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(count))


@given(dags())
def test_arrays_are_what_following_each_edge_gives(drawn):
    classes, edges = drawn
    tree = wordnet.build(classes, edges)
    kept = set().union(*(ancestors(edges, wnid) for wnid in classes))
    assert set(tree.wnids) == kept
    assert [tree.wnids[node] for node in tree.classes] == classes
    for node, wnid in enumerate(tree.wnids):
        above = {tree.wnids[other] for other in tree.ancestors[[node]].indices}
        assert above == ancestors(edges, wnid)
        assert max(tree.ancestors[[node]].indices) == node, "ancestors come first"
        parents = {tree.wnids[other] for other in tree.parents[[node]].indices}
        assert parents == {parent for child, parent in edges if child == wnid}
        inside = {classes[column] for column in tree.members[[node]].indices}
        assert inside == under(edges, classes, wnid)
        assert tree.counts[node] == len(inside)
        assert tree.information[node] == pytest.approx(math.log2(len(classes) / len(inside)))


@given(dags(), st.integers(0, 99))
def test_mass_is_the_sum_over_distinct_classes(drawn, seed: int):
    classes, edges = drawn
    tree = wordnet.build(classes, edges)
    p = np.stack([weights(len(classes), seed), weights(len(classes), seed + 1)])
    mass = tree.mass(p)
    assert mass.shape == (2, len(tree))
    for node, wnid in enumerate(tree.wnids):
        columns = [classes.index(each) for each in under(edges, classes, wnid)]
        np.testing.assert_allclose(
            mass[:, node], p[:, columns].sum(axis=1, dtype=float), rtol=1e-12
        )
    assert (mass <= mass[:, :1] + 1e-12).all()
    np.testing.assert_allclose(tree.mass(p[0]), mass[0], rtol=1e-12)
    np.testing.assert_array_equal(tree.mass(p[:, None]), mass[:, None])


@given(dags(), st.randoms(use_true_random=False))
def test_the_order_of_the_classes_changes_the_columns_and_nothing_else(drawn, random):
    classes, edges = drawn
    order = random.sample(range(len(classes)), len(classes))
    one = wordnet.build(classes, edges)
    other = wordnet.build([classes[i] for i in order], edges)
    p = weights(len(classes))
    assert one.wnids == other.wnids
    np.testing.assert_allclose(other.mass(p[order]), one.mass(p), rtol=1e-12)
    assert one.classes[order].tolist() == other.classes.tolist()


@given(dags(), st.data())
def test_lowest_common_ancestor_is_the_most_informative_then_the_lowest(drawn, data):
    classes, edges = drawn
    tree = wordnet.build(classes, edges)
    some = data.draw(st.lists(st.sampled_from(tree.wnids), min_size=1, max_size=4))
    shared = set.intersection(*(ancestors(edges, wnid) for wnid in some))
    best = max(shared, key=lambda w: (-len(under(edges, classes, w)), len(ancestors(edges, w)), w))
    assert tree.wnids[tree.lowest_common_ancestor(tree.nodes(some))] == best
    assert tree.wnids[tree.lowest_common_ancestor([tree.nodes(some)] * 2)] == best


@given(dags())
def test_relations_and_above_of_all_pairs(drawn):
    classes, edges = drawn
    tree = wordnet.build(classes, edges)
    one, other = (grid.ravel() for grid in np.meshgrid(range(len(tree)), range(len(tree))))
    found = [RELATIONS[kind] for kind in tree.relations(one, other)]
    above = tree.above(one, other)
    for a, b, kind, is_above in zip(one, other, found, above, strict=True):
        first = tree.wnids[a]
        second = tree.wnids[b]
        assert is_above == (first in ancestors(edges, second))
        parents = [{parent for child, parent in edges if child == wnid} for wnid in (first, second)]
        if first == second:
            expected = "exact"
        elif first in ancestors(edges, second):
            expected = "ancestor"
        elif second in ancestors(edges, first):
            expected = "descendant"
        else:
            expected = "sibling" if parents[0] & parents[1] else "other"
        assert kind == expected


@given(dags())
def test_contracting_keeps_each_set_of_classes_once_and_no_edge_too_many(drawn):
    classes, edges = drawn
    tree = wordnet.build(classes, edges)
    small = wordnet.contract(tree)
    sets = [frozenset(small.members[[node]].indices.tolist()) for node in range(len(small))]
    assert len(set(sets)) == len(sets)
    assert set(sets) == {
        frozenset(tree.members[[node]].indices.tolist()) for node in range(len(tree))
    }
    assert [small.wnids[node] for node in small.classes] == classes
    for child, parent in zip(*small.parents.nonzero(), strict=True):
        between = set(small.ancestors[[child]].indices) - {child, parent}
        assert all(not small.above(parent, node) for node in between), (
            "a longer way makes an edge needless"
        )
    again = wordnet.contract(small)
    assert again.wnids == small.wnids
    assert (again.parents != small.parents).nnz == 0


def test_the_small_case_by_hand():
    tree = wordnet.build(["x", "y", "z", "y1"], LITTLE)
    mass = dict(zip(tree.wnids, tree.mass([0.2, 0.3, 0.4, 0.1]), strict=True))
    expected = {"R": 1.0, "A": 0.6, "B": 0.8, "y": 0.4, "x": 0.2, "z": 0.4, "y1": 0.1}
    assert mass == pytest.approx(expected)
    assert tree.wnids[0] == "R"
    assert tree.wnids[tree.lowest_common_ancestor(tree.nodes(["x", "y1"]))] == "A"


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_masses_of_float32_keep_to_their_bound(full: Hierarchy, dtype):
    random = np.random.default_rng(1)
    p = random.dirichlet(np.full(len(full.classes), 0.05), 4).astype(dtype)
    mass = full.mass(p)
    assert mass.dtype == np.float32
    exact = full.mass(p.astype(np.float64))
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact[:, 0], p.sum(axis=1, dtype=float), rtol=1e-12)
    assert (np.abs(mass - exact) <= exact * full.counts / 2**24).all()
    np.testing.assert_allclose(mass, exact, rtol=1e-4)


def test_counts_of_the_full_hierarchy(full: Hierarchy):
    assert full.wnids[0] == "n00001740"
    assert (len(full), full.parents.nnz, full.members.nnz) == (23_546, 24_048, 253_390)
    several = np.diff(full.parents.indptr) > 1
    assert several.sum() == 498
    assert several[full.classes].sum() == 453
    assert (full.counts[full.classes] > 1).sum() == 4_588
    assert (np.diff(full.counts) <= 0).all()


def test_ancestors_are_nltks(full: Hierarchy, nouns: WordNetCorpusReader):
    for node in full.classes[::97].tolist():
        synset = nouns.synset_from_pos_and_offset("n", int(full.wnids[node][1:]))
        above = synset.closure(lambda one: one.hypernyms() + one.instance_hypernyms())
        expected = {f"n{one.offset():08d}" for one in above} | {full.wnids[node]}
        assert {full.wnids[other] for other in full.ancestors[[node]].indices} == expected


def test_the_notes_five_conifers(full: Hierarchy, nouns: WordNetCorpusReader):
    five = full.nodes(FIVE)
    conifer = full.lowest_common_ancestor(five)
    assert full.wnids[conifer] == "n13108841"
    assert full.counts[conifer] == 158
    assert full.information[conifer] == pytest.approx(7.11, abs=0.005)
    assert full.above(five[0], five).tolist() == [True, False, True, False, False]
    fir, spruce = (nouns.synset_from_pos_and_offset("n", int(wnid[1:])) for wnid in FIVE[:2])
    assert [one.offset() for one in fir.lowest_common_hypernyms(spruce)] == [13108841]


def test_a_models_own_classes_in_its_own_order():
    classes = ("n11628456", "n04399382", "n13108841", "n02510455")
    tree = wordnet.load(classes)
    assert [tree.wnids[node] for node in tree.classes] == list(classes)
    mass = tree.mass([0.1, 0.2, 0.3, 0.4])
    assert mass[tree.nodes(["n13108841"])[0]] == pytest.approx(0.4)
    assert mass[0] == pytest.approx(1)
    assert len(wordnet.load(catalog.wnids_1k()).classes) == 1000


def test_any_noun_may_be_a_class(nouns: WordNetCorpusReader):
    """Google's two beyond the 21,841, the root, and others far from any class of ImageNet."""
    own = ["n03931044", "n09859684", *FIVE]
    rows = catalog.data_file("nouns.tsv").read_text("ascii").splitlines()
    own += [row.split("\t")[0] for row in rows[1::900]]
    tree = wordnet.load(own)
    expected = set()
    for wnid in own:
        synset = nouns.synset_from_pos_and_offset("n", int(wnid[1:]))
        above = synset.closure(lambda one: one.hypernyms() + one.instance_hypernyms())
        ancestors = {wnid} | {f"n{one.offset():08d}" for one in above}
        node = tree.nodes([wnid])[0]
        assert {tree.wnids[other] for other in tree.ancestors[[node]].indices} == ancestors
        assert wordnet.name(wnid) == synset.lemma_names()[0].replace("_", " ")
        assert wordnet.gloss(wnid).startswith(synset.definition().split(";")[0])
        expected |= ancestors
    assert set(tree.wnids) == expected
    assert [tree.wnids[node] for node in tree.classes] == own


def test_googles_two_more_classes_add_no_other_node(full: Hierarchy):
    google = wordnet.load([*catalog.wnids_21k(), "n03931044", "n09859684"])
    assert set(google.wnids) - set(full.wnids) == {"n09859684"}
    assert wordnet.name("n03931044") == "picture"
    assert wordnet.name("n09859684") == "bleacher"


def test_a_single_class_contracts_to_itself():
    assert wordnet.contract(wordnet.load(FIVE[:1])).wnids == FIVE[:1]


def test_names_of_classes_and_of_the_nodes_above():
    assert wordnet.name("n13108841") == "conifer"
    assert wordnet.name("n00001740") == "entity"
    assert wordnet.gloss("n13108841") == "any gymnospermous tree or shrub bearing cones"
    assert wordnet.gloss("n00001930") == "an entity that has physical existence"
    for words in (wordnet.name, wordnet.gloss):
        with pytest.raises(KeyError, match=f"'n99999999' {NO_NOUN}"):
            words("n99999999")


def test_errors_name_what_is_wrong(full: Hierarchy):
    # The dog of WordNet 3.1, for one.
    for stranger in ("n99999999", "n02086723", "dog"):
        with pytest.raises(KeyError, match=f"'{stranger}' {NO_NOUN}"):
            wordnet.load([*FIVE, stranger])
    with pytest.raises(
        KeyError, match="'n04399382' is not a class of this hierarchy, nor above one"
    ):
        full.nodes(["n11620673", "n04399382"])
    with pytest.raises(
        ValueError, match="of 6 classes 5 are distinct: give one at least, each once"
    ):
        wordnet.load([*FIVE, FIVE[0]])
    with pytest.raises(TypeError, match="classes are several, in a list or a tuple, not 'n116"):
        wordnet.load("n11620673")
    with pytest.raises(ValueError, match="of 0 classes"):
        wordnet.load([])
    with pytest.raises(ValueError, match="more than one root"):
        wordnet.build(["x", "z"], [("x", "A"), ("z", "B")])
    for circle in ([("x", "A"), ("A", "B"), ("B", "A")], [("x", "x")]):
        with pytest.raises(ValueError, match="circle"):
            wordnet.build(["x"], circle)
    with pytest.raises(ValueError, match=r"give 21,841 classes an image, not \(2, 1000\)"):
        full.mass(np.zeros((2, 1000)))
    with pytest.raises(ValueError, match="at least one"):
        full.lowest_common_ancestor([])


@settings(max_examples=20)
@given(dags())
def test_edges_elsewhere_change_nothing(drawn):
    classes, edges = drawn
    alone = wordnet.build(classes, edges)
    beside = wordnet.build(classes, [*edges, ("u", "v"), ("w", "n0")])
    assert alone.wnids == beside.wnids
    assert (alone.ancestors != beside.ancestors).nnz == 0


def test_it_imports_neither_nltk_nor_any_engine():
    program = (
        "import sys; from imnetlib import wordnet; wordnet.load();"
        "print(sorted({'nltk', 'mxnet', 'torch', 'matplotlib', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_classes_come_in_an_order():
    wnids = ["n02510455", "n01440764"]
    from_iterator = wordnet.load(iter(wnids))
    assert [from_iterator.wnids[node] for node in from_iterator.classes] == wnids
    for call in (wordnet.load, partial(wordnet.build, edges=[("b", "a")])):
        with pytest.raises(TypeError, match="classes have an order: give a list or a tuple"):
            call(set(wnids))
        with pytest.raises(TypeError, match="classes are several"):
            call("ab")
