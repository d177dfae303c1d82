"""The verbs of disks and buckets: probe, backup, restore."""

from __future__ import annotations

from pathlib import Path

import pytest
from making import imnet

from imnetlib.course import aws


def test_probe_measures_and_leaves_nothing(tmp_path: Path):
    done = imnet("probe", tmp_path, "--seconds", 0.5)
    assert "in order:" in done.output
    assert list(tmp_path.iterdir()) == []


def test_backup_and_restore(shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with aws.local_endpoint() as url:
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(variable, "made-up")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        s3 = aws.local_client("s3", url, "us-east-1")
        s3.create_bucket(Bucket="shards")
        (tmp_path / "packed").mkdir()
        shard.rename(tmp_path / "packed" / shard.name)
        size = f"{(tmp_path / 'packed' / shard.name).stat().st_size:,}"
        for moved in (f"1 files, {size}", "0 files, 0"):
            done = imnet("backup", tmp_path / "packed", "s3://shards/v1")
            assert done.output.endswith(f"1 files, {size} bytes; sent: {moved} bytes\n")
        back = imnet("restore", "s3://shards/v1", tmp_path / "back")
        assert f"fetched: 1 files, {size} bytes" in back.output
        restored, sent = (tmp_path / folder / shard.name for folder in ("back", "packed"))
        assert restored.read_bytes() == sent.read_bytes()
        assert imnet("restore", "s3://shards/v1").exit_code == 0
        s3.delete_object(Bucket="shards", Key=f"v1/{shard.name}")
        checked = imnet("restore", "s3://shards/v1")
        assert checked.exit_code == 1
        assert (
            checked.output == f"{shard.name} is missing\n1 objects do not agree with the manifest\n"
        )
        failed = imnet("restore", "s3://shards/v1", tmp_path / "again")
        assert failed.exit_code == 1
        assert f"1 of 1 files could not be restored: {shard.name} is missing" in failed.output


def test_backup_to_nowhere_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    assert "write s3://BUCKET/PREFIX" in imnet("backup", tmp_path, "bucket/prefix").output
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    done = imnet("backup", tmp_path, "s3://bucket/prefix")
    assert "profile (nobody) could not be found" in done.output
    assert isinstance(done.exception, SystemExit)
