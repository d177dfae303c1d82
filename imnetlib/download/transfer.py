"""Downloads that survive days: resumed after any break, verified and indexed while they are written
(chapter 1).

A download is ``NAME.part`` with a small ``NAME.part.json`` beside it (address, size, ETag,
Last-Modified) until its length and its MD5 are right; only then it gets its name. Protocol: RFC
9110, sections 13 to 15.
"""

from __future__ import annotations

import glob
import json
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from imnetlib.archive import index_path
from imnetlib.download.answers import describe_failure, require_continuation, require_whole_file
from imnetlib.download.login import log_in
from imnetlib.download.state import (
    ConnectionBreakError,
    Digest,
    DownloadError,
    Transfer,
    log,
    start_over,
)
from imnetlib.files import fsync_folder, full_disk_named, require_space, try_lock
from imnetlib.progress import progress

_READ_SIZE = 1 << 16
# seconds to connect, seconds without a byte
_TIMEOUT = (30, 60)
# seconds between two attempts
_LONGEST_PAUSE = 300.0
_MD5 = re.compile(r"[0-9a-f]{32}")
_sleep = time.sleep


@dataclass(frozen=True, slots=True)
class Result:
    """What one call of ``download`` did; ``notes`` has a line for each break and each start from
    zero.

    ``index`` is where the index of the tar lies, None if there was none to make.
    """

    path: Path
    bytes_fetched: int
    # bytes that an earlier call had left
    resumed_from: int
    # times that bytes already there were thrown away
    restarts: int
    seconds: float
    md5: str
    notes: tuple[str, ...]
    index: Path | None = None


def download(
    url: str,
    destination: str | os.PathLike[str],
    *,
    size: int | None = None,
    md5: str | None = None,
    bandwidth: int | None = None,
    attempts: int = 8,
    credentials: Path | None = None,
    index: bool = False,
) -> Result:
    """Fetch ``url`` to ``destination``, going on where an earlier call stopped (chapter 1).

    ``size`` (bytes) and ``md5`` are checked if given; ``bandwidth`` caps the rate in bytes per
    second. Gives up after ``attempts`` in a row that bring nothing new, with growing pauses
    between. Log-in data come from the environment, IMAGENET_COOKIE or IMAGENET_USER and
    IMAGENET_KEY, or as NAME=VALUE lines from the file ``credentials``, of mode 600. With ``index``
    the index of a tar is left as NAME.npz, made while its bytes arrive (``archive.TarIndex``).
    Raises DownloadError for a refusal, a web page in place of the file, a second process on the
    same file, a wrong size or MD5 (the bytes are then kept as NAME.damaged); OSError for a disk
    that is too small or fills up; FileExistsError when ``destination`` is another file. One pass
    over the data; what an earlier call left is read once for its MD5.
    """
    began = time.monotonic()
    destination = Path(destination)
    if urlsplit(url).password:
        raise ValueError(
            "the address holds a password: give IMAGENET_USER and IMAGENET_KEY instead"
        )
    if bandwidth is not None and bandwidth <= 0:
        raise ValueError(
            f"bandwidth is more than 0 bytes a second, or None for no limit, not {bandwidth}"
        )
    if md5 is not None and not _MD5.fullmatch(md5 := md5.lower()):
        raise ValueError(f"an MD5 has 32 digits of 0 to 9 and a to f, not {md5!r}")
    tar = destination if index else None
    table = index_path(destination)
    state = Transfer(url, destination.with_name(destination.name + ".part"), size, tar, Digest(tar))
    if destination.exists():
        there = destination.stat().st_size
        _check_there(destination, state.seen, size, md5)
        # a kill right after the last rename leaves something
        _tidy(state)
        seconds = time.monotonic() - began
        found = state.seen.md5
        return Result(destination, 0, there, 0, seconds, found, (), state.seen.save_index(table))
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive_download(state.lock, destination), requests.Session() as session:
        _pick_up(state)
        resumed_from = state.have
        # No proxy stands between a machine and itself, whatever the environment says.
        session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost")
        log_in(session, url, credentials)
        _persist(session, state, bandwidth, attempts)
        found = state.seen.md5
        # of a file that was there before
        table.unlink(missing_ok=True)
        _finish(state, destination, found, md5)
        saved = state.seen.save_index(table)
    seconds = time.monotonic() - began
    notes = tuple(state.notes)
    return Result(
        destination, state.fetched, resumed_from, state.restarts, seconds, found, notes, saved
    )


@contextmanager
def _exclusive_download(lock: Path, destination: Path) -> Iterator[None]:
    """Keep a second process away: two that append to one file leave a mixture."""
    # On Windows a lock file would outlive a kill.
    if sys.platform == "win32":
        yield
        return
    with lock.open("wb") as held:
        # Without its name, or with the file there, this lock was let go of a moment ago by a process
        # that is done.
        taken = not try_lock(held.fileno())
        if taken or os.fstat(held.fileno()).st_nlink == 0 or destination.exists():
            raise DownloadError(
                f"another process is downloading {destination}: run this again later"
            )
        try:
            yield
        finally:
            # While it is held: nobody else can hold it yet.
            lock.unlink(missing_ok=True)


