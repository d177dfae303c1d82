"""Shards on a volume, its snapshot, and machines that have a copy each: what is done (chapter 5).

Every ``ec2`` is a client of boto3. All that these functions make carries the tag ``TAG`` with the
``name`` of the deployment. They look for that tag before they make anything, so a killed call is
simply made again; where EC2 does not show yet what it has just made, the ClientToken, the same for
the same request within minutes, keeps it from making it twice. Use another name for other data.
Whatever is refused is a DeployError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, SupportsIndex

from imnetlib.arguments import in_order, require, whole_number
from imnetlib.cloud.ec2_calls import attach, create, holders_of, pause, ready_volume, run, wait
from imnetlib.cloud.ec2_requests import FOR, snapshot_request
from imnetlib.cloud.filling import filled_bytes
from imnetlib.cloud.inventory import Resource, list_resources, tags_of
from imnetlib.cloud.refusals import DeployError, one_sentence, refusal

# How often to look whether a machine that has ended still holds a volume.
_DETACH_POLLS = 20
# A machine's names for further disks.
_DEVICES = [f"/dev/sd{letter}" for letter in "fghijklmnop"]


@one_sentence()
def rehearse(operation: Callable[..., Any], request: dict[str, Any]) -> str:
    """Ask AWS whether it would: "allowed", or why not. Makes and costs nothing (chapter 5).

    AWS judges the permissions and the form of the request, not whether it has such machines to
    spare.
    """
    from botocore.exceptions import ClientError

    try:
        operation(**request, DryRun=True)
    except ClientError as error:
        if error.response["Error"]["Code"] == "DryRunOperation":
            return "allowed"
        return refusal(error)
    raise DeployError(f"what answers is no EC2: {operation.__name__} took no notice of DryRun")


@one_sentence()
def create_volume(ec2: Any, name: str, request: dict[str, Any]) -> str:
    """The id of the volume of ``name``, made by ``request`` if need be, once ready (chapter 5).

    ValueError when there is one that is smaller than it shall be, or else another.
    """
    volumes = _usable_volumes(ec2, name)
    source = _source(volumes)
    if source is None:
        return ready_volume(ec2, create(ec2, name, request, volumes))
    require_like(source.details, request, name)
    return ready_volume(ec2, source.details)


@one_sentence()
def source_volume(ec2: Any, name: str) -> Resource | None:
    """The volume of a deployment that is filled from the backup; None before there is one."""
    return _source(_usable_volumes(ec2, name))


@one_sentence()
def snapshot_volume(
    ec2: Any, name: str, volume: str, n_bytes: SupportsIndex | None = None, hours: float = 24
) -> str:
    """The id of the snapshot of ``volume``, taken if need be, once complete (chapter 5).

    Waits up to ``hours``; boto3 by itself gives up after ten minutes, and a first snapshot of
    150 GB takes longer. Give ``n_bytes`` for a volume that you filled by hand; without it, only a
    volume with the mark of its filling is taken. ValueError for one without, for one that is still
    attached, and when fewer bytes than these were ever written to the volume.
    """
    snapshot, filled = snapshot_of(ec2, name, volume, n_bytes)
    if not snapshot:
        snapshot = str(ec2.create_snapshot(**snapshot_request(name, volume))["SnapshotId"])
    wait(ec2, "snapshot_completed", hours, f"{snapshot} and {volume}", SnapshotIds=[snapshot])
    (state,) = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    size = state.get("FullSnapshotSizeInBytes", filled)
    if size < filled:
        raise ValueError(
            f"{snapshot} holds {size:,} bytes, not the {filled:,} of the shards: put them on "
            f"{volume}, delete {snapshot}, and run this again; both cost money"
        )
    return snapshot


def snapshot_of(
    ec2: Any, name: str, volume: str, n_bytes: SupportsIndex | None = None
) -> tuple[str, int]:
    """The id of the snapshot of ``volume``, empty if it is to be taken, and the bytes of its files.

    ValueError as ``snapshot_volume``, where it can be told before.
    """
    snapshots = list_resources(ec2, name, "snapshot")
    usable = [s.id for s in snapshots if s.details["VolumeId"] == volume and s.state != "error"]
    filled = filled_bytes(ec2, volume) if n_bytes is None else whole_number("n_bytes", n_bytes)
    if filled is None:
        raise ValueError(
            f"{volume} has no mark that it was filled: imnet deploy volume fills it; of one that "
            "you filled by hand say how many bytes of files are on it"
        )
    if usable:
        return usable[-1], filled
    holders = ", ".join(holders_of(ec2, volume))
    require(not holders, f"{volume} must be unmounted and detached before its snapshot", holders)
    return "", filled


@one_sentence()
def find_snapshot(ec2: Any, name: str) -> Resource:
    """The newest complete snapshot of a deployment; ValueError if there is none (chapter 5)."""
    snapshots = list_resources(ec2, name, "snapshot")
    complete = [one for one in snapshots if one.state == "completed"]
    if not complete:
        under_way = [f"{one.id} is {one.state}" for one in snapshots]
        told = "; ".join(under_way) or "take one first"
        raise ValueError(f"{name} has no complete snapshot in {ec2.meta.region_name}: {told}")
    return complete[-1]


@one_sentence()
def launch(ec2: Any, name: str, request: dict[str, Any]) -> list[str]:
    """The ids of the machines of ``name``, as many as ``request`` wants, running (chapter 5).

    Those that run already are counted in; ValueError if they are of another kind. Whether the
    volume is mounted only the machine knows.
    """
    machines = list_resources(ec2, name, "instance")
    ids = running(name, request, machines)
    absent = request["MaxCount"] - len(ids)
    if absent > 0:
        ids += run(ec2, name, request, machines, absent)
    wait(ec2, "instance_running", 1, ", ".join(ids), InstanceIds=ids)
    return ids


def running(name: str, request: dict[str, Any], machines: list[Resource]) -> list[str]:
    """The ids of a deployment's machines that run; ValueError if they are not as in ``request``."""
    ids = []
    for one in machines:
        if one.role == "instance" and one.is_charged:
            kind = one.details["InstanceType"]
            rule = f"{one.id} of {name} runs already, so the machines must be {kind}"
            require(kind == request["InstanceType"], rule, request["InstanceType"])
            ids.append(one.id)
    return ids


