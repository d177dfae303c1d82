"""After a break, a stall or a kill, a download goes on; what another one left is thrown away."""

import json
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from downloading import DATA, MD5, NAME, Fault, assert_whole, fetch, names_beside, serve, two_calls

from imnetlib import download
from imnetlib.download import DownloadError, transfer


def test_breaks_in_mid_body_are_resumed(
    site: Path, target: Path, pauses: list[float], caplog: pytest.LogCaptureFixture
):
    breaks = [Fault(drop_after=size) for size in (200_000, 0, 70_000)]
    faults = [*breaks[:2], Fault(page=503), breaks[2]]
    result = fetch(site, target, *faults, md5=MD5)
    assert_whole(result, target)
    # No byte comes twice: every break was resumed.
    assert result.bytes_fetched == len(DATA)
    assert result.restarts == 0
    assert len(result.notes) == len(pauses) == 4
    assert "the server answered 503" in result.notes[2]
    # Each pause is explained.
    warned = [record.getMessage() for record in caplog.records]
    assert [text.startswith(f"{NAME}: broken off at byte ") for text in warned] == [True] * 4
    # Two breaks without a new byte lengthen the pause; the jitter takes at most half of it.
    assert all(low / 2 <= pause <= low for pause, low in zip(pauses, (2, 4, 8, 2), strict=True))


def test_a_stalled_server(site: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transfer, "_TIMEOUT", (5, 0.3))
    result = fetch(site, target, Fault(rate=100))
    assert_whole(result, target)
    assert "ReadTimeoutError" in result.notes[0]


def test_nobody_listens(target: Path):
    with serve(target.parent.parent) as base:
        pass
    with pytest.raises(DownloadError, match="attempts: 3, lastly: the server takes no connection;"):
        download.download(base + NAME, target, attempts=3)


@pytest.mark.parametrize(("attempts", "made"), [(1, 1), (2, 2), (8, 2)])
def test_a_name_that_is_not_known_is_asked_for_twice_at_most(
    target: Path, pauses: list[float], attempts: int, made: int
):
    message = f"attempts: {made}, lastly: the server's name is not known here: is it right, and"
    with pytest.raises(DownloadError, match=message):
        download.download("http://nowhere.invalid/set.tar", target, attempts=attempts)
    assert len(pauses) == made - 1


def test_a_name_that_led_to_bytes_is_asked_for_as_often_as_any_break_is(
    site: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    """A network that goes away for a while ends no download of days."""
    known = socket.getaddrinfo
    failed: list[object] = []

    def lookup(*arguments: object, **more: object) -> object:
        if target.with_name(f"{NAME}.part").exists() and len(failed) < 4:
            failed.append(arguments)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return known(*arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    result = fetch(site, target, Fault(drop_after=300_000))
    assert_whole(result, target)
    assert len(failed) == 4


def test_a_server_that_always_starts_over_does_not_go_on_for_ever(
    site: Path, target: Path, pauses: list[float]
):
    faults = [Fault(drop_after=300_000, ignore_range=True)] * 50
    with pytest.raises(DownloadError, match="brought nothing new, attempts: 4"):
        fetch(site, target, *faults, attempts=4)
    assert len(pauses) == 3


def test_a_later_call_goes_on_even_at_another_address(site: Path, target: Path):
    """The second server listens on another port; the ETag says that the file is the same."""
    message = "broke off, attempts: 1, lastly: ProtocolError; run this again"
    with pytest.raises(DownloadError, match=message):
        fetch(site, target, Fault(drop_after=300_000), attempts=1)
    size = target.with_name(f"{NAME}.part").stat().st_size
    assert 200_000 < size <= 300_000
    assert names_beside(target) == [f"{NAME}.part", f"{NAME}.part.json"]
    result = fetch(site, target, attempts=1)
    assert_whole(result, target)
    assert (result.resumed_from, result.restarts) == (size, 0)


def test_another_address_without_an_etag_starts_over(site: Path, target: Path):
    with pytest.raises(DownloadError):
        fetch(site, target, Fault(drop_after=300_000), attempts=1)
    record = target.with_name(f"{NAME}.part.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"etag": None, "modified": None}))
    result = fetch(site, target)
    assert_whole(result, target)
    assert result.notes == (f"{NAME}.part belonged to another download: started over",)


def test_the_next_call_fetches_only_the_rest(site: Path, target: Path):
    result = two_calls(site, target, md5=MD5, size=len(DATA))
    assert_whole(result, target)
    assert result.resumed_from > 200_000
    assert result.bytes_fetched == len(DATA) - result.resumed_from


SENSIBLE = {"address": "", "size": 700_001, "etag": '"1"', "modified": None}
ODD = [
    {"etag": 5},
    {"etag": "a\nb"},
    {"etag": "…"},
    {"modified": ["x"]},
    {"size": 7e5},
    {"size": "7"},
]
RECORDS = [json.dumps(SENSIBLE | odd).encode() for odd in ODD]


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b'{"address": 1}', b"\xff", None, *RECORDS])
def test_a_part_without_a_sensible_record(site: Path, target: Path, record: bytes | None):
    target.parent.mkdir()
    target.with_name(f"{NAME}.part").write_bytes(b"what is this?")
    if record is not None:
        target.with_name(f"{NAME}.part.json").write_bytes(record)
    result = fetch(site, target)
    assert_whole(result, target)
    assert result.restarts == 1


def test_a_byte_damaged_in_the_part_on_disk_is_caught(site: Path, target: Path):
    def damage() -> None:
        with target.with_name(f"{NAME}.part").open("r+b") as part:
            part.write(b"\0\1\2\3")

    with pytest.raises(DownloadError, match="came with MD5"):
        two_calls(site, target, change=damage, md5=MD5)
    assert not target.exists()


def test_bytes_that_are_thrown_away_are_announced(
    site: Path, target: Path, caplog: pytest.LogCaptureFixture
):
    two_calls(site, target, Fault(ignore_range=True))
    (message,) = [r.getMessage() for r in caplog.records if "thrown away" in r.getMessage()]
    assert message.startswith(
        "set.tar: the server sends no part of a file, only all of it: started over, "
    )
    assert message.endswith(" bytes thrown away")


DOWNLOAD_THAT_IS_KILLED = """
import os, signal, sys
import socket
from pathlib import Path
from imnetlib.download import download, transfer
steps_to_live = int(sys.argv[3])
def step(*_):
    global steps_to_live
    steps_to_live -= 1
    if steps_to_live == 0:
        os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[4] == "at a block":
    transfer._sleep = step
else:
    sys.addaudithook(lambda event, details: step() if event in ("os.rename", "os.remove") else None)
download(sys.argv[1], Path(sys.argv[2]), bandwidth=1 << 40)
"""


@pytest.mark.parametrize("when", ["at a block", "at a rename or removal"])
def test_sigkill_and_then_the_same_bytes(site: Path, target: Path, when: str):
    steps = [1, 4, 3]
    if when == "at a block":
        steps = [random.Random(7).randint(1, 3) for _ in range(3)]
    with serve(site) as base:
        for step in steps:
            command = [
                sys.executable,
                "-c",
                DOWNLOAD_THAT_IS_KILLED,
                base + NAME,
                str(target),
                str(step),
                when,
            ]
            process = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
            assert process.returncode == -signal.SIGKILL
            assert not target.exists() or target.read_bytes() == DATA
        result = download.download(base + NAME, target, md5=MD5, size=len(DATA))
    assert_whole(result, target)
    assert result.resumed_from > 0
    assert result.restarts == 0
