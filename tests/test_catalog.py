"""What the catalog says about ImageNet, against figures published elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imnetlib import catalog


def test_archives_by_name():
    train = catalog.ILSVRC2012.archive("ILSVRC2012_img_train.tar")
    assert train.size == 147_897_477_120
    assert train.md5 == "1d675b47d978889d74fa0da5fadfb00e"
    with pytest.raises(
        ValueError,
        match=r"ILSVRC2012 has no archive 'train\.tar'; it has ILSVRC2012_img_train\.tar, ",
    ):
        catalog.ILSVRC2012.archive("train.tar")


def test_md5_sums_are_whole():
    for archive in catalog.ILSVRC2012.archives:
        assert archive.md5 is not None
        assert re.fullmatch("[0-9a-f]{32}", archive.md5)


def test_giant_panda_is_n02510455():
    panda = catalog.classes()["n02510455"]
    assert panda.names[0] == "giant panda"
    assert "black-and-white" in panda.gloss
    assert catalog.named("Giant Panda") == (panda,)


def test_names_repeat_so_labels_show_the_id():
    cranes = catalog.named("crane")
    assert [c.wnid for c in cranes if c.in_1k] == ["n02012849", "n03126707"]
    assert len({catalog.describe(c.wnid) for c in cranes}) == len(cranes)
    assert [c.wnid for c in catalog.named("maillot") if c.in_1k] == ["n03710637", "n03710721"]
    assert catalog.describe("n09468604") == "valley (n09468604)"


def test_unknown_names_and_ids():
    assert catalog.named("no such thing") == ()
    with pytest.raises(
        KeyError, match="'valley' is not one of ImageNet's classes; ids look like n09468604"
    ):
        catalog.describe("valley")


def test_classes_of_another_root_are_named():
    here = ("n02510455", "n09468604", "n11620673")
    where = Path("/data/net/synset.txt")
    catalog.verify_classes(list(here), here, where)
    with pytest.raises(
        ValueError, match=r"^/data/net/synset\.txt has 2 classes, not 3: make it again"
    ):
        catalog.verify_classes(here[:2], here, where)
    with pytest.raises(
        ValueError, match=r"synset\.txt: class 1 is n11620673 there, n09468604 here: make it"
    ):
        catalog.verify_classes((here[0], here[2], here[1]), here, where)


WNID_LINES = [
    "n01440764 tench, Tinca tinca\nn02510455 giant panda\n",
    "n01440764\ttench\nn02510455\tgiant panda",
    "\ufeffn01440764\r\nn02510455\r\n",
    " n01440764 \nn02510455\n\n  \n",
    "n01440764\rn02510455\r",
]
NAME_LINES = [
    "golden retriever\nn02099601-golden_retriever\n0\nÄhre\n",
    "\ufeff golden retriever\t\r\nn02099601-golden_retriever\r\n0\r\nÄhre\r\n\r\n",
]


@pytest.mark.parametrize("text", WNID_LINES)
def test_lines_that_begin_with_wnids_name_those(tmp_path: Path, text: str):
    (tmp_path / "synset.txt").write_bytes(text.encode())
    assert catalog.read_classes(tmp_path / "synset.txt") == ("n01440764", "n02510455")


@pytest.mark.parametrize("text", NAME_LINES)
def test_of_other_lines_the_whole_is_the_class(tmp_path: Path, text: str):
    (tmp_path / "names.txt").write_bytes(text.encode())
    classes = ("golden retriever", "n02099601-golden_retriever", "0", "Ähre")
    assert catalog.read_classes(str(tmp_path / "names.txt")) == classes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "synset.txt names no class: it is empty"),
        ("\ufeff\r\n \n", "synset.txt names no class: it is empty"),
        ("n01440764 a\nmaillot\n", "line 2: 'maillot' begins with no wnid, like n02510455"),
        ("crane\ndog\nn01440764 a\n", "line 3: 'n01440764 a' begins with a wnid, and line 1 with"),
        ("n01440764 tench\n\nn02510455\n", "line 2 is empty: give a synset.txt, Kaggle's LOC_syn"),
        ("\ncrane\n", "line 1 is empty: give"),
        ("n01440764\nn02012849\nn01440764\n", "line 3: n01440764 stands in line 1 too"),
        ("crane\ndog\n crane\n", "line 3: crane stands in line 1 too"),
        (
            "crane\ndog".encode("utf-16").decode("latin1"),
            "synset.txt is in UTF-16: save it as text in",
        ),
        ('{"0": ["n01440764", "tench"]}', "synset.txt is JSON: give a synset.txt, Kaggle's"),
        ('["n01440764", "n01443537"]', "synset.txt is JSON: give"),
        ("crane\0\n", "synset.txt is no text: give"),
    ],
)
def test_classes_that_are_none_are_refused_by_line(tmp_path: Path, text: str, message: str):
    data = text.encode("latin1") if text.startswith("\xff\xfe") else text.encode()
    (tmp_path / "synset.txt").write_bytes(data)
    with pytest.raises(ValueError, match=re.escape(message)):
        catalog.read_classes(tmp_path / "synset.txt")


@given(st.lists(st.text(max_size=6), min_size=1, max_size=4))
@example(["n01440764", "n02510455"])
@example(["golden retriever", "0", "Ähre"])
def test_what_is_written_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
):
    path = tmp_path_factory.getbasetemp() / "names.txt"
    try:
        path.write_bytes(catalog.encode_classes(names, path))
    except ValueError:
        plain = all(re.fullmatch(r"\w+", name) for name in names)
        wnids = [bool(catalog.WNID.fullmatch(name)) for name in names]
        assert not plain or len(set(names)) < len(names) or len(set(wnids)) > 1
    else:
        assert catalog.read_classes(path) == tuple(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b "], "the class 'b ' cannot stand in x.txt: rename it"),
        (["a\nb"], r"the class 'a\\nb' cannot stand in x.txt: rename it"),
        (["a\rb"], r"the class 'a\\rb' cannot stand in x.txt: rename it"),
        (["n01440764 tench"], "the class 'n01440764 tench' cannot stand in x.txt: rename it"),
        (["n01440764", "sky"], "these classes cannot be kept: x.txt, line 2: 'sky' begins with no"),
        (["a", "a"], "these classes cannot be kept: x.txt, line 2: a stands in line 1 too: rename"),
        (["\udcff"], "these classes cannot be kept: x.txt is no text"),
    ],
)
def test_names_that_would_not_be_read_again_are_not_written(names: list[str], message: str):
    with pytest.raises(ValueError, match=f"^{message}"):
        catalog.encode_classes(names, "x.txt")


def test_a_label_of_one_list_becomes_that_of_another():
    found = catalog.positions(["n3", "n1", "n9", "n3"], among=np.array(["n1", "n2", "n3"]))
    assert found == (2, 0, -1, 2)
    # The only class that ILSVRC2012 has and the full set has not.
    columns = catalog.positions(catalog.wnids_1k(), among=catalog.wnids_21k())
    assert [w for w, c in zip(catalog.wnids_1k(), columns, strict=True) if c < 0] == ["n04399382"]
    assert catalog.wnids_21k()[columns[7]] == catalog.wnids_1k()[7]


def test_odd_files_belong_to_the_set():
    names = catalog.CMYK | catalog.PNG_CALLED_JPEG
    training = [name for name in names if not name.startswith("ILSVRC2012_val_")]
    assert len(catalog.CMYK) == 23
    assert len(training) == 23
    assert all(re.fullmatch(r"n\d{8}_\d+\.JPEG", name) for name in training)
    assert {name.split("_")[0] for name in training} <= set(catalog.wnids_1k())
    assert names - set(training) == {"ILSVRC2012_val_00019877.JPEG"}


def test_importing_it_needs_the_standard_library_only():
    program = "import sys; from imnetlib import catalog; print({'numpy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    "form", ['"{} tench, Tinca"', "{},tench", "{};tench;Tinca", '"{}","tench"']
)
def test_a_table_of_classes_that_a_spreadsheet_saved(tmp_path: Path, form: str):
    wnids = ("n01440764", "n01443537")
    (tmp_path / "LOC_synset_mapping.txt").write_text("\r\n".join(map(form.format, wnids)))
    assert catalog.read_classes(tmp_path / "LOC_synset_mapping.txt") == wnids


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_classes_in_a_wide_encoding_are_named(tmp_path: Path, encoding: str):
    (tmp_path / "synset.txt").write_text("crane\ndog\n", encoding=encoding)
    with pytest.raises(ValueError, match=f"is in {encoding[:6].upper()}: save it as text in UTF-8"):
        catalog.read_classes(tmp_path / "synset.txt")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: catalog.positions("n01", ["n01"]),
        lambda: catalog.positions(["n01"], "n01"),
        lambda: catalog.encode_classes("abc", "synset.txt"),
        lambda: catalog.verify_classes("ab", ["a", "b"], "synset.txt"),
        lambda: catalog.verify_classes(["a", "b"], "ab", "synset.txt"),
    ],
)
def test_one_name_for_several_is_refused(ask: Callable[[], object]):
    with pytest.raises(TypeError, match="are several, in a list or a tuple, not '"):
        ask()
