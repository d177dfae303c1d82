"""Files appear whole or not at all, whoever else writes; progress is a line now and then."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from imnetlib import files, progress
from imnetlib.files import write_atomically


def test_a_file_appears_when_it_is_whole(tmp_path: Path):
    with write_atomically(tmp_path / "new" / "file") as out:
        out.write(b"whole")
        assert not (tmp_path / "new" / "file").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert (tmp_path / "new" / "file").read_bytes() == b"whole"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"old")

    def stopped_halfway() -> None:
        with write_atomically(tmp_path / "file") as out:
            out.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped_halfway()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_of_two_writers_the_later_one_wins_whole(tmp_path: Path):
    with write_atomically(tmp_path / "file") as first:
        first.write(b"first, half")
        with write_atomically(tmp_path / "file") as second:
            second.write(b"second")
        assert (tmp_path / "file").read_bytes() == b"second"
        first.write(b" and half")
    assert (tmp_path / "file").read_bytes() == b"first, half and half"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_bytes_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done = []
    fsync = os.fsync
    replace = Path.replace

    def logged_fsync(descriptor: int) -> None:
        done.append("fsync")
        fsync(descriptor)

    def logged_replace(path: Path, target: Path) -> None:
        done.append("rename")
        replace(path, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(Path, "replace", logged_replace)
    with write_atomically(tmp_path / "file") as out:
        out.write(b"bytes")
    # The data, the name, and the folder that holds the name.
    assert done == ["fsync", "rename", "fsync"]


def test_what_a_killed_writer_left_goes_and_what_a_living_one_has_stays(tmp_path: Path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    killed = tmp_path / f".file.{files.HOST}~{dead.pid}~00aa.tmp"
    kept = {
        # Another thread's.
        f".file.{files.HOST}~{os.getpid()}~00bb.tmp",
        # That of a machine that shares the disk.
        f".file.elsewhere~{dead.pid}~00cc.tmp",
        # That of a machine whose name begins like ours.
        f".file.{files.HOST}-2~{dead.pid}~00ee.tmp",
        f".other.{files.HOST}~{dead.pid}~00dd.tmp",
    }
    for name in (killed.name, *kept):
        (tmp_path / name).touch()
    with write_atomically(tmp_path / "file"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"file"} | kept


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127 + "x"])
def test_a_name_may_be_as_long_as_a_file_system_takes(tmp_path: Path, name: str):
    files.write_bytes_atomically(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


LOCKLESS = ["ENOLCK", "ENOSYS", "EOPNOTSUPP", "EBADF", "EINVAL", "EPERM", "EACCES", "EIO", "ENOTTY"]


@pytest.mark.parametrize("name", LOCKLESS)
def test_a_file_system_without_locks_is_named_once_and_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, name: str
):
    code = getattr(errno, name)

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(files, "_warned_of_no_locks", threading.Event())
    (tmp_path / "b").mkdir()
    for folder in (str(tmp_path), tmp_path / "b", tmp_path):
        with files.exclusive_lock(folder):
            pass
    assert [str(warning.message) for warning in recwarn] == [
        f"the file system of {tmp_path} has no locks ({os.strerror(code)}): "
        "let no second process work there at the same time"
    ]


@pytest.mark.parametrize("name", ["EALREADY", "EINPROGRESS"])
def test_a_lock_that_fails_otherwise_is_no_other_process_and_no_warning_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(getattr(errno, name), "odd")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(files, "_warned_of_no_locks", threading.Event())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with files.exclusive_lock(tmp_path):
            pass
    assert caplog.messages == [
        f"the file system of {tmp_path} has no locks (odd): "
        "let no second process work there at the same time"
    ]


def test_the_lock_of_another_process_is_respected(tmp_path: Path):
    with (
        files.exclusive_lock(tmp_path),
        pytest.raises(OSError, match=f"another process is at work in {tmp_path}: run this again"),
        files.exclusive_lock(tmp_path),
    ):
        pass
    with files.exclusive_lock(tmp_path):
        pass


def test_a_path_may_be_text(tmp_path: Path):
    file = str(tmp_path / "new" / "file")
    files.require_space(str(tmp_path / "new"), 1)
    files.require_one_disk(str(tmp_path), str(tmp_path / "new"))
    files.write_bytes_atomically(file, b"123456789")
    files.fsync_folder(str(tmp_path))
    assert files.visible_names(str(tmp_path / "new")) == {"file"}
    # The check value of CRC-32.
    assert files.file_crc32(file) == 0xCBF43926


def test_read_at_reads_anywhere(tmp_path: Path):
    (tmp_path / "file").write_bytes(bytes(range(10)))
    with (tmp_path / "file").open("rb", buffering=0) as file:
        assert files.read_at(file.fileno(), 3, 4) == b"\x04\x05\x06"
        assert files.read_at(file.fileno(), 3, 9) == b"\x09"


class TestProgress:
    def lines(
        self, capsys: pytest.CaptureFixture, quiet: float, monkeypatch: pytest.MonkeyPatch
    ) -> list[str]:
        monkeypatch.setattr(progress, "QUIET", quiet)
        with progress.progress(1000, "pack", "images") as bar:
            for _ in range(1000):
                bar.update()
        captured = capsys.readouterr()
        # The output of a command is not mixed with its progress.
        assert captured.out == ""
        return captured.err.splitlines()

    def test_a_line_per_tenth(self, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
        lines = self.lines(capsys, 0, monkeypatch)
        tenths = [str(percent) for percent in range(10, 101, 10)]
        assert [line.split("%")[0].split()[-1] for line in lines] == tenths

    def test_a_job_of_a_moment_writes_one(
        self, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
    ):
        (line,) = self.lines(capsys, 3600, monkeypatch)
        assert line.startswith("pack: 100%")
        assert "1000/1000" in line

    def test_a_job_that_is_stopped_says_how_far_it_came(
        self, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(progress, "QUIET", 0)
        with suppress(KeyboardInterrupt), progress.progress(1000, "pack", "images") as bar:
            bar.update(100)
            monkeypatch.setattr(progress, "QUIET", 3600)
            bar.update(123)
            raise KeyboardInterrupt
        first, last = capsys.readouterr().err.splitlines()
        assert "| 100/1000 " in first
        assert "| 223/1000 " in last

    @pytest.mark.parametrize("terminal", [False, True])
    def test_what_was_done_before_is_no_part_of_the_rate(
        self, terminal: bool, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        monkeypatch.setattr(progress, "QUIET", 0)
        with progress.progress(1000, "pack", "images") as bar:
            # What is there takes a time to be found.
            bar.start_t -= 3600
            for _ in range(10):
                progress.skip(bar, 60)
            bar.start_t -= 100
            bar.last_print_t -= 100
            bar.update(200)
            progress.skip(bar, 200)
        last = capsys.readouterr().err.replace("\r", "\n").splitlines()[-1]
        assert "1000/1000 [01:40<00:00,  2.00 images/s]" in last

    def test_a_job_that_finds_all_done_has_no_rate(self, capsys: pytest.CaptureFixture):
        with progress.progress(1000, "pack", "images") as bar:
            progress.skip(bar, 1000)
        assert "1000/1000 [00:00<?, ? images/s]" in capsys.readouterr().err

    @pytest.mark.parametrize("terminal", [False, True])
    def test_a_job_goes_on_when_nobody_reads(self, terminal: bool, monkeypatch: pytest.MonkeyPatch):
        """The end of a bar's reader looks like that of a connection."""
        reading, writing = os.pipe()
        os.close(reading)
        stream = os.fdopen(writing, "w", buffering=1)
        stream.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr(progress, "QUIET", 0)
        with progress.progress(1000, "pack", "images") as bar:
            bar.mininterval = 0
            for _ in range(1000):
                bar.update()
        assert bar.n == 1000
        with pytest.raises(BrokenPipeError):
            print("seen by nobody", file=stream)
        # What is left to write is of no use.
        with suppress(BrokenPipeError):
            stream.close()

    def test_a_job_goes_on_without_an_output(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(sys, "stderr", None)
        with progress.progress(1000, "pack", "images") as bar:
            progress.skip(bar, 400)
            bar.update(600)

    def test_a_server_s_variable_alone_makes_no_widget(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("JPY_SESSION_NAME", "x")
        assert type(progress.progress(10, "work", "files")).__name__ == "_LinePerTenth"


@pytest.mark.parametrize(
    ("names", "lacking"),
    [
        (["a-00000-of-00002.rec", "a-00001-of-00002.rec"], {"a-*-of-00002.rec": []}),
        (["a-0-of-3.rec"], {"a-*-of-3.rec": ["a-1-of-3.rec", "a-2-of-3.rec"]}),
        (
            ["a-00001-of-00002.rec", "a-00000-of-00001.rec", "b-00000-of-00001.rec"],
            {
                "a-*-of-00001.rec": [],
                "a-*-of-00002.rec": ["a-00000-of-00002.rec"],
                "b-*-of-00001.rec": [],
            },
        ),
        # A writer of parquet files puts a hash behind the number.
        (["a-00000-of-00002-1f0e.rec"], {"a-*-of-00002.rec": ["a-00001-of-00002.rec"]}),
        (["a.rec", "b.rec"], {"*.rec": []}),
    ],
)
def test_what_a_numbered_set_lacks_is_named(names: list[str], lacking: dict[str, list[str]]):
    found = files.numbered_sets(Path("there") / name for name in names)
    assert {path.name: [one.name for one in missing] for path, missing in found.items()} == lacking
    assert {path.parent for path in found} == {Path("there")}
