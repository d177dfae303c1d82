"""Asynchronous I/O: that it reads all it should, keeps its depth, and says what went wrong. Or that there is none."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imnetlib import aio

BLOCKS = 64
OFFSETS = np.arange(BLOCKS) * aio.PAGE
HERE = aio.available()  # some containers forbid it; then what remains to be seen is that it says so


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path: Path = tmp_path_factory.mktemp("aio") / "file"
    path.write_bytes(bytes(BLOCKS * aio.PAGE))
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


def read(descriptor: int, offsets: np.ndarray, length: int = aio.PAGE, depth: int = 4, seconds: float = 60):
    """Reads done; where the kernel offers none, as many as asked for, once it has said so."""
    if HERE or not len(offsets):
        return aio.read_blocks(descriptor, offsets, length, depth, time.perf_counter() + seconds)
    with pytest.raises(OSError):
        aio.read_blocks(descriptor, offsets, length, depth, time.perf_counter() + seconds)
    return len(offsets)


@settings(deadline=None)
@given(depth=st.integers(1, 40), count=st.integers(0, BLOCKS))
def test_every_block_is_read_once(descriptor: int, depth: int, count: int):
    assert read(descriptor, OFFSETS[:count], depth=depth) == count


def test_the_kernel_gets_the_requests_as_they_are_meant(descriptor: int, monkeypatch: pytest.MonkeyPatch):
    """The data lands where the requests say: compared with a plain read, through the memory that is handed over."""
    kept: list[np.ndarray] = []

    def empty(size: int, kind: type, real=np.empty) -> np.ndarray:
        kept.append(real(size, kind))
        kept[-1][:] = 255
        return kept[-1]

    monkeypatch.setattr(np, "empty", empty)
    assert read(descriptor, OFFSETS[:8], depth=8) == 8
    assert all((memory == 0).sum() == 8 * aio.PAGE for memory in kept if HERE)


def test_it_ends_at_the_deadline_with_what_was_in_flight(descriptor: int):
    if HERE:
        assert read(descriptor, OFFSETS, depth=4, seconds=-1) == 4
    else:
        read(descriptor, OFFSETS)


@pytest.mark.parametrize(
    ("offset", "code"), [(BLOCKS * aio.PAGE, errno.EIO), (-aio.PAGE, errno.EINVAL)], ids=["end", "before"]
)
def test_a_read_that_fails_is_an_error(descriptor: int, offset: int, code: int):
    with pytest.raises(OSError) as caught:
        aio.read_blocks(descriptor, np.array([0, offset]), aio.PAGE, 2, time.perf_counter() + 60)
    assert caught.value.errno == code or not HERE


def test_a_closed_file_is_an_error():
    with pytest.raises(OSError) as caught:
        aio.read_blocks(10**6, OFFSETS, aio.PAGE, 2, time.perf_counter() + 60)
    assert caught.value.errno == errno.EBADF or not HERE


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "riscv64")])
def test_where_there_is_none(monkeypatch: pytest.MonkeyPatch, system: str, machine: str):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert not aio.available()
    with pytest.raises(OSError, match=f"no asynchronous I/O on {system}, {machine}"):
        aio.read_blocks(0, OFFSETS, aio.PAGE, 2, 0)
