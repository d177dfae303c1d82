"""Downloads that survive days: resumed after any break, verified and indexed while they are written (chapter 1).

A download is ``NAME.part`` with a small ``NAME.part.json`` beside it (address, size, ETag, Last-Modified) until
its length and its MD5 are right; only then it gets its name. Protocol: RFC 9110, sections 13 to 15.
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from imnetlib.archive import TarScanner, index_path
from imnetlib.catalog import Archive, Dataset
from imnetlib.files import NO_LOCKS, fsync_folder, full_disk_named, require_space, write_atomically
from imnetlib.progress import progress

_BLOCK = 1 << 16
_TIMEOUT = (30, 60)  # seconds to connect, seconds without a byte
_LONGEST_PAUSE = 300.0  # seconds between two attempts
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_NAMES = ("IMAGENET_USER", "IMAGENET_KEY", "IMAGENET_COOKIE")
_MD5 = re.compile(r"[0-9a-f]{32}")
_log = logging.getLogger(__name__)  # warnings reach stderr unless the program says otherwise
_sleep = time.sleep


class DownloadError(OSError):
    """A download that failed for good; what was fetched stays, and another call goes on from there."""


class _BreakError(Exception):
    """This attempt is over; the next may do better."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one call of ``download`` did; ``notes`` has a line for each break and each start from zero.

    ``index`` is where the index of the tar lies, None if there was none to make.
    """

    path: Path
    bytes_fetched: int
    resumed_from: int  # bytes that an earlier call had left
    restarts: int  # times that bytes already there were thrown away
    seconds: float
    md5: str
    notes: tuple[str, ...]
    index: Path | None = None


class _Pass:
    """The one pass over a file's bytes, in order: its MD5 and, of a ``tar``, the index."""

    def __init__(self, tar: Path | None) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._scanner = TarScanner(tar) if tar is not None else None

    def update(self, block: bytes) -> None:
        """Take the next bytes."""
        self._md5.update(block)
        if self._scanner is not None:
            self._scanner.update(block)

    def over(self, path: Path) -> _Pass:
        """Take all bytes of a file; 0.9 GB/s."""
        with path.open("rb") as file, progress(path.stat().st_size, f"MD5 of {path.name}", "B") as bar:
            while block := file.read(1 << 20):
                self.update(block)
                bar.update(len(block))
        return self

    @property
    def md5(self) -> str:
        """The MD5 of the bytes so far, in hexadecimal digits."""
        return self._md5.hexdigest()

    def save_index(self, path: Path) -> Path | None:
        """Save the index there; None, and a warning that says why, if there is none: the file itself is fine."""
        if self._scanner is None:
            return None
        try:
            self._scanner.index().save(path)
        except ValueError as problem:
            _log.warning("no index: %s", problem)
            return None
        return path


