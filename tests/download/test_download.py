"""Downloads against a real HTTP server that breaks in every way a server can."""

import errno
import gzip
import hashlib
import http.server
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import pytest
import requests
from faults import Fault, serve

from imnetlib import download, files
from imnetlib.archive import TarIndex, index_tar
from imnetlib.catalog import Archive, Dataset
from imnetlib.download import DownloadError, Result, login, transfer, verify_archives

DATA = random.Random(5).randbytes(700_001)
MD5 = hashlib.md5(DATA).hexdigest()
NAME = "set.tar"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / NAME).write_bytes(DATA)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "here" / NAME


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses asked for, in place of pausing."""
    asked: list[float] = []
    monkeypatch.setattr(transfer, "_sleep", asked.append)
    for name in ("IMAGENET_USER", "IMAGENET_KEY", "IMAGENET_COOKIE"):
        monkeypatch.delenv(name, raising=False)
    return asked


def fetch(site: Path, target: Path, *faults: Fault, **options: object) -> Result:
    with serve(site, faults) as base:
        return download.download(base + NAME, target, **options)


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def is_whole(result: Result, target: Path) -> None:
    assert target.read_bytes() == DATA
    assert result.md5 == MD5
    assert left(target) == [NAME]


def test_a_download_without_trouble(site: Path, target: Path):
    result = fetch(site, target, size=len(DATA), md5=MD5)
    is_whole(result, target)
    assert (result.bytes_fetched, result.resumed_from, result.restarts, result.notes) == (
        len(DATA),
        0,
        0,
        (),
    )
    again = fetch(site, target, Fault(page=500), size=len(DATA), md5=MD5)
    assert (again.bytes_fetched, again.resumed_from) == (0, len(DATA))


def test_breaks_in_mid_body_are_resumed(
    site: Path, target: Path, pauses: list[float], caplog: pytest.LogCaptureFixture
):
    faults = [
        Fault(drop_after=200_000),
        Fault(drop_after=0),
        Fault(page=503),
        Fault(drop_after=70_000),
    ]
    result = fetch(site, target, *faults, md5=MD5)
    is_whole(result, target)
    # no byte twice: every break was resumed
    assert result.bytes_fetched == len(DATA)
    assert result.restarts == 0
    assert len(result.notes) == len(pauses) == 4
    assert "the server answered 503" in result.notes[2]
    # nobody waits without knowing what for
    warned = [record.getMessage() for record in caplog.records]
    assert [text.startswith(f"{NAME}: broken off at byte ") for text in warned] == [True] * 4
    # Two breaks without a new byte lengthen the pause; the jitter takes at most half of it.
    assert all(low / 2 <= pause <= low for pause, low in zip(pauses, (2, 4, 8, 2), strict=True))


def test_a_later_call_goes_on_even_at_another_address(site: Path, target: Path):
    """The second server listens on another port; the ETag says that the file is the same."""
    with pytest.raises(
        DownloadError, match=r"nothing new, attempts: 1, lastly: ProtocolError; run this again"
    ):
        fetch(site, target, Fault(drop_after=300_000), attempts=1)
    there = target.with_name(f"{NAME}.part").stat().st_size
    assert 200_000 < there <= 300_000
    assert left(target) == [f"{NAME}.part", f"{NAME}.part.json"]
    result = fetch(site, target, attempts=1)
    is_whole(result, target)
    assert (result.resumed_from, result.restarts) == (there, 0)


def test_another_address_without_an_etag_starts_over(site: Path, target: Path):
    with pytest.raises(DownloadError):
        fetch(site, target, Fault(drop_after=300_000), attempts=1)
    record = target.with_name(f"{NAME}.part.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"etag": None, "modified": None}))
    result = fetch(site, target)
    is_whole(result, target)
    assert result.notes == (f"{NAME}.part belonged to another download: started over",)


def two_calls(
    site: Path, target: Path, *faults: Fault, change: Callable[[], object] = bool, **options: object
) -> Result:
    """The first call breaks at 300,000 bytes, the second meets ``faults``."""
    with serve(site, [Fault(drop_after=300_000), *faults]) as base:
        with pytest.raises(DownloadError):
            download.download(base + NAME, target, attempts=1, **options)
        change()
        return download.download(base + NAME, target, **options)


def test_the_next_call_fetches_only_the_rest(site: Path, target: Path):
    result = two_calls(site, target, md5=MD5, size=len(DATA))
    is_whole(result, target)
    assert result.resumed_from > 200_000
    assert result.bytes_fetched == len(DATA) - result.resumed_from


@pytest.mark.parametrize(
    ("faults", "note"),
    [
        (
            [Fault(ignore_range=True)],
            "the server sends no part of a file, only all of it: started over",
        ),
        ([Fault(etag="new"), Fault(etag="new")], "the file on the server has changed"),
        ([Fault(etag="new", ignore_if_range=True)], "the file on the server has changed"),
        (
            [Fault(content_range="bytes 0-400000/700001")],
            "the server sent bytes 0-400000/700001: started over",
        ),
        ([Fault(content_range="nonsense")], "the server sent nonsense: started over"),
    ],
)
def test_an_answer_that_does_not_fit_starts_over(
    site: Path, target: Path, faults: list[Fault], note: str
):
    result = two_calls(site, target, *faults)
    is_whole(result, target)
    assert result.restarts == 1
    assert note in result.notes[0]
    assert result.bytes_fetched == len(DATA)


def test_a_file_that_really_changed_between_two_calls(site: Path, target: Path):
    new = DATA[::-1] + b"longer"
    result = two_calls(site, target, change=lambda: (site / NAME).write_bytes(new))
    assert target.read_bytes() == new
    assert result.notes == ("the file on the server has changed: started over",)


def test_a_range_beyond_the_end(site: Path, target: Path):
    result = two_calls(
        site,
        target,
        Fault(ignore_if_range=True),
        change=lambda: (site / NAME).write_bytes(DATA[:1000]),
    )
    assert target.read_bytes() == DATA[:1000]
    assert result.notes[0] == "the file on the server has become shorter: started over"


@pytest.mark.parametrize("status", [200, 401, 403, 404, 410])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_page_never_reaches_the_file(site: Path, target: Path, status: int, resumed: bool):
    with pytest.raises(
        DownloadError,
        match=rf"answered {status} .*text/html.* nothing of it was kept(; .* IMAGENET_KEY)?",
    ) as said:
        (two_calls if resumed else fetch)(site, target, Fault(page=status))
    assert ("IMAGENET_KEY" in str(said.value)) == (status in (200, 401, 403))
    assert not target.exists()
    part = target.with_name(f"{NAME}.part")
    assert part.exists() == resumed
    if resumed:
        assert DATA.startswith(part.read_bytes())


def test_a_server_that_lies_about_the_length(site: Path, target: Path):
    result = fetch(site, target, Fault(extra_length=9))
    is_whole(result, target)
    assert "has become shorter: started over" in " ".join(result.notes)
    target.unlink()
    with pytest.raises(DownloadError, match=r"has 700,010 bytes, not 700,001: it is another file"):
        fetch(site, target, Fault(extra_length=9), size=len(DATA))
    assert left(target) == []


def test_a_damaged_byte_is_caught(site: Path, target: Path):
    with pytest.raises(
        DownloadError, match=rf"came with MD5 .*, not {MD5}: kept as .*set.tar.damaged"
    ):
        fetch(site, target, Fault(flip=123_456), md5=MD5)
    assert left(target) == [f"{NAME}.damaged"]
    target.with_name(f"{NAME}.damaged").unlink()
    is_whole(fetch(site, target, md5=MD5), target)


def test_a_byte_damaged_in_the_part_on_disk_is_caught(site: Path, target: Path):
    def damage() -> None:
        with target.with_name(f"{NAME}.part").open("r+b") as part:
            part.write(b"\0\1\2\3")

    with pytest.raises(DownloadError, match="came with MD5"):
        two_calls(site, target, change=damage, md5=MD5)
    assert not target.exists()


def test_a_stalled_server(site: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transfer, "_TIMEOUT", (5, 0.3))
    result = fetch(site, target, Fault(rate=100))
    is_whole(result, target)
    assert "ReadTimeoutError" in result.notes[0]


def test_a_slow_server_is_waited_for(site: Path, target: Path):
    """Throttled, but never silent for long: no break, no second request."""
    result = fetch(site, target, Fault(rate=2_000_000), md5=MD5)
    is_whole(result, target)
    assert result.notes == ()
    assert result.seconds > 0.2


def test_nobody_listens(target: Path):
    with serve(target.parent.parent) as base:
        pass
    with pytest.raises(DownloadError, match="attempts: 3, lastly: the server takes no connection;"):
        download.download(base + NAME, target, attempts=3)
    with pytest.raises(
        DownloadError, match=r"lastly: the server's name is not known here: is it right, and"
    ):
        download.download("http://nowhere.invalid/set.tar", target, attempts=1)


def test_a_server_that_always_starts_over_does_not_go_on_for_ever(
    site: Path, target: Path, pauses: list[float]
):
    faults = [Fault(drop_after=300_000, ignore_range=True)] * 50
    with pytest.raises(DownloadError, match="brought nothing new, attempts: 4"):
        fetch(site, target, *faults, attempts=4)
    assert len(pauses) == 3


def test_the_bandwidth_cap(site: Path, target: Path, pauses: list[float]):
    """Nobody really pauses here, so the last pause asked for is nearly the whole time that the cap
    demands.
    """
    fetch(site, target, bandwidth=70_000)
    assert len(pauses) >= len(DATA) // (1 << 16)
    assert 7 < pauses[-1] <= 10.001
    assert pauses == sorted(pauses)


def test_free_space_is_checked_first(site: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 700_000}))
    with pytest.raises(
        OSError, match=r"here has 700,000 bytes free and 700,001 are needed: make"
    ) as caught:
        fetch(site, target)
    assert caught.value.errno == errno.ENOSPC
    assert f"{NAME}.part" not in left(target)


def test_a_disk_that_fills_up(site: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    """A full disk takes part of a block, then nothing; after room is made the download goes on."""
    part = target.with_name(f"{NAME}.part")

    class Small(FileIO):
        def write(self, block: object) -> int:
            room = 250_000 - part.stat().st_size
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(block)[:room])  # type: ignore[call-overload]

    opened = Path.open
    with serve(site) as base:
        with monkeypatch.context() as patched:
            patched.setattr(
                Path,
                "open",
                lambda self, mode="r", *a, **k: (
                    Small(self, mode) if mode == "ab" else opened(self, mode, *a, **k)
                ),
            )
            for _ in range(2):
                with pytest.raises(
                    OSError, match=r"set.tar.part is full: make room and run this again"
                ):
                    download.download(base + NAME, target)
                assert part.read_bytes() == DATA[:250_000]
        result = download.download(base + NAME, target)
    assert result.resumed_from == 250_000
    is_whole(result, target)


def test_a_compressed_file_arrives_as_it_is(site: Path, target: Path):
    """Servers send .tar.gz with Content-Encoding: gzip, and many a client then unpacks it unasked."""
    packed = gzip.compress(DATA)
    (site / "kit.tar.gz").write_bytes(packed)
    with serve(site) as base:
        download.download(f"{base}kit.tar.gz", target.with_name("kit.tar.gz"))
    assert target.with_name("kit.tar.gz").read_bytes() == packed


def test_what_is_there_already(site: Path, target: Path):
    target.parent.mkdir()
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="has 4 bytes, not 700,001: move it away"):
        fetch(site, target, size=len(DATA))
    with pytest.raises(FileExistsError, match=rf"has MD5 .* not {MD5}: move it away"):
        fetch(site, target, md5=MD5)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b'{"address": 1}', b"\xff", None])
def test_a_part_without_a_sensible_record(site: Path, target: Path, record: bytes | None):
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(b"what is this?")
    if record is not None:
        target.with_name(f"{NAME}.part.json").write_bytes(record)
    result = fetch(site, target)
    is_whole(result, target)
    assert result.restarts == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from imnetlib.download import download, transfer
left = int(sys.argv[3])
def step(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[4] == "at a block":
    transfer._sleep = step
else:
    sys.addaudithook(lambda event, details: step() if event in ("os.rename", "os.remove") else None)
download(sys.argv[1], Path(sys.argv[2]), bandwidth=1 << 40)
"""


