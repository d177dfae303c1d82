"""Options and arguments that the verbs of a deployment share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import click

from imnetlib.cli.common import POSITIVE
from imnetlib.cli.spending import what_is_there

# AWS keeps the newest image of Amazon Linux 2023 under this name, in each region.
AMAZON_LINUX = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
FILLER = "t3.large"
HOURS = click.FloatRange(min=0, min_open=True)
TYPES = click.Choice(["gp3", "st1", "sc1"])
Verb: TypeAlias = Callable[..., None]
Decorator: TypeAlias = Callable[[Verb], Verb]


def _together(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order of the help."""

    def decorate(verb: Verb) -> Verb:
        for option in reversed(options):
            verb = option(verb)
        return verb

    return decorate


NAME = click.argument("name")
URL = click.argument("url", metavar="s3://BUCKET/PREFIX")
YES = click.option("--yes", is_flag=True, help="Do it; without, it is only rehearsed.")
LABEL = click.option("--label", default="imagenet", help="Label of the file system.")
FOLDER = click.option("--folder", default="/data", help="Where the machine mounts the volume.")
WAIT = click.option("--hours", type=HOURS, default=24.0, help="How long to wait.")
PLACE = _together(
    click.option("--key-name", default="", show_default=False, help="Key pair for ssh."),
    click.option("--subnet", default="", show_default=False, help="Subnet; it decides the zone."),
    click.option("--security-group", multiple=True, help="Id of a security group; repeatable."),
)
PROFILE = click.option(
    "--instance-profile", default="", show_default=False, help="Rights of what runs there."
)
SPEED = _together(
    click.option("--rate", type=click.IntRange(100, 300), help="MiB/s from the snapshot; charged."),
    click.option("--throughput", type=click.IntRange(125, 750), help="MiB/s of the volume."),
)
VOLUME = _together(
    click.option("--zone", required=True, help="Zone of the volume, such as us-east-1a."),
    click.option("--package", required=True, help="This library: s3://…/NAME.whl, or as for pip."),
    click.option("--gb", type=HOURS, help="GB of files; without, the manifest is asked."),
    click.option("--volume-type", type=TYPES, default="gp3", help="Type of the volume."),
    click.option("--size", type=POSITIVE, help="GiB of the volume, if more than needed."),
    click.option("--encrypted", is_flag=True, help="Let EBS encrypt the volume."),
    click.option("--kms-key", default="", show_default=False, help="Key for that."),
    LABEL,
)
MACHINES = _together(
    click.option("--image", required=True, help="Image to start: ami-…, or resolve:ssm:NAME."),
    click.option("--type", "kind", required=True, help="Kind of machine, such as g5.xlarge."),
    click.option("--count", type=POSITIVE, default=1, help="How many machines."),
)


def ec2_verb(verb: Verb) -> Verb:
    """A verb whose first argument is a client of EC2, and whose refusals are sentences."""

    @_together(
        click.option("--region", help="Region; without, that of your settings of AWS."),
        click.option("--endpoint-url", help="Another EC2 than AWS's; also AWS_ENDPOINT_URL."),
    )
    @functools.wraps(verb)
    def called(*, region: str | None, endpoint_url: str | None, **options: Any) -> None:
        from imnetlib import cloud

        with cloud.one_sentence():
            ec2 = client("ec2", region, endpoint_url)
            try:
                verb(ec2, **options)
            except cloud.DeployError as error:
                there = what_is_there(ec2, options["name"]) if options.get("yes") else ""
                raise cloud.DeployError(f"{error}{there}") from error

    return called


def client(service: str, region: str | None, endpoint_url: str | None) -> Any:
    """A client of boto3 with the keys of its usual places; an address that is dead ends soon."""
    from boto3.session import Session
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": 4}
    config = Config(connect_timeout=5, read_timeout=60, retries=retries)
    session = Session(region_name=region)
    return session.client(service, endpoint_url=endpoint_url, config=config)


def backup_bytes(url: str, gb: float | None) -> int:
    """The bytes of a backup: as they were given, or by its manifest."""
    from imnetlib import cloud

    if gb is not None:
        return round(gb * 1e9)
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket:
        raise click.UsageError(f"{url} is no address in S3: write s3://BUCKET/PREFIX")
    given = click.get_current_context().params
    s3 = client("s3", given["region"], given["endpoint_url"])
    return sum(entry.size for entry in cloud.read_manifest(s3, bucket, prefix))
