"""The verbs of disks and buckets: probe, backup, restore."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from imnetlib.cli.common import FOLDER


@click.command(short_help="Measure the disk under FOLDER.")
@click.argument("folder", type=FOLDER)
@click.option("--seconds", default=20.0, help="How long to measure.")
def probe(folder: Path, seconds: float) -> None:
    """Measure the disk under FOLDER: reads in order, and random 4K reads, 1 to 32 at a time."""
    from imnetlib import throughput

    measured = throughput.probe(folder, seconds)
    click.echo(f"in order: {measured.sequential / throughput.MB:,.0f} MB/s ({measured.method})")
    for depth, iops in measured.iops.items():
        rate = iops * throughput.PAGE / throughput.MB
        click.echo(f"random 4K, {depth:2} at a time: {iops:9,.0f} reads/s = {rate:7,.1f} MB/s")


@click.command(short_help="Upload FOLDER to S3 with checksums.")
@click.argument("folder", type=FOLDER)
@click.argument("url", metavar="s3://BUCKET/PREFIX")
def backup(folder: Path, url: str) -> None:
    """Upload FOLDER to S3 with checksums, skipping what is there; uses the credentials of boto3."""
    from imnetlib import cloud

    click.echo(_moved(cloud.back_up(folder, *_s3(url)), "sent"))


@click.command()
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.argument("folder", type=FOLDER, required=False)
def restore(url: str, folder: Path | None) -> None:
    """Fetch a backup into FOLDER and verify each file.

    Without FOLDER, only say what is missing or wrong in S3.
    """
    from imnetlib import cloud

    if folder is not None:
        click.echo(_moved(cloud.restore(*_s3(url), folder), "fetched"))
        return
    problems = cloud.verify_backup(*_s3(url))
    for problem in problems:
        click.echo(problem)
    click.echo(f"{len(problems):,} objects do not agree with the manifest")
    sys.exit(bool(problems))


def _moved(done: Any, verb: str) -> str:
    moved = f"{verb}: {done.moved:,} files, {done.bytes_moved:,} bytes"
    return f"{done.files:,} files, {done.bytes:,} bytes; {moved}"


def _s3(url: str) -> tuple[Any, str, str]:
    """A client, the bucket and the prefix of s3://BUCKET/PREFIX."""
    import boto3
    from botocore.exceptions import BotoCoreError

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise click.UsageError(f"{url} is no address in S3: write s3://BUCKET/PREFIX")
    try:
        return boto3.client("s3"), bucket, prefix
    except BotoCoreError as error:
        # A profile that does not exist, for one.
        raise click.ClickException(str(error)) from error