@pytest.mark.parametrize("when", ["at a block", "at a rename or removal"])
def test_sigkill_and_then_the_same_bytes(site: Path, target: Path, when: str):
    steps = (
        [random.Random(7).randint(1, 3) for _ in range(3)] if when == "at a block" else [1, 4, 3]
    )
    with serve(site) as base:
        for step in steps:
            command = [sys.executable, "-c", KILLED, base + NAME, str(target), str(step), when]
            process = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
            assert process.returncode == -signal.SIGKILL
            assert not target.exists() or target.read_bytes() == DATA
        result = download.download(base + NAME, target, md5=MD5, size=len(DATA))
    is_whole(result, target)
    assert result.resumed_from > 0
    assert result.restarts == 0


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{NAME}"
        server.shutdown()


def test_a_rest_that_is_longer_than_it_says(target: Path):
    """No byte beyond the announced end of the file is taken."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            self.send_response(206 if start else 200)
            header = (
                ("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
                if start
                else ("Content-Length", str(len(DATA)))
            )
            self.send_header(*header)
            self.end_headers()
            self.wfile.write(DATA[start:] + b"garbage" if start else DATA[:300_000])

    with serving(Handler) as url:
        is_whole(download.download(url, target), target)


def test_two_at_once_on_one_file(target: Path):
    """The second call comes in the middle of the first one's transfer, and of its own request
    nothing is heard.
    """
    refused: list[BaseException | None] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA[:300_000])
            if not refused:
                refused.append(None)
                try:
                    download.download(url, target)
                except DownloadError as error:
                    refused[0] = error
            self.wfile.write(DATA[300_000:])

    with serving(Handler) as url:
        is_whole(download.download(url, target), target)
    assert str(refused[0]) == f"another process is downloading {target}: run this again later"


def test_a_part_that_something_else_changes(
    site: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    """The MD5 of what came is right; what lies there is not."""
    part = target.with_name(f"{NAME}.part")

    def append(_: float) -> None:
        with part.open("ab") as other:
            other.write(b"!")

    monkeypatch.setattr(transfer, "_sleep", append)
    with pytest.raises(
        DownloadError, match=r"part has 700,0\d\d bytes, not the 700,001 that were written"
    ):
        fetch(site, target, md5=MD5, bandwidth=1 << 40)
    assert not target.exists()
    monkeypatch.setattr(transfer, "_sleep", lambda _: None)
    is_whole(fetch(site, target, md5=MD5), target)


class Rest(Quiet):
    """Half of the file without an ETag, then the rest as the test has it."""

    modified = "Fri, 01 Jan 2010 00:00:00 GMT"
    stated = f"bytes {{start}}-{len(DATA) - 1}/*"

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.send_header("Last-Modified", self.modified if start else Rest.modified)
        if start:
            self.send_header("Content-Range", self.stated.format(start=start))
        self.end_headers()
        self.wfile.write(
            DATA[start:] if start or self.modified != Rest.modified else DATA[:300_000]
        )


def test_a_rest_of_a_file_whose_length_is_left_open(target: Path):
    with serving(Rest) as url:
        result = download.download(url, target)
    is_whole(result, target)
    assert result.restarts == 0
    assert result.bytes_fetched == len(DATA)


def test_without_an_etag_the_date_tells_of_a_change(target: Path):
    class Changed(Rest):
        modified = "Sat, 02 Jan 2010 00:00:00 GMT"

    with serving(Rest) as url, serving(Changed) as other:
        target.parent.mkdir()
        target.with_name(f"{NAME}.part").write_bytes(b"old" * 1000)
        record = {"address": url, "size": len(DATA), "etag": None, "modified": Rest.modified}
        target.with_name(f"{NAME}.part.json").write_text(json.dumps(record))
        result = download.download(other, target)
    is_whole(result, target)
    assert result.notes[0] == "the file on the server has changed: started over"


def test_a_server_that_does_not_tell_the_length(target: Path):
    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(DATA[:1000])

    with (
        serving(Handler) as url,
        pytest.raises(DownloadError, match="does not tell how long the file is"),
    ):
        download.download(url, target)
    assert left(target) == []


@pytest.fixture
def asked() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that refuses everything and keeps the headers it was asked with."""
    seen: list[dict[str, str]] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            self.send_error(403)

    with serving(Handler) as url:
        yield url, seen


