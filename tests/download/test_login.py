"""Log-in data: where they come from, where they are sent, and that they are never shown."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from downloading import NAME, Fault, answering, redirect_to_itself, serve

from imnetlib import download
from imnetlib.download import DownloadError, login
from imnetlib.download.answers import login_hint
from imnetlib.download.state import DownloadState


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


def page(request: BaseHTTPRequestHandler, status: int) -> None:
    """Answer with a page of HTML."""
    request.send_response(status)
    request.send_header("Content-Type", "text/html; charset=utf-8")
    request.send_header("Content-Length", "0")
    request.end_headers()


GIVEN = [
    {},
    {"IMAGENET_USER": "ada", "IMAGENET_KEY": "s3cret"},
    {"IMAGENET_COOKIE": "sid=s3cret"},
    {"IMAGENET_COOKIE": "sid=s3cret", "IMAGENET_USER": "ada", "IMAGENET_KEY": "s3cret"},
]
IDS = ["nothing", "key", "cookie", "both"]


@pytest.mark.parametrize("way", ["environment", "file"])
@pytest.mark.parametrize("given", GIVEN, ids=IDS)
@pytest.mark.parametrize("status", [401, 403, 200])
@pytest.mark.parametrize("leads_to", ["", "/login", "http://localhost"])
def test_a_wrong_log_in_is_told_from_a_missing_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    given: dict[str, str],
    status: int,
    leads_to: str,
):
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == f"/{NAME}" and leads_to:
            request.send_response(302)
            port = request.server.server_address[1]
            place = f"{leads_to}:{port}/login" if "://" in leads_to else leads_to
            request.send_header("Location", place)
            request.end_headers()
        else:
            page(request, status)

    source = ""
    secrets = None
    if way == "environment":
        for name, value in given.items():
            monkeypatch.setenv(name, value)
    elif given:
        secrets = str(tmp_path / "login")
        Path(secrets).touch(mode=0o600)
        Path(secrets).write_text("".join(f"{n}={value}\n" for n, value in given.items()))
        source = f" of {secrets}"
    with answering(answer) as url, pytest.raises(DownloadError) as caught:
        download.download(url, tmp_path / NAME, credentials=secrets)
    _, _, hint = str(caught.value).partition("nothing of it was kept; ")
    named = ", ".join(given) + source
    if not given:
        certain = "this" if status == 401 else "if this"
        expected = (
            f"{certain} needs a log-in: set IMAGENET_USER and IMAGENET_KEY or IMAGENET_COOKIE"
        )
    elif "://" in leads_to:
        expected = (
            f"it leads to localhost, where this log-in ({named}) is not sent: "
            "check the log-in and the address"
        )
    else:
        seems = "it seems that " if status == 200 else ""
        expected = f"{seems}the server refused this log-in ({named}): check it"
    assert hint == expected
    assert "s3cret" not in str(caught.value)


def test_a_log_in_that_ends_in_the_middle(
    site: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    """A cookie of days may not outlive the download: what is there stays."""
    monkeypatch.setenv("IMAGENET_COOKIE", "sid=s3cret")
    with serve(site, [Fault(drop_after=300_000), Fault(page=403)]) as base:
        message = r"the server refused this log-in \(IMAGENET_COOKIE\): check it"
        with pytest.raises(DownloadError, match=message):
            download.download(base + NAME, target)
        assert download.download(base + NAME, target).resumed_from > 0


def test_a_log_in_that_only_leads_round_in_circles(
    target: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
):
    monkeypatch.setenv("IMAGENET_COOKIE", "sid=s3cret")

    message = r"redirects without an end; the server refused this log-in \(IMAGENET_COOKIE\)"
    with answering(redirect_to_itself) as url, pytest.raises(DownloadError, match=message):
        download.download(url, target)
    assert pauses == []


def test_a_log_in_that_requests_finds_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "netrc").write_text("machine example.org login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    url = "https://example.org/set.tar"
    answer = requests.Response()
    answer.url = url
    answer.status_code = 403
    answer.request = requests.Session().prepare_request(requests.Request("GET", url))
    transfer = DownloadState(url, tmp_path / NAME, None, None, None, False)
    hint = "; the server refused this log-in (of the file .netrc): check it"
    assert login_hint(answer, transfer) == hint


def test_a_key_of_any_letters(
    refusing: tuple[str, list[dict[str, str]]], target: Path, monkeypatch: pytest.MonkeyPatch
):
    url, seen = refusing
    monkeypatch.setenv("IMAGENET_USER", "ада")
    monkeypatch.setenv("IMAGENET_KEY", "ключ")
    with pytest.raises(DownloadError, match="refused this log-in"):
        download.download(url, target)
    sent = base64.b64decode(seen[0]["Authorization"].removeprefix("Basic "))
    assert sent.decode() == "ада:ключ"


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


@pytest.mark.parametrize(
    "cookie", ["sid=s3c\nret", "sid=s3c…ret", "sid=s3c\tret", "sid=s3c\udcffret"]
)
def test_a_cookie_that_cannot_be_sent_is_named_and_never_shown(
    target: Path, monkeypatch: pytest.MonkeyPatch, cookie: str
):
    monkeypatch.setenv("IMAGENET_COOKIE", cookie)
    with pytest.raises(ValueError, match=r"^IMAGENET_COOKIE is not one line of ASCII") as caught:
        download.download("http://127.0.0.1:9/x", target)
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize("line", ["Cookie: sid=3; a=b", " cookie:sid=3;a=b\n"])
def test_a_cookie_may_be_the_line_that_a_browser_shows(
    refusing: tuple[str, list[dict[str, str]]],
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
):
    url, seen = refusing
    monkeypatch.setenv("IMAGENET_COOKIE", line)
    with pytest.raises(DownloadError):
        download.download(url, target)
    assert seen[0]["Cookie"] == "sid=3; a=b"


def test_a_log_in_and_a_file_in_another_encoding(
    refusing: tuple[str, list[dict[str, str]]], target: Path, monkeypatch: pytest.MonkeyPatch
):
    url, seen = refusing
    monkeypatch.setenv("IMAGENET_USER", "ad\udce4")
    monkeypatch.setenv("IMAGENET_KEY", "key")
    with pytest.raises(DownloadError):
        download.download(url, target)
    assert (
        seen[0]["Authorization"]
        == f"Basic {base64.b64encode(b'ad' + bytes([228]) + b':key').decode()}"
    )
    secrets = target.parent.parent / "login"
    secrets.touch(mode=0o600)
    secrets.write_bytes(b"IMAGENET_COOKIE=s\xe9cret")
    with pytest.raises(ValueError, match=f"^{secrets} is no text in UTF-8: save it as that$"):
        download.download(url, target, credentials=secrets)
