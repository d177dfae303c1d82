"""Shards on a volume, its snapshot, and machines that start with a copy each (chapter 5).

Every ``ec2`` is a client of boto3. All that these functions make carries the tag ``TAG`` with the
``name`` of the deployment. They look for that tag before they make anything, so a killed call is
simply made again. (AWS's own protection against doing a thing twice, the ClientToken, does not
help: boto3 sends a new one with each call.) Use another name for other data.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from imnetlib.arguments import require
from imnetlib.throughput import GIB

TAG = "imnetlib"
# MiB/s: the least and the most that EBS takes as VolumeInitializationRate.
RATES = (100, 300)
# The name to ask for; the machine shows the disk as /dev/nvme1n1, or 2, or 3.
_DEVICE = "/dev/sdf"
# Bytes, before base64.
_USER_DATA_LIMIT = 16 * 1024
# MiB/s that each gp3 volume has.
_GP3_THROUGHPUT = 125
_POLL_SECONDS = 15

_MOUNT = """\
#!/bin/bash
# Mounts the volume labelled {label}, whichever device it is, to read only; \
gives up after {seconds} s.
set -euo pipefail
until device=$(blkid -L {label}); do
    if (( SECONDS >= {seconds} )); then
        echo "no volume is labelled {label}: was the snapshot taken of the right one?" >&2
        exit 1
    fi
    sleep 1
done
mkdir -p {folder}
# The table is for later starts: user data run at the first one only. \
noload: a read-only disk replays no journal.
grep -q "^LABEL={label} " /etc/fstab || \
echo LABEL={label} {folder} ext4 ro,noload,nofail 0 0 >> /etc/fstab
mountpoint -q {folder} || mount -t ext4 -o ro,noload "$device" {folder}
"""


def mount_script(label: str, folder: str, seconds: int = 600) -> str:
    """User data that mount the ext4 volume called ``label`` at ``folder``, read-only (chapter 5).

    A script for bash that cloud-init runs as root at the first start; its output is in
    cloud-init-output.log. It goes by the label, since a device's name depends on the machine.
    ValueError for a label that ext4 does not take, and for a folder that is relative or has spaces,
    which a line of fstab cannot hold.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", label):
        raise ValueError(f"{label!r} is no label: take 1 to 16 letters, digits, - and _")
    if not re.fullmatch(r"/[^\s\\#]+", folder):
        raise ValueError(f"{folder!r} must be an absolute path without spaces")
    return _MOUNT.format(label=label, folder=shlex.quote(folder), seconds=int(seconds))


def volume_request(name: str, n_bytes: int, zone: str) -> dict[str, Any]:
    """The arguments of CreateVolume for a gp3 volume with ``n_bytes`` of files (chapter 5).

    Its size adds a tenth for the file system and a GiB for the journal. EBS by itself chooses gp2.
    """
    return {
        "AvailabilityZone": zone,
        "Size": math.ceil(1.1 * n_bytes / GIB) + 1,
        "VolumeType": "gp3",
        "TagSpecifications": _tags(name, "volume"),
    }


def launch_request(
    name: str, snapshot: str, script: str, *, image: str, instance_type: str, count: int, rate: int
) -> dict[str, Any]:
    """The arguments of RunInstances for machines with a volume of ``snapshot`` each (chapter 5).

    The volume goes with its machine. ValueError for what EC2 does not take.

    Args:
        name: of the deployment.
        snapshot: the id of the snapshot.
        script: user data, of ``mount_script`` for one; 16 KiB at most.
        image: the id of the machine image.
        instance_type: "g5.xlarge", for one.
        count: of machines.
        rate: MiB/s at which EBS fills the volume from the snapshot, within ``RATES``; charged for.
    """
    require(RATES[0] <= rate <= RATES[1], f"rate must be {RATES[0]} to {RATES[1]} MiB/s", rate)
    require(count >= 1, "count must be 1 or more", count)
    if len(script.encode()) > _USER_DATA_LIMIT:
        limit = f"{_USER_DATA_LIMIT:,} bytes"
        raise ValueError(f"the script has more than the {limit} that EC2 takes as user data")
    disk = {
        "SnapshotId": snapshot,
        "VolumeType": "gp3",
        "DeleteOnTermination": True,
        "VolumeInitializationRate": rate,
        "Throughput": max(rate, _GP3_THROUGHPUT),
    }
    return {
        "ImageId": image,
        "InstanceType": instance_type,
        "MinCount": count,
        "MaxCount": count,
        "UserData": script,
        "BlockDeviceMappings": [{"DeviceName": _DEVICE, "Ebs": disk}],
        "TagSpecifications": _tags(name, "instance", "volume"),
    }


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
        return str(error)
    raise RuntimeError(f"{operation.__name__} took no notice of DryRun")