def test_credentials_are_sent_and_never_shown(
    asked: tuple[str, list[dict[str, str]]],
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    url, seen = asked
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
    assert "s3cret" not in str(first.value) + str(second.value) + str(third.value) + "".join(
        capfd.readouterr()
    )


def test_a_cookie_survives_a_redirect(target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMAGENET_COOKIE", "sid=s3cret; theme=dark=1;")
    seen: list[tuple[str, str | None]] = []

    class Handler(Quiet):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Cookie")))
            self.send_response(403 if self.path == "/there" else 302)
            self.send_header("Location", "/there")
            self.end_headers()

    with serving(Handler) as url, pytest.raises(DownloadError, match="answered 403"):
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
    """Given for https://example.org, or http://mirror: to that host, never in the clear where it
    was not.
    """
    monkeypatch.setenv("IMAGENET_COOKIE", "sid=s3cret")
    session = requests.Session()
    given_for = url if "mirror" in url else "https://example.org/set.tar"
    login.log_in(session, given_for, None)
    assert ("Cookie" in session.prepare_request(requests.Request("GET", url)).headers) == sent


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
    ("text", "said"),
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
def test_a_credentials_file_that_holds_none(target: Path, tmp_path: Path, text: str, said: str):
    secrets = tmp_path / "login"
    secrets.write_text(text)
    secrets.chmod(0o600)
    with pytest.raises(ValueError, match=f"login.*{said}") as caught:
        download.download("http://127.0.0.1/x", target, credentials=secrets)
    assert "s3cret" not in str(caught.value)


def test_a_credentials_file_as_a_shell_would_read_it(
    asked: tuple[str, list[dict[str, str]]], target: Path
):
    url, seen = asked
    secrets = target.parent.parent / "login"
    secrets.write_text(
        "# of image-net.org\n\nexport IMAGENET_USER=\"ada\"\nIMAGENET_KEY = 's3cret'\n"
    )
    secrets.chmod(0o600)
    with pytest.raises(DownloadError):
        download.download(url, str(target), credentials=secrets)
    assert seen[0]["Authorization"] == "Basic YWRhOnMzY3JldA=="


def test_what_is_asked_wrongly_is_refused_before_the_first_byte(target: Path):
    for options, said in (
        ({"md5": "xyz"}, "32 digits"),
        ({"bandwidth": -3}, "bandwidth is more than 0"),
    ):
        with pytest.raises(ValueError, match=said):
            download.download("http://127.0.0.1/x", target, **options)


def test_an_md5_in_capital_letters(site: Path, target: Path):
    is_whole(fetch(site, target, md5=MD5.upper()), target)


def test_bytes_that_are_thrown_away_are_announced(
    site: Path, target: Path, caplog: pytest.LogCaptureFixture
):
    two_calls(site, target, Fault(ignore_range=True))
    (said,) = [r.getMessage() for r in caplog.records if "thrown away" in r.getMessage()]
    assert said.startswith(
        "set.tar: the server sends no part of a file, only all of it: started over, "
    )
    assert said.endswith(" bytes thrown away")


@pytest.mark.parametrize("url", ["set.tar", "ftp://example.org/set.tar", "http://"])
def test_an_address_that_is_none(target: Path, url: str):
    with pytest.raises(ValueError, match="no address to download"):
        download.download(url, target)


def test_an_occupied_port(site: Path):
    with serve(site) as base:
        port = int(base.rstrip("/").rpartition(":")[2])
        with (
            pytest.raises(OSError, match=f"port {port} of this machine is in use: choose another"),
            serve(site, port=port),
        ):
            pass


def tar_of(files: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(files):
            info = tarfile.TarInfo(f"{number}.JPEG")
            info.size = 7_000
            tar.addfile(info, io.BytesIO(DATA[number * 7_000 :]))
    return out.getvalue()


@pytest.mark.parametrize(
    "breaks", [[], [Fault(drop_after=1)], [Fault(drop_after=300_000)]], ids=len
)
@pytest.mark.parametrize("ranges", [True, False])
def test_a_tar_is_indexed_while_it_arrives(
    site: Path, target: Path, breaks: list[Fault], ranges: bool
):
    """The same index as that of the whole file, also when bytes came in two calls, or twice."""
    (site / NAME).write_bytes(tar_of(90))
    with serve(site, [*breaks, Fault(ignore_range=not ranges)]) as base:
        if breaks:
            with pytest.raises(DownloadError):
                download.download(base + NAME, target, attempts=1, index=True)
        result = download.download(base + NAME, target, index=True)
    assert result.index == target.with_name("set.tar.npz")
    kept = TarIndex.load(result.index)
    made = index_tar(target)
    assert kept.path == target
    assert kept.names.tolist() == made.names.tolist()
    assert kept.offsets.tolist() == made.offsets.tolist()
    assert left(target) == [NAME, f"{NAME}.npz"]
    result.index.unlink()
    # killed before the index was saved
    with serve(site) as base:
        again = download.download(base + NAME, target, index=True)
    assert (again.bytes_fetched, again.index) == (0, target.with_name("set.tar.npz"))
    assert again.index.exists()


def test_a_file_that_cannot_be_indexed_is_a_download_all_the_same(
    site: Path, target: Path, caplog: pytest.LogCaptureFixture
):
    result = fetch(site, target, index=True, md5=MD5)
    is_whole(result, target)
    assert result.index is None
    assert f"no index: {target} has no valid tar header at byte 0" in caplog.text
    with pytest.raises(DownloadError):
        fetch(site, target.with_name("b.tar"), Fault(flip=5000), index=True, md5=MD5)
    assert not target.with_name("b.tar.npz").exists()


def test_verify_archives_leaves_an_index_where_asked(site: Path):
    data = tar_of(9)
    others = (Archive("spare.tar", None, MD5), Archive("absent.tar", None, MD5))
    for name in ("whole.tar", "damaged.tar"):
        (site / name).write_bytes(data)
    (site / "spare.tar.part").write_bytes(b"123")
    md5 = hashlib.md5(data).hexdigest()
    archives = (Archive("whole.tar", len(data), md5), Archive("damaged.tar", len(data), MD5))
    states = verify_archives(Dataset("test", 1, 1, 1, archives, others=others), site, index=True)
    assert [(state.name, state.state) for state in states] == [
        ("whole.tar", "whole"),
        ("damaged.tar", "wrong MD5"),
        ("spare.tar", "partial"),
    ]
    assert len(TarIndex.load(site / "whole.tar.npz")) == 9
    assert not (site / "damaged.tar.npz").exists()


def test_verify_archives(site: Path):
    known = {
        "whole": MD5,
        "wrong MD5": "0" * 32,
        "wrong size": MD5,
        "unchecked": None,
        "missing": MD5,
        "partial": MD5,
    }
    data = {"whole": DATA, "wrong MD5": DATA, "wrong size": DATA[:-1], "unchecked": DATA}
    for name, content in data.items():
        (site / name).write_bytes(content)
    (site / "partial.part").write_bytes(b"12345")
    archives = tuple(Archive(name, len(DATA), md5) for name, md5 in known.items())
    states = verify_archives(Dataset("test", 1, 1, 1, archives), site)
    assert [state.name for state in states] == [state.state for state in states] == list(known)
    assert [state.bytes for state in states] == [700_001, 700_001, 700_000, 700_001, 0, 5]


def test_mode_of_new_files_is_left_to_the_umask(site: Path, target: Path):
    before = os.umask(0o027)
    try:
        fetch(site, target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640
