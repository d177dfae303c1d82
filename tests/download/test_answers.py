"""Answers that are not the file asked for, or not its rest."""

import json
import re
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from downloading import DATA, NAME, Fault, answering, assert_whole, fetch, names_beside, two_calls

from imnetlib import download
from imnetlib.download import DownloadError


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
    assert_whole(result, target)
    assert result.restarts == 1
    assert note in result.notes[0]
    assert result.bytes_fetched == len(DATA)


def test_a_file_that_really_changed_between_two_calls(site: Path, target: Path):
    new = DATA[::-1] + b"longer"
    result = two_calls(site, target, change=lambda: (site / NAME).write_bytes(new))
    assert target.read_bytes() == new
    assert result.notes == ("the file on the server has changed: started over",)


def test_a_range_beyond_the_end(site: Path, target: Path):
    def shorten() -> None:
        (site / NAME).write_bytes(DATA[:1000])

    result = two_calls(site, target, Fault(ignore_if_range=True), change=shorten)
    assert target.read_bytes() == DATA[:1000]
    assert result.notes[0] == "the file on the server has become shorter: started over"


@pytest.mark.parametrize("status", [200, 401, 403, 404, 410])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_page_never_reaches_the_file(site: Path, target: Path, status: int, resumed: bool):
    message = rf"answered {status} .*text/html.* nothing of it was kept(; .* IMAGENET_KEY)?"
    with pytest.raises(DownloadError, match=message) as caught:
        (two_calls if resumed else fetch)(site, target, Fault(page=status))
    assert ("IMAGENET_KEY" in str(caught.value)) == (status in (200, 401, 403))
    assert not target.exists()
    part = target.with_name(f"{NAME}.part")
    assert part.exists() == resumed
    if resumed:
        assert DATA.startswith(part.read_bytes())


def test_a_server_that_lies_about_the_length(site: Path, target: Path):
    result = fetch(site, target, Fault(extra_length=9))
    assert_whole(result, target)
    assert "has become shorter: started over" in " ".join(result.notes)
    target.unlink()
    with pytest.raises(DownloadError, match=r"has 700,010 bytes, not 700,001: it is another file"):
        fetch(site, target, Fault(extra_length=9), size=len(DATA))
    assert names_beside(target) == []


def test_a_server_that_does_not_tell_the_length(target: Path):
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(DATA[:1000])

    message = "does not tell how long the file is"
    with answering(answer) as url, pytest.raises(DownloadError, match=message):
        download.download(url, target)
    assert names_beside(target) == []


def test_a_rest_that_is_longer_than_it_says(target: Path):
    """No byte beyond the announced end of the file is taken."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        start = requested_start(request)
        if start:
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        else:
            request.send_response(200)
            request.send_header("Content-Length", str(len(DATA)))
        request.end_headers()
        request.wfile.write(DATA[start:] + b"garbage" if start else DATA[:300_000])

    with answering(answer) as url:
        assert_whole(download.download(url, target), target)


def requested_start(request: BaseHTTPRequestHandler) -> int:
    return int(request.headers.get("Range", "bytes=0-")[6:-1])


FIRST_DATE = "Fri, 01 Jan 2010 00:00:00 GMT"


def answer_rest(request: BaseHTTPRequestHandler, modified: str = FIRST_DATE) -> None:
    """Answer without an ETag, the rest with a date; a file of the first date breaks off."""
    start = requested_start(request)
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(DATA) - start))
    request.send_header("Last-Modified", modified if start else FIRST_DATE)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/*")
    request.end_headers()
    breaks_off = not start and modified == FIRST_DATE
    request.wfile.write(DATA[:300_000] if breaks_off else DATA[start:])


def test_a_rest_of_a_file_whose_length_is_left_open(target: Path):
    with answering(answer_rest) as url:
        result = download.download(url, target)
    assert_whole(result, target)
    assert result.restarts == 0
    assert result.bytes_fetched == len(DATA)


def test_without_an_etag_the_date_tells_of_a_change(target: Path):
    answer_changed = partial(answer_rest, modified="Sat, 02 Jan 2010 00:00:00 GMT")
    with answering(answer_rest) as url, answering(answer_changed) as other:
        target.parent.mkdir()
        target.with_name(f"{NAME}.part").write_bytes(b"old" * 1000)
        record = {"address": url, "size": len(DATA), "etag": None, "modified": FIRST_DATE}
        target.with_name(f"{NAME}.part.json").write_text(json.dumps(record))
        result = download.download(other, target)
    assert_whole(result, target)
    assert result.notes[0] == "the file on the server has changed: started over"


NOT_THE_FILE = [
    ({"Content-Type": "Text/HTML"}, "Text/HTML, and nothing of it was kept"),
    ({"Content-Type": "application/XHTML+xml; charset=x"}, "nothing of it was kept"),
    ({"Content-Encoding": "gzip"}, r"compressed \(gzip\).* nothing of it was kept"),
    ({"Content-Encoding": "BR"}, r"compressed \(br\)"),
    ({"Transfer-Encoding": "chunked"}, "does not tell how long the file is"),
    ({"Content-Length": "²"}, "does not tell how long the file is"),
]


@pytest.mark.parametrize(("headers", "message"), NOT_THE_FILE)
def test_a_200_that_is_not_the_file(target: Path, headers: dict[str, str], message: str):
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        for name, value in ({"Content-Length": "3"} | headers).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(b"abc")

    with answering(answer) as url:
        with pytest.raises(DownloadError, match=message):
            download.download(url, target)
        assert names_beside(target) == []
        target.write_bytes(b"abc")
        there = download.download(url, target)
    assert there.verified == "unverified"
    assert re.search(message, there.notes[-1])


def test_a_gz_that_a_server_calls_compressed_is_the_file(tmp_path: Path):
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Encoding", "x-gzip")
        request.send_header("Content-Length", "3")
        request.end_headers()
        request.wfile.write(b"\x1f\x8b\x08")

    with answering(answer) as url:
        download.download(url.replace(NAME, "kit.tar.gz"), tmp_path / "kit.tar.gz")
    assert (tmp_path / "kit.tar.gz").read_bytes() == b"\x1f\x8b\x08"
