"""Many reads in flight from one thread: Linux's asynchronous I/O, by its system calls (chapter 3).

Threads reach the same depth, but Python lets one of them run at a time and pays for each change. Here one call starts
many reads and another collects them. The layouts are those of linux/aio_abi.h; see io_submit(2), io_getevents(2).
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

PAGE = 4_096  # bytes; O_DIRECT wants memory that begins at such a multiple
_REQUEST = np.dtype(
    {
        "names": ["opcode", "file", "memory", "length", "offset"],  # opcode 0 is a read
        "formats": ["u2", "u4", "u8", "u8", "i8"],
        "offsets": [16, 20, 24, 32, 40],
        "itemsize": 64,
    }
)
_EVENT = np.dtype([("data", "u8"), ("request", "u8"), ("result", "i8"), ("result2", "i8")])
# The numbers of io_setup, io_destroy, io_submit and io_getevents.
_NUMBERS = {"x86_64": (206, 207, 209, 208), "aarch64": (0, 1, 2, 4)}


def available() -> bool:
    """Whether the kernel offers it to this process; some containers forbid it, macOS has none."""
    try:
        with _queue(1):
            return True
    except OSError:
        return False


def read_blocks(descriptor: int, offsets: NDArray[np.int64], length: int, depth: int, deadline: float) -> int:
    """Read ``length`` bytes at each offset until ``deadline``, ``depth`` at a time; how many reads that were.

    The data is thrown away. ``deadline`` is in seconds of time.perf_counter. Without O_DIRECT the kernel reads one
    after the other. Raises OSError: ENOSYS or EPERM where there is none, else what the disk answers.
    """
    depth = min(depth, len(offsets))
    if depth == 0:
        return 0
    memory = np.empty(depth * length + PAGE, np.uint8)
    slots = memory.ctypes.data + -memory.ctypes.data % PAGE + length * (np.arange(len(offsets)) % depth)
    requests = np.zeros(len(offsets), _REQUEST)
    for field, value in (("file", descriptor), ("memory", slots), ("length", length), ("offset", offsets)):
        requests[field] = value
    pointers = requests.ctypes.data + _REQUEST.itemsize * np.arange(len(offsets))
    with _queue(depth) as queue:
        return _keep_in_flight(queue, pointers, length, depth, deadline)


def _keep_in_flight(queue: int, pointers: NDArray[np.int64], length: int, depth: int, deadline: float) -> int:
    """As many reads are started as have come back, so that ``depth`` stay in flight."""
    _, _, submit, collect = _numbers()
    events = np.zeros(depth, _EVENT)
    started = _call(submit, queue, depth, pointers.ctypes.data)
    done = 0
    while done < started:
        back = _call(collect, queue, 1, depth, events.ctypes.data, 0)
        _check(events["result"][:back], length)
        done += back
        if time.perf_counter() < deadline:
            more = min(back, len(pointers) - started)
            started += _call(submit, queue, more, pointers.ctypes.data + pointers.itemsize * started)
    return done


def _check(results: NDArray[np.int64], length: int) -> None:
    if (results != length).any():
        worst = int(results.min())
        why = os.strerror(-worst) if worst < 0 else "the disk returned less than was asked for"
        raise OSError(-worst if worst < 0 else errno.EIO, why)


@contextmanager
def _queue(depth: int) -> Iterator[int]:
    """A queue of the kernel; to leave it waits for what is in flight, which would else write to freed memory."""
    setup, destroy, _, _ = _numbers()
    queue = ctypes.c_ulong(0)
    _call(setup, depth, ctypes.addressof(queue))
    try:
        yield queue.value
    finally:
        _call(destroy, queue.value)


def _numbers() -> tuple[int, int, int, int]:
    here = platform.machine()
    if sys.platform != "linux" or sys.maxsize < 2**32 or here not in _NUMBERS:
        raise OSError(errno.ENOSYS, f"no asynchronous I/O on {sys.platform}, {here}")
    return _NUMBERS[here]


def _call(number: int, *arguments: int) -> int:
    """A system call, made again when a signal cut it short; OSError where it fails."""
    while True:
        answer = int(_libc().syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)))
        if answer >= 0:
            return answer
        if (code := ctypes.get_errno()) != errno.EINTR:
            raise OSError(code, os.strerror(code))


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
