"""Log-in data: where they come from, where they are sent, and that they are never shown."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from downloading import NAME, Fault, answering, serve

from imnetlib import download
from imnetlib.download import DownloadError, login


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a server that refuses everything, and the headers of its requests."""
    seen: list[dict[str, str]] = []

    def refuse(request: BaseHTTPRequestHandler) -> None:
        seen.append(dict(request.headers))
        request.send_error(403)

    with answering(refuse) as url:
        yield url, seen


def test_credentials_are_sent_and_never_shown(
    refusing: tuple[str, list[dict[str, str]]],
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    url, seen = refusing
    monkeypatch.setenv("IMAGENET_USER", "ada")
    monkeypatch.setenv("IMAGENET_KEY", "s3cret")
    with pytest.raises(DownloadError) as first:
        download.download(f"{url}?token=s3cret", target)
    secrets = target.parent.parent / "login"
    secrets.write_text("IMAGENET_COOKIE = sid=s3cret\nIMAGENET_USER =\n")
    with pytest.raises(PermissionError, match="chmod 600"):
        download.download(url, target, credentials=secrets)
    secrets.chmod(0o600)
    with pytest.raises(DownloadError) as second:
        download.download(url, target, credentials=secrets)
    assert seen[0]["Authorization"] == "Basic YWRhOnMzY3JldA=="
    assert seen[1]["Cookie"] == "sid=s3cret"
    assert "Authorization" not in seen[1]
    with pytest.raises(ValueError, match="holds a password") as third:
        download.download("http://ada:s3cret@127.0.0.1/x", target)
    shown = [*(str(caught.value) for caught in (first, second, third)), *capfd.readouterr()]
    assert "s3cret" not in "".join(shown)


def test_a_cookie_survives_a_redirect(target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMAGENET_COOKIE", "sid=s3cret; theme=dark=1;")
    seen: list[tuple[str, str | None]] = []

    def redirect(request: BaseHTTPRequestHandler) -> None:
        seen.append((request.path, request.headers.get("Cookie")))
        request.send_response(403 if request.path == "/there" else 302)
        request.send_header("Location", "/there")
        request.end_headers()

    with answering(redirect) as url, pytest.raises(DownloadError, match="answered 403"):
        download.download(url, target)
    assert seen == [(path, "sid=s3cret; theme=dark=1") for path in (f"/{NAME}", "/there")]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://mirror/x", True),
        ("https://example.org/x", True),
        ("https://data.example.org/x", True),
        ("http://example.org/x", False),
        ("https://example.com/x", False),
    ],
)
def test_where_a_cookie_is_sent(url: str, sent: bool, monkeypatch: pytest.MonkeyPatch):
    """To the host of the download and below it, and never unencrypted if that was encrypted."""
    monkeypatch.setenv("IMAGENET_COOKIE", "sid=s3cret")
    session = requests.Session()
    downloaded = url if "mirror" in url else "https://example.org/set.tar"
    login.log_in(session, downloaded, None)
    request = session.prepare_request(requests.Request("GET", url))
    assert ("Cookie" in request.headers) == sent


def test_a_secret_in_the_query_is_not_kept(site: Path, target: Path):
    with serve(site, [Fault(drop_after=200_000)]) as base:
        with pytest.raises(DownloadError) as caught:
            download.download(f"{base}{NAME}?key=s3cret", target, attempts=1)
        record = target.with_name(f"{NAME}.part.json").read_text()
        assert "s3cret" not in record + str(caught.value)
        assert json.loads(record)["address"] == base + NAME
        # The next log-in brings another key: the download goes on nevertheless.
        assert download.download(f"{base}{NAME}?key=other", target).resumed_from > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "user me\n",
            "line 1: expected NAME=VALUE, NAME one of IMAGENET_USER, IMAGENET_KEY, IMAGENET_COOKIE",
        ),
        ("# mine\nIMAGENET_USR=s3cret\n", "line 2: expected NAME=VALUE"),
        (
            "IMAGENET_USER=ada\n",
            "holds no log-in: write IMAGENET_COOKIE, or IMAGENET_USER and IMAGENET_KEY",
        ),
        ("", "holds no log-in"),
    ],
)
def test_a_credentials_file_that_holds_none(target: Path, tmp_path: Path, text: str, message: str):
    secrets = tmp_path / "login"
    secrets.write_text(text)
    secrets.chmod(0o600)
    with pytest.raises(ValueError, match=f"login.*{message}") as caught:
        download.download("http://127.0.0.1/x", target, credentials=secrets)
    assert "s3cret" not in str(caught.value)


def test_a_credentials_file_as_a_shell_would_read_it(
    refusing: tuple[str, list[dict[str, str]]], target: Path
):
    url, seen = refusing
    secrets = target.parent.parent / "login"
    secrets.write_text(
        "# of image-net.org\n\nexport IMAGENET_USER=\"ada\"\nIMAGENET_KEY = 's3cret'\n"
    )
    secrets.chmod(0o600)
    with pytest.raises(DownloadError):
        download.download(url, str(target), credentials=secrets)
    assert seen[0]["Authorization"] == "Basic YWRhOnMzY3JldA=="
