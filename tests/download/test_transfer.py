"""A transfer to its end: the bytes, the disk, other processes, what is asked wrongly."""

import errno
import fcntl
import gzip
import os
import threading
from http.server import BaseHTTPRequestHandler
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from downloading import DATA, MD5, NAME, Fault, answering, assert_whole, fetch, names_beside, serve

from imnetlib import download, files
from imnetlib.download import DownloadError, transfer


def test_a_download_without_trouble(site: Path, target: Path):
    result = fetch(site, target, size=len(DATA), md5=MD5)
    assert_whole(result, target)
    assert (result.bytes_fetched, result.resumed_from) == (len(DATA), 0)
    assert (result.restarts, result.notes) == (0, ())
    assert (result.was_there, result.verified) == (False, "md5")
    again = fetch(site, target, Fault(page=500), size=len(DATA), md5=MD5)
    assert (again.bytes_fetched, again.resumed_from) == (0, len(DATA))
    target.unlink()
    assert fetch(site, target).verified == "size"


def test_a_compressed_file_arrives_as_it_is(site: Path, target: Path):
    """Servers send .tar.gz with Content-Encoding: gzip, and many clients then unpack it unasked."""
    packed = gzip.compress(DATA)
    (site / "kit.tar.gz").write_bytes(packed)
    with serve(site) as base:
        download.download(f"{base}kit.tar.gz", target.with_name("kit.tar.gz"))
    assert target.with_name("kit.tar.gz").read_bytes() == packed


def test_an_md5_in_capital_letters(site: Path, target: Path):
    assert_whole(fetch(site, target, md5=MD5.upper()), target)


def test_mode_of_new_files_is_left_to_the_umask(site: Path, target: Path):
    before = os.umask(0o027)
    try:
        fetch(site, target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640


def test_what_is_there_and_stated_needs_no_server(target: Path):
    target.parent.mkdir()
    target.write_bytes(DATA)
    for stated, verified in (({"md5": MD5}, "md5"), ({"size": np.int64(len(DATA))}, "size")):
        result = download.download("http://nowhere.invalid/set.tar", str(target), **stated)
        assert_whole(result, target)
        assert (result.was_there, result.verified, result.notes) == (True, verified, ())


def test_what_is_there_and_not_stated_is_as_long_as_on_the_server(site: Path, target: Path):
    target.parent.mkdir()
    target.write_bytes(DATA)
    result = fetch(site, target)
    assert_whole(result, target)
    assert (result.was_there, result.verified) == (True, "size")
    assert (result.bytes_fetched, result.resumed_from) == (0, len(DATA))
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"set\.tar has 4 bytes, not 700,001: move it away"):
        fetch(site, target)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("headers", "status", "note"),
    [
        ({}, 200, "the server does not tell how long the file is"),
        ({"Content-Type": "text/html", "Content-Length": "9"}, 200, "answered 200 OK, text/html"),
        ({"Content-Length": "4"}, 401, "answered 401 Unauthorized"),
        ({"Content-Length": "4"}, 404, "answered 404 Not Found"),
        ({"Content-Length": "4"}, 503, "answered 503 Service Unavailable"),
        ({"Location": "/set.tar"}, 302, "the server redirects without an end"),
        ({}, 0, "ConnectionError"),
    ],
)
def test_what_can_be_compared_with_nothing_is_called_unverified(
    target: Path, headers: dict[str, str], status: int, note: str
):
    def answer(request: BaseHTTPRequestHandler) -> None:
        if status:
            request.send_response(status)
            for name, value in headers.items():
                request.send_header(name, value)
            request.end_headers()

    target.parent.mkdir()
    target.write_bytes(DATA)
    with answering(answer) as url:
        result = download.download(url, target)
    assert (result.was_there, result.verified, result.md5) == (True, "unverified", MD5)
    (said,) = result.notes
    assert said.startswith("not compared with the file on the server: ")
    assert note in said
    assert target.read_bytes() == DATA


def test_what_is_there_already(site: Path, target: Path):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="has 4 bytes, not 700,001: move it away"):
        fetch(site, target, size=len(DATA))
    with pytest.raises(FileExistsError, match=rf"has MD5 .* not {MD5}: move it away"):
        fetch(site, target, md5=MD5)
    assert target.read_bytes() == b"mine"


def test_a_damaged_byte_is_caught(site: Path, target: Path):
    message = rf"came with MD5 .*, not {MD5}: kept as .*set.tar.damaged"
    with pytest.raises(DownloadError, match=message):
        fetch(site, target, Fault(flip=123_456), md5=MD5)
    assert names_beside(target) == [f"{NAME}.damaged"]
    target.with_name(f"{NAME}.damaged").unlink()
    assert_whole(fetch(site, target, md5=MD5), target)


