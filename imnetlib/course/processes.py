"""Several training processes on this machine, started from a cell (chapter 10)."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from imnetlib.arguments import PathLike, require

_LINES_OF_A_FAILURE = 15
# With what torchrun's own report begins; a table follows that does not say what went wrong.
_REPORT = re.compile(r"E.*torch.distributed.elastic.*failed \(exitcode")


def torchrun(program: PathLike, *arguments: PathLike, processes: int, on_gpus: bool = False) -> str:
    """Run a program of PyTorch as several processes at once by torchrun; what they printed.

    The cores are shared out among them: by default each would compute with all. GPUs are hidden
    from them unless ``on_gpus``: then each takes one. RuntimeError where one of them fails, with
    the last lines that they printed; torchrun ends the others.
    """
    require(processes >= 1, "processes are 1 or more", processes)
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    local = ["--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"]
    command = [*launcher, *local, *map(str, (program, *arguments))]
    threads = max(1, (os.cpu_count() or 1) // processes)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if not on_gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        try:
            printed, _ = running.communicate()
        except BaseException:
            # It ends the processes that it has started.
            running.terminate()
            raise
    if running.returncode:
        lines = printed.splitlines()
        report = (number for number, line in enumerate(lines, 1) if _REPORT.match(line))
        of_processes = lines[: next(report, len(lines))]
        told = "\n".join(of_processes[-_LINES_OF_A_FAILURE:])
        raise RuntimeError(f"torchrun ended with status {running.returncode}:\n{told}")
    return printed
