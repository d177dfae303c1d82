"""Shards on a volume, a snapshot of it, and machines that start with a copy each: EBS and EC2
(chapter 5).

Every ``ec2`` is a client of boto3. All that these functions make carries the tag ``TAG`` with the
``name`` of the deployment. They look for that tag before they make anything, so a killed call is
simply called again: boto3 sends a new ClientToken each time, and CreateSnapshot knows none. Use
another name for other data.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from imnetlib.throughput import GIB

TAG = "imnetlib"
# what one asks for; the machine shows it as /dev/nvme1n1, or 2, or 3
DEVICE = "/dev/sdf"
# MiB/s: the least and the most that EBS takes as VolumeInitializationRate
RATES = (100, 300)
# bytes, before base64
_USER_DATA_LIMIT = 16 * 1024
# MiB/s that each gp3 volume has
_GP3_THROUGHPUT = 125
# seconds
_POLL = 15

_MOUNT = """\
#!/bin/bash
# Mounts the volume labelled {label}, whichever device it is, to read only; gives up after {seconds} s.
set -euo pipefail
until device=$(blkid -L {label}); do
    if (( SECONDS >= {seconds} )); then
        echo "no volume is labelled {label}: was the snapshot taken of the right one?" >&2
        exit 1
    fi
    sleep 1
done
mkdir -p {folder}
# The table is for later starts: user data run at the first one only. noload: a read-only disk replays no journal.
grep -q "^LABEL={label} " /etc/fstab || echo LABEL={label} {folder} ext4 ro,noload,nofail 0 0 >> /etc/fstab
mountpoint -q {folder} || mount -t ext4 -o ro,noload "$device" {folder}
"""


def volume_gib(n_bytes: int) -> int:
    """The GiB to ask for: ``n_bytes``, a tenth for the file system, and one for its journal
    (chapter 5).
    """
    return math.ceil(1.1 * n_bytes / GIB) + 1


def mount_script(label: str, folder: str, seconds: int = 600) -> str:
    """User data that mount the ext4 volume called ``label`` at ``folder``, read-only (chapter 5).

    A script for bash that cloud-init runs as root at the first start; its output is in
    cloud-init-output.log. By label, since a device's name depends on the machine. ValueError for a
    label that ext4 does not take, a relative folder or one with spaces, which a line of fstab
    cannot hold.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,16}", label):
        raise ValueError(f"{label!r} is no label: take 1 to 16 letters, digits, - and _")
    if not re.fullmatch(r"/[^\s\\#]+", folder):
        raise ValueError(f"{folder!r} must be an absolute path without spaces")
    return _MOUNT.format(label=label, folder=shlex.quote(folder), seconds=int(seconds))


def volume_request(name: str, n_bytes: int, zone: str) -> dict[str, Any]:
    """What CreateVolume is asked for: a gp3 volume for ``n_bytes`` of files; its own choice is gp2
    (chapter 5).
    """
    return {
        "AvailabilityZone": zone,
        "Size": volume_gib(n_bytes),
        "VolumeType": "gp3",
        "TagSpecifications": _tags(name, "volume"),
    }


def launch_request(
    name: str, snapshot: str, script: str, *, image: str, instance_type: str, count: int, rate: int
) -> dict[str, Any]:
    """What RunInstances is asked for: ``count`` machines, each with a volume made of ``snapshot``
    (chapter 5).

    ``rate`` is how fast EBS fills the volume from the snapshot, in MiB/s; it is charged for. The
    volume goes with its machine. ValueError for a rate or a count that EC2 does not take, or a
    script above 16 KB.
    """
    if not RATES[0] <= rate <= RATES[1] or count < 1:
        raise ValueError(
            f"rate must be {RATES[0]} to {RATES[1]} MiB/s, not {rate}; count 1 or more, not {count}"
        )
    if len(script.encode()) > _USER_DATA_LIMIT:
        raise ValueError(
            f"the script has more than the {_USER_DATA_LIMIT:,} bytes that EC2 takes as user data"
        )
    disk = {"SnapshotId": snapshot, "VolumeType": "gp3", "DeleteOnTermination": True}
    disk |= {"VolumeInitializationRate": rate, "Throughput": max(rate, _GP3_THROUGHPUT)}
    return {
        "ImageId": image,
        "InstanceType": instance_type,
        "MinCount": count,
        "MaxCount": count,
        "UserData": script,
        "BlockDeviceMappings": [{"DeviceName": DEVICE, "Ebs": disk}],
        "TagSpecifications": _tags(name, "instance", "volume"),
    }


