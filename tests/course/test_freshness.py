"""What the outputs of a chapter come from, found without running anything."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest

from imnetlib.course import freshness, runner

FILES = {
    "imnetlib/__init__.py": "",
    "imnetlib/room/__init__.py": """
        from imnetlib.room.far import distance
        from imnetlib.room.near import touch
        from imnetlib.room.idle import rest
    """,
    "imnetlib/room/far.py": """
        from imnetlib.room.deep import depth

        def distance(x: int) -> str:
            '''How far.'''
            return f"{x + depth():.2f}"  # in metres
    """,
    "imnetlib/room/near.py": "def touch():\n    from imnetlib import lazy\n    lazy.late()",
    "imnetlib/room/deep.py": "def depth(): return open('table.tsv').read()",
    "imnetlib/room/idle.py": "def rest(): return open('other.tsv').read()",
    "imnetlib/lazy.py": "def late(): ...",
    "imnetlib/course/__init__.py": "",
    "imnetlib/course/plots.py": "from imnetlib import room\n\ndef show(): room.rest()",
    "imnetlib/engines/__init__.py": "",
    "imnetlib/engines/find.py": """
        import importlib

        def engine(name):
            return importlib.import_module(f"imnetlib.engines.{name}.train")
    """,
    "imnetlib/engines/one/train.py": "LAYERS = 1",
    "imnetlib/engines/one/other.py": "LAYERS = 2",
    "imnetlib/engines/two/train.py": "LAYERS = 3",
    "data/table.tsv": "a\tb\n",
    "data/other.tsv": "c\td\n",
    "requirements.lock": "numpy==1.26.4\n",
}
FAR = ("room/far.py", "room/deep.py")
ENGINES = ("engines/find.py", "engines/one/train.py", "engines/two/train.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A little library."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        indent = min((len(one) - len(one.lstrip()) for one in lines if one.strip()), default=0)
        (tmp_path / name).write_text("\n".join(one[indent:] for one in lines) + "\n")
    return tmp_path


def chapter(*sources: str, checkout: Path | None = None) -> nbformat.NotebookNode:
    """A chapter of these cells, stored where a checkout is given."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    if checkout:
        notebook.metadata.imnetlib = {
            "made_with": freshness.made_with(notebook, checkout),
            "source_sha256": freshness.source_hash(notebook),
        }
    return notebook


@pytest.mark.parametrize(
    ("source", "modules", "tables"),
    [
        ("import numpy as np", (), ()),
        ("from imnetlib import room", (), ()),
        ("from imnetlib import room\nroom.distance(1)", FAR, ("table.tsv",)),
        ("from imnetlib.room import distance as far\nfar(1)", FAR, ("table.tsv",)),
        ("import imnetlib.room\nimnetlib.room.distance(1)", FAR, ("table.tsv",)),
        ("import imnetlib.room as r\nr.distance(1)", FAR, ("table.tsv",)),
        ("from imnetlib import room\nroom.touch()", ("room/near.py", "lazy.py"), ()),
        ("def f():\n    from imnetlib.room import touch\n    touch()",
         ("room/near.py", "lazy.py"), ()),
        ("from imnetlib.course import plots\nplots.show()",
         ("course/plots.py", "room/idle.py"), ("other.tsv",)),
        ("from imnetlib import room\nprint(room)",
         (*FAR, "room/__init__.py", "room/near.py", "lazy.py", "room/idle.py"),
         ("table.tsv", "other.tsv")),
        ("from imnetlib.engines.find import engine\nengine('one')", ENGINES, ()),
    ],
)  # fmt: skip
def test_a_module_counts_where_a_name_that_it_defines_is_used(
    checkout: Path, source: str, modules: Sequence[str], tables: Sequence[str]
):
    expected = {f"imnetlib/{name}" for name in modules} | {f"data/{name}" for name in tables}
    found = freshness.made_with(chapter(source), checkout)
    assert found.keys() == expected | {"requirements.lock"}
    assert list(found) == sorted(found)


USES = "from imnetlib import room\nroom.distance(1)"


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("imnetlib/room/far.py", "in metres", "in meters", []),
        ("imnetlib/room/far.py", "How far.", "How far away.", []),
        ("imnetlib/room/far.py", "    '''How far.'''\n", "", []),
        ("imnetlib/room/far.py", "(x: int)", "(\n    x: int\n)", []),
        ("imnetlib/room/far.py", "x + depth()", "x - depth()", ["imnetlib/room/far.py"]),
        ("imnetlib/room/far.py", ":.2f", ":.3f", ["imnetlib/room/far.py"]),
        ("imnetlib/room/far.py", "x: int", "x: int = 2", ["imnetlib/room/far.py"]),
        ("imnetlib/room/far.py", ":.2f}", ":.2f} m", ["imnetlib/room/far.py"]),
        ("imnetlib/room/deep.py", ".read()", "", ["imnetlib/room/deep.py"]),
        ("imnetlib/room/deep.py", "table", "other",
         ["data/other.tsv", "data/table.tsv", "imnetlib/room/deep.py"]),
        ("imnetlib/room/idle.py", "other", "table", []),
        ("imnetlib/room/__init__.py", "far import", "near import",
         ["data/table.tsv", *(f"imnetlib/{name}" for name in sorted((*FAR, "room/near.py"))),
          "imnetlib/lazy.py"]),
        ("data/table.tsv", "a", "A", ["data/table.tsv"]),
        ("data/other.tsv", "c", "C", []),
        ("requirements.lock", "1.26.4", "2.1.0", ["requirements.lock"]),
    ],
)  # fmt: skip
def test_what_has_changed_is_named_and_words_are_no_change(
    checkout: Path, name: str, old: str, new: str, changed: list[str]
):
    stored = chapter(USES, checkout=checkout)
    assert freshness.changed(stored, checkout) == []
    text = (checkout / name).read_text()
    assert old in text
    (checkout / name).write_text(text.replace(old, new))
    assert freshness.changed(stored, checkout) == sorted(changed)
    (checkout / name).write_text(text)
    assert freshness.changed(stored, checkout) == []


