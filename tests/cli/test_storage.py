"""The verbs of disks and buckets: probe, backup, restore, verify-backup, prune-backup."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from making import imnet, put, tree
from s3_faults import Fault, proxy

from imnetlib.cli import storage
from imnetlib.course import aws


def test_probe_measures_and_leaves_nothing(tmp_path: Path):
    done = imnet("probe", tmp_path, "--seconds", 0.5)
    assert "in order:" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an imitation of S3 that the verbs find by their environment; it has a bucket."""
    with aws.local_endpoint() as url:
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(variable, "made-up")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        client = aws.local_client("s3", url, "us-east-1")
        client.create_bucket(Bucket="shards")
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path / "packed", {"a.rec": b"first", "b.rec": b"second", ".hidden": b"x"})
    return tmp_path / "packed"


def lines_of(done: Any) -> list[str]:
    """What a verb prints but its bar, and but the date of a backup."""
    dated = re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", "DATE", done.output)
    return [line for line in dated.splitlines() if not re.match(r"\w+:\s+\d+%", line)]


LEFT_OUT = "1 hidden files are left out: hidden=True, --hidden, takes them"
OF = "this backup is of DATE"


def test_backup_and_restore(s3: Any, folder: Path, tmp_path: Path):
    for moved in ("2 files, 11", "0 files, 0"):
        done = imnet("backup", folder, "s3://shards/v1")
        assert lines_of(done) == [LEFT_OUT, f"2 files, 11 bytes; sent: {moved} bytes"]
        assert done.exit_code == 0
    done = imnet("backup", folder, "s3://shards/v1", "--hidden")
    assert lines_of(done) == ["3 files, 12 bytes; sent: 1 files, 1 bytes"]
    back = imnet("restore", "s3://shards/v1", tmp_path / "back")
    assert lines_of(back) == [OF, "3 files, 12 bytes; fetched: 3 files, 12 bytes"]
    assert tree(tmp_path / "back") == tree(folder)


def test_what_is_wrong_is_named_and_told_by_the_status(s3: Any, folder: Path, tmp_path: Path):
    imnet("backup", folder, "s3://shards/v1")
    checked = imnet("verify-backup", "s3://shards/v1")
    assert lines_of(checked) == [
        OF,
        "2 files: 0 wrong or missing, 0 not to be proved, 0 not looked at",
    ]
    assert checked.exit_code == 0
    s3.put_object(Bucket="shards", Key="v1/b.rec", Body=b"SECOND", ChecksumAlgorithm="SHA1")
    checked = imnet("verify-backup", "s3://shards/v1")
    unproved = "b.rec: cannot be proved here without reading it (nothing speaks for it)"
    assert lines_of(checked)[1] == unproved
    assert checked.exit_code == 3
    read = imnet("verify-backup", "s3://shards/v1", "--read")
    assert lines_of(read)[1:] == [
        "b.rec: has CRC32 46e7d6ef, not b61f1169",
        "2 files: 1 wrong or missing, 0 not to be proved, 0 not looked at",
    ]
    assert read.exit_code == 1
    failed = imnet("restore", "s3://shards/v1", tmp_path / "again")
    assert lines_of(failed)[1:] == [
        "2 files, 11 bytes; fetched: 1 files, 5 bytes",
        "b.rec: has CRC32 46e7d6ef, not b61f1169",
        "1 failed: run this again; what is wrong or missing in S3 needs another backup first",
    ]
    assert failed.exit_code == 3
    assert tree(tmp_path / "again") == {"a.rec": b"first"}


