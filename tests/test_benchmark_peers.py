"""What the benchmarks of loading and packing do around their peers, none of them needed here."""

from __future__ import annotations

import sys
from pathlib import Path

import bench_loader
import pytest
from bench_pack import Tool, decibels, further
from loader_peers import Task, ffmpeg_filter, in_threads, our_decoder, same_work, same_work_apart
from making import encoded, photo
from pack_peers import read_list, stored
from peers_environment import reason
from PIL import Image
from results import BUSY, Way, take_turns, ways

from imnetlib.image import Transform

CHECKOUT = Path(__file__).parents[1]
FAILED = "ffcv\tit needs more of the system: apt-get install g++\nspdl\tpip could not install it\n"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("", ""),
        ("ModuleNotFoundError: No module named 'ffcv'", "it needs more of the system: apt-get"),
        ("ModuleNotFoundError: No module named 'spdl.io'", "pip could not install it"),
        (
            "Traceback\n  File\nModuleNotFoundError: No module named 'torch'",
            "torch is not installed",
        ),
        ("Traceback\nValueError: no random crop", "no random crop"),
    ],
)
def test_a_row_says_why_its_peer_cannot_run(tmp_path: Path, failure: str, said: str):
    (tmp_path / "failed.tsv").write_text(FAILED)
    told = reason(failure, tmp_path / "failed.tsv")
    assert told.startswith(said)
    assert "\n" not in told


def test_without_the_environment_a_row_says_how_to_make_it(tmp_path: Path):
    said = reason("ModuleNotFoundError: No module named 'litdata'", tmp_path / "failed.tsv")
    assert said == "litdata is not installed: make bench-env"


def test_two_threads_convert_each_picture_once():
    seen: list[int] = []
    assert in_threads([b""] * 100, seen.append)() == 100
    assert sorted(seen) == list(range(100))


def test_an_error_in_a_thread_ends_the_epoch():
    def fail(number: int) -> None:
        raise ValueError(f"picture {number}")

    with pytest.raises(ValueError, match="picture"):
        in_threads([b""] * 4, fail)()


@pytest.mark.parametrize("transform", [bench_loader.RESIZED, bench_loader.FLOAT_RESIZED])
def test_the_limit_does_the_work_of_the_loader(tmp_path: Path, transform: Transform):
    shard = bench_loader.make_records(tmp_path, 5, bench_loader.SMALL.quality)
    task = Task(shard, tmp_path, transform, 2)
    assert same_work(task)() == same_work_apart(task)() == 5
    pixels = our_decoder(task)(encoded(photo(341, 256, 1)))
    assert (pixels.shape, pixels.dtype) == (transform.shape, transform.dtype)


def test_ffmpeg_crops_scales_and_mirrors(tmp_path: Path):
    task = Task(tmp_path, tmp_path, Transform(224, "center"), 2)
    steps = {ffmpeg_filter(task, 256, 341) for _ in range(50)}
    plain = "crop=224:224:58:16,scale=224:224"
    assert steps == {f"{plain},format=pix_fmts=rgb24", f"{plain},hflip,format=pix_fmts=rgb24"}


def test_a_reader_that_fails_has_a_row_without_figures():
    limit = bench_loader.LIMIT
    found = {limit: [(10, 2.0, 4.0)], "FFCV": "no compiler", "ours": [(10, 4.0, 4.0)]}
    rates, busy = bench_loader.tables("t", found)
    assert rates.way("FFCV").failure == "no compiler"
    assert rates.ratio("ours", limit) == 0.5
    assert (busy.title, busy.what) == ("t", BUSY)
    assert busy.ways == (Way(limit, (2.5,)), Way("ours", (2.5,)))


def test_peers_store_what_the_list_names(tmp_path: Path):
    (tmp_path / "a").mkdir()
    Image.fromarray(photo(40, 30, 1)).save(tmp_path / "a/1.JPEG", quality=95)
    (tmp_path / "set.lst").write_text("7\t3.000000\ta/1.JPEG\n")
    assert read_list(tmp_path / "set.lst", tmp_path) == [(tmp_path / "a/1.JPEG", 3)]
    path = tmp_path / "a/1.JPEG"
    assert decibels(path, path.read_bytes()) == float("inf")
    assert 20 < decibels(path, stored(path, 15)) < 60


def test_a_writer_that_fails_says_why_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.sync", lambda: None)
    sources = {"ours": "print(0.5)", "ffcv": "raise ValueError('no file as it is')"}
    jobs = {
        name: Tool([sys.executable, "-c", source], tmp_path / name, lambda: iter(())).run
        for name, source in sources.items()
    }
    ours, ffcv = ways(take_turns(jobs, rounds=2))
    assert len(ours.values) == 2
    assert ffcv == Way("ffcv", failure="no file as it is")


def test_the_rate_of_a_long_job_leaves_out_the_start():
    """3 s and 5 s for 1,020 photos, of which the first 20 take 1 s; with 2 s it would be noise."""
    found: dict[str, list[float] | str] = {"codec": [1.0, 1.0], "a": [3.0, 5.0], "b": "broken"}
    found["c"] = found["a"]
    started: dict[str, list[float] | str] = {"a": [1.0, 9.0, 0.5], "b": "broken", "c": [2.0]}
    a, b, c = further(found, started, 1020)
    assert (a, b) == (Way("a", (500, 250)), Way("b", failure="broken"))
    assert c.failure == "there is no such rate: most of its time is start"


def test_the_peers_are_listed_as_the_script_reads_them():
    lines = (CHECKOUT / "tests/peers/peers.txt").read_text("utf-8").splitlines()
    rows = [line.split(": ", 1) for line in lines if line and not line.startswith("#")]
    assert all(name.isidentifier() and "==" in arguments for name, arguments in rows)