def test_an_edited_cell_is_named_first_and_an_unstored_chapter_is_all_new(checkout: Path):
    stored = chapter(USES, checkout=checkout)
    stored.cells[0].source = "from imnetlib import room\nroom.touch()"
    assert freshness.changed(stored, checkout) == [
        "its cells",
        "data/table.tsv",
        *("imnetlib/lazy.py", "imnetlib/room/deep.py", "imnetlib/room/far.py"),
        "imnetlib/room/near.py",
    ]
    assert freshness.changed(chapter("x = 1"), checkout) == ["its cells", "requirements.lock"]


def test_a_digest_is_the_same_on_every_python(checkout: Path):
    module = checkout / "imnetlib/room/deep.py"
    module.write_text("""\
def f(a, /, b: int = 1, *c, d=-2.5, **e) -> None:
    match a:
        case {"k": [1, *_]} if b:
            return f"{a!r:>{b}}" f"{b}", "", b"x", ..., 1e400, None
    with open("") as g, g:
        return [i for i in c] or (yield)
""")
    made = freshness.made_with(chapter("from imnetlib.room.deep import f\nf()"), checkout)
    assert made["imnetlib/room/deep.py"] == "ebe808234af4090c"


@pytest.mark.parametrize(
    ("number", "path", "counts"),
    [
        ("3", "imnetlib/throughput/disk.py", True),
        ("3", "imnetlib/cloud/backup.py", False),
        ("5", "data/aws_prices.tsv", True),
        ("7", "imnetlib/engines/mxnet/train.py", True),
        ("9", "imnetlib/wordnet/explanation.py", True),
        ("9", "imnetlib/course/charts/hierarchy.py", True),
        ("9", "imnetlib/course/doctor.py", False),
        ("11", "imnetlib/wordnet/explanation.py", False),
    ],
)
def test_of_the_chapters_each_counts_what_it_uses(number: str, path: str, counts: bool):
    (found,) = runner.find_chapters([number])
    made = freshness.made_with(nbformat.read(found, as_version=4))
    assert (path in made) == counts


CELLS = (
    "from imnetlib import room\nfrom imnetlib.course import plots",
    "size = 3",
    "other = 4",
    "rate = room.distance(size)",
    "print(rate)",
    "plots.show()",
)


@pytest.mark.parametrize(
    ("number", "changed", "same"),
    [
        (4, {4: "print(f'{rate}')"}, False),
        (4, {3: "rate = 2 * room.distance(size)"}, False),
        (4, {1: "size = 5"}, False),
        (4, {2: "other = 5"}, True),
        (4, {5: "plots.show(1)"}, True),
        (4, {0: f"import numpy as np\n{CELLS[0]}"}, True),
        (4, {"imnetlib/room/far.py": "new"}, False),
        (4, {"imnetlib/room/deep.py": "new"}, True),
        (4, {"imnetlib/course/plots.py": "new"}, True),
        (4, {"requirements.lock": "new"}, True),
        (5, {"imnetlib/course/plots.py": "new"}, False),
        (5, {3: "rate = 0"}, True),
    ],
)
def test_an_output_comes_from_the_cells_and_modules_that_define_what_it_uses(
    checkout: Path, number: int, changed: dict[int | str, str], same: bool
):
    stored = chapter(*CELLS, checkout=checkout)
    now = chapter(*CELLS, checkout=checkout)
    for what, new in changed.items():
        if isinstance(what, int):
            now.cells[what].source = new
        else:
            now.metadata.imnetlib.made_with[what] = new
    was, is_now = (freshness.basis(one, number, checkout) for one in (stored, now))
    assert (was == is_now) == same


def test_cells_of_the_same_source_differ_by_what_comes_before_them(checkout: Path):
    notebook = chapter("x = 1", "print(x)", "x = 2", "print(x)", "print(y)", checkout=checkout)
    found = [freshness.basis(notebook, number, checkout) for number in (1, 3, 4)]
    assert all(one != other for one, other in itertools.combinations(found, 2))
