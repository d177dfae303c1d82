"""The requests of a deployment in order, each with its price, before any is sent (chapter 5)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from imnetlib.cloud.deploy import (
    extra_volume,
    machine_place,
    rehearse,
    require_like,
    running,
    snapshot_of,
    source_volume,
)
from imnetlib.cloud.ec2_calls import holders_of
from imnetlib.cloud.ec2_requests import (
    FOR,
    Machine,
    filling_request,
    launch_request,
    snapshot_request,
    volume_request,
)
from imnetlib.cloud.filling import filled_bytes, filling_machine
from imnetlib.cloud.inventory import Resource, list_resources, tags_of
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
        if is_refusal(said):
            raise DeployError(said)


def is_refusal(said: str) -> bool:
    """Whether what a step's rehearsal has said is a refusal (chapter 5)."""
    return said != "allowed" and not said.startswith(_LATER)


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
    """What is still to be done until the volume of ``name`` is filled (chapter 5).

    ValueError and DeployError as ``create_volume`` and ``fill_volume`` would raise them.
    """
    create = filling.volume_request(name)
    source = source_volume(ec2, name)
    volume = source.id if source else _VOLUME
    run = _priced(ec2, "run_instances", filling.machine_request(name, volume, ec2.meta.region_name))
    if source is None:
        return [_priced(ec2, "create_volume", create), run, _attaching(volume, _MACHINE, DEVICE)]
    require_like(source.details, create, name)
    if filled_bytes(ec2, volume) is not None:
        return []
    machine = filling_machine(ec2, volume, list_resources(ec2, name, "instance"))
    if not machine:
        return [run, _attaching(volume, _MACHINE, DEVICE)]
    attached = holders_of(ec2, volume) == {machine}
    return [] if attached else [_attaching(volume, machine, DEVICE)]


def snapshot_steps(
    ec2: Any, name: str, volume: str, n_bytes: SupportsIndex | None = None
) -> list[Step]:
    """The way to a snapshot of ``volume``: none if it is there, or under way (chapter 5).

    ValueError as ``snapshot_volume``.
    """
    snapshot, filled = snapshot_of(ec2, name, volume, n_bytes)
    request = snapshot_request(name, volume)
    return [] if snapshot else [_priced(ec2, "create_snapshot", request, 0, filled)]


def launch_steps(ec2: Any, name: str, request: dict[str, Any], snapshot: Resource) -> list[Step]:
    """The start of the machines of ``name`` that do not run yet, of ``request`` (chapter 5).

    ``snapshot`` is of ``find_snapshot``. ValueError as ``launch``.
    """
    written = snapshot.details.get("FullSnapshotSizeInBytes", 0)
    return _launching(ec2, name, request, snapshot.details["VolumeSize"], written)


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
    source = source_volume(ec2, name)
    gib = source.details["Size"] if source else filling.volume_request(name)["Size"]
    n_bytes = int(filling.n_bytes)
    snapshot = _snapshot_there(ec2, name, source)
    speed = {"rate": rate, "throughput": throughput}
    origin = snapshot.id if snapshot else _SNAPSHOT
    run = launch_request(name, origin, script, machine, count=count, **speed)
    if snapshot:
        gib = snapshot.details["VolumeSize"]
        return _launching(ec2, name, run, gib, n_bytes)
    take = snapshot_request(name, source.id if source else _VOLUME)
    return [
        *filling_steps(ec2, name, filling),
        _priced(ec2, "create_snapshot", take, gib, n_bytes),
        *_launching(ec2, name, run, gib, n_bytes),
    ]


def attach_steps(
    ec2: Any, name: str, request: dict[str, Any], instance: str, snapshot: Resource
) -> list[Step]:
    """What is still to be done until a running machine has an extra volume (chapter 5).

    Args:
        ec2: a client of boto3.
        name: of the deployment.
        request: of ``copy_request``, in the machine's zone.
        instance: the machine's id. ValueError if it has another copy already: the label would not
            tell them apart.
        snapshot: of ``find_snapshot``.
    """
    _, devices = machine_place(ec2, instance)
    volumes = list_resources(ec2, name, "volume")
    for one in volumes:
        holders = [end["InstanceId"] for end in one.details.get("Attachments", [])]
        if instance in holders and tags_of(one.details).get(FOR) != instance:
            raise ValueError(f"{instance} has {one.id} of {name} already: take another machine")
    there = extra_volume(request, volumes)
    if there:
        attached = bool(there.details.get("Attachments"))
        return [] if attached else [_attaching(there.id, instance, devices[0])]
    gib = snapshot.details["VolumeSize"]
    n_bytes = snapshot.details.get("FullSnapshotSizeInBytes", 0)
    made = _priced(ec2, "create_volume", request, gib, n_bytes)
    return [made, _attaching(_VOLUME, instance, devices[0])]


def _attaching(volume: str, machine: str, device: str) -> Step:
    ends = {"VolumeId": volume, "InstanceId": machine, "Device": device}
    return Step("attach_volume", ends)


def _launching(ec2: Any, name: str, request: dict[str, Any], gib: int, n_bytes: int) -> list[Step]:
    there = running(name, request, list_resources(ec2, name, "instance"))
    absent = request["MaxCount"] - len(there)
    if absent <= 0:
        return []
    fewer = request | {"MinCount": absent, "MaxCount": absent}
    return [_priced(ec2, "run_instances", fewer, gib, n_bytes)]


def _snapshot_there(ec2: Any, name: str, source: Resource | None) -> Resource | None:
    """The complete snapshot of a deployment: of its volume, if that is still there."""
    for one in reversed(list_resources(ec2, name, "snapshot")):
        same = source is None or one.details["VolumeId"] == source.id
        if same and one.state == "completed":
            return one
    return None


def _priced(
    ec2: Any, operation: str, request: dict[str, Any], gib: int = 0, n_bytes: int = 0
) -> Step:
    """A step with its price in the client's region; ``gib`` and ``n_bytes`` are a snapshot's."""
    costs = request_costs(operation, request, ec2.meta.region_name, gib, n_bytes)
    return Step(operation, request, costs)
