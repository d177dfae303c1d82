"""Ctrl-C, SIGTERM and SIGHUP stop every verb soon, with one sentence; the same command goes on.

Each call is a process of its own, which gets a real signal in the middle of its work.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import nbformat
import pytest
from forking import (
    hold,
    hold_deaf,
    hold_under_nohup,
    imnet_process,
    is_alive,
    use_notebooks,
    wait_for,
)
from making import encoded, imnet, photo, put, tar_of, tree

from imnetlib import cloud, organize
from imnetlib.cli import stopping
from imnetlib.course import aws
from imnetlib.course.server import serve

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
WNIDS = ["n00000001", "n00000002", "n00000003"]
# Seconds to the end, on a machine that is busy with other things.
SOON = 5
VERBS = {
    "sample": ("sample", "{out}", "--classes", 2, "--train", 5, "--validation", 2),
    "download": ("download", "{url}train.tar", "--to", "{out}"),
    "index": ("index", "{out}/val.tar.gz"),
    "organize train": ("organize", "train", "{site}/train.tar", "{out}"),
    "organize validation": ("organize", "validation", "{site}/val.tar", "{site}/v.csv", "{out}"),
    "organize check": ("organize", "check", "{site}/photos"),
    "pack": ("pack", "{site}/set.lst", "{site}/photos", "{out}", "--shards", 2),
    "pack --dask": (
        *("pack", "{site}/set.lst", "{site}/photos", "{out}", "--shards", 2),
        *("--dask", "{scheduler}"),
    ),
    "verify": ("verify", "--decode", "{site}/packed/set-00000-of-00001.rec"),
    "backup": ("backup", "{site}/packed", "s3://bucket/{name}"),
    "restore": ("restore", "s3://bucket/packed", "{out}"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What stands in braces in ``VERBS``: archives, photos, a shard, and three servers."""
    from distributed import LocalCluster

    site = tmp_path_factory.mktemp("site")
    images = [encoded(photo(120, 90, seed)) for seed in range(18)]
    names = [f"{wnid}/{wnid}_{number}.JPEG" for wnid in WNIDS for number in range(6)]
    put(site / "photos", dict(zip(names, images, strict=True)))
    class_tars = {}
    for wnid in WNIDS:
        folder = site / "photos" / wnid
        class_tars[f"{wnid}.tar"] = tar_of({p.name: p.read_bytes() for p in folder.iterdir()})
    flat = {organize.validation_name(n): data for n, data in enumerate(images, 1)}
    rows = [f"{name[:-5]},{WNIDS[n % 3]} 1 2 3 4\n" for n, name in enumerate(flat)]
    csv = "ImageId,PredictionString\n" + "".join(rows)
    put(site, {"train.tar": tar_of(class_tars), "val.tar": tar_of(flat), "v.csv": csv.encode()})
    put(site, {"val.tar.gz": gzip.compress((site / "val.tar").read_bytes())})
    imnet("list", site / "photos", site / "set.lst")
    imnet("pack", site / "set.lst", site / "photos", site / "packed")
    cluster = {"host": "127.0.0.1", "protocol": "tcp", "dashboard_address": None}
    with (
        serve(site) as url,
        aws.local_endpoint() as endpoint,
        LocalCluster(processes=False, n_workers=1, silence_logs=50, **cluster) as dask,
        pytest.MonkeyPatch.context() as patched,
    ):
        keys = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
        environment = {**keys, "AWS_ENDPOINT_URL": endpoint}
        for name, value in environment.items():
            patched.setenv(name, value)
        s3 = aws.local_client("s3", endpoint, "us-east-1")
        s3.create_bucket(Bucket="bucket")
        cloud.back_up(site / "packed", s3, "bucket", "packed")
        yield {
            **{"site": site, "url": url, "scheduler": dask.scheduler_address},
            **{"s3": s3, "environment": environment},
        }


def command_of(verb: str, places: dict[str, Any], out: Path) -> list[str]:
    """The words of the command that writes to ``out``, which has what it starts from."""
    out.mkdir()
    if verb == "index":
        shutil.copy(places["site"] / "val.tar.gz", out)
    return [str(word).format(**places, out=out, name=out.name) for word in VERBS[verb]]


def end_of(places: dict[str, Any], out: Path) -> dict[str, object]:
    """What a command has left: its files, but indexes, which have a date in them, and objects."""
    files = {name: data for name, data in tree(out).items() if not name.endswith(".npz")}
    listed = places["s3"].list_objects_v2(Bucket="bucket", Prefix=f"{out.name}/")
    objects = listed.get("Contents", [])
    return files | {entry["Key"].partition("/")[2]: entry["ETag"] for entry in objects}


def assert_stopped(process: BaseProcess, number: int, output: Path) -> None:
    """It has ended soon, with the signal's status, and with one sentence after all else."""
    process.join(SOON)
    assert process.exitcode == 128 + number, output.read_text()
    lines = output.read_text().splitlines()
    assert lines[-1] == stopping.STOPPED
    assert lines.count(stopping.STOPPED) == 1
    assert "Traceback" not in output.read_text()


CASES = [(verb, SIGNALS[number % 3]) for number, verb in enumerate(VERBS)]
REST = [(verb, number) for verb in VERBS for number in SIGNALS if (verb, number) not in CASES]


