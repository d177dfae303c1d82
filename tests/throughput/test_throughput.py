"""The I/O arithmetic by hand, and the probe: on this disk, on simulated ones, and when things go
wrong.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imnetlib import throughput as t
from imnetlib.throughput import GB, HOUR, MB, MIB, TB, TIB

Preadv = Callable[[int, list[object], int], int]
positive = st.floats(1, 1e15)


def test_the_notes_hours():
    assert t.seconds_sequential(TIB, 0.43 * MIB) / HOUR == pytest.approx(677.37, abs=0.01)
    assert t.seconds_sequential(TIB, 40 * MIB) / HOUR == pytest.approx(7.28, abs=0.01)
    assert t.seconds_random(TIB, 110) / HOUR == pytest.approx(2**40 / 4_096 / 110 / 3_600)


def test_a_seek_per_file():
    assert t.seconds_seek_per_file(14_197_087, 0, 110, 170 * MB) / HOUR == pytest.approx(
        35.9, abs=0.05
    )
    assert t.seconds_seek_per_file(14_197_087, TB, 10_000, 550 * MB) / HOUR == pytest.approx(
        0.90, abs=0.005
    )


def test_images():
    size = t.bytes_per_image(250 * GB, 14_197_087)
    assert size == pytest.approx(17_609, abs=1)
    assert t.images_per_second(170 * MB, size) == pytest.approx(9_654, abs=1)
    assert t.epochs(170, 8.5 * t.DAY, 14_197_087) == pytest.approx(8.79, abs=0.01)


def test_random_pieces_are_whole():
    assert t.seconds_random(1, iops=1) == 1
    assert t.seconds_random(4_096, iops=1) == 1
    assert t.seconds_random(4_097, iops=1) == 2
    assert t.seconds_random(4_097, iops=1, piece=8_192) == 1


@given(files=st.integers(0, 10**9), size=positive, iops=positive, rate=positive)
def test_seeks_only_add_time(files: int, size: float, iops: float, rate: float):
    transfer = t.seconds_sequential(size, rate)
    assert t.seconds_seek_per_file(files, size, iops, rate) == pytest.approx(
        transfer + files / iops
    )


@given(rate=positive, images=st.integers(1, 10**9))
def test_epochs_undo_the_time_of_an_epoch(rate: float, images: int):
    assert t.epochs(rate, images / rate, images) == pytest.approx(1)


NAN = float("nan")
INF = float("inf")
NAMES: dict[Callable[..., object], str] = {
    t.seconds_sequential: "n_bytes+ bytes_per_second",
    t.seconds_random: "n_bytes+ iops piece",
    t.seconds_seek_per_file: "files+ n_bytes+ iops bytes_per_second",
    t.bytes_per_image: "n_bytes+ images",
    t.images_per_second: "bytes_per_second image_bytes iops",
    t.epochs: "rate+ seconds+ images",
    t.to_feed: "gpu_rate image_bytes decode_rate",
    t.stage_rates: "bytes_per_second image_bytes decode_rate cores gpu_rate iops",
}
ARGUMENTS = [(function, name) for function, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize("bad", [0, -1, NAN, INF, -INF])
@pytest.mark.parametrize(
    ("function", "argument"), ARGUMENTS, ids=[f"{f.__name__}-{name}" for f, name in ARGUMENTS]
)
def test_a_wrong_argument_is_named(function: Callable[..., object], argument: str, bad: float):
    """A + marks an amount, which may be 0; the others are rates or counts."""
    wrong = argument.rstrip("+")
    arguments = {name.rstrip("+"): 2 for name in NAMES[function].split()}
    may_be_zero = wrong != argument
    if may_be_zero and bad == 0:
        assert function(**arguments | {wrong: bad}) is not None
        return
    least = "0 or more" if may_be_zero else "more than 0"
    with pytest.raises(ValueError, match=f"^{wrong} must be {least} and finite, not {bad}$"):
        function(**arguments | {wrong: bad})


@pytest.mark.parametrize("bad", [0, -1, NAN, INF])
def test_stages_with_wrong_rates_are_named(bad: float):
    for function in (t.bottleneck, t.say_bottleneck):
        with pytest.raises(ValueError, match=f"decode must be more than 0 and finite, not {bad}"):
            function({"disk": 1.0, "decode": bad})
        with pytest.raises(ValueError, match="rates must name at least one stage"):
            function({})


def test_the_slowest_stage_decides():
    rates = t.stage_rates(170 * MB, 17_600, decode_rate=2_800, cores=2, gpu_rate=170)
    assert rates == {"disk": pytest.approx(9_659, abs=1), "decode": 5_600, "gpu": 170}
    assert t.bottleneck(rates) == "gpu"
    assert t.bottleneck(t.stage_rates(170 * MB, 17_600, 2_800, 2, gpu_rate=20_000)) == "decode"
    assert t.bottleneck(t.stage_rates(1 * MB, 17_600, 2_800, 2, gpu_rate=20_000)) == "disk"
    assert t.bottleneck(t.stage_rates(170 * MB, 17_600, 2_800, 2, gpu_rate=170, iops=110)) == "disk"


def test_the_slowest_stage_in_words():
    rates = {"disk": 1_545.4, "decode": 11_200, "gpu": 2_500}
    assert t.say_bottleneck(rates) == "disk: 1,545 images/s; busy: decode 14%, gpu 62%"
    assert t.say_bottleneck({"gpu": 170}) == "gpu: 170 images/s"


def test_images_as_files():
    """The note's hard disk: 9.1 ms of seek and 0.65 ms of transfer for a file of 110 KB."""
    assert t.images_per_second(170 * MB, 110_000, iops=110) == pytest.approx(102.7, abs=0.05)
    assert t.images_per_second(170 * MB, 110_000) == pytest.approx(1_545.5, abs=0.05)


