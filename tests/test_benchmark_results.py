"""What the benchmarks' harness makes of times: shares by rounds, text, JSON with the machine."""

from __future__ import annotations

import functools
import json
import math
import operator
from pathlib import Path

import pytest
import run_all
from results import Report, Table, Way, apart, as_text, in_turns, plainly, slug

RATES = Table(
    "read",
    "GB/s",
    (Way("plain", (4.0, 2.0, 3.0)), Way("ours", (2.0, 1.8, 1.5)), Way("gone", (), "no module")),
    limit="plain",
    peer="plain",
)


def test_a_share_is_that_of_the_same_round():
    """The machine was half as fast in the second round; the ratio of medians would be 60 %."""
    assert RATES.ratio("ours", "plain") == pytest.approx(0.5)


def test_of_seconds_less_is_better():
    table = Table("pack", "s", (Way("theirs", (6.0, 8.0, 9.0)), Way("ours", (3.0, 2.0, 3.0))))
    assert table.ratio("ours", "theirs") == pytest.approx(3.0)


def test_a_table_shows_what_cannot_run():
    text = as_text(RATES)
    assert "gone   cannot run: no module" in text
    assert text.splitlines()[3].split() == ["ours", "1.8", "28%", "50%", "0.50"]


def test_ways_take_turns_and_the_first_round_warms_up():
    order: list[str] = []
    found = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, 10)
    assert "".join(order) == "abbaab"
    assert [(way.name, len(way.values)) for way in found] == [("a", 2), ("b", 2)]


def test_a_job_that_fails_has_the_reason_in_its_row_and_the_others_go_on():
    def lacking() -> None:
        raise ModuleNotFoundError("No module named 'ffcv'")

    theirs, ours = in_turns({"theirs": lacking, "ours": int}, 2)
    assert theirs == Way("theirs", (), "ffcv is not installed")
    assert len(ours.values) == 2
    table = Table("read", "s", (theirs, ours), peer="theirs")
    assert math.isnan(table.ratio("ours", "theirs"))
    assert as_text(table).splitlines()[-1].endswith("–")


def test_memory_is_that_of_a_process_of_its_own():
    """200 MB more for the second job, whose process is gone when the third one starts."""
    hold = functools.partial(bytearray, b"1")
    much = functools.partial(operator.mul, b"1", 200_000_000)
    jobs = {"little": hold, "much": much, "none": hold}
    seconds, memory = apart("hold", jobs | {"fails": functools.partial(int, "x")})
    little, more, none, fails = memory.ways
    assert more.median - little.median == pytest.approx(200, abs=20)
    assert none.median == pytest.approx(little.median, abs=20)
    assert fails.failure == "invalid literal for int() with base 10: 'x'"
    assert [way.name for way in seconds.ways] == ["little", "much", "none", "fails"]
    assert (seconds.title, seconds.what, memory.title, memory.what) == (
        *("hold", ""),
        *("hold", "peak memory"),
    )


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("Traceback\n  File\nValueError: no such crop", "no such crop"),
        ("botocore.exceptions.ClientError: denied: no key", "denied: no key"),
        ("ModuleNotFoundError: No module named 'spdl.io'", "spdl is not installed"),
        ("AssertionError: ", "AssertionError:"),
        ("killed", "killed"),
    ],
)
def test_a_row_names_no_class_of_exceptions(failure: str, said: str):
    assert plainly(failure) == said


def test_the_first_of_our_ways_that_has_values_stands_for_us():
    names = ("plain", "theirs, our decoder", "imnetlib, broken", "our reader", "imnetlib, 1 thread")
    ways = tuple(Way(name, () if "broken" in name else (1.0,)) for name in names)
    ours = Table("read", "s", ways).ours
    assert ours is ways[3]
    assert Table("read", "s", ways[:3]).ours is None


def test_a_report_says_what_it_was_measured_on(tmp_path: Path, capsys: pytest.CaptureFixture):
    report = Report("recordio")
    report.add(RATES)
    assert "read\n" in capsys.readouterr().out
    report.save(tmp_path)
    (file,) = tmp_path.glob("*/recordio.json")
    content = json.loads(file.read_text("utf-8"))
    about = {"processor", "cores", "kernel", "python", "commit", "date", "load_at_start"}
    assert content["machine"].keys() >= about
    assert content["tables"][0]["ways"][1] == {
        "name": "ours",
        "values": [2, 1.8, 1.5],
        "failure": "",
    }
    assert file.parent.name == slug(content["machine"]["processor"], content["machine"]["cores"])


def test_a_folder_is_named_after_the_processor():
    assert slug("Intel(R) Xeon(R) CPU @ 2.20GHz", 2) == "intel-xeon-cpu-2-20ghz-2-cores"


def test_a_benchmark_that_fails_does_not_stop_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture
):
    (tmp_path / "bench_a.py").write_text("import sys; sys.exit('no disk')")
    (tmp_path / "bench_b.py").write_text("import sys; print(sys.argv[1:])")
    (tmp_path / "peers.py").write_text("1 / 0")
    assert run_all.run_all(tmp_path, ["--quick"]) == ["a"]
    said = capfd.readouterr()
    assert said.err == "no disk\n"
    assert said.out.splitlines()[:5] == ["", "== a", "", "== b", "['--quick']"]
    assert [line.split() for line in said.out.splitlines()[6:]] == [
        ["a", "0", "s", "failed"],
        ["b", "0", "s"],
        ["in", "all", "0", "s"],
    ]