def test_prune_lists_and_with_yes_deletes(s3: Any, folder: Path):
    imnet("backup", folder, "s3://shards/v1")
    s3.create_multipart_upload(Bucket="shards", Key="v1/half.rec")
    put(folder, {"a.rec": b"changed"})
    done = imnet("backup", folder, "s3://shards/v1")
    leftovers = "1 objects of earlier backups and 1 unfinished uploads take 5 bytes"
    assert lines_of(done)[1] == f"{leftovers}: imnet prune-backup s3://shards/v1"
    found = ["a.rec", "half.rec (unfinished upload)"]
    count = "1 objects and 1 unfinished uploads, 5 bytes"
    for _ in range(2):
        listed = imnet("prune-backup", "s3://shards/v1")
        assert lines_of(listed) == [*found, f"{count}: with --yes they are deleted"]
    deleted = imnet("prune-backup", "s3://shards/v1", "--yes")
    assert lines_of(deleted) == [*found, f"{count}: deleted"]
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="shards")["Contents"]]
    assert keys == ["v1/MANIFEST.tsv", "v1/a.rec~a3f33dfa", "v1/b.rec"]


def test_another_store_is_named_by_an_option_of_every_verb(
    s3: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    place = ("s3://shards/v2", "--endpoint-url", s3.meta.endpoint_url)
    assert imnet("backup", folder, *place).exit_code == 0
    assert imnet("restore", *place, tmp_path / "back").exit_code == 0
    assert imnet("verify-backup", *place).exit_code == 0
    assert imnet("prune-backup", *place).exit_code == 0
    for verb in ("backup", "restore", "verify-backup", "prune-backup"):
        assert "AWS_ENDPOINT_URL says the same" in " ".join(imnet(verb, "--help").output.split())


def test_no_traceback_whatever_the_network_does(
    s3: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage, "_ANSWER", 0.3)
    monkeypatch.setattr(storage, "_ATTEMPTS", 1)
    imnet("backup", folder, "s3://shards/v1")
    verbs = {
        "backup": ("backup", folder, "s3://shards/v1", "--hidden"),
        "restore": ("restore", "s3://shards/v1", tmp_path / "back"),
        "verify": ("verify-backup", "s3://shards/v1"),
        "prune": ("prune-backup", "s3://shards/v1"),
    }
    with proxy(s3.meta.endpoint_url) as (url, set_fault, requests):
        for verb in verbs.values():
            set_fault(None)
            imnet(*verb, "--endpoint-url", url)
            kinds = {kind for kind, _ in requests}
            for kind in sorted(kinds):
                for how in ("reset", "garbage", "cut", "flip"):
                    set_fault(Fault(kind, how))
                    done = imnet(*verb, "--endpoint-url", url)
                    assert isinstance(done.exception, SystemExit | None), (verb, kind, how)
                    assert done.exit_code in (0, 1, 3)


def test_a_store_that_does_not_answer_is_one_sentence(
    s3: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(storage, "_ANSWER", 0.3)
    began = time.monotonic()
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        done = imnet("backup", folder, "s3://shards/v1", "--endpoint-url", url)
    assert lines_of(done) == [
        "Error: s3://shards/v1: no answer within the time limit (ReadTimeoutError)"
    ]
    assert done.exit_code == 1
    assert time.monotonic() - began < 10


def test_backup_to_nowhere_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    assert "write s3://BUCKET/PREFIX" in imnet("backup", tmp_path, "bucket/prefix").output
    for url in ("nonsense", "http://", "127.0.0.1:9000", ""):
        done = imnet("backup", tmp_path, "s3://bucket/prefix", "--endpoint-url", url)
        assert done.exit_code == 1
        assert f"Invalid endpoint: {url}: write http://HOST:PORT or https://HOST" in done.output
        assert isinstance(done.exception, SystemExit)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    done = imnet("backup", tmp_path, "s3://bucket/prefix")
    assert "profile (nobody) could not be found" in done.output
    assert isinstance(done.exception, SystemExit)


def test_without_keys_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in aws.NO_SETTINGS.items():
        monkeypatch.setenv(name, value)
    done = imnet("backup", tmp_path, "s3://bucket/prefix")
    assert lines_of(done) == [
        "Error: s3://bucket/prefix: boto3 finds no keys: run `aws configure`, or set AWS_PROFILE, "
        "or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (NoCredentialsError)"
    ]
