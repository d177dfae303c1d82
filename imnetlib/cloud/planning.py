"""The requests of a deployment in order, each with its price, before any is sent (chapter 5)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from imnetlib.cloud.deploy import machine_place, rehearse
from imnetlib.cloud.ec2_requests import (
    Machine,
    copy_request,
    filling_request,
    launch_request,
    snapshot_request,
    volume_request,
)
from imnetlib.cloud.inventory import Resource, list_resources
from imnetlib.cloud.pricing import Cost, request_costs
from imnetlib.cloud.refusals import DeployError
from imnetlib.cloud.scripts import DEVICE, fill_script

# In place of the id of what an earlier step makes.
_VOLUME = "(the volume)"
_SNAPSHOT = "(the snapshot)"
_MACHINE = "(the filling machine)"
_LATER = "can be rehearsed when"


@dataclass(frozen=True, slots=True)
class Step:
    """A request to EC2: operation of boto3's client, arguments, and what will be paid for it."""

    operation: str
    request: dict[str, Any]
    costs: list[Cost] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The operation's name with AWS: create_volume is CreateVolume."""
        return "".join(word.capitalize() for word in self.operation.split("_"))

    def rehearsed(self, ec2: Any) -> str:
        """What AWS says to it: "allowed", why not, or what has to be there first (chapter 5)."""
        text = json.dumps(self.request)
        for absent in (_VOLUME, _SNAPSHOT, _MACHINE):
            # In a script and in a tag anything will do.
            if f'Id": "{absent}"' in text:
                return f"{_LATER} {absent.strip('()')} is there"
        return rehearse(getattr(ec2, self.operation), self.request)

    def shown(self) -> str:
        """The arguments as JSON, and behind them a script as it is (chapter 5)."""
        request = dict(self.request)
        script = request.get("UserData", "")
        if script:
            request["UserData"] = f"(the script below, {len(script.encode()):,} bytes)"
        return f"{json.dumps(request, indent=2)}\n{script}".rstrip()


def require_allowed(ec2: Any, steps: Iterable[Step]) -> None:
    """DeployError for the first step that AWS refuses, before any of them costs (chapter 5)."""
    for step in steps:
        said = step.rehearsed(ec2)
        if said != "allowed" and not said.startswith(_LATER):
            raise DeployError(said)


@dataclass(frozen=True, slots=True)
class Filling:
    """What shall be on a volume, and the machine that puts it there (chapter 5).

    ``url``, ``package`` and ``label`` are those of ``fill_script``, ``n_bytes`` and what follows
    ``machine`` those of ``volume_request``.
    """

    url: str
    package: str
    zone: str
    n_bytes: SupportsIndex
    machine: Machine
    volume_type: str = "gp3"
    size: SupportsIndex | None = None
    encrypted: bool = False
    kms_key: str = ""
    label: str = "imagenet"

    def volume_request(self, name: str) -> dict[str, Any]:
        """The arguments of CreateVolume."""
        return volume_request(
            name,
            self.n_bytes,
            self.zone,
            volume_type=self.volume_type,
            size=self.size,
            encrypted=self.encrypted,
            kms_key=self.kms_key,
        )

    def machine_request(self, name: str, volume: str, region: str) -> dict[str, Any]:
        """The arguments of RunInstances, for a volume that is there."""
        script = fill_script(volume, self.url, self.package, region, self.label)
        return filling_request(name, volume, self.zone, script, self.machine)


def filling_steps(ec2: Any, name: str, filling: Filling) -> list[Step]:
    """The way to a filled volume, from the volume of ``name`` on if it is there (chapter 5)."""
    create = filling.volume_request(name)
    source = source_volume(ec2, name)
    volume = source.id if source else _VOLUME
    run = filling.machine_request(name, volume, ec2.meta.region_name)
    ends = {"VolumeId": volume, "InstanceId": _MACHINE, "Device": DEVICE}
    steps = [priced(ec2, "run_instances", run), Step("attach_volume", ends)]
    return steps if source else [priced(ec2, "create_volume", create), *steps]


def whole_way(
    ec2: Any,
    name: str,
    filling: Filling,
    machine: Machine,
    script: str,
    *,
    count: SupportsIndex = 1,
    rate: SupportsIndex | None = None,
    throughput: SupportsIndex | None = None,
) -> list[Step]:
    """Every request from the backup to the machines that have a copy each (chapter 5).

    Args:
        ec2: a client of boto3.
        name: of the deployment; what is there of it already is not made again.
        filling: what shall be on the volume.
        machine: what to start.
        script: its user data.
        count: as in ``launch_request``.
        rate: as in ``launch_request``.
        throughput: as in ``launch_request``.
    """
    steps = filling_steps(ec2, name, filling)
    source = source_volume(ec2, name)
    gib = source.details["Size"] if source else steps[0].request["Size"]
    n_bytes = int(filling.n_bytes)
    snapshot = snapshot_request(name, source.id if source else _VOLUME)
    speed = {"rate": rate, "throughput": throughput}
    run = launch_request(name, _SNAPSHOT, script, machine, count=count, **speed)
    return [
        *steps,
        priced(ec2, "create_snapshot", snapshot, gib, n_bytes),
        priced(ec2, "run_instances", run, gib, n_bytes),
    ]


def attach_steps(
    ec2: Any,
    name: str,
    instance: str,
    snapshot: Resource,
    rate: SupportsIndex | None = None,
    throughput: SupportsIndex | None = None,
) -> list[Step]:
    """The way to an extra volume for a running machine, in its zone (chapter 5).

    Args:
        ec2: a client of boto3.
        name: of the deployment.
        instance: the machine's id.
        snapshot: of ``find_snapshot``.
        rate: as in ``launch_request``.
        throughput: as in ``launch_request``.
    """
    zone, devices = machine_place(ec2, instance)
    speed = {"rate": rate, "throughput": throughput}
    request = copy_request(name, snapshot.id, zone, instance, **speed)
    ends = {"VolumeId": _VOLUME, "InstanceId": instance, "Device": devices[0]}
    gib = snapshot.details["VolumeSize"]
    n_bytes = snapshot.details.get("FullSnapshotSizeInBytes", 0)
    made = priced(ec2, "create_volume", request, gib, n_bytes)
    return [made, Step("attach_volume", ends)]


def source_volume(ec2: Any, name: str) -> Resource | None:
    """The volume of a deployment that is filled from the backup; None before there is one."""
    found = [one for one in list_resources(ec2, name, "volume") if one.role == "volume"]
    usable = [one for one in found if one.state in ("creating", "available", "in-use")]
    return usable[0] if usable else None


def priced(
    ec2: Any, operation: str, request: dict[str, Any], gib: int = 0, n_bytes: int = 0
) -> Step:
    """A step with its price in the client's region; ``gib`` and ``n_bytes`` are a snapshot's."""
    costs = request_costs(operation, request, ec2.meta.region_name, gib, n_bytes)
    return Step(operation, request, costs)
