"""The tables and figures of what was measured say what the benchmarks have left."""

from __future__ import annotations

import io
import json
import re
import shutil
import statistics
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import bench_loader
import measured_machines
import measured_peers
import measured_tables
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured_machines import Machine
from measured_peers import Reason
from measured_tables import Row
from results import BUSY, Report, Table, Way, number

LIMIT = "plain"
READ = Table(
    "read",
    "GB/s",
    (
        Way(LIMIT, (4.0, 2.0, 3.0)),
        Way("theirs", (1.0, 0.5, 0.6)),
        Way("our a|b_c", (2.0, 1.8, 1.5)),
        Way("gone", (), "ffcv is not installed"),
    ),
    limit=LIMIT,
    peer="theirs",
)
FAILED = Way("our a|b_c", (), "out of memory")
MEMORY = Table(
    "read", "MB", (Way("theirs", (50.0,)), Way("our a|b_c", (100.0,))), what="peak memory"
)
GROWTH = tuple(
    Table(
        title, unit, (Way("pack, 9 images", (times,)), Way("index, 8 members", (0.1,))), what=what
    )
    for title, unit in (("time", "s"), ("memory", "MB"))
    for times, what in ((2.0, "once"), (8.0, "4 times the work"), (32.0, "16 times the work"))
)
ABOUT = {
    **{"processor": "Some(R) CPU", "cores": 2, "memory_gb": 8, "kernel": "Linux 6"},
    **{"python": "3.11.7", "versions": {"numpy": "1.26.4", "opencv-python-headless": "4.11.0.86"}},
    **{"date": "2026-01-31", "commit": "a", "gpu": "", "load_at_start": 0.1},
}


def machine_of(*tables: Table, benchmark: str = "recordio", **about: object) -> Machine:
    return Machine("one", {benchmark: list(tables)}, {benchmark: ABOUT | about})


