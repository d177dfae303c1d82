"""Each way in which a store, a key or the network fails is one sentence that says what to do."""

from __future__ import annotations

import itertools
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from making import put, tree
from s3_faults import Fault, proxy
from s3_stores import client

from imnetlib import cloud
from imnetlib.cloud import store
from imnetlib.course import aws

MIB = 1 << 20
NUMBERS = itertools.count()
IN_PARTS = TransferConfig(
    multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, num_download_attempts=2
)
REGION = "the bucket lies in another region: name it in AWS_DEFAULT_REGION or in your profile"
SENTENCES = {
    "SignatureDoesNotMatch": "the secret key is wrong",
    "InvalidAccessKeyId": "there is no such access key id",
    "ExpiredToken": "the credentials have expired: log in again",
    "InvalidToken": "the session token is wrong",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "NoSuchBucket": "there is no such bucket",
    "PermanentRedirect": REGION,
    "AuthorizationHeaderMalformed": REGION,
    "SlowDown": "the store fails or is too busy",
    "InternalError": "the store fails or is too busy",
    "AccessDenied": (
        "this key may not do that: it needs s3:ListBucket on the bucket bucket (prefix a/b/)"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four small files, and one that is sent in two parts."""
    files = {f"f{number}": os.urandom(1000) for number in range(4)}
    put(tmp_path / "sent", {**files, "big": os.urandom(5 * MIB + 3)})
    return tmp_path / "sent"


@pytest.mark.parametrize("code", SENTENCES)
def test_what_is_wrong_with_all_requests_is_told_by_the_first(folder: Path, code: str):
    s3 = client("http://127.0.0.1:9")
    with Stubber(s3) as stub:
        stub.add_client_error("list_objects_v2", code, "Said by S3.", http_status_code=403)
        with pytest.raises(cloud.BackupError) as caught:
            cloud.back_up(folder, s3, "bucket", "/a/b/")
    assert str(caught.value) == f"s3://bucket/a/b: {SENTENCES[code]} ({code} Said by S3.)"


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with aws.local_endpoint() as url:
        yield url


class Spoiled:
    """A store behind a proxy that spoils requests."""

    def __init__(self, upstream: str, url: str, set_fault: Callable[[Fault | None], None]) -> None:
        self.url = url
        self.direct = client(upstream)
        self._set_fault = set_fault
        self.set_fault(None)

    def set_fault(self, fault: Fault | None) -> None:
        """Only where nothing comes, the client does not wait long: this machine may be busy."""
        self.seconds = 2 if fault and fault.how == "stall" else 30
        self.s3 = client(self.url, read_timeout=self.seconds)
        self._set_fault(fault)


@pytest.fixture(scope="module")
def spoiled(upstream: str) -> Iterator[Spoiled]:
    with proxy(upstream) as (url, set_fault, _):
        yield Spoiled(upstream, url, set_fault)


@pytest.fixture
def bucket(spoiled: Spoiled) -> Iterator[str]:
    name = f"bucket-{next(NUMBERS)}"
    spoiled.direct.create_bucket(Bucket=name)
    yield name
    spoiled.set_fault(None)


BROKEN = r"the connection (broke|was closed without an answer|ended before the last byte) \(\w+\)"
NO_S3 = r"what answers is no S3: is there a proxy in between\? \(KeyError\)"
FAILS = r"the store fails or is too busy \(50\d .*\)"
RENAME = "rename it if the store cannot hold its name"
LOST = f"was sent and is not there whole: run this again, or {RENAME}"
# What is said of a fault that any kind of request may have.
TOLD = {
    "reset": BROKEN,
    "stall": r"no answer within the time limit \(ReadTimeoutError\)",
    "nonsense": BROKEN,
    "500": FAILS,
    "503": FAILS,
    "403": r"this key may not do that: it needs s3:{right} on .* \(403 Forbidden\)",
}


def assert_told(line: str, begin: str, how: str, right: str, **other: str) -> None:
    pattern = other.get(f"on_{how}") or TOLD[how].replace("{right}", right)
    assert re.fullmatch(re.escape(begin) + pattern, line), line


@pytest.mark.parametrize("how", [*TOLD, "garbage"])
@pytest.mark.parametrize(
    ("kind", "name", "on_garbage"),
    [
        ("PUT", "f1", LOST),
        ("CREATE", "big", NO_S3),
        ("PART", "big", NO_S3),
        ("COMPLETE", "big", LOST),
    ],
)
def test_one_file_that_cannot_be_sent_is_named_and_the_others_are_sent(
    spoiled: Spoiled, bucket: str, folder: Path, kind: str, name: str, on_garbage: str, how: str
):
    fault = Fault(kind, how, f"/{name}")
    spoiled.set_fault(fault)
    report = cloud.back_up(folder, spoiled.s3, bucket, "p", IN_PARTS)
    assert fault.seen
    (failure,) = report.failures
    assert_told(failure, f"{folder / name}: ", how, "PutObject", on_garbage=on_garbage)
    spoiled.set_fault(None)
    again = cloud.back_up(folder, spoiled.s3, bucket, "p", IN_PARTS)
    assert (again.moved, again.failures) == (1, ())


@pytest.mark.parametrize("how", [*TOLD, "cut", "garbage", "flip"])
@pytest.mark.parametrize("name", ["f1", "big"])
def test_one_object_that_cannot_be_fetched_is_named_and_the_others_are_restored(
    spoiled: Spoiled, bucket: str, folder: Path, tmp_path: Path, name: str, how: str
):
    cloud.back_up(folder, spoiled.direct, bucket, "p", IN_PARTS)
    fault = Fault("GET", how, f"/{name}")
    spoiled.set_fault(fault)
    report = cloud.restore(spoiled.s3, bucket, "p", tmp_path / "back", IN_PARTS)
    assert fault.seen
    (failure,) = report.failures
    wrong = r"has [\d,]+ bytes, not [\d,]+"
    flipped = r"has CRC32 \w+, not \w+|other bytes came than S3 has a checksum of \(\w+\)"
    assert_told(
        *(failure, f"{name}: ", how, "GetObject"),
        **{"on_cut": BROKEN, "on_garbage": wrong, "on_flip": f"({flipped})"},
    )
    others = tree(folder)
    del others[name]
    assert tree(tmp_path / "back") == others
    read = cloud.verify_backup(spoiled.s3, bucket, "p", read=True)
    assert len(read.failures) + len(read.wrong) == 1
    spoiled.set_fault(None)
    assert cloud.restore(spoiled.s3, bucket, "p", tmp_path / "back").moved == 1
    assert tree(tmp_path / "back") == tree(folder)


@pytest.mark.parametrize("how", ["reset", "cut", "stall", "nonsense", "500"])
@pytest.mark.parametrize("name", ["f1", "big"])
def test_what_fails_once_is_tried_again(
    spoiled: Spoiled, bucket: str, folder: Path, tmp_path: Path, name: str, how: str
):
    cloud.back_up(folder, spoiled.direct, bucket, "p", IN_PARTS)
    spoiled.set_fault(Fault("GET", how, f"/{name}", times=1))
    twice = client(spoiled.url, read_timeout=spoiled.seconds, retries={"total_max_attempts": 2})
    assert cloud.restore(twice, bucket, "p", tmp_path / "back", IN_PARTS).failures == ()
    assert tree(tmp_path / "back") == tree(folder)


@pytest.mark.parametrize("how", [*TOLD, "garbage", "404"])
def test_an_object_that_cannot_be_asked_about_is_told_from_a_wrong_one(
    spoiled: Spoiled, bucket: str, folder: Path, how: str
):
    cloud.back_up(folder, spoiled.direct, bucket, "p", IN_PARTS)
    spoiled.set_fault(Fault("HEAD", how, "/f1"))
    found = cloud.verify_backup(spoiled.s3, bucket, "p")
    (line,) = found.wrong if how == "404" else found.failures
    expected = {"on_404": "is missing in S3", "on_garbage": NO_S3}
    assert_told(line, "f1: ", how, "GetObject", **expected)
    assert len(found.wrong) + len(found.unproved) + len(found.failures) == 1


@pytest.mark.parametrize("how", [*TOLD, "cut", "garbage", "flip", "404"])
@pytest.mark.parametrize(("kind", "end"), [("LIST", ""), ("GET", cloud.MANIFEST)])
def test_without_a_listing_or_a_manifest_a_sentence_ends_the_backup(
    spoiled: Spoiled, bucket: str, folder: Path, tmp_path: Path, kind: str, end: str, how: str
):
    cloud.back_up(folder, spoiled.direct, bucket, "p", IN_PARTS)
    before = tree(folder)
    put(folder, {"f1": b"new"})
    fault = Fault(kind, how, end)
    spoiled.set_fault(fault)
    with pytest.raises(cloud.BackupError) as caught:
        cloud.back_up(folder, spoiled.s3, bucket, "p", IN_PARTS)
    assert fault.seen
    assert "\n" not in str(caught.value)
    if kind == "LIST":
        # It is only for the notes.
        report = cloud.restore(spoiled.s3, bucket, "p", tmp_path / "back", IN_PARTS)
        assert report.failures == ()
        assert report.notes[1].startswith("whether a later one is unfinished is not known: ")
    else:
        spoiled.set_fault(None)
        cloud.restore(spoiled.s3, bucket, "p", tmp_path / "back", IN_PARTS)
    assert tree(tmp_path / "back") == before


@pytest.mark.parametrize("how", [*TOLD, "garbage"])
def test_a_manifest_that_cannot_be_written_leaves_the_old_one(
    spoiled: Spoiled, bucket: str, folder: Path, how: str
):
    cloud.back_up(folder, spoiled.direct, bucket, "p", IN_PARTS)
    before = cloud.read_manifest(spoiled.direct, bucket, "p")
    put(folder, {"f1": b"new"})
    spoiled.set_fault(Fault("PUT", how, cloud.MANIFEST))
    with pytest.raises(cloud.BackupError) as caught:
        cloud.back_up(folder, spoiled.s3, bucket, "p", IN_PARTS)
    garbage = NO_S3.replace(r" \(KeyError\)", ", so there is no new manifest")
    place = f"s3://{bucket}/p: "
    assert_told(str(caught.value), place, how, "PutObject", on_garbage=garbage)
    assert cloud.read_manifest(spoiled.direct, bucket, "p") == before


def test_a_store_that_falls_silent_ends_it_soon(
    spoiled: Spoiled, bucket: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Not after as many time limits as there are files, attempts and retries."""
    put(folder, {f"more{number}": b"x" for number in range(60)})
    cloud.back_up(folder, spoiled.direct, bucket, "p")
    monkeypatch.setattr(store, "SILENCE", 1.0)
    slow = client(spoiled.url, read_timeout=2, retries={"total_max_attempts": 5})
    spoiled.set_fault(Fault("GET", "stall", "0"))
    began = time.monotonic()
    with pytest.raises(cloud.BackupError, match=r"no answer for 1 seconds; run this again when"):
        cloud.restore(slow, bucket, "p", tmp_path / "back")
    # All of those would take 75 seconds.
    assert time.monotonic() - began < 30


def test_where_nothing_but_errors_comes_the_first_hundred_end_it(
    spoiled: Spoiled, bucket: str, folder: Path
):
    put(folder, {f"more{number}": b"x" for number in range(120)})
    # Its parts are no PUT of this fault's: sent before the hundredth refusal, it is a success.
    (folder / "big").unlink()
    fault = Fault("PUT", "403")
    spoiled.set_fault(fault)
    message = r"nothing succeeds: this key may not do that: it needs s3:PutObject on "
    with pytest.raises(cloud.BackupError, match=message):
        cloud.back_up(folder, spoiled.s3, bucket, "p", IN_PARTS)
    assert len(fault.seen) < 120


def test_no_small_file_waits_for_leave_to_be_sent(upstream: str, folder: Path):
    with proxy(upstream) as (url, _, requests):
        client(url).create_bucket(Bucket="at-once")
        assert cloud.back_up(folder, client(url), "at-once", "p", IN_PARTS).failures == ()
        kinds = Counter(kind for kind, _ in requests)
    # The bucket, four files, the manifest. For a part, which is large, the round trip is little.
    assert (kinds["PUT"], kinds["PART"], kinds["EXPECT"]) == (6, 2, 2)


@pytest.mark.parametrize("right", ["DeleteObject", "ListMultipartUploads"])
def test_a_backup_needs_no_right_to_delete_nor_to_list_uploads(
    spoiled: Spoiled, bucket: str, folder: Path, right: str
):
    def refuse(**_: Any) -> None:
        raise AssertionError("must not be asked")

    denied = client(spoiled.url)
    if right == "DeleteObject":
        denied.meta.events.register("before-call.s3.DeleteObject", refuse)
    else:
        spoiled.set_fault(Fault("UPLOADS", "403"))
    for content in (b"1", b"2"):
        put(folder, {"f1": content})
        assert cloud.back_up(folder, denied, bucket, "p", IN_PARTS).failures == ()


def test_an_expired_token_amid_a_backup_ends_it(spoiled: Spoiled, bucket: str, folder: Path):
    def expire(**_: Any) -> None:
        answer = {"Error": {"Code": "ExpiredToken", "Message": "Expired."}}
        raise ClientError(answer, "PutObject")

    s3 = client(spoiled.url)
    s3.meta.events.register("before-call.s3.PutObject", expire)
    message = r"^s3://.*/p: the credentials have expired: log in again \(ExpiredToken Expired\.\)"
    with pytest.raises(cloud.BackupError, match=message):
        cloud.back_up(folder, s3, bucket, "p")
