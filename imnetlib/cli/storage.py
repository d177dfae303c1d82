"""The verbs of disks and buckets: probe, backup, restore."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from imnetlib.cli.common import FOLDER


@click.command("probe")
@click.argument("folder", type=FOLDER)
@click.option("--seconds", default=20.0, show_default=True)
def probe_(folder: Path, seconds: float) -> None:
    """Measure the disk under FOLDER: reads in order, and random 4K reads, 1 to 32 at a time."""
    from imnetlib import throughput

    found = throughput.probe(folder, seconds)
    click.echo(f"in order: {found.sequential / throughput.MB:,.0f} MB/s ({found.method})")
    for depth, iops in found.iops.items():
        rate = iops * throughput.PAGE / throughput.MB
        click.echo(f"random 4K, {depth:2} at a time: {iops:9,.0f} reads/s = {rate:7,.1f} MB/s")


@click.command("backup")
@click.argument("folder", type=FOLDER)
@click.argument("url", metavar="s3://BUCKET/PREFIX")
def backup_(folder: Path, url: str) -> None:
    """Send FOLDER to S3 with checksums; what is there already is not sent again. The keys are those
    of boto3.
    """
    from imnetlib import cloud

    done = cloud.back_up(folder, *_s3(url))
    click.echo(
        f"{done.files:,} files, {done.bytes:,} bytes; sent: {done.moved:,} files, {done.bytes_moved:,} bytes"
    )


@click.command("restore")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.argument("folder", type=FOLDER, required=False)
def restore_(url: str, folder: Path | None) -> None:
    """Fetch a backup into FOLDER and prove each file; without FOLDER, only say what is missing or
    wrong in S3.
    """
    from imnetlib import cloud

    where = _s3(url)
    if folder is None:
        problems = cloud.verify_backup(*where)
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems):,} objects do not agree with the manifest")
        sys.exit(bool(problems))
    done = cloud.restore(*where, folder)
    click.echo(
        f"{done.files:,} files, {done.bytes:,} bytes; fetched: {done.moved:,} files, {done.bytes_moved:,} bytes"
    )


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
        # a profile that does not exist, for one
        raise click.ClickException(str(error)) from error
