"""The transfer of one file, attempt after attempt, until it is whole (chapter 1).

It is ``NAME.part`` with a small ``NAME.part.json`` beside it (address, size, ETag, Last-Modified)
until its length and its MD5 are right; only then does it get its name.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
import urllib3

from imnetlib.archive import index_path
from imnetlib.arguments import PathLike, require, whole_number
from imnetlib.download.answers import (
    failure_of,
    login_hint,
    require_continuation,
    require_trust,
    require_whole_file,
    whole_length,
)
from imnetlib.download.login import log_in
from imnetlib.download.state import (
    ConnectionBreakError,
    DownloadError,
    DownloadState,
    UnknownServerError,
)
from imnetlib.files import fsync_folder, name_full_disk, require_space, try_lock
from imnetlib.progress import progress, skip

_log = logging.getLogger(__name__)
_READ_SIZE = 1 << 16
# Seconds to connect, and without a byte.
_TIMEOUT = (30, 60)
# Seconds between two attempts.
_LONGEST_PAUSE = 300.0
# Attempts at a name that has led nowhere yet.
_NAME_ATTEMPTS = 2
_sleep = time.sleep


Verified = Literal["md5", "size", "unverified"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one call of ``download`` did; ``notes`` has a line for each break and restart.

    An earlier call had left ``resumed_from`` bytes; a restart throws away the bytes so far.
    ``was_there``: the file had its name already, so it was only read. ``verified`` is what the file
    agrees in: the stated MD5, else the stated size or the server's; "unverified" is a file that was
    there and could be compared with nothing. ``index`` is the path of the tar's index, None if
    there was none to make.
    """

    path: Path
    bytes_fetched: int
    resumed_from: int
    restarts: int
    seconds: float
    md5: str
    notes: tuple[str, ...]
    was_there: bool
    verified: Verified
    index: Path | None = None


def download(
    url: str,
    destination: PathLike,
    *,
    size: int | None = None,
    md5: str | None = None,
    bandwidth: float | None = None,
    attempts: int = 8,
    credentials: PathLike | None = None,
    index: bool = False,
) -> Result:
    """Fetch ``url`` to ``destination``, going on where an earlier call stopped (chapter 1).

    Args:
        url: The address, without a password in it.
        destination: The path of the file.
        size: The bytes that the file must have.
        md5: The MD5 that the file must have, in hexadecimal digits.
        bandwidth: The most bytes per second.
        attempts: Give up after so many in a row that bring nothing new; the pauses between grow.
            After two where the name of the server is not known and no byte has come.
        credentials: A file of mode 600 with NAME=VALUE lines, beside the environment, for
            IMAGENET_COOKIE, or IMAGENET_USER and IMAGENET_KEY.
        index: Leave the index of a tar as NAME.npz, made while its bytes arrive.

    Raises DownloadError for a refusal, a web page in place of the file, a second process on the
    same file, a wrong size or MD5 (the bytes are then kept as NAME.damaged); OSError for a disk
    that is too small or fills up; FileExistsError when ``destination`` is another file. One pass
    over the data; what an earlier call left is read once for its MD5.
    """
    began = time.monotonic()
    attempts = whole_number("attempts", attempts)
    require(attempts >= 1, "a download has 1 attempt or more", attempts)
    transfer = DownloadState(url, Path(destination), size, md5, bandwidth, index)
    was_there = transfer.destination.exists()
    with requests.Session() as session:
        # No proxy stands between a machine and itself, whatever the environment says.
        session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost")
        transfer.login = log_in(session, url, credentials)
        if was_there:
            verified = _verify_existing(session, transfer)
        else:
            verified = _fetch(session, transfer, attempts)
    saved = transfer.scan.save_index()
    return Result(
        path=transfer.destination,
        bytes_fetched=transfer.fetched,
        resumed_from=transfer.resumed_from,
        restarts=transfer.restarts,
        seconds=time.monotonic() - began,
        md5=transfer.scan.md5,
        notes=tuple(transfer.notes),
        was_there=was_there,
        verified=verified,
        index=saved,
    )


def _fetch(session: requests.Session, transfer: DownloadState, attempts: int) -> Verified:
    """Bring the file, or the rest of it, under its name."""
    transfer.destination.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive_download(transfer):
        _pick_up(transfer)
        transfer.resumed_from = transfer.have
        _persist(session, transfer, attempts)
        # An index may be left of a file that was here before.
        index_path(transfer.destination).unlink(missing_ok=True)
        _finish(transfer)
    return "size" if transfer.md5 is None else "md5"