def test_what_feeds_a_gpu():
    assert t.to_feed(2_500, 110_000, 1_400) == t.Feed(
        bytes_per_second=275 * MB, seeks=2_500, cores=2
    )
    assert t.to_feed(2_800, 110_000, 1_400).cores == 2


@given(gpu=positive, size=positive, decode=positive)
def test_a_fed_gpu_waits_for_nothing(gpu: float, size: float, decode: float):
    feed = t.to_feed(gpu, size, decode)
    rates = t.stage_rates(feed.bytes_per_second, size, decode, feed.cores, gpu)
    assert min(rates.values()) == pytest.approx(gpu)


@given(rate=positive, size=positive, iops=positive)
def test_files_of_one_size_take_the_time_of_a_seek_each(rate: float, size: float, iops: float):
    together = t.seconds_seek_per_file(1_000, 1_000 * size, iops, rate)
    assert t.images_per_second(rate, size, iops) == pytest.approx(1_000 / together)


def test_devices():
    hdd, ssd = t.DEVICES[:2]
    assert (hdd.sequential, hdd.iops) == (170_000_000, 110)
    assert (ssd.sequential, ssd.iops) == (550_000_000, 10_000)
    assert len({device.name for device in t.DEVICES}) == len(t.DEVICES)
    for device in t.DEVICES:
        assert device.source.startswith("quoted: ")
        hours = t.hours_per_epoch(device, files=14_197_087, n_bytes=TB)
        assert hours["a seek per file"] > hours["packed, in order"]
    assert t.hours_per_epoch(hdd, 14_197_087, TB)["a seek per file"] == pytest.approx(
        37.5, abs=0.05
    )


def test_probe_of_this_disk(tmp_path: Path):
    started = time.perf_counter()
    found = t.probe(tmp_path, seconds=1, n_bytes=32 * MIB)
    assert time.perf_counter() - started < 10
    assert list(tmp_path.iterdir()) == []
    assert 8 * MIB <= found.n_bytes <= 32 * MIB
    assert found.method in ("O_DIRECT", "posix_fadvise", "F_NOCACHE")
    assert found.sequential > 0
    assert tuple(found.iops) == t.QUEUE_DEPTHS == (1, 2, 4, 8, 16, 32)
    assert all(rate > 0 for rate in found.iops.values())
    device = found.device()
    deep = found.device(32)
    assert (device.name, device.sequential, device.iops) == (
        "this disk, 1 at a time",
        found.sequential,
        found.iops[1],
    )
    assert (deep.name, deep.iops) == ("this disk, 32 at a time", found.iops[32])
    assert device.source == f"measured here: {found.n_bytes // MIB} MiB, {found.method}"


def slow(seconds: float, real: Preadv = os.preadv) -> Preadv:
    """A disk that takes this long for a read, whatever its length, and serves any number of reads
    at a time.
    """

    def preadv(descriptor: int, buffers: list[object], offset: int) -> int:
        time.sleep(seconds)
        return real(descriptor, buffers, offset)

    return preadv


