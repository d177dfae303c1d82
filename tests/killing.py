"""A verb of imnet that dies right before one of its steps on the disk or the network."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from imnetlib.cli import main
from imnetlib.course import runner

# Its processes are under way in 10 ms, with everything imported.
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(
    [
        *("imnetlib.cli", "imnetlib.cloud", "imnetlib.download", "imnetlib.organize"),
        *("imnetlib.pack", "imnetlib.throughput", "imnetlib.course.copies", "boto3", "cv2"),
    ]
)

_STEPS = {"os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate"}
_REQUEST = "http.client.send"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _die_at(step: int, folder: Path) -> None:
    """Let this process be killed right before its step of that number, counted from 1."""
    steps = 0

    def count(event: str, details: tuple[object, ...]) -> None:
        nonlocal steps
        is_step = event in _STEPS or (event == "open" and int(str(details[2])) & _WRITING)
        if event == _REQUEST or (is_step and str(details[0]).startswith(str(folder))):
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _run(
    arguments: Sequence[str], step: int, folder: Path, course: Path, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    runner.NOTEBOOKS = course / "notebooks"
    runner.BUILD = course / "build"
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        _die_at(step, folder)
        main(arguments)


def run_killed(
    arguments: Sequence[object],
    step: int,
    folder: Path,
    course: Path = runner.CHECKOUT,
    **environment: str,
) -> int | None:
    """The exit status of a verb, or minus the signal if there was such a step below ``folder``.

    Step 0 is none: the verb runs to its end. ``course`` holds the notebooks and the build.
    """
    words = [str(argument) for argument in arguments]
    process = FORKING.Process(target=_run, args=(words, step, folder, course, environment))
    process.start()
    process.join()
    return process.exitcode