@one_sentence()
def machine_place(ec2: Any, instance: str) -> tuple[str, list[str]]:
    """The zone of a machine, and its free names for further disks (chapter 5).

    ValueError if it does not run, or has as many disks as there are names.
    """
    (reservation,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    (machine,) = reservation["Instances"]
    state = machine["State"]["Name"]
    require(state == "running", f"{instance} must be running to take a volume", state)
    taken = {mapping["DeviceName"] for mapping in machine.get("BlockDeviceMappings", [])}
    free = [device for device in _DEVICES if device not in taken]
    require(bool(free), f"{instance} must have a name left for a disk", sorted(taken))
    return machine["Placement"]["AvailabilityZone"], free


@one_sentence()
def attach_copy(ec2: Any, name: str, request: dict[str, Any], instance: str) -> str:
    """The id of an extra volume, made by ``request``, attached to a running machine (chapter 5).

    ``request`` is of ``copy_request``. A volume of that snapshot that was made for this machine is
    taken in its place. It stays when the machine goes. What then mounts it is ``mount_script``, run
    there as root.
    """
    volumes = _usable_volumes(ec2, name)
    (tags,) = request["TagSpecifications"]
    target = tags_of(tags).get(FOR)
    require(target == instance, f"the request must be of a volume for {instance}", target)
    there = extra_volume(request, volumes)
    volume = ready_volume(ec2, there.details if there else create(ec2, name, request, volumes))
    _, free = machine_place(ec2, instance)
    attach(ec2, volume, instance, free[0])
    wait(ec2, "volume_in_use", 1, volume, VolumeIds=[volume])
    return volume


def extra_volume(request: dict[str, Any], volumes: list[Resource]) -> Resource | None:
    """That of a deployment's volumes which ``request``, of ``copy_request``, has made before."""
    (tags,) = request["TagSpecifications"]
    for one in volumes:
        same = one.details.get("SnapshotId") == request["SnapshotId"]
        if same and tags_of(one.details).get(FOR) == tags_of(tags)[FOR]:
            return one
    return None


def to_take_down(
    ec2: Any, name: str, snapshots: Collection[str] = ()
) -> tuple[list[Resource], list[Resource]]:
    """What ``tidy_up`` would take of a deployment, and what it would keep (chapter 5).

    ValueError for a snapshot that is not one of the deployment.
    """
    found = [one for one in list_resources(ec2, name) if one.is_alive]
    named = in_order("snapshots", snapshots)
    ids = [one.id for one in found if one.kind == "snapshot"]
    for snapshot in named:
        require(snapshot in ids, f"{name} has the snapshots {', '.join(ids) or '(none)'}", snapshot)
    kept = [one for one in found if one.kind == "snapshot" and one.id not in named]
    return [one for one in found if one not in kept], kept


@one_sentence()
def tidy_up(ec2: Any, name: str, snapshots: Collection[str] = ()) -> dict[str, int]:
    """Delete what carries the tag of ``name`` and nothing else; how many by kind (chapter 5).

    A snapshot, which took hours, is deleted only if ``snapshots`` names it. Volumes that their
    machine takes along are not counted. DeployError at the end names those that stay because they
    are still attached, to a machine without the tag for one.
    """
    taken, _ = to_take_down(ec2, name, snapshots)
    machines = [one.id for one in taken if one.kind == "instance"]
    # Listed now, since they may take a while to go after their machine.
    going = set()
    for volume in taken:
        for end in volume.details.get("Attachments", []):
            # moto leaves DeleteOnTermination out.
            if end["InstanceId"] in machines and end.get("DeleteOnTermination"):
                going.add(volume.id)
    if machines:
        ec2.terminate_instances(InstanceIds=machines)
        left = ", ".join(machines)
        wait(ec2, "instance_terminated", 1, left, InstanceIds=machines)

    volumes = _let_go(ec2, name, machines, going)
    free = [v.id for v in volumes if v.state in ("available", "error")]
    attached = [v.id for v in volumes if v.state == "in-use"]
    for volume_id in free:
        ec2.delete_volume(VolumeId=volume_id)
    gone = [one.id for one in taken if one.kind == "snapshot"]
    for snapshot in gone:
        ec2.delete_snapshot(SnapshotId=snapshot)
    if attached:
        raise DeployError(
            f"still attached, and charged for: {', '.join(attached)}; "
            "detach them, then tidy up again"
        )
    return {"instances": len(machines), "volumes": len(free), "snapshots": len(gone)}


def _let_go(ec2: Any, name: str, machines: list[str], going: set[str]) -> list[Resource]:
    """The volumes but those ``going``, once machines that have ended hold none of them any more."""
    for attempt in range(_DETACH_POLLS):
        if attempt:
            pause()
        volumes = [v for v in list_resources(ec2, name, "volume") if v.id not in going]
        ends = [end for volume in volumes for end in volume.details.get("Attachments", [])]
        if not any(end["InstanceId"] in machines for end in ends):
            break
    return volumes


def require_like(volume: dict[str, Any], request: dict[str, Any], name: str) -> None:
    """ValueError unless a volume is what ``request`` would make, or larger."""
    what = f"{volume['VolumeId']}, which {name} has already,"
    for key in ("AvailabilityZone", "VolumeType"):
        there = volume.get(key)
        rule = f"the {key} must be {there} like that of {what} or tidy up first"
        require(request.get(key, there) == there, rule, request.get(key))
    size = volume.get("Size", 0)
    enough = request.get("Size", size) <= size
    require(enough, f"{what} has {size} GiB: for more tidy up first", request.get("Size"))
    if request.get("Encrypted") and not volume.get("Encrypted"):
        raise ValueError(f"{what} is not encrypted: for one that is tidy up first")


def _source(volumes: list[Resource]) -> Resource | None:
    # A volume with a snapshot is a copy.
    return next((one for one in volumes if one.role == "volume"), None)


def _usable_volumes(ec2: Any, name: str) -> list[Resource]:
    usable = ("creating", "available", "in-use")
    return [v for v in list_resources(ec2, name, "volume") if v.state in usable]