def test_probe_of_a_disk_whose_figures_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """5 ms a read: at most 200 reads/s one at a time, and many at a time really are under way
    together.
    """
    monkeypatch.setattr(os, "preadv", slow(0.005))
    found = t.probe(tmp_path, seconds=2, n_bytes=64 * MIB)
    assert 50 < found.iops[1] <= 200
    assert 2 * found.iops[1] < found.iops[4] <= 800
    assert 2 * found.iops[4] < found.iops[32] <= 6_400
    assert all(rate <= 200 * depth for depth, rate in found.iops.items())
    assert found.sequential <= 8 * MIB * 200


def test_probe_reads_each_block_once_and_where_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[tuple[int, int]] = []

    def preadv(
        descriptor: int, buffers: list[memoryview], offset: int, real: Preadv = os.preadv
    ) -> int:
        seen.append((offset, len(buffers[0])))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    t.probe(tmp_path, seconds=60, n_bytes=8 * MIB)
    small = [offset for offset, length in seen if length == 4_096]
    assert [offset for offset, length in seen if length != 4_096] == [0]
    # the first tries O_DIRECT
    assert sorted(small[1:]) == sorted(6 * list(range(0, 8 * MIB, 4_096)))
    assert small[1:2_049] != sorted(small[1:2_049])


def test_probe_without_o_direct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Some file systems open with O_DIRECT and then refuse to read."""

    def preadv(
        descriptor: int, buffers: list[object], offset: int, real: Preadv = os.preadv
    ) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert t.probe(tmp_path, seconds=0.2, n_bytes=8 * MIB).method == "posix_fadvise"


def test_probe_refuses_what_cannot_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(NotADirectoryError, match="probe needs a folder on the disk in question"):
        t.probe(tmp_path / "none")
    with pytest.raises(ValueError, match="n_bytes must be 8388608 or more, not 4096"):
        t.probe(tmp_path, n_bytes=4_096)
    with pytest.raises(ValueError, match="n_bytes must be 8388608 or more, not nan"):
        t.probe(tmp_path, n_bytes=NAN)
    for bad in (0, -1, NAN, INF):
        with pytest.raises(ValueError, match=f"seconds must be more than 0 and finite, not {bad}"):
            t.probe(tmp_path, seconds=bad)
    usage = namedtuple("usage", "total used free")(10 * MIB, 3 * MIB, 7 * MIB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        OSError, match="probe wants 8 MiB, 7 are free: make room or lower n_bytes"
    ) as caught:
        t.probe(tmp_path, n_bytes=8 * MIB)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def said(folder: Path, before: str) -> str:
    """What a probe of ``folder`` raises in a process of its own, after these lines."""
    program = f"""
import os, resource, sys
from imnetlib import throughput
{before}
try:
    throughput.probe(sys.argv[1], 1, 64 << 20)
except OSError as error:
    print(type(error).__name__, error)
"""
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_probe_cleans_up_when_the_disk_refuses_to_go_on(tmp_path: Path):
    before = "resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))"
    expected = f"OSError [Errno 27] probe cannot write and read a file here (File too large): '{tmp_path}'\n"
    assert said(tmp_path, before) == expected
    assert list(tmp_path.iterdir()) == []


def test_probe_where_one_may_not_write():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        error = said(folder, "if os.geteuid() == 0: os.seteuid(65534)")
    expected = (
        f"[Errno 13] probe cannot write and read a file here (Permission denied): '{folder}'\n"
    )
    assert error == f"PermissionError {expected}"


def test_probe_leaves_nothing_behind_when_killed(tmp_path: Path):
    program = (
        "import sys; from imnetlib import throughput; throughput.probe(sys.argv[1], 60, 1 << 30)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) as running:
        descriptors = Path(f"/proc/{running.pid}/fd")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not is_at_work(descriptors):
            assert running.poll() is None
        at_work = is_at_work(descriptors)
        running.send_signal(signal.SIGKILL)
    assert at_work
    assert list(tmp_path.iterdir()) == []


def is_at_work(descriptors: Path) -> bool:
    """Whether a process holds the probe's file, whose name is gone already."""
    for link in descriptors.iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            # closed meanwhile
            continue
        if ".imnet-probe-" in target and target.endswith("(deleted)"):
            return True
    return False
