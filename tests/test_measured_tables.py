"""The tables and figures of what was measured say what the benchmarks have left."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import measured_tables
import pytest
from measured_tables import Row
from results import Report, Table, Way

READ = Table(
    "read",
    "GB/s",
    (
        Way("plain", (4.0, 2.0, 3.0)),
        Way("theirs", (1.0, 0.5, 0.6)),
        Way("a|b_c", (2.0, 1.8, 1.5)),
        Way("gone", (), "ModuleNotFoundError: No module named 'ffcv'"),
    ),
    limit="plain",
    peer="theirs",
)
TIMES = (("pack", "images", 2.0), ("shuffle a list", "images", 0.1), ("index", "members", 0.3))


def growing(title: str, unit: str) -> Table:
    return Table(
        title,
        unit,
        tuple(
            Way(f"{job}, {1000 * times:,} {what}", (first * times,))
            for job, what, first in TIMES
            for times in (1, 4, 16)
        ),
    )


GROWTH = (growing("time", "s"), growing("memory", "MB"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two machines: one has measured all, another with other cores only the reading."""
    for name, tables in (("recordio", [READ]), ("growth", GROWTH)):
        Report(name, list(tables)).save(tmp_path)
    (machine,) = tmp_path.iterdir()
    machine.rename(tmp_path / "one")
    content = json.loads((tmp_path / "one" / "recordio.json").read_text("utf-8"))
    about = {"processor": "Other", "cores": 64, "gpu": "H200", "date": "2026-01-31", "commit": "a"}
    content["machine"] |= about
    content["tables"][0]["ways"] = content["tables"][0]["ways"][:2]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recordio.json").write_text(json.dumps(content))
    return tmp_path


def test_the_committed_texts_and_figures_are_up_to_date():
    machines = measured_tables.read_machines(measured_tables.BENCHMARKS)
    advice = "run: python tools/measured_tables.py"
    for path, region in (
        (measured_tables.PAGE, measured_tables.page_region),
        (measured_tables.README, measured_tables.readme_region),
    ):
        text = path.read_text(encoding="utf-8")
        again = measured_tables.filled(text, lambda name, region=region: region(name, machines))
        assert again == text, advice
    drawn = {measured_tables.figure_name(each) for each in machines if "growth" in each.tables}
    assert {path.name for path in measured_tables.FIGURES.glob("*")} == drawn, advice


def test_every_benchmark_has_its_place_on_the_page(checkout: Path):
    names = {path.stem[6:] for path in (checkout / "tests/benchmarks").glob("bench_*.py")}
    regions = re.findall(r"<!-- measured: (\w+) -->", measured_tables.PAGE.read_text("utf-8"))
    assert sorted(regions) == sorted(names | {"machines"})
    assert {row.benchmark for row in measured_tables.ROWS} <= names


def test_machines_stand_side_by_side_and_what_cannot_run_says_why(folder: Path):
    machines = measured_tables.read_machines(folder)
    here = machines[0].label
    assert measured_tables.page_region("recordio", machines).splitlines() == [
        "**read**",
        "",
        f"| GB/s | {here} | Other, 64 cores, H200 |",
        "|---|---|---|",
        "| plain (the limit) | 3 (4 × the peer, spread 67 %) | 3 (4 × the peer, spread 67 %) |",
        "| theirs (the peer) | 0.6 (25 % of the limit, spread 83 %) "
        "| 0.6 (25 % of the limit, spread 83 %) |",
        r"| a\|b\_c | 1.8 (2.5 × the peer, 50 % of the limit, spread 28 %) | not measured |",
        "| gone | cannot run: ModuleNotFoundError: No module named 'ffcv' | not measured |",
    ]
    first, second = measured_tables.page_region("machines", machines).splitlines()
    assert first.startswith(f"- {here}: ")
    assert second.endswith("; 2026-01-31, commit a")


def test_a_region_is_written_again_and_one_without_figures_stays(folder: Path):
    machines = measured_tables.read_machines(folder)
    text = (
        "Before.\n<!-- measured: recordio -->\nold\n<!-- end -->\nBetween.\n"
        "<!-- measured: pack -->\nold\n<!-- end -->\n"
    )
    again = measured_tables.filled(text, lambda name: measured_tables.page_region(name, machines))
    assert again.startswith("Before.\n<!-- measured: recordio -->\n\n**read**\n\n| GB/s |")
    assert again.endswith(
        "\n\n<!-- end -->\nBetween.\n<!-- measured: pack -->\nold\n<!-- end -->\n"
    )


def test_the_short_table_takes_the_first_machine_that_has_a_figure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = (
        Row("reading", "recordio", "^read$", ("theirs", "gone"), "a|b_c"),
        Row("plainly", "recordio", "^read$", ("gone",), "plain"),
        Row("packing", "pack", "^pack$", ("theirs",), "ours"),
    )
    monkeypatch.setattr(measured_tables, "ROWS", rows)
    lines = measured_tables.readme_region("short", measured_tables.read_machines(folder))
    assert lines.splitlines()[2:] == [
        "| job | peer | this library |",
        "|---|---|---|",
        "| reading | theirs 0.6 GB/s | 1.8 GB/s |",
        "| plainly | none that runs there | 3 GB/s |",
    ]
    monkeypatch.setattr(measured_tables, "ROWS", (rows[0]._replace(title="^write$"),))
    with pytest.raises(ValueError, match=r"no table of one/recordio.json fits '\^write\$'"):
        measured_tables.readme_region("short", measured_tables.read_machines(folder))


def test_growth_is_drawn_and_told(folder: Path):
    machines = measured_tables.read_machines(folder)
    region = measured_tables.page_region("growth", machines)
    (alt,) = re.findall(r"!\[(.*)\]\(figures/growth-one.png\)", region)
    assert "pack, 1,000, 4,000, 16,000 images: 2, 8, 32 s" in alt
    assert "index, 1,000, 4,000, 16,000 members: 0.3, 1.2, 4.8 MB" in alt
    drawn = []
    for _ in range(2):
        file = io.BytesIO()
        measured_tables.growth(machines[0])[0].savefig(file, metadata={"Software": None})
        drawn.append(file.getvalue())
    assert drawn[0] == drawn[1]
