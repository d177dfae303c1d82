"""The verbs of a deployment in EC2: plan, volume, snapshot, launch, attach, list, tidy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imnetlib.cli import deploy_options as take
from imnetlib.cli.common import POSITIVE
from imnetlib.cli.spending import NOTHING, show_resources, show_steps

if TYPE_CHECKING:
    from imnetlib import cloud


@click.group(help=take.HELP, short_help="Shards on a volume, its snapshot, machines with a copy.")
def deploy() -> None:
    """Put shards on a volume in EC2, take its snapshot, start machines that have a copy each."""


@deploy.command(short_help="Show the whole way and its price.")
@take.ec2_verb
@take.NAME
@take.URL
@take.VOLUME
@click.option("--filler", default=take.FILLER, help="Kind of the machine that fills the volume.")
@take.MACHINES
@take.SPEED
@take.FOLDER
@take.PLACE
@take.PROFILE
def plan(ec2: Any, name: str, url: str, **options: Any) -> None:
    """Show every request of the whole way, AWS's answer to its rehearsal, and the sum.

    Nothing is made. What is there of deployment NAME already is taken into account.
    """
    from imnetlib import cloud

    filler = options | {"image": take.AMAZON_LINUX, "kind": options["filler"]}
    script = cloud.mount_script(options["label"], options["folder"])
    filling = _filling(url, filler)
    steps = cloud.whole_way(ec2, name, filling, _machine(options), script, **_few(options))
    backup = cloud.backup_cost(ec2.meta.region_name, int(filling.n_bytes))
    show_steps(ec2, steps, [backup])


@deploy.command(short_help="Make a volume and fill it from a backup.")
@take.ec2_verb
@take.NAME
@take.URL
@take.VOLUME
@click.option("--image", default=take.AMAZON_LINUX, help="Image of the machine that fills it.")
@click.option("--type", "kind", default=take.FILLER, help="Kind of that machine.")
@take.PLACE
@click.option("--instance-profile", required=True, help="Its rights: to read S3, to set the mark.")
@take.WAIT
@take.YES
def volume(ec2: Any, name: str, url: str, hours: float, yes: bool, **options: Any) -> None:
    """Make a volume for NAME, and a small machine that fills it from a backup and ends itself.

    The machine makes a file system if the volume is blank, installs --package, restores the backup
    (imnet restore), reads every file back from the disk, marks the volume and shuts down. Only then
    does this verb end, with what is on the volume; --hours says how long it waits, and the same
    command waits on. A machine that hangs ends after three days. It needs a way to the internet,
    for pip. The package: `pip wheel --no-deps .` in a checkout makes a .whl; put it in S3, or give
    what pip takes, such as git+https://HOST/REPOSITORY.
    """
    from imnetlib import cloud

    filling = _filling(url, options)
    steps = cloud.filling_steps(ec2, name, filling)
    source = cloud.source_volume(ec2, name)
    if source:
        _require_its_bytes(source.id, cloud.filled_bytes(ec2, source.id), filling, options["gb"])
    if not yes:
        show_steps(ec2, steps)
        return
    cloud.require_allowed(ec2, steps)
    made = cloud.create_volume(ec2, name, filling.volume_request(name))
    request = filling.machine_request(name, made, ec2.meta.region_name)
    if cloud.filled_bytes(ec2, made) is None:
        click.echo(
            f"{made}: being filled, also while nobody waits; that takes a minute for each 2 to 5 GB"
        )
    filled = cloud.fill_volume(ec2, name, made, request, hours)
    _require_its_bytes(made, filled, filling, options["gb"])
    click.echo(f"{made}: {filled:,} bytes of files, each proved")


@deploy.command(short_help="Take the snapshot of the filled volume.")
@take.ec2_verb
@take.NAME
@click.option("--volume", "chosen", help="Id of the volume, if you filled it by hand.")
@click.option("--bytes", "n_bytes", type=POSITIVE, help="Bytes of files that you put on it.")
@take.WAIT
@take.YES
def snapshot(
    ec2: Any, name: str, chosen: str | None, n_bytes: int | None, hours: float, yes: bool
) -> None:
    """Take the snapshot of the volume of NAME, once it is filled, and wait until it is complete.

    A volume without the mark of its filling is refused; for one that you filled by hand give
    --volume and --bytes. The first snapshot of 150 GB takes an hour or more.
    """
    from imnetlib import cloud

    found = cloud.source_volume(ec2, name)
    source = chosen or (found.id if found else None)
    if source is None:
        raise ValueError(f"{name} has no volume: imnet deploy volume makes it")
    steps = cloud.snapshot_steps(ec2, name, source, n_bytes)
    if not yes:
        show_steps(ec2, steps)
        return
    if steps:
        click.echo(f"{source}: the first snapshot of 150 GB takes an hour or more")
    taken = cloud.snapshot_volume(ec2, name, source, n_bytes, hours)
    click.echo(f"{taken}; {source} is not needed any more: imnet deploy tidy {name}")


@deploy.command(short_help="Start machines that mount a copy each.")
@take.ec2_verb
@take.NAME
@take.MACHINES
@take.SPEED
@take.FOLDER
@take.LABEL
@take.PLACE
@take.PROFILE
@take.YES
def launch(ec2: Any, name: str, yes: bool, **options: Any) -> None:
    """Start machines with a volume of NAME's snapshot each; they mount it read-only at --folder.

    Machines of NAME that run already are counted in. The volume goes with its machine. Whether it
    is mounted stands in /var/log/cloud-init-output.log there.
    """
    from imnetlib import cloud

    found = cloud.find_snapshot(ec2, name)
    script = cloud.mount_script(options["label"], options["folder"])
    request = cloud.launch_request(name, found.id, script, _machine(options), **_few(options))
    if not yes:
        show_steps(ec2, cloud.launch_steps(ec2, name, request, found))
        return
    for machine in cloud.launch(ec2, name, request):
        click.echo(machine)


@deploy.command(short_help="Give a running machine an extra volume.")
@take.ec2_verb
@take.NAME
@click.argument("instance")
@take.SPEED
@take.FOLDER
@take.LABEL
@take.YES
def attach(
    ec2: Any,
    name: str,
    instance: str,
    rate: int | None,
    throughput: int | None,
    folder: str,
    label: str,
    yes: bool,
) -> None:
    """Make an extra volume of NAME's snapshot for the running machine INSTANCE, and attach it.

    Those that imnet deploy launch started have one already. It is made in the machine's zone. The
    commands that mount it are printed: run them there. The volume stays when the machine goes:
    imnet deploy tidy takes it, once it is detached.
    """
    from imnetlib import cloud

    script = cloud.mount_script(label, folder)
    found = cloud.find_snapshot(ec2, name)
    zone, _ = cloud.machine_place(ec2, instance)
    speed = {"rate": rate, "throughput": throughput}
    request = cloud.copy_request(name, found.id, zone, instance, **speed)
    steps = cloud.attach_steps(ec2, name, request, instance, found)
    if not yes:
        show_steps(ec2, steps)
        return
    made = cloud.attach_copy(ec2, name, request, instance)
    click.echo(f"{made} is attached to {instance}. Mount it there:")
    click.echo(f"\nsudo bash -s <<'SCRIPT'\n{script}SCRIPT")


@deploy.command("list", short_help="Show what is there, and its cost so far.")
@take.ec2_verb
@click.argument("name", required=False)
def list_(ec2: Any, name: str | None) -> None:
    """Show what carries the tag of NAME, or of any deployment: state, age, price, cost so far.

    The cost of a machine is counted from its last start, that of a snapshot at most.
    """
    from imnetlib import cloud

    show_resources(ec2, cloud.list_resources(ec2, name))


@deploy.command(short_help="Take a deployment down, but its snapshot.")
@take.ec2_verb
@take.NAME
@click.option("--snapshot", multiple=True, help="Id of a snapshot to delete too; repeatable.")
@take.YES
def tidy(ec2: Any, name: str, snapshot: tuple[str, ...], yes: bool) -> None:
    """Terminate the machines of NAME, delete its volumes, and the snapshots that are named.

    Only what carries the tag of NAME is taken. A snapshot took hours: it is kept unless named.
    """
    from imnetlib import cloud

    taken, kept = cloud.to_take_down(ec2, name, snapshot)
    click.echo("to be taken down:")
    show_resources(ec2, taken)
    if kept:
        click.echo("to be kept:")
        show_resources(ec2, kept)
    if not yes:
        click.echo(NOTHING)
        return
    removed = cloud.tidy_up(ec2, name, snapshot)
    click.echo("removed: " + ", ".join(f"{count} {kind}" for kind, count in removed.items()))


def _machine(options: dict[str, Any]) -> cloud.Machine:
    from imnetlib import cloud

    return cloud.Machine(
        options["image"],
        options["kind"],
        key_name=options["key_name"],
        subnet=options["subnet"],
        security_groups=options["security_group"],
        instance_profile=options["instance_profile"],
    )


def _few(options: dict[str, Any]) -> dict[str, Any]:
    """How many machines, and how fast their volumes are."""
    return {key: options[key] for key in ("count", "rate", "throughput")}


def _filling(url: str, options: dict[str, Any]) -> cloud.Filling:
    from imnetlib import cloud

    volume = ("zone", "package", "volume_type", "size", "encrypted", "kms_key", "label")
    chosen = {key: options[key] for key in volume}
    n_bytes = take.backup_bytes(url, options["gb"])
    return cloud.Filling(url, n_bytes=n_bytes, machine=_machine(options), **chosen)


def _require_its_bytes(
    volume: str, filled: int | None, filling: cloud.Filling, gb: float | None
) -> None:
    """ValueError for a volume that was filled with other bytes than those of the manifest."""
    if gb is None and filled not in (None, filling.n_bytes):
        raise ValueError(
            f"{volume} was filled with {filled:,} bytes of files, and the backup has "
            f"{filling.n_bytes:,}: take another name for other data, or tidy up first"
        )
