"""A transfer to its end: the bytes, the disk, other processes, what is asked wrongly."""

import errno
import gzip
import os
from http.server import BaseHTTPRequestHandler
from io import FileIO
from pathlib import Path

import pytest
from downloading import DATA, MD5, NAME, Fault, answering, assert_whole, fetch, names_beside, serve

from imnetlib import download, files
from imnetlib.download import DownloadError, transfer


def test_a_download_without_trouble(site: Path, target: Path):
    result = fetch(site, target, size=len(DATA), md5=MD5)
    assert_whole(result, target)
    assert (result.bytes_fetched, result.resumed_from) == (len(DATA), 0)
    assert (result.restarts, result.notes) == (0, ())
    again = fetch(site, target, Fault(page=500), size=len(DATA), md5=MD5)
    assert (again.bytes_fetched, again.resumed_from) == (0, len(DATA))


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


def test_what_is_asked_wrongly_is_refused_before_the_first_byte(target: Path):
    for options, message in (
        ({"md5": "xyz"}, "32 digits"),
        ({"bandwidth": -3}, "bandwidth is more than 0"),
    ):
        with pytest.raises(ValueError, match=message):
            download.download("http://127.0.0.1/x", target, **options)


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
