"""Help, options and arguments that the verbs of a deployment share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import click
from click.core import ParameterSource

from imnetlib.cli.common import POSITIVE, REAL_POSITIVE
from imnetlib.cli.spending import what_is_there
from imnetlib.cli.storage import client, open_s3

# AWS keeps the newest image of Amazon Linux 2023 under this name, in each region.
AMAZON_LINUX = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
FILLER = "t3.large"
TYPES = click.Choice(["gp3", "st1", "sc1"])
HELP = """Put shards on a volume in EC2, take its snapshot, start machines that have a copy each.

\b
The whole way, with the article's machine and disk:
  imnet deploy plan NAME s3://BUCKET/PREFIX --zone us-east-1a \\
      --package s3://BUCKET/imnetlib-0.1.0-py3-none-any.whl \\
      --filler t2.large --volume-type sc1 --size 1000 \\
      --image ami-… --type g5.xlarge
  imnet deploy volume NAME s3://BUCKET/PREFIX --zone us-east-1a \\
      --package s3://BUCKET/imnetlib-0.1.0-py3-none-any.whl \\
      --type t2.large --volume-type sc1 --size 1000 \\
      --instance-profile P --yes
  imnet deploy snapshot NAME --yes
  imnet deploy launch NAME --image ami-… --type g5.xlarge --count 2 --yes
  imnet deploy list
  imnet deploy tidy NAME --yes
Or, for a machine that runs already and was not started by launch:
  imnet deploy attach NAME i-0123456789abcdef0 --yes

Nothing is made, changed or deleted without --yes. Without it a verb shows what is still to be
done, each request as it would be sent, asks AWS whether it would (DryRun), and says what it costs;
it ends with status 1 if AWS refuses one. All that is made carries the tag imnetlib with NAME, which
is taken literally; after a stop the same command goes on, and makes nothing twice.

A volume is in one zone, and only machines of that zone attach it; a snapshot is good for the
whole region. A volume from a snapshot has at least the size of the first volume: the article's
1,000 GB are paid for at each machine, as gp3. So let the size be chosen, and use gp3: t3.large,
the filling machine without --type, costs less than a t2.large and has a line of its own to the
disk.

The blocks of a volume from a snapshot come when they are first read. --rate has them brought at
100 to 300 MiB/s; with Fast Snapshot Restore leave it out: the rate would win, and both be
charged. Fast Snapshot Restore starts with no volume to its credit; it gains 1,024 an hour in a
zone, divided by the snapshot's GiB, up to ten.

\b
Rights: of your keys
  ec2: CreateVolume RunInstances CreateTags AttachVolume CreateSnapshot
       TerminateInstances DeleteVolume DeleteSnapshot DescribeVolumes
       DescribeInstances DescribeSnapshots GetConsoleOutput
  iam: PassRole, for the profile    ssm: GetParameters, for resolve:ssm:
  s3:  GetObject ListBucket, for the manifest
and of the filling machine, by --instance-profile
  s3:  GetObject ListBucket         ec2: CreateTags, of volumes

Quotas count the vCPUs of running machines by family (new accounts have 0 for G and P) and the
TiB of volumes by type: see Service Quotas in the console.
"""
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
WAIT = click.option("--hours", type=REAL_POSITIVE, default=24.0, help="How long to wait.")
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
    click.option("--gb", type=REAL_POSITIVE, help="GB of files; without, the manifest is asked."),
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
            _require_no_empty_option()
            ec2 = ec2_client(region, endpoint_url)
            try:
                verb(ec2, **options)
            except cloud.DeployError as error:
                there = what_is_there(ec2, options["name"]) if options.get("yes") else ""
                raise cloud.DeployError(f"{error}{there}") from error

    return called


def _require_no_empty_option() -> None:
    """UsageError for an option that was given and is empty, as of a variable that is not set."""
    context = click.get_current_context()
    for option in context.command.params:
        name = str(option.name)
        value = context.params[name]
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and "" in (value if isinstance(value, tuple) else (value,)):
            raise click.BadParameter("it is empty", param=option)


def ec2_client(region: str | None, endpoint_url: str | None) -> Any:
    """A client of boto3 with the keys of its usual places; an address that is dead ends soon."""
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import NoRegionError

    retries = {"mode": "standard", "total_max_attempts": 4}
    config = Config(connect_timeout=5, read_timeout=60, retries=retries)
    session = Session(region_name=region)
    # A variable that is set and empty sets none.
    if not session.region_name:
        raise NoRegionError
    return client(session, "ec2", endpoint_url, config)


def backup_bytes(url: str, gb: float | None) -> int:
    """The bytes of a backup: as they were given, or by its manifest."""
    from imnetlib import cloud

    if gb is not None:
        return round(gb * 1e9)
    given = click.get_current_context().params
    place = open_s3(url, given["endpoint_url"], given["region"])
    return sum(entry.size for entry in cloud.read_manifest(*place))
