"""The verbs of disks and buckets: probe, backup, restore, verify-backup, prune-backup."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from imnetlib.cli.common import FOLDER, LEFT_OUT, REAL_POSITIVE

Command = TypeVar("Command", bound=Callable[..., Any])

# Seconds: a line of 1 Mbit/s takes some to send what the system has taken from a request.
_CONNECT = 10
_ANSWER = 30
_ATTEMPTS = 3
_CONNECTIONS = 16


@click.command(short_help="Measure the disk under FOLDER.")
@click.argument("folder", type=FOLDER)
@click.option("--seconds", type=REAL_POSITIVE, default=20, help="How long to measure.")
def probe(folder: Path, seconds: float) -> None:
    """Measure the disk under FOLDER: reads in order, and random 4K reads, 1 to 32 at a time."""
    from imnetlib import throughput

    measured = throughput.probe(folder, seconds)
    click.echo(f"in order: {measured.sequential / throughput.MB:,.0f} MB/s ({measured.method})")
    for depth, iops in measured.iops.items():
        rate = iops * throughput.PAGE / throughput.MB
        click.echo(f"random 4K, {depth:2} at a time: {iops:9,.0f} reads/s = {rate:7,.1f} MB/s")


def _in_s3(command: Command) -> Command:
    """Give a verb the address of a backup, and of the store it is in."""
    address = click.argument("url", metavar="s3://BUCKET/PREFIX")
    store = click.option(
        "--endpoint-url",
        metavar="URL",
        help="The address of a store other than Amazon's; AWS_ENDPOINT_URL says the same.",
    )
    return store(address(command))


@click.command(short_help="Upload FOLDER to S3 with checksums.")
@click.argument("folder", type=FOLDER)
@_in_s3
@click.option("--hidden", is_flag=True, help="Take what begins with a dot too.")
def backup(folder: Path, url: str, endpoint_url: str | None, hidden: bool) -> None:
    """Upload FOLDER to S3 with checksums, skipping what is there.

    Keys and region come from where boto3 finds them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
    AWS_PROFILE, or the machine's role. They need s3:PutObject, s3:GetObject and s3:ListBucket.
    Nothing is deleted, and the last whole backup can be restored at any moment. Exit status 3: some
    files could not be sent; they are named, and another call goes on from there.
    """
    from imnetlib import cloud

    done = cloud.back_up(folder, *open_s3(url, endpoint_url), hidden=hidden)
    _finish(done, "sent", "run this again")


@click.command(short_help="Fetch a backup into FOLDER, each file verified.")
@_in_s3
@click.argument("folder", type=FOLDER)
def restore(url: str, folder: Path, endpoint_url: str | None) -> None:
    """Fetch the last whole backup into FOLDER and verify each file.

    Files that are there with the right bytes are left alone. Exit status 3: some files could not
    be restored; they are named, and all others are there. The keys need s3:GetObject and
    s3:ListBucket.
    """
    from imnetlib import cloud

    way_out = "run this again; what is wrong or missing in S3 needs another backup first"
    _finish(cloud.restore(*open_s3(url, endpoint_url), folder), "fetched", way_out)


@click.command()
@_in_s3
@click.option("--read", is_flag=True, help="Read every object, in place of asking S3 about it.")
def verify_backup(url: str, endpoint_url: str | None, read: bool) -> None:
    """Say what is missing or wrong in S3.

    Exit status 1: an object is missing or wrong; 3: some could not be looked at, or the store keeps
    no checksum of whole objects, so that only --read proves them.
    """
    from imnetlib import cloud

    found = cloud.verify_backup(*open_s3(url, endpoint_url), read=read)
    _echo([*found.notes, *found.wrong, *found.failures, *found.unproved])
    counts = f"{len(found.wrong):,} wrong or missing, {len(found.unproved):,} not to be proved"
    click.echo(f"{found.files:,} files: {counts}, {len(found.failures):,} not looked at")
    if found.wrong:
        sys.exit(1)
    if found.unproved or found.failures:
        sys.exit(LEFT_OUT)


@click.command(short_help="Find and delete what earlier backups have left.")
@_in_s3
@click.option("--yes", is_flag=True, help="Delete them.")
def prune_backup(url: str, endpoint_url: str | None, yes: bool) -> None:
    """List what earlier backups have left in S3; with --yes delete it.

    That is objects which the last whole backup does not name, and parts of uploads that were
    stopped. What a backup to this address did not make stays. Run it while no backup runs. The keys
    need s3:ListBucketMultipartUploads and s3:ListMultipartUploadParts too, and to delete
    s3:DeleteObject and s3:AbortMultipartUpload.
    """
    from imnetlib import cloud

    found = cloud.prune_backup(*open_s3(url, endpoint_url), delete=yes)
    _echo([*found.notes, *found.objects, *(f"{key} (unfinished upload)" for key in found.uploads)])
    count = f"{len(found.objects):,} objects and {len(found.uploads):,} unfinished uploads"
    outcome = "deleted" if yes else "with --yes they are deleted"
    click.echo(f"{count}, {found.bytes:,} bytes: {outcome}")
    _exit_with(found.failures, "run this again")


def _finish(done: Any, verb: str, way_out: str) -> None:
    """Print what a backup or a restoration did; status 3 if something failed."""
    _echo(done.notes)
    moved = f"{verb}: {done.moved:,} files, {done.bytes_moved:,} bytes"
    click.echo(f"{done.files:,} files, {done.bytes:,} bytes; {moved}")
    _exit_with(done.failures, way_out)


def _exit_with(failures: Iterable[str], way_out: str) -> None:
    failures = list(failures)
    if failures:
        _echo(failures)
        click.echo(f"{len(failures):,} failed: {way_out}")
        sys.exit(LEFT_OUT)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def client(session: Any, service: str, endpoint_url: str | None, config: Any) -> Any:
    """A client of a boto3 session; ClickException for an address that is none."""
    from botocore.exceptions import BotoCoreError

    try:
        return session.client(service, endpoint_url=endpoint_url, config=config)
    except BotoCoreError:
        # Of a region, for one, which is a ValueError too.
        raise
    except ValueError as error:
        raise click.ClickException(f"{error}: write http://HOST:PORT or https://HOST") from error


def open_s3(url: str, endpoint_url: str | None, region: str | None = None) -> tuple[Any, str, str]:
    """A client, the bucket and the prefix of s3://BUCKET/PREFIX."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise click.UsageError(f"{url} is no address in S3: write s3://BUCKET/PREFIX")
    config = Config(
        connect_timeout=_CONNECT,
        read_timeout=_ANSWER,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        # Each file is proved when it is whole, and some stores say of a range the whole's checksum.
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.session.Session(region_name=region)
        s3 = client(session, "s3", endpoint_url, config)
    except BotoCoreError as error:
        # A profile that does not exist, for one.
        raise click.ClickException(str(error)) from error
    return s3, bucket, prefix