@contextmanager
def _exclusive_download(transfer: DownloadState) -> Iterator[None]:
    """Keep a second process away: two that append to one file leave a mixture."""
    # On Windows a lock file would outlive a kill.
    if sys.platform == "win32":
        yield
        return
    with transfer.lock.open("wb") as lock:
        # Without its name, or beside a finished file, the lock belonged to a process that has just
        # ended.
        locked = try_lock(lock.fileno(), transfer.destination.parent)
        is_stale = os.fstat(lock.fileno()).st_nlink == 0 or transfer.destination.exists()
        if not locked or is_stale:
            raise DownloadError(
                f"another process is downloading {transfer.destination}: run this again later"
            )
        try:
            yield
        finally:
            # While it is held, so that no other process can hold it.
            transfer.lock.unlink(missing_ok=True)


def _verify_existing(session: requests.Session, transfer: DownloadState) -> Verified:
    """Read the file that is there already; FileExistsError if it is not the one wanted."""
    destination = transfer.destination
    transfer.resumed_from = destination.stat().st_size
    expected = transfer.size
    if expected is None and transfer.md5 is None:
        expected = _length_on_server(session, transfer)
    if expected not in (None, transfer.resumed_from):
        raise FileExistsError(
            f"{destination} has {transfer.resumed_from:,} bytes, not {expected:,}: "
            "move it away, then download"
        )
    transfer.scan.update_from(destination)
    md5 = transfer.scan.md5
    if transfer.md5 not in (None, md5):
        raise FileExistsError(
            f"{destination} has MD5 {md5}, not {transfer.md5}: move it away, then download"
        )
    # A kill right after the last rename leaves something.
    _remove_leftovers(transfer)
    if transfer.md5 is not None:
        return "md5"
    return "unverified" if expected is None else "size"


def _length_on_server(session: requests.Session, transfer: DownloadState) -> int | None:
    """The file's bytes there, by a GET that is closed at once; None, and a note, if unknown.

    Some servers refuse a HEAD, and an address that is signed is signed for GET alone.
    """
    try:
        with _answer(session, transfer, {}) as response:
            return whole_length(response, transfer)
    except (DownloadError, ConnectionBreakError) as problem:
        transfer.notes.append(f"not compared with the file on the server: {problem}")
        return None


def _pick_up(transfer: DownloadState) -> None:
    """Take over what an earlier call left, unless it belongs to another download."""
    try:
        record = json.loads(transfer.sidecar.read_bytes())
        have = transfer.part.stat().st_size
        is_ours = type(record["size"]) is int and transfer.size in (None, record["size"])
        # If-Range asks the server whether the file is still the same, at any address.
        same_address = record["address"] == transfer.address
        # Each is sent, as a line of a header.
        validators = [(record[name] or "").encode("latin-1") for name in ("etag", "modified")]
        is_ours = is_ours and all(len(validator.splitlines()) <= 1 for validator in validators)
        is_ours = is_ours and have <= record["size"] and (any(validators) or same_address)
    # There is no record, or none that makes sense.
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        is_ours = False
    if is_ours:
        transfer.have = have
        transfer.record = record
        transfer.scan.update_from(transfer.part)
    elif transfer.part.exists():
        transfer.have = transfer.part.stat().st_size
        transfer.start_over(f"{transfer.part.name} belonged to another download: started over")


def _persist(session: requests.Session, transfer: DownloadState, attempts: int) -> None:
    """Make one attempt after another until all bytes are there."""
    failures = 0
    most = transfer.have
    while transfer.have != transfer.record.get("size", -1):
        try:
            _attempt(session, transfer)
        except ConnectionBreakError as problem:
            transfer.notes.append(f"broken off at byte {transfer.have:,}: {problem}")
            # Bytes that come a second time, after a start from zero, are no progress: that could go
            # on for ever.
            failures = 1 if transfer.have > most else failures + 1
            most = max(most, transfer.have)
            never_known = isinstance(problem, UnknownServerError) and not transfer.fetched
            if failures >= (min(attempts, _NAME_ATTEMPTS) if never_known else attempts):
                came = "broke off" if failures == 1 and transfer.fetched else "brought nothing new"
                raise DownloadError(
                    f"{transfer.address} {came}, attempts: {failures}, "
                    f"lastly: {problem}; run this again to go on from byte {transfer.have:,}"
                ) from None
            pause = min(_LONGEST_PAUSE, 2.0**failures) * random.uniform(0.5, 1.0)
            name = transfer.destination.name
            _log.warning("%s: %s; trying again in %.0f s", name, transfer.notes[-1], pause)
            _sleep(pause)