@pytest.mark.parametrize(
    ("verb", "number"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in REST)]
)
def test_a_signal_stops_a_verb_and_the_same_command_goes_on(
    places: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    number: signal.Signals,
):
    calm = tmp_path / f"calm-{verb[-4:]}-{number}"
    out = tmp_path / f"out-{verb[-4:]}-{number}"
    command = command_of(verb, places, out)
    sign = tmp_path / "sign"
    output = tmp_path / "output"
    process = imnet_process(command, output, places["environment"], partial(hold, sign))
    wait_for(sign, process)
    os.kill(process.pid, number)
    assert_stopped(process, number, output)
    # Here the sample is painted without processes, which take long to start.
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    codes = [imnet(*words).exit_code for words in (command, command_of(verb, places, calm))]
    assert codes == [0, 0]
    assert end_of(places, out) == end_of(places, calm)


def never_open(stuck: str, sign: Path) -> None:
    """Let this process wait for ever where it opens ``stuck``, as on a server that is gone."""
    opens = os.open

    def waiting(path: str, *arguments: int) -> int:
        if path == stuck:
            sign.touch()
            threading.Event().wait()
        return opens(path, *arguments)

    os.open = waiting


def test_what_does_not_answer_is_not_waited_for(places: dict[str, Any], tmp_path: Path):
    photos = places["site"] / "photos"
    stuck = str(photos / WNIDS[1] / f"{WNIDS[1]}_3.JPEG")
    sign = tmp_path / "sign"
    command = ["pack", str(places["site"] / "set.lst"), str(photos), str(tmp_path / "out")]
    process = imnet_process(command, tmp_path / "output", {}, partial(never_open, stuck, sign))
    wait_for(sign, process)
    os.kill(process.pid, signal.SIGTERM)
    assert_stopped(process, signal.SIGTERM, tmp_path / "output")
    assert imnet(*command).exit_code == 0
    end = tree(tmp_path / "out")
    assert end == {name: tree(places["site"] / "packed")[name] for name in end}


def held_pack(places: dict[str, Any], tmp_path: Path, prepare: Callable[[], object]) -> BaseProcess:
    """A process that packs, and is held at its first step."""
    command = command_of("pack", places, tmp_path / "out")
    process = imnet_process(command, tmp_path / "output", {}, prepare)
    wait_for(tmp_path / "sign", process)
    return process


def test_a_main_thread_that_notices_no_signal_is_not_waited_for(
    places: dict[str, Any], tmp_path: Path
):
    process = held_pack(places, tmp_path, partial(hold_deaf, tmp_path / "sign"))
    os.kill(process.pid, signal.SIGINT)
    assert_stopped(process, signal.SIGINT, tmp_path / "output")


def test_a_second_signal_ends_at_once_unless_it_is_the_first_sent_twice(
    places: dict[str, Any], tmp_path: Path
):
    """Both timeout(1) and a terminal that is closed send theirs twice."""
    process = held_pack(places, tmp_path, partial(hold_deaf, tmp_path / "sign", grace=3600))
    for _ in range(2):
        os.kill(process.pid, signal.SIGHUP)
        time.sleep(stopping.TWICE / 10)
    process.join(3 * stopping.TWICE)
    assert process.is_alive()
    os.kill(process.pid, signal.SIGTERM)
    assert_stopped(process, signal.SIGHUP, tmp_path / "output")


def test_nohup_keeps_a_verb_going(places: dict[str, Any], tmp_path: Path):
    process = held_pack(places, tmp_path, partial(hold_under_nohup, tmp_path / "sign"))
    os.kill(process.pid, signal.SIGHUP)
    process.join(60)
    assert process.exitcode == 0
    assert tree(tmp_path / "out").keys() > {"set-00001-of-00002.rec"}


def test_probe_stops(tmp_path: Path):
    process = imnet_process(["probe", tmp_path, "--seconds", 600], tmp_path / "output", {})
    wait_for(tmp_path / "output", process)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    assert_stopped(process, signal.SIGTERM, tmp_path / "output")
    assert [path.name for path in tmp_path.iterdir()] == ["output"]


CELL = """
import os, time
from pathlib import Path
print("working")
started = Path({sign!r})
if not started.exists():
    Path({pid!r}).write_text(str(os.getpid()))
    started.touch()
    while True:
        pass
"""


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.slow) for n in SIGNALS[::2])]
)
def test_run_stops_with_its_kernel(tmp_path: Path, number: signal.Signals):
    """The kernel computes, so it reads no message that asks it to end."""
    cell = nbformat.v4.new_code_cell(
        CELL.format(sign=str(tmp_path / "sign"), pid=str(tmp_path / "pid"))
    )
    (tmp_path / "course").mkdir()
    spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": spec})
    nbformat.write(notebook, tmp_path / "course" / "01_busy.ipynb")
    here = partial(use_notebooks, tmp_path / "course")
    command = ["run", "--out", tmp_path / "out"]
    process = imnet_process(command, tmp_path / "output", {}, here)
    wait_for(tmp_path / "sign", process)
    os.kill(process.pid, number)
    assert_stopped(process, number, tmp_path / "output")
    kernel = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + SOON
    while is_alive(kernel) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(kernel)
    again = imnet_process(command, tmp_path / "again", {}, here)
    again.join(60)
    assert again.exitcode == 0, (tmp_path / "again").read_text()
