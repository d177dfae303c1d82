"""The requests to EC2 as they are sent; whatever EC2 would refuse is refused here (chapter 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

from imnetlib.arguments import require, require_type, whole_number
from imnetlib.cloud.pricing import GP3_THROUGHPUT
from imnetlib.cloud.scripts import DEVICE
from imnetlib.throughput import GIB

# All that a deployment makes carries this tag, with the deployment's name.
TAG = "imnetlib"
# On a machine: the volume that it fills. On a volume: the machine that it is an extra volume for.
FILLS = "imnetlib-fills"
FOR = "imnetlib-for"
# MiB/s: the least and the most that EBS takes as VolumeInitializationRate.
RATES = (100, 300)
# MiB/s: beyond it a gp3 volume needs more than the 3,000 reads a second that it has.
_MOST_THROUGHPUT = 750
# Bytes, before base64.
_USER_DATA_LIMIT = 16 * 1024
# GiB, by type of volume.
_SIZES = {"gp3": (1, 65_536), "st1": (125, 16_384), "sc1": (125, 16_384)}
_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine to start: image, kind, and if you like key pair, subnet and rights (chapter 5).

    ``image`` is an id, or resolve:ssm: and the name of a public parameter. The subnet decides the
    zone. ``instance_profile``, a name or an ARN, has the rights of what runs there.
    """

    image: str
    instance_type: str
    key_name: str = ""
    subnet: str = ""
    security_groups: Sequence[str] = ()
    instance_profile: str = ""

    def __post_init__(self) -> None:
        _require_given("image", self.image)
        _require_given("instance_type", self.instance_type)
        rule = "security_groups are ids of security groups, in a list or a tuple"
        require_type(self.security_groups, (list, tuple), rule)

    def arguments(self) -> dict[str, Any]:
        """Its part of the arguments of RunInstances; IMDSv2 is required in any case."""
        chosen: dict[str, Any] = {
            "ImageId": self.image,
            "InstanceType": self.instance_type,
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
        }
        if self.key_name:
            chosen["KeyName"] = self.key_name
        if self.subnet:
            chosen["SubnetId"] = self.subnet
        if self.security_groups:
            chosen["SecurityGroupIds"] = list(self.security_groups)
        if self.instance_profile:
            key = "Arn" if self.instance_profile.startswith("arn:") else "Name"
            chosen["IamInstanceProfile"] = {key: self.instance_profile}
        return chosen


def volume_request(
    name: str,
    n_bytes: SupportsIndex,
    zone: str,
    *,
    volume_type: str = "gp3",
    size: SupportsIndex | None = None,
    encrypted: bool = False,
    kms_key: str = "",
) -> dict[str, Any]:
    """The arguments of CreateVolume for an empty volume for ``n_bytes`` of files (chapter 5).

    Its size adds a tenth for the file system and a GiB for the journal. EBS by itself chooses gp2.
    ValueError for what EC2 does not take.

    Args:
        name: of the deployment.
        n_bytes: of the files that shall lie on it.
        zone: where it is made; machines elsewhere cannot attach it.
        volume_type: "gp3", or a disk that turns, "st1" or "sc1", which has at least 125 GiB.
        size: GiB, where it shall be another.
        encrypted: whether EBS encrypts it, and with it its snapshots and their volumes.
        kms_key: the key for that, where it is not the account's default one.
    """
    known = f"volume_type is {', '.join(_SIZES)}"
    require(volume_type in _SIZES, known, volume_type)
    least, most = _SIZES[volume_type]
    files = whole_number("n_bytes", n_bytes)
    require(files >= 0, "n_bytes must be 0 or more", files)
    needed = math.ceil(1.1 * files / GIB) + 1
    gib = max(needed, least) if size is None else whole_number("size", size)
    require(needed <= gib, f"size must be {needed:,} GiB or more for these files", gib)
    require(least <= gib <= most, f"{volume_type} volumes have {least:,} to {most:,} GiB", gib)
    _require_given("zone", zone)
    return {
        "AvailabilityZone": zone,
        "Size": gib,
        "VolumeType": volume_type,
        **_encryption(encrypted, kms_key),
        "TagSpecifications": _tags(name, "volume"),
    }


def filling_request(
    name: str, volume: str, zone: str, script: str, machine: Machine
) -> dict[str, Any]:
    """The arguments of RunInstances for the small machine that fills a volume (chapter 5).

    It is in the volume's ``zone``, and when its ``script`` shuts it down it is terminated. The
    volume is attached to it later and stays.
    """
    tags = _tags(name, "instance")
    tags[0]["Tags"].append({"Key": FILLS, "Value": volume})
    return {
        **machine.arguments(),
        "MinCount": 1,
        "MaxCount": 1,
        "UserData": _user_data(script),
        "Placement": {"AvailabilityZone": zone},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "TagSpecifications": tags,
    }