def region(name: str, *machines: Machine) -> list[str]:
    shown = measured_tables.page_region(name, machines)
    return shown.replace("\N{NO-BREAK SPACE}", " ").splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two machines: one has measured all, another with other cores only two ways of reading."""
    for name, tables in (("recordio", [READ, MEMORY]), ("growth", GROWTH)):
        Report(name, list(tables)).save(tmp_path)
    (machine,) = tmp_path.iterdir()
    machine.rename(tmp_path / "one")
    content = json.loads((tmp_path / "one" / "recordio.json").read_text("utf-8"))
    content["machine"] = ABOUT | {"cores": 64, "gpu": "H200"}
    del content["tables"][1:]
    content["tables"][0]["ways"] = content["tables"][0]["ways"][:2]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "recordio.json").write_text(json.dumps(content))
    return tmp_path


def test_the_committed_texts_and_figures_are_up_to_date():
    machines = measured_machines.read_machines(measured_machines.BENCHMARKS)
    advice = "run: python tools/measured_tables.py"
    for path, region in (
        (measured_tables.PAGE, measured_tables.page_region),
        (measured_tables.README, measured_tables.readme_region),
    ):
        text = path.read_text(encoding="utf-8")
        again = measured_tables.filled(text, lambda name, region=region: region(name, machines))
        assert again == text, advice
    drawn = {measured_tables.figure_name(each.name) for each in machines if "growth" in each.tables}
    assert {path.name for path in measured_tables.FIGURES.glob("*")} == drawn, advice


def kept_machines() -> list[Machine]:
    """The machines in git; one that a reader has measured may differ."""
    machines = measured_machines.read_machines(measured_machines.BENCHMARKS)
    kept = measured_machines.kept(machines)
    assert kept
    return kept


def test_each_row_that_is_behind_has_its_reason_and_each_reason_its_row():
    faults = measured_peers.reasons_to_mend(kept_machines())
    assert faults == [], "REASONS in tools/measured_peers.py"


def test_each_row_of_the_readme_fits_a_table():
    machines = kept_machines()
    measured = [
        row for row in measured_tables.ROWS if any(row.benchmark in m.tables for m in machines)
    ]
    assert [row for row in measured if not measured_tables.measured_row(row, machines)] == []


def test_every_benchmark_has_its_place_on_the_page(checkout: Path):
    names = {path.stem[6:] for path in (checkout / "tests/benchmarks").glob("bench_*.py")}
    regions = re.findall(r"<!-- measured: (\w+) -->", measured_tables.PAGE.read_text("utf-8"))
    assert sorted(regions) == sorted(names | measured_tables.PARTS.keys())
    assert measured_peers.SUBJECTS.keys() == names
    assert {row.benchmark for row in measured_tables.ROWS} <= names
    assert {reason.benchmark for reason in measured_peers.REASONS} <= names


def test_the_page_says_how_each_reader_is_set_up():
    text = measured_tables.PAGE.read_text("utf-8")
    described = re.findall(r"^\| (\w+)", text.partition("## How the peers")[2], re.MULTILINE)
    readers = {name for *_, readers in bench_loader.TABLES for name in readers}
    assert {name.split()[0].rstrip(",") for name in readers - {bench_loader.LIMIT}} <= {*described}


def test_tables_of_one_job_are_one_table_and_each_machine_has_its_own(folder: Path):
    machines = measured_machines.read_machines(folder)
    about = measured_machines.stack(machines[0].abouts["recordio"])
    assert region("recordio", *machines) == [
        f"**read** ({machines[0].label}; {about}; 3 rounds)".replace("_", r"\_"),
        "",
        "|  | GB/s ↑ | × theirs | of the limit | spread | peak memory, MB ↓ |",
        "|---|---:|---:|---:|---:|---:|",
        "| plain (the limit) | 3 | 4.00 | 100 % | 67 % | – |",
        "| theirs | 0.6 | 1.00 | 25 % | 83 % | 50 |",
        r"| our a\|b\_c | 1.8 | 2.50 | 50 % | 28 % | 100 |",
        "| gone | cannot run: ffcv is not installed |  |  |  | – |",
        "",
        "**read** (Some CPU, 64 cores, H200; Python 3.11, NumPy 1.26, OpenCV 4.11; 3 rounds)",
        "",
        "|  | GB/s ↑ | × theirs | of the limit | spread |",
        "|---|---:|---:|---:|---:|",
        "| plain (the limit) | 3 | 4.00 | 100 % | 67 % |",
        "| theirs | 0.6 | 1.00 | 25 % | 83 % |",
    ]


def test_a_series_has_a_column_for_each_size_or_a_row_if_sizes_are_many():
    ways = (Way("theirs", (1.0, 2.0)), Way("ours", (3.0, 3.0)))
    sizes = [Table("read", "GB/s", ways, peer="theirs", what=f"{size} KB") for size in (4, 8, 16)]
    assert region("recordio", machine_of(*sizes[:2]))[2:] == [
        "| GB/s ↑ (× theirs) | 4 KB | 8 KB |",
        "|---|---:|---:|",
        "| theirs | 1.5 (spread 67 %) | 1.5 (spread 67 %) |",
        "| ours | 3 (2.25 ×, spread 0 %) | 3 (2.25 ×, spread 0 %) |",
    ]
    assert region("recordio", machine_of(*sizes))[2:5] == [
        "| GB/s ↑ (× theirs) | theirs | ours |",
        "|---|---:|---:|",
        "| 4 KB | 1.5 (spread 67 %) | 3 (2.25 ×, spread 0 %) |",
    ]


def test_more_measures_than_fit_are_rows():
    ways = (Way("a", (1.0,)), Way("b", (2.0,)))
    first = Table("train", "images/s", ways)
    others = [Table("train", "s", ways, what=f"step {number}") for number in range(7)]
    assert region("engines", machine_of(first, *others[:6], benchmark="engines"))[2] == (
        "|  | images/s ↑ | step 0, s ↓ | step 1, s ↓ | step 2, s ↓ | step 3, s ↓ | step 4, s ↓ "
        "| step 5, s ↓ |"
    )
    assert region("engines", machine_of(first, *others, benchmark="engines"))[2:6] == [
        "|  | a | b |",
        "|---|---:|---:|",
        "| images/s ↑ | 1 | 2 |",
        "| step 0, s ↓ | 1 | 2 |",
    ]


def test_of_one_way_there_is_a_line():
    seconds = Table("judge", "s", (Way("imnet", (2.0,)),))
    memory = Table("judge", "MB", (Way("imnet", (9.0,)),), what="peak memory")
    assert region("evaluate", machine_of(seconds, memory, benchmark="evaluate")) == [
        "**judge** (Some CPU, 2 cores; 1 round)",
        "",
        "imnet: 2 s; peak memory 9 MB",
    ]


names = st.sampled_from(["theirs", "ours", "a third"])
numbers = st.floats(0.1, 1e6)
tables = st.builds(
    Table,
    title=st.just("job"),
    unit=st.sampled_from(["s", "GB/s", "MB"]),
    ways=st.dictionaries(names, st.tuples(numbers, numbers), min_size=1).map(
        lambda found: tuple(Way(name, values) for name, values in found.items())
    ),
    what=st.sampled_from(["", "small", "large"]),
)


@given(st.lists(tables, min_size=1, max_size=6))
def test_no_figure_gets_lost_in_merging(tables: list[Table]):
    """Whatever shape the merged table has, it is even, and has each median once."""
    shown = region("recordio", machine_of(*tables))
    rows = [line.split(" | ") for line in shown if line.startswith("| ")]
    assert len({len(row) for row in rows}) <= 1
    figures = [number(way.median) for table in tables for way in table.ways]
    text = "\n".join(shown[2:])
    assert all(re.search(rf"(?<![\d.,]){re.escape(figure)}(?![\d,])", text) for figure in figures)


def test_a_region_is_written_again_and_one_without_figures_says_how_to_measure(folder: Path):
    machines = measured_machines.read_machines(folder)
    text = (
        "Before.\n<!-- measured: recordio -->\nold\n<!-- end -->\nBetween.\n"
        "<!-- measured: pack -->\nold\n<!-- end -->\n"
    )
    again = measured_tables.filled(text, lambda name: measured_tables.page_region(name, machines))
    assert again.startswith("Before.\n<!-- measured: recordio -->\n\n**read** (")
    assert again.endswith(
        "\n\n<!-- end -->\nBetween.\n<!-- measured: pack -->\n\n"
        "Not measured yet: `python tests/benchmarks/bench_pack.py --to data/benchmarks`.\n\n"
        "<!-- end -->\n"
    )
    assert measured_tables.filled(text, lambda name: "") == text


def test_each_peer_has_its_range_and_the_leading_one_each_figure():
    limit = Way(LIMIT, (9.0,))
    jobs = [
        Table(
            title,
            "images/s",
            (limit, Way("imnetlib, 2", (2.0,)), Way("imnetlib, 1", (1.0,)), Way("FFCV", (theirs,))),
            limit=LIMIT,
        )
        for title, theirs in (("small", 1.0), ("large", 4.0))
    ]
    core = Table("small", "images/s", (limit, *jobs[0].ways[1:2], Way("FFCV", (0.5,))), what=BUSY)
    sharp = Table("small", "dB", (Way("imnetlib, 2", (36.2,)), Way("FFCV", (36.8,))), what="PSNR")
    other = Table("other", "s", (Way("imnetlib", (2.0,)), Way("Gluon, PIL", (3.0,))))
    thrice = Table("third", "s", (Way("imnetlib", (2.0,) * 3), Way("Gluon, PIL", (3.0,) * 3)))
    again = Table("again", "s", (Way("imnetlib", (2.0,) * 3), Way("FFCV", (3.0,) * 3)))
    machine = machine_of(*jobs, core, sharp, other, thrice, benchmark="loader")
    assert region("peers", machine) == [
        "**Each peer** (Some CPU, 2 cores)",
        "",
        f"| peer | what | jobs | times as fast | {BUSY} | median of |",
        "|---|---|---|---|---|---|",
        "| FFCV | load crops | 2 | 0.50 to 2.00 | 4.00 | 1 round |",
        "| Gluon | load crops | 2 | 1.50 |  | 1 to 3 rounds |",
        "",
        "**Each figure beside FFCV** (Some CPU, 2 cores)",
        "",
        f"|  | this library | FFCV | better by | {BUSY} |",
        "|---|---:|---:|---:|---:|",
        "| small, images/s (1 round) | 2 | 1 | 2.00 × | 4.00 × |",
        "| large, images/s (1 round) | 2 | 4 | 0.50 × |  |",
        "| small, PSNR, dB | 36.2 | 36.8 | −0.6 dB |  |",
    ]
    (line,) = region("peers", machine_of(other, benchmark="loader"))[6:]
    assert line == "FFCV was not measured on Some CPU, 2 cores."
    # Of three rounds on, the middle is no mean.
    assert region("peers", machine_of(again, benchmark="loader"))[-1].startswith("| again, s |")


def test_a_peer_is_held_against_our_way_of_as_many_threads():
    ways = {"our A, 1 thread": 2.0, "files, 1 thread": 1.0, "our A, 2 threads": 12.0}
    ways |= {"files, 2 threads": 3.0, "tarfile": 0.5}
    table = Table("read", "files/s", tuple(Way(name, (value,)) for name, value in ways.items()))
    assert region("peers", machine_of(table, benchmark="archive"))[4:6] == [
        "| files | read archives | 1 | 2.00 to 4.00 |  | 1 round |",
        "| tarfile | read archives | 1 | 4.00 |  | 1 round |",
    ]


def test_a_row_that_is_behind_stands_with_its_peers_and_its_reason(monkeypatch: pytest.MonkeyPatch):
    """The limit is no peer, nor is a row behind that was ahead once, or by less than 1 %."""
    ours = Way("our reader", (1.0, 1.0))
    others = {LIMIT: (9.0, 9.0), "half": (2.0, 2.5), "once": (2.0, 0.9), "nearly": (1.005, 1.005)}
    ways = (ours, *(Way(name, values) for name, values in others.items()))
    table = Table("read", "GB/s", ways, limit=LIMIT)
    busy = Table("read", "GB/s", (ours, Way(LIMIT, (9.0, 9.0))), what=BUSY)
    machine = machine_of(table, busy)
    monkeypatch.setattr(measured_peers, "REASONS", ())
    head = ["On Some CPU, 2 cores:", ""]
    row = "  - read: our reader (2 rounds): 0.45 × half"
    assert region("behind", machine) == [*head, "- Not looked into.", row]
    assert measured_peers.reasons_to_mend([machine]) == [
        "behind without a reason: recordio: read: our reader"
    ]
    reasons = [
        Reason("recordio", "^read: our", "It is."),
        Reason("pack", ".", "Not measured here."),
    ]
    monkeypatch.setattr(measured_peers, "REASONS", reasons)
    assert region("behind", machine) == [*head, "- It is.", row]
    assert measured_peers.reasons_to_mend([machine]) == []
    idle = Reason("recordio", "^write", "It was.")
    monkeypatch.setattr(measured_peers, "REASONS", [*reasons, idle])
    assert measured_peers.reasons_to_mend([machine]) == ["a reason without a row: recordio: ^write"]
    ahead = Table("read", "GB/s", (ours, Way("once", others["once"])))
    assert region("behind", machine_of(ahead)) == ["Nothing is."]


rounds = st.lists(numbers, min_size=2, max_size=5)


@given(rounds, rounds, st.sampled_from(["s", "GB/s"]))
def test_what_is_behind_by_more_than_both_spreads_is_listed(
    ours: list[float], theirs: list[float], unit: str
):
    """And nothing that is ahead in one round."""
    count = min(len(ours), len(theirs))
    sides = (Way("ours", tuple(ours[:count])), Way("theirs", tuple(theirs[:count])))
    table = Table("job", unit, (Way("our way", sides[0].values), sides[1]))
    listed = bool(measured_peers.behind([machine_of(table)]))
    worst = [min(way.values) for way in sides]
    best = [max(way.values) for way in sides]
    if unit == "s" and 0.98 * worst[0] > best[1]:
        assert listed
    if unit == "GB/s" and best[0] < 0.98 * worst[1]:
        assert listed
    ratios = table.ratios("our way", "theirs")
    assert not listed or (max(ratios) < 1 and statistics.median(ratios) < 0.99)


def test_the_runs_say_what_each_benchmark_ran_with():
    one = machine_of(READ, MEMORY, processor="Some CPU 9")
    one.tables["pack"] = [MEMORY]
    one.abouts["pack"] = one.about | {"load_at_start": 1.6, "python": "3.12.1"}
    other = machine_of(READ, cores=8, load_at_start=1.6, versions={"numpy": "", "torch": "2.13"})
    assert region("machines", other)[0].endswith("Linux 6; Python 3.11")
    assert region("machines", one)[0] == (
        "- Some CPU 9, 2 cores: 8 GB of memory, Linux 6; Python 3.11, NumPy 1.26, OpenCV 4.11 "
        "or Python 3.12, NumPy 1.26, OpenCV 4.11"
    )
    assert region("runs", one, other) == [
        "**Some CPU 9, 2 cores**",
        "",
        "| benchmark | rounds | software | commit | day | load at the start |",
        "|---|---|---|---|---|---|",
        "| recordio | 1 to 3 | A | a | 2026-01-31 |  |",
        "| pack | 1 | B | a | 2026-01-31 | 1.6 |",
        "",
        "**Some CPU, 8 cores**",
        "",
        "| benchmark | rounds | software | commit | day | load at the start |",
        "|---|---|---|---|---|---|",
        "| recordio | 3 | C | a | 2026-01-31 |  |",
        "",
        "**Software**",
        "",
        "|  | A | B | C |",
        "|---|---|---|---|",
        "| Python | 3.11.7 | 3.12.1 | 3.11.7 |",
        "| numpy | 1.26.4 | 1.26.4 | – |",
        "| opencv-python-headless | 4.11.0.86 | 4.11.0.86 | – |",
        "| torch | – | – | 2.13 |",
    ]


def test_the_short_table_takes_the_first_machine_that_has_a_figure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    rows = (
        Row(r"\1ing", "recordio", "^(read)$", ("theirs", "gone"), "our a|b_c"),
        Row("the limit", "recordio", "^read$", (LIMIT,), "theirs"),
        Row("plainly", "recordio", "^read$", ("gone",), LIMIT),
        Row("memory", "recordio", "^read, peak", ("theirs",), "our a|b_c"),
        Row("packing", "pack", "^pack$", ("theirs",), "ours"),
    )
    monkeypatch.setattr(measured_tables, "ROWS", rows)
    lines = measured_tables.readme_region("short", measured_machines.read_machines(folder))
    assert lines.replace("\N{NO-BREAK SPACE}", " ").splitlines()[2:] == [
        "| job | beside it | this library |",
        "|---|---|---|",
        "| reading | theirs 0.6 GB/s | 1.8 GB/s (2.50 ×) |",
        "| the limit | plain 3 GB/s | 0.6 GB/s (25 % of it) |",
        "| plainly | none that runs there | 3 GB/s |",
        "| memory | theirs 50 MB | 100 MB (0.50 ×) |",
    ]
    monkeypatch.setattr(measured_tables, "ROWS", (rows[0]._replace(title="^write$"),))
    assert measured_tables.readme_region("short", measured_machines.read_machines(folder)) == ""
    # A machine that has another job of the benchmark, or a failure of ours, is passed over.
    others = [machine_of(MEMORY), machine_of(replace(READ, ways=(*READ.ways[:2], FAILED)))]
    monkeypatch.setattr(measured_tables, "ROWS", rows[:1])
    assert "1.8" in measured_tables.readme_region("short", [*others, machine_of(READ)])


def test_growth_is_drawn_and_told(folder: Path):
    machines = measured_machines.read_machines(folder)
    shown = measured_tables.page_region("growth", machines)
    (alt,) = re.findall(r"!\[(.*)\]\(figures/growth-one.png\)", shown)
    assert "Time and memory at 1, 4 and 16 times the work on" in alt
    assert "pack, 9 images: 2, 8, 32 s" in alt
    assert "index, 8 members: 0.1, 0.1, 0.1 MB" in alt
    drawn = []
    for _ in range(2):
        file = io.BytesIO()
        measured_tables.growth(machines[0])[0].savefig(file, metadata={"Software": None})
        drawn.append(file.getvalue())
    assert drawn[0] == drawn[1]


@pytest.fixture
def page(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    """A page and a README not written yet, and a figure of a machine that is gone."""
    place = tmp_path_factory.mktemp("docs")
    regions = ["recordio", "growth", "behind"]
    marks = "".join(f"<!-- measured: {name} -->\n<!-- end -->\n" for name in regions)
    for name, value in (("PAGE", "measured.md"), ("README", "README.md"), ("FIGURES", "figures")):
        monkeypatch.setattr(measured_tables, name, place / value)
    (place / "measured.md").write_text(marks)
    (place / "README.md").write_text("<!-- measured: short -->\n<!-- end -->\n")
    (place / "figures").mkdir()
    (place / "figures" / "growth-gone.png").write_bytes(b"")
    rows = (Row("reading", "recordio", "^read$", ("theirs",), "our a|b_c"),)
    monkeypatch.setattr(measured_tables, "ROWS", rows)
    monkeypatch.setattr(measured_tables, "BENCHMARKS", folder)
    monkeypatch.setattr(sys, "argv", ["measured_tables.py"])
    return place


def contents(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_the_texts_and_figures_are_written_and_figures_of_machines_that_are_gone_removed(
    page: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    slower = json.loads((folder / "one" / "recordio.json").read_text("utf-8"))
    slower["tables"][0]["ways"][2]["values"] = [0.1, 0.1, 0.1]
    (folder / "one" / "recordio.json").write_text(json.dumps(slower))
    measured_tables.main()
    assert contents(page).keys() == {"measured.md", "README.md", "growth-one.png"}
    assert b"| reading |" in contents(page)["README.md"]
    assert b"- Not looked into.\n  - read: our" in contents(page)["measured.md"]
    # The reasons are for the machines in git.
    assert capsys.readouterr() == ("", "")
    shutil.rmtree(folder / "one")
    measured_tables.main()
    assert contents(page).keys() == {"measured.md", "README.md"}


def test_of_a_machine_in_git_it_is_said_where_a_reason_lacks(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(measured_tables, "kept", lambda machines: machines)
    monkeypatch.setattr(measured_peers, "REASONS", ())
    measured_tables.main()
    assert capsys.readouterr().err == (
        "behind without a reason: recordio: read, peak memory: our a|b_c: "
        "mend REASONS in tools/measured_peers.py\n"
    )


def without(key: str, content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}


GOOD = {"machine": ABOUT, "tables": [asdict(READ)]}
DAMAGED = {
    "cut": json.dumps(GOOD)[:-9].encode(),
    "empty": b"",
    "a list": b"[]",
    "binary": bytes(range(256)),
    "no tables": json.dumps(GOOD | {"tables": []}).encode(),
    "a date": json.dumps(GOOD | {"machine": ABOUT | {"date": "May"}}).encode(),
    **{
        f"without {key}": json.dumps(GOOD | {"machine": without(key, ABOUT)}).encode()
        for key in ("processor", "cores", "date", "commit")
    },
    **{
        f"without a table's {key}": json.dumps(
            GOOD | {"tables": [without(key, asdict(READ))]}
        ).encode()
        for key in ("title", "ways", "limit")
    },
    **{
        f"a value of {values!r}": json.dumps(
            GOOD
            | {
                "tables": [
                    asdict(READ) | {"ways": [{"name": "a", "values": values, "failure": ""}]}
                ]
            }
        ).encode()
        for values in ("3", ["3"], None)
    },
    "no peer": json.dumps(GOOD | {"tables": [asdict(replace(READ, peer="nobody"))]}).encode(),
    "rounds": json.dumps(
        GOOD | {"tables": [asdict(replace(READ, ways=(*READ.ways[:2], Way("our", (1.0,)))))]}
    ).encode(),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_named_and_nothing_written(page: Path, folder: Path, data: bytes):
    before = contents(page)
    path = folder / "other" / "recordio.json"
    path.write_bytes(data)
    with pytest.raises(SystemExit) as ended:
        measured_tables.main()
    # sys.exit of a text prints it, with status 1.
    said = str(ended.value.code)
    assert said.startswith(f"{path} is damaged (")
    assert "\n" not in said
    assert "bench_recordio.py --to data/benchmarks again on its machine, or delete the file" in said
    assert contents(page) == before


def test_a_failure_on_the_way_writes_nothing(page: Path, monkeypatch: pytest.MonkeyPatch):
    before = contents(page)

    def fail(machine: Machine) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(measured_tables, "growth", fail)
    with pytest.raises(RuntimeError):
        measured_tables.main()
    assert contents(page) == before


def test_help_is_told_and_nothing_written(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    before = contents(page)
    monkeypatch.setattr(sys, "argv", ["measured_tables.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        measured_tables.main()
    assert ended.value.code == 0
    assert "docs/measured.md" in capsys.readouterr().out
    assert contents(page) == before


def test_a_processor_without_its_model_is_called_so():
    (named,) = region("machines", machine_of(READ, processor="AMD EPYC 9654"))
    (hidden,) = region("machines", machine_of(READ, processor="AMD EPYC", gpu="NVIDIA H200"))
    assert "model" not in named
    assert hidden.startswith(
        "- AMD EPYC, 2 cores, NVIDIA H200 (the processor's model is not told, "
    )
