"""imnet run: chapters found, parameters typed, failures named, outputs stored clean."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from imnetlib.cli import main
from imnetlib.course import report, runner

PARAMETERS = """\
wnid: str = "n02510455"  # text
workers: int = 2  # whole
rate: float = 0.5  # real
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


def write(path: Path, *sources: str) -> None:
    parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [parameters, *map(nbformat.v4.new_code_cell, sources)]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
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
        (["7"], "There is no chapter '7'. The chapters: 01_first, 02_second"),
        (
            ["1", "-p", "worker", "2"],
            "01_first has no parameter 'worker'; it has wnid, workers, rate, full, sizes, source",
        ),
        (["1", "-p", "workers", "two"], "Parameter workers is of type int; 'two' is not"),
        (["1", "-p", "full", "1"], "Parameter full is of type bool; '1' is not"),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence_before_anything_runs(
    course: Path, arguments, message
):
    done = CliRunner().invoke(main, ["run", *arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert not (course / "build").exists()


def test_a_failing_chapter_is_named_with_cell_and_error_and_the_exit_status_says_so(course: Path):
    done = CliRunner().invoke(main, ["run"])
    assert done.exit_code == 1
    assert "02_second, cell [3]: OSError: disk on fire" in done.output
    assert "1 of 2 chapters failed" in done.output


def test_a_stored_chapter_holds_outputs_and_no_trace_of_the_run(course: Path):
    runner.store_chapter(course / "01_first.ipynb", course / "build")
    stored = nbformat.read(course / "01_first.ipynb", as_version=4)
    assert report.recorded(stored)["showed"] == "n02510455 2"
    assert stored.metadata.imnetlib.source_sha256 == runner.source_hash(stored)
    assert "papermill" not in (course / "01_first.ipynb").read_text()
    assert "iopub" not in (course / "01_first.ipynb").read_text()
    before = (course / "01_first.ipynb").read_bytes()
    runner.store_chapter(course / "01_first.ipynb", course / "build")
    assert (course / "01_first.ipynb").read_bytes() == before


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