def _attempt(session: requests.Session, transfer: DownloadState) -> None:
    """Make one request, and take what it brings."""
    headers = {}
    if transfer.have:
        headers["Range"] = f"bytes={transfer.have}-"
        etag = transfer.record["etag"]
        # A weak ETag does not promise the same bytes.
        validator = etag if etag and not etag.startswith("W/") else transfer.record["modified"]
        if validator:
            headers["If-Range"] = validator
    with _answer(session, transfer, headers) as response:
        if response.status_code == 206 and transfer.have:
            require_continuation(response, transfer)
        else:
            require_whole_file(response, transfer)
        _receive(response.raw, transfer)


@contextmanager
def _answer(
    session: requests.Session, transfer: DownloadState, headers: dict[str, str]
) -> Iterator[requests.Response]:
    """One request. Errors of the HTTP libraries are replaced: they show the whole address."""
    # Without compression on the way.
    headers = {"Accept-Encoding": "identity", **headers}
    try:
        with _get(session, transfer, headers) as response:
            yield response
    except requests.TooManyRedirects as error:
        hint = "" if error.response is None else login_hint(error.response, transfer)
        raise DownloadError(
            f"{transfer.address}: the server redirects without an end{hint}"
        ) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        require_trust(error, transfer)
        raise failure_of(error) from None


def _get(
    session: requests.Session, transfer: DownloadState, headers: dict[str, str]
) -> requests.Response:
    """The answer; ValueError for a bad address, DownloadError where the server leads to one."""
    answered: list[requests.Response] = []
    try:
        return session.get(
            transfer.url,
            headers=headers,
            stream=True,
            timeout=_TIMEOUT,
            hooks={"response": lambda response, **_: answered.append(response)},
        )
    # Those of requests and of urllib that are ValueErrors complain of the address.
    except ValueError as error:
        if answered:
            raise DownloadError(
                f"{transfer.address}: the server leads to what is no address to download"
            ) from None
        raise ValueError(
            f"{transfer.address}: {type(error).__name__}, this is no address to download"
        ) from None


def _receive(body: Any, transfer: DownloadState) -> None:
    """Append the body, never beyond the file's size; ConnectionBreakError when it ends early."""
    size = transfer.record["size"]
    before = transfer.have
    began = time.monotonic()
    require_space(transfer.part.parent, size - before)
    bar = progress(size, transfer.destination.name, "B")
    with bar, transfer.part.open("ab", buffering=0) as out:
        skip(bar, before)
        while block := body.read(min(_READ_SIZE, size - transfer.have)):
            _write_all(block, out, transfer.part)
            transfer.scan.update(block)
            transfer.have += len(block)
            transfer.fetched += len(block)
            bar.update(len(block))
            if transfer.bandwidth is not None:
                due = (transfer.have - before) / transfer.bandwidth
                _sleep(max(0.0, due - (time.monotonic() - began)))
    if transfer.have < size:
        raise ConnectionBreakError("the connection ended early")


def _write_all(block: bytes, out: FileIO, part: Path) -> None:
    """Write the whole block: a disk that fills up may take part of it without an error."""
    with name_full_disk(part):
        while block:
            block = block[out.write(block) :]


def _finish(transfer: DownloadState) -> None:
    """Give the file its name once it is on the disk; a damaged one gets another name."""
    part = transfer.part
    destination = transfer.destination
    size = part.stat().st_size
    # The MD5 is of the bytes that came, which may not be those on the disk.
    if size != transfer.record["size"]:
        raise DownloadError(
            f"{part} has {size:,} bytes, not the {transfer.record['size']:,} that were written: "
            "something else changes it; stop that, then run this again"
        )
    md5 = transfer.scan.md5
    if transfer.md5 not in (None, md5):
        damaged = destination.with_name(destination.name + ".damaged")
        part.replace(damaged)
        transfer.sidecar.unlink()
        raise DownloadError(
            f"{transfer.address} came with MD5 {md5}, not {transfer.md5}: "
            f"kept as {damaged}, download it again"
        )
    with part.open("rb+") as out:
        os.fsync(out.fileno())
    part.replace(destination)
    fsync_folder(destination.parent)
    _remove_leftovers(transfer)


def _remove_leftovers(transfer: DownloadState) -> None:
    """Remove all that stands beside a file that is whole, also what killed calls left."""
    half_written = transfer.part.parent.glob(f".{glob.escape(transfer.sidecar.name)}.*.tmp")
    for path in (*half_written, transfer.sidecar, transfer.lock):
        path.unlink(missing_ok=True)