def create_volume(ec2: Any, name: str, request: dict[str, Any]) -> str:
    """The id of the volume of ``name``, made by ``request`` if need be, once ready (chapter 5)."""
    usable = ("creating", "available", "in-use")
    # A volume with a snapshot is a machine's copy.
    empty = [v for v in _volumes(ec2, name) if v["State"] in usable and not v.get("SnapshotId")]
    volume = empty[0] if empty else ec2.create_volume(**request)
    if volume["State"] == "creating":
        _wait(ec2, "volume_available", 1, VolumeIds=[volume["VolumeId"]])
    return str(volume["VolumeId"])


def snapshot_volume(ec2: Any, name: str, volume: str, n_bytes: int, hours: float = 24) -> str:
    """The id of the snapshot of ``volume``, taken if need be, once complete (chapter 5).

    Unmount the volume first. Waits up to ``hours``; boto3 by itself gives up after ten minutes, and
    a first snapshot of 150 GB takes longer. ValueError when fewer than ``n_bytes`` were ever
    written to the volume.
    """
    tagged = _tagged(ec2, "describe_snapshots", "Snapshots", name)
    usable = [s for s in tagged if s["VolumeId"] == volume and s["State"] != "error"]
    if not usable:
        tags = _tags(name, "snapshot")
        usable = [ec2.create_snapshot(VolumeId=volume, TagSpecifications=tags)]
    snapshot = str(usable[0]["SnapshotId"])
    _wait(ec2, "snapshot_completed", hours, SnapshotIds=[snapshot])
    (state,) = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    size = state.get("FullSnapshotSizeInBytes", n_bytes)
    if size < n_bytes:
        raise ValueError(
            f"{snapshot} holds {size:,} bytes, not the {n_bytes:,} of the shards: put them on "
            f"{volume}, delete {snapshot}, and run this again; or tidy_up(ec2, {name!r}), for both "
            "cost money"
        )
    return snapshot


def launch(ec2: Any, name: str, request: dict[str, Any]) -> list[str]:
    """The ids of the machines of ``name``, as many as ``request`` wants, running (chapter 5).

    Those that run already are counted in. Whether the volume is mounted only the machine knows.
    """
    usable = ("pending", "running")
    ids = [i["InstanceId"] for i in _instances(ec2, name) if i["State"]["Name"] in usable]
    absent = request["MaxCount"] - len(ids)
    if absent > 0:
        started = ec2.run_instances(**request | {"MinCount": absent, "MaxCount": absent})
        ids += [instance["InstanceId"] for instance in started["Instances"]]
    _wait(ec2, "instance_running", 1, InstanceIds=ids)
    return ids


def tidy_up(ec2: Any, name: str) -> dict[str, int]:
    """Delete all that carries the tag of ``name`` and nothing else; how many by kind (chapter 5).

    Volumes that their machine takes along are not counted. RuntimeError at the end names those that
    stay because they are still attached, to a machine without the tag for one.
    """
    machines = [
        i["InstanceId"] for i in _instances(ec2, name) if i["State"]["Name"] != "terminated"
    ]
    # Listed now, since they may take a while to go after their machine.
    going = set()
    for volume in _volumes(ec2, name):
        for end in volume["Attachments"]:
            # moto leaves DeleteOnTermination out.
            if end["InstanceId"] in machines and end.get("DeleteOnTermination"):
                going.add(end["VolumeId"])
    snapshots = list(_tagged(ec2, "describe_snapshots", "Snapshots", name))
    if machines:
        ec2.terminate_instances(InstanceIds=machines)
        _wait(ec2, "instance_terminated", 1, InstanceIds=machines)

    volumes = [v for v in _volumes(ec2, name) if v["VolumeId"] not in going]
    free = [v["VolumeId"] for v in volumes if v["State"] == "available"]
    attached = [v["VolumeId"] for v in volumes if v["State"] == "in-use"]
    for volume_id in free:
        ec2.delete_volume(VolumeId=volume_id)
    for snapshot in snapshots:
        ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    if attached:
        raise RuntimeError(
            f"still attached, and charged for: {', '.join(attached)}; "
            "detach them, then call tidy_up again"
        )
    return {"instances": len(machines), "volumes": len(free), "snapshots": len(snapshots)}


def _tags(name: str, *kinds: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": TAG, "Value": name}]} for kind in kinds]


def _tagged(ec2: Any, operation: str, key: str, name: str) -> Iterator[dict[str, Any]]:
    filters = [{"Name": f"tag:{TAG}", "Values": [name]}]
    for page in ec2.get_paginator(operation).paginate(Filters=filters):
        yield from page[key]


def _volumes(ec2: Any, name: str) -> Iterator[dict[str, Any]]:
    return _tagged(ec2, "describe_volumes", "Volumes", name)


def _instances(ec2: Any, name: str) -> Iterator[dict[str, Any]]:
    for reservation in _tagged(ec2, "describe_instances", "Reservations", name):
        yield from reservation["Instances"]


def _wait(ec2: Any, waiter: str, hours: float, **ids: list[str]) -> None:
    attempts = max(1, round(hours * 3600 / _POLL_SECONDS))
    config = {"Delay": _POLL_SECONDS, "MaxAttempts": attempts}
    ec2.get_waiter(waiter).wait(**ids, WaiterConfig=config)
