"""imnet run: chapters found, parameters typed, failures named."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
import pytest
from click.testing import CliRunner

from imnetlib.cli import main
from imnetlib.course import report, runner

PARAMETERS = """\
wnid: str = "n02510455"  # text
workers: int = 2  # whole (1 or more)
rate: float = 0.5  # real (above 0)
share: float = 0.5  # a part (0 to 1)
kind: str = "one"  # a choice (one, a-third or another)
full: bool = False  # yes or no
sizes: list[int] = [1, 2]  # several
source: str = ""  # a path
"""


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two chapters: the first records its parameters, the second fails in its second cell."""
    write(
        tmp_path / "01_first.ipynb",
        "from imnetlib.course import record",
        "record(f'{wnid} {workers}', rate=rate)",
    )
    write(tmp_path / "02_second.ipynb", "print('fine')", "raise OSError('disk on fire')")
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(runner, "BUILD", tmp_path / "build")
    return tmp_path


def write(path: Path, *sources: str, parameters: str = PARAMETERS, needs: str = "") -> None:
    declared = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    cells = [declared, *map(nbformat.v4.new_code_cell, sources)]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    metadata |= {"imnetlib": {"needs": needs}} if needs else {}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.mark.parametrize("name", ["1", "01", "01_first", "01_first.ipynb"])
def test_a_chapter_is_found_by_number_and_by_name(course: Path, name: str):
    assert runner.find_chapters([name]) == [course / "01_first.ipynb"]


def test_all_chapters_in_order_without_names(course: Path):
    assert [path.stem for path in runner.find_chapters([])] == ["01_first", "02_second"]


def test_without_chapters_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path)
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == 2
    assert "run this in a checkout of the course" in done.output


def test_run_prints_a_line_with_what_the_chapter_showed(course: Path):
    done = CliRunner().invoke(main, ["run", "1", "-p", "wnid", "01440764", "-p", "rate", "2"])
    assert done.exit_code == 0, done.output
    assert "01_first" in done.output
    # The leading zero is kept.
    assert "01440764 2" in done.output
    executed = nbformat.read(course / "build" / "notebooks" / "01_first.ipynb", as_version=4)
    assert report.recorded(executed) == {"showed": "01440764 2", "rate": 2.0}


