"""Processes that are under way in 10 ms, with everything imported, for tests that stop them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
from tqdm import tqdm

from imnetlib.cli import main, stopping
from imnetlib.course import runner

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    [
        *("imnetlib.download", "imnetlib.organize", "imnetlib.pack", "scipy.io"),
        *("forking", "imnetlib.course.sample", "imnetlib.cloud", "boto3", "papermill"),
    ]
)


def imnet_process(
    arguments: Sequence[object],
    output: Path,
    environment: Mapping[str, str],
    prepare: Callable[[], object] = bool,
) -> BaseProcess:
    """A started process that is one call of ``imnet``; what it prints is added to a file."""
    words = [str(argument) for argument in arguments]
    process = FORKING.Process(target=_call_imnet, args=(words, output, environment, prepare))
    process.start()
    return process


def _call_imnet(
    words: list[str], output: Path, environment: Mapping[str, str], prepare: Callable[[], object]
) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    prepare()
    main(words)


def hold(sign: Path, wait: Callable[[], object] | None = None) -> None:
    """Let a verb make the file ``sign`` at each step of its bar, then wait, without end if None."""

    def update(bar: object, n: float = 1) -> None:
        sign.touch()
        (wait or partial(time.sleep, 3600))()

    tqdm.update = update


def hold_deaf(sign: Path, grace: float = stopping.GRACE) -> None:
    """Hold where no signal is noticed: as in a library's C code, or in a read that is stuck."""

    def wait() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
        threading.Event().wait()

    stopping.GRACE = grace
    hold(sign, wait)


def print_to_nobody(*descriptors: int) -> None:
    """Let what is printed go into a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    for descriptor in descriptors:
        os.dup2(writer, descriptor)


def hold_under_nohup(sign: Path) -> None:
    """Pause at each step, and ignore SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    hold(sign, partial(time.sleep, 0.2))


def use_notebooks(folder: Path) -> None:
    """Run the chapters of this folder."""
    runner.NOTEBOOKS = folder


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended and waits to be collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(path: Path, process: BaseProcess) -> None:
    """Return when there is such a file; an error if the process ends without it, or hangs."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.is_alive(), "the process ended too early"
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.005)
