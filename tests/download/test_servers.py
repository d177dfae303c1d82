"""What ordinary servers do: redirect, ask for a log-in, compress, go down, replace a file."""

from __future__ import annotations

import base64
import gzip
import ssl
import subprocess
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from downloading import (
    DATA,
    MD5,
    NAME,
    Fault,
    answering,
    assert_whole,
    names_beside,
    redirect_to_itself,
    serve,
)

from imnetlib import download
from imnetlib.download import DownloadError, transfer

DATE = "Fri, 01 Jan 2010 00:00:00 GMT"


def send_rest(request: BaseHTTPRequestHandler, **headers: str) -> None:
    """Send the part of the file that was asked for; all of it breaks off at 300,000 bytes."""
    start = int(request.headers.get("Range", "bytes=0-")[6:-1])
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
    request.send_header("Content-Length", str(len(DATA) - start))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(DATA[start:] if start else DATA[:300_000])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_download_goes_on_after_a_break(target: Path, status: int):
    """Each attempt asks the address that was given, and is led to another server."""
    asked: list[str] = []

    def redirect(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        request.send_response(status)
        request.send_header("Location", there)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def send(request: BaseHTTPRequestHandler) -> None:
        send_rest(request, ETag='"1"')

    with answering(send) as there, answering(redirect) as here:
        result = download.download(here, target, md5=MD5, size=len(DATA))
    assert_whole(result, target)
    assert (result.bytes_fetched, result.restarts) == (len(DATA), 0)
    assert asked == [f"/{NAME}"] * 2


def test_a_redirect_to_itself_ends(target: Path):
    message = r"set\.tar.*[Rr]edirects"
    with answering(redirect_to_itself) as url, pytest.raises(DownloadError, match=message):
        download.download(url, target, attempts=2)
    assert names_beside(target) == []


@pytest.mark.parametrize("key", ["s3cret", "another", None])
def test_a_server_that_asks_for_a_password(
    target: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
):
    expected = "Basic " + base64.b64encode(b"ada:s3cret").decode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Authorization") == expected:
            send_rest(request, ETag='"1"')
            return
        request.send_response(401)
        request.send_header("WWW-Authenticate", 'Basic realm="archives"')
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        request.wfile.write(b"<html>401</html>")

    if key is not None:
        monkeypatch.setenv("IMAGENET_USER", "ada")
        monkeypatch.setenv("IMAGENET_KEY", key)
    with answering(answer) as url:
        if key == "s3cret":
            # The request for the rest has it as well.
            assert_whole(download.download(url, target), target)
            return
        with pytest.raises(DownloadError, match="answered 401 Unauthorized, text/html, and"):
            download.download(url, target)
    assert names_beside(target) == []


def test_a_server_that_compresses_what_it_can(target: Path):
    """It is asked not to: the length of a compressed body would not be that of the file."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        accepted = request.headers.get("Accept-Encoding", "")
        body = gzip.compress(DATA) if "gzip" in accepted or "*" in accepted else DATA
        request.send_response(200)
        if body is not DATA:
            request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with answering(answer) as url:
        assert_whole(download.download(url, target), target)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_server_that_goes_down_and_comes_back(
    site: Path, target: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
):
    """In the first pause it goes down, in the second it comes back, maybe with another file."""
    new = DATA[::-1] if replaced else DATA
    pauses = 0

    def pause(_: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 1:
            server.close()
        else:
            if replaced:
                (site / NAME).write_bytes(new)
            server.enter_context(serve(site, port=port))

    monkeypatch.setattr(transfer, "_sleep", pause)
    with ExitStack() as server:
        base = server.enter_context(serve(site, [Fault(drop_after=300_000)]))
        port = int(base.rstrip("/").rpartition(":")[2])
        result = download.download(base + NAME, target)
    assert target.read_bytes() == new
    assert names_beside(target) == [NAME]
    assert [note[:27] for note in result.notes[:2]] == ["broken off at byte 300,000:"] * 2
    assert result.restarts == replaced
    assert (result.bytes_fetched == len(DATA)) == (not replaced)
    assert len(result.notes) == (3 if replaced else 2)


def test_a_weak_etag_proves_nothing_so_the_date_is_asked_for(target: Path):
    """As servers have it that compress on the way: the tag stays, the bytes may differ."""
    conditions: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        conditions.append(request.headers.get("If-Range"))
        send_rest(request, ETag='W/"1"', Last_Modified=DATE)

    with answering(answer) as url:
        result = download.download(url, target)
    assert_whole(result, target)
    assert conditions == [None, DATE]


@pytest.mark.parametrize("place", ["http://[bad", "file:///etc/passwd", "ftp://a/b"])
def test_a_redirect_to_no_address(target: Path, place: str):
    def redirect(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", place)
        request.send_header("Content-Length", "0")
        request.end_headers()

    message = f"{NAME}: the server leads to what is no address to download$"
    with answering(redirect) as url:
        with pytest.raises(DownloadError, match=message):
            download.download(url, target)
        target.write_bytes(b"abc")
        assert download.download(url, target).verified == "unverified"


def test_a_certificate_that_is_not_trusted_is_refused_at_once(target: Path, pauses: list[float]):
    pem = target.parent.parent / "own.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command = ["openssl", *request, "-keyout", str(pem), "-out", str(pem.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem.with_suffix(".crt"), pem)
    with answering(redirect_to_itself, context) as url:
        message = r"is not trusted \(self.signed certificate\): .* REQUESTS_CA_BUNDLE can name"
        with pytest.raises(DownloadError, match=message):
            download.download(url, target)
    assert pauses == []