def test_run_leaves_what_it_makes_where_it_is_told(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(course / "01_first.ipynb", "import os", "print(os.environ['IMNETLIB_FIGURES'])")
    done = CliRunner().invoke(main, ["run", "1", "--out", "made/today"])
    assert done.exit_code == 0, done.output
    made = tmp_path / "here" / "made" / "today"
    assert done.output.endswith(f"Executed notebooks and figures: {made}\n")
    executed = nbformat.read(made / "notebooks" / "01_first.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == f"{made / 'figures'}\n"
    assert not (course / "build").exists()


def test_a_relative_path_starts_where_imnet_was_called(
    course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(course / "01_first.ipynb", "from imnetlib.course import record", "record(source)")
    done = CliRunner().invoke(main, ["run", "1", "-p", "source", "../photos"])
    assert f"{tmp_path / 'here'}/../photos" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1", "--store", "--out", "there"], "it takes no --root, no -p and no --out"),
        (["1", "--measure"], "--measure goes with --store"),
        (["7"], "There is no chapter '7'. The chapters: 01_first, 02_second"),
        (
            ["1", "-p", "worker", "2"],
            "01_first has no parameter 'worker'; there are wnid, workers, rate, share, kind, full",
        ),
        (["1", "2", "-p", "worker", "2"], "none of 01_first, 02_second has a parameter 'worker'"),
        *(
            (["1", "-p", name, value], f"Parameter {name} is {rule}, not {shown or value}")
            for name, value, rule, shown in (
                ("workers", "0", "1 or more", ""),
                ("workers", "-3", "1 or more", ""),
                ("rate", "0", "above 0", "0.0"),
                ("rate", "-0.5", "above 0", ""),
                ("share", "1.01", "0 to 1", ""),
                ("share", "-0.01", "0 to 1", ""),
                ("kind", "two", "one, a-third or another", "'two'"),
            )
        ),
        (["1", "-p", "workers", "two"], "Parameter workers is of type int; 'two' is not"),
        *(
            (["1", "-p", "full", value], f"Parameter full is True or False; {value!r} is not")
            for value in ("1", "true")
        ),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence_before_anything_runs(
    course: Path, arguments, message
):
    done = CliRunner().invoke(main, ["run", *arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert not (course / "build").exists()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("workers", ["1", "2"]),
        ("rate", ["0.001", "1"]),
        ("share", ["0", "1", "0.5"]),
        ("kind", ["one", "a-third", "another", ""]),
    ],
)
def test_values_that_keep_the_rule_are_taken(course: Path, name: str, values: list[str]):
    for value in values:
        (typed,) = runner.typed_parameters([course / "01_first.ipynb"], {name: value}).values()
        assert str(typed[name]).removesuffix(".0") == value


TRAINING = """\
network: str = "inception-64px"
size: int = 64  # pixels (1 or more)
batch_size: int = 32  # images (1 or more)
devices: int = 2  # parts (1 or more)
accumulate: int = 1  # turns (1 or more)
epochs: int = 18  # passes (1 or more)
warmup: float = 0.0  # epochs (0 or more)
threads: int = 2  # that decode (1 or more)
"""
JUDGING = """\
outputs: str = ""  # a file
columns: str = ""  # another
logits: bool = False  # what they are
"""


@pytest.mark.parametrize(
    ("declared", "given", "message"),
    [
        (TRAINING, {"batch_size": "33"}, "the batch size is a multiple of the 2 devices, not 33"),
        (TRAINING, {"devices": "5"}, "the batch size is a multiple of the 5 devices, not 32"),
        (TRAINING, {"accumulate": "3"}, "multiple of the 2 devices in 3 turns, not 32"),
        (TRAINING, {"warmup": "18"}, r"warmup is part of the epochs, not 18\.0"),
        (TRAINING, {"epochs": "2", "warmup": "2.5"}, r"warmup is part of the epochs, not 2\.5"),
        (TRAINING, {"size": "60"}, "takes no pictures of 60 pixels; it takes 48 or 64, for inst"),
        (TRAINING, {"network": "inception-bn", "size": "48"}, "it takes 64 or 96, for instance"),
        (TRAINING, {"network": "resnet"}, "there is no network 'resnet'"),
        (JUDGING, {"outputs": "a.npy"}, "outputs and columns go together"),
        (JUDGING, {"columns": "a.txt"}, "outputs and columns go together"),
        (JUDGING, {"logits": "True"}, "logits says what outputs are: name their file, too"),
    ],
)
def test_values_that_do_not_fit_one_another_are_refused_before_anything_runs(
    course: Path, declared: str, given: dict[str, str], message: str
):
    write(course / "03_third.ipynb", "print(0)", parameters=declared)
    with pytest.raises(ValueError, match=f"^03_third: .*{message}"):
        runner.typed_parameters([course / "01_first.ipynb", course / "03_third.ipynb"], given)


def test_an_engine_that_is_not_installed_is_refused_before_anything_runs(
    course: Path, monkeypatch: pytest.MonkeyPatch
):
    def engine(name: str) -> None:
        raise ImportError(f"{name} is not installed: get it")

    monkeypatch.setattr(runner, "engine", engine)
    write(course / "01_first.ipynb", "print(0)", parameters='engine: str = ""')
    done = CliRunner().invoke(main, ["run", "1", "-p", "engine", "torch"])
    assert done.exit_code == 2
    assert done.output.endswith("Error: 01_first: torch is not installed: get it\n")


def test_values_that_fit_one_another_are_taken(course: Path):
    write(course / "03_third.ipynb", "print(0)", parameters=TRAINING + JUDGING)
    given = {"size": "50", "batch_size": "36", "devices": "3", "accumulate": "4", "threads": "1"}
    given |= {"outputs": "a.npy", "columns": "a.txt", "logits": "True", "network": "my_own:net"}
    (typed,) = runner.typed_parameters([course / "03_third.ipynb"], given).values()
    assert typed.keys() == given.keys()


def test_a_parameter_goes_to_those_chapters_that_have_it(course: Path):
    write(course / "03_third.ipynb", "print(0)", parameters='rate: int = 1\nzone: str = ""')
    chapters = [course / "01_first.ipynb", course / "03_third.ipynb"]
    given = {"rate": "2", "zone": "b", "workers": "5"}
    first, third = runner.typed_parameters(chapters, given).values()
    assert first == {"rate": 2.0, "workers": 5}
    assert third == {"rate": 2, "zone": "b"}
    with pytest.raises(ValueError, match=r"Parameter rate is of type int; '2\.5' is not"):
        runner.typed_parameters(chapters, {"rate": "2.5"})


def test_the_first_chapter_that_fails_is_the_last(course: Path):
    write(course / "03_third.ipynb", "print(0)")
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == 1
    assert done.output.endswith("Error: 02_second failed; not run: 03_third\n")
    assert not (course / "build" / "notebooks" / "03_third.ipynb").exists()


def test_of_all_chapters_one_is_left_out_that_needs_what_is_not_there(
    course: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runner, "_NEEDS", {"no_such": "needs no_such, get it"})
    write(course / "02_second.ipynb", "print(0)", needs="no_such")
    write(course / "03_third.ipynb", "print(0)", needs="json")
    done = CliRunner().invoke(main, ["run", "-p", "workers", "3"])
    assert done.exit_code == 0, done.output
    second, third = (line.split() for line in done.output.splitlines()[1:3])
    assert second == ["02_second", "left", "out:", "needs", "no_such,", "get", "it"]
    assert third[0] == "03_third"
    done = CliRunner().invoke(main, ["run", "3", "2"])
    assert done.exit_code == 2
    assert "Error: 02_second needs no_such, get it" in done.output


@pytest.mark.parametrize("there", [None, "", "file"])
@pytest.mark.parametrize("given", ["", "source"])
def test_a_new_root_says_what_it_gets(course: Path, tmp_path: Path, there: str | None, given: str):
    write(course / "01_first.ipynb", "print(0)", parameters=f'{PARAMETERS}root: str = ""')
    root = tmp_path / "root"
    if there is not None:
        root.mkdir()
        if there:
            (root / there).touch()
    done = CliRunner().invoke(
        main, ["run", "1", "--root", str(root), *(["-p", given, "x"] if given else [])]
    )
    says = f"{root} is a new folder: it gets the painted sample" in done.output
    assert says == (there != "file" and not given)


@pytest.mark.parametrize("chapter", runner.find_chapters([]), ids=lambda path: path.stem)
def test_every_number_that_a_chapter_takes_has_a_rule_that_its_default_keeps(chapter: Path):
    declared = papermill.inspect_notebook(str(chapter))
    for name, about in declared.items():
        if about["inferred_type_name"] in ("int", "float"):
            assert runner._RULE.search(about["help"]), name
    defaults = {name: about["default"].strip("\"'") for name, about in declared.items()}
    assert runner.typed_parameters([chapter], defaults)[chapter].keys() == declared.keys()


def test_a_failing_chapter_is_named_with_cell_and_error_and_the_exit_status_says_so(course: Path):
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == 1
    assert "02_second, cell [3]: OSError: disk on fire" in done.output
    assert done.output.endswith("Error: 02_second failed\n")


@pytest.mark.parametrize(
    ("text", "declared", "value"),
    [
        ("007", "str", "007"),
        ("3", "int", 3),
        ("3", "float", 3.0),
        ("True", "bool", True),
        ("[1, 2]", "list[int]", [1, 2]),
    ],
)
def test_text_becomes_the_declared_type(text: str, declared: str, value: object):
    assert runner._as_type("name", text, declared) == value


def test_two_runs_at_once_have_sockets_of_their_own():
    with runner._kernel_config() as one, runner._kernel_config() as other:
        assert one.KernelManager.ip != other.KernelManager.ip
        assert Path(one.KernelManager.ip).parent.is_dir()
    assert not Path(one.KernelManager.ip).parent.exists()