def rehearse(operation: Callable[..., Any], request: dict[str, Any]) -> str:
    """Ask AWS whether it would: "allowed", or its reason why not. Nothing is made, nothing charged
    (chapter 5).

    It judges the permissions and the form of the request, not whether machines of that type are to
    be had.
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
    """The id of the volume of ``name``, made by ``request`` if there is none, once it is ready
    (chapter 5).
    """
    usable = ("creating", "available", "in-use")
    there = [v for v in _volumes(ec2, name) if v["State"] in usable and not v.get("SnapshotId")]
    volume = there[0] if there else ec2.create_volume(**request)
    if volume["State"] == "creating":
        _wait(ec2, "volume_available", 1, VolumeIds=[volume["VolumeId"]])
    return str(volume["VolumeId"])


def snapshot_volume(ec2: Any, name: str, volume: str, n_bytes: int, hours: float = 24) -> str:
    """The id of the snapshot of ``name``, taken of ``volume`` if there is none, once it is complete
    (chapter 5).

    Unmount the volume first. Waits up to ``hours``; boto3 by itself gives up after ten minutes, and
    a first snapshot of 150 GB takes longer. ValueError when fewer than ``n_bytes`` were ever
    written to the volume: it is not filled.
    """
    tagged = _tagged(ec2, "describe_snapshots", "Snapshots", name)
    known = [s for s in tagged if s["VolumeId"] == volume and s["State"] != "error"]
    found = known or [
        ec2.create_snapshot(VolumeId=volume, TagSpecifications=_tags(name, "snapshot"))
    ]
    snapshot = str(found[0]["SnapshotId"])
    _wait(ec2, "snapshot_completed", hours, SnapshotIds=[snapshot])
    (state,) = ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    if state.get("FullSnapshotSizeInBytes", n_bytes) < n_bytes:
        raise ValueError(
            f"{snapshot} holds {state['FullSnapshotSizeInBytes']:,} bytes, not the {n_bytes:,} of the shards: put "
            f"them on {volume}, delete {snapshot}, and run this again; or tidy_up(ec2, {name!r}), for both cost money"
        )
    return snapshot


def launch(ec2: Any, name: str, request: dict[str, Any]) -> list[str]:
    """The ids of the machines of ``name``: as many as ``request`` wants, counting those there are
    (chapter 5).

    They are running when this returns. That the volume is mounted only the machine itself knows.
    """
    there = [
        i["InstanceId"]
        for i in _instances(ec2, name)
        if i["State"]["Name"] in ("pending", "running")
    ]
    absent = request["MaxCount"] - len(there)
    if absent > 0:
        started = ec2.run_instances(**request | {"MinCount": absent, "MaxCount": absent})
        there += [instance["InstanceId"] for instance in started["Instances"]]
    _wait(ec2, "instance_running", 1, InstanceIds=there)
    return there


def tidy_up(ec2: Any, name: str) -> dict[str, int]:
    """Take down all that carries the tag of ``name`` and nothing else; how many of each kind
    (chapter 5).

    Volumes that their machine takes along are not counted. RuntimeError at the end names those that
    stay, for they are still attached: to a machine without the tag, say.
    """
    alive = [i["InstanceId"] for i in _instances(ec2, name) if i["State"]["Name"] != "terminated"]
    ends = [a for v in _volumes(ec2, name) for a in v["Attachments"] if a["InstanceId"] in alive]
    # moto leaves it out
    going = {end["VolumeId"] for end in ends if end.get("DeleteOnTermination")}
    snapshots = list(_tagged(ec2, "describe_snapshots", "Snapshots", name))
    if alive:
        ec2.terminate_instances(InstanceIds=alive)
        _wait(ec2, "instance_terminated", 1, InstanceIds=alive)
    volumes = [v for v in _volumes(ec2, name) if v["VolumeId"] not in going]
    free, attached = (
        [v["VolumeId"] for v in volumes if v["State"] == state] for state in ("available", "in-use")
    )
    for volume in free:
        ec2.delete_volume(VolumeId=volume)
    for snapshot in snapshots:
        ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    if attached:
        listed = ", ".join(attached)
        raise RuntimeError(
            f"still attached, and charged for: {listed}; detach them, then call tidy_up again"
        )
    return {"instances": len(alive), "volumes": len(free), "snapshots": len(snapshots)}


def _tags(name: str, *kinds: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [{"Key": TAG, "Value": name}]} for kind in kinds]


def _tagged(ec2: Any, operation: str, key: str, name: str) -> Iterator[dict[str, Any]]:
    for page in ec2.get_paginator(operation).paginate(
        Filters=[{"Name": f"tag:{TAG}", "Values": [name]}]
    ):
        yield from page[key]


def _volumes(ec2: Any, name: str) -> Iterator[dict[str, Any]]:
    return _tagged(ec2, "describe_volumes", "Volumes", name)


def _instances(ec2: Any, name: str) -> Iterator[dict[str, Any]]:
    for reservation in _tagged(ec2, "describe_instances", "Reservations", name):
        yield from reservation["Instances"]


def _wait(ec2: Any, waiter: str, hours: float, **what: Any) -> None:
    attempts = max(1, round(hours * 3600 / _POLL))
    ec2.get_waiter(waiter).wait(**what, WaiterConfig={"Delay": _POLL, "MaxAttempts": attempts})
