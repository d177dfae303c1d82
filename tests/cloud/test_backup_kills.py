"""Killed at random moments, a backup leaves the last whole one, and the next call ends it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from forking import imnet_process
from making import put, tree

from imnetlib import cloud
from imnetlib.course import aws

MIB = 1 << 20
ROUNDS = [pytest.param(5, id="5"), pytest.param(50, id="50", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[Any, dict[str, str]]]:
    """A client, and the environment in which a verb finds the same store."""
    with aws.local_endpoint() as url:
        keys = {"AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
        environment = {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1", **keys}
        yield aws.local_client("s3", url, "us-east-1"), environment


def files(seed: int) -> dict[str, bytes]:
    rng = random.Random(seed)
    small = {f"more/{number}.idx": rng.randbytes(2000) for number in range(12)}
    # In two parts.
    return {**small, "a.rec": rng.randbytes(9 * MIB)}


def seconds_of(words: Sequence[object], output: Path, environment: dict[str, str]) -> float:
    began = time.monotonic()
    process = imnet_process(words, output, environment)
    process.join()
    assert process.exitcode == 0, output.read_text()
    return time.monotonic() - began


def kill_after(
    seconds: float, words: Sequence[object], output: Path, environment: dict[str, str]
) -> None:
    process = imnet_process(words, output, environment)
    process.join(seconds)
    process.kill()
    process.join()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_amid_killed_backups_the_last_whole_one_is_restored(
    s3: tuple[Any, dict[str, str]], tmp_path: Path, rounds: int
):
    client, environment = s3
    folder = tmp_path / "sent"
    bucket = f"backup-{rounds}"
    client.create_bucket(Bucket=bucket)
    put(folder, files(0))
    words = ["backup", folder, f"s3://{bucket}/p"]
    whole = tree(folder)
    length = seconds_of(words, tmp_path / "log", environment)
    rng = random.Random(rounds)
    for number in range(rounds):
        put(folder, files(number + 1))
        kill_after(rng.uniform(0, length), words, tmp_path / "log", environment)
        report = cloud.restore(client, bucket, "p", tmp_path / "back")
        assert report.failures == ()
        # Or the killed one had just been finished.
        assert tree(tmp_path / "back") in (whole, tree(folder))
        if number % 3 == 1:
            seconds_of(words, tmp_path / "log", environment)
            whole = tree(folder)
        elif tree(tmp_path / "back") == tree(folder):
            whole = tree(folder)
    seconds_of(words, tmp_path / "log", environment)
    cloud.restore(client, bucket, "p", tmp_path / "back")
    assert tree(tmp_path / "back") == tree(folder)
    time.sleep(1.05 - time.time() % 1)
    cloud.back_up(folder, client, bucket, "p")
    cloud.prune_backup(client, bucket, "p", delete=True)
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == len(tree(folder)) + 1
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_restoration_killed_again_and_again_holds_whole_files_alone(
    s3: tuple[Any, dict[str, str]], tmp_path: Path, rounds: int
):
    client, environment = s3
    bucket = f"restore-{rounds}"
    client.create_bucket(Bucket=bucket)
    end = files(0)
    put(tmp_path / "sent", end)
    cloud.back_up(tmp_path / "sent", client, bucket, "p")
    back = tmp_path / "back"
    words = ["restore", f"s3://{bucket}/p", back]
    length = seconds_of(words, tmp_path / "log", environment)
    rng = random.Random(rounds)
    for _ in range(rounds):
        for name in rng.sample(sorted(end), 8):
            (back / name).unlink(missing_ok=True)
        kill_after(rng.uniform(0, length), words, tmp_path / "log", environment)
        there = {name: data for name, data in tree(back).items() if not name.endswith(".tmp")}
        assert there.items() <= end.items()
    seconds_of(words, tmp_path / "log", environment)
    # No temporary file is left.
    assert tree(back) == end