def test_a_slow_server_is_waited_for(site: Path, target: Path):
    """Throttled, but never silent for long: no break, no second request."""
    result = fetch(site, target, Fault(rate=2_000_000), md5=MD5)
    assert_whole(result, target)
    assert result.notes == ()
    assert result.seconds > 0.2


def test_the_bandwidth_cap(site: Path, target: Path, pauses: list[float]):
    """No pause is real here, so the last one is nearly the whole time that the cap demands."""
    fetch(site, target, bandwidth=70_000)
    assert len(pauses) >= len(DATA) // (1 << 16)
    assert 7 < pauses[-1] <= 10.001
    assert pauses == sorted(pauses)


def test_free_space_is_checked_first(site: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 700_000}))
    message = "here has 700,000 bytes free and 700,001 are needed: make"
    with pytest.raises(OSError, match=message) as caught:
        fetch(site, target)
    assert caught.value.errno == errno.ENOSPC
    assert f"{NAME}.part" not in names_beside(target)


def test_a_disk_that_fills_up(site: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    """A full disk takes part of a block, then nothing; after room is made the download goes on."""
    part = target.with_name(f"{NAME}.part")

    class Small(FileIO):
        def write(self, block: object) -> int:
            room = 250_000 - part.stat().st_size
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(block)[:room])  # type: ignore[call-overload]

    path_open = Path.open

    def open_small(path: Path, mode: str = "r", *args: object, **options: object) -> object:
        return Small(path, mode) if mode == "ab" else path_open(path, mode, *args, **options)

    with serve(site) as base:
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", open_small)
            message = "set.tar.part is full: make room and run this again"
            for _ in range(2):
                with pytest.raises(OSError, match=message):
                    download.download(base + NAME, target)
                assert part.read_bytes() == DATA[:250_000]
        result = download.download(base + NAME, target)
    assert result.resumed_from == 250_000
    assert_whole(result, target)


def test_a_disk_without_locks(site: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(files, "_warned_of_no_locks", threading.Event())
    with pytest.warns(UserWarning, match=f"the file system of {target.parent} has no locks"):
        assert_whole(fetch(site, target), target)


def test_two_at_once_on_one_file(target: Path):
    """The second call comes in the middle of the first, and is refused before any request."""
    refused: list[BaseException | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(DATA)))
        request.end_headers()
        request.wfile.write(DATA[:300_000])
        if not refused:
            refused.append(None)
            try:
                download.download(url, target)
            except DownloadError as error:
                refused[0] = error
        request.wfile.write(DATA[300_000:])

    with answering(answer) as url:
        assert_whole(download.download(url, target), target)
    assert str(refused[0]) == f"another process is downloading {target}: run this again later"


def test_a_part_that_something_else_changes(
    site: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    """The MD5 of the bytes that came is right; those on the disk are others."""
    part = target.with_name(f"{NAME}.part")

    def append(_: float) -> None:
        with part.open("ab") as other:
            other.write(b"!")

    monkeypatch.setattr(transfer, "_sleep", append)
    message = r"part has 700,0\d\d bytes, not the 700,001 that were written"
    with pytest.raises(DownloadError, match=message):
        fetch(site, target, md5=MD5, bandwidth=1 << 40)
    assert not target.exists()
    monkeypatch.setattr(transfer, "_sleep", lambda _: None)
    assert_whole(fetch(site, target, md5=MD5), target)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"md5": "xyz"}, ValueError, "an MD5 has 32 digits of 0 to 9 and a to f, not 'xyz'"),
        ({"md5": b"xyz"}, TypeError, r"an MD5 is text, a str, not b'xyz' \(bytes\)"),
        ({"size": -1}, ValueError, "size is 0 bytes or more, not -1"),
        ({"size": "700001"}, TypeError, "size is a whole number, not '700001'"),
        ({"bandwidth": -3}, ValueError, "bandwidth is more than 0"),
        ({"attempts": 0}, ValueError, "a download has 1 attempt or more, not 0"),
        ({"attempts": 1.5}, TypeError, "attempts is a whole number, not 1.5"),
        ({"url": Path("s3cret")}, TypeError, "^the address is text, a str, not a PosixPath$"),
    ],
)
def test_what_is_asked_wrongly_is_refused_before_the_first_byte(
    target: Path, options: dict[str, Any], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        download.download(**{"url": "http://127.0.0.1/x", "destination": target, **options})


@pytest.mark.parametrize("url", ["set.tar", "ftp://example.org/set.tar", "http://"])
def test_an_address_that_is_none(target: Path, url: str):
    with pytest.raises(ValueError, match="no address to download"):
        download.download(url, target)


def test_an_occupied_port(site: Path):
    with serve(site) as base:
        port = int(base.rstrip("/").rpartition(":")[2])
        message = f"port {port} of this machine is in use: choose another"
        with pytest.raises(OSError, match=message), serve(site, port=port):
            pass
