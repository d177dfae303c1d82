"""Backups to real servers: a whole one, and one that keeps no checksum of what comes in parts."""

from __future__ import annotations

import base64
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from making import put, tree
from s3_faults import Fault, proxy
from s3_stores import client, program, rclone, seaweed

from imnetlib import cloud

MIB = 1 << 20
IN_PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)


def needs(name: str) -> pytest.MarkDecorator:
    """Skip where there is no such program; the tests' lock brings it to Linux on x86-64."""
    why = f"{name} is not installed: requirements-dev.lock has it for Linux on x86-64"
    return pytest.mark.skipif(program(name) is None, reason=why)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of the servers that are installed, by their programs."""
    place = tmp_path_factory.mktemp("stores")
    with seaweed(place / "seaweed") as whole, rclone(place / "rclone") as partial:
        yield {"weed": whole, "rclone": partial}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ("a.rec", "more/b c.idx", "more/é ☃+&%20#?.txt", "no\u00a0break", "empty")
    put(tmp_path / "sent", {name: os.urandom(1000) for name in names})
    put(tmp_path / "sent", {"a.rec": os.urandom(11 * MIB), "empty": b""})
    return tmp_path / "sent"


@needs("weed")
@needs("rclone")
@pytest.mark.parametrize("store", ["weed", "rclone"])
def test_a_backup_its_change_and_its_restoration(
    stores: dict[str, str], store: str, folder: Path, tmp_path: Path
):
    # As a user's, this one asks again: rclone under load may answer 500 to a request of several.
    s3 = client(stores[store], retries={"mode": "standard", "total_max_attempts": 5})
    s3.create_bucket(Bucket="round")
    assert cloud.back_up(folder, s3, "round", "p", IN_PARTS).moved == 5
    assert cloud.back_up(folder, s3, "round", "p", IN_PARTS).moved == 0
    found = cloud.verify_backup(s3, "round", "p")
    assert (found.wrong, found.failures) == ((), ())
    assert cloud.verify_backup(s3, "round", "p", read=True).unproved == ()
    first = tree(folder)
    put(folder, {"a.rec": os.urandom(11 * MIB), "empty": b"no more"})
    assert cloud.back_up(folder, s3, "round", "p", IN_PARTS).moved == 2
    assert s3.head_object(Bucket="round", Key="p/a.rec")["ContentLength"] == len(first["a.rec"])
    assert cloud.restore(s3, "round", "p", tmp_path / "back", IN_PARTS).failures == ()
    assert tree(tmp_path / "back") == tree(folder)


@needs("weed")
@needs("rclone")
def test_what_a_store_without_checksums_cannot_prove_is_told_from_what_is_wrong(
    stores: dict[str, str], folder: Path
):
    # This server says of each range the checksum of the whole.
    unchecked = {"response_checksum_validation": "when_required"}
    s3 = client(stores["rclone"], **unchecked)
    s3.create_bucket(Bucket="unproved")
    cloud.back_up(folder, s3, "unproved", "p", IN_PARTS)
    found = cloud.verify_backup(s3, "unproved", "p")
    assert found.wrong == ()
    (line,) = [line for line in found.unproved if line.startswith("a.rec")]
    assert line.startswith("a.rec: cannot be proved here without reading it (its metadata has")
    # Its metadata are lost with its bytes.
    s3.put_object(Bucket="unproved", Key="p/a.rec", Body=os.urandom(11 * MIB))
    read = cloud.verify_backup(s3, "unproved", "p", read=True)
    (wrong,) = read.wrong
    assert wrong.startswith("a.rec: has CRC32 ")
    # Once more, and right.
    assert cloud.back_up(folder, s3, "unproved", "p", IN_PARTS).moved == 1
    assert cloud.verify_backup(s3, "unproved", "p", read=True).wrong == ()


@needs("weed")
@needs("rclone")
@pytest.mark.parametrize(("kind", "name"), [("PUT", "more/b c.idx"), ("PART", "a.rec")])
def test_a_bit_that_flips_on_the_way_is_refused_by_a_whole_store(
    stores: dict[str, str], folder: Path, kind: str, name: str
):
    direct = client(stores["weed"])
    direct.create_bucket(Bucket=f"flip-{kind.lower()}")
    with proxy(stores["weed"]) as (url, set_fault, _):
        set_fault(Fault(kind, "flip", f"/{name}"))
        s3 = client(url)
        report = cloud.back_up(folder, s3, f"flip-{kind.lower()}", "p", IN_PARTS)
    (failure,) = report.failures
    assert failure.startswith(f"{folder / name}: ")
    assert (report.files, report.moved) == (5, 4)


@needs("weed")
@needs("rclone")
@pytest.mark.parametrize(
    ("secret", "message"), [("wrong", r"the secret key is wrong \(SignatureDoesNotMatch ")]
)
def test_a_wrong_secret_is_told_from_a_right_that_is_missing(
    stores: dict[str, str], folder: Path, secret: str, message: str
):
    s3 = client(stores["weed"], secret)
    with pytest.raises(cloud.BackupError, match=message):
        cloud.back_up(folder, s3, "round", "p")


@needs("weed")
@needs("rclone")
def test_an_object_of_another_tool_with_the_right_checksum_is_not_sent_again(
    stores: dict[str, str], tmp_path: Path
):
    s3: Any = client(stores["weed"])
    s3.create_bucket(Bucket="other")
    put(tmp_path / "sent", {"a": b"right", "b": b"wrong"})
    for key, body in {"a": b"right", "b": b"WRONG"}.items():
        crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        s3.put_object(Bucket="other", Key=f"p/{key}", Body=body, ChecksumCRC32=crc32)
    assert cloud.back_up(tmp_path / "sent", s3, "other", "p").moved == 1
    assert cloud.verify_backup(s3, "other", "p").wrong == ()