def snapshot_request(name: str, volume: str) -> dict[str, Any]:
    """The arguments of CreateSnapshot (chapter 5)."""
    return {"VolumeId": volume, "TagSpecifications": _tags(name, "snapshot")}


def launch_request(
    name: str,
    snapshot: str,
    script: str,
    machine: Machine,
    *,
    count: SupportsIndex = 1,
    rate: SupportsIndex | None = None,
    throughput: SupportsIndex | None = None,
) -> dict[str, Any]:
    """The arguments of RunInstances for machines with a volume of ``snapshot`` each (chapter 5).

    The volume goes with its machine. ValueError for what EC2 does not take.

    Args:
        name: of the deployment.
        snapshot: the id of the snapshot.
        script: user data, of ``mount_script`` for one; 16 KiB at most.
        machine: what to start.
        count: of machines.
        rate: MiB/s at which EBS fills the volume from the snapshot, within ``RATES``; charged for,
            and stronger than Fast Snapshot Restore. None: as it comes, or by that.
        throughput: MiB/s of the gp3 volume, 125 to 750; what is above 125 is charged for.
    """
    machines = whole_number("count", count)
    require(machines >= 1, "count must be 1 or more", machines)
    _require_given("snapshot", snapshot)
    disk = {"SnapshotId": snapshot, "DeleteOnTermination": True, **_speed(rate, throughput)}
    return {
        **machine.arguments(),
        "MinCount": machines,
        "MaxCount": machines,
        "UserData": _user_data(script),
        "BlockDeviceMappings": [{"DeviceName": DEVICE, "Ebs": disk}],
        "TagSpecifications": _tags(name, "instance", "volume"),
    }


def copy_request(
    name: str,
    snapshot: str,
    zone: str,
    instance: str,
    *,
    rate: SupportsIndex | None = None,
    throughput: SupportsIndex | None = None,
) -> dict[str, Any]:
    """The arguments of CreateVolume for an extra volume of ``snapshot`` (chapter 5).

    Args:
        name: of the deployment.
        snapshot: the id of the snapshot.
        zone: that of the machine.
        instance: the id of the machine that it is for, which runs already.
        rate: as in ``launch_request``.
        throughput: as in ``launch_request``.
    """
    _require_given("snapshot", snapshot)
    tags = _tags(name, "volume")
    tags[0]["Tags"].append({"Key": FOR, "Value": instance})
    return {
        "AvailabilityZone": zone,
        "SnapshotId": snapshot,
        **_speed(rate, throughput),
        "TagSpecifications": tags,
    }


def require_name(name: str) -> None:
    """ValueError for a deployment's name that AWS does not take as the value of a tag."""
    require_type(name, str, "a deployment's name is a text")
    plain = name.isprintable() and name == name.strip()
    rule = f"a deployment's name has 1 to {_LONGEST_NAME} characters, no blank at an end, no tab"
    require(1 <= len(name) <= _LONGEST_NAME and plain, rule, name)
    reserved = "a deployment's name must not begin with aws:, which AWS keeps for itself"
    require(not name.lower().startswith("aws:"), reserved, name)


def _tags(name: str, *kinds: str) -> list[dict[str, Any]]:
    require_name(name)
    return [{"ResourceType": kind, "Tags": [{"Key": TAG, "Value": name}]} for kind in kinds]


def _require_given(what: str, text: str) -> None:
    require_type(text, str, f"{what} is a text")
    require(bool(text.strip()), f"{what} must be given", text)


def _user_data(script: str) -> str:
    require_type(script, str, "the script is a text")
    if len(script.encode()) > _USER_DATA_LIMIT:
        limit = f"{_USER_DATA_LIMIT:,} bytes"
        raise ValueError(f"the script has more than the {limit} that EC2 takes as user data")
    return script


def _encryption(encrypted: bool, kms_key: str) -> dict[str, Any]:
    if kms_key:
        return {"Encrypted": True, "KmsKeyId": kms_key}
    return {"Encrypted": True} if encrypted else {}


def _speed(rate: SupportsIndex | None, throughput: SupportsIndex | None) -> dict[str, Any]:
    """The type of a volume from a snapshot, and what of its speed was asked for."""
    disk: dict[str, Any] = {"VolumeType": "gp3"}
    if rate is not None:
        mebibytes = whole_number("rate", rate)
        rule = f"rate must be {RATES[0]} to {RATES[1]} MiB/s"
        require(RATES[0] <= mebibytes <= RATES[1], rule, mebibytes)
        disk["VolumeInitializationRate"] = mebibytes
    if throughput is not None:
        mebibytes = whole_number("throughput", throughput)
        rule = f"throughput must be {GP3_THROUGHPUT} to {_MOST_THROUGHPUT} MiB/s"
        require(GP3_THROUGHPUT <= mebibytes <= _MOST_THROUGHPUT, rule, mebibytes)
        disk["Throughput"] = mebibytes
    return disk
