"""The tables in data/: complete, right by other sources, read by NLTK, carried by the wheel."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from nltk.corpus.reader.wordnet import WordNetCorpusReader

from imnetlib import catalog

NLTK_FILES = WordNetCorpusReader._FILES


@pytest.fixture(scope="module")
def build_data(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_data", checkout / "tools/build_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_class_counts():
    small = catalog.wnids_1k()
    large = catalog.wnids_21k()
    assert len(catalog.classes()) == 21_842
    assert len(small) == catalog.ILSVRC2012.classes == 1_000
    assert len(large) == catalog.IMAGENET21K.classes == 21_841
    assert len(set(small) & set(large)) == 999
    assert set(small) - set(large) == {"n04399382"}
    assert catalog.classes()["n04399382"].names == ("teddy", "teddy bear")


def test_labels_follow_the_sorted_ids():
    small = catalog.wnids_1k()
    assert list(small) == sorted(small)
    assert (small[0], small[388], small[999]) == ("n01440764", "n02510455", "n15075141")


def test_validation_labels_are_complete_and_in_file_order():
    wnids = catalog.validation_wnids()
    assert len(wnids) == catalog.ILSVRC2012.validation == 50_000
    assert set(Counter(wnids).values()) == {50}
    first = [catalog.classes()[wnid].names[0] for wnid in wnids[:4]]
    assert wnids[:4] == ("n01751748", "n09193705", "n02105855", "n04263257")
    assert first == ["sea snake", "alp", "Shetland sheepdog", "soup bowl"]


def test_tables_have_no_empty_and_no_extra_cell(checkout: Path):
    with (checkout / "data/classes.tsv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.reader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["wnid", "in_1k", "in_21k", "names", "gloss"]
    assert all(len(row) == 5 and all(row) for row in rows)
    assert all(row[1] in "01" and row[2] in "01" and "1" in row[1:3] for row in rows[1:])


def test_every_class_is_a_noun_of_wordnet_by_the_same_names(nouns: WordNetCorpusReader):
    for known in catalog.classes().values():
        synset = nouns.synset_from_pos_and_offset("n", int(known.wnid[1:]))
        assert tuple(name.replace("_", " ") for name in synset.lemma_names()) == known.names
        assert known.gloss.startswith(synset.definition().split(";")[0])


def test_the_edges_are_wordnets_and_lead_to_one_root(checkout: Path, nouns: WordNetCorpusReader):
    edges = [
        line.split("\t")
        for line in (checkout / "data/hypernyms.tsv").read_text("ascii").splitlines()
    ]
    assert edges.pop(0) == ["wnid", "hypernym"]
    expected = {
        (wnid, f"n{above.offset():08d}")
        for wnid in {*catalog.classes(), *(end for edge in edges for end in edge)}
        for synset in [nouns.synset_from_pos_and_offset("n", int(wnid[1:]))]
        for above in synset.hypernyms() + synset.instance_hypernyms()
    }
    # One of these edges is the teddy's.
    assert len(edges) == len(expected) == 24_049
    assert {(node, above) for node, above in edges} == expected
    assert {above for _, above in edges} - {node for node, _ in edges} == {"n00001740"}


def test_every_other_noun_has_wordnets_hypernyms_names_and_gloss(
    checkout: Path, nouns: WordNetCorpusReader
):
    text = (checkout / "data/nouns.tsv").read_text("ascii").splitlines()
    rows = [line.split("\t") for line in text]
    assert rows.pop(0) == ["wnid", "hypernyms", "names", "gloss"]
    wnids = [row[0] for row in rows]
    assert wnids == sorted(set(wnids) - set(catalog.classes()))
    assert len(wnids) + len(catalog.classes()) == 82_115
    for wnid, hypernyms, names, gloss in rows[::40]:
        synset = nouns.synset_from_pos_and_offset("n", int(wnid[1:]))
        above = {f"n{one.offset():08d}" for one in synset.hypernyms() + synset.instance_hypernyms()}
        assert set(hypernyms.split()) == above
        assert [name.replace("_", " ") for name in synset.lemma_names()] == names.split(", ")
        assert gloss.startswith(synset.definition().split(";")[0])


def test_wordnet_answers_about_nouns(nouns: WordNetCorpusReader):
    panda = nouns.synset_from_pos_and_offset("n", 2510455)
    assert panda.name() == "giant_panda.n.01"
    path = [synset.name() for synset in panda.hypernym_paths()[0]]
    assert path[0] == "entity.n.01"
    assert path[-4:] == ["placental.n.01", "carnivore.n.01", "procyonid.n.01", "giant_panda.n.01"]
    fir = nouns.synset("fir.n.02")
    spruce = nouns.synset("spruce.n.02")
    assert fir.offset() == 11620673
    assert fir.lexname() == "noun.plant"
    assert nouns.synset("person.n.01").lexname() == "noun.Tops"
    assert nouns.synset("teacher.n.01").lexname() == "noun.person"
    assert [s.name() for s in fir.lowest_common_hypernyms(spruce)] == ["conifer.n.01"]
    assert nouns.lemma("dog.n.01.dog").count() == 42
    assert nouns.lemma_from_key("dog%1:05:00::").synset().name() == "dog.n.01"
    assert nouns.morphy("aardwolves", "n") == "aardwolf"
    assert nouns.get_version() == "3.0"


def test_wordnet_zip_has_all_files_and_each_keeps_its_licence(checkout: Path):
    with zipfile.ZipFile(checkout / "data/nltk_data/corpora/wordnet.zip") as archive:
        texts = {
            name.removeprefix("wordnet/"): archive.read(name).decode()
            for name in archive.namelist()
        }
    texts.pop("")
    assert sorted(texts) == sorted(NLTK_FILES)
    assert len(NLTK_FILES) == 15
    for name in (n for n in NLTK_FILES if n.startswith(("data.", "index.")) and n != "index.sense"):
        assert (
            "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved."
            in texts[name]
        )
    # The number of nouns is WordNet 3.0's own count.
    assert sum(line[0] != " " for line in texts["data.noun"].splitlines()) == 82_115
    assert len(texts["lexnames"].splitlines()) == 45
    assert texts["lexnames"].splitlines()[18] == "18\tnoun.person\t1"
    for name, count in (("index.sense", 146_312), ("cntlist.rev", 17_081)):
        lines = texts[name].splitlines()
        assert len(lines) == count
        assert lines == sorted(lines), "NLTK looks them up by bisection"


def test_readme_names_every_file_and_quotes_the_licence_whole(checkout: Path):
    readme = (checkout / "data/README.md").read_text("utf-8")
    tracked = [p for p in (checkout / "data").iterdir() if p.is_file() and p.name != "README.md"]
    assert all(f"`{path.name}`" in readme for path in tracked)
    assert all(f"`{name}/`" in readme for name in ("network", "benchmarks"))
    with zipfile.ZipFile(checkout / "data/nltk_data/corpora/wordnet.zip") as archive:
        words = archive.read("wordnet/index.adj").decode().split()
    notice = " ".join(word for word in words if not word.isdigit())
    assert " ".join(w for w in readme.split("```")[1].split() if not w.isdigit()) == notice


def test_rebuilding_the_zip_gives_the_same_members(
    checkout: Path, tmp_path: Path, build_data: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    """Order, dates, modes and contents; the packed bytes differ from one zlib to another."""
    with zipfile.ZipFile(checkout / "data/nltk_data/corpora/wordnet.zip") as archive:
        expected = [(i.filename, i.date_time, i.external_attr, i.CRC) for i in archive.infolist()]
        files = {name: archive.read(f"wordnet/{name}").decode() for name in NLTK_FILES}
    monkeypatch.setattr(build_data, "DATA", tmp_path)
    build_data.write_zip("again.zip", files)
    with zipfile.ZipFile(tmp_path / "again.zip") as archive:
        assert [
            (i.filename, i.date_time, i.external_attr, i.CRC) for i in archive.infolist()
        ] == expected


def test_tables_are_rebuilt_byte_for_byte_from_wordnet(checkout: Path, build_data: ModuleType):
    with zipfile.ZipFile(checkout / "data/nltk_data/corpora/wordnet.zip") as archive:
        synsets = build_data.noun_synsets(archive.read("wordnet/data.noun").decode())
    table = build_data.class_table(list(catalog.wnids_1k()), list(catalog.wnids_21k()), synsets)
    assert table.encode() == (checkout / "data/classes.tsv").read_bytes()
    nodes = build_data.with_ancestors(set(catalog.classes()), synsets)
    edges = build_data.edge_table(nodes, synsets)
    assert edges.encode() == (checkout / "data/hypernyms.tsv").read_bytes()
    others = build_data.noun_table(synsets.keys() - set(catalog.classes()), synsets)
    assert others.encode() == (checkout / "data/nouns.tsv").read_bytes()
    labels = build_data.validation_labels(
        list(catalog.validation_wnids()), list(catalog.wnids_1k())
    )
    assert labels.encode() == (checkout / "data/ilsvrc2012_validation.txt").read_bytes()


def test_build_data_says_what_is_missing(checkout: Path, tmp_path: Path):
    before = {p: p.stat().st_mtime_ns for p in (checkout / "data").rglob("*") if p.is_file()}
    without_apt = build(checkout, tmp_path)
    for program in ("apt-get", "dpkg"):
        (tmp_path / program).write_text("#!/bin/sh\necho no such package >&2\nexit 100\n")
        (tmp_path / program).chmod(0o755)
    without_lists = build(checkout, tmp_path)
    assert without_apt == (
        "build_data needs apt-get, which is not on this machine: "
        "run this on Debian or Ubuntu (a container debian:bookworm will do)\n"
    )
    assert without_lists.startswith("failed: ")
    assert (
        "wordnet-base=1:3.0-37; `apt-get update` may be missing\nno such package\n" in without_lists
    )
    assert before == {p: p.stat().st_mtime_ns for p in before}


def build(checkout: Path, path: Path) -> str:
    """What tools/build_data.py says when it fails, with only the programs in ``path`` at hand."""
    command = [sys.executable, str(checkout / "tools/build_data.py")]
    done = subprocess.run(command, env={"PATH": str(path)}, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def test_installed_wheel_carries_the_tables(checkout: Path, tmp_path: Path):
    """Built, unpacked into an empty folder, as pip installs a pure wheel, and used from elsewhere.

    ``-S`` leaves out site-packages, and with it the editable install of this checkout.
    """
    quiet = {"check": True, "capture_output": True, "text": True}
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=checkout, **quiet)
    (wheel,) = tmp_path.glob("imnetlib-*.whl")
    assert wheel.stat().st_size < 5_000_000
    site = tmp_path / "site"
    elsewhere = tmp_path / "elsewhere"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    elsewhere.mkdir()
    program = (
        "from imnetlib import catalog as c; print(c.__file__, len(c.classes()), len(c.wnids_1k()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=elsewhere, env=environment, **quiet
    )
    file, *counts = done.stdout.split()
    assert Path(file).is_relative_to(site)
    assert counts == ["21842", "1000"]
    # The others belong to the course.
    courses = {"claims.tsv", "training_rates.tsv"}
    tables = {path.name for path in (checkout / "data").glob("*.t*")} - courses
    assert {path.name for path in (site / "imnetlib/data").rglob("*")} == tables | {"README.md"}
    assert "WordNet 3.0 Copyright 2006" in (site / "imnetlib/data/README.md").read_text("utf-8")
