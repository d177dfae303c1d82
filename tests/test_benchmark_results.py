"""What the benchmarks' harness makes of times: shares by rounds, text, JSON with the machine."""

from __future__ import annotations

import errno
import functools
import json
import math
import operator
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import bench_cores
import psutil
import pytest
import results
import run_all
import stopping
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


def test_a_full_disk_leaves_the_old_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    report = Report("recordio", tables=[RATES])
    report.save(tmp_path)
    (file,) = tmp_path.glob("*/*")
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="is full"):
        Report("recordio", tables=[RATES, RATES]).save(tmp_path)
    assert [*tmp_path.glob("*/*")] == [file]
    assert file.read_bytes() == before


def test_the_json_has_the_versions_of_programs(tmp_path: Path):
    for name, script in {
        "fio": "echo fio-3.33",
        "restic": 'test "$1" = version && echo restic 0.14.0 of 2022 || exit 1',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    programs = {name: str(tmp_path / name) for name in ("fio", "restic")}
    versions = results.describe_machine(programs | {"aws": None})["versions"]
    assert [versions[name] for name in ("fio", "restic", "aws")] == ["3.33", "0.14.0", ""]
    assert versions["numpy"]


@pytest.mark.parametrize(
    ("way", "others", "peer", "said"),
    [
        (Way("imnetlib", failure="AssertionError:"), (), "x", "imnetlib"),
        (Way("our reader", failure="no such record"), (Way("x", (1.0,)),), "x", "our reader"),
        (Way("unpack and index", failure="truncated"), (Way("list", (1.0,)),), "", "unpack"),
        (Way("FFCV", failure="no compiler"), (Way("imnetlib", (1.0,)),), "", ""),
        (Way("the crop's region", failure="too old"), (Way("whole", (1.0,)),), "whole", ""),
        (Way("imnet", failure="there is no SeaweedFS"), (), "", ""),
        (Way("torch", failure="torch is not installed"), (Way("mxnet", (1.0,)),), "", ""),
        (Way("inception-21k", failure="PyTorch sees no GPU: imnet doctor says why"), (), "", ""),
    ],
)
def test_a_way_of_ours_that_fails_is_a_failure_unless_the_machine_lacks_something(
    tmp_path: Path, way: Way, others: tuple[Way, ...], peer: str, said: str
):
    report = Report("a", tables=[Table("t", "s", (way, *others), peer=peer)])
    if not said:
        report.save(tmp_path)
    else:
        with pytest.raises(SystemExit, match=f"^failed: {said}"):
            report.save(tmp_path)
    assert len([*tmp_path.glob("*/a.json")]) == bool(others)


def test_a_single_round_has_no_spread():
    assert as_text(Table("t", "s", (Way("ours", (2.0,)),))).splitlines()[-1].split()[1:] == [
        *("2", "–")
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--files 0", "--files 0: it has to be above 0"),
        ("--files -1", "--files -1: it has to be above 0"),
        ("--seconds 0", "--seconds 0.0: it has to be above 0"),
        ("--seconds nan", "--seconds nan: it has to be above 0"),
        ("--seconds inf", "--seconds inf: it has to be above 0"),
        ("--members -5", "--members -5: it has to be above 0"),
        ("--images 51", "--images 51: there are 50"),
        ("--to=", "--to '' is no folder"),
        ("--to {folder}/file", "--to '{folder}/file' is no folder"),
        ("--to {folder}/file/below", "--to {folder}/file/below takes no file: Not a directory"),
        ("--to /proc/self", "--to /proc/self takes no file: No such file or directory"),
        ("--quick --to {folder}/data/benchmarks", "with --quick choose another folder"),
        ("--quick --to {folder}/data/benchmarks/more", "with --quick choose another folder"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    words: str,
    said: str,
):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(results, "CHECKOUT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench.py", *words.format(folder=tmp_path).split()])
    sizes = {"files": (10, 1), "members": (0, 0), "images": (50, 5), "seconds": (1.0, 0.4)}
    with pytest.raises(SystemExit, match="2"):
        results.options("", {"images": 50}, **sizes)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith(said.format(folder=tmp_path))
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


def test_sizes_are_those_asked_for_or_the_defaults(tmp_path: Path):
    code = (
        "import results; "
        "c = results.options('', files=(10, 1), members=(0, 0), seconds=(1.0, 0.4)); "
        "print(c.files, c.members, c.seconds, c.to)"
    )
    for words, said in {
        "": "10 0 1.0 None",
        f"--quick --to {tmp_path}/new": f"1 0 0.4 {tmp_path}/new",
        "--files 3 --members 0 --seconds 0.1": "3 0 0.1 None",
    }.items():
        assert python(code, *words.split()).stdout == f"{said}\n"
    assert (tmp_path / "new").is_dir()


STOPPED = """
import functools, subprocess, sys, time
from pathlib import Path
from measure import Apart
from results import alone, options, work_folder

def wait(sign):
    child = subprocess.Popen(["sleep", "60"])
    sign.write_text(str(child.pid))
    time.sleep(60)

if __name__ == "__main__":
    options("", files=(1, 1))
    with work_folder() as name:
        sign = Path(sys.argv[0]).with_name("sign")
        Path(sign.with_name("folder")).write_text(name)
        if Path(sys.argv[0]).stem == "bench_alone":
            alone(functools.partial(wait, sign))
        else:
            job = Apart(Path(name) / "log", wait, sign)
            try:
                job.wait()
            finally:
                job.close()
"""


@pytest.mark.parametrize("number", stopping.SIGNALS)
@pytest.mark.parametrize("kind", ["alone", "apart"])
def test_a_signal_ends_a_benchmark_and_what_it_has_started(
    tmp_path: Path, kind: str, number: signal.Signals
):
    """Sent to the whole group, as a terminal and timeout(1) do."""
    (tmp_path / f"bench_{kind}.py").write_text(STOPPED)
    process = subprocess.Popen(
        [sys.executable, tmp_path / f"bench_{kind}.py"],
        env=os.environ | PLACES, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    child = int(waited(tmp_path / "sign"))
    os.killpg(process.pid, number)
    assert process.communicate(timeout=60)[1] == "stopped\n"
    assert process.returncode == 130
    assert not Path((tmp_path / "folder").read_text()).exists()
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_signal_to_run_all_ends_the_one_that_runs_and_sums_up(tmp_path: Path):
    (tmp_path / "bench_a.py").write_text("print('done')")
    (tmp_path / "bench_alone.py").write_text(STOPPED)
    (tmp_path / "bench_z.py").write_text("print('not begun')")
    (tmp_path / "run_all.py").write_bytes(Path(run_all.__file__).read_bytes())
    process = subprocess.Popen(
        [sys.executable, tmp_path / "run_all.py"], env=os.environ | PLACES, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    waited(tmp_path / "sign")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "stopped\n")
    summary = re.sub(r" +[0-9]+ s", "", out.partition("== alone\n\n")[2])
    assert summary == "a\nalone  stopped\nin all\n"
    assert not Path((tmp_path / "folder").read_text()).exists()


PLACES = {"PYTHONPATH": os.pathsep.join([str(Path(results.__file__).parent), *sys.path])}


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(
        command, env=os.environ | PLACES, check=True, capture_output=True, text=True
    )


def waited(sign: Path) -> str:
    """What a file says as soon as it says something."""
    deadline = time.monotonic() + 60
    while not (sign.exists() and sign.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return sign.read_text()


def test_a_benchmark_that_fails_does_not_stop_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture
):
    (tmp_path / "a.py").write_text("import sys; sys.exit('no disk')")
    (tmp_path / "b.py").write_text("import sys; print(sys.argv[1:])")
    benchmarks = {name: tmp_path / f"{name}.py" for name in "ab"}
    assert run_all.run_all(benchmarks, ["--quick"]) == ["a"]
    said = capfd.readouterr()
    assert said.err == "no disk\n"
    assert said.out.splitlines()[:5] == ["", "== a", "", "== b", "['--quick']"]
    assert [line.split() for line in said.out.splitlines()[6:]] == [
        ["a", "0", "s", "failed"],
        ["b", "0", "s"],
        ["in", "all", "0", "s"],
    ]


def test_what_could_not_be_measured_is_told_at_the_end(
    tmp_path: Path, capfd: pytest.CaptureFixture
):
    failures = {
        "FFCV": "ffcv is not installed: make bench-env",
        "SPDL, FFmpeg": "spdl is not installed: make bench-env",
        "SPDL, our decoder": "spdl is not installed: make bench-env",
        "slipstream": "it is on no package index",
    }
    rows = tuple(Way(name, failure=failure) for name, failure in failures.items())
    (tmp_path / "a.py").write_text(f"print({as_text(Table('t', 's', rows))!r})")
    assert run_all.run_all({"a": tmp_path / "a.py"}, []) == []
    assert capfd.readouterr().out.splitlines()[-1] == (
        "not measured: FFCV, SPDL (not installed: make bench-env); "
        "slipstream (it is on no package index)"
    )


def test_only_benchmarks_that_there_are_can_be_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(sys, "argv", ["run_all.py", "loader", "packs"])
    with pytest.raises(SystemExit, match="2"):
        run_all.main()
    said = capsys.readouterr().err.splitlines()[-1]
    assert "no benchmark is packs: there are archive, " in said


def test_all_cores_are_measured_whatever_their_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_cores, "cores", lambda: 6)
    assert bench_cores.counts() == [1, 2, 4, 6]
    monkeypatch.setattr(bench_cores, "cores", lambda: 2)
    assert bench_cores.counts() == [1, 2]
