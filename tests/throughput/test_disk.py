"""The probe: on this disk, on simulated ones, and when things go wrong."""

from __future__ import annotations

import errno
import fcntl
import math
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

from imnetlib import throughput as t
from imnetlib.throughput import MIB

Preadv = Callable[[int, list[object], int], int]


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
    """A disk that takes this long for a read of any length, and serves any number at a time."""

    def preadv(descriptor: int, buffers: list[object], offset: int) -> int:
        time.sleep(seconds)
        return real(descriptor, buffers, offset)

    return preadv


def test_probe_of_a_disk_whose_figures_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """5 ms a read: at most 200 reads/s one at a time, and many at a time are under way together."""
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
    # The first read of a page only tries O_DIRECT.
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
        t.probe(tmp_path, n_bytes=math.nan)
    for bad in (0, -1, math.nan, math.inf):
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


def error_of_probe(folder: Path, before: str) -> str:
    """The error that a probe of ``folder`` raises in another process, after these lines."""
    program = f"""
import os, resource, sys
from imnetlib import throughput
{before}
try:
    throughput.probe(sys.argv[1], 60, 64 << 20)
except OSError as error:
    print(type(error).__name__, error)
"""
    command = [sys.executable, "-c", program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_probe_cleans_up_when_the_disk_refuses_to_go_on(tmp_path: Path):
    before = "resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))"
    why = "probe cannot write and read a file here (File too large)"
    expected = f"OSError [Errno 27] {why}: '{tmp_path}'\n"
    assert error_of_probe(tmp_path, before) == expected
    assert list(tmp_path.iterdir()) == []


def test_probe_where_one_may_not_write():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        error = error_of_probe(folder, "if os.geteuid() == 0: os.seteuid(65534)")
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
        while time.monotonic() < deadline and not is_at_work(descriptors, tmp_path):
            assert running.poll() is None
        at_work = is_at_work(descriptors, tmp_path)
        running.send_signal(signal.SIGKILL)
    assert at_work
    assert list(tmp_path.iterdir()) == []


def is_at_work(descriptors: Path, folder: Path) -> bool:
    """Whether a process holds the probe's file in ``folder``, which has no name."""
    for link in descriptors.iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:
            # It was closed meanwhile.
            continue
        if target.startswith(f"{folder}/") and target.endswith("(deleted)"):
            return True
    return False
