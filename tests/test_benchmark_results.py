"""What the benchmarks' harness makes of times: shares by rounds, text, JSON with the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from results import Report, Table, Way, as_text, in_turns, slug

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


def test_a_report_says_what_it_was_measured_on(tmp_path: Path, capsys: pytest.CaptureFixture):
    report = Report("recordio")
    report.add(RATES)
    assert "read\n" in capsys.readouterr().out
    report.save(tmp_path)
    (file,) = tmp_path.glob("*/recordio.json")
    content = json.loads(file.read_text("utf-8"))
    assert content["machine"].keys() >= {"processor", "cores", "kernel", "python", "commit", "date"}
    assert content["tables"][0]["ways"][1] == {
        "name": "ours",
        "values": [2, 1.8, 1.5],
        "failure": "",
    }
    assert file.parent.name == slug(content["machine"]["processor"], content["machine"]["cores"])


def test_a_folder_is_named_after_the_processor():
    assert slug("Intel(R) Xeon(R) CPU @ 2.20GHz", 2) == "intel-xeon-cpu-2-20ghz-2-cores"