@dataclass(slots=True)
class _Transfer:
    """One download under way: the first ``have`` bytes lie in ``part``, and ``seen`` has seen them."""

    url: str
    part: Path
    size: int | None  # what the caller expects
    tar: Path | None  # the name it gets, if it is to be indexed
    seen: _Pass
    have: int = 0
    known: dict[str, Any] = field(default_factory=dict)  # address, size, etag, modified: the sidecar
    fetched: int = 0
    restarts: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The URL without its query and fragment: those may hold a secret, and change with each log-in."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    @property
    def sidecar(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    @property
    def lock(self) -> Path:
        return self.part.with_name(self.part.name + ".lock")


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

    ``size`` (bytes) and ``md5`` are checked if given; ``bandwidth`` caps the rate in bytes per second. Gives up
    after ``attempts`` in a row that bring nothing new, with growing pauses between. Log-in data come from the
    environment, IMAGENET_COOKIE or IMAGENET_USER and IMAGENET_KEY, or as NAME=VALUE lines from the file
    ``credentials``, of mode 600. With ``index`` the index of a tar is left as NAME.npz, made while its bytes arrive
    (``archive.TarIndex``). Raises DownloadError for a refusal, a web page in place of the file, a second process on
    the same file, a wrong size or MD5 (the bytes are then kept as NAME.damaged); OSError for a disk that is too
    small or fills up; FileExistsError when ``destination`` is another file. One pass over the data; what an earlier
    call left is read once for its MD5.
    """
    began, destination = time.monotonic(), Path(destination)
    if urlsplit(url).password:
        raise ValueError("the address holds a password: give IMAGENET_USER and IMAGENET_KEY instead")
    if bandwidth is not None and bandwidth <= 0:
        raise ValueError(f"bandwidth is more than 0 bytes a second, or None for no limit, not {bandwidth}")
    if md5 is not None and not _MD5.fullmatch(md5 := md5.lower()):
        raise ValueError(f"an MD5 has 32 digits of 0 to 9 and a to f, not {md5!r}")
    tar, table = destination if index else None, index_path(destination)
    state = _Transfer(url, destination.with_name(destination.name + ".part"), size, tar, _Pass(tar))
    if destination.exists():
        there = destination.stat().st_size
        _check_there(destination, state.seen, size, md5)
        _tidy(state)  # a kill right after the last rename leaves something
        seconds, found = time.monotonic() - began, state.seen.md5
        return Result(destination, 0, there, 0, seconds, found, (), state.seen.save_index(table))
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _alone(state.lock, destination), requests.Session() as session:
        _pick_up(state)
        resumed_from = state.have
        # No proxy stands between a machine and itself, whatever the environment says.
        session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost")
        _log_in(session, url, credentials)
        _persist(session, state, bandwidth, attempts)
        found = state.seen.md5
        table.unlink(missing_ok=True)  # of a file that was there before
        _finish(state, destination, found, md5)
        saved = state.seen.save_index(table)
    seconds, notes = time.monotonic() - began, tuple(state.notes)
    return Result(destination, state.fetched, resumed_from, state.restarts, seconds, found, notes, saved)


@contextmanager
def _alone(lock: Path, destination: Path) -> Iterator[None]:
    """Keep a second process away: two that append to one file leave a mixture. A killed one holds nothing."""
    if sys.platform == "win32":  # no flock there, and a lock file would outlive a kill
        yield
        return
    import fcntl

    with lock.open("wb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Without its name, or with the file there, this lock was let go of a moment ago by one that is done.
            taken = os.fstat(held.fileno()).st_nlink == 0 or destination.exists()
        except BlockingIOError:
            taken = True
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            taken = False  # a file system without locks, as Lustre often is: no worse than before
        if taken:
            raise DownloadError(f"another process is downloading {destination}: run this again later")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # while it is held: nobody else can hold it yet


def _check_there(destination: Path, seen: _Pass, size: int | None, md5: str | None) -> None:
    """Let ``seen`` see a file that is there; FileExistsError if it is not the one wanted."""
    there = destination.stat().st_size
    if size not in (None, there):
        raise FileExistsError(f"{destination} has {there:,} bytes, not {size:,}: move it away, then download")
    if md5 not in (None, found := seen.over(destination).md5):
        raise FileExistsError(f"{destination} has MD5 {found}, not {md5}: move it away, then download")


def _pick_up(state: _Transfer) -> None:
    """Take over what an earlier call left, if it is of this size, and this address or one that If-Range can ask."""
    try:
        known, have = json.loads(state.sidecar.read_bytes()), state.part.stat().st_size
        ours = have <= known["size"] and state.size in (None, known["size"])
        ours = ours and bool(known["etag"] or known["modified"] or known["address"] == state.address)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        ours = False  # no record, or none that makes sense
    if ours:
        state.have, state.known = have, known
        state.seen.over(state.part)
    elif state.part.exists():
        state.have = state.part.stat().st_size
        _start_over(state, f"{state.part.name} belonged to another download: started over")


def _start_over(state: _Transfer, why: str) -> None:
    """Throw away what is there: the data first, for a record without data means nothing."""
    state.part.unlink(missing_ok=True)
    state.sidecar.unlink(missing_ok=True)
    _log.warning("%s: %s, %s bytes thrown away", state.part.stem, why, f"{state.have:,}")
    state.restarts += 1
    state.notes.append(why)
    state.have, state.known, state.seen = 0, {}, _Pass(state.tar)


def _log_in(session: requests.Session, url: str, credentials: Path | None) -> None:
    """Give the session what the environment or the file holds; neither appears in any message."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    domain = host if "." in host else f"{host}.local"  # what http.cookiejar calls a host without a dot
    given = dict(os.environ)
    if credentials is not None:
        given |= _credentials(credentials)
    for pair in filter(None, map(str.strip, given.get("IMAGENET_COOKIE", "").split(";"))):
        # Not a plain header: requests drops that at the first redirect. The jar sends it to this host alone.
        name, _, value = pair.partition("=")
        session.cookies.set(name, value, domain=domain, secure=parts.scheme == "https")
    if given.get("IMAGENET_USER") and given.get("IMAGENET_KEY"):
        session.auth = (given["IMAGENET_USER"], given["IMAGENET_KEY"])


def _credentials(path: Path) -> dict[str, str]:
    """The NAME=VALUE lines of a file, as a shell would read them; no message shows a value."""
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise PermissionError(f"others can read {path}: chmod 600 {path}")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip() in _NAMES:
            found[name.strip()] = value.strip().strip("\"'")
        elif line.strip() and not line.strip().startswith("#"):
            raise ValueError(f"{path}, line {number}: expected NAME=VALUE, NAME one of {', '.join(_NAMES)}")
    if not found.get("IMAGENET_COOKIE") and not (found.get("IMAGENET_USER") and found.get("IMAGENET_KEY")):
        raise ValueError(f"{path} holds no log-in: write IMAGENET_COOKIE, or IMAGENET_USER and IMAGENET_KEY")
    return found


def _persist(session: requests.Session, state: _Transfer, bandwidth: int | None, attempts: int) -> None:
    """One attempt after another until all bytes are there."""
    failures, best = 0, state.have
    while state.have != state.known.get("size", -1):
        try:
            _attempt(session, state, bandwidth)
        except _BreakError as why:
            state.notes.append(f"broken off at byte {state.have:,}: {why}")
            # Bytes that come a second time, after a start from zero, are no progress: that could go on for ever.
            failures, best = (1, state.have) if state.have > best else (failures + 1, best)
            if failures >= attempts:
                raise DownloadError(
                    f"{state.address} brought nothing new, attempts: {failures}, lastly: {why}; "
                    f"run this again to go on from byte {state.have:,}"
                ) from None
            pause = min(_LONGEST_PAUSE, 2.0**failures) * random.uniform(0.5, 1.0)
            _log.warning("%s: %s; trying again in %.0f s", state.part.stem, state.notes[-1], pause)
            _sleep(pause)


def _attempt(session: requests.Session, state: _Transfer, bandwidth: int | None) -> None:
    """One request. Error texts of the HTTP libraries are dropped: they hold the address with its query."""
    headers = {"Accept-Encoding": "identity"}  # the file as it lies there
    if state.have:
        headers["Range"] = f"bytes={state.have}-"
        etag = state.known["etag"]
        validator = etag if etag and not etag.startswith("W/") else state.known["modified"]
        headers |= {"If-Range": validator} if validator else {}
    try:
        with session.get(state.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == 206 and state.have:
                _check_continuation(response, state)
            else:
                _check_whole(response, state)
            _receive(response.raw, state, bandwidth)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if isinstance(error, ValueError):  # an address that is none
            raise ValueError(
                f"{state.address}: {type(error).__name__}, this is no address to download"
            ) from None
        raise _BreakError(_said(error)) from None


def _said(error: Exception) -> str:
    """What happened, in words that hold no address."""
    reasons = [error, *(getattr(inner, "reason", inner) for inner in error.args)]
    if any(isinstance(reason, urllib3.exceptions.NameResolutionError) for reason in reasons):
        return "the server's name is not known here: is it right, and is there a network?"
    if any(isinstance(reason, urllib3.exceptions.NewConnectionError) for reason in reasons):
        return "the server takes no connection"
    return type(error).__name__


def _check_continuation(response: requests.Response, state: _Transfer) -> None:
    """206 is good only for exactly the bytes asked for, of the same file."""
    headers, etag, modified = response.headers, state.known["etag"], state.known["modified"]
    stated, size = headers.get("Content-Range"), state.known["size"]
    if stated not in [f"bytes {state.have}-{size - 1}/{total}" for total in (size, "*")]:
        _start_over(state, f"asked from byte {state.have:,} on, the server sent {stated}: started over")
    # A 206 must bring the ETag that a 200 would, but may leave out Last-Modified (RFC 9110, section 15.3.7).
    elif headers.get("ETag") != etag or not (etag or headers.get("Last-Modified", modified) == modified):
        _start_over(state, "the file on the server has changed: started over")
    else:
        return
    raise _BreakError("the answer did not fit what is there")


def _check_whole(response: requests.Response, state: _Transfer) -> None:
    """Any other answer must be 200 with the whole file; then it starts from zero, with a new record."""
    code, headers = response.status_code, response.headers
    if code in _TRY_AGAIN:
        raise _BreakError(f"the server answered {code} {response.reason}")
    if code == 416 and state.have:
        _start_over(state, "the file on the server has become shorter: started over")
        raise _BreakError("the server has no such range")
    if code != 200 or headers.get("Content-Type", "").startswith("text/html"):
        hint = "; if this needs a log-in, set IMAGENET_USER and IMAGENET_KEY or IMAGENET_COOKIE"
        raise DownloadError(
            f"{state.address}: the server answered {code} {response.reason}, {headers.get('Content-Type')}, and "
            f"nothing of it was kept{hint if code in (200, 401, 403) else ''}"
        )
    if not headers.get("Content-Length", "").isdigit():
        raise DownloadError(
            f"{state.address}: the server does not tell how long the file is, so a break looks whole"
        )
    size = int(headers["Content-Length"])
    if state.size not in (None, size):
        raise DownloadError(f"{state.address} has {size:,} bytes, not {state.size:,}: it is another file")
    record = {"address": state.address, "size": size}
    record |= {"etag": headers.get("ETag"), "modified": headers.get("Last-Modified")}
    if state.have:
        _start_over(state, f"{_difference(record, state.known)}: started over")
    with write_atomically(state.sidecar) as out:
        out.write(json.dumps(record).encode())
    state.known = record


def _difference(now: dict[str, Any], begun: dict[str, Any]) -> str:
    """Why a server sends the whole file when it was asked for the rest."""
    if now == begun:
        return "the server sends no part of a file, only all of it"
    if now["address"] != begun["address"]:
        return "this address has another file than the one that was begun"
    return "the file on the server has changed"


def _receive(body: Any, state: _Transfer, bandwidth: int | None) -> None:
    """Append the body, never beyond the file's size. _BreakError when it ends early."""
    size, before, began = state.known["size"], state.have, time.monotonic()
    require_space(state.part.parent, size - before)
    with state.part.open("ab", buffering=0) as out, progress(size, state.part.stem, "B") as bar:
        bar.n = bar.initial = bar.last_print_n = before  # the rate counts this attempt alone
        while block := body.read(min(_BLOCK, size - state.have)):
            _store(block, out, state.part)
            state.seen.update(block)
            state.have += len(block)
            state.fetched += len(block)
            bar.update(len(block))
            if bandwidth is not None:
                _sleep(max(0.0, (state.have - before) / bandwidth - (time.monotonic() - began)))
    if state.have < size:
        raise _BreakError("the connection ended early")


def _store(block: bytes, out: FileIO, part: Path) -> None:
    """Write all of a block: a full disk may take a part of it without an error."""
    with full_disk_named(part):
        while block:
            block = block[out.write(block) :]


def _finish(state: _Transfer, destination: Path, found: str, expected: str | None) -> None:
    """Give the file its name once it is on the disk; a damaged one gets another name."""
    there = state.part.stat().st_size
    if there != state.known["size"]:  # the MD5 is of what came, not of what lies there
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


def _tidy(state: _Transfer) -> None:
    """Remove all that stands beside a file that is whole, also what killed calls left."""
    half_written = state.part.parent.glob(f".{glob.escape(state.sidecar.name)}.*.tmp")
    for left in (*half_written, state.sidecar, state.lock):
        left.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """``state``: whole, missing, partial, wrong size, wrong MD5, or unchecked where nothing is known of it."""

    name: str
    state: str
    bytes: int


def verify_archives(dataset: Dataset, folder: Path, *, index: bool = False) -> list[ArchiveState]:
    """Compare the archives in ``folder`` with what their publisher states; reads each once (chapter 1).

    Those the course can spare are looked at where they are there. With ``index`` the same pass leaves the index of
    each whole tar, as NAME.npz.
    """
    begun = {path.name.removesuffix(".part") for path in folder.iterdir()} if folder.is_dir() else set()
    wanted = (*dataset.archives, *(archive for archive in dataset.others if archive.name in begun))
    return [_state(archive, folder, index) for archive in wanted]


def _state(archive: Archive, folder: Path, index: bool) -> ArchiveState:
    path, part = folder / archive.name, folder / f"{archive.name}.part"
    if not path.exists():
        there = part.stat().st_size if part.exists() else 0
        return ArchiveState(archive.name, "partial" if part.exists() else "missing", there)
    there = path.stat().st_size
    if archive.size not in (None, there):
        return ArchiveState(archive.name, "wrong size", there)
    if archive.md5 is None:
        return ArchiveState(archive.name, "unchecked", there)
    seen = _Pass(path if index and path.suffix == ".tar" else None).over(path)
    if seen.md5 != archive.md5:
        return ArchiveState(archive.name, "wrong MD5", there)
    seen.save_index(index_path(path))
    return ArchiveState(archive.name, "whole", there)