def _check_there(destination: Path, seen: Digest, size: int | None, md5: str | None) -> None:
    """Let ``seen`` see a file that is there; FileExistsError if it is not the one wanted."""
    there = destination.stat().st_size
    if size not in (None, there):
        raise FileExistsError(
            f"{destination} has {there:,} bytes, not {size:,}: move it away, then download"
        )
    if md5 not in (None, found := seen.over(destination).md5):
        raise FileExistsError(
            f"{destination} has MD5 {found}, not {md5}: move it away, then download"
        )


def _pick_up(state: Transfer) -> None:
    """Take over what an earlier call left, if it is of this size, and this address or one that
    If-Range can ask.
    """
    try:
        known = json.loads(state.sidecar.read_bytes())
        have = state.part.stat().st_size
        ours = have <= known["size"] and state.size in (None, known["size"])
        ours = ours and bool(
            known["etag"] or known["modified"] or known["address"] == state.address
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # no record, or none that makes sense
        ours = False
    if ours:
        state.have = have
        state.known = known
        state.seen.over(state.part)
    elif state.part.exists():
        state.have = state.part.stat().st_size
        start_over(state, f"{state.part.name} belonged to another download: started over")


def _persist(
    session: requests.Session, state: Transfer, bandwidth: int | None, attempts: int
) -> None:
    """One attempt after another until all bytes are there."""
    failures = 0
    best = state.have
    while state.have != state.known.get("size", -1):
        try:
            _attempt(session, state, bandwidth)
        except ConnectionBreakError as why:
            state.notes.append(f"broken off at byte {state.have:,}: {why}")
            # Bytes that come a second time, after a start from zero, are no progress: that could go
            # on for ever.
            failures, best = (1, state.have) if state.have > best else (failures + 1, best)
            if failures >= attempts:
                raise DownloadError(
                    f"{state.address} brought nothing new, attempts: {failures}, lastly: {why}; "
                    f"run this again to go on from byte {state.have:,}"
                ) from None
            pause = min(_LONGEST_PAUSE, 2.0**failures) * random.uniform(0.5, 1.0)
            log.warning("%s: %s; trying again in %.0f s", state.part.stem, state.notes[-1], pause)
            _sleep(pause)


def _attempt(session: requests.Session, state: Transfer, bandwidth: int | None) -> None:
    """One request. Error texts of the HTTP libraries are dropped: they hold the address with its
    query.
    """
    # the file as it lies there
    headers = {"Accept-Encoding": "identity"}
    if state.have:
        headers["Range"] = f"bytes={state.have}-"
        etag = state.known["etag"]
        validator = etag if etag and not etag.startswith("W/") else state.known["modified"]
        headers |= {"If-Range": validator} if validator else {}
    try:
        with session.get(state.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == 206 and state.have:
                require_continuation(response, state)
            else:
                require_whole_file(response, state)
            _receive(response.raw, state, bandwidth)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        # an address that is none
        if isinstance(error, ValueError):
            raise ValueError(
                f"{state.address}: {type(error).__name__}, this is no address to download"
            ) from None
        raise ConnectionBreakError(describe_failure(error)) from None


def _receive(body: Any, state: Transfer, bandwidth: int | None) -> None:
    """Append the body, never beyond the file's size. _BreakError when it ends early."""
    size = state.known["size"]
    before = state.have
    began = time.monotonic()
    require_space(state.part.parent, size - before)
    with state.part.open("ab", buffering=0) as out, progress(size, state.part.stem, "B") as bar:
        # the rate counts this attempt alone
        bar.n = bar.initial = bar.last_print_n = before
        while block := body.read(min(_READ_SIZE, size - state.have)):
            _store(block, out, state.part)
            state.seen.update(block)
            state.have += len(block)
            state.fetched += len(block)
            bar.update(len(block))
            if bandwidth is not None:
                _sleep(max(0.0, (state.have - before) / bandwidth - (time.monotonic() - began)))
    if state.have < size:
        raise ConnectionBreakError("the connection ended early")


def _store(block: bytes, out: FileIO, part: Path) -> None:
    """Write all of a block: a full disk may take a part of it without an error."""
    with full_disk_named(part):
        while block:
            block = block[out.write(block) :]


def _finish(state: Transfer, destination: Path, found: str, expected: str | None) -> None:
    """Give the file its name once it is on the disk; a damaged one gets another name."""
    there = state.part.stat().st_size
    # the MD5 is of what came, not of what lies there
    if there != state.known["size"]:
        raise DownloadError(
            f"{state.part} has {there:,} bytes, not the {state.known['size']:,} that were written: "
            "something else changes it; stop that, then run this again"
        )
    if expected is not None and found != expected:
        damaged = destination.with_name(destination.name + ".damaged")
        state.part.replace(damaged)
        state.sidecar.unlink()
        raise DownloadError(
            f"{state.address} came with MD5 {found}, not {expected}: kept as {damaged}, download it again"
        )
    with state.part.open("rb+") as out:
        os.fsync(out.fileno())
    state.part.replace(destination)
    fsync_folder(destination.parent)
    _tidy(state)


def _tidy(state: Transfer) -> None:
    """Remove all that stands beside a file that is whole, also what killed calls left."""
    half_written = state.part.parent.glob(f".{glob.escape(state.sidecar.name)}.*.tmp")
    for left in (*half_written, state.sidecar, state.lock):
        left.unlink(missing_ok=True)
